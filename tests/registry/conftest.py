"""A project for entries, and the vendors' descriptions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said
from tests.registry.loads import Project


@pytest.fixture
def project(
    root: Path,
    write: Callable[[Mapping[str, str]], None],
    dango: Callable[..., Said],
    rows: Callable[[str], list[Any]],
) -> Project:
    """A real one."""
    return Project(root, write, dango, rows)

"""Every shipped entry: its schema, lint, the vendor's description, and two loads through the command line."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from dango.registry.lint import lint
from tests.registry.loads import Project, load_twice
from tests.registry.shipped import FILES, at_hand, descriptions, entry_of, is_described, is_rest
from tests.registry.static_check import static_check


def of(files: list[Path]) -> pytest.MarkDecorator:
    """One case for each of the files."""
    return pytest.mark.parametrize("file", files, ids=lambda file: file.stem)


@of(FILES)
def test_an_entry_fits_the_schema_and_is_named_like_its_file(file: Path) -> None:
    assert entry_of(file).id == file.stem


@of(FILES)
def test_lint_finds_no_error_in_an_entry(file: Path) -> None:
    assert [str(finding) for finding in lint(entry_of(file)) if finding.severity == "error"] == []


@of([*filter(is_described, FILES)])
def test_an_entry_asks_for_what_the_vendor_describes(file: Path) -> None:
    entry = entry_of(file)
    assert [str(finding) for finding in static_check(entry, descriptions(entry))] == []


@pytest.mark.slow
@of([*filter(is_rest, FILES)])
def test_an_entry_loads_in_full_then_what_is_new_and_shows_no_secret(
    file: Path, project: Project, record_property: Callable[[str, object], None]
) -> None:
    entry = entry_of(file)
    load_twice(entry, at_hand(entry), project, partial(record_property, "passed"))

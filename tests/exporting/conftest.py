"""What tests of exports share: the validators, and a project whose folder has a difficult name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.exporting.programs import validators

HOSTILE = 'It\'s "our\\" shop; 100%i é $HOME `x` ${{ y }}'
BEARABLE = HOSTILE.replace("%i", "").replace("\\", "")
"""dlt and DuckDB bear neither."""


@pytest.fixture(scope="session")
def schemas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with check-jsonschema and kubernetes-validate."""
    return validators(tmp_path_factory.mktemp("schemas"))


@pytest.fixture
def hostile(tmp_path: Path) -> Callable[..., Path]:
    """Writes the files of a project whose folder is called so that much can go wrong."""

    def hostile(files: Mapping[str, str], name: str = HOSTILE) -> Path:
        folder = tmp_path / name
        for name, text in files.items():
            path = folder / (".dango/sources.yml" if name == "sources" else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return folder

    return hostile

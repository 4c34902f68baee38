"""What surrounds a worker: settings that make syncs quick, unless the user says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dango.project import Project
from dango.workers.supervision import surroundings

UNCOMPRESSED = "SOURCES__DATA_WRITER__DISABLE_COMPRESSION"


def test_what_is_extracted_is_not_compressed(root: Path, write: Callable[[dict[str, str]], None]) -> None:
    write({"sources": "sources: []\n"})
    assert surroundings(Project(root))[UNCOMPRESSED] == "true"


@pytest.mark.parametrize("section", ["data_writer", "sources.data_writer"])
def test_the_users_word_on_compression_counts(
    section: str, root: Path, write: Callable[[dict[str, str]], None]
) -> None:
    write({"sources": "sources: []\n", ".dlt/config.toml": f"[{section}]\ndisable_compression = false\n"})
    assert UNCOMPRESSED not in surroundings(Project(root))


def test_the_environments_word_on_compression_counts(
    root: Path, write: Callable[[dict[str, str]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"sources": "sources: []\n"})
    monkeypatch.setenv("DATA_WRITER__DISABLE_COMPRESSION", "false")
    assert UNCOMPRESSED not in surroundings(Project(root))

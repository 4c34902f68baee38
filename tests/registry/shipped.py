"""The shipped entries, and the vendors' descriptions that are at hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from dango.registry.entries import Registry
from dango.registry.entry import Entry
from tests.registry import description, shapes
from tests.registry.description import Description

FILES = sorted((Path(__file__).resolve().parents[2] / "registry").glob("*.yml"))


def entry_of(file: Path) -> Entry:
    """The entry in a shipped file. Raises `ConfigError` with every problem of it."""
    return Registry().entry(file.stem)


def is_rest(file: Path) -> bool:
    """Whether the entry is one of dlt's `rest_api`. Told by its text: a broken one is another test's matter."""
    return "kind: rest_api" in file.read_text(encoding="utf-8")


def is_described(file: Path) -> bool:
    """Whether the entry names a vendor's description, or one is written by hand."""
    return is_rest(file) and ("\n  spec:" in file.read_text(encoding="utf-8") or shapes.written(file.stem) is not None)


def at_hand(entry: Entry) -> list[Description]:
    """The descriptions of its API: written by hand, else the vendor's own; none where their folder is missing."""
    if by_hand := shapes.written(entry.id):
        return [Description(by_hand)]
    return [Description.read(name) for name in entry.verify.specs] if description.FOLDER.is_dir() else []


def descriptions(entry: Entry) -> list[Description]:
    """The same, for a test that needs them. Vendors' own files are no part of this project."""
    if entry.verify.specs and not description.FOLDER.is_dir():
        pytest.skip(f"the vendors' API descriptions are not at hand: there is no {description.FOLDER}")
    return at_hand(entry)

"""A file of another tool: what it holds, and where each key of it stands."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dango.config.document import Document, read_text
from dango.config.text import toml_spans
from dango.secrets import parse_toml

Loc = tuple[str | int, ...]

# Said to whoever gives an empty file.
_SMALLEST = ("plugins:  # or source:, or sources:",)


@dataclass(frozen=True)
class Given:
    """A file as it was read.

    Attributes:
        name: as messages call it.
        data: what it holds, as plain values.
        where: line and column, from 1, of the key at a place, or of the nearest around it.
        tags: YAML's tags that are not its own, as `!ENV`, by where they stand.
        folder: where its relative paths begin, from the project's folder; empty where that is the same.
    """

    name: str
    data: dict[str, Any]
    where: Callable[[Loc], tuple[int, int]]
    tags: Mapping[Loc, str] = field(default_factory=dict)
    folder: str = ""

    def moved(self, path: str) -> str:
        """A relative path in the file as it is from the project's folder; any other text as it is."""
        if not path.startswith(("./", "../")):
            return path
        made = posixpath.normpath(posixpath.join(self.folder, path))
        return made if made.startswith("../") else f"./{made}"


def read(path: Path, name: str, folder: str = "") -> Given:
    """Reads a file: TOML by its ending, else YAML, of which JSON is a part.

    Raises:
        ConfigError: with file, line and column where it is neither, or too large.
    """
    if path.suffix.lower() == ".toml":
        # Whoever reads TOML reads every line end as a plain one.
        text = read_text(path, name).replace("\r\n", "\n")
        return Given(name, parse_toml(text, name), _places(text), folder=folder)
    document = Document(path, name, smallest=_SMALLEST)
    return Given(name, document.data, document.where, document.tags, folder)


def _places(text: str) -> Callable[[Loc], tuple[int, int]]:
    """Where the keys of a TOML text stand."""
    found: dict[Loc, int] = {}
    tables: Counter[tuple[str, ...]] = Counter()

    def counted(path: tuple[str, ...]) -> Loc:
        made: list[str | int] = []
        for length, part in enumerate(path, 1):
            made.append(part)
            if number := tables[path[:length]]:
                made.append(number - 1)
        return tuple(made)

    try:
        spans = toml_spans.read(text)
    except toml_spans.NotRead:
        spans = []
    for span in spans:
        if span.is_header and text.startswith("[[", span.start):
            tables[span.path] += 1
        found.setdefault(counted(span.path), span.start)

    def where(loc: Loc) -> tuple[int, int]:
        position = next((found[loc[:length]] for length in range(len(loc), 0, -1) if loc[:length] in found), 0)
        return text.count("\n", 0, position) + 1, position - text.rfind("\n", 0, position)

    return where

"""What a file of another tool comes to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dango.answers import Made
from dango.imports.ledger import Note, Part
from dango.question import free_name


@dataclass(frozen=True, slots=True)
class Carried:
    """A source of the file as one of dango's.

    Attributes:
        made: its item in `sources.yml`, and its section in `secrets.toml`.
        was: what the file calls it.
        place: where it stands in the file.
        path: its path of keys there.
    """

    made: Made
    was: str
    place: str
    path: str

    @property
    def name(self) -> str:
        """What dango calls it."""
        return str(self.made.item["name"])

    @property
    def type(self) -> str:
        """Which type of dango's it is."""
        return str(self.made.item["type"])


@dataclass(frozen=True, slots=True)
class Target:
    """A destination of the file as one of dango's; `secrets` is its section in `secrets.toml`."""

    name: str
    block: Mapping[str, Any]
    secrets: Mapping[str, Any] = field(repr=False)
    was: str
    place: str


@dataclass
class Found:
    """What a format's reader finds: it fills this while it reads."""

    sources: list[Carried] = field(default_factory=list)
    targets: list[Target] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Sources of the file, by their names there, that dango cannot run."""

    def name(self, wanted: str) -> str:
        """A valid name for a source, that no other of the file has."""
        return free_name(wanted, [each.name for each in self.sources])

    def add(self, part: Part, was: str, item: dict[str, Any], secrets: dict[str, Any], path: str) -> None:
        """Takes a source; of its item what is empty is left out."""
        kept = {key: value for key, value in item.items() if value not in (None, "", [], {}) or key == item["type"]}
        self.sources.append(Carried(Made(kept, secrets), was, part.place, path))

    def refuse(self, part: Part, was: str, what: str, do: str) -> None:
        """Names a source that dango cannot run."""
        part.refuse(what, do)
        self.refused.append(was)


@dataclass(frozen=True, slots=True)
class Imported:
    """A file, read: its sources and destinations as dango's, and everything that is not carried over.

    Attributes:
        format: as `--from` calls it.
        title: as people call it.
    """

    format: str
    title: str
    sources: tuple[Carried, ...]
    targets: tuple[Target, ...]
    refused: tuple[str, ...]
    notes: tuple[Note, ...]

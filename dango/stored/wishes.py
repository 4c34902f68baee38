"""What a source has stored, as it is shown, moved and dropped: cursors and tables. It travels as a `Job` does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from dango.job import Job

CursorKind = Literal["datetime", "date", "integer", "number", "text", ""]


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a resource has been read."""

    resource: str
    path: str
    """Where the value stands in a row."""
    value: int | float | str | None
    """As `--set` takes it: times in ISO 8601."""
    initial: int | float | str | None = None
    kind: CursorKind = ""
    """Its type; empty where there is no value yet."""


@dataclass(frozen=True, slots=True)
class Cursors:
    """What the next sync of a source goes on from."""

    cursors: tuple[Cursor, ...] = ()
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What resources remember besides, by their names: keys that their own code has written."""
    without: tuple[str, ...] = ()
    """The resources that were loaded and remember nothing."""
    origin: Literal["", "working folder", "destination"] = ""
    """Where a sync takes it from; empty where nothing is stored."""
    stored: dt.datetime | None = None
    """When it was written there."""
    waiting: str = ""
    """What an earlier run has extracted, and the next loads before it goes on."""


@dataclass(frozen=True, slots=True)
class Moved:
    """A cursor that is moved, or forgotten."""

    resource: str
    path: str
    """Empty for what a resource's own code remembers."""
    before: int | float | str | None
    after: int | float | str | None
    forgotten: bool = False
    warning: str = ""


@dataclass(frozen=True, slots=True)
class CursorWish:
    """What is asked about the cursors of a source. Without values and `reset` they are shown."""

    job: Job
    resources: tuple[str, ...] = ()
    """Only these; empty means all."""
    values: Mapping[str, str] = field(default_factory=dict)
    """Where cursors are to stand, as a person types it, by resource or `resource:path`."""
    reset: bool = False
    """Whether the cursors are to be forgotten."""
    write: bool = False
    """Whether to do it, or only to say what would be done."""


@dataclass(frozen=True, slots=True)
class Holding:
    """What a source has in one dataset."""

    dataset: str
    tables: Mapping[str, int]
    """Its tables, those nested in others too, with how many rows each has."""
    whole: bool
    """Whether nothing else is in the dataset, which goes with them."""
    others: tuple[str, ...] = ()
    """The tables and views in it that are not the source's."""


@dataclass(frozen=True, slots=True)
class DropWish:
    """The data of a source that is to be dropped."""

    job: Job
    write: bool = False
    """Whether to do it, or only to say what would be dropped."""

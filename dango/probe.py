"""What a source is asked before anything is loaded, and what it answers. It travels as a `Job` does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dango.errors import Problem
from dango.job import Job, RunError


@dataclass(frozen=True, slots=True)
class Probe:
    """A source to be asked, stored or not: its job, and the answers that are in no file yet."""

    job: Job
    answers: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What would stand in the source's section of `secrets.toml`."""
    count: int = 1
    """How many rows of each resource are wanted."""


@dataclass(frozen=True, slots=True)
class Inspection:
    """What a source says of itself when it is asked: a database's version, user and tables."""

    server: str = ""
    user: str = ""
    problems: tuple[str, ...] = ()
    """What the user may not do, in words."""
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Live choices for fields, by what their `discover` names."""
    tables: tuple[Table, ...] = ()


@dataclass(frozen=True, slots=True)
class Table:
    """A table that a source has, as far as it matters for how to load it."""

    name: str
    primary_key: tuple[str, ...] = ()
    cursors: tuple[str, ...] = ()
    """Columns that may say what is new or changed, the best first."""
    unmoved: tuple[str, ...] = ()
    """Those of them that a change does not move: they show new rows, never changed ones."""
    readable: bool = True
    rows: int | None = None
    """About how many; None where that is not known without counting."""
    view: bool = False
    columns: tuple[str, ...] = ()
    resumes: bool = False
    """Whether the source itself goes on from where it stood, so that nothing need be said of how it is loaded."""

    @property
    def proposals(self) -> tuple[dict[str, Any], ...]:
        """The ways to load it, as `resources:` has them, the best first; everything, every time, is always
        among them."""
        everything: dict[str, Any] = {"write_disposition": "replace"}
        if self.resumes:
            return ({}, everything)
        key: Any = self.primary_key[0] if len(self.primary_key) == 1 else list(self.primary_key)
        merged = [
            {"write_disposition": "merge", "primary_key": key, "cursor": {"field": cursor}}
            for cursor in self.cursors
            if key and (cursor,) != self.primary_key and cursor not in self.unmoved
        ]
        appended = [{"write_disposition": "append", "cursor": {"field": cursor}} for cursor in self.cursors]
        return (*merged, everything, *appended)


@dataclass(frozen=True, slots=True)
class Checked:
    """What a source says when it is asked whether it reaches what it reads."""

    problem: str = ""
    final: bool = False
    """Whether rows need not be asked for, too: to give one it would read everything."""


@dataclass(frozen=True, slots=True)
class Tested:
    """Whether one resource gives a row; or, of the connector's own check, whether that went well."""

    resource: str
    seconds: float
    rows: int = 0
    error: RunError | None = None
    check: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """The first rows of one resource, as the source gives them."""

    resource: str
    seconds: float
    rows: tuple[Any, ...] = ()
    """Mostly mappings. What travels is plain: JSON's types, times, decimals and bytes."""
    failed: tuple[str, ...] = ()
    """Why records could not be made."""
    error: RunError | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """What `check` found in one source: its problems, none if it is well."""

    source: str
    problems: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class Option:
    """Something that a source may be told. `kind` is its type in the source's own words."""

    name: str
    kind: str = ""
    default: Any = None
    required: bool = False
    secret: bool = False
    help: str = ""
    choices: tuple[Any, ...] = ()
    """The only values that it takes; empty where it takes any of its kind."""
    when: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """The values of other options with which alone it means anything."""


@dataclass(frozen=True, slots=True)
class About:
    """What a source says of itself before it is asked for rows."""

    options: tuple[Option, ...] = ()
    streams: tuple[str, ...] = ()
    """Its resources, as far as it tells them."""
    problems: tuple[str, ...] = ()
    """What it could not be asked, and why."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """Where one parameter of a source gets its value. `value` is masked where it is a secret."""

    name: str
    annotation: str
    origin: str
    place: str = ""
    value: str = ""
    secret: bool = False
    missing: bool = False

"""What travels between the planner, a worker and a face: a job, its events, its result.

All are frozen, picklable and made of plain values, so that a worker may be a process here or on another machine.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from dango.config.models import Destination, Source
from dango.errors import DangoError, Held
from dango.paths import TablePath
from dango.registry.entry import Entry
from dango.registry.plugins import Plugin

Step = Literal[
    "queued", "environment", "import", "resolve", "recover", "extract", "normalize", "load", "verify", "log",
]  # fmt: skip
Status = Literal["running", "ok", "partial", "failed", "held", "interrupted", "crashed"]


@dataclass(frozen=True, slots=True)
class Part:
    """What of a source a job of its own loads: a range of one resource, or all that is new of it.

    A range leaves the source's cursors as they are.
    """

    resource: str
    number: int = 0
    """From 1, in the order of the ranges; 0 for a resource that is loaded as always."""
    column: str = ""
    begin: Any = None
    """Inclusive; of the column's type, as the source says it."""
    end: Any = None
    """Exclusive; None where nothing bounds it."""
    beside: tuple[str, ...] = ()
    """Other resources in the same job, which take their rows from the same: they are asked for once."""

    @property
    def name(self) -> str:
        """What tells it from the other parts of its source."""
        return f"{self.resource}/{self.number}" if self.number else self.resource

    @property
    def resources(self) -> tuple[str, ...]:
        """All that it loads."""
        return (self.resource, *self.beside)


@dataclass(frozen=True, slots=True)
class Job:
    """One source to be synced: everything that a worker needs to know, and no secret."""

    root: Path
    run: str
    source: Source
    destination: Destination
    entry: Entry | None = None
    """The registry entry of the source's type; None where that is none."""
    broken: str = ""
    """What is wrong with the registry entry; the source fails with it, and no other does."""
    plugin: Plugin | None = None
    """The package's source that is the source's type; None where that is none."""
    neighbours: tuple[str, ...] = ()
    """The names of the project's other sources, whose secrets this one must not see."""
    extends: tuple[str, ...] = ()
    """The sources that this one extends, the nearest first: it finds their secrets where it has none of its own."""
    resources: tuple[str, ...] = ()
    """The resources to load; empty: what the source's configuration selects."""
    full_refresh: bool = False
    limit: int | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    wait: float | None = None
    allow_empty: bool = False
    """Tables that hold rows may be replaced by nothing."""
    fail_on_schema_change: bool = False
    """Nothing is loaded where tables would change."""
    profile: bool = False
    """Whether it is told where the time goes."""
    attempt: int = 1
    epoch: int = 0
    part: Part | None = None
    """What of the source this job loads; None for all that the source has."""
    begins: Mapping[str, Any] = field(default_factory=dict)
    """Where cursors begin that have not been stored yet, by resource: all before was loaded in parts."""

    @property
    def part_name(self) -> str:
        """That of its part; empty for a job that is a whole source."""
        return self.part.name if self.part else ""

    @property
    def trial(self) -> bool:
        """Whether this loads a few rows beside the real tables and keeps no state."""
        return self.limit is not None

    @property
    def selected(self) -> tuple[str, ...]:
        """The resources to load: those asked for, else those configured, else the entry's default; empty for all."""
        configured = tuple(self.source.resources or ())
        return self.resources or configured or (self.entry.select.default if self.entry else ())

    @property
    def allowed_hosts(self) -> tuple[str, ...]:
        """Where the source's requests may lead, besides its own host."""
        return (*self.source.allowed_hosts, *(self.entry.allowed_hosts if self.entry else ()))

    @property
    def dataset(self) -> str:
        """The dataset that this job writes."""
        return trial_dataset(self.source.dataset) if self.trial else self.source.dataset

    def begun(self, started: dt.datetime) -> RunResult:
        """The result of this job as long as it is under way."""
        return RunResult(
            self.run,
            self.source.name,
            "running",
            started,
            0.0,
            self.destination.name,
            self.dataset,
            trial=self.trial,
            part=self.part_name,
        )

    @property
    def refreshed(self) -> bool:
        """Whether this job takes the place of all that the source has loaded."""
        return self.full_refresh and not self.resources

    def failed(self, error: DangoError | RunError) -> RunResult:
        """The result of this job where it has not begun."""
        if isinstance(error, DangoError):
            kind = type(error).__name__
            error = RunError(kind, error.message, error.hint, error.place, "", error.exit_code, error.docs)
        status: Status = "held" if error.exit_code == Held.exit_code else "failed"
        return replace(self.begun(dt.datetime.now(dt.timezone.utc)), status=status, error=error)


def trial_dataset(dataset: str) -> str:
    """Where a trial of a source loads to, beside the source's own dataset."""
    return f"{dataset}__trial"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a job while it runs. `rows` counts all rows of the resource so far."""

    source: str
    step: Step
    resource: str = ""
    rows: int = 0
    message: str = ""
    at: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.timezone.utc))
    part: str = ""
    """The name of the part whose job it is; empty where that is no part."""


@dataclass(frozen=True, slots=True)
class TableResult:
    """What a job did to one table. `total` is None where the destination cannot count."""

    name: str
    rows: int
    total: int | None = None
    new_columns: tuple[str, ...] = ()
    new: bool = False
    seconds: float = 0.0
    variants: tuple[str, ...] = ()
    """Those of the new columns that hold the values of another column which are not of its type."""
    discarded: int = 0
    """Rows that a contract kept out."""
    left_out: tuple[str, ...] = ()
    """Columns, and tables nested in this one, whose values or rows a contract kept out."""


Kind = Literal["network", "database", "parse", "source", "normalize", "write", "load", "import", "dlt", "wait", "other"]
"""What the time of a sync is spent with."""


@dataclass(frozen=True, slots=True)
class Profile:
    """Where the time of a job went."""

    steps: Mapping[Step, float]
    """Seconds of each step, in their order."""
    kinds: Mapping[Kind, float]
    """Seconds of each kind of work, the longest first."""
    paths: tuple[TablePath, ...] = ()
    advice: tuple[str, ...] = ()
    """What would make it faster."""


@dataclass(frozen=True, slots=True)
class RunError:
    """Why a job did not end well. `message` is the root cause, not the wrapper that dlt puts around it."""

    kind: str
    message: str
    hint: str = ""
    place: str = ""
    traceback: str = ""
    exit_code: int = 1
    docs: str = ""
    """Where the documentation speaks of errors of this kind."""

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


@dataclass(frozen=True, slots=True)
class FailedRecord:
    """A record that a source could not make, masked. All of them, with what they were to be made of, are in the
    table `_dango_errors`."""

    resource: str
    """Empty where the source's own threads do not tell."""
    entity: str
    message: str
    place: str
    """`file:line` of the innermost call in the source's code."""
    stack_trace: str


@dataclass(frozen=True, slots=True)
class ProcessorResult:
    """What became of the records that came to one processor of one resource."""

    resource: str
    name: str
    records_in: int = 0
    records_out: int = 0
    dropped: int = 0
    failed: int = 0
    missing: tuple[str, ...] = ()
    """Columns that it names and that no record had: misspelt, perhaps."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A resource that failed and was left out, so that the others could be loaded."""

    resource: str
    error: RunError


@dataclass(frozen=True, slots=True)
class RunResult:
    """How one source of a run ended."""

    run: str
    source: str
    status: Status
    started: dt.datetime
    seconds: float
    destination: str = ""
    dataset: str = ""
    tables: tuple[TableResult, ...] = ()
    error: RunError | None = None
    trial: bool = False
    skipped: tuple[Skipped, ...] = ()
    """Resources that failed and were left out."""
    failed: tuple[FailedRecord, ...] = ()
    """The first of the records that failed."""
    failed_count: int = 0
    processors: tuple[ProcessorResult, ...] = ()
    """What became of the records of each processor."""
    profile: Profile | None = None
    """Where the time went, if that was asked for."""
    part: str = ""
    """The name of the part whose result it is; empty for that of a source."""

    def ended(self) -> RunResult:
        """The same with the seconds from its start to now."""
        spent = dt.datetime.now(dt.timezone.utc) - self.started
        return replace(self, seconds=round(spent.total_seconds(), 3))

    @property
    def rows(self) -> int:
        """Rows loaded into all tables; a nested row counts as a row of its own table."""
        return sum(table.rows for table in self.tables)

    @property
    def exit_code(self) -> int:
        """The exit code that this result alone would give."""
        if self.status == "ok":
            return 0
        if self.status == "partial":
            return 3
        return self.error.exit_code if self.error else 1


def exit_code(results: Iterable[RunResult]) -> int:
    """One exit code for all: theirs if they ended alike, 3 if they did not."""
    codes = {result.exit_code for result in results}
    for signal in (130, 143, 129):
        if signal in codes:
            return signal
    return codes.pop() if len(codes) == 1 else 3 if codes else 0


@dataclass(frozen=True, slots=True)
class Secrets:
    """Values that a worker has learned to be secret. It travels to the planner and no further."""

    values: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a destination's database is: a file, or what its driver connects by. It travels to the planner and no
    further."""

    text: str = field(repr=False)


def as_error(told: RunError) -> DangoError:
    """What went wrong in a worker, to be raised here."""
    error = DangoError(told.message, told.hint, place=told.place)
    error.exit_code = told.exit_code
    return error


def as_json(value: Any) -> Any:
    """A value of this module as JSON's own types."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: as_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {**fields, "rows": value.rows} if isinstance(value, RunResult) else fields
    if isinstance(value, Mapping):
        return {key: as_json(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [as_json(item) for item in value]
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="milliseconds")
    if isinstance(value, dt.date):
        return value.isoformat()
    return str(value) if isinstance(value, Path) else value

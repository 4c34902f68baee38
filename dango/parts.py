"""One large resource in parts: the plan on disk, which of it is done, and what its jobs came to together.

A plan is written before anything runs. Each part is confirmed in it when it is loaded, so that a run which was stopped
goes on where it was: what was confirmed is not done again, and a part that was loaded but not confirmed knows that by
itself (`load.pipeline`). When all parts are there, one more job loads what has come since, and with it the cursor.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from dango.errors import DangoError, UsageError, near
from dango.files import replace_text
from dango.job import Job, Part, ProcessorResult, RunResult, TableResult

FOLDER = "parts"
_FILE = "plan.json"
_TYPES: Mapping[str, Any] = {
    "datetime": dt.datetime.fromisoformat, "date": dt.date.fromisoformat, "Decimal": Decimal,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Division:
    """Into what a job is divided."""

    parts: tuple[Part, ...]
    rest: tuple[str, ...] | None = None
    """The resources of the job that comes after all parts; empty: all that the source's configuration selects; None:
    there is no such job."""
    begins: Mapping[str, Any] = field(default_factory=dict)
    """Where cursors begin in that job."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A plan on disk: of one source in one run."""

    folder: Path
    """It is in here, beside the folders in which its parts are extracted."""
    source: str
    asked: Mapping[str, Any]
    """What else was asked of the run, as a `Job` holds it."""
    division: Division
    done: Mapping[str, Mapping[str, int]]
    """The rows of each table, by the names of the parts that are loaded."""

    @property
    def run(self) -> str:
        """The name of the run."""
        return self.folder.parent.name

    @property
    def left(self) -> tuple[Part, ...]:
        """The parts that are not loaded."""
        return tuple(part for part in self.division.parts if part.name not in self.done)

    @property
    def whole(self) -> bool:
        """Whether all ranges are loaded, so that cursors may go on from where they end."""
        return not any(part.number for part in self.left)

    def jobs(self, job: Job, *, again: bool) -> list[Job]:
        """A job for each part that is left.

        Args:
            job: the whole source's.
            again: whether an earlier attempt may have begun them.
        """
        attempt = job.attempt + again
        return [replace(job, part=part, resources=part.resources, attempt=attempt) for part in self.left]

    def rest(self, job: Job) -> Job | None:
        """What comes after them; None where nothing does."""
        rest, begins = self.division.rest, self.division.begins
        return None if rest is None else replace(job, resources=rest, begins=begins)

    def confirmed(self, result: RunResult) -> Stored:
        """The same with a part that is loaded; it is on disk when this returns."""
        rows = {table.name: table.rows for table in result.tables}
        noted = replace(self, done={**self.done, result.part: rows})
        noted.write()
        return noted

    def write(self) -> None:
        """Puts the plan on disk, whole or not at all."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        value = {"source": self.source, "asked": self.asked, "division": asdict(self.division), "done": self.done}
        replace_text(self.folder / _FILE, json.dumps(value, default=_written), 0o600)

    def forget(self) -> None:
        """It is done with; nothing of it is left."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for above in self.folder.parents[:2]:
            if above.is_dir() and not any(above.iterdir()):
                above.rmdir()


def working_folder(state: Path, job: Job) -> Path:
    """Where a part's state and packages are, as long as it is not confirmed."""
    assert job.part is not None
    # A resource may be called anything, also what no file can.
    resource = hashlib.sha256(job.part.resource.encode()).hexdigest()[:12]
    return planned(state, job.run, job.source.name) / f"{resource}--{job.part.number}"


def planned(state: Path, run: str, source: str) -> Path:
    """The folder of a source's plan."""
    return state / FOLDER / run / source


def store(state: Path, job: Job, division: Division) -> Stored:
    """Writes the plan of a job that is about to run."""
    asked = {name: getattr(job, name) for name in ("resources", "since", "until", "allow_empty")}
    asked["destination"] = job.destination.name
    plan = Stored(planned(state, job.run, job.source.name), job.source.name, asked, division, {})
    plan.write()
    return plan


def of_run(state: Path, run: str) -> list[Stored]:
    """The plans of a run that are not done. Raises `UsageError` where there are none."""
    found = [_read(file) for file in sorted((state / FOLDER / run).glob(f"*/{_FILE}"))]
    if not found:
        known = sorted({plan.run for plan in unfinished(state)})
        raise UsageError(
            f"nothing is left to do of run `{run}`{near(run, known)}",
            f"runs that can be gone on with: {', '.join(known)}" if known else "no run waits for that",
        )
    return found


def unfinished(state: Path) -> Iterator[Stored]:
    """Every plan that is not done, the oldest first."""
    yield from (_read(file) for file in sorted((state / FOLDER).glob(f"*/*/{_FILE}")))


def read(folder: Path) -> Stored:
    """The plan of a folder. Raises `DangoError` where it cannot be read."""
    return _read(folder / _FILE)


def require_none(state: Path, job: Job) -> None:
    """Raises `UsageError` where an earlier run has loaded the beginning of a resource in parts, and not all of them.

    A refresh of the whole source needs none of them, nor does a trial. Ranges of time that somebody asked for stand
    in nobody's way.
    """
    if job.trial or job.refreshed:
        return
    for plan in unfinished(state):
        begun = plan.division.begins.keys()
        if plan.source == job.source.name and begun and (not job.resources or begun & {*job.resources}):
            raise UsageError(
                f"run {plan.run} has loaded {len(plan.done)} of {len(plan.division.parts)} parts of `{plan.source}`,"
                " and was not ended",
                f"go on with it: dango sync --resume {plan.run};"
                f" or begin anew: dango sync {plan.source} --full-refresh",
            )


def forget_superseded(state: Path, job: Job) -> None:
    """Forgets plans of which nobody has to know, when the whole source is about to be synced.

    A resource that was loaded whole has stored by itself how far it is; one without a cursor is read anew.
    """
    if job.resources or job.since or job.until:
        return
    for plan in unfinished(state):
        if plan.source == job.source.name and not (plan.division.begins or plan.asked["since"] or plan.asked["until"]):
            plan.forget()


def forget(state: Path, source: str) -> None:
    """Forgets every plan of a source: what they were to load is there, or is to be gone."""
    for plan in unfinished(state):
        if plan.source == source:
            plan.forget()


def _read(file: Path) -> Stored:
    try:
        value = json.loads(file.read_text(encoding="utf-8"), object_hook=_meant)
        division = value["division"]
        parts = tuple(Part(**{**part, "beside": tuple(part["beside"])}) for part in division["parts"])
        rest = None if division["rest"] is None else tuple(division["rest"])
        asked = {**value["asked"], "resources": tuple(value["asked"]["resources"])}
        return Stored(file.parent, value["source"], asked, Division(parts, rest, division["begins"]), value["done"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DangoError(
            f"{file} cannot be read: {error}",
            f"it is the plan of a run that was stopped; without it the run begins anew: remove {file.parent}",
        ) from error


def _written(value: Any) -> Any:
    return {"type": type(value).__name__, "value": str(value)}


def _meant(value: dict[str, Any]) -> Any:
    return _TYPES[value["type"]](value["value"]) if value.keys() == {"type", "value"} else value


# --- what the jobs of one source came to together -------------------------------------------------------


def together(results: Sequence[RunResult], plan: Stored) -> RunResult:
    """One result for a source from those of its jobs, in the order in which they ended.

    Args:
        results: at least one.
        plan: with all that is confirmed, also by earlier attempts.
    """
    errors = [result.error for result in results if result.error]
    statuses = {result.status for result in results}
    status = next((each for each in ("failed", "held", "crashed", "partial") if each in statuses), results[-1].status)
    error = errors[0] if errors else None
    if error:
        done, run = len(plan.division.parts) - len(plan.left), results[0].run
        left = "".join(f", `{part.name}` is not" for part in plan.left if not part.number)
        hint = f"{done} of {len(plan.division.parts)} parts are loaded{left}; to go on: dango sync --resume {run}"
        error = replace(error, hint=f"{error.hint}\n{hint}" if error.hint else hint)
    failed = [record for result in results for record in result.failed]
    return replace(
        results[-1],
        status=status,
        started=min(result.started for result in results),
        tables=_tables(results, plan),
        error=error,
        skipped=tuple(one for result in results for one in result.skipped),
        failed=tuple(failed[: max(len(result.failed) for result in results)]),
        failed_count=sum(result.failed_count for result in results),
        processors=_processors(results),
        profile=None,
        part="",
    ).ended()


def _tables(results: Sequence[RunResult], plan: Stored) -> tuple[TableResult, ...]:
    found: dict[str, TableResult] = {}
    for result in results:
        for table in result.tables:
            before = found.get(table.name, TableResult(table.name, 0))
            found[table.name] = TableResult(
                name=table.name,
                rows=before.rows + table.rows,
                # Parts are loaded one after the other, and a table only grows by them.
                total=max((n for n in (before.total, table.total) if n is not None), default=None),
                new_columns=tuple(sorted({*before.new_columns, *table.new_columns})),
                new=before.new or table.new,
                seconds=round(before.seconds + table.seconds, 3),
                variants=tuple(sorted({*before.variants, *table.variants})),
                discarded=before.discarded + table.discarded,
                left_out=tuple(dict.fromkeys((*before.left_out, *table.left_out))),
            )
    now = {result.part for result in results}
    for name, rows in plan.done.items():
        for one, count in rows.items() if name not in now else ():
            before = found.get(one, TableResult(one, 0))
            found[one] = replace(before, rows=before.rows + count)
    return tuple(found.values())


def _processors(results: Sequence[RunResult]) -> tuple[ProcessorResult, ...]:
    found: dict[tuple[str, str], ProcessorResult] = {}
    for result in results:
        for each in result.processors:
            before = found.get((each.resource, each.name), ProcessorResult(each.resource, each.name))
            found[each.resource, each.name] = replace(
                each,
                **{name: getattr(before, name) + getattr(each, name) for name in _COUNTED},
                missing=tuple(dict.fromkeys((*before.missing, *each.missing))),
            )
    return tuple(found.values())


_COUNTED = ("records_in", "records_out", "dropped", "failed")

"""Into which parts a job is divided, and what one of them reads: a resource, or a range of a column of one.

dlt keeps no state where a cursor has an end, and a range's pipeline writes none. So what the source knows of that
resource is what it was until the last job of the run, which begins where the ranges end.
"""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import dlt
from dlt.sources import DltResource, DltSource

from dango.config.split import MOST, Split, duration
from dango.conversions import instant
from dango.dlt_internals import state as dlt_state
from dango.dlt_internals.tables import TRANSACTIONAL
from dango.errors import ResolveError, UsageError
from dango.job import Job, Part
from dango.load import backfill, dataset, extraction
from dango.load.connection import connecting, made
from dango.load.progress import Progress
from dango.parts import Division
from dango.project import Project
from dango.sources.arguments import as_instant
from dango.sources.resolve import Resolved, build


def divided(job: Job, resolved: Resolved, say: Callable[[str], None]) -> Division:
    """Divides a job by what `split:` says of its source and of its resources. Nothing is loaded, and nothing changed.

    A resource is divided into ranges as long as its cursor has no value, or a range of time is asked for; after that a
    sync reads what is new, which is little.

    Args:
        job: of a whole source.
        resolved: its function and arguments.
        say: takes what people are to know.

    Returns:
        no parts, where nothing is to be divided.

    Raises:
        ResolveError: where a resource, or the source, cannot be divided so.
        DangoError: where its source, or the destination, cannot be asked.
    """
    require_divisible(job)
    source = build(resolved, job)
    names = [name for name in source.selected_resources if _said(job, name)]
    stored = _stored(job) if names else {}
    parts: list[Part] = []
    begins: dict[str, Any] = {}
    whole: list[str] = []
    for name in names:
        resource, split = source.resources[name], _said(job, name)
        assert split is not None
        cursor = _cursor(resource, split, job)
        if not (job.since or job.until) and cursor is not None and stored.get(name, {}).get(cursor.cursor_path):
            continue
        edges = _edges(resource, cursor, split, job, resolved, stored)
        if edges is None:
            continue
        ranges: Sequence[tuple[Any, Any]] = [*pairwise(edges)]
        if job.since or job.until:
            whole.append(name)
        elif cursor is None:
            ranges = [*ranges[:-1], (ranges[-1][0], None)]
            whole.append(name)
        else:
            # The last of them is read by the job that comes after, which keeps the cursor.
            begins[name] = ranges[-1][0]
            ranges = ranges[:-1]
        parts += (Part(name, n, split.column, begin, end) for n, (begin, end) in enumerate(ranges, start=1))
    if job.source.split:
        parts += _each(source, job, {*whole, *begins}, say)
        if len(parts) == 1 and not parts[0].number:
            parts.clear()
        return Division(tuple(parts), tuple(begins) or None, begins)
    return Division(tuple(parts), _rest(source, job, whole), begins)


def require_divisible(job: Job) -> None:
    """Raises `ResolveError` where a source cannot be divided into its resources."""
    if job.source.split and job.destination.type not in TRANSACTIONAL:
        raise ResolveError(
            f"destination `{job.destination.name}` ({job.destination.type}) cannot take resources one by one:"
            " what each remembers has to be stored in one transaction with its rows",
            "without `split`, or with duckdb or postgres", loc=("split",),
        )  # fmt: skip


def _each(source: DltSource, job: Job, ranged: Collection[str], say: Callable[[str], None]) -> Iterator[Part]:
    """A part for each of the other resources; those that take their rows from the same are asked for once."""
    for group in extraction.groups(source):
        names = [name for name in group if name not in ranged]
        if job.since or job.until:
            without = [name for name in names if not backfill.dated(source, name)]
            for name in without:
                say(f"`{name}` has no cursor, and is left out")
            names = [name for name in names if name not in without]
        if names:
            yield Part(names[0], beside=tuple(names[1:]))


def narrowed(source: DltSource, part: Part) -> DltSource:
    """Reads a part instead of what is new. The source, which is changed, is returned with that resource alone."""
    resource = source.resources[part.resource]
    cursor = backfill.cursor_of(resource)
    ranged: Any = cursor.copy() if cursor is not None else dlt.sources.incremental(part.column)
    ranged.lag = None
    ranged.allow_external_schedulers = False
    ranged.initial_value, ranged.end_value = part.begin, part.end
    resource.apply_hints(incremental=ranged)
    return source.with_resources(part.resource)


def begun(source: DltSource, job: Job) -> None:
    """Cursors begin where the parts end, which were loaded before."""
    for name, value in job.begins.items():
        resource = source.resources[name]
        cursor = backfill.cursor_of(resource).copy()
        cursor.initial_value = value
        resource.apply_hints(incremental=cursor)


def _said(job: Job, name: str) -> Split | None:
    hints = (job.source.resources or {}).get(name)
    return hints.split if hints else None


def _stored(job: Job) -> dict[str, Any]:
    """Where the cursors of each resource stand."""
    with tempfile.TemporaryDirectory(prefix="dry-", dir=Project(job.root).state) as folder:
        pipeline = made(job, Path(folder), Progress(job.source.name, lambda event: None))
        with connecting(job), dataset.writing(pipeline, job):
            pipeline.sync_destination()
        kept = dict(dlt_state.resources(pipeline.state))
    return {
        name: {path: cursor.get("last_value") for path, cursor in said.get(dlt_state.INCREMENTAL, {}).items()}
        for name, said in kept.items()
    }


def _rest(source: DltSource, job: Job, whole: Sequence[str]) -> tuple[str, ...] | None:
    if not whole:
        return job.resources
    left = tuple(name for name in source.selected_resources if name not in whole)
    if job.since or job.until:
        left = tuple(name for name in left if backfill.cursor_of(source.resources[name]) is not None)
    return left or None


def _cursor(resource: DltResource, split: Split, job: Job) -> Any:
    """The resource's cursor. Raises `ResolveError` where it cannot be divided."""
    name = resource.name
    place = ("resources", name, "split")
    if resource.write_disposition == "replace":
        raise ResolveError(
            f"`{name}` is written with `replace`, which takes the place of all rows in one step, and not in parts",
            f"resources: {{{name}: {{write_disposition: merge, primary_key: …}}}}, or no `split`", loc=place,
        )  # fmt: skip
    cursor = backfill.cursor_of(resource)
    if cursor is not None and cursor.cursor_path != split.column:
        raise ResolveError(
            f"`{name}` is divided by `{split.column}`, and its cursor is `{cursor.cursor_path}`: what changes meanwhile"
            " would be lost, or come twice",
            f"divide it by its cursor: split: {{column: {cursor.cursor_path}, …}}", loc=(*place, "column"),
        )  # fmt: skip
    if cursor is None and (job.since or job.until):
        raise UsageError(
            f"`{name}` has no cursor, and so no range of time: it is loaded whole",
            f"without --since and --until, or with a cursor: resources: {{{name}: {{cursor: {{field: …}}}}}}",
        )
    return cursor


def _edges(
    resource: DltResource, cursor: Any, split: Split, job: Job, resolved: Resolved, stored: dict[str, Any]
) -> list[Any] | None:
    """Where each range begins, and where the last one ends; None where there is nothing to divide."""
    name = resource.name
    if job.since or job.until:
        window = backfill.Window(job.since, job.until or dt.datetime.now(dt.timezone.utc))
        last = stored.get(name, {}).get(cursor.cursor_path)
        ranged = backfill.within(cursor, window, last, name)
        low, high = ranged.initial_value, ranged.end_value
    elif resolved.module == "dango.connectors.sql":
        # Here, since it brings SQLAlchemy.
        from dango.connectors.sql_tables import extent

        found = extent(name, split.column, **resolved.arguments)
        if found is None:
            return None
        low, high = found
        if cursor is not None and cursor.initial_value is not None:
            low = _later(low, cursor.initial_value)
    elif cursor is not None and (initial := cursor.initial_value) is not None:
        low = initial
        high = backfill.written(dt.datetime.now(dt.timezone.utc), initial, cursor, name)
    else:
        raise ResolveError(
            f"how far `{split.column}` of `{name}` goes is not known: only tables of databases can be asked",
            "of times, say where they begin: "
            f"resources: {{{name}: {{cursor: {{field: {split.column}, initial: 2024-01-31}}}}}}",
            loc=("resources", name, "split", "column"),
        )  # fmt: skip
    edges = _cut(low, high, split, lambda moment, like: backfill.written(moment, like, cursor, name))
    if edges is not None and (job.since or job.until):
        # What is asked for ends where it ends.
        edges = [edge for edge in edges if edge < high] + [high]
    if edges is None:
        raise ResolveError(
            f"`{split.column}` of `{name}` cannot be divided: {low!r} is no number and no time", "another column",
            loc=("resources", name, "split", "column"),
        )  # fmt: skip
    if len(edges) > MOST + 1:
        raise ResolveError(
            f"`{name}` would have more than {MOST:,} parts, from {low} to {high}", "a larger `size`",
            loc=("resources", name, "split", "size"),
        )  # fmt: skip
    return edges if len(edges) > 2 else None


def _cut(low: Any, high: Any, split: Split, written: Any) -> list[Any] | None:
    """Edges from `low` to beyond `high`; None where such values have no ranges."""
    if isinstance(low, bool):
        return None
    if isinstance(low, int | float | Decimal):
        wide = split.size if isinstance(split.size, int) else None
        if split.size is not None and wide is None:
            return None
        if isinstance(low, int):
            wide = wide or max(1, -(-(high - low + 1) // (split.ranges or 1)))
        else:
            wide = wide or (high - low) / (split.ranges or 1)
        return [*_steps(low, high, wide)] if wide else [low]
    first, last = _instant(low), _instant(high)
    if first is None or last is None:
        return None
    step = duration(split.size) if isinstance(split.size, str) else None
    if split.size is not None and step is None:
        return None
    step = step or max((last - first) / (split.ranges or 1), dt.timedelta(seconds=1))
    if isinstance(low, dt.date) and not isinstance(low, dt.datetime):
        step = max(dt.timedelta(days=-(-step // dt.timedelta(days=1))), dt.timedelta(days=1))
    # What two moments are written alike as is one edge.
    return [*dict.fromkeys(written(moment, low) for moment in _steps(first, last, step))]


def _steps(low: Any, high: Any, wide: Any) -> Iterator[Any]:
    edge = low
    for _ in range(MOST + 2):
        yield edge
        if edge > high:
            return
        edge = edge + wide


def _instant(value: Any) -> dt.datetime | None:
    """A value as a moment; None where it is none."""
    if isinstance(value, str):
        try:
            return instant(value)
        except ValueError:
            return None
    moment = as_instant(value)
    if not isinstance(moment, dt.datetime):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.timezone.utc)


def _later(low: Any, initial: Any) -> Any:
    first, other = _instant(low), _instant(initial)
    if first is not None and other is not None:
        return low if first >= other else backfill.written(other, low, None, "")
    return max(low, initial) if isinstance(initial, int | float | Decimal) else low

"""A range of time in place of the stored cursor: what `--since` and `--until` load, and what cannot be loaded so.

dlt keeps no state where a cursor has an end. So the stored one stays, and the next sync goes on from it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import dlt
from dlt.common.schema import Schema
from dlt.sources import DltResource, DltSource

from dango.dlt_internals import pipes as dlt_pipes
from dango.dlt_internals import state as dlt_state
from dango.errors import UsageError
from dango.job import Job
from dango.load import dataset
from dango.sources.arguments import as_instant

_TEXT = re.compile(
    r"\d{4}-\d{2}-\d{2}"
    r"(?:(?P<between>[T ])\d{2}:\d{2}(?P<seconds>:\d{2}(?:\.(?P<fraction>\d+))?)?(?P<zone>Z|[+-]\d{2}:?\d{2})?)?"
)
_NOT_KNOWN = "say where it begins: `cursor: {field: …, initial: 2024-01-31}` in sources.yml, or sync it once"


@dataclass(frozen=True, slots=True)
class Window:
    """From when (inclusive) to when (exclusive), instants in UTC; without a beginning that of each cursor counts."""

    since: dt.datetime | None
    until: dt.datetime


def narrowed(source: DltSource, job: Job, pipeline: dlt.Pipeline) -> tuple[DltSource, tuple[str, ...]]:
    """Reads a job's range of time instead of what is new.

    Args:
        source: with hints; it is changed.
        job: with `since`, `until` or both.
        pipeline: whose state tells how cursors are written.

    Returns:
        the source with the resources that have a cursor, and the names of those that have none.

    Raises:
        UsageError: when a resource cannot be read so.
    """
    window = Window(job.since, job.until or dt.datetime.now(dt.timezone.utc))
    resources = {resource.name: resource for resource in source.resources.extracted}
    cursors = {name: cursor_of(resource) for name, resource in resources.items()}
    chosen = list(source.selected_resources)
    having = [name for name in chosen if dated(source, name)]
    without = tuple(name for name in chosen if name not in having)
    if without and (job.resources or not having):
        name = without[0]
        raise UsageError(
            f"`{name}` has no cursor, and so no range of time: it is loaded whole",
            f"without --since and --until, or with a cursor: resources: {{{name}: {{cursor: {{field: …}}}}}}",
        )
    stored = dict(dlt_state.resources(pipeline.state))
    for name, resource in resources.items():
        cursor = cursors[name]
        if cursor is None:
            continue
        if name in chosen and resource.write_disposition == "replace":
            raise UsageError(
                f"`{name}` is written with `replace`: of its table only the range would be left",
                f"leave it out: --resource, or give it write_disposition: merge and a primary_key ({name})",
            )
        kept = stored.get(name, {}).get(dlt_state.INCREMENTAL, {}).get(cursor.cursor_path, {})
        resource.apply_hints(incremental=within(cursor, window, kept.get("last_value"), name))
    return source.with_resources(*having), without


def dated(source: DltSource, name: str) -> bool:
    """Whether a resource has a cursor: its own, or that of one from which it takes its rows."""
    extracted = {resource.name: resource for resource in source.resources.extracted}
    line = (extracted[part] for part in _line(source.resources[name]) if part in extracted)
    return any(cursor_of(resource) is not None for resource in line)


def _line(resource: DltResource) -> Iterator[str]:
    """The resource and those that it takes its rows from."""
    pipe = resource._pipe
    while pipe is not None:
        yield pipe.name
        pipe = pipe.parent


def cursor_of(resource: DltResource) -> Any:
    """A resource's cursor as it is before it runs: of its hints, of what it was called with, or of its function."""
    found: Any = resource.incremental
    if not hasattr(found, "cursor_path"):
        found = getattr(found, "incremental", None) or dlt_pipes.cursor_of(resource)
    return None if found is None or found.is_partial() else found


def within(cursor: Any, window: Window, last: Any, name: str) -> Any:
    """A copy of a cursor that begins and ends with the window, in its own type."""
    example = cursor.initial_value if last is None else last
    ranged = cursor.copy()
    ranged.lag = None
    ranged.allow_external_schedulers = False
    ranged.end_value = written(window.until, example, cursor, name)
    if window.since is not None:
        ranged.initial_value = written(window.since, example, cursor, name)
    elif ranged.initial_value is None:
        raise UsageError(
            f"the cursor `{cursor.cursor_path}` of `{name}` has no beginning", "say it: --since 2024-01-31"
        )
    else:
        ranged.initial_value = as_instant(ranged.initial_value) if _is_instant(example) else ranged.initial_value
    return ranged


def _is_instant(value: Any) -> bool:
    return isinstance(value, dt.datetime)


def written(moment: dt.datetime, example: Any, cursor: Any, name: str) -> Any:
    """An instant as a cursor has it whose values are like the example."""
    if _is_instant(example):
        return moment if example.tzinfo else moment.replace(tzinfo=None)
    if isinstance(example, dt.date):
        # What is later than the beginning of a day belongs to that day.
        return moment.date() if moment == as_instant(moment.date()) else moment.date() + dt.timedelta(days=1)
    found = _TEXT.fullmatch(example) if isinstance(example, str) else None
    if found is not None:
        return _text(moment, found)
    what = f"the cursor `{cursor.cursor_path}` of `{name}`"
    if example is None:
        raise UsageError(f"{what} has no value yet: nobody knows how it writes a time", _NOT_KNOWN)
    raise UsageError(
        f"{what} is no time, but such as {example!r}: it has no range from date to date",
        f"leave `{name}` out (--resource), or move the cursor: dango source cursor … --set {name}=…",
    )


def _text(moment: dt.datetime, like: re.Match[str]) -> str:
    """An instant written as a text is; what that has no room for is cut off."""
    zone = like["zone"] or ""
    if zone not in ("", "Z"):
        hours, minutes = int(zone[1:3]), int(zone[-2:])
        offset = dt.timedelta(hours=hours, minutes=minutes) * (-1 if zone[0] == "-" else 1)
        moment = moment.astimezone(dt.timezone(offset))
    if like["between"] is None:
        return moment.date().isoformat()
    digits = len(like["fraction"] or "")
    fraction = f".{moment.microsecond:06}".ljust(digits + 1, "0")[: digits + 1] if digits else ""
    seconds = f":{moment.second:02}{fraction}" if like["seconds"] else ""
    return f"{moment.date().isoformat()}{like['between']}{moment.hour:02}:{moment.minute:02}{seconds}{zone}"


def require_new(pipeline: dlt.Pipeline, source: DltSource, job: Job) -> None:
    """Raises `UsageError` where rows of the range are in a table to which they would be added once more."""
    schema = pipeline.schemas[source.schema.name] if source.schema.name in pipeline.schema_names else None
    if schema is None or job.trial:
        return
    with dataset.writing(pipeline, job), dataset.sql_client(pipeline, job) as sql:
        for name, resource in source.selected_resources.items():
            if sql is None or resource.write_disposition != "append" or resource.has_dynamic_table_name:
                continue
            held = _held(sql, schema, resource)
            if held:
                raise UsageError(
                    f"`{name}` is appended, and {held:,} rows of that range are there: they would come twice",
                    f"give it a key: resources: {{{name}: {{write_disposition: merge, primary_key: …}}}}",
                )


def _held(sql: Any, schema: Schema, resource: DltResource) -> int:
    """How many rows of a cursor's range a resource's table holds; 0 where its table has no such column."""
    cursor: Any = cursor_of(resource)
    table = schema.naming.normalize_tables_path(str(resource.table_name))
    column = schema.naming.normalize_path(cursor.cursor_path) if cursor is not None else ""
    columns: Mapping[str, Any] = schema.tables[table]["columns"] if table in schema.tables else {}
    if column not in columns or not columns[column].get("data_type"):
        return 0
    name, quoted = sql.make_qualified_table_name(table), sql.escape_column_name(column)
    query = f"SELECT count(*) FROM {name} WHERE {quoted} >= %s AND {quoted} < %s"
    return int(sql.execute_sql(query, cursor.initial_value, cursor.end_value)[0][0])

"""What is said of a resource besides what its author wrote: hints, a cursor, how many rows."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Mapping
from typing import Any

import dlt
from dlt.sources import DltResource, DltSource

from dango.config.resource import Resource
from dango.conversions import instant, moment
from dango.dlt_internals import pipes as dlt_pipes
from dango.sources.arguments import as_instant


def apply(resource: DltResource, hints: Resource) -> None:
    """What `resources:` says of one resource, in dlt's hints."""
    given: dict[str, Any] = {
        "table_name": hints.table,
        "write_disposition": hints.write_disposition,
        "primary_key": _names(hints.primary_key),
        "merge_key": _names(hints.merge_key),
        "columns": hints.columns and {name: column.hints for name, column in hints.columns.items()},
    }
    if hints.cursor is not None:
        cursor = hints.cursor
        disposition = hints.write_disposition or resource.write_disposition
        given["incremental"] = dlt.sources.incremental(
            cursor.field,
            initial_value=as_instant(cursor.initial),
            lag=cursor.lag,
            primary_key=every_column,
            # Loaded with each sync, which only a merge bears; elsewhere dlt tells of them and stops.
            on_cursor_value_missing="include" if disposition == "merge" else "raise",
        )
        if isinstance(cursor.initial, dt.date):
            # Of affinity to the end, dlt's own step comes after this one.
            instants = Instants(cursor.field)
            resource.add_map(instants)
            dlt_pipes.append_behind_cursor(resource._pipe, instants.undone)
    if said := {key: value for key, value in given.items() if value is not None}:
        resource.apply_hints(**said)


def every_column(rows: Any) -> list[str]:
    """What tells a row that is loaded already from one that is not, where both have the newest cursor.

    By its key alone a row that changed again within the same second would count as loaded.
    """
    return list(rows.schema.names if hasattr(rows, "schema") else rows)


class Instants:
    """Makes a row's cursor an instant, as which its beginning is written, of text, of dates and of times without a
    zone: JSON has no dates, and what is compared must be of one kind."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._was: Any = None

    def __call__(self, row: Any, meta: Any = None) -> Any:
        """The row, or the table, with the cursor read; as it is where there is none that is a time."""
        if hasattr(row, "schema"):
            return self._table(row)
        written = row.get(self._field) if isinstance(row, Mapping) else None
        if not isinstance(written, str | dt.date):
            return row
        try:
            read = instant(written) if isinstance(written, str) else moment(written)
        except ValueError:
            return row
        return {**row, self._field: read}

    def _table(self, table: Any) -> Any:
        index = table.schema.get_field_index(self._field)
        kind = table.schema.field(index).type if index >= 0 else None
        import pyarrow as pa

        if kind is None or not (pa.types.is_date(kind) or (pa.types.is_timestamp(kind) and kind.tz is None)):
            return table
        self._was = kind
        # A time without a zone becomes one in UTC.
        return _cast(table, index, pa.timestamp("us"), pa.timestamp("us", "UTC"))

    def undone(self, item: Any, meta: Any = None) -> Any:
        """A table with the cursor in the type that it had, which is its column's; rows find it by themselves."""
        if self._was is None or not hasattr(item, "schema"):
            return item
        import pyarrow as pa

        return _cast(item, item.schema.get_field_index(self._field), pa.timestamp("us"), self._was)


def _cast(table: Any, index: int, *kinds: Any) -> Any:
    column, field = table.column(index), table.schema.field(index)
    for kind in kinds:
        column = column.cast(kind)
    arrays = list(table.columns)
    arrays[index] = column
    return type(table).from_arrays(arrays, schema=table.schema.set(index, field.with_type(kinds[-1])))


def _names(names: str | tuple[str, ...] | None) -> str | list[str] | None:
    return list(names) if isinstance(names, tuple) else names


def limit(source: DltSource, rows: int) -> None:
    """At most so many rows a resource: the generators are stopped early, and what a page has too many is cut."""
    source.add_limit(rows, count_rows=True)
    for resource in source.selected_resources.values():
        first = FirstRows(rows)
        resource.add_map(first.cut)
        resource.add_filter(first.keep)


class FirstRows:
    """The first rows of a resource, whether they come one by one or in tables."""

    def __init__(self, rows: int) -> None:
        self._left = rows
        self._turn = threading.Lock()

    def cut(self, item: Any, meta: Any = None) -> Any:
        """A table with no more rows than are left; a single row as it is."""
        if not hasattr(item, "shape"):
            return item
        with self._turn:
            taken = min(self._left, item.shape[0])
            self._left -= taken
        return item.iloc[:taken] if hasattr(item, "iloc") else item.slice(0, taken)

    def keep(self, item: Any, meta: Any = None) -> bool:
        """Whether there is room for it."""
        if hasattr(item, "shape"):
            return bool(item.shape[0] > 0)
        with self._turn:
            self._left -= 1
            return self._left >= 0

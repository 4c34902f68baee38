"""Rows of a database as Arrow, with the types and values that the same rows have when they come as dicts.

What Arrow cannot hold so is not guessed at: `Inexact` says why, and the table is read as dicts.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema import Schema
from sqlalchemy.sql import sqltypes

from dango import digits
from dango.dlt_internals import arrow as dlt_arrow

_PYTHON: Mapping[str, set[type]] = {
    "bigint": {int},
    "double": {float, int},
    "text": {str},
    "bool": {bool},
    "binary": {bytes},
    "timestamp": {dt.datetime},
    "date": {dt.date},
    "time": {dt.time},
    "decimal": {Decimal, int},
    "json": {dict, list},
}
"""The types of values for which dlt and Arrow do the same; not of their subclasses."""
_BY_TEXT: tuple[tuple[Any, tuple[str, ...]], ...] = (
    (sqltypes.Float, ("double",)),
    (sqltypes.Numeric, ("decimal", "double")),
    (sqltypes.Integer, ("bigint",)),
    (sqltypes.Uuid, ("text",)),
    (sqltypes.String, ("text",)),
    ((sqltypes.JSON, sqltypes.ARRAY), ("json",)),
    (sqltypes.DateTime, ("timestamp",)),
    (sqltypes.Date, ("date",)),
    (sqltypes.Time, ("time",)),
    (sqltypes.Boolean, ("bool",)),
    (sqltypes._Binary, ("binary",)),
)
"""As what the text of a PostgreSQL column can be read, by its SQLAlchemy type."""
_ALIKE_IN_JSON = (sqltypes.Integer, sqltypes.Text, sqltypes.VARCHAR, sqltypes.Boolean, type(None))
"""Elements of arrays that the server and Python write alike; None for what is no array."""


class Inexact(Exception):
    """A table, or a value of it, that has no exact form in Arrow; says which."""


@dataclass(frozen=True, slots=True)
class Columns:
    """How a table's columns are in Arrow.

    Attributes:
        fields: a field for each column, in the table's order, with the names of the database.
        kinds: dlt's data type of each.
        loose: those of decimals that the database does not keep within the field's digits.
    """

    fields: pa.Schema
    kinds: tuple[str, ...]
    loose: frozenset[str] = frozenset()


def planned(
    table: sa.Table, hints: Mapping[str, Mapping[str, Any]], schema: Schema, caps: DestinationCapabilitiesContext
) -> Columns:
    """The columns of a table in Arrow. Raises `Inexact` where a column has no such form."""
    fields, kinds, names, loose = [], [], set(), set()
    for column in table.columns:
        hint = hints.get(column.name, {})
        kind = str(hint.get("data_type"))
        if kind not in _PYTHON:
            raise Inexact(f"{column.name}: what its type `{_said(column.type)}` becomes is told by its values")
        if "precision" in hint and kind in ("timestamp", "time", "binary"):
            raise Inexact(f"{column.name}: its precision is set by hand")
        if kind == "decimal" and not 0 <= (hint.get("scale") or 0) <= (hint.get("precision") or 38) <= 38:
            raise Inexact(f"{column.name}: a decimal of such digits is none of Arrow's")
        name = dlt_arrow.same_name(schema, column.name)
        if name is None or name in names:
            raise Inexact(f"{column.name}: its name in the destination hangs on how the rows come")
        names.add(name)
        fields.append(pa.field(column.name, dlt_arrow.arrow_type(hint, caps), nullable=hint.get("nullable", True)))
        kinds.append(kind)
        if kind == "decimal" and not _kept_within(column.type, fields[-1].type):
            loose.add(column.name)
    return Columns(pa.schema(fields), tuple(kinds), frozenset(loose))


def _kept_within(kind: Any, field: Any) -> bool:
    """Whether a column of the database has no number of more digits than decimals of the field's type."""
    precision, scale = getattr(kind, "precision", None), getattr(kind, "scale", None)
    return precision is not None and digits.hold((field.precision, field.scale), (precision, scale or 0))


def require_text(table: sa.Table, columns: Columns) -> None:
    """Checks that each column can be read from the text that PostgreSQL writes. Raises `Inexact`."""
    for column, field, kind in zip(table.columns, columns.fields, columns.kinds, strict=True):
        readable = next((kinds for known, kinds in _BY_TEXT if isinstance(column.type, known)), ())
        zoned = getattr(column.type, "timezone", False)
        wrong_zone = zoned if kind == "time" else kind == "timestamp" and zoned != (field.type.tz is not None)
        if kind not in readable or wrong_zone or not isinstance(items_of(column), _ALIKE_IN_JSON):
            raise Inexact(f"{column.name}: `{_said(column.type)}` as {kind} is not read from its text")


def items_of(column: sa.Column[Any]) -> Any:
    """The type of an array's elements; None for a column of another type."""
    return getattr(column.type, "item_type", None)


def of_rows(rows: Sequence[Any], columns: Columns, checks: Mapping[str, Any]) -> pa.Table:
    """Rows that a driver gave, as Arrow.

    Args:
        rows: at least one; its values in the order of the columns.
        columns: how they are to be.
        checks: for some columns, by name, what makes of a value one that its column can hold, or raises.

    Raises:
        Inexact: when a value is not of its column's type.
    """
    arrays = []
    for values, field, kind in zip(zip(*rows, strict=True), columns.fields, columns.kinds, strict=True):
        if (check := checks.get(field.name)) is not None:
            values = tuple(map(check, values))
        if others := {*map(type, values)} - _PYTHON[kind] - {type(None)}:
            raise Inexact(f"{field.name}: a value of type {min(other.__name__ for other in others)} in {kind}")
        try:
            if kind == "json":
                values = tuple(None if value is None else json.dumps(value) for value in values)
            arrays.append(pa.array(values, field.type))
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise Inexact(f"{field.name}: a value that is no {kind} of Arrow's") from error
    return _with_documents(arrays, columns)


def of_text(table: pa.Table, columns: Columns) -> pa.Table:
    """Columns that were parsed from PostgreSQL's text: bytes still in hexadecimal, loose decimals still text.

    Raises `Inexact`.
    """
    arrays = []
    for column, field, kind in zip(table.columns, columns.fields, columns.kinds, strict=True):
        if kind == "json":
            column = _documents(column, field.name)
        elif field.name in columns.loose:
            column = _decimals(column, field)
        elif kind == "binary":
            column = pa.array([_bytes(value, field.name) for value in column.to_pylist()], field.type)
        arrays.append(column)
    return _with_documents(arrays, columns)


def _decimals(column: Any, field: pa.Field) -> Any:
    try:
        return digits.parsed(column, field.type)
    except pa.ArrowInvalid as error:
        raise Inexact(f"{field.name}: a value with other digits than the column has") from error


def _with_documents(arrays: Sequence[Any], columns: Columns) -> pa.Table:
    schema = columns.fields
    for index, (field, kind) in enumerate(zip(columns.fields, columns.kinds, strict=True)):
        if kind == "json":
            schema = schema.set(index, field.with_type(dlt_arrow.Documents()))
    table = pa.Table.from_arrays(arrays, schema=columns.fields)
    if schema is columns.fields:
        return table
    return pa.Table.from_arrays([c.cast(f.type) for c, f in zip(table.columns, schema, strict=True)], schema=schema)


def _documents(column: Any, name: str) -> Any:
    """JSON that is an object or a list; dlt makes a column of its own for a plain value, and nothing of null."""
    column = pc.if_else(pc.equal(column, "null"), pa.scalar(None, column.type), column)
    if not pc.all(pc.match_substring_regex(column, r"^\s*[\[{]"), min_count=0).as_py():
        raise Inexact(f"{name}: JSON that is neither an object nor a list")
    return column


def _bytes(value: str | None, name: str) -> bytes | None:
    if value is None:
        return None
    if not value.startswith("\\x"):
        raise Inexact(f"{name}: bytes that the server does not write in hexadecimal")
    return bytes.fromhex(value[2:])


def _said(kind: Any) -> str:
    return "unknown" if isinstance(kind, sqltypes.NullType) else type(kind).__name__

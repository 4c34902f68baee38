"""How the columns of databases are read, so that each value arrives as what it is.

A type without a counterpart (intervals, ranges, geometry, …) is said as text by the database itself, which knows its
own types best. A value that its column's type should not hold comes as text, for which dlt makes a column beside.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.sql import sqltypes

MOST_DIGITS = 38
"""As many as a decimal of DuckDB or Arrow can hold."""

Convert = Callable[[Any], Any]


class AsText(sqltypes.Text):
    """A column that the database itself turns into text."""

    def column_expression(self, colexpr: Any) -> Any:
        """What stands in the SELECT in the column's place."""
        return sa.cast(colexpr, sa.Text())


class AsJson(sqltypes.JSON):
    """JSON as the text that it is: parsed and written again, large numbers would lose digits."""

    def column_expression(self, colexpr: Any) -> Any:
        """What stands in the SELECT in the column's place."""
        return sa.type_coerce(sa.cast(colexpr, sa.Text()), AsJson())

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """The text as it comes; the value null is none."""
        return lambda value: None if value == "null" else value


class ArrayAsJson(AsJson):
    """An array of PostgreSQL's: what its elements look like in JSON, the server knows."""

    item_type: Any = None

    def column_expression(self, colexpr: Any) -> Any:
        """What stands in the SELECT in the column's place."""
        return sa.type_coerce(sa.cast(sa.func.to_jsonb(colexpr), sa.Text()), AsJson())


def in_utc(value: Any) -> Any:
    """A time that says no zone, and is in UTC, as the instant that it is."""
    return value.replace(tzinfo=dt.timezone.utc) if isinstance(value, dt.datetime) and not value.tzinfo else value


FLOAT = sqltypes.Numeric(asdecimal=False)
"""Not `Float`, which is none of dlt's types since SQLAlchemy 2.1: a column without values would be left out."""

Make = Callable[[Any], Any]
Rules = tuple[tuple[Any, Make], ...]


def reading(kind: Any, rules: Rules) -> Any:
    """The type by which a column of a reflected type is read; a rule names the types it is for, or their classes."""
    if isinstance(kind, postgresql.DOMAIN):
        return reading(kind.data_type, rules)
    return next((make(kind) for known, make in rules if _is(kind, known)), kind)


def _is(kind: Any, known: Any) -> bool:
    if isinstance(known, str):
        return any(each.__name__ == known for each in type(kind).__mro__)
    return any(_is(kind, each) for each in known) if isinstance(known, tuple) else isinstance(kind, known)


def same(kind: Any) -> Any:
    """The type as it is."""
    return kind


def as_text(kind: Any) -> Any:
    """Text, as the database itself says it."""
    return AsText()


def _number(kind: Any) -> Any:
    """Binary fractions as floats; what has more digits than a decimal can hold as text."""
    if isinstance(kind, sqltypes.Float):
        return FLOAT
    return AsText() if (kind.precision or 0) > MOST_DIGITS else kind


def _array(kind: Any) -> Any:
    array = ArrayAsJson()
    array.item_type = kind.item_type
    return array


def _time_of_day(kind: Any) -> Any:
    return AsText() if kind.timezone else kind


PLAIN: Rules = (
    (sqltypes.Enum, as_text),
    (sqltypes.Interval, as_text),
    (sqltypes.Float, _number),
    (sqltypes.Numeric, _number),
)
KNOWN = (
    sqltypes.Integer, sqltypes.String, sqltypes.Uuid, sqltypes.LargeBinary, sqltypes._Binary, sqltypes.DateTime,
    sqltypes.Date, sqltypes.Boolean,
)  # fmt: skip
POSTGRESQL: Rules = (
    *PLAIN,
    (postgresql.ARRAY, _array),
    (sqltypes.JSON, lambda kind: AsJson()),
    (postgresql.OID, lambda kind: sa.BigInteger()),
    (sqltypes.Time, _time_of_day),
    (KNOWN, same),
    (object, as_text),
)

"""How the columns of databases are read, so that each value arrives as what it is.

A type without a counterpart (intervals, ranges, geometry, …) is said as text by the database itself, which knows its
own types best. A value that its column's type should not hold comes as text, for which dlt makes a column beside.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
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


class AsInteger(sqltypes.BigInteger):
    """Bits and years as the numbers that they are."""

    def column_expression(self, colexpr: Any) -> Any:
        """What stands in the SELECT in the column's place."""
        return sa.type_coerce(colexpr + 0, sa.BigInteger())


class MysqlTime(mysql.TIME):
    """A time of day where it is one; MySQL's go from -838 to 838 hours."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """Times of day as such, all others as text."""

        def read(value: Any) -> Any:
            if not isinstance(value, dt.timedelta):
                return value
            if dt.timedelta(0) <= value < dt.timedelta(days=1):
                return (dt.datetime.min + value).time()
            hours, rest = divmod(abs(value), dt.timedelta(hours=1))
            return f"{'-' if value < dt.timedelta(0) else ''}{hours:02}:{str(rest)[2:]}"

        return read


def _no_zero(value: Any) -> Any:
    """MySQL's zero date means that there is none."""
    return None if isinstance(value, str) and value.startswith("0000-00-00") else value


class MysqlDate(mysql.DATE):
    """A date, none where it is zero."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """Zero is None; another date that the calendar does not have stays text."""
        return _no_zero


class MysqlDateTime(mysql.DATETIME):
    """A date and time, none where it is zero."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """Zero is None; another date that the calendar does not have stays text."""
        return _no_zero


class MysqlInstant(mysql.TIMESTAMP):
    """An instant; the session's zone is UTC, in which the server therefore says it."""

    naive = True
    """Whether it is compared with times without a zone."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """Zero is None."""
        return lambda value: in_utc(_no_zero(value))


def in_utc(value: Any) -> Any:
    """A time that says no zone, and is in UTC, as the instant that it is."""
    return value.replace(tzinfo=dt.timezone.utc) if isinstance(value, dt.datetime) and not value.tzinfo else value


def _lenient(read: Convert | None) -> Convert | None:
    """SQLite keeps anything in any column: what the column's type does not explain stays what it is."""

    def reading(value: Any) -> Any:
        assert read is not None
        try:
            return read(value)
        except (ValueError, TypeError):
            return value

    return reading if read else None


class SqliteDateTime(sqlite.DATETIME):
    """A time, if it is one."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert | None:
        """Times as such, all else as it is."""
        return _lenient(super().result_processor(dialect, coltype))

    def bind_processor(self, dialect: Any) -> Convert:
        """Times are compared as text: without a fraction, a time of the same second is not taken for an earlier one."""
        return lambda value: value.strftime("%Y-%m-%d %H:%M:%S") if isinstance(value, dt.datetime) else value


class SqliteDate(sqlite.DATE):
    """A date, if it is one."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert | None:
        """Dates as such, all else as it is."""
        return _lenient(super().result_processor(dialect, coltype))

    def bind_processor(self, dialect: Any) -> Convert:
        """ISO text, or what is no date as it is."""
        return lambda value: value.isoformat() if isinstance(value, dt.date) else value


class SqliteTime(sqlite.TIME):
    """A time of day, if it is one."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert | None:
        """Times as such, all else as it is."""
        return _lenient(super().result_processor(dialect, coltype))  # type: ignore[no-untyped-call]


class SqliteDecimal(sqltypes.Numeric[Any]):
    """A decimal, by the digits that a person sees of the number."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """Floats as decimals, all else as it is."""
        return lambda value: Decimal(repr(value)) if isinstance(value, float) else value


class SqliteBoolean(sqltypes.Boolean):
    """True or false where it is 1 or 0."""

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """All else as it is."""
        return lambda value: bool(value) if value in (0, 1) else value


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


def _same(kind: Any) -> Any:
    return kind


def _text(kind: Any) -> Any:
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


_PLAIN: Rules = (
    (sqltypes.Enum, _text),
    (sqltypes.Interval, _text),
    (sqltypes.Float, _number),
    (sqltypes.Numeric, _number),
)
_KNOWN = (
    sqltypes.Integer, sqltypes.String, sqltypes.Uuid, sqltypes.LargeBinary, sqltypes._Binary, sqltypes.DateTime,
    sqltypes.Date, sqltypes.Boolean,
)  # fmt: skip
_MYSQL: Rules = (
    *_PLAIN,
    (mysql.SET, _text),
    (sqltypes.JSON, lambda kind: AsJson()),
    (mysql.TIMESTAMP, lambda kind: MysqlInstant(timezone=True)),
    (sqltypes.DateTime, lambda kind: MysqlDateTime()),
    (sqltypes.Date, lambda kind: MysqlDate()),
    (sqltypes.Time, lambda kind: MysqlTime()),
    ((mysql.BIT, mysql.YEAR), lambda kind: AsInteger()),
    (_KNOWN, _same),
    (object, _text),
)
RULES: dict[str, Rules] = {
    "postgresql": (
        *_PLAIN,
        (postgresql.ARRAY, _array),
        (sqltypes.JSON, lambda kind: AsJson()),
        (postgresql.OID, lambda kind: sa.BigInteger()),
        (sqltypes.Time, _time_of_day),
        (_KNOWN, _same),
        (object, _text),
    ),
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    "sqlite": (
        (sqltypes.DateTime, lambda kind: SqliteDateTime()),  # type: ignore[no-untyped-call]
        (sqltypes.Date, lambda kind: SqliteDate()),  # type: ignore[no-untyped-call]
        (sqltypes.Time, lambda kind: SqliteTime()),  # type: ignore[no-untyped-call]
        (sqltypes.Boolean, lambda kind: SqliteBoolean()),
        (sqltypes.Float, lambda kind: FLOAT),
        (
            sqltypes.Numeric,
            lambda kind: SqliteDecimal(kind.precision, kind.scale) if kind.precision else sa.types.NullType(),
        ),
        (sqltypes.JSON, lambda kind: AsJson()),
    ),
}

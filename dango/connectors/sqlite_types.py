"""How the columns of SQLite are read, which keeps anything in any of them."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.sql import sqltypes

from dango.connectors.sql_types import FLOAT, AsJson, Convert, Rules


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


RULES: Rules = (
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
)

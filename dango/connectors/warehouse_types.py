"""How the columns of databases are read whose dialects are packages of their own, or leave more to be said.

Those packages may not be there, or need not be imported: types are known by the names of their classes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.sql import sqltypes

from dango.connectors.sql_types import (
    FLOAT,
    MOST_DIGITS,
    POSTGRESQL,
    Convert,
    Make,
    Rules,
    in_utc,
    reading,
)

_MOST_OF_BIGINT = 18
"""Digits of which any number is a 64-bit integer."""


def readable(table: sa.Table, dialect: str) -> None:
    """Gives each column of a reflected table the type by which it is read; of other databases as it is."""
    rules = rules_of(dialect)
    for column in list(table.columns):
        column.type = reading(column.type, rules)
        # BigQuery's dialect lists the parts of a record beside it.
        if dialect == "bigquery" and "." in column.name:
            table._columns.remove(column)


def rules_of(dialect: str) -> Rules:
    """The rules for a database, by the name of its dialect."""
    # Whoever reads one database does without the others' dialects, each of which takes its time.
    if dialect in ("mysql", "mariadb"):
        from dango.connectors import mysql_types

        return mysql_types.RULES
    if dialect == "sqlite":
        from dango.connectors import sqlite_types

        return sqlite_types.RULES
    return WAREHOUSES.get(dialect, ())


Said = Callable[[Any], Any]


class Own:
    """A type that no dialect makes one of its own of: what it puts into the SELECT would be lost."""

    def adapt(self, cls: Any, **kwargs: Any) -> Any:
        """One like it."""
        return sa.util.constructor_copy(self, type(self), **kwargs)


class AsText(Own, sqltypes.Text):
    """A column that the database itself turns into text."""

    def __init__(self, said: Said) -> None:
        super().__init__()
        self.said = said

    def column_expression(self, colexpr: Any) -> Any:
        """What stands in the SELECT in the column's place."""
        return sa.type_coerce(self.said(colexpr), self)


class AsJson(Own, sqltypes.JSON):
    """A column that the database itself turns into JSON."""

    def __init__(self, said: Said) -> None:
        super().__init__()
        self.said = said

    def column_expression(self, colexpr: Any) -> Any:
        """What stands in the SELECT in the column's place."""
        return sa.type_coerce(self.said(colexpr), self)

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """What the JSON says; null is none."""
        return lambda value: json.loads(value) if isinstance(value, str) else value


class RowVersion(Own, sa.BigInteger):
    """SQL Server's count of changes: eight bytes, read and compared as the number that they are."""

    def column_expression(self, colexpr: Any) -> Any:
        """What stands in the SELECT in the column's place."""
        return sa.type_coerce(sa.cast(colexpr, sa.BigInteger()), sa.BigInteger())

    def bind_expression(self, bindvalue: Any) -> Any:
        """A large number alone would be a decimal, whose bytes are others."""
        return sa.cast(sa.cast(bindvalue, sa.BigInteger()), sa.BINARY(8))


class OracleLocal(Own, sqltypes.TIMESTAMP):
    """An instant that is said in the session's zone, which is UTC; the driver drops the zone."""

    naive = True

    def get_dbapi_type(self, dbapi: Any) -> Any:
        """With a fraction of a second, which a DATE has not."""
        return dbapi.TIMESTAMP

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """Times are in UTC."""
        return in_utc


class OracleInstant(OracleLocal):
    """An instant with a zone of its own, whose time in UTC the server says."""

    def column_expression(self, colexpr: Any) -> Any:
        """What stands in the SELECT in the column's place."""
        return sa.type_coerce(sa.func.sys_extract_utc(colexpr), self)


class ClickHouseInstant(Own, sqltypes.DateTime):
    """An instant, which the server compares in the zone that is said, whatever the column's is."""

    def bind_processor(self, dialect: Any) -> Convert:
        """Text, to which no zone is added on the way."""
        return lambda value: value if value is None else f"{value:%Y-%m-%d %H:%M:%S.%f}"

    def bind_expression(self, bindvalue: Any) -> Any:
        """What the text means."""
        return sa.func.toDateTime64(bindvalue, 6, "UTC", type_=sa.types.NullType())

    def result_processor(self, dialect: Any, coltype: object) -> Convert:
        """The driver leaves UTC away."""
        return in_utc


def _decimal(kind: Any) -> Any:
    """Numbers of Oracle's and Snowflake's, of which integers are a kind."""
    if kind.precision is None:
        return sa.Numeric()
    scale = kind.scale or 0
    digits = max(kind.precision, scale) if scale >= 0 else kind.precision - scale
    if scale <= 0 and digits <= _MOST_OF_BIGINT:
        return sa.BigInteger()
    return sa.Numeric(min(digits, MOST_DIGITS), max(scale, 0))


def _clickhouse_decimal(kind: Any) -> Any:
    return AsText(sa.func.toString) if (kind.precision or 0) > MOST_DIGITS else kind


def _oracle_time(kind: Any) -> Any:
    if kind.local_timezone:
        return OracleLocal(timezone=True)
    return OracleInstant(timezone=True) if kind.timezone else kind


def _unsigned(kind: Any) -> Any:
    kind.unsigned = True
    return kind


def _float(kind: Any) -> Any:
    return FLOAT


def _instant(kind: Any) -> Any:
    return sa.TIMESTAMP(timezone=True)


def _text(kind: Any) -> Any:
    """What the driver gives as text already."""
    return sa.Text()


def _cast(text: Any) -> Said:
    return lambda column: sa.cast(column, text)


def _said(said: Said) -> Make:
    return lambda kind: AsText(said)


def _json(said: Said) -> Make:
    return lambda kind: AsJson(said)


def _unless_zoned(text: Any) -> Make:
    """Times of day; with a zone as text."""
    return lambda kind: AsText(_cast(text)) if kind.timezone else kind


_LONGEST = sa.String(65535)
"""Of Redshift's text; what it calls TEXT ends after 256 bytes."""

_PLAIN = (
    sqltypes.Integer, sqltypes.Numeric, sqltypes.String, sqltypes.LargeBinary, sqltypes.DateTime, sqltypes.Date,
    sqltypes.Boolean,
)  # fmt: skip

WAREHOUSES: Mapping[str, Rules] = {
    "bigquery": (
        (sqltypes.TIMESTAMP, _instant),
        (sqltypes.Float, _float),
        # What is in no list of the dialect's: JSON, intervals, ranges, and places where no package for them is there.
        ((sqltypes.ARRAY, "STRUCT", sqltypes.NullType, "GEOGRAPHY"), _json(sa.func.to_json_string)),
    ),
    "clickhousedb": (
        (sqltypes.DateTime, lambda kind: ClickHouseInstant(timezone=True)),
        ("UInt64", _unsigned),
        (
            ("Int128", "UInt128", "Int256", "UInt256", "UUID", "IPv4", "IPv6", sqltypes.Interval),
            _said(sa.func.toString),
        ),
        (("Enum", "String", "FixedString", "Nothing"), _text),
        (sqltypes.Float, _float),
        (sqltypes.Numeric, _clickhouse_decimal),
        (_PLAIN, lambda kind: kind),
        (object, _json(sa.func.toJSONString)),
    ),
    "cockroachdb": POSTGRESQL,
    "databricks": (
        ("TIMESTAMP_NTZ", lambda kind: sa.DateTime()),
        ("TIMESTAMP", lambda kind: sa.DateTime(timezone=True)),
        ("TINYINT", lambda kind: sa.SmallInteger()),
        ("DatabricksVariant", _json(sa.func.to_json)),
        (sqltypes.Float, _float),
    ),
    "mssql": (
        ("SMALLMONEY", lambda kind: sa.Numeric(10, 4)),
        ("MONEY", lambda kind: sa.Numeric(19, 4)),
        ("TIMESTAMP", lambda kind: RowVersion()),
        (("SQL_VARIANT", sqltypes.NullType), _said(_cast(sa.NVARCHAR()))),
        (sqltypes.Float, _float),
    ),
    "oracle": (
        ("TIMESTAMP", _oracle_time),
        ("NUMBER", _decimal),
        ("INTERVAL", _said(sa.func.to_char)),
        (sqltypes.Float, _float),
        ("ROWID", _said(sa.func.rowidtochar)),
    ),
    "postgresql": POSTGRESQL,
    "redshift": (
        (("SUPER",), _json(sa.func.json_serialize)),
        (sqltypes.Float, _float),
        (sqltypes.Interval, _said(_cast(_LONGEST))),
        (sqltypes.Time, _unless_zoned(_LONGEST)),
        (_PLAIN, lambda kind: kind),
        (object, _said(_cast(_LONGEST))),
    ),
    "snowflake": (
        (("TIMESTAMP_TZ", "TIMESTAMP_LTZ"), _instant),
        ("TIMESTAMP_NTZ", lambda kind: sa.DateTime()),
        (("GEOGRAPHY", "GEOMETRY"), _json(lambda column: sa.func.to_json(sa.func.st_asgeojson(column)))),
        (("VARIANT", "OBJECT", "ARRAY", "MAP"), _json(lambda column: sa.func.to_json(sa.func.to_variant(column)))),
        (sqltypes.Float, _float),
        (sqltypes.Numeric, _decimal),
        ("SnowflakeType", _said(_cast(sa.Text()))),
    ),
    "trino": (
        (sqltypes.Float, _float),
        (("JSON",), _json(sa.func.json_format)),
        (
            (sqltypes.ARRAY, "MAP", "ROW"),
            _json(lambda column: sa.func.json_format(sa.cast(column, sqltypes.JSON()))),
        ),
        (sqltypes.Time, _unless_zoned(sa.VARCHAR())),
        (sqltypes.NullType, _said(_cast(sa.VARCHAR()))),
    ),
}

"""How the columns of MySQL and MariaDB are read."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.sql import sqltypes

from dango.connectors.sql_types import KNOWN, PLAIN, AsJson, Convert, Rules, as_text, in_utc, same


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


RULES: Rules = (
    *PLAIN,
    (mysql.SET, as_text),
    (sqltypes.JSON, lambda kind: AsJson()),
    (mysql.TIMESTAMP, lambda kind: MysqlInstant(timezone=True)),
    (sqltypes.DateTime, lambda kind: MysqlDateTime()),
    (sqltypes.Date, lambda kind: MysqlDate()),
    (sqltypes.Time, lambda kind: MysqlTime()),
    ((mysql.BIT, mysql.YEAR), lambda kind: AsInteger()),
    (KNOWN, same),
    (object, as_text),
)

"""What SQLAlchemy's dialects leave open: how a database tells its version and user, keeps to UTC, is given up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONNECT_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Dialect:
    """What is asked of and said to a database.

    Attributes:
        product: its name, where its version does not say it.
        version: the query for its version; empty where it has none.
        user: the query for who is connected; empty where there are no users.
        session: what is said on each new connection, so that times come in UTC.
    """

    product: str = ""
    version: str = "SELECT version()"
    user: str = "SELECT current_user"
    session: str = ""


_MYSQL = Dialect("MySQL", session="SET time_zone = '+00:00'")
DIALECTS: Mapping[str, Dialect] = {
    "bigquery": Dialect("BigQuery", version="", user="SELECT session_user()"),
    "clickhousedb": Dialect("ClickHouse", user="SELECT currentUser()"),
    # Behind the version comes what it was built with.
    "cockroachdb": Dialect(version="SELECT split_part(version(), ' (', 1)", session="SET TIME ZONE 'UTC'"),
    "databricks": Dialect(
        "Databricks", "SELECT current_version().dbsql_version", "SELECT current_user()", "SET TIME ZONE 'UTC'"
    ),
    "mariadb": _MYSQL,
    "mssql": Dialect(version="SELECT @@version", user="SELECT suser_sname()"),
    "mysql": _MYSQL,
    "oracle": Dialect(
        "Oracle", "SELECT banner FROM v$version", "SELECT user FROM dual", "ALTER SESSION SET TIME_ZONE = 'UTC'"
    ),
    "postgresql": Dialect(session="SET TIME ZONE 'UTC'"),
    # It says that it is PostgreSQL 8.0.2, and only then what it is.
    "redshift": Dialect(version="SELECT regexp_substr(version(), 'Redshift .*')", session="SET timezone TO 'UTC'"),
    "snowflake": Dialect(
        "Snowflake", "SELECT current_version()", "SELECT current_user()", "ALTER SESSION SET TIMEZONE = 'UTC'"
    ),
    "sqlite": Dialect("SQLite", "SELECT sqlite_version()", ""),
    "trino": Dialect("Trino"),
}

_WITHIN: Mapping[str, Any] = {"connect_timeout": CONNECT_SECONDS}
PATIENCE: Mapping[str, Mapping[str, Any]] = {
    # It tries again for a quarter of an hour. Nested values come as JSON, not as arrays of numpy's.
    "databricks": {
        "_retry_stop_after_attempts_count": 2,
        "_retry_stop_after_attempts_duration": CONNECT_SECONDS,
        "_use_arrow_native_complex_types": False,
    },
    "connect": _WITHIN,
    "mysqldb": _WITHIN,
    "oracledb": {"tcp_connect_timeout": CONNECT_SECONDS},
    "psycopg": _WITHIN,
    "psycopg2": _WITHIN,
    "pymssql": {"login_timeout": CONNECT_SECONDS},
    "pymysql": _WITHIN,
    "pyodbc": {"timeout": CONNECT_SECONDS},
    "snowflake": {"login_timeout": CONNECT_SECONDS},
    "rest": {"max_attempts": 2},
}
"""What each driver is connected with, by SQLAlchemy's name for it, where nobody says otherwise."""

PACKAGES: Mapping[str, str] = {
    "bigquery": "sqlalchemy-bigquery", "clickhousedb": "clickhouse-connect[sqlalchemy]", "cockroachdb":
    "sqlalchemy-cockroachdb", "databricks": "databricks-sqlalchemy", "redshift": "sqlalchemy-redshift", "snowflake":
    "snowflake-sqlalchemy", "trino": "trino[sqlalchemy]", "psycopg2": "psycopg2-binary", "MySQLdb": "mysqlclient",
}  # fmt: skip
"""What to install for a dialect, or for a driver, that is installed under another name than it is imported by."""


def of(name: str) -> Dialect:
    """What is known of a dialect by its name; of one that is not known, what most have in common."""
    return DIALECTS.get(name, Dialect())

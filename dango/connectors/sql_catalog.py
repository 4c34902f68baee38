"""What a database says of itself: its server, user, schemas, and tables with their keys and possible cursors."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa
from dlt.sources.credentials import ConnectionStringCredentials
from sqlalchemy.engine.interfaces import ReflectedColumn

from dango.connectors import sql_dialects as dialects
from dango.connectors.cursor_columns import as_table
from dango.connectors.sql_engine import engine_of, url_of
from dango.connectors.sql_errors import translated
from dango.connectors.sql_types import Rules, reading
from dango.connectors.warehouse_types import RowVersion, rules_of
from dango.probe import Inspection, Table

_SYSTEM = {
    "information_schema", "performance_schema", "mysql", "sys", "system", "pg_catalog", "pg_toast", "pg_internal",
    "pg_extension", "crdb_internal", "guest", "db_accessadmin", "db_backupoperator", "db_datareader", "db_datawriter",
    "db_ddladmin", "db_denydatareader", "db_denydatawriter", "db_owner", "db_securityadmin",
}  # fmt: skip
_KINDS = (
    ((sa.DateTime, RowVersion), "timestamp"),
    (sa.Date, "date"),
    (sa.Integer, "bigint"),
)

# Partitions are read through their table.
_POSTGRES = """
SELECT c.relname, c.relkind IN ('v', 'm'), c.reltuples::bigint,
       has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = coalesce(:schema, current_schema())
  AND c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
ORDER BY c.relname
"""
_MYSQL = """
SELECT table_name, table_type LIKE '%VIEW', table_rows
FROM information_schema.tables WHERE table_schema = coalesce(:schema, database()) ORDER BY table_name
"""
_MYSQL_COLUMNS = """
SELECT table_name, column_name, column_type
FROM information_schema.columns WHERE table_schema = coalesce(:schema, database()) ORDER BY table_name, ordinal_position
"""
_MYSQL_KEYS = """
SELECT table_name, column_name FROM information_schema.key_column_usage
WHERE constraint_schema = coalesce(:schema, database()) AND constraint_name = 'PRIMARY'
ORDER BY table_name, ordinal_position
"""


def inspect(
    credentials: ConnectionStringCredentials | Mapping[str, Any] | str,
    schema: str | None = None,
    connect: Mapping[str, Any] | None = None,
    **_: Any,
) -> Inspection:
    """Asks a database live; a few queries, however many tables there are.

    Raises:
        SourceError: when the database cannot be reached, in its own words.
        MissingPackage: when the driver is not installed.
    """
    url = url_of(credentials)
    with translated(url), warnings.catch_warnings():
        warnings.simplefilter("ignore", sa.exc.SAWarning)  # of types that SQLAlchemy does not know
        engine = engine_of(url, connect)
        try:
            with engine.connect() as connection:
                return _inspected(connection, schema)
        finally:
            engine.dispose()


def _inspected(connection: sa.Connection, schema: str | None) -> Inspection:
    dialect = connection.dialect.name
    asked = {"postgresql": _postgres, "mysql": _mysql, "mariadb": _mysql}.get(dialect, _any)
    user = str(_one(connection, dialects.of(dialect).user) or "")
    schemas = tuple(name for name in sa.inspect(connection).get_schema_names() if name.lower() not in _SYSTEM)
    tables = asked(connection, schema)
    return Inspection(
        server=_server(connection),
        user=user,
        tables=tables,
        choices={"schemas": schemas},
        problems=tuple(_problems(tables, schema, schemas, user)),
    )


def _one(connection: sa.Connection, query: str) -> Any:
    return connection.execute(sa.text(query)).scalar() if query else None


def _server(connection: sa.Connection) -> str:
    known = dialects.of(connection.dialect.name)
    # PostgreSQL goes on with its compiler.
    said = str(_one(connection, known.version) or "").partition(" on ")[0].partition("\n")[0]
    product = "MariaDB" if "mariadb" in said.lower() else known.product
    return said if said.lower().startswith(product.lower()) else f"{product} {said}".strip()


def _problems(tables: tuple[Table, ...], schema: str | None, schemas: tuple[str, ...], user: str) -> Iterable[str]:
    if schema and not tables and schema not in schemas:
        yield f"there is no schema `{schema}` that {user or 'the user'} can see: {', '.join(schemas) or 'none'}"
    elif not tables:
        yield f"no tables in {f'the schema `{schema}`' if schema else 'the database'}"
    if closed := [table.name for table in tables if not table.readable]:
        more = f" and {len(closed) - 3} more" if len(closed) > 3 else ""
        yield f"{user or 'the user'} may not read {', '.join(closed[:3])}{more}: GRANT SELECT is missing"


def _postgres(connection: sa.Connection, schema: str | None) -> tuple[Table, ...]:
    found = connection.execute(sa.text(_POSTGRES), {"schema": schema}).all()
    columns, keys = _reflected(connection, schema)
    return tuple(
        as_table(
            name,
            columns.get(name, {}),
            keys.get(name, ()),
            rows=rows if rows >= 0 else None,
            view=view,
            readable=readable,
        )
        for name, view, rows, readable in found
    )


def _mysql(connection: sa.Connection, schema: str | None) -> tuple[Table, ...]:
    given = {"schema": schema}
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(sa.text(_MYSQL_COLUMNS), given):
        columns.setdefault(table, {})[column] = kind
    keys: dict[str, tuple[str, ...]] = {}
    for table, column in connection.execute(sa.text(_MYSQL_KEYS), given):
        keys[table] = (*keys.get(table, ()), column)
    # A table is listed to whoever may do anything with it, its columns to whoever may read or write them.
    return tuple(
        as_table(
            name,
            columns.get(name, {}),
            keys.get(name, ()),
            rows=rows,
            view=bool(view),
            readable=name in columns,
        )
        for name, view, rows in connection.execute(sa.text(_MYSQL), given)
    )


def _any(connection: sa.Connection, schema: str | None) -> tuple[Table, ...]:
    views = {*sa.inspect(connection).get_view_names(schema)}
    columns, keys = _reflected(connection, schema)
    return tuple(as_table(name, kinds, keys.get(name, ()), view=name in views) for name, kinds in columns.items())


def _reflected(
    connection: sa.Connection, schema: str | None
) -> tuple[dict[str, dict[str, str]], dict[str, tuple[str, ...]]]:
    inspector = sa.inspect(connection)
    everything = sa.engine.reflection.ObjectKind.ANY
    rules = rules_of(connection.dialect.name)
    columns = inspector.get_multi_columns(schema=schema, kind=everything)
    keys = inspector.get_multi_pk_constraint(schema=schema, kind=everything)
    return (
        {name: {column["name"]: _kind(column, rules) for column in found} for (_, name), found in columns.items()},
        {name: tuple(key["constrained_columns"]) if key else () for (_, name), key in keys.items()},
    )


def _kind(column: ReflectedColumn, rules: Rules) -> str:
    """What the column is to whoever looks for a cursor: databases call one thing by many names, and two by one."""
    kind = reading(column["type"], rules)
    return next((name for known, name in _KINDS if isinstance(kind, known)), "other")

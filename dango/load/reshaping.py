"""A table that takes other columns than it had, within the transaction that refreshes it, and stays the same table.

Types that have changed are what a refresh is often made for. Columns that are no longer filled stay, empty: a view
may name them.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from dango import digits
from dango.dlt_internals.packages import Client, Package
from dango.errors import DestinationError

Columns = Mapping[str, Mapping[str, Any]]


def opened(client: Client, package: Package, tables: Mapping[str, Columns]) -> list[Kept]:
    """Makes tables ready to take the shape that the package's schema says. Then dlt adds what is missing of them.

    Args:
        client: in a transaction.
        package: with the new schema.
        tables: those that are there, with their columns as dlt describes them.

    Returns:
        tables that are to be made anew, each to be restored once they are.
    """
    _forget_schema(client, package)
    changed = {name: columns for name, columns in tables.items() if _differs(package, name, columns)}
    if client.capabilities.sqlglot_dialect == "postgres":
        for name, columns in changed.items():
            _alter(client, package, name, columns)
        return []
    kept = [Kept(client, name) for name in changed]
    client.sql_client.drop_tables(*changed)
    return kept


def widened(client: Client, package: Package) -> list[Kept]:
    """Lets columns of decimals hold the digits that they have in the package, too; the rows stay.

    Args:
        client: in the transaction that loads, before it has changed a row.
        package: what is loaded.

    Returns:
        tables whose indexes are to be made again behind the rows.

    Raises:
        DestinationError: when the destination has no decimals of so many digits.
    """
    wanted = {table: _longest(package, table) for table in package.tables}
    kept: list[Kept] = []
    for table, columns in client.get_storage_tables([table for table, longest in wanted.items() if longest]):
        grown = {
            name: found
            for name, column in wanted[table].items()
            # One of PostgreSQL's that says nothing holds everything.
            if columns.get(name, {}).get("precision") and (found := digits.grown(columns[name], column))
        }
        if grown and client.capabilities.sqlglot_dialect == "duckdb":
            kept.append(Kept(client, table))
            kept[-1].unindex()
        for name, found in grown.items():
            _widen(client, table, columns[name], found)
    return kept


def _longest(package: Package, table: str) -> Columns:
    """The columns of decimals of which it is said how many digits they have."""
    columns = _wanted(package, table).items()
    return {name: column for name, column in columns if column["data_type"] == "decimal" and column.get("precision")}


def _widen(client: Client, table: str, column: Mapping[str, Any], grown: digits.Digits) -> None:
    sql, kind = client.sql_client, digits.written(grown)
    if client.capabilities.sqlglot_dialect == "duckdb" and grown[0] > digits.MOST:
        raise DestinationError(
            f"`{table}.{column['name']}` is {digits.written(digits.of(column))}; what it has and what comes would be"
            f" {kind}, and DuckDB has no decimals of more than {digits.MOST} digits",
            "`--full-refresh` makes the column for what comes",
        )
    name, quoted = sql.make_qualified_table_name(table), sql.escape_column_name(str(column["name"]))
    sql.execute_sql(f"ALTER TABLE {name} ALTER COLUMN {quoted} TYPE {kind}")


def unindexed(client: Client, tables: Collection[str]) -> list[Kept]:
    """Makes anew those of these tables that have a unique index, without rows; in DuckDB only.

    Its indexes hold deleted rows until the transaction ends (1.5), so that a row could not come back.
    """
    if not tables or client.capabilities.sqlglot_dialect != "duckdb":
        return []
    sql = client.sql_client
    unique = "SELECT DISTINCT table_name FROM duckdb_indexes() WHERE database_name = current_database()"
    found = sql.execute_sql(f"{unique} AND schema_name = %s AND is_unique", sql.dataset_name)
    kept = [Kept(client, name) for (name,) in found if name in tables]
    for table in kept:
        table.remake()
    return kept


class Kept:
    """What DuckDB loses with a table that is dropped.

    It alters no column of a table that has an index, nor (1.5) a table with deleted rows: the table is made anew.
    """

    def __init__(self, client: Client, name: str) -> None:
        self._client, self._name = client, name
        self._qualified = client.sql_client.make_qualified_table_name(name)
        self._indexes = self._read("SELECT sql FROM duckdb_indexes() {where} AND sql IS NOT NULL")
        ((self._comment, self._definition),) = self._read("SELECT comment, sql FROM duckdb_tables() {where}")
        self._columns = self._read("SELECT column_name, data_type, comment FROM duckdb_columns() {where}")

    def remake(self) -> None:
        """The table as it was, without rows and indexes."""
        self._do(f"DROP TABLE {self._qualified}")
        self._do(self._definition)
        self.restore()

    def unindex(self) -> None:
        """Drops the indexes, without which it can be altered."""
        for (name,) in self._read("SELECT index_name FROM duckdb_indexes() {where} AND sql IS NOT NULL"):
            sql = self._client.sql_client
            self._do(f"DROP INDEX {sql.fully_qualified_dataset_name()}.{sql.escape_column_name(name)}")

    def restore(self) -> None:
        """Columns that are no longer filled, and comments; before there are rows."""
        ((_, there),) = self._client.get_storage_tables([self._name])
        literal = self._client.capabilities.escape_literal
        if self._comment:
            self._do(f"COMMENT ON TABLE {self._qualified} IS {literal(self._comment)}")
        for name, kind, comment in self._columns:
            column = self._client.sql_client.escape_column_name(name)
            if name not in there:
                self._do(f"ALTER TABLE {self._qualified} ADD COLUMN {column} {kind}")
            if comment:
                self._do(f"COMMENT ON COLUMN {self._qualified}.{column} IS {literal(comment)}")

    def index(self) -> None:
        """The indexes, over the new rows."""
        for (statement,) in self._indexes:
            self._do(statement)

    def _read(self, query: str) -> list[Any]:
        where = "WHERE database_name = current_database() AND schema_name = %s AND table_name = %s"
        sql = self._client.sql_client
        return list(sql.execute_sql(query.format(where=where), sql.dataset_name, self._name))

    def _do(self, statement: str) -> None:
        self._client.sql_client.execute_sql(statement)


def _forget_schema(client: Client, package: Package) -> None:
    """dlt changes no table where it has stored a schema already, be it long ago and for other tables."""
    version = client.sql_client.make_qualified_table_name(package.schema.version_table_name)
    name = client.sql_client.escape_column_name(package.schema.naming.normalize_identifier("schema_name"))
    client.sql_client.execute_sql(f"DELETE FROM {version} WHERE {name} = %s", package.schema.name)


def _wanted(package: Package, table: str) -> Columns:
    columns = package.schema.tables[table]["columns"] if table in package.schema.tables else {}
    return {name: column for name, column in columns.items() if column.get("data_type")}


def _differs(package: Package, table: str, columns: Columns) -> bool:
    wanted = _wanted(package, table)
    # Where nothing of a table comes any more, it has only to be emptied.
    return bool(wanted) and any(
        _retyped(column, wanted.get(name)) or _loosened(column, wanted.get(name)) for name, column in columns.items()
    )


def _retyped(column: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    if wanted is None or not column.get("data_type"):
        return False
    if column["data_type"] == wanted["data_type"] == "decimal":
        return digits.of(column) != digits.of(wanted)
    return bool(column["data_type"] != wanted["data_type"])


def _loosened(column: Mapping[str, Any], wanted: Mapping[str, Any] | None) -> bool:
    """Whether it may be empty now and might not be before; one that is no longer filled is empty."""
    return column.get("nullable") is False and (wanted is None or bool(wanted.get("nullable", True)))


def _alter(client: Client, package: Package, table: str, columns: Columns) -> None:
    sql = client.sql_client
    wanted, name = _wanted(package, table), sql.make_qualified_table_name(table)
    sql.truncate_tables(table)
    for column, was in columns.items():
        quoted = sql.escape_column_name(column)
        if _loosened(was, wanted.get(column)):
            sql.execute_sql(f"ALTER TABLE {name} ALTER COLUMN {quoted} DROP NOT NULL")
        if _retyped(was, wanted.get(column)):
            kind = client.type_mapper.to_destination_type(wanted[column], client.prepare_load_table(table))
            sql.execute_sql(f"ALTER TABLE {name} ALTER COLUMN {quoted} TYPE {kind} USING NULL")

"""Indexes over what PostgreSQL looks rows up by in a merge: without them it reads the whole table each time."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

from dango.dlt_internals.packages import Client, Package

_INDEXED = """
SELECT array_agg(a.attname::text ORDER BY k.place) FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = k.attnum
WHERE n.nspname = %s AND c.relname = %s AND i.indisvalid AND i.indpred IS NULL GROUP BY i.indexrelid
"""


def index_keys(client: Client, package: Package, root: str) -> None:
    """Indexes the primary key of a merged table, and in those nested in it the row to which each belongs.

    Args:
        client: in the transaction that loads; the rows are there, as an index over them is made more quickly.
        package: what is loaded.
        root: a table that is merged.
    """
    if client.capabilities.sqlglot_dialect != "postgres":
        return
    sql = client.sql_client
    for table, keys in _looked_up(package, root):
        there = [columns for (columns,) in sql.execute_sql(_INDEXED, sql.dataset_name, table)]
        if any(set(columns[: len(keys)]) == set(keys) for columns in there):
            continue
        name = "dango_" + hashlib.sha256(".".join((table, *keys)).encode()).hexdigest()[:16]
        columns = ", ".join(sql.escape_column_name(key) for key in keys)
        sql.execute_sql(
            f"CREATE INDEX {sql.escape_column_name(name)} ON {sql.make_qualified_table_name(table)} ({columns})"
        )
        # Of a table that it has never looked at PostgreSQL would read all, index or not.
        sql.execute_sql(f"ANALYZE {sql.make_qualified_table_name(table)}")


def _looked_up(package: Package, root: str) -> Iterator[tuple[str, list[str]]]:
    # Not a merge key: it names groups of rows, which are found as quickly by reading all.
    if keys := _hinted(package, root, "primary_key"):
        yield root, keys
    for table in package.extended(lambda name: name != root and package.root(name) == root):
        if keys := _hinted(package, table, "root_key") or _hinted(package, table, "parent_key"):
            yield table, keys


def _hinted(package: Package, table: str, hint: str) -> list[str]:
    columns = package.schema.tables[table]["columns"]
    return [name for name, column in columns.items() if column.get(hint) and column.get("data_type")]

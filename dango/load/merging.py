"""What a merge can be spared: rows that meet no others are only added, and DuckDB merges out of the files themselves.

dlt copies the files into a staging dataset, deletes what they take the place of, and copies from there what is left
of each key. Where nothing is there yet, and no key comes twice, that is an append.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from dango import external
from dango.dlt_internals.packages import Client, Package
from dango.duckdb_text import quoted

_MEMORY_PER_THREAD = 128
"""MiB that DuckDB may use while it loads; what needs more goes by the disk. Left to itself it takes what there is."""
_MEMORY_TO_APPEND = 64
"""MiB for rows that are only added: it needs those under way, and would fill the rest with what it has written."""
_MEMORY_PER_COLUMN = 4
"""MiB: about what a column's values under way take. Wide tables need more than others."""

_STRATEGIES = (None, "delete-insert", "upsert")
# What is the same in a file and in any database: of others two values might become one.
_EXACT = ("bigint", "text", "date", "bool", "binary")


def unique(package: Package, root: str) -> bool:
    """Whether each primary key comes only once, as far as is known; a table without one has none twice."""
    columns = package.schema.tables[root]["columns"]
    keys = [name for name, column in columns.items() if column.get("primary_key")]
    if not keys:
        return True
    files = package.parquet(root)
    if files is None or any(columns[key].get("data_type") not in _EXACT for key in keys):
        return False
    try:
        return _distinct(files, keys)
    except duckdb.OutOfMemoryException:
        return False


def _distinct(files: Sequence[Path], keys: Sequence[str]) -> bool:
    columns = ", ".join(map(quoted, keys))
    rows = external.relation(files)
    with closing(duckdb.connect()) as database:
        database.execute(f"SET memory_limit = {_limit(database, _MEMORY_PER_THREAD)}")
        # Not DISTINCT in the count, which takes no notice of what is missing.
        query = f"SELECT count(*) FROM (SELECT {columns} FROM {rows} GROUP BY ALL)"
        found = database.execute(f"SELECT ({query}) = count(*) FROM {rows}").fetchone()
    return found == (True,)


def meets_nothing(client: Client, package: Package, root: str, emptied: Collection[str]) -> bool:
    """Whether merging a root table's rows, whose keys are unique, is adding them: nothing is there to be merged with.

    Args:
        client: in the transaction that loads.
        package: what is loaded.
        root: a table that is merged.
        emptied: tables of which it is known that they hold nothing.
    """
    table = package.schema.tables[root]
    marks = any(column.get("hard_delete") for column in table["columns"].values())
    if marks or table.get("x-merge-strategy") not in _STRATEGIES:
        return False
    sql = client.sql_client
    chain = package.extended(lambda name: package.root(name) == root)
    return not any(
        sql.execute_sql(f"SELECT 1 FROM {sql.make_qualified_table_name(name)} LIMIT 1")
        for name in chain
        if name not in emptied
    )


def give_ids(client: Client, package: Package, root: str) -> None:
    """Ids for the rows of a root table that have none: a merge into nested tables finds what it takes away by them."""
    nested = len(package.extended(lambda name: package.root(name) == root)) > 1
    columns = package.schema.tables[root]["columns"].values()
    ids = [column["name"] for column in columns if column.get("row_key") and column.get("nullable")]
    sql = client.sql_client
    for name in map(sql.escape_column_name, ids if nested else ()):
        place = "ctid" if sql.capabilities.sqlglot_dialect == "postgres" else "rowid"
        digest = f"md5(CAST({place} AS VARCHAR) || CAST(random() AS VARCHAR) || %s)"
        table = sql.make_qualified_table_name(root)
        sql.execute_sql(f"UPDATE {table} SET {name} = left({digest}, 14) WHERE {name} IS NULL", package.load_id)


def by_view(client: Client, package: Package, table: str) -> bool:
    """Whether the destination reads the files of a table itself, wherever the table is named."""
    return client.capabilities.sqlglot_dialect == "duckdb" and package.parquet(table) is not None


def create_view(client: Client, package: Package, table: str) -> None:
    """The table of the staging dataset, as a view of the package's files with the columns of the table itself."""
    name = client.sql_client.make_qualified_table_name(table)
    view = _staged(client, table)
    nothing = f"SELECT * FROM {name} WHERE false"
    files = package.parquet(table)
    rows = f" UNION ALL BY NAME SELECT * FROM {external.relation(files)}" if files else ""
    client.sql_client.execute_sql(f"CREATE VIEW {view} AS {nothing}{rows}")


def drop_view(client: Client, table: str) -> None:
    """Takes such a view away."""
    client.sql_client.execute_sql(f"DROP VIEW {_staged(client, table)}")


def _staged(client: Client, table: str) -> str:
    with client.with_staging_dataset():
        return str(client.sql_client.make_qualified_table_name(table))


def _limit(database: Any, per_thread: int) -> str:
    (threads,) = database.execute("SELECT current_setting('threads')").fetchone()
    return f"'{per_thread * max(2, int(threads))}MiB'"


def _to_load(client: Client, packages: Sequence[Package]) -> int:
    """MiB for each thread that loads these packages."""
    if any(_may_meet(client, package) for package in packages):
        return _MEMORY_PER_THREAD
    tables = [(package, table) for package in packages for table in package.tables]
    widest = max((len(package.schema.tables[table]["columns"]) for package, table in tables), default=0)
    return min(_MEMORY_PER_THREAD, max(_MEMORY_TO_APPEND, _MEMORY_PER_COLUMN * widest))


def _may_meet(client: Client, package: Package) -> bool:
    """Whether rows that are merged may meet any: those of their table, or each other by a primary key."""
    merged = package.extended(lambda table: package.disposition(table) == "merge")
    columns = [column for table in merged for column in package.schema.tables[table]["columns"].values()]
    if any(column.get("primary_key") for column in columns):
        return True
    if not merged:
        return False
    absent = {table for table, found in client.get_storage_tables(merged) if not found}
    # A refresh takes all rows away before.
    emptied = absent | set(package.refreshed)
    return not all(meets_nothing(client, package, root, emptied) for root in {*map(package.root, merged)})


def economically(client: Client, packages: Sequence[Package], *, little_memory: bool) -> None:
    """Lets DuckDB write rows in any order, take times for UTC, and do with little memory.

    What the user's own settings say stands.

    Indexes must fit into the memory that it has: where there are any, it has all.

    Args:
        client: of any destination; only DuckDB is told something.
        packages: what is loaded.
        little_memory: whether it is to do with little, which may turn out too little.
    """
    if client.capabilities.sqlglot_dialect != "duckdb":
        return
    sql: Any = client.sql_client
    given = _given(sql)
    # A time without a zone that becomes one with a zone is UTC, wherever the machine stands.
    settings = {"preserve_insertion_order": "false", "TimeZone": "'UTC'"}
    little_memory = little_memory and "memory_limit" not in given
    if little_memory and not sql.execute_sql("SELECT 1 FROM duckdb_indexes() LIMIT 1"):
        limit = _limit(sql.native_connection, _to_load(client, packages))
        # Of what it may use it keeps what it has got: to give each block back and get another takes a tenth of a load.
        settings |= {"memory_limit": limit, "block_allocator_memory": limit}
    for name, value in settings.items():
        if name not in given:
            sql.execute_sql(f"SET {name} = {value}")


def straight_to_the_file(client: Client) -> None:
    """Lets DuckDB write what is committed next to its file at once: to its log first, it would write it twice.

    The file is closed soon, which ends the log.
    """
    if client.capabilities.sqlglot_dialect == "duckdb" and "checkpoint_threshold" not in _given(client.sql_client):
        client.sql_client.execute_sql("SET checkpoint_threshold = '1KB'")


def _given(sql: Any) -> Mapping[str, Any]:
    """DuckDB's settings that are the user's own."""
    return {**(sql.credentials.global_config or {}), **(sql.credentials.local_config or {})}

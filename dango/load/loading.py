"""A run's load packages in one SQL transaction: all of them are in the destination, or nothing of them is.

dlt loads a package file by file, each in a transaction of its own, and notes on the local disk which are done; a
process that dies between a commit and its note repeats a file, and a note that is lost repeats them all. Here the
destination's own transaction is the note. A package is loaded if its load id stands in `_dlt_loads`; any other is
loaded from its beginning, whatever happened before. No row is visible before all are, parents with their children.

A full refresh is the same, with the old rows deleted first: readers see the old data until the new is complete, and
views, grants, indexes and comments stay, since the tables do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import dlt
import duckdb
from dlt.common.pipeline import LoadInfo
from dlt.common.schema import Schema

from dango import external
from dango.dlt_internals import packages as dlt_packages
from dango.dlt_internals.packages import Client, File, Package
from dango.errors import root_cause
from dango.load import merging
from dango.load.dataset import loaded
from dango.load.indexing import index_keys
from dango.load.reshaping import Kept, opened, unindexed, widened

Moment = Literal["before", "within", "end"]
Fence = Callable[[Client, Package, Moment], None]
"""Raises where this process may not load a package. Called before anything is changed, and again within the
transaction that makes the rows visible, where what it reads of others must stay so; and at the end of it, when the
package's rows are there."""


Look = Callable[[Any, "Loaded"], object]
"""Takes an open SQL client, and what was done by it, to which it may add what it sees."""

# What DuckDB raises over what is in a file, and over what a statement says of it.
_OF_FILES = (duckdb.DataError, duckdb.ProgrammingError, duckdb.IntegrityError)


@dataclass(slots=True)
class Loaded:
    """What a load has done, by table.

    Attributes:
        seconds: how long each took.
        rows: how many rows there were where packages refer to files; where they hold them it is known before.
        totals: how many rows it holds now, where that is soon counted.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)

    @classmethod
    def by_dlt(cls, info: LoadInfo) -> Loaded:
        """What dlt's own load step has done."""
        seconds: dict[str, float] = {}
        for metrics in (m for many in info.metrics.values() for m in many):
            for job in metrics["job_metrics"].values():
                if job.finished_at:
                    spent = (job.finished_at - job.started_at).total_seconds()
                    seconds[job.table_name] = seconds.get(job.table_name, 0.0) + spent
        return cls(seconds)

    @contextmanager
    def timed(self, table: str) -> Iterator[None]:
        """Adds what the block takes to the table's seconds."""
        started = time.monotonic()
        yield
        self.seconds[table] = self.seconds.get(table, 0.0) + time.monotonic() - started


def load(
    pipeline: dlt.Pipeline,
    packages: Sequence[Package],
    fence: Fence,
    look: Look = lambda sql, done: None,
    *,
    little_memory: bool = True,
) -> Loaded:
    """Loads normalised packages; those that are loaded already are left out.

    Args:
        pipeline: whose packages they are.
        packages: at least one.
        fence: raises where they may not be loaded.
        look: is shown the destination, as it is then, by the connection that has loaded them.
        little_memory: an embedded database gets little memory; it says so where that is too little.

    Raises:
        Mistaken: when a file that a package refers to is not what it says.
        whatever the fence or the destination does. Then nothing is loaded.
    """
    done = Loaded()
    with dlt_packages.clients(pipeline, packages) as clients:
        sql = clients[0].sql_client
        # If so, the connection was lost in the moment of a commit that came through; it was one for all of them.
        if not loaded(sql, [package.load_id for package in packages]):
            merging.economically(clients[0], packages, little_memory=little_memory)
            _load_all(pipeline, list(zip(clients, packages, strict=True)), fence, done)
        look(sql, done)
    return done


def _load_all(pipeline: dlt.Pipeline, pairs: Sequence[tuple[Client, Package]], fence: Fence, done: Loaded) -> None:
    for client, package in pairs:
        fence(client, package, "before")
        if package.referred:
            _prepare_bookkeeping(client, package)
        else:
            _prepare(client, package)
        _prepare_staging(client, package)
    clients, packages = zip(*pairs, strict=True)
    with _as_expected(packages), dlt_packages.one_transaction(clients):
        merging.straight_to_the_file(clients[0])
        for client, package in pairs:
            fence(client, package, "within")
        for client, package in pairs:
            if package.referred:
                # Types of columns that its files turn out not to have are to be gone with it.
                _prepare(client, package)
            with dlt_packages.package_state(pipeline, package.load_id):
                _load(client, package, fence, done)


@contextmanager
def _as_expected(packages: Sequence[Package]) -> Iterator[None]:
    """Raises `Mistaken` where files that are referred to have changed before or in the block, or it fails over them."""
    referred = [file for package in packages for file in package.referred]
    for file in referred:
        file.require_unchanged()
    try:
        yield
    except Exception as error:
        if referred and isinstance(root_cause(error), _OF_FILES):
            raise external.Mistaken(str(root_cause(error))) from error
        raise


def _prepare(client: Client, package: Package) -> None:
    """Tables and columns that are missing: they come before the rows and harm nobody. Old rows stay untouched."""
    definitions = package.tables | set(package.schema.dlt_table_names())
    client.verify_schema(only_tables=definitions, new_jobs=[])
    if not _refreshed(client, package):
        client.initialize_storage()
        client.update_stored_schema(only_tables=definitions, expected_update={})
        _date_schema(client, package.schema)


def _date_schema(client: Client, schema: Schema) -> None:
    """dlt takes the schema with the latest date for the newest, which the clock of another machine may have given."""
    version = client.sql_client.make_qualified_table_name(schema.version_table_name)
    latest = f"(SELECT max(inserted_at) FROM {version} WHERE schema_name = %s)"
    client.sql_client.execute_sql(
        f"UPDATE {version} SET inserted_at = {latest} + INTERVAL '1 microsecond'"
        f" WHERE schema_name = %s AND version_hash = %s AND inserted_at < {latest}",
        *(schema.name, schema.name, schema.stored_version_hash, schema.name),
    )


def _prepare_bookkeeping(client: Client, package: Package) -> None:
    """dlt's own tables where there are none yet: no transaction survives its question for them."""
    version = package.schema.version_table_name
    if any(columns for _, columns in client.get_storage_tables([version])):
        return
    client.schema = dlt_packages.without_data(package.schema)
    client.initialize_storage()
    client.update_stored_schema(only_tables=set(package.schema.dlt_table_names()), expected_update={})
    client.schema = package.schema


def _prepare_staging(client: Client, package: Package) -> None:
    """The staging dataset holds nothing between loads; its tables are made anew, as they may have another shape."""
    tables = package.extended(client.should_load_data_to_staging_dataset)
    if not tables:
        return
    version = package.schema.version_table_name
    filled = {table for table in tables if not merging.by_view(client, package, table)}
    with client.with_staging_dataset():
        client.initialize_storage()
        # dlt skips a schema that it has seen, also where a table is missing: it has seen none.
        client.sql_client.drop_tables(version, *tables)
        if filled:
            client.update_stored_schema(only_tables={version, *filled}, expected_update={})


def _load(client: Client, package: Package, fence: Fence, done: Loaded) -> None:
    emptied = set(package.extended(client.should_truncate_table_before_load))
    remade: list[Kept] = []
    if refreshed := _refreshed(client, package):
        remade = opened(client, package, refreshed)
        definitions = package.tables | set(package.schema.dlt_table_names())
        client.update_stored_schema(only_tables=definitions, expected_update={})
        _date_schema(client, package.schema)
        for table in remade:
            table.restore()
    remade += widened(client, package)
    emptied |= set(refreshed)
    remade += unindexed(client, emptied)
    _insert(client, package, emptied, done)
    for file in package.referred:
        file.require_unchanged()
    for table in remade:
        table.index()
    fence(client, package, "end")
    client.complete_load(package.load_id)


def _refreshed(client: Client, package: Package) -> dict[str, Any]:
    """The tables to be refreshed that are there, with their columns."""
    return {name: columns for name, columns in client.get_storage_tables(package.refreshed) if columns}


def _insert(client: Client, package: Package, emptied: set[str], done: Loaded) -> None:
    if emptied:
        client.sql_client.truncate_tables(*sorted(emptied))
    if package.begun:
        _without_earlier(client, package)
    staged = package.extended(client.should_load_data_to_staging_dataset)
    merged = {package.root(table) for table in staged}
    once = {root for root in merged if merging.unique(package, root)}
    keyed = {root for root in merged if package.disposition(root) == "merge"}
    merged -= {root for root in once if merging.meets_nothing(client, package, root, emptied)}
    staged = [table for table in staged if package.root(table) in merged]
    viewed = [table for table in staged if merging.by_view(client, package, table)]
    for table in viewed:
        merging.create_view(client, package, table)
    copied: dict[str, int] = {}
    for table in sorted(package.tables.difference(viewed)):
        files = [file for file in package.files if file.table == table]
        with done.timed(table), client.with_staging_dataset() if table in staged else nullcontext():
            copied[table] = _copy(client, package, table, files)
            if table in staged:
                _analyze(client, table)
    for root in sorted(merged):
        with done.timed(root):
            merging.give_ids(client, package, root)
            for path in dlt_packages.followups(client, package, root, unique=root in once):
                dlt_packages.run(client, package, root, path)
    for table in {file.table for file in package.files if file.external}:
        rows = copied[table] if table in copied else _counted(client, package, table)
        done.rows[table] = done.rows.get(table, 0) + rows
    for table in viewed:
        merging.drop_view(client, table)
    if filled := [table for table in staged if table not in viewed]:
        with client.with_staging_dataset():
            client.sql_client.truncate_tables(*filled)
    for root in keyed:
        index_keys(client, package, root)


def _analyze(client: Client, table: str) -> None:
    """PostgreSQL plans the merge by how much it is; it would not know. Its price for a page out of order is of a disk
    with a head, for which it would read the whole table."""
    if client.capabilities.sqlglot_dialect == "postgres":
        client.sql_client.execute_sql("SET LOCAL random_page_cost = 1.1")
        client.sql_client.execute_sql(f"ANALYZE {client.sql_client.make_qualified_table_name(table)}")


def _copy(client: Client, package: Package, table: str, files: Sequence[File]) -> int:
    """Copies a table's files. Returns how many rows Parquet had."""
    parquet = [file.path for file in files if file.format == "parquet"]
    rows = _copy_parquet(client, table, parquet) if parquet else 0
    for file in files:
        if file.format != "parquet":
            dlt_packages.run(client, package, table, file.path)
    return rows


def _copy_parquet(client: Client, table: str, paths: Sequence[Path]) -> int:
    name = client.sql_client.make_qualified_table_name(table)
    if client.capabilities.sqlglot_dialect == "postgres":
        # Here, since it brings all of pyarrow, and DuckDB reads Parquet by itself.
        from dango.load.copying import copy_rows

        connection, quoted = client.sql_client.native_connection, client.sql_client.escape_column_name
        return sum(copy_rows(connection, name, path, quoted) for path in paths)
    # Names are quoted by the client, paths by `relation`.
    counted = client.sql_client.execute_sql(f"INSERT INTO {name} BY NAME SELECT * FROM {external.relation(paths)}")
    return int(counted[0][0])


def _counted(client: Client, package: Package, table: str) -> int:
    """How many rows of a root table are this package's."""
    sql = client.sql_client
    name, column = sql.make_qualified_table_name(table), _quoted(sql, "_dlt_load_id")
    return int(sql.execute_sql(f"SELECT count(*) FROM {name} WHERE {column} = %s", package.load_id)[0][0])


def _without_earlier(client: Client, package: Package) -> None:
    """Deletes what dlt's own load step has committed of a package: rows that would be added again.

    What replaces or merges by a key comes out the same when it is loaded again.
    """
    sql = client.sql_client
    for table in package.extended(lambda name: _adds(package, name)):
        name = sql.make_qualified_table_name(table)
        columns = package.schema.tables[table]["columns"]
        parent = package.schema.tables[table].get("parent")
        if parent is None and "_dlt_load_id" in columns:
            sql.execute_sql(f"DELETE FROM {name} WHERE {_quoted(sql, '_dlt_load_id')} = %s", package.load_id)
        elif parent is not None and "_dlt_parent_id" in columns:
            above = sql.make_qualified_table_name(parent)
            row, of = _quoted(sql, "_dlt_id"), _quoted(sql, "_dlt_parent_id")
            sql.execute_sql(f"DELETE FROM {name} WHERE {of} NOT IN (SELECT {row} FROM {above})")


def _quoted(sql: Any, column: str) -> str:
    return str(sql.escape_column_name(column))


def _adds(package: Package, table: str) -> bool:
    """Whether loading a table's rows twice makes them two: an append, and a merge that has no key."""
    disposition = package.disposition(table)
    columns = package.schema.tables[package.root(table)]["columns"].values()
    keyed = any(column.get("primary_key") or column.get("merge_key") for column in columns)
    return disposition == "append" or (disposition == "merge" and not keyed)

"""A source's dataset in its destination: one writer at a time, and what it holds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import dlt
from dlt.common.destination.exceptions import SqlClientNotAvailable
from dlt.common.schema.typing import LOADS_TABLE_NAME, PIPELINE_STATE_TABLE_NAME
from dlt.destinations.exceptions import (
    DatabaseTransientException,
    DatabaseUndefinedRelation,
    DestinationConnectionError,
)
from tenacity import (
    Retrying,
    retry_if_exception,
    stop_after_attempt,
    stop_after_delay,
    wait_fixed,
    wait_random_exponential,
)

from dango.dlt_internals.packages import connected
from dango.errors import DestinationError, root_cause
from dango.job import Job
from dango.load.access import holder, lock_file
from dango.load.known_file import KnownFile, known, noted
from dango.load.working_folder import Loads
from dango.lock import held_for, lock
from dango.project import Project

T = TypeVar("T")

_COUNTED = 1_000_000
"""Rows, as PostgreSQL estimates them, that are counted after each sync."""
_ATTEMPTS = 3
"""How often is loaded what the network, or a server that begins anew, cuts off."""
DATABASE_WAIT = 60.0
"""Seconds to wait for another process to be done with an embedded database, where the user does not say."""


@contextmanager
def writing(pipeline: dlt.Pipeline, job: Job) -> Iterator[KnownFile]:
    """One writer at a time on an embedded database: DuckDB lets no second process even open it.

    Yields:
        what is known of the dataset; nothing where the database is no file.

    Raises:
        Held: when another process has it for longer than the job waits.
    """
    file = database_file(pipeline, job)
    if file is None:
        yield KnownFile()
        return
    wait = DATABASE_WAIT if job.wait is None else job.wait
    held = lock_file(job.root, file)
    with (
        lock(held, f"the database {file.name}", wait, run=job.run),
        # To DuckDB upper and lower case are the same.
        known(file, job.dataset.lower(), held.with_suffix(".known"), job.run) as database,
    ):
        yield database


def known_meanwhile(pipeline: dlt.Pipeline, job: Job) -> KnownFile | None:
    """What is known of the dataset while another job of the run has the embedded database; None where none has it."""
    file = database_file(pipeline, job)
    if file is None or not held_for(held := lock_file(job.root, file), job.run):
        return None
    return noted(file, job.dataset.lower(), held.with_suffix(".known"), job.run)


def database_file(pipeline: dlt.Pipeline, job: Job) -> Path | None:
    """The file of an embedded database; None for any other destination."""
    if job.destination.type != "duckdb":
        return None
    return Project(job.root).warehouse if job.destination.embedded else _file(pipeline)


@functools.lru_cache(maxsize=8)
def _file(pipeline: dlt.Pipeline) -> Path:
    # Once: dlt reads its whole configuration for each client.
    credentials: Any = pipeline.sql_client().credentials
    return Path(credentials.database)


@contextmanager
def sql_client(pipeline: dlt.Pipeline, job: Job) -> Iterator[Any]:
    """A client for SQL, or None: files and functions have none worth asking. Waits as `patiently` does."""
    if (
        pipeline.destination.destination_type.endswith(".filesystem")
        or not pipeline.destination.capabilities().sqlglot_dialect
    ):
        yield None
        return
    try:
        client = pipeline.sql_client()
    except SqlClientNotAvailable:
        yield None
        return
    with ExitStack() as opened:
        yield patiently(job, lambda: opened.enter_context(connected(client)))


def patiently(job: Job, work: Callable[..., T], *arguments: Any) -> T:
    """Does what another program keeps from being done, as soon as it lets go of an embedded database: a notebook, a
    shell, whoever knows nothing of our locks."""
    wait = DATABASE_WAIT if job.wait is None else job.wait
    retrying = Retrying(
        stop=stop_after_delay(wait), wait=wait_fixed(0.2), retry=retry_if_exception(_passes), reraise=True
    )
    return retrying(work, *arguments)


def _passes(error: BaseException) -> bool:
    """Whether the same may come through later, with nothing changed here."""
    said = str(root_cause(error))
    # Two have opened a new lake at the same time, and the catalog's database lets one of them make it.
    made_meanwhile = "initialize DuckLake" in said and ("already exists" in said or "duplicate key" in said)
    return made_meanwhile or locked(error)


def locked(error: BaseException) -> bool:
    """Whether another process has an embedded database open."""
    return holder(root_cause(error)) != ""


def insistently(work: Callable[[bool], T]) -> T:
    """Does again what the network, or a server that begins anew, cuts off.

    Args:
        work: is told whether it is the first time.
    """
    for attempt in Retrying(
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_random_exponential(max=5),
        retry=retry_if_exception(_cut_off),
        reraise=True,
    ):
        with attempt:
            done = work(attempt.retry_state.attempt_number == 1)
    return done


def _cut_off(error: BaseException) -> bool:
    return isinstance(error, DatabaseTransientException | DestinationConnectionError) and not locked(error)


def settle(sql: Any) -> None:
    """Takes what a killed process had committed into DuckDB's file itself.

    Read back from its log, a table with an index of the user's takes no merge any more: DuckDB 1.5 ends in a fatal
    error.
    """
    if sql.capabilities.sqlglot_dialect == "duckdb":
        sql.execute_sql("CHECKPOINT")


def counted(sql: Any, tables: Iterable[str]) -> dict[str, int]:
    """How many rows each table holds now; tables that are not there are not in it."""
    counts: dict[str, int] = {}
    for table in tables:
        try:
            # The name is quoted by the client.
            found = sql.execute_sql(f"SELECT COUNT(*) FROM {sql.make_qualified_table_name(table)}")
        except DatabaseUndefinedRelation:
            continue
        counts[table] = int(found[0][0]) if found else 0
    return counts


def soon_counted(sql: Any, table: str) -> bool:
    """Whether counting a table's rows takes no time worth mentioning: PostgreSQL reads them all."""
    if sql.capabilities.sqlglot_dialect != "postgres":
        return True
    query = (
        "SELECT c.reltuples FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s"
    )
    found = sql.execute_sql(query, sql.dataset_name, table)
    return not found or bool(found[0][0] <= _COUNTED)


def loads(sql: Any) -> Loads:
    """The loads that the dataset has had; empty where it has none, or is not there."""
    try:
        found = sql.execute_sql(f"SELECT schema_name, COUNT(*), MAX(load_id) FROM {_loads(sql)} GROUP BY schema_name")
    except DatabaseUndefinedRelation:
        return {}
    return {str(name): (int(count), str(newest)) for name, count, newest in found}


def names(sql: Any) -> Collection[str]:
    """The datasets of an embedded database, in lower case; of any other none is told."""
    if sql.capabilities.sqlglot_dialect != "duckdb":
        return ()
    query = "SELECT DISTINCT lower(schema_name) FROM duckdb_schemas() WHERE database_name = current_database()"
    return {str(name) for (name,) in sql.execute_sql(query)}


def loaded(sql: Any, load_ids: Collection[str]) -> set[str]:
    """Those of the packages that are in the dataset."""
    if not load_ids:
        return set()
    places = ", ".join(["%s"] * len(load_ids))
    try:
        found = sql.execute_sql(f"SELECT load_id FROM {_loads(sql)} WHERE load_id IN ({places})", *load_ids)
    except DatabaseUndefinedRelation:
        return set()
    return {str(load_id) for (load_id,) in found}


def require_loaded(sql: Any, load_ids: Collection[str], job: Job) -> None:
    """An embedded database is a file: it may be moved while it is written to, and is made anew by who opens it.

    Raises:
        DestinationError: where a package is not in it.
    """
    if loaded(sql, load_ids) != {*load_ids}:
        raise DestinationError(
            f"destination `{job.destination.name}` was lost: what was loaded is not in it, as its file was moved or"
            " removed meanwhile",
            f"put the file back, or begin a new one: dango sync {job.source.name}",
        )


def newest_state(sql: Any, pipeline: str, *, without: Collection[str] = ()) -> tuple[str, str] | None:
    """The newest state of a pipeline as dlt sees it: the load that has brought it, and its text.

    Args:
        sql: a connection, which may be in a transaction.
        pipeline: the name.
        without: loads that do not count.
    """
    if not has_table(sql, PIPELINE_STATE_TABLE_NAME):
        return None
    table = sql.make_qualified_table_name(PIPELINE_STATE_TABLE_NAME)
    others = f" AND s._dlt_load_id NOT IN ({', '.join(['%s'] * len(without))})" if without else ""
    query = (
        f"SELECT s._dlt_load_id, s.state FROM {table} AS s JOIN {_loads(sql)} AS l ON l.load_id = s._dlt_load_id"
        f" WHERE s.pipeline_name = %s AND l.status = 0{others} ORDER BY l.load_id DESC LIMIT 1"
    )
    found = sql.execute_sql(query, pipeline, *without)
    return (str(found[0][0]), str(found[0][1])) if found else None


def rewrite_state(sql: Any, pipeline: str, load_id: str, row: Mapping[str, Any]) -> None:
    """Puts other values into the row of a state."""
    table = sql.make_qualified_table_name(PIPELINE_STATE_TABLE_NAME)
    values = ", ".join(f"{sql.escape_column_name(name)} = %s" for name in row)
    sql.execute_sql(
        f"UPDATE {table} SET {values} WHERE pipeline_name = %s AND _dlt_load_id = %s",
        *(*row.values(), pipeline, load_id),
    )


def has_table(sql: Any, name: str) -> bool:
    """Whether the dataset has a table. To be asked first: a statement that fails ends the transaction under way."""
    known = "SELECT 1 FROM information_schema.tables WHERE table_schema = %s AND table_name = %s"
    return bool(sql.execute_sql(known, sql.dataset_name, name))


def alone(sql: Any, pipeline: str) -> None:
    """Until the transaction ends, nobody else decides what of a pipeline's loads is the newest.

    An embedded database lets in one at a time anyway.
    """
    if sql.capabilities.sqlglot_dialect == "postgres":
        sql.execute_sql("SELECT pg_advisory_xact_lock(hashtext(%s))", f"dango state {sql.dataset_name} {pipeline}")


@contextmanager
def turn(pipeline: dlt.Pipeline, job: Job) -> Iterator[None]:
    """Of the parts of a source one is loaded at a time: they share tables, and the staging dataset.

    An embedded database lets in one at a time anyway.
    """
    if job.destination.type != "postgres":
        yield
        return
    # On a connection of its own: dlt gives up all that one holds (`DISCARD ALL`) whenever a statement fails on it.
    with connected(pipeline.sql_client()) as sql:
        sql.execute_sql("SELECT pg_advisory_lock(hashtext(%s))", f"dango parts {sql.dataset_name}")
        yield


def size(sql: Any, tables: Collection[str]) -> int:
    """About how many bytes these tables take; those that are not there take none."""
    if not tables:
        return 0
    places = ", ".join(["%s"] * len(tables))
    if sql.capabilities.sqlglot_dialect == "postgres":
        query = (
            "SELECT coalesce(sum(pg_total_relation_size(c.oid)), 0) FROM pg_class AS c"
            f" JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %s AND c.relname IN ({places})"
        )
    else:
        # DuckDB tells how large the whole file is, and of each table its rows and columns.
        query = (
            "WITH cells AS (SELECT schema_name, table_name, estimated_size * column_count AS n FROM duckdb_tables()"
            " WHERE database_name = current_database()) SELECT coalesce((SELECT max(block_size * used_blocks) FROM"
            " pragma_database_size() WHERE database_name = current_database()) * (SELECT sum(n) FROM cells WHERE"
            f" schema_name = %s AND table_name IN ({places})) / nullif((SELECT sum(n) FROM cells), 0), 0)"
        )
    return int(sql.execute_sql(query, sql.dataset_name, *tables)[0][0])


def _loads(sql: Any) -> str:
    return str(sql.make_qualified_table_name(LOADS_TABLE_NAME))


def emptied(pipeline: dlt.Pipeline, job: Job) -> None:
    """A trial starts from nothing, and leaves no state from which another load could go on."""
    pipeline.config.restore_from_destination = False
    with sql_client(pipeline, job) as sql:
        if sql is not None:
            _dropped(sql)


def without_staging(pipeline: dlt.Pipeline, job: Job) -> None:
    """What a trial leaves is one dataset, which one command drops."""
    with sql_client(pipeline, job) as sql:
        if sql is not None:
            with sql.with_staging_dataset():
                _dropped(sql)


def _dropped(sql: Any) -> None:
    if sql.has_dataset():
        sql.drop_dataset()


def columns(pipeline: dlt.Pipeline, schema: str) -> Mapping[str, Mapping[str, Any]]:
    """The tables that a schema has had so far, with their columns as dlt describes them."""
    if schema not in pipeline.schema_names:
        return {}
    return {
        name: {column: dict(hints) for column, hints in table["columns"].items() if hints.get("data_type")}
        for name, table in pipeline.schemas[schema].tables.items()
    }

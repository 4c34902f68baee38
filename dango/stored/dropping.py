"""What a source has in its destination, and only that: shown, and dropped in one transaction."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dlt.destinations.exceptions import DatabaseException

from dango.dlt_internals.state import schema_names
from dango.errors import DangoError, Held
from dango.job import Job, trial_dataset
from dango.leftover import Examination
from dango.load import lease
from dango.load.dataset import counted
from dango.sources.record_errors import TABLE as ERRORS
from dango.stored.examination import Dataset, connected, tables_of
from dango.stored.wishes import Holding

STATE, VERSIONS, LOADS = "_dlt_pipeline_state", "_dlt_version", "_dlt_loads"
_NOTES = (STATE, VERSIONS, LOADS, lease.TABLE)
"""The tables in which dlt, and dango, note what was loaded by whom."""
_SHARED = ("dango_errors",)
"""Schemas that every source has: where another is in the dataset, they are no sign that it is the same one."""
_PATIENCE = 60
"""Seconds to wait for who reads a table that is to be dropped."""

_OTHER_OBJECTS = {
    "postgres": (
        "SELECT count(*) FROM pg_depend AS d JOIN pg_namespace AS n ON n.oid = d.refobjid"
        " WHERE d.refclassid = 'pg_namespace'::regclass AND n.nspname = %s AND NOT (d.classid = 'pg_class'::regclass"
        " AND d.objid IN (SELECT oid FROM pg_class WHERE relkind IN ('r', 'p', 'v')))"
        " UNION ALL SELECT count(*) FROM pg_namespace WHERE nspname = %s AND NOT pg_has_role(nspowner, 'USAGE')"
    ),
    "duckdb": (
        "SELECT count(*) FROM (SELECT schema_name, database_name FROM duckdb_sequences()"
        " UNION ALL SELECT schema_name, database_name FROM duckdb_functions() WHERE NOT internal"
        " UNION ALL SELECT schema_name, database_name FROM duckdb_types() WHERE NOT internal) AS o"
        " WHERE o.schema_name = %s AND o.database_name = current_database()"
    ),
}
"""What keeps a schema without tables and views: sequences, functions, types, and that it is another user's."""


def held(job: Job) -> tuple[Holding, ...]:
    """What the source of a job has in its destination: in its dataset, and in those of staging and of trials.

    Raises:
        DestinationError: when the destination cannot be reached.
        Held: when another process works on the source, or has the database.
        DangoError: where it cannot be told which tables are the source's.
    """
    with _opened(job, write=False) as client:
        return tuple(holding for holding, _ in _holdings(client, job)) if client else ()


def dropped(job: Job) -> tuple[Holding, ...]:
    """Drops what `held` shows, all of it or nothing, and what dlt notes of it.

    Returns:
        what was dropped.

    Raises:
        DangoError: as `held`, and where the destination refuses to drop a table.
    """
    with _opened(job, write=True) as client:
        if client is None:
            return ()
        sql = client.sql_client
        try:
            with sql.begin_transaction():
                if sql.capabilities.sqlglot_dialect == "postgres":
                    sql.execute_sql(f"SET LOCAL lock_timeout = '{_PATIENCE}s'")
                    _require_free(client, job, lock=True)
                holdings = tuple(_holdings(client, job))
                for holding, own in holdings:
                    _drop(client, holding, own, job)
        except DatabaseException as error:
            raise DangoError(
                f"the data of `{job.source.name}` cannot be dropped: {' '.join(str(error).split())}",
                "what depends on a table, such as a view, goes first",
            ) from error
    return tuple(holding for holding, _ in holdings)


def _drop(client: Any, holding: Holding, own: _Own, job: Job) -> None:
    notes = tables_of(client, [holding.dataset]).get(holding.dataset, {}).keys() & {*_NOTES}
    with client.sql_client.with_alternative_dataset_name(holding.dataset) as sql:
        # Never CASCADE: a view that somebody made on a table is theirs.
        sql.drop_tables(*holding.tables, *(notes if holding.whole else ()))
        if holding.whole:
            sql.execute_sql(f"DROP SCHEMA {sql.fully_qualified_dataset_name()}")
            return
        for table, rows, values in _notes(own, job):
            if table in notes:
                sql.execute_sql(f"DELETE FROM {sql.make_qualified_table_name(table)} WHERE {rows}", *values)


@contextmanager
def _opened(job: Job, *, write: bool) -> Iterator[Any]:
    with connected(Examination(job, {job.source.name: job.dataset}, write)) as client:
        if client is not None and client.sql_client.capabilities.sqlglot_dialect == "postgres":
            _require_free(client, job)
        yield client


def _require_free(client: Any, job: Job, *, lock: bool = False) -> None:
    """No other machine works on the source; with `lock`, until the end of the transaction."""
    if lease.TABLE not in tables_of(client, [job.dataset]).get(job.dataset, {}):
        return
    with client.sql_client.with_alternative_dataset_name(job.dataset) as sql:
        if lock:
            table = sql.make_qualified_table_name(lease.TABLE)
            sql.execute_sql(f"SELECT 1 FROM {table} WHERE source = %s FOR UPDATE", job.source.name)
        taken = lease.taken(sql, job.source.name)
    if taken and not taken.abandoned:
        raise Held(f"source `{job.source.name}` is held by {taken.holder}", "wait for it to end")


# --- what is the source's -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Own:
    """What dlt notes as a pipeline's."""

    schemas: frozenset[str]
    tables: frozenset[str]


def _holdings(client: Any, job: Job) -> Iterator[tuple[Holding, _Own]]:
    dataset, layout = job.dataset, client.config.staging_dataset_name_layout
    trial = trial_dataset(dataset)
    datasets = [dataset, layout % dataset, trial, layout % trial]
    found = tables_of(client, datasets)
    own = _own(client, job, found.get(dataset, {}))
    for name in datasets:
        there = found.get(name, {})
        # A trial's is the source's alone.
        tables = frozenset(table for table, each in there.items() if not each.view)
        its = own if name in datasets[:2] else _Own(frozenset(), tables)
        with client.sql_client.with_alternative_dataset_name(name) as sql:
            if sql.has_dataset():
                yield _holding(sql, name, there, its, job), its


def _own(client: Any, job: Job, there: Dataset) -> _Own:
    """The schemas of the source's pipeline, and the tables that dlt has loaded by them.

    Raises:
        DangoError: where another pipeline has loaded by one of them: whose a table is, is noted nowhere then.
    """
    if not there.keys() >= {STATE, VERSIONS}:
        return _Own(frozenset(), frozenset())
    with client.sql_client.with_alternative_dataset_name(job.dataset) as sql:
        names = sql.execute_sql(f"SELECT DISTINCT pipeline_name FROM {sql.make_qualified_table_name(STATE)}")
    schemas = {name: schema_names(client, str(name)) for (name,) in names}
    own = schemas.pop(job.source.pipeline, frozenset())
    for pipeline, others in schemas.items():
        if both := own & others - {*_SHARED}:
            raise DangoError(
                f"the pipeline `{pipeline}` has loaded into {job.dataset} by the same schema as `{job.source.name}`:"
                f" {', '.join(sorted(both))}; which tables are whose is noted nowhere",
                "the tables can be dropped by hand",
            )
        own -= others
    return _Own(own, frozenset(_tables(client, own)))


def _tables(client: Any, schemas: Collection[str]) -> Iterator[str]:
    for name in schemas:
        stored = client.get_stored_schema(name)
        for table, described in json.loads(stored.schema)["tables"].items() if stored else ():
            if table == ERRORS or described.get("x-normalizer", {}).get("seen-data"):
                yield table


def _holding(sql: Any, dataset: str, there: Dataset, own: _Own, job: Job) -> Holding:
    tables = sorted(
        name for name, found in there.items() if name in own.tables and name not in _NOTES and not found.view
    )
    others = tuple(sorted(there.keys() - {*tables} - {*_NOTES}))
    alone = not others and not _noted_of_others(sql, there, own, job) and not _other_objects(sql, dataset)
    return Holding(dataset, counted(sql, tables), alone, others)


def _noted_of_others(sql: Any, there: Dataset, own: _Own, job: Job) -> bool:
    """Whether dlt's tables speak of more than the source; those of a trial speak of it alone."""
    if own.tables >= there.keys():
        return False
    left = 0
    for table, rows, values in _notes(own, job):
        if table in there:
            name = sql.make_qualified_table_name(table)
            left += int(sql.execute_sql(f"SELECT count(*) FROM {name} WHERE NOT ({rows})", *values)[0][0])
    return left > 0


def _notes(own: _Own, job: Job) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Which rows of dlt's tables are the source's: the table, a condition, its values."""
    schemas = tuple(sorted(own.schemas))
    listed = f"schema_name IN ({', '.join(['%s'] * len(schemas))})" if schemas else "1 = 0"
    yield STATE, "pipeline_name = %s", (job.source.pipeline,)
    yield VERSIONS, listed, schemas
    yield LOADS, listed, schemas
    yield lease.TABLE, "source = %s", (job.source.name,)


def _other_objects(sql: Any, dataset: str) -> int:
    query = _OTHER_OBJECTS[sql.capabilities.sqlglot_dialect]
    return sum(int(count) for (count,) in sql.execute_sql(query, *[dataset] * query.count("%s")))

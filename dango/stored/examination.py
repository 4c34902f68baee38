"""What past runs left in a destination: found by what its catalogue and dlt's own tables say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlt.destinations.exceptions import DatabaseException, DestinationConnectionError

from dango.job import trial_dataset
from dango.leftover import Examination, Leftover, LeftoverKind
from dango.load import destinations, lease
from dango.load.dataset import writing
from dango.stored.leftovers import Found

_OWN = ("_dlt_", "_dango_")
"""How tables are named that hold no data of the user's."""
_WAIT = 5.0
"""Seconds to wait for another process that has an embedded database in its hands."""
_AT_ONCE = 200
"""So many queries go into one; databases put a limit to its depth."""
_CATALOGUE = """
SELECT c.table_schema, c.table_name, t.table_type, c.column_name, c.data_type, c.numeric_precision, c.numeric_scale,
    c.is_nullable = 'NO' AND c.column_default IS NULL
FROM information_schema.columns AS c JOIN information_schema.tables AS t
    ON c.table_catalog = t.table_catalog AND c.table_schema = t.table_schema AND c.table_name = t.table_name
WHERE c.table_catalog = current_database() AND c.table_schema IN ({})
    AND (LEFT(c.table_name, 5) <> '_dlt_' OR c.ordinal_position = 1)
ORDER BY c.table_schema, c.table_name, c.ordinal_position
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column as it is in the destination."""

    type: str
    data_type: str
    """Its type in dlt's words."""
    demanded: bool
    """Whether a row without a value for it is refused."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a view as it is in the destination."""

    view: bool
    columns: dict[str, Column] = field(default_factory=dict)


Dataset = Mapping[str, Table]


def examined(examination: Examination) -> Iterator[Leftover]:
    """What past runs left in the datasets of a destination; repaired where that is wanted and can be done.

    Raises:
        DestinationError: when the destination cannot be reached.
        Held: when another process has the database in its hands.
    """
    with connected(examination) as client:
        if client is None:
            return
        layout = client.config.staging_dataset_name_layout
        survey = Survey.of(client, list(examination.datasets.values()), layout)
        for source, dataset in examination.datasets.items():
            for found in Examined(client, source, dataset, survey).leftovers(layout % dataset):
                yield found.settled(examination.fix, DatabaseException)


@dataclass(frozen=True, slots=True)
class Survey:
    """What is read of all datasets together: a question to each of them alone would take its time."""

    catalogue: Mapping[str, Dataset]
    rows: Mapping[str, int]
    """How many rows there are in the datasets of trials and staging."""
    known: Mapping[str, dict[str, dict[str, str]]]
    """What dlt has loaded into each dataset: tables, with the data types of their columns."""
    strays: Mapping[str, dict[str, list[str]]]
    """The ids of loads that never completed, for each table that has rows of them."""

    @classmethod
    def of(cls, client: Any, datasets: list[str], layout: str) -> Survey:
        """Reads it."""
        beside = [name for dataset in datasets for name in (trial_dataset(dataset), layout % dataset)]
        catalogue = tables_of(client, [*datasets, *beside])
        loaded = [name for name in datasets if {"_dlt_version", "_dlt_loads"} <= catalogue.get(name, {}).keys()]
        return cls(
            catalogue,
            _counted(client, {name: catalogue[name] for name in beside if name in catalogue}),
            _known(client, loaded),
            _strays(client, {name: catalogue[name] for name in loaded}),
        )


@dataclass(frozen=True, slots=True)
class Examined:
    """One dataset that is looked into."""

    client: Any
    source: str
    dataset: str
    survey: Survey

    def leftovers(self, staging: str) -> Iterator[Found]:
        """What is left in the dataset, and in the two that stand beside it."""
        trial = trial_dataset(self.dataset)
        tables = self.survey.catalogue.get(self.dataset, {})
        if lease.TABLE in tables and (taken := self._taken()):
            yield self._leased(taken)
            if not taken.abandoned:
                return
        if trial in self.survey.catalogue:
            yield self._droppable("trial", f"a trial's dataset, {_rows(self.survey.rows.get(trial, 0))}", trial)
        if rows := self.survey.rows.get(staging):
            yield self._droppable("staging", f"{_rows(rows)} of an earlier load in the staging dataset", staging)
        for table, load_ids in self.survey.strays.get(self.dataset, {}).items():
            what = f"{_rows(self._count(table, load_ids))} of a load that never completed"
            yield self._to_refresh("open load", what, table)
        if self.dataset in self.survey.known:
            yield from self._drifted(tables, self.survey.known[self.dataset])

    def _taken(self) -> lease.Taken | None:
        with self.client.sql_client.with_alternative_dataset_name(self.dataset) as sql:
            return lease.taken(sql, self.source)

    def _leased(self, taken: lease.Taken) -> Found:
        where = f"{self.dataset}.{lease.TABLE}"
        if not taken.abandoned:
            return Found(Leftover(self.source, "held", f"not looked into: {taken.holder} works on it", where))

        def release() -> None:
            with self.client.sql_client.with_alternative_dataset_name(self.dataset) as sql:
                lease.release(sql, taken.lease)

        what = f"held by {taken.holder}, which shows no sign of life"
        return Found(
            Leftover(self.source, "lease", what, where, "--fix releases it, and so does the next sync"), release
        )

    def _count(self, table: str, load_ids: list[str]) -> int:
        ids = ", ".join(["%s"] * len(load_ids))
        query = f"SELECT COUNT(*) FROM {_name(self.client, self.dataset, table)} WHERE _dlt_load_id IN ({ids})"
        return int(self.client.sql_client.execute_sql(query, *load_ids)[0][0])

    def _drifted(self, tables: Dataset, known: Mapping[str, Mapping[str, str]]) -> Iterator[Found]:
        """Where the tables are not what dlt remembers of them."""
        for name, columns in known.items():
            if name not in tables:
                yield self._to_refresh("drift", "the table is gone, which dlt's schema has", name)
            elif not tables[name].view:
                yield from self._altered(name, tables[name].columns, columns)
        for name in _data(tables):
            if name not in known:
                yield self._told("a table that dlt's schema does not have; no sync touches it", name)

    def _altered(self, table: str, there: Mapping[str, Column], known: Mapping[str, str]) -> Iterator[Found]:
        if gone := [name for name in known if name not in there]:
            yield self._to_refresh("drift", f"without {_quoted(gone)}, which dlt's schema has", table)
        for name, data_type in known.items():
            if name in there and not _alike(there[name].data_type, data_type):
                what = f"`{name}` is {there[name].type}, where dlt's schema has {data_type}"
                yield self._to_refresh("drift", what, table)
        extra = [name for name in there if name not in known]
        if demanded := [name for name in extra if there[name].demanded]:
            needs = f"give {_quoted(demanded)} a default, or allow NULL: every load fails over it"
            what = f"{_quoted(demanded)} is not in dlt's schema and demands a value"
            yield Found(Leftover(self.source, "drift", what, f"{self.dataset}.{table}", needs))
        if spare := [name for name in extra if name not in demanded]:
            yield self._told(f"{_quoted(spare)} not in dlt's schema; syncs leave it empty", table)

    def _droppable(self, kind: LeftoverKind, what: str, dataset: str) -> Found:
        def drop() -> None:
            with self.client.sql_client.with_alternative_dataset_name(dataset) as sql:
                sql.drop_dataset()

        return Found(Leftover(self.source, kind, what, dataset, "--fix drops it"), drop)

    def _to_refresh(self, kind: LeftoverKind, what: str, table: str) -> Found:
        needs = f"dango sync {self.source} --full-refresh"
        return Found(Leftover(self.source, kind, what, f"{self.dataset}.{table}", needs))

    def _told(self, what: str, table: str) -> Found:
        return Found(Leftover(self.source, "drift", what, f"{self.dataset}.{table}"))


@contextmanager
def connected(examination: Examination) -> Iterator[Any]:
    """dlt's client of the destination, connected; None where there is no database yet. It only reads, unless to fix.

    Raises:
        DestinationError: when the destination cannot be reached.
        Held: when another process has the database in its hands.
    """
    job = replace(examination.job, wait=_WAIT)
    with destinations.client(job) as (pipeline, client), ExitStack() as connection:
        file = client.config.credentials.database if job.destination.type == "duckdb" else None
        if file is not None and not Path(file).exists():
            yield None
            return
        if file is not None:
            client.config.credentials.read_only = not examination.fix
        connection.enter_context(writing(pipeline, job))
        try:
            connection.enter_context(client)
        except (DestinationConnectionError, client.sql_client.dbapi.Error) as error:
            # Of some databases dlt passes on what the driver raises, of others it wraps that.
            raise destinations.connection_error(getattr(error, "inner_exc", error), job.destination.name) from error
        yield client


def tables_of(client: Any, datasets: list[str]) -> dict[str, dict[str, Table]]:
    """The tables of these datasets, as far as they are there, by dataset and name."""
    query = _CATALOGUE.format(", ".join(["%s"] * len(datasets)))
    mapper = client.capabilities.get_type_mapper()
    found: dict[str, dict[str, Table]] = {}
    for dataset, name, kind, column, type_, precision, scale, demanded in client.sql_client.execute_sql(
        query, *datasets
    ):
        table = found.setdefault(dataset, {}).setdefault(name, Table(kind == "VIEW"))
        data_type = mapper.from_destination_type(type_, precision, scale)["data_type"]
        table.columns[column] = Column(type_, data_type, demanded)
    return found


def _counted(client: Any, datasets: Mapping[str, Dataset]) -> dict[str, int]:
    """How many rows of data there are in each dataset."""
    places = [(dataset, table) for dataset, tables in datasets.items() for table in _data(tables)]
    selects = [f"SELECT {{}}, COUNT(*) FROM {_name(client, *place)}" for place in places]
    counts: dict[str, int] = {}
    for position, count in _union(client, selects):
        dataset, _ = places[position]
        counts[dataset] = counts.get(dataset, 0) + count
    return counts


def _known(client: Any, datasets: list[str]) -> dict[str, dict[str, dict[str, str]]]:
    """What dlt's schemas say of the tables that it has loaded; of each schema in a dataset the newest version."""
    newest = "ROW_NUMBER() OVER (PARTITION BY schema_name ORDER BY inserted_at DESC) AS age"
    selects = [
        f"SELECT {{}}, stored FROM (SELECT schema AS stored, {newest} FROM {_name(client, name, '_dlt_version')}) AS v"
        " WHERE age = 1"
        for name in datasets
    ]
    known: dict[str, dict[str, dict[str, str]]] = {dataset: {} for dataset in datasets}
    for position, stored in _union(client, selects):
        for name, table in json.loads(stored)["tables"].items():
            if table.get("x-normalizer", {}).get("seen-data") and not name.startswith(_OWN):
                typed = {column: c["data_type"] for column, c in table["columns"].items() if c.get("data_type")}
                known[datasets[position]].setdefault(name, {}).update(typed)
    return known


def _strays(client: Any, datasets: Mapping[str, Dataset]) -> dict[str, dict[str, list[str]]]:
    """The loads whose rows are there and which dlt never noted as complete.

    A run of dlt's own load step was killed in them, or another tool wrote them.
    """
    names = list(datasets)
    noted: dict[str, set[str]] = {name: set() for name in names}
    loads = [f"SELECT {{}}, load_id FROM {_name(client, name, '_dlt_loads')}" for name in names]
    for position, load_id in _union(client, loads):
        noted[names[position]].add(load_id)
    marked = [
        (dataset, table)
        for dataset, tables in datasets.items()
        for table, found in _data(tables).items()
        if "_dlt_load_id" in found.columns
    ]
    ids = [f"SELECT DISTINCT {{}}, _dlt_load_id FROM {_name(client, *place)}" for place in marked]
    strays: dict[str, dict[str, list[str]]] = {}
    for position, load_id in _union(client, ids):
        dataset, table = marked[position]
        if load_id is not None and load_id not in noted[dataset]:
            strays.setdefault(dataset, {}).setdefault(table, []).append(load_id)
    return strays


def _union(client: Any, selects: list[str]) -> Iterator[Any]:
    """The rows of many queries, of which each begins with its own position in the list."""
    for start in range(0, len(selects), _AT_ONCE):
        batch = selects[start : start + _AT_ONCE]
        numbered = (select.replace("{}", str(start + offset), 1) for offset, select in enumerate(batch))
        yield from client.sql_client.execute_sql(" UNION ALL ".join(numbered))


def _name(client: Any, dataset: str, table: str) -> str:
    with client.sql_client.with_alternative_dataset_name(dataset) as sql:
        return str(sql.make_qualified_table_name(table))


def _data(tables: Dataset) -> dict[str, Table]:
    return {name: table for name, table in tables.items() if not table.view and not name.startswith(_OWN)}


def _alike(there: str, known: str) -> bool:
    """Whether a column can take what dlt has for it. The two kinds of numbers are one in the catalogue."""
    numbers = {"decimal", "wei"}
    return there == known or {there, known} <= numbers


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def _quoted(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)

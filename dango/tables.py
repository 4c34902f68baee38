"""What there is in the destinations: datasets, tables, their columns and rows, and when each was loaded last."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dango import query
from dango.config.models import Destination
from dango.errors import DangoError, NothingLoaded, UsageError, near
from dango.project import Project
from dango.readers import Database

_OWN = ("_dlt_", "_dango_")
"""How tables are named that hold no data of the user's."""
_STAGING = "_staging"
_COUNTED = 1_000_000
"""A table of PostgreSQL that has more rows by its statistics is not counted."""
_AT_ONCE = 200
"""So many queries go into one; databases put a limit to its depth."""
_EMBEDDED = """
SELECT c.table_schema, c.table_name, t.table_type = 'VIEW', c.column_name, c.data_type, c.is_nullable = 'YES', NULL,
    t.table_type <> 'VIEW'
FROM information_schema.columns AS c JOIN information_schema.tables AS t
    ON c.table_catalog = t.table_catalog AND c.table_schema = t.table_schema AND c.table_name = t.table_name
WHERE c.table_catalog = current_database() AND c.table_schema NOT IN ('information_schema', 'pg_catalog')
ORDER BY c.table_schema, c.table_name, c.ordinal_position
"""
_POSTGRES = """
SELECT n.nspname, c.relname, c.relkind IN ('v', 'm'), a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull,
    c.reltuples::int8, c.relkind NOT IN ('v', 'f') AND has_table_privilege(c.oid, 'SELECT')
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace JOIN pg_attribute AS a ON a.attrelid = c.oid
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND a.attnum > 0 AND NOT a.attisdropped AND n.nspname !~ '^pg_'
    AND n.nspname <> 'information_schema' AND has_schema_privilege(n.oid, 'USAGE')
ORDER BY n.nspname, c.relname, a.attnum
"""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column as it is in the destination; the type is in its own words."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class Table:
    """A table or a view as it is in a destination."""

    destination: str
    dataset: str
    name: str
    source: str = ""
    """The source of the project that loads the dataset; empty where none does."""
    view: bool = False
    columns: tuple[TableColumn, ...] = ()
    rows: int | None = None
    """None where they are not counted: of a view, and where the user may not."""
    estimated: bool = False
    """Whether the rows are what the database's statistics say."""
    last_load: dt.datetime | None = None
    """When dlt loaded into the dataset last."""

    @property
    def place(self) -> str:
        """Its name as a statement has it, where nothing need be quoted."""
        return f"{self.dataset}.{self.name}"


@dataclass(frozen=True, slots=True)
class Listing:
    """The tables that were found, and what kept the others from being found, by destination."""

    tables: tuple[Table, ...]
    errors: Mapping[str, DangoError] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0 if all could be read."""
        codes = {error.exit_code for error in self.errors.values()}
        return codes.pop() if len(codes) == 1 and not self.tables else 3 if codes else 0


def listed(
    project: Project, names: Sequence[str] = (), destination: str | None = None, *, every: bool = False
) -> Listing:
    """The tables of the destinations that the project's sources load into.

    Args:
        project: whose.
        names: of sources, datasets or tables (`dataset.table`); all where empty.
        destination: the one to look into, if it is another.
        every: also dlt's own tables and dango's, and staging datasets.

    Raises:
        UsageError: where a name is that of nothing there.
    """
    owners = _owners(project, destination)
    found: list[Table] = []
    errors: dict[str, DangoError] = {}
    for name, (target, sources) in owners.items():
        try:
            with query.opened(project, target) as database:
                found += _tables(database, target, sources)
        except NothingLoaded:
            continue
        except DangoError as error:
            errors[name] = error
    datasets = {(table.destination, table.dataset) for table in found}
    visible = [table for table in found if every or table.place in names or not _is_internal(table, datasets)]
    return Listing(tuple(_chosen(project, names, visible, errors)), errors)


def _owners(project: Project, destination: str | None) -> dict[str, tuple[Destination, dict[str, str]]]:
    """The destinations that are used, each with the sources whose datasets are in it, by dataset."""
    owners: dict[str, tuple[Destination, dict[str, str]]] = {}
    for source in project.config.sources:
        target = project.destination(source, destination)
        owners.setdefault(target.name, (target, {}))[1][source.dataset] = source.name
    if not owners:
        target = query.destination(project, destination)
        owners[target.name] = (target, {})
    return owners


def _tables(database: Database, destination: Destination, sources: Mapping[str, str]) -> list[Table]:
    columns: dict[tuple[str, str], list[TableColumn]] = {}
    facts: dict[tuple[str, str], tuple[bool, int, bool]] = {}
    catalogue = _POSTGRES if destination.type == "postgres" else _EMBEDDED
    for dataset, name, view, column, type_, nullable, estimate, countable in database.answer(catalogue).rows:
        columns.setdefault((dataset, name), []).append(TableColumn(column, type_, nullable))
        facts[dataset, name] = view, estimate or 0, countable
    exact = [place for place, (_, estimate, countable) in facts.items() if countable and estimate < _COUNTED]
    rows = _by_place(database, exact, "count(*)", "")
    loads = [(dataset, name) for dataset, name in facts if name == "_dlt_loads" and (dataset, name) in rows]
    loaded = _by_place(database, loads, "max(inserted_at)", " WHERE status = 0")
    return [
        Table(
            destination.name, dataset, name, sources.get(dataset, ""), view, tuple(columns[dataset, name]),
            rows.get((dataset, name), estimate if countable else None), countable and (dataset, name) not in rows,
            loaded.get((dataset, "_dlt_loads")),
        )
        for (dataset, name), (view, estimate, countable) in facts.items()
    ]  # fmt: skip


def _by_place(
    database: Database, places: Sequence[tuple[str, str]], value: str, where: str
) -> dict[tuple[str, str], Any]:
    """A value of each table."""
    found: dict[tuple[str, str], Any] = {}
    for start in range(0, len(places), _AT_ONCE):
        selects = [
            f"SELECT {start + offset}, {value} FROM {_quoted(dataset)}.{_quoted(name)}{where}"
            for offset, (dataset, name) in enumerate(places[start : start + _AT_ONCE])
        ]
        found |= {places[position]: said for position, said in database.answer(" UNION ALL ".join(selects)).rows}
    return found


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _is_internal(table: Table, datasets: Collection[tuple[str, str]]) -> bool:
    """Whether it is dlt's or dango's own."""
    beside = (table.destination, table.dataset.removesuffix(_STAGING))
    staging = table.dataset.endswith(_STAGING) and beside in datasets
    return staging or table.name.startswith(_OWN)


def _chosen(
    project: Project, names: Sequence[str], tables: Sequence[Table], errors: Mapping[str, DangoError]
) -> Iterator[Table]:
    """The tables that the names mean. Raises `UsageError` for one that means nothing."""
    known = {word for table in tables for word in (table.dataset, table.place)}
    known |= {source.name for source in project.config.sources}
    # What cannot be read may have it.
    unknown = [] if errors else [name for name in names if name not in known]
    if unknown:
        raise UsageError(
            f"no source, dataset or table `{unknown[0]}`{near(unknown[0], known)}",
            "`dango tables` lists what there is; a table is named with its dataset: raw_shop.orders",
        )
    for table in tables:
        if not names or {table.source, table.dataset, table.place} & {*names}:
            yield table

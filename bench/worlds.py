"""Connectors of other frameworks: each as dango runs it into DuckDB, and as its own framework runs it.

Both sides have the same packages, in the same environments, which dango builds once and the folder of data keeps.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import duckdb

from bench.bench import Bench
from bench.measure import BenchError, Command, Contest, Contestant, Unable, run
from bench.projects import CUSTOM_SOURCES, REFERENCES, Project

Counts = Mapping[str, int]
_NOBODY = {"DATAHUB_TELEMETRY_ENABLED": "false"}
_COLUMNS = "id integer primary key, name text, at timestamp, amount numeric(10, 2), note text"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a connector's own framework runs it.

    Attributes:
        given: a folder for what both sides read.
        own: the folder in which it runs and leaves what it has loaded; empty before each run.
        programs: those of the connector's environment (`load`), and of others by their names.
    """

    given: Path
    own: Path
    programs: Mapping[str, Path]

    def program(self, name: str, environment: str = "load") -> str:
        """A program's path."""
        return str(self.programs[environment] / name)

    def shell(self, line: str, **environment: str) -> Command:
        """A line of the shell, with a home of its own, and none of our Python's path."""
        own = {"HOME": str(self.own), "PYTHONPATH": "", **_NOBODY, **environment}
        return Command(("bash", "-o", "pipefail", "-c", line), self.own, own)

    def written(self, name: str, content: object) -> Path:
        """A file of JSON in `given`."""
        file = self.given / name
        file.write_text(json.dumps(content))
        return file


@dataclass(frozen=True, slots=True)
class Sides:
    """A connector with its settings, told to dango and to its own framework.

    Attributes:
        block: for `sources.yml`.
        command: its own way.
        expected: how many rows dango's tables hold then; those that say whether all was read.
        held: how many `command` has left, by the same names.
    """

    block: Mapping[str, Any]
    command: Command
    expected: Counts
    held: Callable[[], Counts]


@dataclass(frozen=True, slots=True)
class World:
    """A framework, and a real connector of it.

    Attributes:
        type: of the source.
        name: the framework's.
        connector: with its version.
        unit: what there are `rows` of.
        rows: how many, unless `--rows` says so.
        label: its own way.
        environment: the connector's, as in `sources.yml`.
        sides: what is run.
        others: packages by the program that its own way needs beside the connector.
    """

    type: str
    name: str
    connector: str
    unit: str
    rows: int
    label: str
    environment: Mapping[str, list[str]]
    sides: Callable[[Place, int], Sides]
    others: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def job(self) -> str:
        """The name of its job."""
        return f"world_{self.type}"

    def contest(self, bench: Bench, rows: int) -> Contest:
        """The reference is its own way."""
        place = Place(bench.folder("given"), bench.folder("own"), self._programs(bench))
        sides = self.sides(place, rows)
        project = self._project(bench, "dango", sides.block)

        def emptied() -> None:
            shutil.rmtree(place.own)
            place.own.mkdir()

        def loaded() -> Counts:
            return _of_duckdb(project.warehouse, "raw_load", sides.expected)

        sync = _shared(bench, project.dango("sync", "load"))
        return Contest({
            "reference": Contestant(self.label, sides.command, emptied, lambda: _require(sides.held(), sides.expected)),
            "dango": Contestant("dango", sync, project.reset, lambda: _require(loaded(), sides.expected)),
        })  # fmt: skip

    def _programs(self, bench: Bench) -> Mapping[str, Path]:
        """Where the environments have their programs; what is not there is built."""
        project = self._project(bench, "environments", {"connector": "any"})
        try:
            run(_shared(bench, project.dango("env", "build")))
        except BenchError as error:
            raise Unable(f"its packages cannot be installed here: {', '.join(self._packages)}") from error
        _, said = run(_shared(bench, project.dango("env", "list", "--json")))
        built = json.loads(said)["environments"]
        return {name: Path(each["folder"]) / "bin" for each in built for name in each["sources"]}

    @property
    def _packages(self) -> list[str]:
        return [*self.environment["requirements"], *(one for packages in self.others.values() for one in packages)]

    def _project(self, bench: Bench, folder: str, block: Mapping[str, Any]) -> Project:
        said = {"tap": "any"} if self.type == "singer" and "tap" not in block else block
        load = {"name": "load", "type": self.type, "environment": self.environment, self.type: said}
        # Programs of others are no sources: they are there for their environments.
        others = [
            {"name": name, "type": "singer", "environment": {"requirements": packages}, "singer": {"tap": "any"}}
            for name, packages in self.others.items()
        ]
        return Project.written(bench.folder(folder), [load, *others])


def _singer(place: Place, rows: int) -> Sides:
    lines = place.given / "orders.jsonl"
    with duckdb.connect() as database:
        database.execute(
            "COPY (SELECT range + 1 AS id, 'order ' || range AS name, range / 4 AS amount, range % 2 = 0 AS paid,"
            f" '2024-01-01T00:00:00Z' AS placed FROM range({rows})) TO '{lines}' (FORMAT json)"
        )
    config = {"path": str(lines), "stream_name": "orders", "primary_keys": ["id"]}
    warehouse = place.own / "warehouse.duckdb"
    tap = f"{place.program('tap-jsonl')} --config {place.written('tap.json', config)}"
    told = place.written("target.json", {"filepath": str(warehouse), "default_target_schema": "raw"})
    expected = {"orders": rows}
    return Sides(
        {"tap": "tap-jsonl", "config": config},
        place.shell(f"{tap} | {place.program('target-duckdb', 'target')} --config {told}"),
        expected,
        lambda: _of_duckdb(warehouse, "raw", expected),
    )


def _airbyte(place: Place, rows: int) -> Sides:
    config = {"count": rows, "seed": 1, "always_updated": False}
    connector, told = place.program("source-faker"), place.written("config.json", config)
    _, said = run(place.shell(f"{connector} discover --config {told}"))
    streams = next(each["catalog"]["streams"] for each in map(json.loads, said.splitlines()) if "catalog" in each)
    chosen = {"sync_mode": "incremental", "destination_sync_mode": "append"}
    catalog = place.written("catalog.json", {"streams": [{"stream": stream, **chosen} for stream in streams]})
    out = place.own / "messages.jsonl"
    return Sides(
        {"connector": "source-faker", "config": config},
        place.shell(f"{connector} read --config {told} --catalog {catalog} > {out}"),
        {"users": rows, "purchases": rows},
        lambda: Counter(each["record"]["stream"] for each in _lines(out) if each["type"] == "RECORD"),
    )


def _datahub(place: Place, rows: int) -> Sides:
    file, out = place.given / "shop.sqlite", place.own / "out.json"
    with sqlite3.connect(file) as database:
        for number in range(rows):
            database.execute(f"CREATE TABLE t{number} ({_COLUMNS})")
    database.close()
    config = {"connect_uri": f"sqlite:///{file}", "platform": "sqlite"}
    source = {"type": "sqlalchemy", "config": config}
    recipe = place.written(
        "recipe.json", {"source": source, "sink": {"type": "file", "config": {"filename": str(out)}}}
    )
    return Sides(
        {"connector": "sqlalchemy", "config": config},
        place.shell(f"{place.program('datahub')} ingest -c {recipe}"),
        {"dataset_properties": rows, "schema_metadata": rows},
        lambda: Counter(
            _ASPECTS.get(name.rpartition(".")[2], name)
            for each in json.loads(out.read_text())
            for snapshot in each.get("proposedSnapshot", {}).values()
            for aspect in snapshot["aspects"]
            for name in aspect
        ),
    )


_ASPECTS = {"DatasetProperties": "dataset_properties", "SchemaMetadata": "schema_metadata"}


def _openmetadata(place: Place, rows: int) -> Sides:
    loop, out = CUSTOM_SOURCES / "openmetadata_tables.py", place.own / "out.jsonl"
    return Sides(
        {"connector": "custom_sources.openmetadata_tables.Tables", "config": {"tables": rows}},
        place.shell(f"{place.program('python')} {loop} {rows} {out}"),
        {"tables": rows},
        lambda: Counter("tables" for each in _lines(out) if each["kind"] == "CreateTableRequest"),
    )


def _vdk(place: Place, rows: int) -> Sides:
    warehouse = place.own / "warehouse.duckdb"
    expected = {"stream_0": rows}
    settings = {"VDK_DB_DEFAULT_TYPE": "duckdb", "VDK_DUCKDB_DATABASE": str(warehouse), "ROWS": str(rows)}
    return Sides(
        {"connector": "auto-generated-data", "config": {"num_records": rows}},
        place.shell(f"{place.program('vdk')} run {REFERENCES / 'vdk_job'}", **settings),
        expected,
        lambda: _of_duckdb(warehouse, "main", expected),
    )


def _shared(bench: Bench, command: Command) -> Command:
    """With environments that are there for every project, and for the next bench."""
    shared = {"DANGO_ENVIRONMENTS": str(bench.data.folder / "environments"), **_NOBODY}
    return replace(command, environment={**command.environment, **shared})


def _lines(file: Path) -> list[Any]:
    return [json.loads(line) for line in file.read_text().splitlines()]


def _of_duckdb(file: Path, schema: str, tables: Counts) -> Counts:
    """How many rows these tables have. Raises `BenchError` where one is not there."""
    try:
        with duckdb.connect(str(file), read_only=True) as database:
            relations = {table: database.table(f'{schema}."{table}"') for table in tables}
            return {table: len(relation) for table, relation in relations.items()}
    except duckdb.Error as error:
        raise BenchError(f"the result cannot be checked\n{error}") from error


def _require(found: Counts, expected: Counts) -> None:
    for name, rows in expected.items():
        if found.get(name) != rows:
            raise BenchError(f"wrong result: {name} has {found.get(name, 0):,} rows, {rows:,} are right")


WORLDS: tuple[World, ...] = (
    World(
        "singer", "Singer", "tap-jsonl 0.3.1", "records", 200_000, "tap-jsonl into target-duckdb 0.8.0",
        {"requirements": ["tap-jsonl==0.3.1"]}, _singer,
        # With DuckDB 1.3 and later it loses the first row.
        {"target": ["target-duckdb==0.8.0", "duckdb<1.3"]},
    ),
    World(
        "airbyte", "Airbyte", "source-faker 7.2.1", "users, each with a purchase", 20_000, "its `read`, into a file",
        {"requirements": ["airbyte-source-faker==7.2.1"]}, _airbyte,
    ),
    World(
        "datahub", "DataHub", "sqlalchemy of acryl-datahub 1.7.0.17", "tables of SQLite", 2_000,
        "`datahub ingest`, file sink",
        {"requirements": ["acryl-datahub[sqlalchemy]==1.7.0.17"]}, _datahub,
    ),
    World(
        "openmetadata", "OpenMetadata", "a custom one, openmetadata-ingestion 2.0.6.0", "tables", 10_000,
        "the connector's loop alone, into a file",
        {"requirements": ["openmetadata-ingestion==2.0.6.0", "dbt-core<1.12"]}, _openmetadata,
    ),
    World(
        "vdk", "VDK", "auto-generated-data of vdk-data-sources 0.1.1431637373", "records", 100_000,
        "`vdk run`, into DuckDB",
        {
            "requirements": ["vdk-data-sources==0.1.1431637373", "vdk-duckdb==0.2.1431637373", "setuptools<80"],
            "build_constraints": ["setuptools<80"],
        },
        _vdk,
    ),
)  # fmt: skip

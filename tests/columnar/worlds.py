"""The same documents through dlt by columns and by dlt's own code, and what came of each, made comparable."""

from __future__ import annotations

import difflib
import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dlt
import pyarrow.parquet as pq
from dlt.common import logger
from dlt.common.utils import digest128

from dango import columnar
from dango.dlt_internals import packages as dlt_packages
from dango.errors import root_cause

Page = list[Any]
_IDS = ("_dlt_id", "_dlt_parent_id", "_dlt_root_id", "_dlt_load_id")


@dataclass(frozen=True)
class Run:
    """One extraction and normalisation of one resource.

    Attributes:
        pages: what the resource yields.
        hints: of the resource.
        extracted: whether it is extracted by columns, in the world where that is done at all.
        normalized: whether it is normalised so.
        restarted: whether another process goes on between the two.
        contract: of the whole source.
        name: of the resource.
    """

    pages: Sequence[Page]
    hints: Mapping[str, Any] = field(default_factory=dict)
    extracted: bool = True
    normalized: bool = True
    restarted: bool = False
    contract: Any = None
    name: str = "Things"


@dataclass
class World:
    """What came of some runs.

    Attributes:
        told: of each run, all that must be the same whatever the way.
        paths: of each run, the way each table went.
    """

    told: list[Any] = field(default_factory=list)
    paths: list[Mapping[str, tuple[str, str]]] = field(default_factory=list)

    @property
    def columnar(self) -> bool:
        """Whether every page went by columns."""
        return all(path == "columnar" for paths in self.paths for path, _ in paths.values())


def live(folder: Path, runs: Sequence[Run], *, columns: bool, settings: Mapping[str, Any] | None = None) -> World:
    """Takes runs one after the other through a pipeline."""
    world, pipeline = World(), _pipeline(folder)
    for run in runs:
        with _warnings() as warned:
            try:
                world.paths.append(_extract(pipeline, run, columns and run.extracted, settings or {}))
                if run.restarted:
                    pipeline = _pipeline(folder)
                with columnar.switched_on(columns and run.normalized, Path(pipeline.working_dir)) as taken:
                    counts = dict(pipeline.normalize().row_counts)
                world.paths.append(taken.paths)
                # In which order tables of one level are counted and warned of, nobody is promised.
                world.told.append((_packages(pipeline), dict(sorted(counts.items())), sorted(warned)))
            except Exception as error:  # noqa: BLE001 - whatever dlt raises is what came of it
                cause = root_cause(error)
                world.told.append((type(cause).__name__, re.sub(r"(_dlt_\w*id: )\S+", r"\1…", str(cause))))
                break
    return world


def _pipeline(folder: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "world",
        pipelines_dir=str(folder),
        destination=dlt.destinations.duckdb(str(folder / "w.duckdb")),
        dataset_name="w",
    )


def _extract(pipeline: dlt.Pipeline, run: Run, columns: bool, settings: Mapping[str, Any]) -> Mapping[str, Any]:
    resource = dlt.resource(lambda: iter(run.pages), name=run.name, **run.hints)
    schema = pipeline.schemas["world"] if "world" in pipeline.schemas else dlt.Schema("world")
    source = dlt.sources.DltSource(schema, "world", [resource])
    for name, value in settings.items():
        setattr(source, name, value)
    with columnar.switched_on(columns, Path(pipeline.working_dir)) as taken:
        pipeline.extract(source, loader_file_format="parquet", schema_contract=run.contract)
    return taken.paths


def _packages(pipeline: dlt.Pipeline) -> Any:
    """The packages that wait to be loaded, which are then taken away: schemas, types, rows."""
    told = []
    for package in dlt_packages.waiting(pipeline):
        schema = package.schema.to_dict()
        for key in ("version", "version_hash", "previous_hashes"):
            del schema[key]
        told.append((list(schema["tables"].items()), schema, _rows(package)))
        dlt_packages.remove(pipeline, package.load_id)
    return json.dumps(told, default=repr, indent=1).splitlines()


def _rows(package: dlt_packages.Package) -> dict[str, Any]:
    """Types and rows of each table, ids as what they stand for."""
    names: dict[str, str] = {package.load_id: "this load"}
    tables: dict[str, Any] = {}
    order = [name for name in package.schema.tables if name in package.tables and not name.startswith("_dlt")]
    read = {
        table: [pq.read_table(file.path) for file in package.files if file.table == table and file.format == "parquet"]
        for table in order
    }
    place = _place({table: [row for part in parts for row in part.to_pylist()] for table, parts in read.items()})
    for table in sorted(order, key=lambda name: _depth(package, name)):
        parts = read[table]
        # Where a file ends and the next begins, with a column more, makes no difference to what is loaded.
        columns = dict.fromkeys(name for part in parts for name in part.column_names)
        # Nor does the order of files, whose names are drawn.
        every = sorted((row for part in parts for row in part.to_pylist()), key=place(table, list(names)))
        rows = [{name: row.get(name) for name in sorted(columns)} for row in every]
        hashed = _hashed(package, table)
        for number, row in enumerate(rows):
            if "_dlt_parent_id" in row and hashed:
                digest = digest128(f"{row['_dlt_parent_id']}_{table}_{row['_dlt_list_idx']}", 10)
                row["is a digest"] = row["_dlt_id"] == digest
            names.setdefault(row["_dlt_id"], row["_dlt_id"] if hashed else f"{table} {number}")
        distinct = len({row["_dlt_id"] for row in rows})
        tables[table] = (
            distinct,
            sorted({str(field) for part in parts for field in part.schema}),
            [{key: names.get(value, value) if key in _IDS else value for key, value in row.items()} for row in rows],
        )
    return tables


def _depth(package: dlt_packages.Package, table: str) -> int:
    above = package.schema.tables[table].get("parent")
    return 1 + _depth(package, above) if above else 0


def _hashed(package: dlt_packages.Package, table: str) -> bool:
    """Whether the ids of its rows are made of them rather than drawn."""
    root = package.schema.tables[package.root(table)]
    return package.disposition(table) == "merge" and root.get("x-merge-strategy") in ("upsert", "scd2")


Row = Mapping[str, Any]


def _place(tables: Mapping[str, Sequence[Row]]) -> Callable[[str, Sequence[str]], Callable[[Row], tuple[Any, ...]]]:
    """Where rows of a table stand: by their number and what they hold, or behind their parents, whose ids are given.

    A contract may discard numbers; rows that hold the same, down to their children, are not to be told apart.
    """
    below: defaultdict[str, list[tuple[str, Row]]] = defaultdict(list)
    for name, rows in tables.items():
        for row in rows:
            below[row.get("_dlt_parent_id", "")].append((name, row))

    def held(table: str, row: Row) -> str:
        own = sorted((name, repr(value)) for name, value in row.items() if name not in _IDS and value is not None)
        # A document may bring an id of its own, which may be its parent's.
        children = [(name, child) for name, child in below[row["_dlt_id"]] if name.startswith(f"{table}__")]
        return repr((own, sorted((name, held(name, child)) for name, child in children)))

    def of(table: str, ids: Sequence[str]) -> Callable[[Row], tuple[Any, ...]]:
        order = {name: place for place, name in enumerate(ids)}
        return lambda row: (
            (order.get(row["_dlt_parent_id"], -1), row["_dlt_list_idx"] or 0)
            if "_dlt_parent_id" in row
            else (row.get("n") or 0, held(table, row))
        )

    return of


def difference(one: World, other: World) -> str:
    """What one tells that the other does not; empty where they tell the same."""
    for mine, others in zip(one.told, other.told, strict=False):
        if mine != others:
            lines = [
                [*told[0], *map(repr, told[1:])] if isinstance(told[0], list) else [repr(told)]
                for told in (mine, others)
            ]
            return "\n".join(difflib.unified_diff(*lines, lineterm="", n=2))
    return "" if len(one.told) == len(other.told) else "one of them ended earlier"


@contextmanager
def _warnings() -> Iterator[list[str]]:
    heard: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                heard.append(record.getMessage())

    ear, log = Ear(), logger.LOGGER or logging.getLogger("dlt")
    log.addHandler(ear)
    try:
        yield heard
    finally:
        log.removeHandler(ear)

"""The jobs of every day: what has changed, what is loaded again, and nothing new."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb

from bench import truth
from bench.bench import Bench
from bench.data import CHANGING, FLAT, LINEITEM
from bench.loads import TENTH
from bench.measure import Contest, Contestant, Sample, run
from bench.projects import Project, from_code, from_file, from_postgres, in_postgres, script
from tests.postgres_server import Postgres

CHANGED = 10_000
NOW = "2030-01-01"
"""When the changes come; what is loaded before is older."""


def merge(into: str) -> Callable[[Bench, int], Contest]:
    """Changed rows of a PostgreSQL table merged into a copy that was loaded before, in `duckdb` or `postgres`."""

    def contest(bench: Bench, rows: int) -> Contest:
        merged = _merged_into_duckdb if into == "duckdb" else _merged_into_postgres
        contestants = merged(bench, rows, "whole")
        tenth = merged(bench, rows // 10, "tenth")["dango"]
        return Contest({**contestants, TENTH: replace(tenth, label="dango, into a tenth of the rows")})

    return contest


def _merged_into_duckdb(bench: Bench, rows: int, folder: str) -> dict[str, Contestant]:
    table, source = _source(bench, rows)
    project = _loaded(bench, source, table, folder, None)
    reference = bench.folder(f"reference_{folder}")
    base, warehouse = reference / "base.duckdb", reference / "warehouse.duckdb"
    with duckdb.connect(str(base)) as database:
        file = bench.data.file(CHANGING, rows, "parquet")
        database.execute(f"CREATE TABLE loaded AS SELECT * FROM read_parquet('{file}')")
    expected = _change(source, table, rows)

    def put_back() -> None:
        shutil.copy(base, warehouse)
        os.sync()

    command = script(
        "merge_duckdb", reference, warehouse, "loaded", table, NOW, *CHANGING.kinds, environment=in_postgres(source)
    )
    return {
        "reference": Contestant(
            "a MERGE by hand",
            command,
            put_back,
            lambda: truth.require(table, truth.of_duckdb(warehouse, "loaded", CHANGING.kinds), expected),
        ),
        "dango": Contestant(
            "dango",
            project.dango("sync"),
            project.put_back,
            lambda: truth.require(
                table, truth.of_duckdb(project.warehouse, f"raw_load.{table}", CHANGING.kinds), expected
            ),
        ),
    }


def _merged_into_postgres(bench: Bench, rows: int, folder: str) -> dict[str, Contestant]:
    table, source = _source(bench, rows)
    dango = bench.database("dango")
    project = _loaded(bench, source, table, folder, dango)
    by_hand = bench.database("reference")
    bench.data.in_postgres(by_hand, CHANGING, rows)
    with by_hand.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
    bases = {database: bench.database("base", database.database).database for database in (dango, by_hand)}
    expected = _change(source, table, rows)

    def put_back() -> None:
        project.put_back()
        bench.copied(dango, bases[dango])

    command = script(
        "merge_postgres", bench.folder(f"reference_{folder}"), by_hand.database, table, table, NOW, *CHANGING.kinds,
        environment=in_postgres(source),
    )  # fmt: skip
    return {
        "reference": Contestant(
            "a MERGE by hand",
            command,
            lambda: bench.copied(by_hand, bases[by_hand]),
            lambda: truth.require(table, truth.of_postgres(by_hand, table, CHANGING.kinds), expected),
        ),
        "dango": Contestant(
            "dango",
            project.dango("sync"),
            put_back,
            lambda: truth.require(table, truth.of_postgres(dango, f"raw_load.{table}", CHANGING.kinds), expected),
        ),
    }


def _source(bench: Bench, rows: int) -> tuple[str, Postgres]:
    """A database with a table of its own, which changes."""
    source = bench.database("source")
    table = bench.data.in_postgres(source, CHANGING, rows)
    with source.cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} ADD PRIMARY KEY (id)")
        cursor.execute(f"CREATE INDEX ON {table} (updated_at)")
    return table, source


def _loaded(bench: Bench, source: Postgres, table: str, folder: str, destination: Postgres | None) -> Project:
    """A project into which the table is loaded, kept so."""
    hints = {"write_disposition": "merge", "primary_key": "id", "cursor": {"field": "updated_at"}}
    entry, secrets = from_postgres("load", source, {table: hints})
    project = Project.written(bench.folder(folder), [entry], secrets, destination).synced()
    project.keep()
    return project


def _change(source: Postgres, table: str, rows: int) -> truth.Content:
    """Changes rows all over the table; returns what it then holds."""
    every = max(1, rows // CHANGED)
    with source.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET l_quantity = l_quantity + 1, l_comment = 'changed',"
            f" updated_at = timestamptz '{NOW} 00:00:00+00' + make_interval(secs => 1 + id)"
            f" WHERE id % {every} = 0"
        )
        cursor.execute(f"VACUUM (ANALYZE) {table}")
    return truth.of_postgres(source, table, CHANGING.kinds)


def full_refresh(bench: Bench, rows: int) -> Contest:
    """All of a Parquet file again, against the first time."""
    file = bench.data.file(LINEITEM, rows, "parquet")
    first = Project.written(bench.folder("first"), [from_file("load", file)])
    again = Project.written(bench.folder("again"), [from_file("load", file)]).synced()
    again.keep()

    def right(project: Project) -> None:
        found = truth.of_duckdb(project.warehouse, "raw_load.loaded", LINEITEM.kinds)
        truth.require("loaded", found, bench.data.content(LINEITEM, rows))

    return Contest({
        "reference": Contestant("dango, the first load", first.dango("sync"), first.reset, lambda: right(first)),
        "dango": Contestant(
            "dango sync --full-refresh", again.dango("sync", "--full-refresh"), again.put_back, lambda: right(again)
        ),
    })  # fmt: skip


def nothing_new(bench: Bench, rows: int) -> Contest:
    """A sync that finds nothing, against the script that a user of dlt would run."""
    project = Project.written(bench.folder("dango"), [from_code("load", "orders", rows=rows)]).synced()
    reference = script("dlt_script", bench.folder("reference"), "warehouse.duckdb", "orders", rows, "parquet")
    run(reference)
    warehouse = reference.folder / "warehouse.duckdb"

    def right(file: Path, relation: str) -> None:
        truth.require("orders", truth.of_duckdb(file, relation, FLAT.kinds), bench.data.content(FLAT, rows))

    return Contest({
        "reference": Contestant("a dlt script", reference, check=lambda: right(warehouse, "raw.orders")),
        "dango": Contestant(
            "dango", project.dango("sync"), check=lambda: right(project.warehouse, "raw_load.orders")
        ),
    })  # fmt: skip


def many_sources(count: int, jobs: int) -> Callable[[Bench, int], Contest]:
    """So many sources with nothing new, against one of them as often: what two processors would take at best."""

    def contest(bench: Bench, rows: int) -> Contest:
        words = ("--jobs", str(jobs))
        sources = [from_code(f"s{n}", "orders", rows=rows) for n in range(count)]
        project = Project.written(bench.folder("dango"), sources).synced(*words)
        alone = Project.written(bench.folder("alone"), sources[:1]).synced()
        reference = script("in_process", bench.folder("reference"), alone.root, "s0", 20)

        def half_of_all(said: str) -> Sample:
            return {"wall": float(said.split()[-1]) * count / 2}

        def right() -> None:
            for n in (0, count - 1):
                found = truth.of_duckdb(project.warehouse, f"raw_s{n}.orders", FLAT.kinds)
                truth.require(f"s{n}", found, bench.data.content(FLAT, rows))

        return Contest({
            "reference": Contestant(f"one such sync, in process, × {count:,} ÷ 2", reference, read=half_of_all),
            "dango": Contestant(f"dango --jobs {jobs}", project.dango("sync", *words), check=right),
        })  # fmt: skip

    return contest

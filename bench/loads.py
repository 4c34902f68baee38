"""The jobs that load much, once: databases, files, documents, dicts."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from bench import truth
from bench.bench import Bench
from bench.data import DOCUMENTS, FLAT, ITEMS, LINEITEM, Table
from bench.measure import Command, Contest, Contestant
from bench.peers import Input, Output
from bench.projects import Project, from_code, from_file, from_postgres, in_postgres, ours, script
from tests.postgres_server import Postgres

TENTH = "tenth"
"""The contestant that is dango with a tenth of the rows."""

_CHILDREN = """(SELECT p.id AS doc, c._dlt_list_idx AS idx, c.* FROM raw_load.{table}__items AS c
    JOIN raw_load.{table} AS p ON c._dlt_parent_id = p._dlt_id)"""


def from_database(bench: Bench, rows: int) -> Contest:
    """PostgreSQL → DuckDB."""
    table = bench.data.in_postgres(bench.server, LINEITEM, rows)

    def dango(folder: str, rows: int) -> Contestant:
        name = bench.data.in_postgres(bench.server, LINEITEM, rows)
        source, secrets = from_postgres("load", bench.server, [name])
        project = Project.written(bench.folder(folder), [source], secrets)
        return synced(bench, project, [(f"raw_load.{name}", LINEITEM, rows)])

    reference = script(
        "copied", bench.folder("reference"), "warehouse.duckdb", table, environment=in_postgres(bench.server)
    )
    contestants = {
        "reference": _into(bench, "psql COPY into DuckDB's read_csv", reference, [("loaded", LINEITEM, rows)]),
        "dango": dango("dango", rows),
        TENTH: _as_tenth(dango("tenth", rows // 10)),
    }
    return bench.with_peers(contestants, Input(LINEITEM, rows, database=(bench.server, table)), Output())


def from_files(kind: str) -> Callable[[Bench, int], Contest]:
    """A file of that kind → DuckDB."""

    def contest(bench: Bench, rows: int) -> Contest:
        def dango(folder: str, rows: int) -> Contestant:
            source = from_file("load", bench.data.file(LINEITEM, rows, kind))
            project = Project.written(bench.folder(folder), [source])
            return synced(bench, project, [("raw_load.loaded", LINEITEM, rows)])

        file = bench.data.file(LINEITEM, rows, kind)
        reference = script("ctas", bench.folder("reference"), "warehouse.duckdb", file)
        contestants = {
            "reference": _into(bench, "DuckDB CREATE TABLE AS", reference, [("loaded", LINEITEM, rows)]),
            "dango": dango("dango", rows),
            TENTH: _as_tenth(dango("tenth", rows // 10)),
        }
        return bench.with_peers(contestants, Input(LINEITEM, rows, file=file), Output())

    return contest


def into_postgres(bench: Bench, rows: int) -> Contest:
    """CSV → PostgreSQL."""

    def into(database: Postgres, label: str, command: Command, relation: str, rows: int) -> Contestant:
        def check() -> None:
            _right(truth.of_postgres(database, relation, LINEITEM.kinds), bench, LINEITEM, rows)

        return Contestant(label, command, lambda: bench.emptied(database), check)

    def dango(folder: str, rows: int) -> Contestant:
        database = bench.database(folder)
        source = from_file("load", bench.data.file(LINEITEM, rows, "csv"))
        project = Project.written(bench.folder(folder), [source], destination=database)
        contestant = into(database, "dango", project.dango("sync"), "raw_load.loaded", rows)

        def prepare() -> None:
            project.reset()
            contestant.prepare()

        return replace(contestant, prepare=prepare)

    file = bench.data.file(LINEITEM, rows, "csv")
    reference = bench.database("reference")
    statements = (f"CREATE TABLE loaded ({LINEITEM.postgres})", f"\\copy loaded FROM '{file}' (FORMAT csv, HEADER)")
    words = ("psql", "-q", "-v", "ON_ERROR_STOP=1", *(word for text in statements for word in ("-c", text)))
    copy = Command(words, bench.folder("reference"), in_postgres(reference))
    contestants = {
        "reference": into(reference, "psql COPY of the same file", copy, "loaded", rows),
        "dango": dango("dango", rows),
        TENTH: _as_tenth(dango("tenth", rows // 10)),
    }
    return bench.with_peers(contestants, Input(LINEITEM, rows, file=file), Output(bench.database("peer")))


def nested(bench: Bench, rows: int) -> Contest:
    """JSONL documents → a parent and a child table in DuckDB."""

    def dango(folder: str, rows: int) -> Contestant:
        project = Project.written(bench.folder(folder), [from_file("load", bench.data.nested(rows))])
        return synced(bench, project, _parent_and_child("loaded", rows))

    reference = script("unnest", bench.folder("reference"), "warehouse.duckdb", bench.data.nested(rows))
    right = [("documents", DOCUMENTS, rows), ("items", ITEMS, rows)]
    return Contest({
        "reference": _into(bench, "DuckDB with UNNEST", reference, right),
        "dango": dango("dango", rows),
        TENTH: _as_tenth(dango("tenth", rows // 10)),
    })  # fmt: skip


def dicts(resource: str, file_format: str = "parquet") -> Callable[[Bench, int], Contest]:
    """A source of plain dicts → DuckDB, against dlt with the files that it is told to write, or its default (``)."""

    def contest(bench: Bench, rows: int) -> Contest:
        said = [file_format] if file_format else []
        reference = script("dlt_script", bench.folder("reference"), "warehouse.duckdb", resource, rows, *said)
        project = Project.written(bench.folder("dango"), [from_code("load", resource, rows=rows)])
        label = "dlt with Parquet files" if file_format else "dlt as it is"
        return Contest({
            "reference": _into(bench, label, reference, _of_dicts("raw", resource, rows)),
            "dango": synced(bench, project, _of_dicts("raw_load", resource, rows)),
        })  # fmt: skip

    return contest


def tap(bench: Bench, rows: int) -> Contest:
    """A Singer tap → DuckDB, against dlt that yields the same as dicts, as it is; and a source of Arrow tables."""
    reference = script("dlt_script", bench.folder("reference"), "warehouse.duckdb", "flat", rows)
    source = {"name": "load", "type": "singer", "singer": {"tap": str(bench.data.tap(rows))}}
    project = Project.written(bench.folder("dango"), [source])
    of_tables = from_code("load", "tables", rows=rows, select=FLAT.select)
    arrow = synced(bench, Project.written(bench.folder("arrow"), [of_tables]), _of_dicts("raw_load", "flat", rows))
    return Contest({
        "reference": _into(bench, "dlt as it is, with dicts", reference, _of_dicts("raw", "flat", rows)),
        "dango": synced(bench, project, _of_dicts("raw_load", "flat", rows)),
        "arrow": replace(arrow, label="dango, Arrow tables of a source of its own"),
    })  # fmt: skip


def tap_small(bench: Bench, rows: int) -> Contest:
    """What dango takes beside a tap that itself takes nearly nothing: its streams are known, and its rows are few."""
    tap = bench.data.tap(rows)
    project = Project.written(bench.folder("dango"), [{"name": "load", "type": "singer", "singer": {"tap": str(tap)}}])
    alone = Command((str(tap),), bench.folder("reference"), ours())
    return Contest({
        "reference": Contestant("the tap", alone),
        "dango": Contestant("dango sync, again", project.dango("sync")),
    })  # fmt: skip


def dicts_memory(bench: Bench, rows: int) -> Contest:
    """Dicts against a tenth of them."""

    def dango(folder: str, rows: int) -> Contestant:
        project = Project.written(bench.folder(folder), [from_code("load", "flat", rows=rows)])
        return synced(bench, project, _of_dicts("raw_load", "flat", rows))

    return Contest({
        "reference": replace(dango("tenth", rows // 10), label="dango, a tenth of the rows"),
        "dango": dango("dango", rows),
    })  # fmt: skip


def side_by_side(bench: Bench, rows: int) -> Contest:
    """Eight tables of a PostgreSQL database → DuckDB, a source each."""
    names = [bench.data.in_postgres(bench.server, LINEITEM, rows, f"s{n}") for n in range(8)]
    with bench.server.cursor() as cursor:
        for n, name in enumerate(names):
            cursor.execute(f"CREATE OR REPLACE VIEW t{n} AS SELECT * FROM s{n}.{name}")
    pairs = [from_postgres(f"t{n}", bench.server, [f"t{n}"]) for n in range(8)]
    secrets = {key: value for _, section in pairs for key, value in section.items()}
    right = [(f"raw_t{n}.t{n}", LINEITEM, rows) for n in range(8)]
    url = bench.server.url.replace("postgresql:", "postgresql+psycopg2:")
    reference = script(
        "one_after_the_other", bench.folder("reference"), "warehouse.duckdb", url, *(f"t{n}" for n in range(8))
    )

    def dango(folder: str, jobs: int) -> Contestant:
        project = Project.written(bench.folder(folder), [source for source, _ in pairs], secrets)
        label = f"dango --jobs {jobs}"
        return replace(synced(bench, project, right, "--jobs", str(jobs)), label=label)

    return Contest({
        "reference": _into(bench, "one after the other in one process", reference, right),
        "dango": dango("dango", 2),
        "one_job": dango("one_job", 1),
    })  # fmt: skip


def side_by_side_dicts(bench: Bench, rows: int) -> Contest:
    """Eight sources of dicts → DuckDB, against the same without `--jobs`."""
    sources = [from_code(f"s{n}", "flat", rows=rows) for n in range(8)]
    right = [(f"raw_s{n}.flat", FLAT, rows) for n in range(8)]

    def dango(folder: str, jobs: int) -> Contestant:
        project = Project.written(bench.folder(folder), sources)
        return replace(synced(bench, project, right, "--jobs", str(jobs)), label=f"dango --jobs {jobs}")

    return Contest({"reference": dango("reference", 1), "dango": dango("dango", 2)})


Held = tuple[str, Table, int]
"""A relation, and which table with how many rows it should be."""


def _parent_and_child(table: str, rows: int, dataset: str = "raw_load") -> list[Held]:
    children = _CHILDREN.format(table=table).replace("raw_load.", f"{dataset}.")
    return [(f"{dataset}.{table}", DOCUMENTS, rows), (children, ITEMS, rows)]


def _of_dicts(dataset: str, resource: str, rows: int) -> list[Held]:
    if resource == "documents":
        return _parent_and_child("documents", rows, dataset)
    return [(f"{dataset}.{resource}", FLAT, rows)]


def synced(bench: Bench, project: Project, right: Iterable[Held], *words: str) -> Contestant:
    """A sync of a project from the beginning, after which these tables hold what they should."""
    return Contestant(
        "dango", project.dango("sync", *words), project.reset, lambda: _all_right(bench, project.warehouse, right)
    )


def _into(bench: Bench, label: str, command: Command, right: Iterable[Held]) -> Contestant:
    """A command that fills `warehouse.duckdb` in its own, empty folder."""
    warehouse = command.folder / "warehouse.duckdb"
    return Contestant(label, command, lambda: _emptied(command.folder), lambda: _all_right(bench, warehouse, right))


def _emptied(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def _all_right(bench: Bench, warehouse: Path, right: Iterable[Held]) -> None:
    for relation, table, rows in right:
        _right(truth.of_duckdb(warehouse, relation, table.kinds), bench, table, rows)


def _right(found: truth.Content, bench: Bench, table: Table, rows: int) -> None:
    truth.require(table.name, found, bench.data.content(table, rows))


def _as_tenth(contestant: Contestant) -> Contestant:
    return replace(contestant, label="dango, a tenth of the rows", rounds=1)

"""The same sync on a Ray cluster and here. Ray's own start is left out on both sides: what is measured lies between the
first event of a sync and its last result, as its log has them."""

from __future__ import annotations

import datetime as dt
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bench.bench import Bench
from bench.data import FLAT, LINEITEM
from bench.loads import synced
from bench.measure import BenchError, Command, Contest, Contestant, Sample, Unable
from bench.projects import Project, from_code, from_postgres
from tests.cluster.running import Cluster, started
from tests.postgres_server import Postgres

DICTS, SMALL, PARTS, RESOURCES = 64, 200, 16, 8
MANY, MANY_AT_A_TIME = 1000, 4


def sources(bench: Bench, rows: int) -> Contest:
    """Sources of so many dicts each, into PostgreSQL."""
    return _contest(bench, [from_code(f"s{n}", "flat", rows=rows) for n in range(DICTS)], rows, 1.0)


def overhead(bench: Bench, rows: int) -> Contest:
    """Sources of hardly any rows: the seconds of each are what a task costs."""
    return _contest(bench, [from_code(f"s{n}", "flat", rows=rows) for n in range(SMALL)], rows, 1 / SMALL)


def parts(bench: Bench, rows: int) -> Contest:
    """A table of a PostgreSQL database in ranges of its key, which has an index, and at once."""
    name = bench.data.in_postgres(bench.server, LINEITEM, rows)
    with bench.server.cursor() as cursor:
        cursor.execute(f"CREATE INDEX IF NOT EXISTS {name}_key ON {name} (l_orderkey)")

    def dango(folder: str, hints: dict[str, Any], label: str) -> Contestant:
        source, section = from_postgres("load", bench.server, {name: {"write_disposition": "append", **hints}})
        project = Project.written(bench.folder(folder), [source], section)
        return replace(synced(bench, project, [(f"raw_load.{name}", LINEITEM, rows)]), label=label)

    return Contest({
        "reference": dango("whole", {}, "dango, one job"),
        "dango": dango("parts", {"split": {"column": "l_orderkey", "ranges": PARTS}}, f"dango, {PARTS} parts"),
    })  # fmt: skip


def resources(bench: Bench, rows: int) -> Contest:
    """A source of several resources of dicts, each by itself, and at once."""
    source = from_code("load", "several", resources=RESOURCES, rows=rows)
    right = [(f"raw_load.flat_{n}", FLAT, rows) for n in range(RESOURCES)]

    def dango(folder: str, split: dict[str, str], label: str) -> Contestant:
        project = Project.written(bench.folder(folder), [source | split])
        return replace(synced(bench, project, right), label=label)

    return Contest({
        "reference": dango("whole", {}, "dango, one job"),
        "dango": dango("apart", {"split": "resources"}, f"dango, {RESOURCES} resources"),
    })  # fmt: skip


def nothing_new(bench: Bench, rows: int) -> Contest:
    """A thousand sources whose rows were loaded before: four at a time here, and on a cluster's four workers."""
    cluster, database = _cluster(bench, MANY_AT_A_TIME), bench.database("many")
    blocks = [from_code(f"s{n}", "orders", rows=rows) for n in range(MANY)]
    project = Project.written(bench.folder("many"), blocks, destination=database)
    here = ("--jobs", str(MANY_AT_A_TIME))
    project.synced(*here)

    def dango(*words: str) -> Contestant:
        command = _within(cluster, project.dango("sync", *words))
        return Contestant(
            f"dango {' '.join(words)}",
            command,
            check=lambda: _require_rows(database, MANY, "orders", rows),
            read=_between(project, 1.0),
        )

    return Contest({"reference": dango(*here), "dango": dango("--on", "auto")})


def _contest(bench: Bench, blocks: list[dict[str, object]], rows: int, share: float) -> Contest:
    cluster = _cluster(bench, 2)

    def dango(folder: str, *words: str) -> Contestant:
        database = bench.database(folder)
        project = Project.written(bench.folder(folder), blocks, destination=database)

        def prepare() -> None:
            project.reset()
            bench.emptied(database)

        def right() -> None:
            _require_rows(database, len(blocks), "flat", rows)

        command = _within(cluster, project.dango("sync", *words))
        return Contestant(f"dango {' '.join(words)}", command, prepare, right, _between(project, share))

    return Contest({"reference": dango("here", "--jobs", "2"), "dango": dango("there", "--on", "auto")})


def _cluster(bench: Bench, processors: int) -> Cluster:
    """Raises `Unable` without Ray."""
    if importlib.util.find_spec("ray") is None:
        raise Unable("no Ray here (pip install 'dango[ray]')")
    return bench.stack.enter_context(started(processors))


def _within(cluster: Cluster, command: Command) -> Command:
    return replace(command, environment={**command.environment, **cluster.env})


def _require_rows(database: Postgres, sources: int, table: str, rows: int) -> None:
    """Raises `BenchError` where a source's table has not just its rows."""
    with database.cursor() as cursor:
        for n in range(sources):
            cursor.execute(f"SELECT count(*), count(DISTINCT id) FROM raw_s{n}.{table}")
            if cursor.fetchone() != (rows, rows):
                raise BenchError(f"s{n} has not {rows:,} rows")


def _between(project: Project, share: float) -> Callable[[str], Sample]:
    """The seconds between the first line of the newest log and its last, times a share."""

    def read(said: str) -> Sample:
        lines = max((project.state / "logs").glob("*.log")).read_text().splitlines()
        first, *_ = (dt.datetime.fromisoformat(line.partition(" ")[0]) for line in lines)
        last = max(dt.datetime.fromisoformat(line.partition(" ")[0]) for line in lines)
        return {"wall": (last - first).total_seconds() * share}

    return read

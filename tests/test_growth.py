"""What stays in `.dango/`: it keeps its size, however often one syncs."""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dango.history import History
from dango.job import RunError, RunResult, TableResult, as_json
from tests.conftest import native, sources

START = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)

# What `dango sync` does: forty interpreters less, each of which would import what a command needs.
SYNCS = """\
import sys
from dango.log import Log
from dango.project import Project
from dango.runner import Request, plan, run

project = Project.at(".")
for _ in range(int(sys.argv[1])):
    jobs = plan(project, [], Request())
    with Log(project.state / "logs", jobs[0].run, "text") as log:
        for result in run(project, jobs, log.event):
            log.result(result)
            assert (result.status, result.rows) == ("ok", 10), result
"""
SHOP = """\
import dlt

@dlt.resource(primary_key="id")
def rows(id=dlt.sources.incremental("id", initial_value=0)):
    yield [{"id": id.last_value + number, "name": str(number)} for number in range(1, 11)]
"""


def size(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_the_project_keeps_its_size_however_often_it_is_synced(root: Path, write: Callable[..., None]) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": SHOP})

    def sync(times: int) -> int:
        subprocess.run(
            [sys.executable, "-c", SYNCS, str(times)], cwd=root, check=True, timeout=600,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        return size(root / ".dango")

    # Beyond thirty even the logs are as many as ever.
    ten, forty = sync(10), sync(30)
    assert forty <= 1.1 * ten, (ten, forty)
    assert len(list((root / ".dango" / "logs").iterdir())) == 30


def test_the_history_has_room_for_a_hundred_runs_from_the_first(tmp_path: Path) -> None:
    history = History(tmp_path)
    sizes = []
    for number in range(100):
        tables = (TableResult("orders", number, 100, seconds=0.1), TableResult("orders__lines", number, 300))
        started = START + dt.timedelta(minutes=number)
        history.record(RunResult(f"r{number}", "shop", "ok", started, 1.5, "duckdb", "raw_shop", tables))
        sizes.append(size(tmp_path))
    assert sizes[-1] == sizes[0] < 200_000


def test_a_history_of_an_older_dango_is_read(tmp_path: Path) -> None:
    history = History(tmp_path)
    error = RunError("HTTPError", "503", traceback="line\n")
    past = RunResult("r1", "shop", "failed", START, 1.5, "duckdb", "raw_shop", (TableResult("t", 3),), error)
    history.record(past)
    with sqlite3.connect(history.file) as database:
        database.execute("DROP TABLE turns")
        database.execute("CREATE INDEX runs_by_start ON runs (started)")
        database.execute("UPDATE runs SET result = ?", (json.dumps({**as_json(past), "started": START.isoformat()}),))
    assert history.run("r1") == history.runs()[0] == list(history.last().values()) == [past]

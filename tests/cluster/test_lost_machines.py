"""Machines of a cluster are lost under a sync, at any instant: by the destination, each row is there once.

`make faults-cluster` kills fifty times; CLUSTER_KILLS=7 seven times.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dango import runner
from dango.job import Job, RunResult
from dango.project import Project
from tests.cluster.running import Cluster
from tests.cluster.test_on_cluster import processes, until
from tests.conftest import Said
from tests.postgres_server import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.xdist_group("ray")]

# Each is a whole page of rows that only a sync of its own brings; without a cursor, a second load would double them.
SHOP = """
import dlt, os, time

@dlt.resource(write_disposition="append")
def rows(pages=20, seconds=0.2):
    for page in range(pages):
        yield [{"id": page * 100 + n, "parts": [{"n": n}]} for n in range(100)]
        time.sleep(seconds)
"""
PAGES = 20


@pytest.fixture(autouse=True)
def _shop(write: Callable[..., None], postgres: Postgres) -> None:
    block = "{name: shop, type: dlt_native, dlt_native: {source_module: shop, source_function: rows}}"
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\n"
        f"sources:\n  - {block}\n",
        "custom_sources/shop.py": SHOP,
        ".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{postgres.url}"\n',
    })  # fmt: skip


@contextmanager
def _syncing(root: Path, cluster: Cluster) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "dango", "sync", "--on", "auto"]
    process = subprocess.Popen(
        command, cwd=root, env={**os.environ, **cluster.env}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def held(postgres: Postgres) -> tuple[int, int, int]:
    """How many rows there are, how many of them are different, and how many rows are nested in them."""
    with postgres.cursor() as cursor:
        cursor.execute("SELECT to_regclass('raw_shop.rows') IS NOT NULL")
        if not cursor.fetchone()[0]:
            return 0, 0, 0
        cursor.execute("SELECT count(*), count(DISTINCT id) FROM raw_shop.rows")
        rows, different = cursor.fetchone()
        cursor.execute("SELECT count(*) FROM raw_shop.rows__parts")
        return rows, different, cursor.fetchone()[0]


def logged(root: Path) -> str:
    """What the log of the only run says."""
    (log,) = (root / ".dango/logs").glob("*.log")
    return log.read_text()


ONCE = (PAGES * 100,) * 3


def test_a_worker_that_is_killed_is_begun_again(root: Path, cluster: Cluster, postgres: Postgres) -> None:
    with _syncing(root, cluster) as process:
        until(lambda: bool(processes("dango shop")))
        time.sleep(2)
        for pid in processes("dango shop"):
            os.kill(pid, signal.SIGKILL)
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert "its machine was lost (WorkerCrashedError); it is begun again" in logged(root)
    assert held(postgres) == ONCE, out + err


@pytest.mark.parametrize("what", ["node", "raylet"])
def test_a_node_that_is_lost_takes_nothing_with_it_and_its_orphans_do_no_harm(
    root: Path, cluster: Cluster, postgres: Postgres, what: str
) -> None:
    with _syncing(root, cluster) as process:
        until(lambda: bool(processes("dango shop")))
        time.sleep(2)
        cluster.lose(what)
        out, err = process.communicate(timeout=180)
    assert process.returncode == 0, out + err
    # A daemon that is gone alone takes no worker with it, and what that one loads counts.
    assert what == "raylet" or "it is begun again" in logged(root)
    assert held(postgres) == ONCE, err


def test_a_driver_that_is_killed_leaves_nothing_half_done(
    root: Path, cluster: Cluster, postgres: Postgres, dango: Callable[..., Said]
) -> None:
    with _syncing(root, cluster) as process:
        until(lambda: bool(processes("dango shop")))
        time.sleep(2)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    until(lambda: not processes("dango shop"), 60)
    assert held(postgres) in ((0, 0, 0), ONCE)
    before = held(postgres)[0]
    said = dango("sync", "--on", "auto", "--wait", "90", env=cluster.env, timeout=180)
    assert said.code == 0, said.err
    rows, different, nested = held(postgres)
    # A new sync of what has no cursor appends once more.
    assert (rows, different, nested) == (before + ONCE[0], ONCE[0], before + ONCE[0])
    history = dango("history", "--json").json["runs"]
    assert [each["status"] for run in history for each in run] == ["ok", "crashed"]


def test_what_an_attempt_has_loaded_that_was_lost_is_not_loaded_again(root: Path, postgres: Postgres) -> None:
    """Between its commit and the news of it: the one instant at which a second attempt would double all rows."""
    project = Project(root)
    (job,) = runner.plan(project, [], runner.Request())
    (first,) = _ran(project, job)
    assert (first.status, held(postgres)) == ("ok", ONCE)
    # On another node, which has nothing of what the first one had.
    (root / ".dango/pipelines").rename(root / "gone")
    (second,) = _ran(project, replace(job, attempt=2))
    assert (second.status, second.rows, held(postgres)) == ("ok", first.rows, ONCE)
    (third,) = _ran(project, replace(job, run="another", attempt=2))
    assert third.status == "ok" and held(postgres)[0] == 2 * ONCE[0]


# Each sync brings the next rows, so that one that is lost or doubled shows in the sums, however many syncs there were.
NEXT = """
import dlt, time

@dlt.resource(write_disposition="append")
def rows(id=dlt.sources.incremental("id", initial_value=0)):
    first = id.last_value + 1
    for page in range(5):
        yield [{"id": first + page * 20 + n, "parts": [{"n": n}]} for n in range(20)]
        time.sleep(0.2)
"""


def test_kills_at_any_instant(
    root: Path, cluster: Cluster, postgres: Postgres, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"custom_sources/shop.py": NEXT})
    seed = os.environ.get("CLUSTER_SEED", str(os.getpid()))
    chance, kills = random.Random(seed), int(os.environ.get("CLUSTER_KILLS", "2"))
    for nth in range(kills):
        before = held(postgres)[0]
        what = chance.choice(("worker", "worker", "worker", "node", "raylet", "driver"))
        told = f"kill {nth} of {kills}, seed {seed}: {what}"
        with _syncing(root, cluster) as process:
            until(lambda: bool(processes("dango shop")))
            time.sleep(chance.uniform(0, 4))
            if what == "driver":
                os.killpg(process.pid, signal.SIGKILL)
            elif what == "worker":
                for pid in processes("dango shop"):
                    os.kill(pid, signal.SIGKILL)
            else:
                cluster.lose(what)
            _, err = process.communicate(timeout=180)
        assert what == "driver" or process.returncode == 0, (told, err)
        if what == "driver":
            until(lambda: not processes("dango shop"))
        rows, different, nested = held(postgres)
        assert rows == different == nested, told
        assert rows - before in ((0, 100) if what == "driver" else (100,)), (told, err)
    said = dango("sync", "--on", "auto", "--wait", "90", env=cluster.env, timeout=180)
    assert said.code == 0, said.err
    with postgres.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT id), max(id) FROM raw_shop.rows")
        rows, different, last = cursor.fetchone()
    assert rows == different == last


def _ran(project: Project, job: Job) -> list[RunResult]:
    return list(runner.run(project, [job], lambda event: None))


def test_another_attempt_does_not_wait_for_the_one_before_and_another_run_does(root: Path, postgres: Postgres) -> None:
    project = Project(root)
    (job,) = runner.plan(project, [], runner.Request())
    assert [result.status for result in _ran(project, job)] == ["ok"]

    def lost() -> None:
        """The attempt was on another machine, a moment ago, and had loaded nothing."""
        with postgres.cursor() as cursor:
            cursor.execute("UPDATE raw_shop._dango_lease SET holder = 'far:1', beat = clock_timestamp(), loaded = NULL")

    lost()
    assert [result.status for result in _ran(project, replace(job, run="another"))] == ["held"]
    assert [result.status for result in _ran(project, replace(job, attempt=2))] == ["ok"]

"""Many at once: one writer a source, each row once, and who is in the way is told."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dango.history import History
from tests.conftest import Said, native, sources
from tests.faults.running import at_work, ended, into_postgres, start, wait_until
from tests.fixtures_postgres import Postgres

pytestmark = pytest.mark.slow

Write = Callable[..., None]
Rows = Callable[[str], list[Any]]

# Each sync brings the next ten rows, so that a row that is lost or doubled shows in the sums.
SHOP = """
import os
import pathlib
import time
import dlt

@dlt.resource
def rows(id=dlt.sources.incremental("id", initial_value=0)):
    first = id.last_value + 1
    yield [{"id": n, "items": [{"n": n}]} for n in range(first, first + 10)]
    if "STUCK" in os.environ:
        pathlib.Path("here").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.02)
"""

READER = """
import sys, time
import duckdb
with duckdb.connect(sys.argv[1], read_only=True):
    print("open", flush=True)
    time.sleep(float(sys.argv[2]))
"""

# A dashboard that looks every quarter of a second, and is gone again at once.
DASHBOARD = """
import sys, time
import duckdb
while True:
    try:
        with duckdb.connect(sys.argv[1], read_only=True):
            time.sleep(0.1)
    except duckdb.IOException:
        pass
    print("open", flush=True)
    time.sleep(0.15)
"""


def project(*names: str) -> dict[str, str]:
    return {"sources": sources(*map(native, names)), "custom_sources/shop.py": SHOP}


@contextmanager
def reading(root: Path, program: str = READER, seconds: float = 120) -> Iterator[subprocess.Popen[str]]:
    """Another process, a notebook say, that has the project's database open."""
    command = [sys.executable, "-c", program, str(root / "data" / "warehouse.duckdb"), str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        assert reader.stdout.readline() == "open\n"
        yield reader
        reader.kill()


def test_a_lock_is_free_at_once_when_its_holder_is_killed_and_its_file_stays(
    root: Path, write: Write, rows: Rows
) -> None:
    write(project("shop"))
    assert ended(start(root, "sync")).code == 0
    locks = {file: file.stat().st_ino for file in (root / ".dango" / "locks").glob("*.lock")}
    assert len(locks) == 2, "one of the source, one of the database"

    for victim in ("worker", "command"):
        (root / "here").unlink(missing_ok=True)
        stuck = start(root, "sync", STUCK="")
        wait_until((root / "here").exists, stuck)
        refused = ended(start(root, "sync"))
        assert refused.code == 4
        found = re.search(r"source `shop` is held by process (\d+) since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", refused.err)
        assert found, refused.err
        worker = int(found[1])
        assert worker in set(at_work(root)) - {stuck.pid}
        if victim == "worker":
            subprocess.run(["kill", "-9", str(worker)], check=True)
            assert ended(stuck).code == 1
        else:
            stuck.kill()
            stuck.communicate()
        # The worker of a command that was killed ends by itself, in a moment.
        assert ended(start(root, "sync", "--wait", "2")).code == 0
        assert at_work(root) == []
    assert {file: file.stat().st_ino for file in locks} == locks
    assert rows("SELECT count(*), count(DISTINCT id), max(id) FROM raw_shop.rows") == [(30, 30, 30)]


def test_who_waits_works_when_it_is_free_and_gives_up_when_the_time_is_over(
    root: Path, write: Write, rows: Rows
) -> None:
    write(project("shop"))
    stuck = start(root, "sync", STUCK="")
    wait_until((root / "here").exists, stuck)
    begun = time.monotonic()
    refused = ended(start(root, "sync", "--wait", "3"))
    assert refused.code == 4
    assert "held by process" in refused.err
    assert 3 < time.monotonic() - begun < 30
    waiting = start(root, "sync", "--wait", "60")
    time.sleep(2)
    assert waiting.poll() is None
    (root / "go").touch()
    assert [ended(stuck).code, ended(waiting).code] == [0, 0]
    assert rows("SELECT count(*), count(DISTINCT id), max(id) FROM raw_shop.rows") == [(20, 20, 20)]


def rushed(root: Path, names: list[str], processes: int, **environment: str) -> list[tuple[bool, Said]]:
    """How syncs of two neighbouring sources each ended that ran all at once; whether each of them had to wait."""
    started = []
    for number in range(processes):
        patient = number % 2 == 0
        chosen = (names[number % len(names)], names[(number + 1) % len(names)])
        wait = ["--wait", "500"] if patient else []
        started.append((patient, start(root, "sync", *chosen, "--json", *wait, **environment)))
    return [(patient, ended(process, 500)) for patient, process in started]


def successes(said: list[tuple[bool, Said]]) -> Counter[str]:
    """How many syncs of each source brought their ten rows; every other one was refused because it was held."""
    counted: Counter[str] = Counter()
    for patient, one in said:
        assert one.code in ({0} if patient else {0, 3, 4}), (one.out, one.err)
        for result in one.json["results"]:
            assert result["status"] in ("ok", "held"), result
            if result["status"] == "ok":
                assert {table["rows"] for table in result["tables"]} == {10}
                counted[result["source"]] += 1
            else:
                assert re.search(r"is held by process \d+", result["error"]["message"])
    return counted


def test_twenty_syncs_of_overlapping_sources_load_each_row_once(
    root: Path, write: Write, rows: Rows, record_property: Callable[..., None]
) -> None:
    names = ["one", "two", "three", "four"]
    write(project(*names))
    begun = time.monotonic()
    said = rushed(root, names, 20)
    done = successes(said)
    codes = Counter(one.code for _, one in said)
    record_property("figure", f"20 syncs at once: exit codes {dict(codes)}, {time.monotonic() - begun:.0f} s")
    assert set(done) == set(names)
    for name in names:
        times = 10 * done[name]
        assert rows(f"SELECT count(*), count(DISTINCT id), max(id) FROM raw_{name}.rows") == [(times,) * 3]
        assert rows(f"SELECT count(*), count(DISTINCT n) FROM raw_{name}.rows__items") == [(times,) * 2]
        loads = f"SELECT count(*), count(DISTINCT load_id) FROM raw_{name}._dlt_loads"
        assert rows(loads) == [(done[name],) * 2]
    runs = History(root / ".dango").runs(limit=100)
    assert len(runs) == 20
    assert {result.status for run in runs for result in run} <= {"ok", "held"}
    assert at_work(root) == []


@pytest.mark.postgres
def test_syncs_at_once_into_postgresql_load_each_row_once(root: Path, write: Write, postgres: Postgres) -> None:
    names = ["one", "two", "three"]
    write({**project(), "sources": into_postgres(*map(native, names))})
    done = successes(rushed(root, names, 9, LAKE=postgres.url))
    assert set(done) == set(names)
    with postgres.cursor() as cursor:
        for name in names:
            cursor.execute(f"SELECT count(*), count(DISTINCT id), max(id) FROM raw_{name}.rows")
            assert cursor.fetchall() == [(10 * done[name],) * 3]
            cursor.execute(f"SELECT count(*), count(DISTINCT n) FROM raw_{name}.rows__items")
            assert cursor.fetchall() == [(10 * done[name],) * 2]


@pytest.mark.parametrize("when", ["before the sync", "while it extracts"])
def test_a_notebook_that_has_the_database_open_is_waited_for_and_then_named(
    when: str, root: Path, write: Write, rows: Rows
) -> None:
    write(project("shop"))
    assert ended(start(root, "sync")).code == 0
    begun = time.monotonic()
    early = start(root, "sync", "--wait", "3", STUCK="") if when == "while it extracts" else None
    if early:
        wait_until((root / "here").exists, early)
    with reading(root) as notebook:
        (root / "go").touch()
        said = ended(early or start(root, "sync", "--wait", "3"))
        assert said.code == 4, said.err
        assert f"held by process {notebook.pid}" in said.err
        assert 3 < time.monotonic() - begun < 30
    assert ended(start(root, "sync")).code == 0
    # What was extracted is loaded first; then the sync goes on from there.
    assert rows("SELECT count(*), count(DISTINCT id), max(id) FROM raw_shop.rows") == [(30,) * 3]


@pytest.mark.parametrize("when", ["before the sync", "while it extracts"])
def test_a_notebook_that_closes_the_database_in_time_stops_nobody(
    when: str, root: Path, write: Write, rows: Rows
) -> None:
    write(project("shop"))
    assert ended(start(root, "sync")).code == 0
    sync = start(root, "sync", STUCK="") if when == "while it extracts" else None
    if sync:
        wait_until((root / "here").exists, sync)
    with reading(root, seconds=8):
        (root / "go").touch()
        said = ended(sync or start(root, "sync"))
    assert said.code == 0, said.err
    assert rows("SELECT count(*), count(DISTINCT id), max(id) FROM raw_shop.rows") == [(20, 20, 20)]


def test_a_dashboard_that_looks_again_and_again_stops_nobody(root: Path, write: Write, rows: Rows) -> None:
    write(project("shop"))
    assert ended(start(root, "sync")).code == 0
    with reading(root, DASHBOARD):
        for _ in range(3):
            said = ended(start(root, "sync"))
            assert said.code == 0, said.err
    assert rows("SELECT count(*), count(DISTINCT id), max(id) FROM raw_shop.rows") == [(40, 40, 40)]


def test_a_source_that_extracts_for_long_keeps_no_other_waiting(root: Path, write: Write, rows: Rows) -> None:
    write(project("slow", "quick"))
    assert ended(start(root, "sync")).code == 0
    slow = start(root, "sync", "slow", STUCK="")
    wait_until((root / "here").exists, slow)
    # Without a second of patience: neither the database nor anything else may be held while a source extracts.
    quick = ended(start(root, "sync", "quick", "--wait", "0"))
    assert quick.code == 0, quick.err
    slow.send_signal(signal.SIGINT)
    assert ended(slow).code == 130
    assert rows("SELECT count(*) FROM raw_quick.rows") == [(20,)]

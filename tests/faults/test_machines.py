"""Two machines over one PostgreSQL: they share no kernel and no folder, and still each row is there once."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import psycopg2
import pytest

from tests.conftest import native
from tests.faults.running import at_work, ended, into_postgres, start, wait_until
from tests.fixtures_postgres import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.postgres]

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


@pytest.fixture
def machines(tmp_path: Path, postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two copies of a project, as on two machines, over one PostgreSQL."""
    copies = tmp_path / "here", tmp_path / "there"
    for copy in copies:
        for name, text in {".dango/sources.yml": into_postgres(native("shop")), "custom_sources/shop.py": SHOP}.items():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            (copy / name).write_text(text)
    monkeypatch.setenv("LAKE", postgres.url)
    return copies


def exact(postgres: Postgres, syncs: int) -> bool:
    """Whether so many syncs brought their ten rows each, and each row is there once."""
    with postgres.cursor() as cursor:
        cursor.execute("SELECT count(*), count(DISTINCT id), max(id) FROM raw_shop.rows")
        found = cursor.fetchall()
        cursor.execute("SELECT count(*), count(DISTINCT n), max(n) FROM raw_shop.rows__items")
        return bool(found == cursor.fetchall() == [(10 * syncs,) * 3])


def test_two_machines_that_take_turns_load_each_row_once(machines: tuple[Path, Path], postgres: Postgres) -> None:
    for number, turn in enumerate([0, 1, 0, 0, 1, 1, 0], start=1):
        said = ended(start(machines[turn], "sync"))
        assert said.code == 0, said.err
        assert exact(postgres, number)


def test_two_machines_at_once_load_each_row_once(machines: tuple[Path, Path], postgres: Postgres) -> None:
    done = 0
    for _ in range(5):
        patient, hasty = start(machines[0], "sync", "--wait", "120"), start(machines[1], "sync")
        said = ended(hasty)
        assert said.code in (0, 4), said.err
        assert ended(patient).code == 0
        if said.code == 4:
            assert re.search(r"source `shop` is held by process \d+ on \S+ since \d{4}-", said.err), said.err
        done += 1 + (said.code == 0)
        assert exact(postgres, done)
    racing = [(start(machine, "sync", "--wait", "120"), machine) for machine in machines]
    for _ in range(4):
        racing = [(start(machine, "sync", "--wait", "120"), machine) for was, machine in racing if not ended(was).code]
    assert [ended(process).code for process, _ in racing] == [0, 0]
    assert exact(postgres, done + 10)


def test_a_machine_that_slept_through_anothers_sync_loads_nothing_and_then_goes_on(
    machines: tuple[Path, Path], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DANGO_LEASE_SECONDS", "4")
    sleeper, other = machines
    assert ended(start(sleeper, "sync")).code == 0
    asleep = start(sleeper, "sync", STUCK="")
    wait_until((sleeper / "here").exists, asleep)
    # As long as it works, however long that takes, nobody else does.
    assert ended(start(other, "sync", "--wait", "4")).code == 4
    sleeping = at_work(sleeper)
    for process in sleeping:
        os.kill(process, signal.SIGSTOP)
    try:
        assert ended(start(other, "sync", "--wait", "60")).code == 0
        assert exact(postgres, 2)
        (sleeper / "go").touch()
    finally:
        for process in sleeping:
            os.kill(process, signal.SIGCONT)
    said = ended(asleep)
    assert said.code == 4
    assert "source `shop` was taken over by process " in said.err
    assert exact(postgres, 2)
    assert ended(start(sleeper, "sync")).code == 0
    assert exact(postgres, 3)


def test_what_a_killed_machine_had_not_loaded_does_not_come_after_anothers_sync(
    machines: tuple[Path, Path], postgres: Postgres
) -> None:
    killed, other = machines
    assert ended(start(killed, "sync")).code == 0
    with psycopg2.connect(postgres.url) as locker, postgres.cursor() as watcher:
        locker.cursor().execute("LOCK TABLE raw_shop.rows IN ACCESS EXCLUSIVE MODE")
        process = start(killed, "sync")

        def waits() -> bool:
            watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return watcher.fetchone() != (0,)

        wait_until(waits, process)
        for pid in at_work(killed):
            os.kill(pid, signal.SIGKILL)
        process.communicate()
    # The other machine reads the same rows from the source, as it knows of none that wait elsewhere.
    assert ended(start(other, "sync", "--wait", "30")).code == 0
    assert exact(postgres, 2)
    assert ended(start(killed, "sync")).code == 0
    assert exact(postgres, 3)
    assert ended(start(other, "sync")).code == 0
    assert exact(postgres, 4)

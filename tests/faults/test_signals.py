"""Ctrl-C, SIGTERM, SIGHUP in every phase of a sync: it ends at once, leaves nothing behind, the next one is right."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pexpect
import psycopg2
import pytest

from dango.history import History
from tests.conftest import native, sources
from tests.faults.running import at_work, ended, heeds_signals, into_postgres, start, step, stopped, wait_until
from tests.fixtures_postgres import Postgres

pytestmark = pytest.mark.slow

# The promise is two seconds; the rest is the noise of a busy machine.
LIMIT = 2.5
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
ONE_OR_ALL = [
    pytest.param(*told, id=told[0].name, marks=pytest.mark.long if nth else ()) for nth, told in enumerate(SIGNALS)
]


def crossed(*phases: Any) -> list[Any]:
    """Each phase with all signals: with one, in turns, at every change, with the others by `make long`."""
    return [
        pytest.param(phase, *told, id=f"{phase}-{told[0].name}", marks=pytest.mark.long if (turn + nth) % 3 else ())
        for turn, phase in enumerate(phases)
        for nth, told in enumerate(SIGNALS)
    ]


# `batch` says how far time has gone, PHASE where the source gets stuck.
SHOP = """
import os
import pathlib
import signal
import subprocess
import time
import dlt
import pyarrow as pa
from dlt.sources.helpers import requests

PHASE = os.environ.get("PHASE", "")
BULK = 150_000 if PHASE == "normalize" else 6_000_000
TEXTS = pa.array([f"{n * n} of many" for n in range(1_000_000)]) if PHASE == "load" else None

def stuck(where):
    if where == PHASE:
        pathlib.Path("here").touch()
        time.sleep(60)

stuck("import")

def batch():
    return int(pathlib.Path("batch").read_text())

@dlt.source
def shop():
    @dlt.resource(parallelized=PHASE == "in threads")
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        yield [{"id": n, "items": [{"n": n}]} for n in range(1, 3 * batch() + 1)]
        stuck("a page that does not come")
        stuck("in threads")
        if PHASE == "an answer that does not come":
            pathlib.Path("here").touch()
            requests.get(os.environ["SILENT"])
        if PHASE == "a handler of its own":
            signal.signal(signal.SIGTERM, lambda number, frame: None)
            stuck(PHASE)
        if PHASE == "deaf to SIGTERM":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            stuck(PHASE)
        if PHASE == "a deaf child":
            subprocess.Popen(["sh", "-c", "trap '' INT TERM; touch here; sleep 60; :"])
            time.sleep(60)
        while PHASE == "until told to go on" and not pathlib.Path("go").exists():
            pathlib.Path("here").touch()
            time.sleep(0.05)
        while PHASE == "everything is caught":
            try:
                stuck(PHASE)
            except BaseException:
                pass

    @dlt.resource(write_disposition="merge", primary_key="id", parallelized=PHASE == "in threads")
    def customers():
        yield [{"id": n, "batch": batch()} for n in range(1, 4)]
        stuck("in threads")

    @dlt.resource
    def bulk(id=dlt.sources.incremental("id", initial_value=0)):
        if batch() > 1 and PHASE == "normalize":
            yield [{"id": n, "items": [{"n": n}]} for n in range(id.last_value + 1, BULK + 1)]
        elif batch() > 1 and PHASE == "load":
            for first in range(1, BULK + 1, 1_000_000):
                ids = pa.array(range(first, first + 1_000_000))
                yield pa.table({"id": ids, "text": TEXTS, "more": TEXTS, "half": ids.cast(pa.float64())})

    return events, customers, bulk
"""

# Each is stuck where the file `here` comes up, or busy at a step.
BULK = {"normalize": 150_000, "load": 6_000_000}
STUCK = [
    "import", "a page that does not come", "an answer that does not come", "in threads", "everything is caught",
    "a handler of its own", "deaf to SIGTERM", "a deaf child",
]  # fmt: skip


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first batch is loaded."""
    root = tmp_path_factory.mktemp("synced") / "project"
    for name, text in {
        ".dango/sources.yml": sources(native("shop", "shop")),
        "custom_sources/shop.py": SHOP,
        "batch": "1",
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert ended(start(root, "sync")).code == 0
    return root


@pytest.fixture
def project(synced: Path, root: Path) -> Path:
    """That project, a batch later."""
    shutil.copytree(synced, root, dirs_exist_ok=True)
    (root / "batch").write_text("2")
    return root


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes every request and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def loaded(root: Path) -> dict[str, tuple[int, int]]:
    """Rows and distinct keys of each table that has rows."""
    found: dict[str, tuple[int, int]] = {}
    file = root / "data" / "warehouse.duckdb"
    if not file.exists():
        return found
    with duckdb.connect(str(file), read_only=True) as database:
        tables = database.sql("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'raw_shop'").fetchall()
        for (table,) in tables:
            if not table.startswith("_"):
                key = "n" if "__" in table else "id"
                (count,) = database.sql(f"SELECT (count(*), count(DISTINCT {key})) FROM raw_shop.{table}").fetchall()
                found[table] = count[0]
    return {table: count for table, count in found.items() if count[0]}


FIRST = {"events": (3, 3), "events__items": (3, 3), "customers": (3, 3)}
SECOND = {"events": (6, 6), "events__items": (6, 6), "customers": (3, 3)}


def nothing_is_left(root: Path, code: int) -> None:
    """No process, no lock, and the history has the end of the run."""
    end = time.monotonic() + 1
    while (left := at_work(root)) and time.monotonic() < end:
        time.sleep(0.02)
    assert left == []
    last = History(root / ".dango").last()["shop"]
    assert (last.status, last.exit_code) == ("interrupted", code)


@pytest.mark.parametrize(("phase", "number", "code"), crossed(*STUCK))
def test_a_sync_that_waits_for_its_source_ends_when_told_to(
    phase: str, number: signal.Signals, code: int, project: Path, silent: str, record_property: Callable[..., None]
) -> None:
    process = start(project, "sync", PHASE=phase, SILENT=silent)
    wait_until((project / "here").exists, process)
    said, seconds = stopped(process, number)
    record_property("figure", f"{number.name}, {phase}: {seconds:.2f} s")
    assert (said.code, said.err) == (code, "stopped\n")
    assert seconds < LIMIT
    nothing_is_left(project, code)
    assert loaded(project) == FIRST
    again = ended(start(project, "sync"))
    assert again.code == 0, again.err
    assert loaded(project) == SECOND


@pytest.mark.parametrize(("phase", "number", "code"), crossed(*BULK))
def test_a_sync_that_is_busy_ends_when_told_to_and_loads_all_or_nothing(
    phase: str, number: signal.Signals, code: int, project: Path, record_property: Callable[..., None]
) -> None:
    bulk = BULK[phase]
    process = start(project, "sync", PHASE=phase)
    wait_until(lambda: step(project) == phase, process)
    time.sleep(0.3)
    assert step(project) == phase
    said, seconds = stopped(process, number)
    record_property("figure", f"{number.name}, {phase}: {seconds:.2f} s")
    assert (said.code, said.err) == (code, "stopped\n")
    assert seconds < LIMIT
    nothing_is_left(project, code)
    nested = {"bulk__items": (bulk, bulk)} if phase == "normalize" else {}
    everything = {**SECOND, **nested, "bulk": (bulk, bulk)}
    assert loaded(project) in (FIRST, everything)
    again = ended(start(project, "sync", PHASE=phase))
    assert again.code == 0, again.err
    assert loaded(project) == everything


@pytest.mark.postgres
@pytest.mark.parametrize(("number", "code"), ONE_OR_ALL)
def test_a_load_that_waits_for_a_locked_table_of_postgresql_ends_when_told_to(
    number: signal.Signals,
    code: int,
    root: Path,
    write: Callable[..., None],
    postgres: Postgres,
    record_property: Callable[..., None],
) -> None:
    write(
        {
            "sources": into_postgres(native("shop", "shop")),
            "custom_sources/shop.py": SHOP,
            "batch": "1",
        }
    )
    assert ended(start(root, "sync", LAKE=postgres.url)).code == 0
    (root / "batch").write_text("2")
    with psycopg2.connect(postgres.url) as locker, postgres.cursor() as watcher:
        locker.cursor().execute("LOCK TABLE raw_shop.customers IN ACCESS EXCLUSIVE MODE")
        process = start(root, "sync", LAKE=postgres.url)

        def waits() -> bool:
            watcher.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            return watcher.fetchone() != (0,)

        wait_until(waits, process)
        said, seconds = stopped(process, number)
        record_property("figure", f"{number.name}, a locked table of PostgreSQL: {seconds:.2f} s")
        assert (said.code, said.err) == (code, "stopped\n")
        assert seconds < LIMIT
        nothing_is_left(root, code)
        # What the server still does for the ended process it takes back when the lock is gone.
        locker.rollback()
        wait_until(lambda: not waits())

    def counted() -> list[tuple[int, ...]]:
        with postgres.cursor() as cursor:
            found = []
            for table, key in (("events", "id"), ("events__items", "n"), ("customers", "id")):
                cursor.execute(f"SELECT count(*), count(DISTINCT {key}) FROM raw_shop.{table}")
                found += cursor.fetchall()
            return found

    assert counted() == [*FIRST.values()]
    again = ended(start(root, "sync", LAKE=postgres.url))
    assert again.code == 0, again.err
    assert counted() == [*SECOND.values()]


@pytest.mark.parametrize(("number", "code"), ONE_OR_ALL)
def test_a_sync_that_waits_for_another_ends_when_told_to_and_the_other_goes_on(
    number: signal.Signals, code: int, project: Path, record_property: Callable[..., None]
) -> None:
    other = start(project, "sync", PHASE="until told to go on")
    wait_until((project / "here").exists, other)
    waiting = start(project, "sync", "--wait", "60")
    wait_until(lambda: len(list((project / ".dango" / "logs").iterdir())) == 3, waiting)
    time.sleep(1)
    said, seconds = stopped(waiting, number)
    record_property("figure", f"{number.name}, waiting for another sync: {seconds:.2f} s")
    assert (said.code, said.err) == (code, "stopped\n")
    assert seconds < LIMIT
    assert History(project / ".dango").last()["shop"].status == "interrupted"
    (project / "go").touch()
    assert ended(other).code == 0
    assert loaded(project) == SECOND
    assert at_work(project) == []


@pytest.mark.parametrize(("number", "code"), ONE_OR_ALL)
def test_a_sync_that_waits_for_the_database_ends_when_told_to(
    number: signal.Signals, code: int, project: Path, record_property: Callable[..., None]
) -> None:
    with duckdb.connect(str(project / "data" / "warehouse.duckdb"), read_only=True):
        process = start(project, "sync")
        wait_until(lambda: step(project) == "recover", process)
        time.sleep(1.5)
        said, seconds = stopped(process, number)
    record_property("figure", f"{number.name}, waiting for the database: {seconds:.2f} s")
    assert (said.code, said.err) == (code, "stopped\n")
    assert seconds < LIMIT
    nothing_is_left(project, code)
    assert loaded(project) == FIRST
    assert ended(start(project, "sync")).code == 0
    assert loaded(project) == SECOND


@pytest.mark.parametrize(
    ("phase", "pause"),
    [("a page that does not come", 0.0), ("deaf to SIGTERM", 0.0), ("deaf to SIGTERM", 0.4), ("a deaf child", 0.2)],
)
def test_the_impatient_press_ctrl_c_many_times_and_still_nothing_is_left(
    phase: str, pause: float, project: Path
) -> None:
    process = start(project, "sync", PHASE=phase)
    wait_until((project / "here").exists, process)
    said, seconds = stopped(process, *[signal.SIGINT] * 4, pause=pause)
    assert (said.code, said.err) == (130, "stopped\n")
    assert seconds < LIMIT + 3 * pause
    nothing_is_left(project, 130)


def on_a_terminal(root: Path, command: str, *arguments: str) -> pexpect.spawn[str]:
    """Starts a command on a terminal of its own; it is there when the source is."""
    child = pexpect.spawn(
        command, [*arguments], cwd=root, encoding="utf-8", timeout=60, dimensions=(40, 140),
        env={**os.environ, "TERM": "xterm-256color", "PHASE": "a page that does not come"},
        preexec_fn=heeds_signals,
    )  # fmt: skip
    wait_until((root / "here").exists)
    return child


def test_ctrl_c_on_a_terminal_stops_the_sync_and_says_so(project: Path) -> None:
    child = on_a_terminal(project, sys.executable, "-m", "dango", "sync")
    try:
        begun = time.monotonic()
        child.sendintr()
        child.expect(pexpect.EOF)
        seconds = time.monotonic() - begun
    finally:
        child.close()
    assert child.exitstatus == 130
    assert "stopped" in child.before
    assert "Traceback" not in child.before
    # The cursor that the progress hid is there again.
    assert child.before.rfind("\x1b[?25h") >= child.before.rfind("\x1b[?25l")
    assert seconds < LIMIT
    nothing_is_left(project, 130)


def hang_up(child: pexpect.spawn[str]) -> None:
    """Closes the terminal and nothing else. By its own object: a number that is closed twice may be another file's."""
    child.ptyproc.fileobj.close()
    child.ptyproc.closed = child.closed = True


@pytest.mark.parametrize("verbose", [False, True])
def test_a_terminal_that_is_closed_stops_the_sync(project: Path, verbose: bool) -> None:
    child = on_a_terminal(project, sys.executable, "-m", "dango", *(["-v"] if verbose else []), "sync")
    begun = time.monotonic()
    hang_up(child)
    _, status = os.waitpid(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 129
    assert time.monotonic() - begun < LIMIT
    nothing_is_left(project, 129)


def test_a_sync_that_ignores_the_end_of_its_terminal_goes_on(project: Path) -> None:
    script = "trap '' HUP; PHASE='until told to go on' exec \"$@\""
    child = on_a_terminal(project, "sh", "-c", script, "sh", sys.executable, "-m", "dango", "-v", "sync")
    hang_up(child)
    os.kill(child.pid, signal.SIGHUP)
    time.sleep(0.5)
    (project / "go").touch()
    _, status = os.waitpid(child.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert loaded(project) == SECOND
    assert History(project / ".dango").last()["shop"].status == "ok"

"""What is recorded is read back as it was; a run that ended without a word is known by its lock."""

from __future__ import annotations

import datetime as dt
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dango.errors import DangoError
from dango.history import History
from dango.job import FailedRecord, RunError, RunResult, Skipped, TableResult
from dango.lock import lock
from tests.conftest import Said

START = dt.datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=dt.timezone.utc)


def result(run: str = "20240229-120000-abcd", source: str = "shop", status: str = "ok", minutes: int = 0) -> RunResult:
    return RunResult(run, source, status, START + dt.timedelta(minutes=minutes), 1.5, "duckdb", f"raw_{source}")  # type: ignore[arg-type]


words = st.text(max_size=30)
counts = st.integers(0, 2**50)
tables = st.builds(
    TableResult,
    words,
    counts,
    st.none() | counts,
    st.lists(words, max_size=3).map(tuple),
    st.booleans(),
    st.floats(0, 1e6),
    st.lists(words, max_size=3).map(tuple),
    counts,
    st.lists(words, max_size=3).map(tuple),
)
errors = st.builds(RunError, words, words, words, words, words, st.integers(0, 255))
results = st.builds(
    RunResult,
    run=st.text("0123456789-abcdef", min_size=1, max_size=20),
    source=st.from_regex("[a-z][a-z0-9_]{0,47}", fullmatch=True),
    status=st.sampled_from(["ok", "partial", "failed", "held", "interrupted", "crashed"]),
    started=st.datetimes(timezones=st.just(dt.timezone.utc)),
    seconds=st.floats(0, 1e6),
    destination=words,
    dataset=words,
    tables=st.lists(tables, max_size=3).map(tuple),
    error=st.none() | errors,
    skipped=st.lists(st.builds(Skipped, words, errors), max_size=2).map(tuple),
    trial=st.booleans(),
    failed=st.lists(st.builds(FailedRecord, words, words, words, words, words), max_size=3).map(tuple),
    failed_count=counts,
)


@settings(max_examples=60, deadline=None)
@given(results)
def test_a_result_is_read_as_it_was_recorded(given: RunResult) -> None:
    with tempfile.TemporaryDirectory() as folder:
        history = History(Path(folder))
        history.record(given)
        assert history.run(given.run) == [given]
        assert history.last() == {given.source: given}
        assert history.runs() == [[given]]


def test_a_later_result_takes_the_place_of_an_earlier_one(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.record(result(status="failed"))
    history.record(result(status="ok"))
    assert history.runs() == [[result(status="ok")]]


def test_runs_come_newest_first_and_no_more_than_asked_for(tmp_path: Path) -> None:
    history = History(tmp_path)
    for number, run in enumerate(["b", "c", "a"]):
        history.record(result(run, "one", minutes=number))
        history.record(result(run, "two", minutes=number))
    assert [[(r.run, r.source) for r in results] for results in history.runs(2)] == [
        [("a", "one"), ("a", "two")],
        [("c", "one"), ("c", "two")],
    ]


def test_runs_come_in_the_order_in_which_they_began_although_the_clock_was_set_back(tmp_path: Path) -> None:
    history = History(tmp_path)
    for run, minutes in (("b", 0), ("c", -1), ("a", -2)):
        history.record(result(run, status="running", minutes=minutes))
    history.record(result("b", minutes=0))
    assert [results[0].run for results in history.runs()] == ["a", "c", "b"]
    assert history.last()["shop"].run == "a"


def test_last_is_the_newest_result_of_each_source(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.record(result("1", "one", "failed", 0))
    history.record(result("1", "two", "ok", 0))
    history.record(result("2", "one", "ok", 1))
    assert {name: (r.run, r.status) for name, r in history.last().items()} == {"one": ("2", "ok"), "two": ("1", "ok")}


def test_a_run_is_found_by_the_beginning_of_its_name_if_only_one_begins_so(tmp_path: Path) -> None:
    history = History(tmp_path)
    for run in ("20240229-1", "20240229-12", "20240301-1", "%x", "_x"):
        history.record(result(run))
    assert [r.run for r in history.run("202403")] == ["20240301-1"]
    assert [r.run for r in history.run("20240229-1")] == ["20240229-1"]
    assert history.run("202402") == []
    assert history.run("9") == []
    assert [r.run for r in history.run("%")] == ["%x"]
    assert [r.run for r in history.run("_")] == ["_x"]


def test_a_project_that_never_ran_has_no_history_and_gets_no_file(tmp_path: Path) -> None:
    history = History(tmp_path)
    assert (history.runs(), history.run("x"), history.last()) == ([], [], {})
    assert list(tmp_path.iterdir()) == []


def test_a_run_under_way_has_crashed_when_the_process_that_planned_it_is_gone(tmp_path: Path) -> None:
    program = (
        "import sys, datetime as dt; from pathlib import Path; from dango.history import History;"
        "from dango.job import RunResult\n"
        "start = dt.datetime(2024, 2, 29, tzinfo=dt.timezone.utc)\n"
        "History(Path(sys.argv[1])).record(RunResult('r1', 'shop', 'running', start, 0.0))\n"
        "print('recorded', flush=True); sys.stdin.read()\n"
    )
    history = History(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "recorded\n"
    # Its worker has no lock yet, for it takes a second to start.
    assert history.last()["shop"].status == "running"
    process.kill()
    process.communicate()
    # A later run that holds the lock does not bring it back to life.
    with lock(history.lock_file("shop"), "source `shop`"):
        assert history.last()["shop"].status == "crashed"
    crashed = history.last()["shop"]
    assert crashed.status == "crashed"
    assert crashed.error is not None
    assert crashed.error.message == "the process ended without a word"
    assert crashed.exit_code == 1
    assert history.runs() == [[crashed]]


def test_a_history_that_is_no_database_is_named(tmp_path: Path) -> None:
    (tmp_path / "history.sqlite").write_bytes(b"no database at all, but long enough to be looked into" * 20)
    history = History(tmp_path)
    for use in (history.last, history.runs, lambda: history.record(result())):
        with pytest.raises(DangoError) as caught:
            use()
        assert str(caught.value) == f"the history {history.file} cannot be used: file is not a database"
        assert caught.value.hint == "it holds no data of yours; move it away and a new one is made"


def test_a_command_says_that_the_history_is_broken(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": "version: 1\nsources: []\n", ".dango/history.sqlite": "no database at all" * 100})
    for command in ("history", "status"):
        said = dango(command)
        assert (said.code, said.out) == (1, "")
        assert said.told == (
            f"error: the history {root}/.dango/history.sqlite cannot be used: file is not a database\n"
            "  hint: it holds no data of yours; move it away and a new one is made\n"
        )


def test_a_history_on_a_read_only_disk_can_still_be_read(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.record(result())
    history.file.chmod(0o400)
    assert history.runs() == [[result()]]


def test_processes_that_record_at_once_lose_nothing(tmp_path: Path) -> None:
    program = (
        "import sys, datetime as dt; from pathlib import Path; from dango.history import History;"
        "from dango.job import RunResult\n"
        "for number in range(25):\n"
        "    History(Path(sys.argv[1])).record(RunResult(f'{sys.argv[2]}-{number}', 'shop', 'ok',"
        " dt.datetime.now(dt.timezone.utc), 0.0))\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path), name]) for name in "abcd"]
    assert [process.wait(60) for process in started] == [0] * 4
    assert len(History(tmp_path).runs(1000)) == 100


def test_ten_thousand_runs_are_listed_quickly(tmp_path: Path) -> None:
    history = History(tmp_path)
    history.record(result("00000"))
    with sqlite3.connect(history.file) as database:
        (row,) = database.execute("SELECT * FROM runs").fetchall()
        rows = [
            (
                *(f"{number:05}", f"s{number % 50}", "ok", (START + dt.timedelta(minutes=number)).isoformat()),
                *(row[4], row[5], row[6].replace('"shop"', f'"s{number % 50}"'), row[7]),
            )
            for number in range(1, 10_000)
        ]
        database.executemany("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
        database.executemany("INSERT INTO turns (run) VALUES (?)", ((run,) for run, *_ in rows))
    for look, known in ((lambda: history.runs(20), 20), (history.last, 51), (lambda: history.run("0999"), 0)):
        begun = time.monotonic()
        assert len(look()) == known
        assert time.monotonic() - begun < 1

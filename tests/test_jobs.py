"""Sources side by side: as if each were alone, and one writer at a time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dango.workers.executors import cores
from tests.conftest import Said, native, sources

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

# Each is done only when the other has begun.
MEETING = """
import time
from pathlib import Path

def rows(mine, other):
    Path(mine).touch()
    end = time.monotonic() + 60
    while not Path(other).exists():
        if time.monotonic() > end:
            raise TimeoutError("nobody came")
        time.sleep(0.02)
    yield {"id": 1}
"""


def meeting(mine: str, other: str) -> str:
    return native(mine, module="meeting", function_kwargs={"mine": mine, "other": other})


def test_sources_are_read_side_by_side(write: Write, dango: Dango) -> None:
    write({"sources": sources(meeting("a", "b"), meeting("b", "a")), "custom_sources/meeting.py": MEETING})
    said = dango("sync", "--jobs", "2", "--json")
    assert said.code == 0
    assert [result["source"] for result in json.loads(said.out)["results"]] == ["a", "b"]


MANY = """
import os, time

def rows(number, wait=0.0):
    time.sleep(wait)
    if number == 2:
        raise LookupError("the page is gone")
    if number == 4:
        os._exit(9)
    yield from ({"id": n, "of": number} for n in range(number * 10))
"""


def many(number: int, wait: float = 0.0) -> str:
    return native(f"s{number}", module="many", function_kwargs={"number": number, "wait": wait})


@pytest.mark.parametrize("jobs", ["1", "4"])
def test_results_errors_and_rows_are_those_of_one_after_the_other(
    write: Write, dango: Dango, rows: Callable[[str], list[Any]], jobs: str
) -> None:
    blocks = [many(number, wait=0.5 if number == 1 else 0.0) for number in range(1, 8)]
    write({"sources": sources(*blocks), "custom_sources/many.py": MANY})
    said = dango("sync", "--jobs", jobs, "--json")
    assert said.code == 3
    results = json.loads(said.out)["results"]
    assert [(result["source"], result["status"], result["rows"]) for result in results] == [
        ("s1", "ok", 10), ("s2", "failed", 0), ("s3", "ok", 30), ("s4", "crashed", 0),
        ("s5", "ok", 50), ("s6", "ok", 60), ("s7", "ok", 70),
    ]  # fmt: skip
    for number in (1, 3, 5, 6, 7):
        assert rows(f"SELECT count(*), min(of) FROM raw_s{number}.rows") == [(number * 10, number)]


WAITING = """
import time
from pathlib import Path

def rows(name):
    Path(name).touch()
    yield {"id": 1}
    time.sleep(600)
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_all_of_them_within_two_seconds(
    root: Path, write: Write, dango: Dango, number: int, code: int
) -> None:
    names = ["a", "b", "c", "d"]
    blocks = [native(name, module="waiting", function_kwargs={"name": name}) for name in names]
    write({"sources": sources(*blocks), "custom_sources/waiting.py": WAITING})
    command = [sys.executable, "-m", "dango", "sync", "--jobs", "3"]
    # Whoever runs the tests in a shell's background has SIGINT ignored.
    heeding = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    with subprocess.Popen(command, cwd=root, stderr=subprocess.PIPE, text=True, **heeding) as process:
        end = time.monotonic() + 60
        while not all((root / name).exists() for name in names[:3]) and time.monotonic() < end:
            time.sleep(0.02)
        begun = time.monotonic()
        process.send_signal(number)
        try:
            assert process.wait(20) == code
        finally:
            process.kill()
        assert time.monotonic() - begun < 2.0
    assert not (root / "d").exists()
    (run,) = json.loads(dango("history", "--json").out)["runs"]
    assert {result["source"]: result["status"] for result in run} == dict.fromkeys(names[:3], "interrupted")


def test_as_many_at_once_as_there_are_processors() -> None:
    assert cores() == len(os.sched_getaffinity(0))


def test_none_at_once_is_refused(dango: Dango, write: Write) -> None:
    write({"sources": sources(many(1)), "custom_sources/many.py": MANY})
    said = dango("sync", "--jobs", "0")
    assert said.code == 2
    assert "--jobs" in said.err

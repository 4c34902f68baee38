"""`dango history` and `dango status`: every outcome, also of a run that was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources

SHOP = """\
import time

def rows():
    yield {"id": 1}
    yield {"id": 2}

def broken():
    yield {"id": 1}
    raise ValueError("no more")

def slow():
    yield {"id": 1}
    open("begun", "w").close()
    time.sleep(60)
"""


def test_nothing_was_run_yet(write: Callable[..., None], dango: Callable[..., Said]) -> None:
    write({"sources": sources(native("good"), native("off"))})
    assert dango("history").out == "nothing was run yet\n"
    assert dango("history", "--json").json == {"runs": []}
    assert dango("status").out.splitlines()[1].split() == ["good", "never", "run"]
    said = dango("history", "2024")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: no run `2024` in the history")


@pytest.mark.slow
def test_each_outcome_is_listed_and_a_run_is_found_by_its_first_letters(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": sources(native("good"), native("bad", "broken")), "custom_sources/shop.py": SHOP})
    first = dango("sync", "--jobs", "1", "--json").json["run"]
    second = dango("sync", "good", "--json").json["run"]

    listed = dango("history", "--json").json["runs"]
    assert [[(r["run"], r["source"], r["status"]) for r in run] for run in listed] == [
        [(second, "good", "ok")],
        [(first, "good", "ok"), (first, "bad", "failed")],
    ]
    assert len(dango("history", "--limit", "1", "--json").json["runs"]) == 1
    lines = dango("history").out.splitlines()
    assert lines[0].split() == ["run", "source", "status", "rows", "seconds", "started"]
    assert [line.split()[:4] for line in lines[1:]] == [
        [second, "good", "ok", "2"], [first, "good", "ok", "2"], [first, "bad", "failed", "0"],
    ]  # fmt: skip

    one = dango("history", first[:-1])
    assert one.code == 0
    assert "raw_good.rows" in one.out
    assert "error: bad: custom_sources/shop.py:9: ValueError: no more" in one.err
    assert "Traceback" in dango("--debug", "history", first).err
    whole = dango("history", first, "--json").json
    assert whole["run"] == first
    assert [r["error"] and r["error"]["message"] for r in whole["results"]] == [None, "ValueError: no more"]
    several = dango("history", "2")
    assert (several.code, several.out) == (2, "")
    assert several.told == (
        "error: no run `2` in the history, or more than one begins so\n  hint: dango history lists them\n"
    )

    status = dango("status", "--json").json
    assert status["project"] == str(root)
    assert [(s["name"], s["last"]["run"], s["last"]["status"]) for s in status["sources"]] == [
        ("good", second, "ok"), ("bad", first, "failed"),
    ]  # fmt: skip
    assert [line.split()[:2] for line in dango("status").out.splitlines()[1:]] == [["good", "ok"], ["bad", "failed"]]
    assert dango("source", "disable", "bad").code == 0
    assert dango("status").out.splitlines()[2].split()[:2] == ["bad", "disabled"]


def test_a_run_that_was_killed_is_shown_as_crashed_and_the_next_heals(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], rows: Callable[[str], list[Any]]
) -> None:
    write({"sources": sources(native("slow", "slow")), "custom_sources/shop.py": SHOP})
    process = subprocess.Popen(
        [sys.executable, "-m", "dango", "sync"], cwd=root, env=os.environ, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        for _ in range(200):
            if (root / "begun").exists():
                break
            time.sleep(0.05)
        assert dango("status", "--json").json["sources"][0]["last"]["status"] == "running"
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    # The worker has seen its parent go; nothing holds the source any more.
    for _ in range(40):
        last = dango("status", "--json").json["sources"][0]["last"]
        if last["status"] != "running":
            break
        time.sleep(0.05)
    assert last["status"] == "crashed"
    assert "crashed" in dango("history").out
    assert "the process ended without a word" in dango("history", last["run"]).err
    write({"custom_sources/shop.py": SHOP.replace("time.sleep(60)", "pass")})
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_slow.slow") == [(1,)]
    assert [line.split()[2] for line in dango("history").out.splitlines()[1:]] == ["ok", "crashed"]

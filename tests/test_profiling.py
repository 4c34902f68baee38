"""Where the time of a sync went: seen from outside of a function that sleeps, and in a real sync."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dango.paths import TablePath
from dango.profiling import Sampler, Steps, profile
from tests.conftest import Said, native, sources


def test_a_thread_that_waits_for_the_network_is_told_from_one_that_computes() -> None:
    ours, theirs = socket.socketpair()
    sampler = Sampler()
    with sampler.running(), ours, theirs, ours.makefile("rb") as stream:
        threading.Timer(1.0, lambda: theirs.sendall(b"\n")).start()
        stream.readline()
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            json.dumps([None] * 1000, indent=1)
    seconds = sampler.seconds
    assert seconds["network"] > 0.2
    assert seconds["parse"] > 0
    assert list(seconds) == sorted(seconds, key=lambda kind: -seconds[kind])


def test_what_only_waits_for_another_thread_does_not_count() -> None:
    sampler = Sampler()
    with sampler.running():
        thread = threading.Thread(target=lambda: [json.dumps([None] * 1000, indent=1) for _ in range(1000)])
        thread.start()
        thread.join()
        seconds = dict(sampler.seconds)
    assert seconds["parse"] > seconds.get("wait", 0.0)


def test_steps_add_up_in_their_order() -> None:
    steps = Steps("import")
    time.sleep(0.05)
    for step in ("extract", "extract", "log", "load", "extract"):
        steps.note(step)  # type: ignore[arg-type]
        time.sleep(0.02)
    ended = steps.ended()
    assert list(ended) == ["import", "extract", "load"]
    assert ended["import"] >= 0.05
    assert ended["extract"] > ended["load"] >= 0.02


@pytest.mark.parametrize(
    ("kinds", "paths", "said"),
    [
        ({"network": 3.0, "source": 1.0}, [], "waiting for the network"),
        ({"source": 3.0, "load": 1.0}, [], "yield lists"),
        (
            {"load": 1.0},
            [TablePath("orders", "rows", "its column `a` has a type of its own")],
            "orders was read as rows",
        ),
        ({"load": 1.0}, [TablePath("orders", "columnar")], None),
        ({}, [], None),
    ],
)
def test_the_advice_follows_from_what_took_longest(kinds: dict[str, float], paths: list[TablePath], said: str) -> None:
    advice = profile({}, kinds, paths).advice  # type: ignore[arg-type]
    assert (len(advice) == 1 and said in advice[0]) if said else advice == ()


SLOW = """
import time

def rows():
    for number in range(3):
        time.sleep(0.2)
        yield {"id": number}
"""


def test_a_sync_tells_where_its_time_went_when_it_is_asked(
    write: Callable[..., None], dango: Callable[..., Said], root: Path
) -> None:
    write(
        {
            "sources": sources(native("slow", module="slow")),
            "custom_sources/slow.py": SLOW,
        }
    )
    said = dango("sync", "--profile", "--json")
    (result,) = json.loads(said.out)["results"]
    assert list(result["profile"]["steps"]) == [
        "import",
        "recover",
        "resolve",
        "extract",
        "normalize",
        "load",
        "verify",
    ]
    assert result["profile"]["steps"]["extract"] > 0.5
    assert result["profile"]["kinds"]["source"] > 0.2
    shown = dango("sync", "--profile")
    assert "slow: where the" in shown.out
    assert "spent with" in shown.out
    assert sqlite3.connect(root / ".dango" / "history.sqlite").execute(
        "SELECT count(*) FROM runs WHERE json_extract(result, '$.profile') IS NOT NULL"
    ).fetchone() == (0,)
    (plain,) = json.loads(dango("sync", "--json").out)["results"]
    assert plain["profile"] is None

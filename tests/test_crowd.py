"""Everyday commands in a project of many sources and runs say what is so. How fast they are, `make bench` shows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import crowd
from tests.conftest import Said


@pytest.fixture
def many(root: Path) -> Path:
    """A project of two hundred sources with a thousand runs behind it."""
    crowd.project(root, 200, 1000)
    return root


def test_status_and_history_show_the_newest_of_many_runs(many: Path, dango: Callable[..., Said]) -> None:
    shown = dango("status", "--json").json["sources"]
    # A run is of one source, each in its turn: the last two hundred runs are the newest of all.
    newest = [(crowd.START + crowd.EVERY * number).isoformat(timespec="milliseconds") for number in range(800, 1000)]
    assert [source["last"]["started"] for source in shown] == newest
    assert len(dango("source", "list").out.splitlines()) == 201
    runs = dango("history", "--json", "--limit", "30").json["runs"]
    assert [results[0]["started"] for results in runs] == newest[:-31:-1]


@pytest.mark.slow
def test_check_goes_through_two_hundred_sources(many: Path, dango: Callable[..., Said]) -> None:
    said = dango("check")
    assert (said.code, said.out, said.err) == (0, "200 of 200 sources are well\n", "")

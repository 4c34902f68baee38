"""A clock that is behind, here or on another machine: no row is lost or doubled, and no cursor goes back."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dango.history import History
from tests.conftest import Said, native, one_of, sources
from tests.faults import table
from tests.faults.running import ended, into_postgres, start
from tests.fixtures_postgres import Postgres
from tests.killed import killed

pytestmark = pytest.mark.slow

# From the third batch on events have another column, which the schema that is restored has to know.
SHOP = """\
import os

import dlt

LAST = 2 * int(os.environ["BATCH"])

@dlt.source
def shop():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        for n in range(id.last_value + 1, LAST + 1):
            yield {"id": n, "items": [{"n": n}], **({"more": n} if n > 4 else {})}

    @dlt.resource(primary_key="id", write_disposition="merge")
    def customers(batch=dlt.sources.incremental("batch", initial_value=0)):
        yield [{"id": n, "batch": LAST} for n in (1, 2)]

    return events, customers
"""
PROJECT = {"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP}
QUERY = """
SELECT e.id, i.n, (SELECT min(batch) FROM raw_shop.customers) FROM raw_shop.events AS e
    LEFT JOIN raw_shop.events__items AS i ON i._dlt_parent_id = e._dlt_id ORDER BY 1, 2
"""


@pytest.fixture
def behind() -> Callable[[str], dict[str, str]]:
    """The environment of a process whose clock is so much behind: `1d`."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        reason = "no other time for a process here: apt-get install faketime"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return lambda time: {
        "LD_PRELOAD": str(library), "FAKETIME": f"-{time}", "FAKETIME_DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1",
    }  # fmt: skip


def sync(root: Path, batch: int, *arguments: str, **environment: str) -> Said:
    said = ended(start(root, "sync", *arguments, BATCH=str(batch), **environment))
    assert said.code == 0, said.err
    return said


def all_of(batch: int) -> list[tuple[int, int, int]]:
    """What is loaded after a batch."""
    return [(n, n, 2 * batch) for n in range(1, 2 * batch + 1)]


@pytest.mark.parametrize(
    ("name", "time"), one_of(("the clock is set back by a day", "1d"), ("the clock is set back by a year", "1y"))
)
def test_a_clock_that_is_set_back_loses_and_doubles_nothing(
    name: str, time: str, root: Path, write: Callable[..., None], rows: Callable[[str], list[Any]],
    behind: Callable[[str], dict[str, str]],
) -> None:  # fmt: skip
    write(PROJECT)
    sync(root, 1)
    said = sync(root, 2, **behind(time))
    table.told(name, said, root)
    assert rows(QUERY) == all_of(2)
    # What the destination knows is found again, be it newer by its date or not.
    for batch, environment in ((3, behind(time)), (4, behind("30d")), (5, {})):
        sync(root, batch, **environment)
        assert rows(QUERY) == all_of(batch)
        shutil.rmtree(root / ".dango" / "pipelines")
    sync(root, 6, "--fail-on-schema-change", **behind(time))
    assert rows(QUERY) == all_of(6)
    assert rows("SELECT count(*), count(DISTINCT load_id) FROM raw_shop._dlt_loads") == [(6, 6)]
    runs = [results[0].run for results in History(root / ".dango").runs()]
    assert len(runs) == 6
    assert runs != sorted(runs, reverse=True)
    assert History(root / ".dango").last()["shop"].run == runs[0]


def test_a_sync_that_was_killed_before_its_clock_was_set_back_is_taken_up(
    root: Path, write: Callable[..., None], rows: Callable[[str], list[Any]], behind: Callable[[str], dict[str, str]],
) -> None:  # fmt: skip
    write(PROJECT)
    sync(root, 1)
    killed(root, root.parent / "notes", "dango.load.loading:load", "sync", BATCH="2")
    for batch in (3, 4):
        sync(root, batch, **behind("1d"))
        assert rows(QUERY) == all_of(batch)


@pytest.mark.postgres
def test_machines_whose_clocks_differ_take_turns(
    tmp_path: Path, postgres: Postgres, behind: Callable[[str], dict[str, str]]
) -> None:
    machines: Sequence[Path] = (tmp_path / "right", tmp_path / "behind")
    for machine in machines:
        for name, text in {**PROJECT, "sources": into_postgres(native("shop", "shop"))}.items():
            path = machine / (".dango/sources.yml" if name == "sources" else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    clocks: Sequence[dict[str, str]] = ({}, behind("1d"))
    for batch, turn in enumerate((0, 1, 1, 0, 1, 0), start=1):
        said = sync(machines[turn], batch, "--wait", "30", LAKE=postgres.url, **clocks[turn])
        if batch == 3:
            table.told("another machine's clock is a day behind", said, machines[turn])
        with postgres.cursor() as cursor:
            cursor.execute(QUERY)
            assert cursor.fetchall() == all_of(batch)

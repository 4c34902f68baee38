"""Where loaders of this kind have emptied tables: nothing came, and it was taken for the news that nothing is there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, one_of, sources
from tests.faults.running import ended, start, wait_until

pytestmark = pytest.mark.slow

Dango = Callable[..., Said]
Write = Callable[..., None]
Rows = Callable[[str], list[Any]]

# The ways in which a source says that it has nothing.
NOTHING = """
import os
import dlt
import pyarrow as pa

def table(*ids):
    return pa.table({"id": pa.array(ids, pa.int64())})

GIVES = "NOTHING" not in os.environ

@dlt.source
def shop():
    @dlt.resource(write_disposition="replace")
    def empty_page():
        yield [{"id": 1}, {"id": 2}] if GIVES else []

    @dlt.resource(write_disposition="replace")
    def no_page():
        if GIVES:
            yield [{"id": 1}, {"id": 2}]

    @dlt.resource(write_disposition="replace")
    def empty_list():
        return [{"id": 1}, {"id": 2}] if GIVES else []

    @dlt.resource(write_disposition="replace")
    def empty_table():
        yield table(1, 2) if GIVES else table()

    @dlt.resource(write_disposition="replace")
    def all_filtered():
        yield [{"id": 1}, {"id": 2}]

    return empty_page, no_page, empty_list, empty_table, all_filtered.add_filter(lambda row: GIVES)
"""
WAYS = ("empty_page", "no_page", "empty_list", "empty_table", "all_filtered")

SHOP = """
import json
import os
import pathlib
import time
import dlt
import pyarrow as pa

def given(name):
    return json.loads(pathlib.Path("given.json").read_text()).get(name, [])

@dlt.source
def shop():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        yield given("events")

    @dlt.resource(write_disposition="merge", primary_key="id")
    def customers():
        yield given("customers")

    @dlt.resource(write_disposition="replace")
    def countries():
        yield given("countries")
        while "STUCK" in os.environ and not pathlib.Path("go").exists():
            pathlib.Path("here").touch()
            time.sleep(0.02)

    @dlt.resource(write_disposition="replace")
    def prices():
        yield given("prices")

    return events, customers, countries, prices
"""


def put(root: Path, **given: list[dict[str, Any]]) -> None:
    (root / "given.json").write_text(json.dumps(given))


def ids(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in numbers]


@pytest.fixture
def shop(root: Path, write: Write, dango: Dango) -> Path:
    """A project with three rows in each of four tables."""
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    put(root, **{name: ids(1, 2, 3) for name in ("events", "customers", "countries", "prices")})
    assert dango("sync").code == 0
    return root


@pytest.fixture
def counts(rows: Rows) -> Callable[[], dict[str, int]]:
    """The rows of each table."""

    def counts() -> dict[str, int]:
        tables = ("events", "customers", "countries", "prices")
        return {table: rows(f"SELECT count(*) FROM raw_shop.{table}")[0][0] for table in tables}

    return counts


def refused(said: Said, *tables: str, rows: int = 3) -> None:
    """It failed before anything was loaded; every table that would be empty is named with what it holds."""
    assert said.code == 1, said.err
    for table in tables:
        assert re.search(rf"`(raw_shop\.)?{table}`", said.err), said.err
    assert re.search(rf"\b{rows}\b", said.err), said.err
    assert "--allow-empty" in said.err


def test_a_table_that_is_replaced_is_not_emptied_in_whatever_way_a_source_gives_nothing(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": NOTHING})
    assert dango("sync").code == 0
    refused(dango("sync", env={"NOTHING": ""}), *WAYS, rows=2)
    assert dango("status", "--json").json["sources"][0]["last"]["status"] == "failed"
    # Nor does what was extracted then come with the next sync, for that would empty them too.
    refused(dango("sync", env={"NOTHING": ""}), *WAYS, rows=2)
    assert [rows(f"SELECT count(*) FROM raw_shop.{table}") for table in WAYS] == [[(2,)]] * 5
    assert dango("sync", "--allow-empty", env={"NOTHING": ""}).code == 0
    assert [rows(f"SELECT count(*) FROM raw_shop.{table}") for table in WAYS] == [[(0,)]] * 5
    # An empty table loses nothing.
    assert dango("sync", env={"NOTHING": ""}).code == 0


def test_a_source_that_never_gave_anything_is_well(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    put(root)
    for arguments in ([], ["--full-refresh"], []):
        said = dango("sync", *arguments)
        assert said.code == 0, said.err


def test_one_table_of_several_that_would_be_emptied_holds_back_the_whole_source(
    shop: Path, dango: Dango, rows: Rows, counts: Callable[[], dict[str, int]]
) -> None:
    put(shop, events=ids(4), customers=ids(3, 4), countries=[], prices=ids(1, 2, 3, 4))
    refused(dango("sync"), "countries")
    assert counts() == {"events": 3, "customers": 3, "countries": 3, "prices": 3}
    # Nothing of it was loaded, so the cursor has not moved: what was left out comes with the next sync.
    put(shop, events=ids(4), customers=ids(3, 4), countries=ids(1), prices=ids(1, 2, 3, 4))
    assert dango("sync").code == 0
    assert counts() == {"events": 4, "customers": 4, "countries": 1, "prices": 4}
    assert rows("SELECT count(DISTINCT id) FROM raw_shop.events") == [(4,)]


def test_a_resource_that_is_not_asked_for_is_not_judged(
    shop: Path, dango: Dango, counts: Callable[[], dict[str, int]]
) -> None:
    put(shop, events=ids(4), prices=ids(1))
    assert dango("sync", "--resource", "events", "--resource", "prices").code == 0
    assert counts() == {"events": 4, "customers": 3, "countries": 3, "prices": 1}


def test_a_merge_or_an_append_with_nothing_new_is_no_loss(
    shop: Path, dango: Dango, counts: Callable[[], dict[str, int]]
) -> None:
    put(shop, countries=ids(1), prices=ids(1))
    assert dango("sync").code == 0
    assert counts() == {"events": 3, "customers": 3, "countries": 1, "prices": 1}


def test_nested_rows_may_all_go_while_their_parents_stay(shop: Path, dango: Dango, rows: Rows) -> None:
    nested = [{"id": 1, "names": ["x", "y"]}]
    put(shop, countries=nested, prices=ids(1))
    assert dango("sync").code == 0
    assert rows("SELECT count(*) FROM raw_shop.countries__names") == [(2,)]
    put(shop, countries=ids(1), prices=ids(1))
    assert dango("sync").code == 0
    assert rows("SELECT count(*) FROM raw_shop.countries__names") == [(0,)]


@pytest.mark.parametrize("empty", one_of("events", "customers"))
def test_a_full_refresh_of_which_one_table_would_be_empty_leaves_everything_as_it_was(
    empty: str, shop: Path, dango: Dango, rows: Rows, counts: Callable[[], dict[str, int]]
) -> None:
    full = {name: ids(1, 2) for name in ("events", "customers", "countries", "prices")}
    put(shop, **{**full, empty: []})
    refused(dango("sync", "--full-refresh"), empty)
    assert counts() == {"events": 3, "customers": 3, "countries": 3, "prices": 3}
    # The cursor is the old one too.
    put(shop, **{**full, "events": ids(2, 3, 4)})
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,), (3,), (4,)]

    put(shop, **{**full, empty: []})
    assert dango("sync", "--full-refresh", "--allow-empty").code == 0
    assert counts() == {name: 0 if name == empty else 2 for name in full}


def test_where_rows_cannot_be_counted_nothing_is_emptied_neither_now_nor_later(
    shop: Path, dango: Dango, counts: Callable[[], dict[str, int]]
) -> None:
    put(shop, events=ids(4), prices=ids(1))
    sync = start(shop, "sync", "--wait", "1", STUCK="")
    wait_until((shop / "here").exists, sync)
    program = (
        "import duckdb, sys, time; d = duckdb.connect(sys.argv[1], read_only=True); print(flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", program, str(shop / "data" / "warehouse.duckdb")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        (shop / "go").touch()
        assert ended(sync).code == 4
        reader.kill()
    assert counts() == {"events": 3, "customers": 3, "countries": 3, "prices": 3}
    # What that sync extracted waits to be loaded; it is judged as well.
    refused(dango("sync"), "countries")
    assert counts()["countries"] == 3
    put(shop, events=ids(4, 5), countries=ids(1), prices=ids(1))
    assert dango("sync").code == 0
    assert counts() == {"events": 5, "customers": 3, "countries": 1, "prices": 1}

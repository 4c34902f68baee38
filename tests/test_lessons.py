"""Where loaders of this kind have lost or doubled rows: cursors, refreshes, mixed sources, folders that are gone."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, one_of, sources
from tests.faults.running import at_work, into_postgres, start, wait_until
from tests.fixtures_postgres import Postgres

pytestmark = pytest.mark.slow

Dango = Callable[..., Said]
Write = Callable[..., None]
Rows = Callable[[str], list[Any]]

# One resource of each kind. What it has to give stands in given.json: a list of rows by resource.
SHOP = """
import json
import os
import pathlib
import time
import dlt

def given(name):
    return json.loads(pathlib.Path("given.json").read_text()).get(name, [])

@dlt.source
def shop():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        yield given("events")
        if "STUCK" in os.environ:
            pathlib.Path("here").touch()
            time.sleep(60)

    @dlt.resource(write_disposition="merge", primary_key="id")
    def customers(day=dlt.sources.incremental("day", initial_value=0)):
        yield given("customers")

    @dlt.resource(write_disposition="replace")
    def countries():
        yield given("countries")

    return events, customers, countries
"""


def put(root: Path, **given: list[dict[str, Any]]) -> None:
    (root / "given.json").write_text(json.dumps(given))


def events(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "items": [{"n": number}]} for number in numbers]


def customers(day: int, *numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "day": day, "tags": [f"tag {number}"]} for number in numbers]


def countries(*names: str) -> list[dict[str, Any]]:
    return [{"name": name} for name in names]


def tables(said: Said) -> dict[str, tuple[int, int]]:
    """Rows loaded and rows in all, by table."""
    assert said.code == 0, said.out + said.err
    return {table["name"]: (table["rows"], table["total"]) for table in said.json["results"][0]["tables"]}


@pytest.fixture
def shop(root: Path, write: Write) -> Path:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    return root


def test_a_refresh_moves_the_cursor_on_and_the_next_sync_begins_there(shop: Path, dango: Dango, rows: Rows) -> None:
    put(shop, events=events(*range(1, 10)))
    assert tables(dango("sync", "--json"))["events"] == (9, 9)
    put(shop, events=events(*range(1, 17)))
    assert tables(dango("sync", "--full-refresh", "--json"))["events"] == (16, 16)
    # From the cursor of before the refresh, 10 to 16 would be appended a second time.
    put(shop, events=events(*range(1, 19)))
    assert tables(dango("sync", "--json")) == {"events": (2, 18), "events__items": (2, 18)}
    assert rows("SELECT count(*), count(DISTINCT id), max(id) FROM raw_shop.events") == [(18, 18, 18)]
    assert rows("SELECT count(*), count(DISTINCT n), max(n) FROM raw_shop.events__items") == [(18, 18, 18)]


def test_projects_with_a_source_of_one_name_know_nothing_of_each_other(
    shop: Path, dango: Dango, tmp_path: Path
) -> None:
    shared = tmp_path / "shared"
    put(shop, events=events(1, 2, 3))
    other = tmp_path / "other"
    shutil.copytree(shop, other)
    for project in (shop, other):
        said = dango("sync", "--json", cwd=project, env={"DLT_DATA_DIR": str(shared), "HOME": str(shared)})
        assert tables(said)["events"] == (3, 3)
    assert not shared.exists()


def test_a_source_of_every_kind_is_synced_again_when_nothing_is_new_and_when_something_is(
    shop: Path, dango: Dango, rows: Rows
) -> None:
    put(shop, events=events(1, 2), customers=customers(1, 1, 2), countries=countries("fr", "de"))
    assert dango("sync").code == 0
    # That an incremental resource has nothing new is no loss of its table.
    for _ in range(2):
        assert tables(dango("sync", "--json")) == {"countries": (2, 2)}
    put(shop, events=[], customers=[], countries=countries("fr", "de", "it"))
    assert tables(dango("sync", "--json")) == {"countries": (3, 3)}
    put(shop, events=events(3), customers=customers(2, 2, 3), countries=countries("it"))
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,), (3,)]
    assert rows("SELECT id, day FROM raw_shop.customers ORDER BY id") == [(1, 1), (2, 2), (3, 2)]
    assert rows("SELECT name FROM raw_shop.countries") == [("it",)]


def test_a_refresh_of_a_source_of_every_kind_forgets_what_was_deleted_at_the_vendor(
    shop: Path, dango: Dango, rows: Rows
) -> None:
    put(shop, events=events(1, 2, 3), customers=customers(1, 1, 2, 3), countries=countries("fr", "de"))
    assert dango("sync").code == 0
    put(shop, events=events(2, 4), customers=customers(1, 2), countries=countries("fr"))
    assert dango("sync", "--full-refresh").code == 0
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(2,), (4,)]
    assert rows("SELECT n FROM raw_shop.events__items ORDER BY n") == [(2,), (4,)]
    assert rows("SELECT id FROM raw_shop.customers") == [(2,)]
    assert rows("SELECT value FROM raw_shop.customers__tags") == [("tag 2",)]
    assert rows("SELECT name FROM raw_shop.countries") == [("fr",)]


def test_a_refresh_without_a_working_folder_sets_a_cursor_from_which_the_next_sync_goes_on(
    shop: Path, dango: Dango, rows: Rows
) -> None:
    put(shop, events=events(1, 2), customers=customers(1, 1))
    assert dango("sync").code == 0
    shutil.rmtree(shop / ".dango" / "pipelines")
    put(shop, events=events(1, 2, 3), customers=customers(2, 1, 2))
    assert dango("sync", "--full-refresh").code == 0
    shutil.rmtree(shop / ".dango" / "pipelines")
    put(shop, events=events(1, 2, 3, 4), customers=customers(3, 2))
    loaded = tables(dango("sync", "--json"))
    assert (loaded["events"], loaded["customers"]) == ((1, 4), (1, 2))
    assert rows("SELECT id, day FROM raw_shop.customers ORDER BY id") == [(1, 2), (2, 3)]


def test_a_refresh_that_was_killed_leaves_nothing_to_the_next_one(shop: Path, dango: Dango, rows: Rows) -> None:
    def traces() -> tuple[list[str], list[Any]]:
        folders = [path.name for path in (shop / ".dango" / "pipelines").iterdir()]
        return sorted(folders), rows("SELECT schema_name FROM information_schema.schemata ORDER BY 1")

    put(shop, events=events(1, 2), customers=customers(1, 1), countries=countries("fr"))
    assert dango("sync").code == 0
    before = traces()
    put(shop, events=events(7, 8), customers=customers(7, 7), countries=countries("xx"))
    killed = start(shop, "sync", "--full-refresh", STUCK="")
    wait_until((shop / "here").exists, killed)
    for process in {*at_work(shop)}:
        os.kill(process, 9)
    killed.communicate()
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,)]
    assert rows("SELECT id FROM raw_shop.customers") == [(1,)]

    put(shop, events=events(1, 2, 3), customers=customers(2, 1, 2), countries=countries("de"))
    assert dango("sync", "--full-refresh").code == 0
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,), (3,)]
    assert rows("SELECT id FROM raw_shop.customers ORDER BY id") == [(1,), (2,)]
    assert rows("SELECT name FROM raw_shop.countries") == [("de",)]
    assert traces() == before


@pytest.mark.postgres
def test_who_reads_during_a_refresh_sees_all_tables_old_or_all_new(
    root: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    write({"sources": into_postgres(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    env = {"LAKE": postgres.url}
    put(root, events=events(*range(1, 2001)), customers=customers(1, *range(1, 2001)), countries=countries("old"))
    assert dango("sync", env=env).code == 0
    put(root, events=events(*range(1, 1501)), customers=customers(2, *range(1, 1501)), countries=countries("new"))

    seen: list[Any] = []
    over = threading.Event()

    def read() -> None:
        with postgres.cursor() as cursor:
            while not over.is_set():
                cursor.execute(
                    "SELECT (SELECT count(*) FROM raw_shop.events), (SELECT count(*) FROM raw_shop.events__items),"
                    " (SELECT count(*) FROM raw_shop.customers), (SELECT max(day) FROM raw_shop.customers),"
                    " (SELECT string_agg(name, ' ') FROM raw_shop.countries)"
                )
                seen.extend(cursor.fetchall())

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert dango("sync", "--full-refresh", env=env).code == 0
    finally:
        over.set()
        reader.join()
    assert {*seen} == {(2000, 2000, 2000, 1, "old"), (1500, 1500, 1500, 2, "new")}


@pytest.mark.parametrize("text", one_of("no\x00 json", "", "{}"))
def test_a_working_folder_that_cannot_be_read_is_told_set_aside_and_made_anew(
    text: str, shop: Path, dango: Dango, rows: Rows
) -> None:
    put(shop, events=events(1, 2))
    assert dango("sync").code == 0
    (state,) = shop.glob(".dango/pipelines/*/*/state.json")
    state.write_text(text)
    put(shop, events=events(1, 2, 3))
    said = dango("-v", "sync", "--json")
    assert tables(said)["events"] == (1, 3)
    assert "aside" in said.err
    folder = state.parent.parent.name
    names = {path.name.replace(folder, "folder").partition(".aside-")[:2] for path in state.parents[2].iterdir()}
    assert names == {("folder", ""), ("folder", ".aside-")}
    put(shop, events=events(2, 3, 4))
    assert tables(dango("sync", "--json"))["events"] == (1, 4)
    assert rows("SELECT count(*), count(DISTINCT id) FROM raw_shop.events") == [(4, 4)]


def test_a_full_refresh_cures_a_working_folder_that_cannot_be_read(shop: Path, dango: Dango, rows: Rows) -> None:
    put(shop, events=events(1, 2))
    assert dango("sync").code == 0
    (state,) = shop.glob(".dango/pipelines/*/*/state.json")
    for text in ("{", "[]"):
        state.write_text(text)
        put(shop, events=events(1, 2, 3))
        assert tables(dango("sync", "--full-refresh", "--json"))["events"] == (3, 3)
    put(shop, events=events(2, 3, 4))
    assert tables(dango("sync", "--json"))["events"] == (1, 4)


@pytest.mark.parametrize("name", one_of("Daily Orders", "daily__orders"))
def test_a_table_is_one_table_however_its_resource_is_named(
    name: str, root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    plain = '@dlt.resource(write_disposition="replace")'
    text = SHOP.replace(plain, plain.replace("(", f'(name="{name}", '))
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": text})
    put(root, countries=countries("fr", "de"))
    (table,) = tables(dango("sync", "--json"))
    put(root, countries=countries("fr"))
    assert tables(dango("sync", "--full-refresh", "--json")) == {table: (1, 1)}
    put(root, countries=[])
    refused = dango("sync")
    assert refused.code == 1
    assert f"`{table}`" in refused.err
    assert rows(f"SELECT count(*) FROM raw_shop.{table}") == [(1,)]


def test_a_dataset_with_a_name_of_its_own_is_no_leftover(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    block = native("shop", "shop", dataset_name="elsewhere", pipeline_name="other_name")
    write({"sources": sources(block), "custom_sources/shop.py": SHOP})
    put(root, events=events(1, 2), countries=countries("fr"))
    assert dango("sync").code == 0
    said = dango("doctor", "--fix")
    assert said.code == 0, said.out + said.err
    assert rows("SELECT count(*) FROM elsewhere.events") == [(2,)]
    assert rows("SELECT count(*) FROM elsewhere.countries") == [(1,)]
    assert tables(dango("sync", "--json")) == {"countries": (1, 1)}

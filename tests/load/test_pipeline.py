"""One source through dlt, sync after sync: what is loaded, what is told, where state lives, what a kill leaves."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Said, native, readable_by_others, sources

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

# What a source has to give stands in given.json: a list of rows by resource.
SHOP = """
import json
import dlt

def given(name):
    with open("given.json") as file:
        yield from json.load(file).get(name, [])

@dlt.source
def shop(broken=False):
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        yield from given("events")
        if broken:
            raise LookupError("the page is gone")

    @dlt.resource(write_disposition="merge", primary_key="id")
    def customers():
        yield from given("customers")

    @dlt.resource
    def visits(id=dlt.sources.incremental("id", initial_value=0)):
        yield from given("visits")

    return events, customers, visits
"""


def put(root: Path, **given: list[dict[str, Any]]) -> None:
    (root / "given.json").write_text(json.dumps(given))


def ids(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number} for number in numbers]


def tables(said: Said, source: str = "shop") -> dict[str, tuple[int, int]]:
    """Rows loaded and rows in all, by table."""
    assert said.code == 0, said.err
    (result,) = [result for result in said.json["results"] if result["source"] == source]
    return {table["name"]: (table["rows"], table["total"]) for table in result["tables"]}


def test_sync_after_sync_loads_what_is_new_and_tells_it(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})

    put(root, events=ids(1, 2), customers=[{"id": 1, "name": "Ada", "tags": ["x", "y"]}, {"id": 2, "name": "Grace"}])
    first = dango("sync", "--json")
    assert tables(first) == {"events": (2, 2), "customers": (2, 2), "customers__tags": (2, 2)}
    assert all(table["new"] for table in first.json["results"][0]["tables"])

    # A merge of the same rows, an append of what is new, and a nested table that shrinks with its parent.
    put(
        root,
        events=[*ids(1, 2), {"id": 3, "note": "n", "extra": {"deep": 1}}],
        customers=[{"id": 1, "name": "Ada L.", "tags": ["x"]}, {"id": 2, "name": "Grace"}],
        visits=ids(1),
    )
    second = dango("sync", "--json")
    assert tables(second) == {"events": (1, 3), "customers": (2, 2), "customers__tags": (1, 1), "visits": (1, 1)}
    told = {table["name"]: (table["new"], table["new_columns"]) for table in second.json["results"][0]["tables"]}
    assert told == {
        "events": (False, ["extra__deep", "note"]),
        "customers": (False, []),
        "customers__tags": (False, []),
        "visits": (True, []),
    }
    assert rows("SELECT id, name FROM raw_shop.customers ORDER BY id") == [(1, "Ada L."), (2, "Grace")]
    assert rows("SELECT id, note FROM raw_shop.events ORDER BY id") == [(1, None), (2, None), (3, "n")]

    put(root, events=[*ids(1, 2), {"id": 3, "note": "n", "extra": {"deep": 1}}], visits=ids(1))
    nothing = dango("sync")
    assert nothing.code == 0
    assert "shop: ok, 0 rows in " in nothing.err
    assert nothing.out.splitlines()[1].split() == ["shop", "nothing", "new", "0", *nothing.out.split()[-1:]]

    put(root, events=[*ids(1, 4, 5), {"id": 6, "late": True}])
    people = dango("sync")
    header, line = people.out.splitlines()
    assert header.split() == ["source", "table", "rows", "loaded", "rows", "in", "all", "new", "columns", "seconds"]
    assert line.split()[:5] == ["shop", "raw_shop.events", "3", "6", "late"]
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(n,) for n in range(1, 7)]


@pytest.mark.slow
def test_two_sources_of_one_function_have_their_own_data_and_cursors(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write(
        {
            "sources": sources(
                native("one", "rows", function_kwargs={"upto": 3}),
                native("two", "rows", function_kwargs={"upto": 5}, dataset_name="elsewhere", pipeline_name="second"),
            ),
            "custom_sources/shop.py": (
                "import dlt\n"
                "@dlt.resource\n"
                "def rows(upto, id=dlt.sources.incremental('id', initial_value=0)):\n"
                "    yield from ({'id': n} for n in range(1, upto + 1))\n"
            ),
        }
    )
    said = dango("sync", "--json")
    assert (tables(said, "one"), tables(said, "two")) == ({"rows": (3, 3)}, {"rows": (5, 5)})
    config = root / ".dango" / "sources.yml"
    config.write_text(config.read_text().replace('"upto": 3', '"upto": 4'))
    said = dango("sync", "--json")
    assert (tables(said, "one"), tables(said, "two")) == ({"rows": (1, 4)}, {})
    assert rows("SELECT DISTINCT pipeline_name FROM elsewhere._dlt_pipeline_state") == [("second",)]


def files(folder: Path) -> Counter[str]:
    return Counter(path.relative_to(folder).parts[0] for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_state_lives_in_the_project_and_is_found_again_when_it_is_lost(
    root: Path, write: Write, dango: Dango, rows: Rows, tmp_path: Path
) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    system = Path("/var/dlt")
    before = system.exists() and files(system)
    home, temporary = tmp_path / "home", tmp_path / "temporary"
    home.mkdir()
    temporary.mkdir()
    env = {"HOME": str(home), "TMPDIR": str(temporary), "XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    put(root, events=ids(1, 2), customers=ids(1))
    assert tables(dango("sync", "--json", env=env)) == {"events": (2, 2), "customers": (1, 1)}

    assert list(home.rglob("*")) == []
    assert [path for path in temporary.rglob("*") if path.is_file()] == []
    assert (system.exists() and files(system)) == before
    assert not list(root.rglob(".workspace"))
    assert sorted(path.name for path in root.iterdir()) == [".dango", "custom_sources", "data", "given.json"]
    assert readable_by_others(root) == []

    # The data is lost, and with it every reason to go on from the cursor.
    (root / "data" / "warehouse.duckdb").unlink()
    assert tables(dango("sync", "--json", env=env)) == {"events": (2, 2), "customers": (1, 1)}
    # The working folder is lost; the destination knows how far it was.
    shutil.rmtree(root / ".dango" / "pipelines")
    put(root, events=ids(2, 3))
    assert tables(dango("sync", "--json", env=env)) == {"events": (1, 3)}
    assert rows("SELECT count(*), count(DISTINCT id) FROM raw_shop.events") == [(3, 3)]


@pytest.mark.slow
def test_the_projects_own_folder_does_not_grow_over_ten_syncs(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    found = []
    for number in range(1, 11):
        put(root, events=ids(*range(1, number * 2 + 1)), customers=ids(1, number))
        if number == 4:
            # What a trial and a full refresh leave counts as well.
            assert dango("sync", "--limit", "1").code == 0
        said = dango("sync", "--json", *(["--full-refresh"] if number == 5 else []))
        assert tables(said)["events"] == ((10, 10) if number == 5 else (2, number * 2))
        # A log a run, of which thirty stay, is all that comes with a sync.
        counted = files(root / ".dango")
        found.append({folder: counted[folder] for folder in counted if folder != "logs"})
    assert found[0] == found[-1]
    assert sum(found[-1].values()) < 30


KILLED = """
import json
import os
import pathlib
import shutil
import threading
import time
import dlt

def found(pattern):
    while not (found := list(pathlib.Path(".dango/pipelines").glob(pattern))):
        time.sleep(0.0005)
    return found[0]

def dies_at_load():
    # What was extracted is kept aside, for the test to put it back.
    shutil.copytree(found("*/*/normalize/extracted/*"), "extracted")
    found("*/*/load/normalized/*/new_jobs/*")
    os.kill(os.getpid(), 9)

@dlt.source
def shop():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        with open("given.json") as file:
            yield from json.load(file)["events"]
        if os.path.exists("kill"):
            os.unlink("kill")
            threading.Thread(target=dies_at_load, daemon=True).start()

    @dlt.resource(write_disposition="merge", primary_key="id")
    def customers():
        with open("given.json") as file:
            yield from json.load(file)["customers"]

    return events, customers
"""


@pytest.mark.slow
def test_what_a_killed_run_extracted_is_loaded_first_and_nothing_twice(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": KILLED})
    put(root, events=ids(1, 2, 3), customers=ids(1))
    assert dango("sync").code == 0

    put(root, events=ids(3, 4, 5), customers=ids(1, 2))
    (root / "kill").touch()
    killed = dango("sync")
    assert killed.code == 1
    assert "error: shop: its process was ended by SIGKILL, at the step `" in killed.err
    assert not (root / "kill").exists()
    (pending,) = root.glob(".dango/pipelines/*/*/load/normalized/*")
    # dlt takes a package from what is extracted when it is normalised; a kill between the two leaves it in both.
    extracted = pending.parents[2] / "normalize" / "extracted" / pending.name
    shutil.copytree(root / "extracted", extracted, dirs_exist_ok=True)
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,), (3,)]
    assert dango("history", "--json").json["runs"][0][0]["status"] == "crashed"

    # The source has forgotten what it gave: only the package of the killed run still has 4 and 5.
    put(root, events=ids(6), customers=ids(3))
    said = dango("-v", "sync", "--json")
    assert "an earlier run left data that was extracted but not loaded; it is loaded first" in said.err
    assert tables(said) == {"events": (1, 6), "customers": (1, 3)}
    assert not pending.exists()
    assert not extracted.exists()

    assert tables(dango("sync", "--json")) == {"customers": (1, 3)}
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(n,) for n in range(1, 7)]


def test_of_a_first_run_that_came_no_further_than_its_tables_the_types_are_known(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    put(root, customers=[{"id": 1, "paid": 2}])
    assert dango("sync").code == 0
    # Tables and schema are committed before the rows; with them, and without state, a run that is killed there ends.
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
        for table in ("customers", "_dlt_loads", "_dlt_pipeline_state"):
            database.execute(f"DELETE FROM raw_shop.{table}")
    shutil.rmtree(root / ".dango" / "pipelines")

    put(root, customers=[{"id": 1, "paid": 2.5}])
    assert dango("sync").code == 0
    # A fraction in a column of whole numbers would be rounded without a word.
    assert rows("SELECT paid, paid__v_double FROM raw_shop.customers") == [(None, 2.5)]


@pytest.mark.slow
def test_a_full_refresh_replaces_and_the_next_sync_goes_on_from_the_new_cursor(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    put(root, events=[*ids(1, 2, 3), {"id": 4, "gone": 1}], customers=ids(1, 2), visits=ids(1, 2))
    assert tables(dango("sync", "--json")) == {"events": (4, 4), "customers": (2, 2), "visits": (2, 2)}

    # One resource: the others keep their rows and their cursors.
    put(root, events=ids(1, 2), customers=ids(9), visits=ids(1, 2, 3))
    assert tables(dango("sync", "--json", "--full-refresh", "--resource", "events")) == {"events": (2, 2)}
    assert rows("SELECT count(*) FROM raw_shop.customers") == [(2,)]
    put(root, events=ids(1, 2, 3), customers=ids(2), visits=ids(1, 2, 3))
    assert tables(dango("sync", "--json")) == {"events": (1, 3), "customers": (1, 2), "visits": (1, 3)}

    # All of it; rows below the old cursor come too.
    put(root, events=ids(1), customers=ids(7), visits=ids(2))
    assert tables(dango("sync", "--json", "--full-refresh")) == {
        "events": (1, 1),
        "customers": (1, 1),
        "visits": (1, 1),
    }
    put(root, events=ids(1, 2), customers=ids(7), visits=ids(2, 3))
    assert tables(dango("sync", "--json")) == {"events": (1, 2), "customers": (1, 1), "visits": (1, 2)}

    # It fails while it extracts: data and cursor are the old ones.
    config = root / ".dango" / "sources.yml"
    whole = config.read_text()
    function = '"source_function": "shop"'
    config.write_text(whole.replace(function, f'{function}, "function_kwargs": {{"broken": true}}'))
    put(root, events=ids(8, 9), customers=ids(8), visits=ids(8))
    failed = dango("sync", "--full-refresh")
    assert failed.code == 1
    assert "error: shop: custom_sources/shop.py:15: LookupError: the page is gone" in failed.err
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,)]
    config.write_text(whole)
    put(root, events=ids(1, 2, 3), visits=ids(3))
    assert tables(dango("sync", "--json")) == {"events": (1, 3)}
    assert rows("SELECT id FROM raw_shop.visits ORDER BY id") == [(2,), (3,)]


def test_a_resource_that_the_source_does_not_have_is_named(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    said = dango("sync", "--resource", "event")
    assert said.code == 2
    assert (
        "error: shop: source `shop` has no resource `event` (did you mean `events`?)\n"
        "  hint: its resources: events, customers, visits\n"
    ) in said.err


@pytest.mark.slow
def test_a_refresh_that_fails_keeps_the_cursor_also_where_the_destination_keeps_no_state(
    write: Callable[[Mapping[str, str]], None], dango: Callable[..., Said], root: Path
) -> None:
    write({
        "custom_sources/sink.py": (
            "import dlt, pathlib\n\n\n@dlt.destination\n"
            "def push(items, table):\n"
            "    with pathlib.Path('pushed.txt').open('a') as out:\n"
            "        out.write(str(items))\n"
        ),
        "custom_sources/shop.py": (
            "import dlt, pathlib\n\n\n@dlt.resource(write_disposition='append')\n"
            "def rows(at=dlt.sources.incremental('id')):\n"
            "    yield {'id': 1}\n"
            "    if pathlib.Path('broken').exists():\n        raise ValueError('gone')\n"
        ),
        "sources": "version: 1\ndestination: mine\ndestinations:\n  mine: {type: 'sink:push'}\n"
        "sources:\n" + native("shop"),
    })  # fmt: skip
    assert dango("sync").code == 0
    pushed = (root / "pushed.txt").read_text()
    assert pushed.count("'id'") == 1
    write({"broken": ""})
    assert dango("sync", "--full-refresh").code == 1
    (root / "broken").unlink()
    assert dango("sync").code == 0
    assert (root / "pushed.txt").read_text() == pushed
    assert [path.name for path in (root / ".dango" / "pipelines").iterdir()] == ["shop--mine--raw_shop"]

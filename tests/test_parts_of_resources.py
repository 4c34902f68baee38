"""`split: resources`: each resource of a source in a job of its own, beside the others, with what it remembers."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Said
from tests.killed import killed
from tests.postgres_server import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

SHOP = """
import time
from pathlib import Path
import dlt

def last():
    return int(Path("last").read_text())

@dlt.source
def shop():
    @dlt.resource(write_disposition="append")
    def orders(at=dlt.sources.incremental("id", initial_value=1)):
        with Path("asked").open("a") as asked:
            asked.write("orders\\n")
        dlt.current.source_state().setdefault("seen", {})["orders"] = last()
        if Path("wait").exists():
            Path("waiting").touch()
            for _ in range(1200):
                # Not for ever: a test that fails meanwhile waits for the end of this.
                if not Path("wait").exists():
                    break
                time.sleep(0.1)
        if Path("broken").exists():
            raise ConnectionError("the shop is closed")
        yield [{"id": n, "items": [{"sku": "a"}]} for n in range(1, last() + 1)]

    @dlt.resource(write_disposition="append")
    def visits(at=dlt.sources.incremental("id", initial_value=1)):
        dlt.current.source_state().setdefault("seen", {})["visits"] = last()
        yield [{"id": n} for n in range(1, last() + 1)]

    @dlt.resource(write_disposition="merge", primary_key="id")
    def people():
        Path("people_asked").open("a").write("x")
        dlt.current.resource_state()["last"] = last()
        yield [{"id": n, "name": "somebody"} for n in range(1, 4)]

    @dlt.transformer(data_from=people, write_disposition="replace")
    def letters(people):
        yield [{"to": each["name"]} for each in people]

    return orders, visits, people, letters
"""
SOURCES = (
    "version: 1\nsources:\n  - name: shop\n    type: dlt_native\n    split: resources\n"
    "    dlt_native: {source_module: shop, source_function: shop}\n"
)
LAKE = "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\n"
COUNTS = (
    "select (select count(*) from raw_shop.orders), (select count(distinct id) from raw_shop.orders),"
    " (select count(*) from raw_shop.visits), (select count(distinct id) from raw_shop.visits)"
)


def _jobs(root: Path, run: str) -> int:
    """How many jobs a run had: each begins once."""
    return sum(line.endswith("shop: queued") for line in (root / f".dango/logs/{run}.log").read_text().splitlines())


def _cursors(dango: Dango) -> dict[str, Any]:
    return {each["resource"]: each["value"] for each in dango("source", "cursor", "shop", "--json").json["cursors"]}


def _project(write: Write, last: int, **more: str) -> None:
    write({"sources": SOURCES, "custom_sources/shop.py": SHOP, "last": str(last), **more})


def test_each_resource_is_a_job_of_its_own_and_all_of_them_are_remembered(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    _project(write, 10)
    said = dango("sync", "--json", "--jobs", "2")
    assert said.code == 0, said.out + said.err
    (result,) = said.json["results"]
    # People and letters take their rows from the same, which is asked for once.
    assert _jobs(root, said.json["run"]) == 3
    assert (root / "people_asked").read_text() == "x"
    counts = {table["name"]: (table["rows"], table["total"]) for table in result["tables"]}
    assert counts == {
        "orders": (10, 10), "orders__items": (10, 10), "visits": (10, 10), "people": (3, 3), "letters": (3, 3),
    }  # fmt: skip
    assert (result["rows"], result["part"]) == (36, "")
    assert not (root / ".dango/parts").exists()
    assert _cursors(dango) == {"orders": 10, "visits": 10}

    write({"last": "12"})
    said = dango("sync", "--json")
    (result,) = said.json["results"]
    assert said.code == 0, said.out + said.err
    assert not any(table["new"] for table in result["tables"]), "every part knows the tables of the others"
    assert rows(COUNTS) == [(12, 12, 12, 12)]
    assert _cursors(dango) == {"orders": 12, "visits": 12}
    assert rows("select count(*) from raw_shop.letters") == [(3,)]

    write({"sources": SOURCES.replace("    split: resources\n", ""), "last": "15"})
    said = dango("sync", "--json")
    assert _jobs(root, said.json["run"]) == 1
    assert rows(COUNTS) == [(15, 15, 15, 15)], "all of them together go on from there"
    write({"sources": SOURCES, "last": "16"})
    assert dango("sync").code == 0
    assert rows(COUNTS) == [(16, 16, 16, 16)], "and each by itself again"


def _until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not true() and time.monotonic() < deadline:
        time.sleep(0.1)


@pytest.mark.slow
def test_what_began_first_and_ends_last_takes_no_cursor_of_others_back(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    _project(write, 10)
    assert dango("sync").code == 0
    loads = _count(root, "raw_shop._dlt_loads")
    write({"last": "20", "wait": ""})
    with subprocess.Popen([sys.executable, "-m", "dango", "sync", "--jobs", "2"], cwd=root) as sync:
        _until((root / "waiting").exists)
        # Visits, and people, who cannot have begun before orders did: dlt takes their load for the newer one.
        _until(lambda: _count(root, "raw_shop._dlt_loads") >= loads + 2)
        (root / "wait").unlink()
    assert sync.returncode == 0
    assert _cursors(dango) == {"orders": 20, "visits": 20}
    assert dango("sync").code == 0
    assert rows(COUNTS) == [(20, 20, 20, 20)]


@pytest.mark.slow
def test_a_program_that_reads_the_database_is_waited_for(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    _project(write, 10)
    assert dango("sync").code == 0
    write({"last": "20"})
    done = threading.Event()

    def read() -> None:
        while not done.wait(0.05):
            with suppress(duckdb.Error), duckdb.connect(str(root / "data/warehouse.duckdb"), read_only=True):
                done.wait(0.2)

    reader = threading.Thread(target=read)
    reader.start()
    said = dango("sync")
    done.set()
    reader.join()
    assert said.code == 0, said.err
    assert rows(COUNTS) == [(20, 20, 20, 20)]


def _count(root: Path, table: str) -> int:
    try:
        with duckdb.connect(str(root / "data/warehouse.duckdb"), read_only=True) as database:
            found = database.execute(f"select count(*) from {table}").fetchone()
    except duckdb.Error:
        return -1
    return int(found[0]) if found else -1


@pytest.mark.slow
def test_one_that_fails_leaves_the_others_loaded_and_stands_in_nobodys_way(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    _project(write, 10)
    assert dango("sync").code == 0
    write({"last": "20", "broken": ""})
    said = dango("sync", "--json")
    (result,) = said.json["results"]
    assert (said.code, result["status"]) == (1, "failed")
    assert "the shop is closed" in result["error"]["message"]
    run = said.json["run"]
    said_so = f"2 of 3 parts are loaded, `orders` is not; to go on: dango sync --resume {run}"
    assert result["error"]["hint"].endswith(said_so)
    assert rows(COUNTS) == [(10, 10, 20, 20)]
    assert _cursors(dango) == {"orders": 10, "visits": 20}

    (root / "people_asked").unlink()
    (root / "broken").unlink()
    said = dango("sync", "--resume", run)
    assert said.code == 0, said.err
    assert not (root / "people_asked").exists(), "what was loaded is not asked for again"
    assert rows(COUNTS) == [(20, 20, 20, 20)]

    write({"last": "30", "broken": ""})
    run = dango("sync", "--json").json["run"]
    (root / "broken").unlink()
    said = dango("sync")
    assert said.code == 0, said.err
    assert rows(COUNTS) == [(30, 30, 30, 30)]
    assert not (root / ".dango/parts").exists()
    said = dango("sync", "--resume", run)
    assert (said.code, said.told.splitlines()[0]) == (2, f"error: nothing is left to do of run `{run}`")


@pytest.mark.parametrize(
    ("function", "when", "process"),
    [
        ("dango.load.loading:load", "after", "worker"),
        pytest.param("dango.load.loading:load", "before", "worker", marks=pytest.mark.slow),
        pytest.param("dango.load.part_pipeline:PartPipeline._share_state", "after", "worker", marks=pytest.mark.slow),
        pytest.param("dango.parts:Stored.confirmed", "before", "planner", marks=pytest.mark.slow),
        pytest.param("dango.parts:Stored.confirmed", "after", "planner", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize(
    "resumed", [pytest.param(True, id="resumed"), pytest.param(False, id="synced anew", marks=pytest.mark.slow)]
)
def test_whatever_is_killed_each_row_is_there_once(
    root: Path, write: Write, dango: Dango, rows: Rows, tmp_path: Path, function: str, when: str, process: str,
    resumed: bool,
) -> None:  # fmt: skip
    _project(write, 10)
    assert dango("sync").code == 0
    write({"last": "20"})
    killed(root, tmp_path / "lives", function, "sync", when=when, process=process)
    (plan,) = (root / ".dango/parts").glob("*/shop/plan.json")
    said = dango("sync", *(["--resume", plan.parent.parent.name] if resumed else []))
    assert said.code == 0, said.out + said.err
    assert rows(COUNTS) == [(20, 20, 20, 20)]
    assert _cursors(dango) == {"orders": 20, "visits": 20}
    assert not (root / ".dango/parts").exists()


@pytest.mark.postgres
@pytest.mark.slow
def test_in_postgres_several_load_at_once_and_what_another_machine_has_loaded_is_not_loaded_again(
    root: Path, write: Write, dango: Dango, postgres: Postgres, tmp_path: Path
) -> None:
    _project(write, 10, **{".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{postgres.url}"\n'})
    write({"sources": SOURCES.replace("version: 1\n", LAKE)})
    said = dango("sync", "--jobs", "3", "--json")
    assert said.code == 0, said.out + said.err
    assert _in(postgres, COUNTS) == (10, 10, 10, 10)
    assert _cursors(dango) == {"orders": 10, "visits": 10}
    other = tmp_path / "other"
    shutil.copytree(root, other)

    write({"last": "20", "wait": ""})
    (other / "last").write_text("20")
    with subprocess.Popen(
        [sys.executable, "-m", "dango", "sync", "--jobs", "3", "--json"], cwd=root, stdout=subprocess.PIPE, text=True
    ) as sync:
        _until((root / "waiting").exists)
        assert dango("sync", "--resource", "orders", cwd=other).code == 0
        (root / "wait").unlink()
        (result,) = json.loads(sync.communicate(timeout=120)[0])["results"]
    assert (sync.returncode, result["status"]) == (4, "held"), result
    assert result["error"]["message"].startswith("another run has loaded source `shop` since this one began")
    assert _in(postgres, COUNTS) == (20, 20, 20, 20)
    assert _cursors(dango) == {"orders": 20, "visits": 20}
    assert dango("sync").code == 0
    assert _in(postgres, COUNTS) == (20, 20, 20, 20)


def _in(postgres: Postgres, query: str) -> tuple[Any, ...]:
    with postgres.cursor() as cursor:
        cursor.execute(query)
        (found,) = cursor.fetchall()
    return tuple(found)


@pytest.mark.slow
def test_a_range_of_time_is_divided_by_resources_too_and_leaves_what_has_no_cursor(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    days = """
import dlt

@dlt.source
def shop():
    def days(name):
        def of(at=dlt.sources.incremental("at", initial_value="2024-01-01")):
            yield [{"id": n, "at": f"2024-01-{n:02}"} for n in range(1, 31)]
        return dlt.resource(of, name=name, write_disposition="merge", primary_key="id")

    @dlt.resource(write_disposition="replace")
    def people():
        yield {"id": 1}

    return days("orders"), days("visits"), people
"""
    _project(write, 0, **{"custom_sources/shop.py": days})
    said = dango("sync", "--since", "2024-01-05", "--until", "2024-01-10", "--json")
    assert said.code == 0, said.out + said.err
    assert _jobs(root, said.json["run"]) == 2
    assert "`people` has no cursor, and is left out" in (root / f".dango/logs/{said.json['run']}.log").read_text()
    ranged = 'select (select count(*) from raw_shop.orders), (select min("at") || max("at") from raw_shop.visits)'
    assert rows(ranged) == [(5, "2024-01-052024-01-09")]
    assert _cursors(dango) == {}
    assert dango("sync").code == 0
    assert rows("select (select count(*) from raw_shop.orders), (select count(*) from raw_shop.people)") == [(30, 1)]
    assert _cursors(dango) == {"orders": "2024-01-30", "visits": "2024-01-30"}


@pytest.mark.slow
def test_ranges_and_resources_go_together(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        for table in ("orders", "visits", "people"):
            database.execute(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY, {table}_note TEXT)")
            database.executemany(f"INSERT INTO {table} VALUES (?, ?)", [(n, "x") for n in range(1, 101)])
    by_id = "write_disposition: append, cursor: {field: id}"
    ranged = f"{by_id}, split: {{column: id, ranges: 3}}"
    write({
        "sources": "version: 1\nsources:\n  - name: shop\n    type: sqlite\n    sqlite: {path: shop.db}\n"
        "    split: resources\n    schema_contract: {tables: evolve}\n    resources:\n"
        f"      orders: {{{ranged}}}\n      visits: {{{ranged}}}\n      people: {{{by_id}}}\n",
    })  # fmt: skip
    said = dango("sync", "--json", "--jobs", "2")
    assert said.code == 0, said.out + said.err
    # Two ranges of each, people, and what comes after the ranges.
    assert _jobs(root, said.json["run"]) == 6
    counted = "select (select count(*) from raw_shop.orders), (select count(*) from raw_shop.visits),"
    counted += " (select count(*) from raw_shop.people)"
    assert rows(counted) == [(100, 100, 100)]
    assert _cursors(dango) == {"orders": 100, "visits": 100, "people": 100}
    text = (root / ".dango/sources.yml").read_text()
    (root / ".dango/sources.yml").write_text(text.replace("{tables: evolve}", "freeze"))
    with sqlite3.connect(root / "shop.db") as database:
        for table in ("orders", "visits", "people"):
            database.execute(f"INSERT INTO {table} VALUES (101, 'y')")
    said = dango("sync", "--json")
    assert said.code == 0, said.out + said.err
    assert _jobs(root, said.json["run"]) == 3
    assert rows(counted) == [(101, 101, 101)], "nothing is new to the contract: all parts have kept what they learnt"


@pytest.mark.slow
def test_records_that_fail_are_told_and_no_cursor_moves_without_its_rows(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    failing = SHOP.replace(
        '        yield [{"id": n} for n in range(1, last() + 1)]\n',
        '        yield [{"id": n} for n in range(1, last() + 1)]\n'
        '        if last() == 20:\n            yield dango.Failed({}, "nobody came", "a visit")\n',
    ).replace("import dlt\n", "import dango, dlt\n")
    _project(write, 10, **{"custom_sources/shop.py": failing})
    write({"sources": SOURCES + "    max_errors: 0\n"})
    assert dango("sync").code == 0
    write({"last": "20"})
    said = dango("sync", "--json")
    (result,) = said.json["results"]
    assert (said.code, result["failed_count"]) == (1, 1)
    assert rows(COUNTS) == [(20, 20, 10, 10)]
    assert rows("select entity from raw_shop._dango_errors") == [("a visit",)]
    assert _cursors(dango) == {"orders": 20, "visits": 10}
    write({"last": "21"})
    assert dango("sync").code == 0
    assert rows(COUNTS) == [(21, 21, 21, 21)]


@pytest.mark.parametrize("command", ["sync", "check"])
def test_a_destination_without_transactions_takes_no_resources_one_by_one(
    root: Path, write: Write, dango: Dango, command: str
) -> None:
    lake = 'version: 1\ndestination: lake\ndestinations: {lake: {type: filesystem, bucket_url: "file:data/lake"}}\n'
    _project(write, 10)
    write({"sources": SOURCES.replace("version: 1\n", lake)})
    said = dango(command)
    assert said.code == 2
    told = said.out + said.err
    assert ".dango/sources.yml:7:5: destination `lake` (filesystem) cannot take resources one by one" in told


@pytest.mark.slow
def test_one_resource_a_trial_and_a_refresh_are_one_job(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    _project(write, 10)
    for options in (["--resource", "visits"], ["--limit", "2"], ["--full-refresh"]):
        said = dango("sync", *options, "--json")
        assert (said.code, _jobs(root, said.json["run"])) == (0, 1), options
    assert rows(COUNTS) == [(10, 10, 10, 10)]

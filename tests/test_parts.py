"""`split:`: a large resource in ranges of a column, each confirmed by itself; a run goes on where it stopped."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said
from tests.killed import killed
from tests.postgres_server import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

MERGE = "write_disposition: merge, primary_key: id"
ORDERS = "select count(*), count(distinct id), min(id), max(id) from raw_shop.orders"


def _database(root: Path, *rows: tuple[Any, ...]) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.execute("CREATE TABLE IF NOT EXISTS orders (id INTEGER PRIMARY KEY, what TEXT, at TIMESTAMP)")
        database.executemany("INSERT OR REPLACE INTO orders VALUES (?, ?, ?)", rows)


def _days(first: int, last: int) -> list[tuple[Any, ...]]:
    return [(n, f"item {n}", f"2024-{1 + n // 28 % 12:02}-{1 + n % 28:02} 10:00:00") for n in range(first, last + 1)]


def _sqlite(hints: str) -> str:
    return (
        "version: 1\nsources:\n  - name: shop\n    type: sqlite\n    sqlite: {path: shop.db}\n"
        f"    resources:\n      orders: {{{hints}}}\n"
    )


def _jobs(root: Path, run: str) -> int:
    """How many jobs a run had: each begins once."""
    return sum(line.endswith("shop: queued") for line in (root / f".dango/logs/{run}.log").read_text().splitlines())


@pytest.mark.parametrize(
    "split",
    [
        pytest.param("{column: id, ranges: 4}", id="ranges"),
        pytest.param("{column: id, size: 300}", id="a size of numbers", marks=pytest.mark.slow),
    ],
)
def test_a_first_load_comes_in_ranges_and_the_next_goes_on_from_its_cursor(
    root: Path, write: Write, dango: Dango, rows: Rows, split: str
) -> None:
    _database(root, *_days(1, 1000))
    write({"sources": _sqlite(f"{MERGE}, cursor: {{field: id}}, split: {split}")})
    said = dango("sync", "--json")
    assert said.code == 0, said.out + said.err
    (result,) = said.json["results"]
    assert (result["rows"], result["part"]) == (1000, "")
    assert [(table["name"], table["rows"], table["total"]) for table in result["tables"]] == [("orders", 1000, 1000)]
    assert rows(ORDERS) == [(1000, 1000, 1, 1000)]
    assert _jobs(root, said.json["run"]) == 4
    assert not (root / ".dango/parts").exists()

    _database(root, *_days(1001, 1010))
    said = dango("sync", "--json")
    assert said.json["results"][0]["rows"] == 10
    assert _jobs(root, said.json["run"]) == 1
    assert rows(ORDERS) == [(1010, 1010, 1, 1010)]


@pytest.mark.slow
def test_a_table_without_a_cursor_is_read_whole_in_ranges_each_time(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    _database(root, *_days(1, 100))
    write({"sources": _sqlite(f"{MERGE}, split: {{column: id, ranges: 3}}")})
    assert dango("sync").code == 0
    _database(root, (5, "other", None), *_days(101, 120))
    assert dango("sync").code == 0
    assert rows(ORDERS) == [(120, 120, 1, 120)]
    assert rows("select what from raw_shop.orders where id = 5") == [("other",)]


@pytest.mark.slow
def test_a_cursor_of_times_is_cut_by_days_and_a_full_refresh_loads_all_at_once(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    _database(root, *_days(1, 336))
    write({"sources": _sqlite(f"{MERGE}, cursor: {{field: at}}, split: {{column: at, size: 60 days}}")})
    said = dango("sync", "--json")
    assert said.code == 0, said.out + said.err
    assert rows(ORDERS) == [(336, 336, 1, 336)]
    assert _jobs(root, said.json["run"]) == 7
    said = dango("sync", "--full-refresh", "--json")
    assert (said.code, _jobs(root, said.json["run"])) == (0, 1)
    assert rows(ORDERS) == [(336, 336, 1, 336)]


@pytest.mark.slow
def test_a_range_of_time_is_divided_and_leaves_the_cursor(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    _database(root, *_days(1, 336))
    write({"sources": _sqlite(f"{MERGE}, cursor: {{field: at}}, split: {{column: at, ranges: 3}}")})
    assert dango("sync").code == 0
    (before,) = dango("source", "cursor", "shop", "--json").json["cursors"]
    _database(root, *((n, "changed", at) for n, _, at in _days(1, 336)))
    said = dango("sync", "--since", "2024-03-01", "--until", "2024-05-01", "--json")
    assert (said.code, _jobs(root, said.json["run"])) == (0, 3)
    assert rows("select count(*), min(\"at\")::date::varchar, max(\"at\")::date::varchar from raw_shop.orders"
                " where what = 'changed'") == [(56, "2024-03-01", "2024-04-28")]  # fmt: skip
    assert dango("source", "cursor", "shop", "--json").json["cursors"] == [before]


START = dt.date.today() - dt.timedelta(days=100)
BROKEN = START + dt.timedelta(days=60)
NUMBERS = f"""
import datetime as dt
from pathlib import Path
import dlt

START = dt.date.fromisoformat("{START}")

@dlt.source
def shop(last: int = 100):
    @dlt.resource(write_disposition="append")
    def orders(at=dlt.sources.incremental("at", initial_value=str(START))):
        # As an API that knows no end: dlt leaves out what is beyond.
        with Path("asked").open("a") as asked:
            asked.write("asked\\n")
        if Path("broken").exists() and at.last_value >= "{BROKEN}":
            raise ConnectionError("the shop is closed")
        for n in range(1, last + 1):
            yield {{"id": n, "at": str(START + dt.timedelta(days=n - 1))}}

    @dlt.resource(write_disposition="replace")
    def people():
        yield {{"id": 1}}

    return orders, people
"""
APPENDED = (
    "version: 1\nsources:\n  - name: shop\n    type: dlt_native\n"
    "    dlt_native: {source_module: shop, source_function: shop}\n"
    "    resources:\n      people:\n      orders: {split: {column: at, size: 20 days}}\n"
)


def _range(dango: Dango) -> Said:
    return dango("sync", "--since", str(START), "--until", str(START + dt.timedelta(days=100)), "--json")


def test_a_run_that_failed_in_a_part_goes_on_with_what_is_left(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": APPENDED, "custom_sources/shop.py": NUMBERS, "broken": ""})
    said = _range(dango)
    (result,) = said.json["results"]
    assert (said.code, result["status"]) == (1, "failed")
    assert "the shop is closed" in result["error"]["message"]
    run = said.json["run"]
    done = int(result["error"]["hint"].rpartition("\n")[2].split()[0])
    assert result["error"]["hint"].endswith(f"{done} of 5 parts are loaded; to go on: dango sync --resume {run}")
    assert done == 3
    loaded = rows("select count(*), count(distinct id) from raw_shop.orders")
    assert loaded[0][0] == loaded[0][1] > 0

    said = dango("sync", "--resume", run)
    assert said.code == 1, "it is still closed"
    (root / "broken").unlink()
    (root / "asked").unlink()
    said = dango("sync", "--resume", run, "--json")
    assert said.code == 0, said.out + said.err
    assert len((root / "asked").read_text().splitlines()) == 2, "what was loaded is not asked for again"
    assert said.json["results"][0]["rows"] == 100, "the whole run is told"
    assert rows("select count(*), count(distinct id) from raw_shop.orders") == [(100, 100)]
    said = dango("sync", "--resume", run)
    assert (said.code, said.told) == (
        2, f"error: nothing is left to do of run `{run}`\n  hint: no run waits for that\n",
    )  # fmt: skip


@pytest.mark.slow
def test_a_first_load_that_stopped_stands_in_the_way_of_the_next(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": APPENDED, "custom_sources/shop.py": NUMBERS, "broken": ""})
    said = dango("sync", "--json")
    run = said.json["run"]
    assert said.code == 1
    (root / "broken").unlink()
    said = dango("sync")
    assert said.code == 2
    assert f"run {run} has loaded" in said.err
    assert f"dango sync --resume {run}" in said.err
    said = dango("sync", "--resume", run)
    assert said.code == 0, said.out + said.err
    assert rows("select count(*), count(distinct id) from raw_shop.orders") == [(100, 100)]
    assert rows("select count(*) from raw_shop.people") == [(1,)]
    assert dango("sync").code == 0
    assert rows("select count(*), count(distinct id) from raw_shop.orders") == [(100, 100)]


@pytest.mark.slow
def test_a_refresh_makes_a_stopped_run_superfluous(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    write({"sources": APPENDED, "custom_sources/shop.py": NUMBERS, "broken": ""})
    assert dango("sync").code == 1
    assert dango("sync", "--limit", "1").code == 0
    assert dango("sync", "--resource", "people").code == 0
    write({"custom_sources/shop.py": "x ="})
    assert dango("sync", "--full-refresh").code == 2
    assert dango("sync").code == 2, "a refresh that failed makes nothing superfluous"
    write({"custom_sources/shop.py": NUMBERS})
    (root / "broken").unlink()
    assert dango("sync", "--full-refresh").code == 0
    assert not (root / ".dango/parts").exists()
    assert rows("select count(*), count(distinct id) from raw_shop.orders") == [(100, 100)]


@pytest.mark.slow
def test_doctor_names_a_stopped_run_and_a_source_leaves_with_it(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": APPENDED, "custom_sources/shop.py": NUMBERS, "broken": ""})
    run = dango("sync", "--json").json["run"]
    found = {each["kind"]: each for each in dango("doctor", "--json").json["leftovers"]}
    assert found["parts"]["what"] == "3 of 5 parts of a run that was stopped are loaded"
    assert found["parts"]["needs"] == f"dango sync --resume {run}"
    said = dango("source", "remove", "shop", "--drop-data", "--yes")
    assert said.code == 0, said.err
    assert not (root / ".dango/parts").exists()


@pytest.mark.parametrize(
    ("function", "when", "process"),
    [
        ("dango.load.loading:load", "after", "worker"),
        ("dango.parts:Stored.confirmed", "before", "planner"),
        *(
            pytest.param(*point, marks=pytest.mark.slow)
            for point in [
                ("dango.course:Course._division", "after", "planner"),
                ("dango.load.loading:load", "before", "worker"),
                ("dango.load.working_folder:tell", "after", "worker"),
                ("dango.dlt_internals.packages:remove", "after", "worker"),
                ("dango.parts:Stored.confirmed", "after", "planner"),
                ("dango.parts:Stored.forget", "before", "planner"),
            ]
        ),
    ],
)
@pytest.mark.parametrize("place", ["duckdb", pytest.param("postgres", marks=[pytest.mark.postgres, pytest.mark.slow])])
def test_whatever_is_killed_each_row_is_there_once(
    root: Path, write: Write, dango: Dango, rows: Rows, tmp_path: Path, function: str, when: str, process: str,
    place: str, request: pytest.FixtureRequest,
) -> None:  # fmt: skip
    count = "SELECT count(*), count(DISTINCT id) FROM raw_shop.orders"
    sources, ask = APPENDED, lambda: rows(count)
    if place == "postgres":
        server: Postgres = request.getfixturevalue("postgres")
        sources = APPENDED.replace(
            "version: 1\n", "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\n"
        )
        write({".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{server.url}"\n'})

        def ask() -> list[Any]:
            with server.cursor() as cursor:
                cursor.execute(count)
                return list(cursor.fetchall())

    write({"sources": sources, "custom_sources/shop.py": NUMBERS})
    killed(root, tmp_path / "lives", function, "sync", when=when, process=process)
    plans = [*(root / ".dango/parts").glob("*/shop/plan.json")]
    if function == "dango.course:Course._division":
        assert not plans, "a plan is written when it is made"
        assert dango("sync").code == 0
    else:
        (plan,) = plans
        said = dango("sync", "--resume", plan.parent.parent.name)
        assert said.code == 0, said.out + said.err
    assert ask() == [(100, 100)]
    assert not (root / ".dango/parts").exists()


@pytest.mark.skipif(os.name != "posix", reason="a signal")
def test_ctrl_c_ends_parts_and_says_how_to_go_on(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    slow = NUMBERS.replace("        for n in range", "        import time; time.sleep(3)\n        for n in range")
    write({"sources": APPENDED, "custom_sources/shop.py": slow})
    process = subprocess.Popen([sys.executable, "-m", "dango", "sync"], cwd=root, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 60
    while not (root / "asked").exists():
        assert time.monotonic() < end
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20)
    assert process.returncode == 130
    ((ended,),) = dango("history", "--json").json["runs"]
    assert ended["status"] == "interrupted"
    assert ended["error"]["hint"] == f"to go on: dango sync --resume {ended['run']}"
    write({"custom_sources/shop.py": NUMBERS})
    assert dango("sync", "--resume", ended["run"]).code == 0
    assert rows("select count(*), count(distinct id) from raw_shop.orders") == [(100, 100)]


@pytest.mark.postgres
@pytest.mark.slow
def test_parts_are_merged_into_postgres_side_by_side(
    root: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    _database(root, *_days(1, 2000))
    sources = _sqlite(f"{MERGE}, cursor: {{field: id}}, split: {{column: id, ranges: 8}}")
    write({
        "sources": sources.replace(
            "version: 1\n", "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\n"
        ),
        ".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{postgres.url}"\n',
    })  # fmt: skip
    said = dango("sync", "--jobs", "4", "--json")
    assert said.code == 0, said.out + said.err
    with postgres.cursor() as cursor:
        cursor.execute(ORDERS)
        assert cursor.fetchall() == [(2000, 2000, 1, 2000)]
        # Rows that another sync would go on from are written by the last job alone.
        cursor.execute("SELECT count(*) FROM raw_shop._dlt_pipeline_state")
        assert cursor.fetchone() == (1,)


@pytest.mark.parametrize(
    ("hints", "message"),
    [
        (
            "write_disposition: replace, split: {column: id, ranges: 2}",
            "`orders` is written with `replace`, which takes the place of all rows in one step, and not in parts",
        ),
        (
            f"{MERGE}, cursor: {{field: at}}, split: {{column: id, ranges: 2}}",
            "`orders` is divided by `id`, and its cursor is `at`: what changes meanwhile would be lost, or come twice",
        ),
        (
            f"{MERGE}, split: {{column: ids, ranges: 2}}",
            "the table `orders` has no column `ids` (did you mean `id`?)",
        ),
        (
            f"{MERGE}, split: {{column: what, ranges: 2}}",
            "`what` of `orders` cannot be divided: 'item 1' is no number and no time",
        ),
        (
            f"{MERGE}, split: {{column: id, size: 3 days}}",
            "`id` of `orders` cannot be divided: 1 is no number and no time",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused_with_its_place(
    root: Path, write: Write, dango: Dango, hints: str, message: str
) -> None:
    _database(root, *_days(1, 50))
    write({"sources": _sqlite(hints)})
    said = dango("sync", "--json")
    (result,) = said.json["results"]
    assert said.code == result["error"]["exit_code"] > 0
    assert result["error"]["kind"] in ("ResolveError", "SourceError")
    assert result["error"]["message"] == message
    assert result["error"]["place"].startswith(".dango/sources.yml:7:")
    assert not (root / ".dango/parts").exists()


def test_a_plan_is_for_its_owner_alone_and_one_that_is_broken_is_told(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": APPENDED, "custom_sources/shop.py": NUMBERS, "broken": ""})
    run = _range(dango).json["run"]
    plan = root / f".dango/parts/{run}/shop/plan.json"
    assert plan.stat().st_mode & 0o777 == 0o600
    assert json.loads(plan.read_text())["source"] == "shop"
    plan.write_text("{")
    said = dango("sync", "--resume", run)
    assert said.code == 1
    assert f"{plan} cannot be read" in said.err


@pytest.mark.slow
def test_resuming_takes_no_other_words_and_knows_its_runs(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": APPENDED, "custom_sources/shop.py": NUMBERS, "broken": ""})
    run = _range(dango).json["run"]
    assert dango("sync", "--resume", run, "--full-refresh").told.startswith("error: --resume goes on with what was")
    said = dango("sync", "--resume", run[:-1] + "x")
    assert (said.code, f"did you mean `{run}`?" in said.err) == (2, True)

"""`--since` and `--until` load a range of time, and leave cursors and other rows as they are."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.conftest import Said

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

BLOCK = "dlt_native: {source_module: shop, source_function: shop}"

SHOP = """
import datetime as dt
import dlt

UTC = dt.timezone.utc
DAYS = [dt.datetime(2024, 1, day, 12, tzinfo=UTC) for day in range(1, 11)]
MERGE = {"primary_key": "id", "write_disposition": "merge"}


@dlt.source
def shop():
    @dlt.resource(**MERGE)
    def moments(at=dlt.sources.incremental("at", initial_value=DAYS[3])):
        yield [{"id": n, "at": day} for n, day in enumerate(DAYS)]

    @dlt.resource(**MERGE)
    def texts(at=dlt.sources.incremental("at", initial_value="2024-01-04")):
        yield [{"id": n, "at": f"{day:%Y-%m-%dT%H:%M:%S}Z"} for n, day in enumerate(DAYS)]

    @dlt.resource(**MERGE)
    def days(at: dlt.sources.incremental[dt.date] = dlt.sources.incremental("at", initial_value=dt.date(2024, 1, 4))):
        yield [{"id": n, "at": day.date()} for n, day in enumerate(DAYS)]

    hinted = dlt.resource([{"id": n, "at": day} for n, day in enumerate(DAYS)], name="hinted", **MERGE)
    hinted.apply_hints(incremental=dlt.sources.incremental("at", initial_value=DAYS[3]))

    @dlt.transformer(data_from=moments, **MERGE)
    def lines(page):
        yield [{"id": row["id"], "line": 1} for row in page]

    @dlt.resource(primary_key="id", write_disposition="merge")
    def people():
        yield [{"id": 1}]

    return moments, texts, days, hinted, lines, people
"""

IDS = "SELECT list(id ORDER BY id) FROM raw_shop.{}"
DATED = ("moments", "texts", "days", "hinted", "lines")


def held(rows: Rows, table: str) -> list[int]:
    """The ids in a table."""
    return list(rows(IDS.format(table))[0][0])


def everywhere(*ids: int) -> dict[str, list[int]]:
    """These ids in every table that has a cursor."""
    return {table: [*ids] for table in DATED}


def shop(write: Write, source: str = SHOP, more: str = "") -> None:
    write(
        {
            "sources": f"version: 1\nsources:\n  - {{name: shop, type: dlt_native, {BLOCK}{more}}}\n",
            "custom_sources/shop.py": source,
        }
    )


@pytest.mark.slow
def test_a_range_is_loaded_and_the_cursors_stay(write: Write, dango: Dango, rows: Rows) -> None:
    shop(write)
    assert dango("sync").code == 0
    assert {table: held(rows, table) for table in DATED} == everywhere(*range(3, 10))
    before = dango("source", "cursor", "shop", "--json").json
    said = dango("-v", "sync", "--since", "2024-01-02", "--until", "2024-01-03T00:00:00Z")
    assert said.code == 0, said.err
    assert "`people` has no cursor, and is left out" in said.err
    assert {table: held(rows, table) for table in DATED} == everywhere(1, *range(3, 10))
    assert dango("sync", "--until", "2024-01-05", "--since", "2023-01-01").code == 0
    assert {table: held(rows, table) for table in DATED} == everywhere(*range(10))
    assert dango("source", "cursor", "shop", "--json").json == before
    assert [table["rows"] for table in dango("sync", "--json").json["results"][0]["tables"]] == [1]


@pytest.mark.slow
def test_a_first_load_may_be_a_range_and_the_next_sync_begins_where_it_would(
    write: Write, dango: Dango, rows: Rows
) -> None:
    shop(write)
    assert dango("sync", "--since", "2024-01-02", "--until", "2024-01-03", "--resource", "texts").code == 0
    assert held(rows, "texts") == [1]
    assert dango("sync").code == 0
    assert held(rows, "texts") == [1, *range(3, 10)]


REFUSED = {
    "numbers": (
        'dlt.resource([{"id": 1}], name="r").add_step(dlt.sources.incremental("id", initial_value=0))',
        "the cursor `id` of `r` is no time, but such as 0: it has no range from date to date",
    ),
    "words": (
        'dlt.resource([{"at": "monday"}], name="r").add_step(dlt.sources.incremental("at", initial_value="monday"))',
        "the cursor `at` of `r` is no time, but such as 'monday': it has no range from date to date",
    ),
    "nothing known": (
        'dlt.resource([{"at": "x"}], name="r").add_step(dlt.sources.incremental("at"))',
        "the cursor `at` of `r` has no value yet: nobody knows how it writes a time",
    ),
    "no cursor": ('dlt.resource([{"at": "x"}], name="r")', "`r` has no cursor, and so no range of time"),
    "replaced": (
        'dlt.resource([], name="r", write_disposition="replace").add_step(dlt.sources.incremental("at", "2024-01-01"))',
        "`r` is written with `replace`: of its table only the range would be left",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("why", REFUSED)
def test_what_has_no_range_of_time_says_so_and_nothing_is_begun(write: Write, dango: Dango, why: str) -> None:
    made, message = REFUSED[why]
    shop(write, f"import dlt\n\n\n@dlt.source\ndef shop():\n    return {made}\n")
    said = dango("sync", "--since", "2024-01-01")
    assert said.code == 2
    assert message in said.err
    assert "hint: " in said.err


@pytest.mark.slow
def test_rows_that_would_be_there_twice_are_not_appended(write: Write, dango: Dango, rows: Rows) -> None:
    source = SHOP.replace('"write_disposition": "merge"', '"write_disposition": "append"')
    shop(write, source, ", resources: [moments, texts]")
    assert dango("sync").code == 0
    said = dango("sync", "--since", "2024-01-02", "--until", "2024-01-06")
    assert said.code == 2
    assert "`moments` is appended, and 2 rows of that range are there: they would come twice" in said.err
    assert dango("sync", "--since", "2024-01-02", "--until", "2024-01-03").code == 0
    assert held(rows, "moments") == held(rows, "texts") == [1, *range(3, 10)]


class Api(BaseHTTPRequestHandler):
    """Issues by the time of their last change, between two times."""

    asked: list[dict[str, list[str]]]

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        self.asked.append(query)
        rows = [{"id": day, "updated_at": f"2024-01-{day:02}T12:00:00Z"} for day in range(1, 11)]
        since, until = query["since"][0], query.get("until", ["9"])[0]
        body = json.dumps([row for row in rows if since <= str(row["updated_at"]) < until]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        pass


@pytest.fixture
def api() -> Iterator[tuple[str, list[dict[str, list[str]]]]]:
    """The address of a server, and what it was asked."""
    handler = type("Handler", (Api,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", handler.asked
        server.shutdown()


@pytest.mark.slow
def test_an_api_is_asked_for_the_range(
    write: Write, dango: Dango, rows: Rows, api: tuple[str, list[dict[str, list[str]]]]
) -> None:
    address, asked = api
    config = {
        "client": {"base_url": address, "paginator": "single_page"},
        "resources": [
            {
                "name": "issues", "primary_key": "id", "write_disposition": "merge",
                "endpoint": {
                    "path": "issues",
                    "incremental": {
                        "cursor_path": "updated_at", "initial_value": "2024-01-08T00:00:00Z", "start_param": "since",
                        "end_param": "until",
                    },
                },
            }
        ],
    }  # fmt: skip
    block = {"source_module": "rest_api", "source_function": "rest_api_source", "function_kwargs": {"config": config}}
    source = {"name": "shop", "type": "dlt_native", "dlt_native": block}
    write({"sources": "version: 1\nsources:\n  - " + json.dumps(source) + "\n"})
    assert dango("sync").code == 0
    assert held(rows, "issues") == [8, 9, 10]
    assert dango("sync", "--since", "2024-01-02", "--until", "2024-01-04").code == 0
    assert asked[-1] == {"since": ["2024-01-02T00:00:00Z"], "until": ["2024-01-04T00:00:00Z"]}
    assert held(rows, "issues") == [2, 3, 8, 9, 10]
    assert dango("sync").code == 0
    assert asked[-1]["since"] == ["2024-01-10T12:00:00Z"]


@pytest.mark.slow
def test_a_database_is_asked_for_the_range(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, at TIMESTAMP)")
        days = [(day, dt.datetime(2024, 1, day, 12).isoformat(" ")) for day in range(1, 11)]
        database.executemany("INSERT INTO orders VALUES (?, ?)", days)
    write(
        {
            "sources": "version: 1\nsources:\n  - {name: shop, type: sqlite, sqlite: {path: shop.db}, resources:"
            " {orders: {write_disposition: merge, primary_key: id, cursor: {field: at, initial: 2024-01-08}}}}\n"
        }
    )
    assert dango("sync").code == 0
    assert held(rows, "orders") == [8, 9, 10]
    assert dango("sync", "--since", "2024-01-02", "--until", "2024-01-04").code == 0
    assert held(rows, "orders") == [2, 3, 8, 9, 10]
    assert [table["rows"] for table in dango("sync", "--json").json["results"][0]["tables"]] == []

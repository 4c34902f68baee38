"""`dango preview`: the first rows of any source, and no trace of having looked."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

SHOP = """\
import datetime as dt
import decimal
import enum

import dlt
import pyarrow as pa

print("imported, loudly")

class Colour(enum.Enum):
    RED = 1

class Own:
    def __str__(self):
        return "an object of its own"

@dlt.resource(primary_key="id", write_disposition="merge")
def orders(at=dlt.sources.incremental("at", initial_value=3)):
    print("noise")
    for n in range(1000):
        yield [{"id": n, "at": n, "price": decimal.Decimal("1.10"), "when": dt.datetime(2024, 1, n % 9 + 1),
                "lines": [{"sku": "s" * 300, "n": list(range(50))}]}]

@dlt.resource
def table():
    yield pa.table({"a": range(100_000), "b": ["x"] * 100_000})

@dlt.resource
def odd():
    yield {"colour": Colour.RED, "own": Own(), "raw": b"\\xab", "token": "t-hunter2hunter2", "set": {1}}
    yield [{"other": True}, 7]

@dlt.source
def shop(token: str = dlt.secrets.value):
    return orders, table, odd

@dlt.source
def loadable():
    return orders, table

@dlt.resource
def breaking():
    yield {"a": 1}
    raise ConnectionError("with t-hunter2hunter2")

@dlt.resource
def well():
    yield {"a": 1}

@dlt.source
def ill(token: str = dlt.secrets.value):
    return breaking, well

def guarded():
    import dango
    for n in range(4):
        with dango.guard(n):
            yield {"n": 6 // n}

def slow():
    import time
    yield {"n": 1}
    time.sleep(60)
"""


@pytest.fixture
def shop(write: Write) -> None:
    blocks = [native(name, name) for name in ("shop", "loadable", "ill", "guarded", "slow")]
    write({
        "sources": sources(*blocks),
        "custom_sources/shop.py": SHOP,
        ".dlt/secrets.toml": '[sources.shop]\ntoken = "t-hunter2hunter2"\n[sources.ill]\ntoken = "t-hunter2hunter2"\n',
    })  # fmt: skip


def rows(said: Said) -> dict[str, list[Any]]:
    return {each["resource"]: each["rows"] for each in said.json["resources"]}


def tree(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_first_rows_of_each_resource_are_shown_and_nothing_else_is_said(shop: None, dango: Dango) -> None:
    said = dango("preview", "shop", "--limit", "2", "--json")
    assert (said.code, said.err, said.json["source"], said.json["exit_code"]) == (0, "", "shop", 0)
    found = rows(said)
    assert [row["id"] for row in found["orders"]] == [3, 4]  # from the cursor's first value on
    assert found["orders"][0]["lines"] == [{"sku": "s" * 300, "n": [*range(50)]}]
    assert (found["orders"][0]["price"], found["orders"][0]["when"]) == (1.1, "2024-01-04T00:00:00")
    assert found["table"] == [{"a": 0, "b": "x"}, {"a": 1, "b": "x"}]
    assert found["odd"][0] == {
        "colour": "Colour.RED", "own": "an object of its own", "raw": "\\xab", "token": "***", "set": [1],
    }  # fmt: skip
    assert '"price": 1.10' in said.out

    table = dango("preview", "shop", "--resource", "orders", "--resource", "odd", "--limit", "3")
    assert (table.code, table.err) == (0, "")
    lines = table.out.splitlines()
    assert (lines[0], lines[1].split()) == ("orders: 3 rows", ["id", "at", "price", "when", "lines"])
    assert lines[2].split()[:4] == ["3", "3", "1.10", "2024-01-04"]
    assert lines[2].endswith("…")
    assert max(map(len, lines)) < 400
    assert lines[5:7] == ["", "odd: 3 rows"]
    assert "noise" not in table.out
    loud = dango("-v", "preview", "shop", "--resource", "orders", "--json")
    assert "noise" in loud.err and "imported, loudly" in loud.err
    assert len(rows(loud)["orders"]) == 10


def test_one_resource_comes_as_csv(shop: None, dango: Dango) -> None:
    said = dango("preview", "shop", "--resource", "table", "--limit", "2", "--format", "csv")
    assert (said.code, said.out) == (0, "a,b\n0,x\n1,x\n")
    odd = dango("preview", "shop", "--resource", "odd", "--format", "csv")
    assert odd.out.splitlines()[0] == "colour,own,raw,token,set,other,value"
    assert odd.out.splitlines()[2:] == [",,,,,true,", ",,,,,,7"]
    several = dango("preview", "shop", "--format", "csv")
    assert (several.code, several.out) == (2, "")
    assert "dango preview shop --resource orders --format csv" in several.err


def test_no_trace_is_left_and_no_cursor_is_moved_or_looked_at(shop: None, root: Path, dango: Dango) -> None:
    assert dango("sync", "loadable").code == 0
    before = tree(root)
    said = dango("preview", "loadable", "--resource", "orders", "--json")
    assert [row["id"] for row in rows(said)["orders"]] == [*range(3, 13)]
    assert tree(root) == before
    dango("preview", "ill")
    assert tree(root) == before


@pytest.mark.slow
def test_what_fails_is_told_beside_what_does_not(shop: None, dango: Dango) -> None:
    said = dango("preview", "ill", "--json")
    assert (said.code, said.json["exit_code"], rows(said)) == (3, 3, {"breaking": [{"a": 1}], "well": [{"a": 1}]})
    line = f"custom_sources/shop.py:{1 + SHOP[: SHOP.index('raise ConnectionError')].count(chr(10))}"
    broken = said.json["resources"][0]["error"]
    assert (broken["message"], broken["place"]) == ("ConnectionError: with ***", line)
    table = dango("preview", "ill")
    assert f"error: breaking: {line}: ConnectionError: with ***" in table.err
    assert "hunter2" not in said.out + said.err + table.out + table.err
    alone = dango("preview", "ill", "--resource", "breaking")
    assert (alone.code, "breaking: 1 row" in alone.out) == (1, True)
    guarded = dango("preview", "guarded", "--json")
    assert (guarded.code, rows(guarded)["guarded"]) == (0, [{"n": 6}, {"n": 3}, {"n": 2}])
    assert guarded.json["resources"][0]["failed"][0].startswith("ZeroDivisionError: ")
    assert "warning: guarded: a record failed: ZeroDivisionError" in dango("preview", "guarded").err
    slow = dango("preview", "slow", "--json", env={"DANGO_TEST_SECONDS": "1"})
    assert (slow.code, rows(slow)) == (1, {"slow": [{"n": 1}]})
    assert slow.json["resources"][0]["error"]["message"] == "1 of 10 rows within 1 s"


def test_bad_input_is_told(shop: None, dango: Dango) -> None:
    for arguments, why in [
        (["shopp"], "no source `shopp` in this project (did you mean `shop`?)"),
        (["shop", "--resource", "ordres"], "has no resource `ordres` (did you mean `orders`?)"),
        (["shop", "--limit", "0"], "Invalid value for '--limit'"),
        (["shop", "--json", "--format", "csv"], "exclude each other"),
    ]:
        said = dango("preview", *arguments)
        assert (said.code, why in said.err) == (2, True), said


class Handler(BaseHTTPRequestHandler):
    """An API of one list."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps([{"id": n, "name": f"label {n}"} for n in range(20)]).encode())

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.slow
def test_every_kind_of_source_is_shown(server: str, root: Path, write: Write, dango: Dango) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.execute("CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT, changed TEXT)")
        database.executemany(
            "INSERT INTO items VALUES (?, ?, ?)", [(n, f"n{n}", f"2024-01-{n:02}") for n in range(1, 31)]
        )
    header = ["id,name", *(f"{n},n{n}" for n in range(1000))]
    block = f"{{name: gh, type: github, resources: [labels], github: {{owner: a, repo: b, base_url: '{server}'}}}}"
    write({
        "sources": f"version: 1\nsources:\n  - {block}\n"
        "  - {name: csv, type: files, files: {location: 'in/*.csv'}}\n"
        "  - {name: lite, type: sqlite, sqlite: {path: shop.db}, resources: {items: {cursor: {field: id, initial: 20}}}"
        "}\n",
        ".dlt/secrets.toml": '[sources.gh]\ntoken = "right-token"\n',
        "in/a.csv": "\n".join(header), "in/b.csv": "\n".join(header),
    })  # fmt: skip
    labels = rows(dango("preview", "gh", "--json", "--limit", "3"))["labels"]
    assert [row["name"] for row in labels] == ["label 0", "label 1", "label 2"]
    (files,) = rows(dango("preview", "csv", "--json", "--limit", "3")).values()
    assert [row["name"] for row in files] == ["n0", "n1", "n2"]
    items = rows(dango("preview", "lite", "--json", "--limit", "2"))["items"]
    assert [row["id"] for row in items] == [20, 21]
    assert not [*(root / ".dango" / "pipelines").iterdir()]
    assert not (root / "data").exists()

"""Where loaders of this kind have hidden what happened: repeated it, renamed it, or fallen over their surroundings."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dango.history import History
from tests.conftest import Said, native, one_of, sources
from tests.faults.running import at_work, start, stopped, wait_until

pytestmark = pytest.mark.slow

Dango = Callable[..., Said]
Write = Callable[..., None]
Rows = Callable[[str], list[Any]]


class Vendor:
    """A server that answers everything with one status, and what it was asked."""

    def __init__(self, url: str, asked: list[str]) -> None:
        self.url = url
        self.asked = asked


@pytest.fixture
def vendor() -> Iterator[Callable[[int], Vendor]]:
    """Starts such a server."""
    started: list[ThreadingHTTPServer] = []

    def answering(status: int) -> Vendor:
        asked: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(self.path)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Not among what the tests say."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        started.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return Vendor(f"http://127.0.0.1:{server.server_port}", asked)

    yield answering
    for server in started:
        server.shutdown()
        server.server_close()


COUNTED = """
import pathlib
import dlt

class Limited(Exception):
    pass

@dlt.resource
def rows():
    with pathlib.Path("asked").open("a") as asked:
        asked.write("x")
    yield [{"id": 1}]
    raise KIND("the field 429 of the connection: lock, schema, timeout")

def made():
    return dlt.resource(iter(rows()), name="rows")
"""


@pytest.mark.parametrize(
    ("kind", "function"),
    [
        ("ValueError", "rows"),
        ("ValueError", "made"),
        ("ConnectionError", "rows"),
        ("TimeoutError", "made"),
        ("Limited", "rows"),
    ],
)
def test_a_source_that_fails_is_asked_once_and_its_own_words_are_told_once(
    kind: str, function: str, root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": sources(native("shop", function)), "custom_sources/shop.py": COUNTED.replace("KIND", kind)})
    said = dango("sync")
    assert said.code == 1
    assert (root / "asked").read_text() == "x"
    assert said.err.count("the field 429 of the connection: lock, schema, timeout") == 1
    assert f"error: shop: custom_sources/shop.py:13: {kind}: " in said.err
    error = dango("history", "--json").json["runs"][0][0]["error"]
    assert error["kind"] == kind


ASKING = """
import dlt
import requests
from dlt.sources.helpers import requests as patient

@dlt.resource
def rows(address, token=dlt.secrets.value, again=False):
    answer = (patient if again else requests).get(f"{address}/rows", params={"token": token})
    answer.raise_for_status()
    yield answer.json()
"""


@pytest.mark.parametrize(("status", "again"), [(401, False), (403, True), (404, True)])
def test_what_a_vendor_refuses_is_asked_for_once_and_the_token_is_nowhere_to_be_read(
    status: int, again: bool, root: Path, write: Write, dango: Dango, vendor: Callable[[int], Vendor]
) -> None:
    server = vendor(status)
    write(
        {
            "sources": sources(native("shop", function_kwargs={"address": server.url, "again": again})),
            "custom_sources/shop.py": ASKING,
            ".dlt/secrets.toml": '[sources.shop]\ntoken = "s3cr3t/t0ken+and=more"\n',
        }
    )
    said = dango("-v", "--debug", "sync", "--json")
    assert said.code == 1
    assert len(server.asked) == 1
    error = said.json["results"][0]["error"]
    assert error["kind"] == "HTTPError"
    assert ("the credentials are refused" in error["hint"]) is (status != 404)
    written = [path.read_bytes() for path in (root / ".dango").rglob("*") if path.is_file()]
    for secret in ("s3cr3t/t0ken+and=more", "s3cr3t%2Ft0ken%2Band%3Dmore"):
        assert secret not in said.out + said.err
        assert not [content for content in written if secret.encode() in content]


def test_a_server_that_is_not_there_is_told_as_that(root: Path, write: Write, dango: Dango) -> None:
    block = native("shop", function_kwargs={"address": "http://127.0.0.1:9", "token": "any-token-there-is"})
    write({"sources": sources(block), "custom_sources/shop.py": ASKING})
    begun = time.monotonic()
    said = dango("sync")
    assert said.code == 1
    assert "ConnectionError" in said.err
    assert "Connection refused" in said.err
    assert "any-token-there-is" not in said.err
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_between_two_attempts_ends_the_sync_and_is_no_failure(
    number: signal.Signals, code: int, root: Path, write: Write, vendor: Callable[[int], Vendor]
) -> None:
    server = vendor(503)
    block = native("shop", function_kwargs={"address": server.url, "token": "any-token", "again": True})
    write({"sources": sources(block), "custom_sources/shop.py": ASKING})
    process = start(root, "sync")
    wait_until(lambda: len(server.asked) == 2, process)
    said, seconds = stopped(process, number)
    assert (said.code, said.err) == (code, "stopped\n")
    assert seconds < 2.5
    asked = len(server.asked)
    time.sleep(3)
    assert len(server.asked) == asked
    assert History(root / ".dango").last()["shop"].status == "interrupted"
    assert at_work(root) == []


PLAIN = "def rows():\n    print('said')\n    yield [{'id': 1, 'names': [\"it's\"]}]\n"


@pytest.mark.parametrize("closed", one_of("<&- >&- 2>&-", ">&-"))
def test_a_sync_of_a_daemon_that_has_closed_its_streams_works(
    closed: str, root: Path, write: Write, rows: Rows
) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": PLAIN})
    command = f'exec "$0" -m dango sync {closed}'
    done = subprocess.run(["sh", "-c", command, sys.executable], cwd=root, timeout=60, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert rows("SELECT id FROM raw_shop.rows") == [(1,)]
    assert History(root / ".dango").last()["shop"].status == "ok"


@pytest.mark.parametrize("name", one_of("$HOME {x} [y]*", "it's here", 'naïve; "so"--'))
def test_a_project_may_lie_in_a_folder_of_any_name(name: str, root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": PLAIN})
    odd = root.parent / name
    shutil.copytree(root, odd)
    for arguments in ([], ["--full-refresh"]):
        said = dango("sync", *arguments, cwd=odd)
        assert said.code == 0, said.err
    with duckdb.connect(str(odd / "data" / "warehouse.duckdb"), read_only=True) as database:
        found = database.sql(
            "SELECT id, value FROM raw_shop.rows r JOIN raw_shop.rows__names n ON r._dlt_id = n._dlt_parent_id"
        )
        assert found.fetchall() == [(1, "it's")]


@pytest.mark.parametrize("name", one_of("50% off", "what?"))
def test_a_folder_that_dlt_or_duckdb_cannot_bear_is_refused_at_once(
    name: str, root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": PLAIN})
    odd = root.parent / name
    shutil.copytree(root, odd)
    said = dango("sync", cwd=odd)
    assert said.code == 2
    assert f"error: the project's folder {odd} has a `" in said.err
    assert not (odd / "data").exists()


def test_secrets_and_data_are_found_from_whatever_folder_it_is_started(
    root: Path, write: Write, dango: Dango, tmp_path: Path
) -> None:
    write(
        {
            "sources": sources(native("shop")),
            "custom_sources/shop.py": (
                "import dlt\n\n"
                "@dlt.resource(write_disposition='replace')\n"
                "def rows(token=dlt.secrets.value):\n"
                "    yield {'id': len(token), 'again': len(dlt.secrets['sources.shop.token'])}\n"
            ),
            ".dlt/secrets.toml": '[sources.shop]\ntoken = "twelve chars"\n',
            "deep/down/.keep": "",
        }
    )
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    assert dango("sync", cwd=root / "deep" / "down").code == 0
    said = dango("--project", str(root), "sync", "--json", cwd=elsewhere)
    assert said.code == 0, said.err
    assert said.json["results"][0]["tables"][0]["total"] == 1
    assert sorted(path.name for path in root.iterdir()) == [".dango", ".dlt", "custom_sources", "data", "deep"]
    assert list(elsewhere.iterdir()) == []
    assert [path.name for path in (root / "deep").rglob("*")] == ["down", ".keep"]


def test_how_many_rows_were_loaded_and_how_many_there_are_are_two_numbers(
    root: Path, write: Write, dango: Dango
) -> None:
    write(
        {
            "sources": sources(native("shop")),
            "custom_sources/shop.py": (
                "import dlt\n\n"
                "@dlt.resource(write_disposition='merge', primary_key='id')\n"
                "def rows(at=dlt.sources.incremental('at', initial_value=0)):\n"
                "    yield [{'id': n, 'at': at.last_value + 1} for n in range(at.last_value, at.last_value + 10)]\n"
            ),
        }
    )
    told = []
    for _ in range(3):
        (result,) = dango("sync", "--json").json["results"]
        (table,) = result["tables"]
        told.append((result["rows"], table["rows"], table["total"]))
    assert told == [(10, 10, 10), (10, 10, 11), (10, 10, 12)]

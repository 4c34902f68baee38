"""A source that is asked: what is found of each resource, and that nothing is left behind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources
from tests.fixtures_postgres import Postgres

SHOP = """\
import dlt, time

@dlt.resource
def orders():
    yield from ({"id": n} for n in range(1_000_000_000))

@dlt.resource(selected=False)
def parents():
    yield from ({"id": n} for n in range(1_000_000_000))

@dlt.transformer(data_from=parents)
def children(parent):
    if parent["id"] == 3:
        yield {"child": 1}

@dlt.resource(primary_key="id")
def changed(since=dlt.sources.incremental("at", initial_value=5)):
    yield [{"id": n, "at": n} for n in range(10)]

@dlt.resource
def nothing():
    yield from ()

@dlt.resource
def failing(token: str = dlt.secrets.value):
    raise ConnectionError(f"refused, with {token}")
    yield

@dlt.resource
def silent():
    while True:
        time.sleep(0.05)
    yield

@dlt.resource(parallelized=True)
def silent_too():
    while True:
        time.sleep(0.05)
    yield

@dlt.resource
def leaving():
    raise SystemExit(3)
    yield

@dlt.source
def well():
    return orders, parents, children, changed, nothing

@dlt.source
def ill():
    return orders(), failing(), leaving(), silent(), silent_too(), nothing()

def plain():
    yield {"a": 1}

def endless():
    raise ValueError("the key hunter2hunter2 is wrong")
"""


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def found(said: Said) -> dict[str, Any]:
    return {each["resource"]: each for each in said.json["found"] if "resource" in each}


@pytest.fixture
def shop(write: Callable[..., None]) -> None:
    blocks = [native(name, name) for name in ("well", "ill", "plain", "endless")]
    write({"sources": sources(*blocks), "custom_sources/shop.py": SHOP})
    write({".dlt/secrets.toml": '[sources.ill]\ntoken = "s3cr3t-token"\n'})


def test_a_row_of_each_resource_is_asked_for_and_no_more(shop: None, dango: Callable[..., Said]) -> None:
    said = dango("source", "test", "well", "--json")
    assert (said.code, said.json["exit_code"]) == (0, 0)
    assert {name: each["rows"] for name, each in found(said).items()} == {
        "orders": 1,
        "children": 1,
        "changed": 1,
        "nothing": 0,
    }
    told = dango("source", "test", "well")
    assert told.out.splitlines()[0].startswith("orders: a row in ")
    assert "nothing: well, and empty in " in told.out


def test_only_the_selected_resources_are_asked(write: Callable[..., None], dango: Callable[..., Said]) -> None:
    block = native("shop", "well").replace("type: dlt_native,", "type: dlt_native, resources: [children],")
    write({"sources": sources(block), "custom_sources/shop.py": SHOP})
    said = dango("source", "test", "shop", "--json")
    assert [*found(said)] == ["children"]
    assert found(said)["children"]["rows"] == 1


def test_one_that_fails_stops_no_other_and_its_cause_is_told(shop: None, dango: Callable[..., Said]) -> None:
    said = dango("source", "test", "ill", "--json", env={"DANGO_TEST_SECONDS": "1"}, timeout=60)
    assert said.code == 1
    assert "s3cr3t" not in said.out + said.err
    errors = {name: each["error"] and each["error"]["message"] for name, each in found(said).items()}
    assert errors == {
        "orders": None,
        "failing": "ConnectionError: refused, with ***",
        "leaving": "the source ends the program (sys.exit 3)",
        "silent": "no row within 1 s",
        "silent_too": "no row within 1 s",
        "nothing": None,
    }
    told = dango("source", "test", "ill", env={"DANGO_TEST_SECONDS": "1"}, timeout=60)
    assert told.code == 1
    assert "error: failing: custom_sources/shop.py:" in told.err
    assert "s3cr3t" not in told.out + told.err


def test_a_source_that_cannot_be_built_says_why(shop: None, dango: Callable[..., Said]) -> None:
    said = dango("source", "test", "endless")
    assert said.code == 1
    assert "ValueError: the key hunter2hunter2 is wrong" in said.err


def test_a_function_without_decorators_is_asked_too(shop: None, dango: Callable[..., Said]) -> None:
    assert found(dango("source", "test", "plain", "--json"))["plain"]["rows"] == 1


@pytest.mark.parametrize("name", ["well", "ill"])
def test_nothing_is_left_behind(name: str, shop: None, root: Path, dango: Callable[..., Said]) -> None:
    dango("sync", "plain")
    before = tree(root)
    dango("source", "test", name, env={"DANGO_TEST_SECONDS": "1"}, timeout=60)
    after = tree(root)
    assert {path for path in after if "__pycache__" not in path} == {
        path for path in before if "__pycache__" not in path
    }
    assert {path for path, content in before.items() if after[path] != content and "__pycache__" not in path} == set()


def test_nonsense_for_the_time_is_refused(shop: None, dango: Callable[..., Said]) -> None:
    said = dango("source", "test", "plain", env={"DANGO_TEST_SECONDS": "soon"})
    assert (said.code, "DANGO_TEST_SECONDS is no number of seconds: soon" in said.err) == (2, True)


def test_an_unknown_source_and_a_missing_variable_are_told_before_anything_runs(
    write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": sources(native("shop", function_kwargs={"token": "env:NO_SUCH"}))})
    assert (dango("source", "test", "shopp").code, "shop" in dango("source", "test", "shopp").err) == (2, True)
    said = dango("source", "test", "shop")
    assert (said.code, "the environment variable NO_SUCH is not set" in said.err) == (2, True)


class Handler(BaseHTTPRequestHandler):
    """An API of one list, for whoever has the token."""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer right-token"
        body = b'[{"id": 1}, {"id": 2}]' if allowed else b'{"message": "Bad credentials"}'
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


@pytest.mark.parametrize(("token", "code"), [("right-token", 0), ("wrong-token", 1)])
def test_an_entry_of_the_registry_is_asked_with_its_own_secret(
    token: str, code: int, server: str, root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    block = f"{{name: gh, type: github, resources: [labels], github: {{owner: a, repo: b, base_url: '{server}'}}}}"
    write(
        {"sources": f"version: 1\nsources:\n  - {block}\n", ".dlt/secrets.toml": f'[sources.gh]\ntoken = "{token}"\n'}
    )
    said = dango("source", "test", "gh", "--json")
    assert said.code == code, said
    assert token not in said.out + said.err
    (labels,) = said.json["found"]
    assert (labels["resource"], labels["rows"]) == ("labels", 1 - code)
    if code:
        assert "401" in labels["error"]["message"]
        assert "dango explain gh" in labels["error"]["hint"]
    assert not [*(root / ".dango" / "pipelines").iterdir()]


def test_a_database_says_its_version_and_what_its_user_may_not_do(
    postgres: Postgres, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    reader = f"reader_{postgres.database}"
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id int PRIMARY KEY)")
        cursor.execute("CREATE TABLE closed (id int PRIMARY KEY)")
        cursor.execute("INSERT INTO orders VALUES (1), (2)")
        cursor.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'reader-password'")
        cursor.execute(f"GRANT SELECT ON orders TO {reader}")
    fields = f"host: {postgres.host}, port: {postgres.port}, database: {postgres.database}, user: {reader}"
    write({"sources": f"version: 1\nsources:\n  - {{name: shop, type: postgres, postgres: {{{fields}}}}}\n"})
    write({".dlt/secrets.toml": "[sources.shop]\npassword = 'reader-password'\n"})
    try:
        said = dango("source", "test", "shop")
    finally:
        with postgres.cursor() as cursor:
            cursor.execute(f"DROP OWNED BY {reader}")
            cursor.execute(f"DROP ROLE {reader}")
    assert said.out.splitlines()[0].startswith("PostgreSQL ")
    assert said.out.splitlines()[0].endswith(f", as {reader}: 2 tables")
    assert f"warning: {reader} may not read closed: GRANT SELECT is missing" in said.err
    assert "orders: a row in" in said.out
    assert "reader-password" not in said.out + said.err

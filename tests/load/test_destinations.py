"""Where data goes: the file that needs no setting, dlt's destinations, one's own, and PostgreSQL itself."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dango.load import destinations
from tests.conftest import Said, native
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

SHOP = """
import dlt

def rows(count=3):
    for number in range(count):
        yield {"id": number}
"""


def project(*blocks: str, destinations: str = "{}", default: str = "duckdb") -> str:
    head = f"version: 1\ndestination: {default}\ndestinations: {destinations}\nsources:\n"
    return head + "".join(blocks or [native("shop")])


@pytest.mark.slow
def test_duckdb_needs_no_setting_and_others_go_where_they_are_told(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write(
        {
            "sources": project(
                native("shop"),
                destinations=(
                    "{lake: {type: duckdb, credentials: data/lake.duckdb},"
                    " pond: {type: duckdb, credentials: 'env:POND'},"
                    " folder: {type: filesystem, bucket_url: data/files, layout: '{table_name}/{load_id}.{ext}'}}"
                ),
            ),
            "custom_sources/shop.py": SHOP,
        }
    )
    assert dango("sync").code == 0
    assert rows("SELECT count(*) FROM raw_shop.rows") == [(3,)]
    assert [file.name for file in (root / "data").iterdir()] == ["warehouse.duckdb"]

    assert dango("sync", "--destination", "lake").code == 0
    assert dango("sync", env={"DANGO_DESTINATION": "pond", "POND": "data/pond.duckdb"}).code == 0
    for file in ("lake", "pond"):
        with duckdb.connect(str(root / "data" / f"{file}.duckdb"), read_only=True) as database:
            assert database.sql("SELECT count(*) FROM raw_shop.rows").fetchall() == [(3,)]
    assert rows("SELECT count(*) FROM raw_shop.rows") == [(3,)]

    said = dango("sync", "--destination", "folder", "--json")
    assert said.code == 0
    (result,) = said.json["results"]
    (table,) = result["tables"]
    # Files cannot be asked how many rows they hold.
    assert (result["destination"], table["name"], table["rows"], table["total"]) == ("folder", "rows", 3, None)
    (file,) = (root / "data" / "files" / "raw_shop" / "rows").iterdir()
    assert file.stat().st_size > 0


def test_credentials_come_from_secrets_toml_or_the_environment(root: Path, write: Write, dango: Dango) -> None:
    write(
        {
            "sources": project(
                native("one", destination="lake").replace("dlt_native: {", "destination: lake, dlt_native: {"),
                native("two").replace("dlt_native: {", "destination: pond, dlt_native: {"),
                destinations="{lake: {type: duckdb}, pond: {type: duckdb}}",
            ).replace(', "destination": "lake"', ""),
            "custom_sources/shop.py": SHOP,
            ".dlt/secrets.toml": '[destination.lake.credentials]\ndatabase = "data/from_toml.duckdb"\n',
        }
    )
    (root / "data").mkdir()
    said = dango("sync", env={"DESTINATION__POND__CREDENTIALS": "duckdb:///data/from_environment.duckdb"})
    assert said.code == 0, said.err
    assert sorted(file.name for file in (root / "data").iterdir()) == ["from_environment.duckdb", "from_toml.duckdb"]


def test_check_names_every_destination_that_cannot_be(root: Path, write: Write, dango: Dango) -> None:
    destinations = {
        "one": "{type: postgers}",
        "two": "{type: duckdb, credential: x}",
        "three": "{type: 'nowhere:sink'}",
        "four": "{type: 'shop:sink'}",
        "five": "{type: 'shop:rows'}",
        "six": "{type: 'shop:sink:x'}",
    }
    write(
        {
            "sources": (
                "version: 1\ndestinations:\n"
                + "".join(f"  {name}: {block}\n" for name, block in destinations.items())
                + "sources:\n"
                + "".join(
                    native(f"to_{n}").replace("dlt_native: {", f"destination: {n}, dlt_native: {{")
                    for n in destinations
                )
            ),
            "custom_sources/shop.py": SHOP,
        }
    )
    said = dango("check")
    assert said.code == 2
    for message in (
        ".dango/sources.yml:3:9: destination `one`: unknown type `postgers` (did you mean `postgres`?)\n  hint: dlt's",
        ".dango/sources.yml:4:23: destination `two` (duckdb) has no parameter `credential` (did you mean `cred",
        "No module named 'nowhere'",
        "Function 'sink' not found in module 'shop'",
        "destination `five`: `shop:rows` is no @dlt.destination",
        "Function 'sink:x' not found in module 'shop'",
    ):
        assert message in said.err
    assert said.out == "0 of 6 sources are well\n"
    assert not list(root.glob("**/*.duckdb"))


def test_a_database_file_named_like_the_dataset_is_refused(root: Path, write: Write, dango: Dango) -> None:
    write(
        {
            "sources": project(destinations="{lake: {type: duckdb, credentials: data/Raw_Shop.db}}", default="lake"),
            "custom_sources/shop.py": SHOP,
        }
    )
    said = dango("sync")
    assert said.code == 2
    assert (
        "the dataset `raw_shop` is named like the database file Raw_Shop.db;"
        " DuckDB could not tell the two apart\n"
        "  hint: give the source another `dataset_name`, or the file another name\n"
    ) in said.err
    assert not list(root.glob("data/*"))


def test_a_destination_that_nobody_knows_is_refused_before_anything_starts(
    write: Write, dango: Dango, root: Path
) -> None:
    write({"sources": project(destinations="{lake: {type: duckdb}}"), "custom_sources/shop.py": SHOP})
    said = dango("sync", "--destination", "lakes")
    assert said.code == 2
    assert said.told == (
        "error: no destination `lakes` (did you mean `lake`?)\n"
        "  hint: known destinations: duckdb, lake; more go under `destinations:` in .dango/sources.yml\n"
    )
    assert not (root / ".dango" / "history.sqlite").exists()


def test_an_unset_variable_of_a_destination_is_named_with_its_place(write: Write, dango: Dango) -> None:
    write(
        {
            "sources": project(destinations="{lake: {type: duckdb, credentials: 'env:LAKE'}}", default="lake"),
            "custom_sources/shop.py": SHOP,
        }
    )
    said = dango("sync")
    assert said.code == 2
    assert ".dango/sources.yml:3:37: the environment variable LAKE is not set" in said.err


def test_a_destination_of_ones_own_is_resolved_like_a_source(root: Path, write: Write, dango: Dango) -> None:
    write(
        {
            "sources": project(
                native("shop"),
                destinations="{sink: {type: 'sinks.files:sink', file: out.jsonl, size: 2, secret: 'env:SINK_SECRET'}}",
                default="sink",
            ),
            "custom_sources/shop.py": SHOP,
            "custom_sources/sinks/__init__.py": "",
            "custom_sources/sinks/files.py": (
                "import json\n"
                "import dlt\n"
                "def sink(file, size, secret):\n"
                "    @dlt.destination(batch_size=size, name='sink', loader_parallelism_strategy='sequential')\n"
                "    def write(items, table):\n"
                "        with open(file, 'a') as out:\n"
                "            out.write(json.dumps([table['name'], len(items), secret == 'tiger']) + '\\n')\n"
                "    return write()\n"
            ),
        }
    )
    said = dango("sync", "--json", env={"SINK_SECRET": "tiger"})
    assert said.code == 0, said.err
    (table,) = said.json["results"][0]["tables"]
    assert (table["name"], table["rows"], table["total"]) == ("rows", 3, None)
    lines = [json.loads(line) for line in (root / "out.jsonl").read_text().splitlines()]
    assert lines == [["rows", 2, True], ["rows", 1, True]]


def test_a_decorated_destination_takes_its_parameters_from_sources_yml(root: Path, write: Write, dango: Dango) -> None:
    write(
        {
            "sources": project(destinations="{sink: {type: 'sinks:sink', file: out.jsonl}}", default="sink"),
            "custom_sources/shop.py": SHOP,
            "custom_sources/sinks.py": (
                "import dlt\n"
                "@dlt.destination(batch_size=10)\n"
                "def sink(items, table, file: str = dlt.config.value):\n"
                "    with open(file, 'a') as out:\n"
                "        out.write(f'{table[\"name\"]} {len(items)}\\n')\n"
            ),
        }
    )
    said = dango("sync")
    assert said.code == 0, said.err
    assert (root / "out.jsonl").read_text() == "rows 3\n"


def test_a_database_that_another_process_holds_is_exit_4_with_its_pid(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": project(), "custom_sources/shop.py": SHOP})
    (root / "data").mkdir()
    notebook = subprocess.Popen(
        [
            *(sys.executable, "-c"),
            "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print(flush=True); sys.stdin.read()",
            str(root / "data" / "warehouse.duckdb"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert notebook.stdout is not None
    notebook.stdout.readline()
    try:
        said = dango("sync", "--wait", "0.1")
    finally:
        notebook.communicate()
    assert said.code == 4
    assert f"error: shop: the database of `duckdb` is held by process {notebook.pid}\n" in said.err
    assert dango("sync").code == 0
    assert rows("SELECT count(*) FROM raw_shop.rows") == [(3,)]


def test_a_file_that_is_no_database_is_left_as_it_is(root: Path, write: Write, dango: Dango) -> None:
    text = "not a database " * 1000
    write({"sources": project(), "custom_sources/shop.py": SHOP, "data/warehouse.duckdb": text})
    said = dango("sync")
    assert said.code == 1
    assert "destination `duckdb` cannot be used: " in said.err
    assert "if it is no DuckDB database, move it away" in said.err
    assert (root / "data" / "warehouse.duckdb").read_text() == text


ORDERS = """
import json
import dlt

@dlt.source
def orders():
    def given():
        with open("given.json") as file:
            return json.load(file)

    @dlt.resource(write_disposition="append")
    def events(at=dlt.sources.incremental("at", initial_value=0)):
        yield from given()["events"]

    @dlt.resource(write_disposition="merge", primary_key="id")
    def customers():
        yield from given()["customers"]

    @dlt.resource(write_disposition="replace")
    def stock():
        yield from given()["stock"]

    return events, customers, stock
"""

FIRST = {
    "events": [{"at": 1, "lines": [{"sku": "a"}, {"sku": "b"}]}, {"at": 2, "lines": [{"sku": "c"}]}],
    "customers": [{"id": 1, "name": "Ada", "tags": ["x", "y"]}, {"id": 2, "name": "Grace"}],
    "stock": [{"sku": "a", "left": 1}, {"sku": "b", "left": 2}],
}
SECOND = {
    "events": [*FIRST["events"], {"at": 3, "lines": []}, {"at": 4, "lines": [{"sku": "d"}]}],
    "customers": [{"id": 2, "name": "Grace Hopper", "tags": ["z"]}, {"id": 3, "name": "Linus"}],
    "stock": [{"sku": "c", "left": 3}],
}


def put(root: Path, given: dict[str, Any]) -> None:
    (root / "given.json").write_text(json.dumps(given))


def lake(postgres: Postgres, **changed: Any) -> str:
    """`.dlt/secrets.toml` for the destination `lake`."""
    fields = {
        "host": postgres.host, "port": postgres.port, "username": postgres.user, "password": postgres.password,
        "database": postgres.database, **changed,
    }  # fmt: skip
    return "[destination.lake.credentials]\n" + "".join(
        f"{key} = {json.dumps(value)}\n" for key, value in fields.items()
    )


@pytest.mark.postgres
def test_postgresql_holds_what_was_loaded_sync_after_sync(
    root: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    write(
        {
            "sources": project(native("shop", "orders"), destinations="{lake: {type: postgres}}", default="lake"),
            "custom_sources/shop.py": ORDERS,
            ".dlt/secrets.toml": lake(postgres),
        }
    )

    def found(query: str) -> list[Any]:
        with postgres.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def loaded(said: Said) -> dict[str, tuple[int, int]]:
        assert said.code == 0, said.err
        assert postgres.password not in said.out + said.err
        return {table["name"]: (table["rows"], table["total"]) for table in said.json["results"][0]["tables"]}

    put(root, FIRST)
    assert loaded(dango("sync", "--json")) == {
        "events": (2, 2), "events__lines": (3, 3), "customers": (2, 2), "customers__tags": (2, 2), "stock": (2, 2),
    }  # fmt: skip

    put(root, SECOND)
    assert loaded(dango("sync", "--json")) == {
        "events": (2, 4), "events__lines": (1, 4), "customers": (2, 3), "customers__tags": (1, 3), "stock": (1, 1),
    }  # fmt: skip
    assert found("SELECT id, name FROM raw_shop.customers ORDER BY id") == [
        (1, "Ada"),
        (2, "Grace Hopper"),
        (3, "Linus"),
    ]
    assert found("SELECT at FROM raw_shop.events ORDER BY at") == [(1,), (2,), (3,), (4,)]
    assert found(
        "SELECT at, sku FROM raw_shop.events e"
        " JOIN raw_shop.events__lines l ON l._dlt_parent_id = e._dlt_id ORDER BY sku"
    ) == [(1, "a"), (1, "b"), (2, "c"), (4, "d")]
    assert found('SELECT sku, "left" FROM raw_shop.stock') == [("c", 3)]

    # The machine is lost; the state is in the destination.
    shutil.rmtree(root / ".dango" / "pipelines")
    put(root, {**SECOND, "events": [*SECOND["events"], {"at": 5}]})
    assert loaded(dango("sync", "--json", "--resource", "events")) == {"events": (1, 5)}

    put(root, {**FIRST, "events": [{"at": 7}, {"at": 8}]})
    assert loaded(dango("sync", "--json", "--full-refresh"))["events"] == (2, 2)
    assert found("SELECT at FROM raw_shop.events ORDER BY at") == [(7,), (8,)]
    put(root, {**FIRST, "events": [{"at": 8}, {"at": 9}]})
    assert loaded(dango("sync", "--json"))["events"] == (1, 3)
    assert found("SELECT at FROM raw_shop.events ORDER BY at") == [(7,), (8,), (9,)]


@pytest.mark.postgres
@pytest.mark.slow
def test_postgresql_that_lets_nobody_in_is_told_with_the_section_and_without_the_password(
    root: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        closed = probe.getsockname()[1]
    write({"sources": project(destinations="{lake: {type: postgres}}", default="lake"), "custom_sources/shop.py": SHOP})
    hint = "  hint: its credentials: .dlt/secrets.toml [destination.lake.credentials]\n"
    for changed, said_so in (
        ({"password": "tiger/wr0ng p@ss"}, "password authentication failed for user"),
        ({"port": closed, "password": "tiger/wr0ng p@ss"}, "Connection refused"),
        ({"database": "none_such"}, 'database "none_such" does not exist'),
    ):
        write({".dlt/secrets.toml": lake(postgres, **changed)})
        said = dango("--debug", "-v", "sync")
        assert said.code == 1
        assert "error: shop: destination `lake` cannot be used: " in said.err
        assert said_so in said.err
        assert hint in said.err
        everything = (
            said.out
            + said.err
            + "".join(file.read_text(errors="replace") for file in (root / ".dango").rglob("*") if file.is_file())
        )
        for form in ("tiger", "wr0ng", "p%40ss", postgres.password):
            assert form not in everything

    write({".dlt/secrets.toml": ""})
    said = dango("sync")
    assert said.code == 2
    assert said.told.endswith(
        "error: shop: destination `lake` has no value for `database`, `password`, `username`, `host`\n"
        "  hint: add to .dlt/secrets.toml:\n"
        "        [destination.lake.credentials]\n"
        '        database = "…"\n'
        '        password = "…"\n'
        '        username = "…"\n'
        '        host = "…"\n'
    )


@pytest.mark.postgres
def test_credentials_of_postgresql_may_be_a_url_from_the_environment(
    write: Write, dango: Dango, postgres: Postgres
) -> None:
    write(
        {
            "sources": project(destinations="{lake: {type: postgres, credentials: 'env:LAKE_URL'}}", default="lake"),
            "custom_sources/shop.py": SHOP,
            ".env": f"LAKE_URL={postgres.url}\n",
        }
    )
    said = dango("sync", "--json")
    assert said.code == 0, said.err
    assert said.json["results"][0]["tables"][0]["total"] == 3
    rehearsed = dango("sync", "--dry-run")
    assert rehearsed.code == 0
    assert "LAKE_URL" not in os.environ


def test_an_extension_that_cannot_be_downloaded_is_named_with_the_package_that_brings_it() -> None:
    with duckdb.connect() as database, pytest.raises(duckdb.IOException) as raised:
        database.execute("INSTALL postgres_scanner FROM 'http://127.0.0.1:1'")
    told = destinations.connection_error(raised.value, "lake")
    assert told.message.startswith("destination `lake` needs DuckDB's extension `postgres_scanner`, which DuckDB could")
    assert told.hint.startswith("where there is no network: pip install duckdb-extensions duckdb-extension-postgres-sc")
    assert told.hint.endswith("add('postgres_scanner')\"")

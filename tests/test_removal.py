"""`dango source remove --drop-data`: all that is the source's goes, and nothing else."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pexpect
import pytest

from dango.lock import lock
from tests.conftest import Said, native, one_of, sources
from tests.faults.points import COMMIT
from tests.faults.running import into_postgres
from tests.fixtures_postgres import Postgres
from tests.killed import killed

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Query = Callable[[str], list[Any]]

SHOP = """
import dlt

@dlt.source
def rows():
    @dlt.resource(write_disposition="merge", primary_key="id")
    def orders(id=dlt.sources.incremental("id", initial_value=0)):
        yield [{"id": n, "lines": [{"sku": "a"}, {"sku": "b"}]} for n in (1, 2, 3)]
    return orders
"""
FILES = {"custom_sources/shop.py": SHOP}
ORDERS = {"orders": 3, "orders__lines": 6}


class DuckDB:
    """The project's own database."""

    name, env = "duckdb", dict[str, str]()

    def __init__(self, root: Path) -> None:
        self.file = root / "data" / "warehouse.duckdb"
        self.sources, self.destination = sources, dlt.destinations.duckdb(str(self.file))

    def __call__(self, *statements: str) -> list[Any]:
        with duckdb.connect(str(self.file)) as database:
            for statement in statements[:-1]:
                database.execute(statement)
            return database.execute(statements[-1]).fetchall()


class Lake:
    """A PostgreSQL database."""

    name = "lake"

    def __init__(self, postgres: Postgres) -> None:
        self.postgres, self.env = postgres, {"LAKE": postgres.url}
        self.sources, self.destination = into_postgres, dlt.destinations.postgres(postgres.url)

    def __call__(self, *statements: str) -> list[Any]:
        with self.postgres.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, root: Path, write: Write) -> Any:
    """A project with two sources in a database; called, it runs SQL there."""
    found = DuckDB(root) if request.param == "duckdb" else Lake(request.getfixturevalue("postgres"))
    write({**FILES, "sources": found.sources(native("shop"), native("other"))})
    return found


def there(database: Any) -> set[str]:
    """The datasets and tables that are there, as `dataset` and `dataset.table`."""
    schemas = database("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'raw%'")
    tables = database("SELECT table_schema, table_name FROM information_schema.tables WHERE table_schema LIKE 'raw%'")
    return {*(name for (name,) in schemas), *(f"{schema}.{table}" for schema, table in tables)}


def names(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".dango" / "pipelines").glob("*"))


def test_all_that_is_its_own_goes_and_the_other_source_stays(root: Path, database: Any, dango: Dango) -> None:
    for arguments in ((), ("--limit", "1")):
        assert dango("sync", *arguments, env=database.env).code == 0
    before = there(database)
    others = {name for name in before if name.startswith("raw_other")}
    assert {"raw_shop", "raw_shop_staging", "raw_shop__trial", "raw_shop.orders__lines"} < before
    said = dango("source", "remove", "shop", "--drop-data", "--json", "--yes", env=database.env)
    assert (said.code, said.err) == (0, "")
    dropped = {holding["dataset"]: holding for holding in said.json["dropped"]}
    assert dropped["raw_shop"] == {"dataset": "raw_shop", "tables": ORDERS, "whole": True, "others": []}
    assert dropped["raw_shop__trial"]["tables"]["orders"] == 1
    assert dropped["raw_shop_staging"]["whole"]
    assert there(database) == others
    assert database("SELECT count(*) FROM raw_other.orders__lines") == [(6,)]
    assert names(root) == [f"other--{database.name}--raw_other"]
    assert [source["name"] for source in dango("source", "list", "--json").json["sources"]] == ["other"]
    assert {result["source"] for run in dango("history", "--json").json["runs"] for result in run} == {"shop", "other"}
    result = dango("sync", "--json", env=database.env).json["results"][0]
    assert (result["status"], result["rows"]) == ("ok", 0)


@pytest.mark.slow
def test_what_others_have_in_its_dataset_stays(root: Path, tmp_path: Path, database: Any, dango: Dango) -> None:
    assert dango("sync", "shop", env=database.env).code == 0
    pipeline = dlt.pipeline(
        "theirs", str(tmp_path / "theirs"), destination=database.destination, dataset_name="raw_shop"
    )
    pipeline.run([{"id": 7}], table_name="visits", primary_key="id", write_disposition="merge")
    database(
        "CREATE TABLE raw_shop.notes (t varchar)",
        "CREATE VIEW raw_shop.seen AS SELECT * FROM raw_shop.visits",
        "SELECT 1",
    )
    said = dango("source", "remove", "shop", "--drop-data", "--yes", env=database.env)
    assert (said.code, said.err) == (0, "")
    assert re.search(r"raw_shop\.orders__lines +6\n", said.out)
    assert "what stays in raw_shop, as it is of others: notes, seen, visits\n" in said.out
    left = {name.removeprefix("raw_shop.") for name in there(database) if name.startswith("raw_shop.")}
    assert left - {"_dango_lease"} == {"notes", "seen", "visits", "_dlt_loads", "_dlt_version", "_dlt_pipeline_state"}
    assert database("SELECT DISTINCT pipeline_name FROM raw_shop._dlt_pipeline_state") == [("theirs",)]
    for table in ("_dlt_loads", "_dlt_version"):
        assert database(f"SELECT DISTINCT schema_name FROM raw_shop.{table}") == [("theirs",)]
    # They go on.
    shutil.rmtree(tmp_path / "theirs")
    again = dlt.pipeline("theirs", str(tmp_path / "theirs"), destination=database.destination, dataset_name="raw_shop")
    again.run([{"id": 8}], table_name="visits", primary_key="id", write_disposition="merge")
    assert database("SELECT count(*) FROM raw_shop.seen") == [(2,)]


@pytest.mark.slow
def test_what_is_noted_of_others_keeps_the_dataset(tmp_path: Path, database: Any, dango: Dango) -> None:
    assert dango("sync", "shop", env=database.env).code == 0
    pipeline = dlt.pipeline("theirs", str(tmp_path), destination=database.destination, dataset_name="raw_shop")
    pipeline.run([{"id": 7}], table_name="visits")
    database("DROP TABLE raw_shop.visits", "SELECT 1")
    assert dango("source", "remove", "shop", "--drop-data", "--yes", env=database.env).code == 0
    assert database("SELECT DISTINCT pipeline_name FROM raw_shop._dlt_pipeline_state") == [("theirs",)]
    assert "raw_shop.orders" not in there(database)


@pytest.mark.slow
def test_a_schema_of_two_pipelines_is_not_told_apart(root: Path, tmp_path: Path, database: Any, dango: Dango) -> None:
    assert dango("sync", "shop", env=database.env).code == 0
    schema = dlt.Schema("rows")
    pipeline = dlt.pipeline("theirs", str(tmp_path), destination=database.destination, dataset_name="raw_shop")
    pipeline.run([{"id": 7}], table_name="visits", schema=schema)
    before = there(database)
    said = dango("source", "remove", "shop", "--drop-data", "--yes", env=database.env)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith(
        "error: the pipeline `theirs` has loaded into raw_shop by the same schema as `shop`: rows;"
    )
    assert there(database) == before
    assert names(root) != []
    assert len(dango("source", "list", "--json").json["sources"]) == 2


@pytest.mark.slow
@pytest.mark.postgres
def test_what_depends_on_a_table_is_not_swept_away(root: Path, write: Write, dango: Dango, postgres: Postgres) -> None:
    lake = Lake(postgres)
    write({**FILES, "sources": into_postgres(native("shop"))})
    for arguments in ((), ("--limit", "1")):
        assert dango("sync", *arguments, env=lake.env).code == 0
    # The last that would be dropped.
    lake("CREATE VIEW report AS SELECT id FROM raw_shop__trial.orders")
    before = there(lake)
    said = dango("source", "remove", "shop", "--drop-data", "--yes", env=lake.env)
    assert (said.code, said.out) == (1, "")
    assert "view report depends on table" in said.err
    assert "what depends on a table, such as a view, goes first" in said.err
    assert there(lake) == before
    assert lake("SELECT count(*) FROM report") == [(1,)]
    assert lake("SELECT count(*) FROM raw_shop.orders") == [(3,)]
    # What is another user's, or holds more than tables, is not dropped as a whole.
    lake("DROP VIEW report", "CREATE FUNCTION raw_shop.one() RETURNS int LANGUAGE sql AS 'SELECT 1'")
    assert dango("source", "remove", "shop", "--drop-data", "--yes", env=lake.env).code == 0
    assert {name for name in there(lake) if name.startswith("raw_shop.")} == {
        "raw_shop._dlt_loads", "raw_shop._dlt_version", "raw_shop._dlt_pipeline_state", "raw_shop._dango_lease"
    }  # fmt: skip
    assert lake("SELECT raw_shop.one()") == [(1,)]


@pytest.mark.slow
def test_a_source_at_work_is_left_alone(root: Path, database: Any, dango: Dango) -> None:
    assert dango("sync", "shop", env=database.env).code == 0
    before = there(database)
    with lock(root / ".dango" / "locks" / "shop.lock", "it"):
        said = dango("source", "remove", "shop", "--drop-data", "--yes", env=database.env)
        assert (said.code, said.out) == (4, "")
        assert "source `shop` is held by process" in said.err
    if isinstance(database, Lake):
        database("UPDATE raw_shop._dango_lease SET holder = 'far:1', beat = clock_timestamp()")
        said = dango("source", "remove", "shop", "--drop-data", "--yes", env=database.env)
        assert (said.code, said.out) == (4, "")
        assert "source `shop` is held by process 1 on far" in said.err
    assert there(database) == before
    assert names(root) == [f"shop--{database.name}--raw_shop"]


@pytest.mark.slow
def test_where_the_destination_is_gone_nothing_is_removed(root: Path, write: Write, dango: Dango) -> None:
    gone = {"LAKE": "postgresql://nobody:x@127.0.0.1:1/none"}
    write({**FILES, "sources": into_postgres(native("shop"))})
    folder = root / ".dango" / "pipelines" / "shop--lake--raw_shop"
    folder.mkdir(parents=True)
    said = dango("source", "remove", "shop", "--drop-data", "--yes", env=gone)
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: destination `lake` cannot be used: ")
    assert said.err.endswith("nothing was removed; to leave the data: dango source remove shop\n")
    assert folder.exists()
    assert dango("source", "remove", "shop", env=gone).code == 0
    assert folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("at", one_of("after", "before", "local", "entry"))
def test_killed_at_any_instant_the_same_command_ends_it(
    root: Path, tmp_path: Path, database: Any, dango: Dango, at: str
) -> None:
    assert dango("sync", "shop", env=database.env).code == 0
    command = ("source", "remove", "shop", "--drop-data", "--yes")
    commit = COMMIT["duckdb" if database.name == "duckdb" else "postgres"]
    where = {"local": ("shutil:rmtree", "after"), "entry": ("dango.removal:_forget", "before")}
    function, when = where.get(at, (commit, at))
    killed(root, tmp_path / "fault", function, *command, when=when, process="planner" if at in where else "worker",
           **database.env)  # fmt: skip
    held = {name for name in there(database) if name.startswith("raw_shop")}
    assert (held == set()) == (at != "before")
    said = dango(*command, env=database.env)
    assert (said.code, said.err) == (0, "")
    assert [name for name in there(database) if name.startswith("raw_shop")] == []
    assert names(root) == []
    assert [source["name"] for source in dango("source", "list", "--json").json["sources"]] == ["other"]


@pytest.mark.slow
def test_a_sync_between_the_two_halves_begins_anew(root: Path, tmp_path: Path, database: Any, dango: Dango) -> None:
    assert dango("sync", "shop", env=database.env).code == 0
    command = ("source", "remove", "shop", "--drop-data", "--yes")
    killed(root, tmp_path / "fault", "dango.removal:local", *command, process="planner", **database.env)
    result = dango("sync", "shop", "--json", env=database.env).json["results"][0]
    assert (result["status"], result["rows"]) == ("ok", 9)


def test_without_a_terminal_and_without_yes_nothing_is_dropped(root: Path, write: Write, dango: Dango) -> None:
    write({**FILES, "sources": sources(native("shop"))})
    assert dango("sync").code == 0
    for arguments in ((), ("--json",)):
        said = dango("source", "remove", "shop", "--drop-data", *arguments)
        assert said.code == 2
        assert "--drop-data drops what cannot be brought back" in said.out + said.err
    assert DuckDB(root)("SELECT count(*) FROM raw_shop.orders") == [(3,)]


def test_a_source_that_was_never_synced_leaves_no_database_behind(root: Path, write: Write, dango: Dango) -> None:
    write({**FILES, "sources": sources(native("shop"))})
    said = dango("source", "remove", "shop", "--drop-data", "--yes")
    assert (said.code, said.err) == (0, "")
    assert said.out.startswith("no table of it is in duckdb\n")
    assert not (root / "data" / "warehouse.duckdb").exists()


@pytest.mark.slow
def test_other_destinations_are_not_dropped_blindly(root: Path, write: Write, dango: Dango) -> None:
    lake = "version: 1\ndestinations: {lake: {type: filesystem, bucket_url: lake}}\nsources:\n"
    write({**FILES, "sources": lake + native("shop")})
    assert dango("sync", "--destination", "lake").code == 0
    write({"sources": lake.replace("1\n", "1\ndestination: lake\n", 1) + native("shop")})
    said = dango("source", "remove", "shop", "--drop-data", "--yes")
    assert (said.code, said.out) == (2, "")
    assert "--drop-data drops data in duckdb and postgres; `shop` is in `lake`, of type filesystem" in said.err
    write({"sources": lake + native("shop")})
    said = dango("source", "remove", "shop", "--drop-data", "--yes")
    assert "its data in `lake`, where it was synced to as well, stays\n" in said.out
    assert (root / "lake" / "raw_shop" / "orders").is_dir()
    assert names(root) == ["shop--lake--raw_shop"]


@pytest.mark.slow
def test_a_person_types_the_name(root: Path, write: Write, dango: Dango) -> None:
    write({**FILES, "sources": sources(native("shop"))})
    assert dango("sync").code == 0
    for answer, code in (("sho", 1), ("shop", 0)):
        child = pexpect.spawn(
            sys.executable, ["-m", "dango", "source", "remove", "shop", "--drop-data"], cwd=root, encoding="utf-8",
            env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=30,
            dimensions=(40, 160),
        )  # fmt: skip
        child.expect(r"raw_shop\.orders__lines +6")
        child.expect_exact("Type `shop` to go on:")
        child.send(f"{answer}\r")
        child.expect(pexpect.EOF)
        child.close(force=True)
        assert child.exitstatus == 0
        assert len(dango("source", "list", "--json").json["sources"]) == code
    assert there(DuckDB(root)) == set()

"""All of a run in one transaction: what becomes of a connection that is lost, and of what dlt itself has begun."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Said, native, one_of, sources
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

SHOP = """
import json
import dlt

@dlt.source
def shop():
    def given(name):
        with open("given.json") as file:
            return json.load(file).get(name, [])

    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        yield given("events")

    @dlt.resource(write_disposition="merge", primary_key="id")
    def customers():
        yield given("customers")

    @dlt.resource(write_disposition="merge")
    def keyless(id=dlt.sources.incremental("id", initial_value=0)):
        yield given("events")

    @dlt.resource(write_disposition="replace")
    def rates():
        yield given("rates")

    return events, customers, keyless, rates
"""

# The connection is lost at the commit that ends a load, before or after the server has done it.
LOST = """
import pathlib, psycopg2
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient as client
from dlt.destinations.sql_client import raise_database_error

LOCKED = "SELECT count(*) FROM pg_locks WHERE relation = to_regclass('raw_shop.events') AND pid = pg_backend_pid()"

def loses(self, commit=client.commit_transaction):
    mark = pathlib.Path("lose")
    with self._conn.cursor() as cursor:
        cursor.execute(LOCKED)
        loads = cursor.fetchone()[0] > 0
    if not (loads and mark.exists()):
        return commit(self)
    after = mark.read_text() == "after"
    mark.unlink()
    if after:
        commit(self)
    self._conn.close()
    raise psycopg2.OperationalError("server closed the connection unexpectedly")

client.commit_transaction = raise_database_error(loses)
"""


def put(root: Path, **given: list[dict[str, Any]]) -> None:
    (root / "given.json").write_text(json.dumps(given))


def ids(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "items": [{"n": number}, {"n": -number}]} for number in numbers]


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_connection_that_is_lost_at_the_commit_loads_everything_once(
    root: Path, write: Write, dango: Dango, postgres: Postgres, when: str
) -> None:
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n"
        + native("shop", "shop"),
        ".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{postgres.url}"\n',
        "custom_sources/shop.py": LOST + SHOP,
    })  # fmt: skip
    put(root, events=ids(1, 2), customers=ids(1), rates=ids(1))
    assert dango("sync").code == 0
    (root / "lose").write_text(when)
    put(root, events=ids(2, 3), customers=ids(1, 2), rates=ids(3))
    said = dango("sync")
    assert said.code == 0, said.err
    assert not (root / "lose").exists()
    assert dango("sync").code == 0
    with postgres.cursor() as cursor:
        for table, expected in (("events", [1, 2, 3]), ("keyless", [1, 2, 3]), ("customers", [1, 2]), ("rates", [3])):
            cursor.execute(f"SELECT id FROM raw_shop.{table} ORDER BY id")
            assert [row[0] for row in cursor.fetchall()] == expected
        cursor.execute("SELECT count(*), count(DISTINCT load_id) FROM raw_shop._dlt_loads")
        assert len(set(cursor.fetchall()[0])) == 1


# What dlt's own load step leaves when it dies behind the commit of a job: a package half of which is loaded.
PLAIN = """
import os, sys
sys.path.insert(0, "custom_sources")
import dlt
from dlt.destinations.impl.duckdb.duck import DuckDbCopyJob
from dlt.destinations.insert_job_client import InsertValuesLoadJob
import shop

def dying(run):
    def dies(self):
        run(self)
        if os.path.exists("kill") and self.load_table_name == sys.argv[1]:
            os.kill(os.getpid(), 9)
    return dies

for job in (DuckDbCopyJob, InsertValuesLoadJob):
    job.run = dying(job.run)
pipeline = dlt.pipeline(
    "shop", pipelines_dir=".dango/pipelines/shop--duckdb--raw_shop", dataset_name="raw_shop",
    destination=dlt.destinations.duckdb("data/warehouse.duckdb", enable_dataset_name_normalization=False),
)
pipeline.sync_destination()
pipeline.extract(shop.shop(), loader_file_format="parquet")
pipeline.normalize()
pipeline.load(workers=1)
"""


@pytest.mark.slow
@pytest.mark.parametrize("table", one_of("events__items", "events", "keyless", "rates", "_dlt_pipeline_state"))
def test_a_package_that_dlt_itself_has_begun_to_load_is_loaded_once(
    root: Path, write: Write, dango: Dango, rows: Rows, table: str
) -> None:
    write(
        {
            "sources": sources(native("shop", "shop")),
            "custom_sources/shop.py": SHOP,
            "data/.keep": "",
            "plain.py": PLAIN,
        }
    )

    def plain() -> int:
        return subprocess.run([sys.executable, "plain.py", table], cwd=root, capture_output=True).returncode

    put(root, events=ids(1, 2), customers=ids(1), rates=ids(1))
    assert plain() == 0
    put(root, events=ids(1, 2, 3, 4), customers=ids(1, 2), rates=ids(3))
    (root / "kill").touch()
    assert plain() == -signal.SIGKILL
    assert list(root.glob(".dango/pipelines/*/*/load/normalized/*"))

    put(root, events=ids(4, 5), customers=ids(2), rates=ids(3))
    said = dango("sync")
    assert said.code == 0, said.err
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(n,) for n in range(1, 6)]
    assert rows("SELECT n FROM raw_shop.events__items ORDER BY n") == sorted(
        (s * n,) for n in range(1, 6) for s in (1, -1)
    )
    assert rows("SELECT id FROM raw_shop.keyless ORDER BY id") == [(n,) for n in range(1, 6)]
    assert rows("SELECT count(*) FROM raw_shop.keyless__items") == [(10,)]
    assert rows("SELECT id FROM raw_shop.customers ORDER BY id") == [(1,), (2,)]
    assert rows("SELECT id FROM raw_shop.rates") == [(3,)]


@pytest.mark.slow
def test_rows_that_the_destination_refuses_are_extracted_again_when_the_source_is_mended(
    root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    put(root, events=ids(1), customers=ids(1), rates=ids(1))
    assert dango("sync").code == 0
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
        database.execute("CREATE UNIQUE INDEX once ON raw_shop.events (id)")
    put(root, events=ids(2, 3, 3), customers=ids(1), rates=ids(2))
    said = dango("sync")
    assert said.code == 1
    assert "ConstraintException: " in said.err
    # Nothing of it was loaded, and nothing waits that would fail again.
    put(root, events=ids(2, 3), customers=ids(1), rates=ids(2))
    said = dango("sync")
    assert said.code == 0, said.err
    with duckdb.connect(str(root / "data" / "warehouse.duckdb"), read_only=True) as database:
        assert database.sql("SELECT id FROM raw_shop.events ORDER BY id").fetchall() == [(1,), (2,), (3,)]
    assert [path.name for path in (root / ".dango" / "pipelines").iterdir()] == ["shop--duckdb--raw_shop"]

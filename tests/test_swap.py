"""A full refresh takes the place of what is there in one instant, and what users made around the tables stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
import psycopg2
import pytest

from dango.job import Job
from dango.load.dataset import size, sql_client
from dango.project import Project
from tests.conftest import Said, native, sources
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

# What the source has to give stands in given.json; `broken` lets it fail after the last row.
SHOP = """
import json, os
import dlt

def given(name):
    with open("given.json") as file:
        yield from json.load(file).get(name, [])
    if os.path.exists("broken"):
        raise LookupError("the page is gone")

@dlt.source
def shop():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        yield from given("events")

    @dlt.resource(write_disposition="merge", primary_key="id")
    def customers():
        yield from given("customers")

    @dlt.resource(write_disposition="replace")
    def rates():
        yield from given("rates")

    return events, customers, rates
"""


def put(root: Path, **given: list[dict[str, Any]]) -> None:
    (root / "given.json").write_text(json.dumps(given))


def ids(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "items": [{"n": number}]} for number in numbers]


class DuckDB:
    """The project's own database."""

    def __init__(self, root: Path) -> None:
        self.file = root / "data" / "warehouse.duckdb"
        self.sources = sources(native("shop", "shop"))
        self.secrets = ""

    def __call__(self, *statements: str) -> list[Any]:
        with duckdb.connect(str(self.file)) as database:
            for statement in statements[:-1]:
                database.execute(statement)
            return database.execute(statements[-1]).fetchall()


class Server:
    """A PostgreSQL database."""

    def __init__(self, postgres: Postgres) -> None:
        self.postgres = postgres
        self.sources = "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n" + native(
            "shop", "shop"
        )
        self.secrets = f'[destination.lake]\ncredentials = "{postgres.url}"\n'

    def __call__(self, *statements: str) -> list[Any]:
        with self.postgres.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def snapshot(self) -> Iterator[Callable[[str], list[Any]]]:
        """One REPEATABLE READ transaction: what it sees does not change."""
        connection = psycopg2.connect(self.postgres.url)
        try:
            connection.set_session(isolation_level="REPEATABLE READ")
            with connection.cursor() as cursor:

                def ask(query: str) -> list[Any]:
                    cursor.execute(query)
                    return cursor.fetchall()

                yield ask
        finally:
            connection.close()


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, root: Path, write: Write) -> DuckDB | Server:
    chosen = DuckDB(root) if request.param == "duckdb" else Server(request.getfixturevalue("postgres"))
    write({"sources": chosen.sources, ".dlt/secrets.toml": chosen.secrets, "custom_sources/shop.py": SHOP})
    return chosen


@pytest.mark.slow
def test_views_indexes_comments_and_grants_survive_and_show_the_new_data(
    root: Path, dango: Dango, database: DuckDB | Server, request: pytest.FixtureRequest
) -> None:
    put(root, events=ids(1, 2, 3), customers=ids(1, 2), rates=[{"id": 1}, {"id": 2}])
    assert dango("sync").code == 0
    database(
        "CREATE SCHEMA mine",
        "CREATE VIEW mine.ids AS SELECT id FROM raw_shop.events",
        "CREATE UNIQUE INDEX by_id ON raw_shop.events (id)",
        "CREATE INDEX by_customer ON raw_shop.customers (id)",
        "COMMENT ON TABLE raw_shop.events IS 'what happened'",
        "COMMENT ON COLUMN raw_shop.events.id IS 'in order'",
        "SELECT 1",
    )
    if isinstance(database, Server):
        request.addfinalizer(lambda: database(*_revocations(database)))
        database("CREATE ROLE reader_of_" + database.postgres.database, *_grants(database))

    # Rows are gone upstream, one is changed, the tables are as they were.
    put(root, events=ids(1, 3), customers=ids(2), rates=[{"id": 2}])
    said = dango("sync", "--full-refresh")
    assert said.code == 0, said.err

    assert database("SELECT id FROM mine.ids ORDER BY id") == [(1,), (3,)]
    assert database("SELECT id FROM raw_shop.customers") == [(2,)]
    assert database("SELECT n FROM raw_shop.events__items ORDER BY n") == [(1,), (3,)]
    assert database("SELECT n FROM raw_shop.customers__items") == [(2,)]
    assert database("SELECT id FROM raw_shop.rates") == [(2,)]
    _still_there(database)

    # The following sync goes on from the new cursor, and the unique index bears it.
    put(root, events=ids(1, 3, 4), customers=ids(2), rates=[{"id": 2}])
    assert dango("sync").code == 0
    assert database("SELECT id FROM mine.ids ORDER BY id") == [(1,), (3,), (4,)]


@pytest.mark.slow
def test_a_type_that_has_changed_is_taken_over(root: Path, dango: Dango, database: DuckDB | Server) -> None:
    put(root, events=[{"id": 1, "price": 3, "old": "x"}], customers=[{"id": 1}], rates=[{"id": 1}])
    assert dango("sync").code == 0
    database(
        "CREATE INDEX by_id ON raw_shop.events (id)",
        "COMMENT ON TABLE raw_shop.events IS 'what happened'",
        "SELECT 1",
    )
    put(root, events=[{"id": 1, "price": "three"}], customers=[{"id": 1}], rates=[{"id": 1}])
    said = dango("sync", "--full-refresh")
    assert said.code == 0, said.err
    assert database("SELECT id, price, old FROM raw_shop.events") == [(1, "three", None)]
    kinds = "SELECT data_type FROM information_schema.columns WHERE table_name = 'events' AND column_name = 'price'"
    assert database(kinds) in ([("VARCHAR",)], [("character varying",)])
    assert database("SELECT count(*) FROM information_schema.columns WHERE column_name LIKE 'price_%'") == [(0,)]
    assert _indexes(database) == {"by_id"}
    put(root, events=[{"id": 2, "price": "two"}], customers=[{"id": 1}], rates=[{"id": 1}])
    assert dango("sync").code == 0
    assert database("SELECT price FROM raw_shop.events ORDER BY id") == [("three",), ("two",)]


@pytest.mark.slow
def test_a_refresh_that_fails_leaves_data_cursor_and_no_leftovers(
    root: Path, dango: Dango, database: DuckDB | Server
) -> None:
    put(root, events=ids(1, 2), customers=ids(1), rates=[{"id": 1}])
    assert dango("sync").code == 0
    (root / "broken").touch()
    put(root, events=ids(7), customers=ids(7), rates=[{"id": 7}])
    assert dango("sync", "--full-refresh").code == 1
    (root / "broken").unlink()
    assert database("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,)]
    # The old cursor: of 1 to 3 only what is new.
    put(root, events=ids(1, 2, 3), customers=ids(1), rates=[{"id": 1}])
    assert dango("sync").code == 0
    assert database("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,), (3,)]
    assert [path.name for path in (root / ".dango" / "pipelines").iterdir() if path.is_dir()] == [
        f"shop--{'duckdb' if isinstance(database, DuckDB) else 'lake'}--raw_shop"
    ]


@pytest.mark.slow
@pytest.mark.postgres
def test_a_reader_with_a_snapshot_sees_the_old_rows_to_its_end(
    root: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    server = Server(postgres)
    write({"sources": server.sources, ".dlt/secrets.toml": server.secrets, "custom_sources/shop.py": SHOP})
    put(root, events=ids(1, 2), customers=ids(1), rates=[{"id": 1}])
    assert dango("sync").code == 0
    everything = "SELECT (SELECT count(*) FROM raw_shop.events), (SELECT count(*) FROM raw_shop.rates)"
    with server.snapshot() as ask:
        assert ask(everything) == [(2, 1)]
        put(root, events=ids(5, 6, 7), customers=ids(9), rates=[{"id": 2}, {"id": 3}])
        # The reader holds its lock on the tables all the while: it blocks nobody.
        assert dango("sync", "--full-refresh", timeout=60).code == 0
        assert ask(everything) == [(2, 1)]
    assert server(everything) == [(3, 2)]


def _grants(server: Server) -> tuple[str, ...]:
    role = f"reader_of_{server.postgres.database}"
    return (f"GRANT USAGE ON SCHEMA raw_shop TO {role}", f"GRANT SELECT ON ALL TABLES IN SCHEMA raw_shop TO {role}")


def _revocations(server: Server) -> tuple[str, ...]:
    # A role is the server's, and would outlive the test's database.
    role = f"reader_of_{server.postgres.database}"
    return (f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def _indexes(database: DuckDB | Server) -> set[str]:
    if isinstance(database, DuckDB):
        return {name for (name,) in database("SELECT index_name FROM duckdb_indexes()")}
    return {name for (name,) in database("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'by_%'")}


def _still_there(database: DuckDB | Server) -> None:
    assert _indexes(database) == {"by_id", "by_customer"}
    if isinstance(database, DuckDB):
        assert database("SELECT comment FROM duckdb_tables() WHERE table_name = 'events'") == [("what happened",)]
        return
    assert database("SELECT obj_description('raw_shop.events'::regclass)") == [("what happened",)]
    assert database("SELECT col_description('raw_shop.events'::regclass, 1)") == [("in order",)]
    granted = "SELECT count(*) FROM information_schema.role_table_grants WHERE grantee LIKE 'reader_of_%'"
    assert database(granted)[0][0] >= 5


@pytest.mark.slow
def test_a_refresh_that_has_no_room_for_two_copies_is_not_begun(
    root: Path, dango: Dango, database: DuckDB | Server
) -> None:
    put(root, events=ids(1, 2), customers=ids(1), rates=[{"id": 1}])
    assert dango("sync").code == 0
    # As if the table took more than any disk has: the size is the database's word.
    lie = (
        "import dango.load.dataset; dango.load.dataset.size = lambda sql, tables: 2**60 if 'events' in tables else 0\n"
    )
    (root / "custom_sources" / "shop.py").write_text(lie + SHOP)
    said = dango("sync", "--full-refresh")
    assert said.code == 1
    assert "error: shop: no room on the disk: " in said.err
    assert "nothing was begun; make room and run again" in said.err
    put(root, events=ids(1, 2, 3), customers=ids(1), rates=[{"id": 1}])
    assert dango("sync", "--full-refresh", "--resource", "customers").code == 0
    assert dango("sync").code == 0
    assert database("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,), (3,)]


@pytest.mark.slow
def test_the_size_of_tables_is_about_what_they_take(root: Path, dango: Dango, database: DuckDB | Server) -> None:
    put(root, events=ids(*range(1, 50_001)), customers=ids(1), rates=[{"id": 1}])
    assert dango("sync").code == 0
    pipeline = _pipeline(root, database)
    with sql_client(pipeline, _job(root)) as sql:
        events, customers = size(sql, ["events", "events__items"]), size(sql, ["customers"])
        assert size(sql, ["none_such"]) == size(sql, []) == 0
    assert 500_000 < events < 20_000_000
    assert customers < events / 4


def _job(root: Path) -> Job:
    project = Project.at(root)
    return project.job(project.source("shop"))


def _pipeline(root: Path, database: DuckDB | Server) -> Any:
    if isinstance(database, DuckDB):
        destination: Any = dlt.destinations.duckdb(str(database.file))
    else:
        destination = dlt.destinations.postgres(database.postgres.url)
    return dlt.pipeline("any", str(root / "any"), destination=destination, dataset_name="raw_shop")

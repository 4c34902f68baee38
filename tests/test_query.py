"""What a destination that is asked lets be done: its rows are read, and nothing else."""

from __future__ import annotations

import concurrent.futures.thread
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from dango import query
from dango.errors import QueryError
from dango.project import Project
from tests.fixtures_postgres import Postgres

Write = Callable[[dict[str, str]], None]


@pytest.fixture
def file(root: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The DuckDB file of a project, with five orders; the project's folder is the current one."""
    write({"sources": "version: 1\nsources: []\n", ".dlt/secrets.toml": 'token = "hunter2hunter2"\n'})
    monkeypatch.chdir(root)
    file = root / "data" / "warehouse.duckdb"
    file.parent.mkdir()
    with duckdb.connect(str(file)) as database:
        database.execute("CREATE SCHEMA raw_shop; CREATE TABLE raw_shop.orders AS SELECT range AS id FROM range(5)")
    return file


def rows(root: Path, statement: str, *, files: bool = False) -> list[tuple[Any, ...]]:
    project = Project.at(root)
    with query.opened(project, query.destination(project, None), files=files) as database:
        return list(database.answer(statement).rows)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO raw_shop.orders SELECT * FROM raw_shop.orders",
        "DROP TABLE raw_shop.orders",
        "CREATE TABLE raw_shop.more AS SELECT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE raw_shop.orders",
        "PIVOT raw_shop.orders ON id USING count(*); SELECT 2",
        "PIVOT raw_shop.orders ON id USING count(*); PIVOT raw_shop.orders ON id USING count(*)",
        "CREATE TEMP TABLE a AS SELECT 1; FROM a",
        "",
        "-- nothing",
        ";",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "RESET enable_external_access",
        "ATTACH 'other.duckdb'",
        "COPY raw_shop.orders TO 'out.csv'",
        "EXPORT DATABASE 'out'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SELECT * FROM read_csv('.dlt/secrets.toml')",
        "SELECT * FROM read_text('.dlt/secrets.toml')",
        "SELECT * FROM '.dlt/secrets.toml'",
        "SELECT * FROM glob('*')",
        "SELECT getenv('HOME')",
        "SELECT $1",
    ],
)
def test_nothing_is_changed_and_nothing_beside_the_database_is_seen(statement: str, file: Path, root: Path) -> None:
    before = file.read_bytes(), there(root)
    with pytest.raises(QueryError) as error:
        rows(root, statement)
    assert error.value.exit_code == 2
    assert "hunter2" not in str(error.value) + error.value.hint
    assert (file.read_bytes(), there(root)) == before


def there(root: Path) -> set[Path]:
    """What is in the project, but for what reading `sources.yml` leaves in the cache."""
    return {path for path in root.rglob("*") if "cache" not in path.parts}


def test_files_are_seen_where_they_are_allowed_and_the_database_stays_as_it_is(file: Path, root: Path) -> None:
    Path("more.csv").write_text("id,name\n7,seven\n")
    assert rows(root, "SELECT name FROM 'more.csv'", files=True) == [("seven",)]
    for statement in ("DROP TABLE raw_shop.orders", "SET threads = 1", "SELECT 1; SELECT 2"):
        with pytest.raises(QueryError):
            rows(root, statement, files=True)


def test_no_variable_of_this_program_is_a_table(file: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Where DuckDB would look for one: in the module that calls it.
    monkeypatch.setattr(concurrent.futures.thread, "planted", pa.table({"a": [1]}), raising=False)
    for files in (False, True):
        with pytest.raises(QueryError, match="planted does not exist"):
            rows(root, "FROM planted", files=files)


@pytest.mark.parametrize(
    "statement",
    ["PIVOT raw_shop.orders ON id USING count(*)", "PIVOT raw_shop.orders ON id IN (1, 2) USING count(*);",
     "DESCRIBE raw_shop.orders", "SUMMARIZE raw_shop.orders", "SHOW ALL TABLES", "FROM raw_shop.orders",
     "EXPLAIN ANALYZE FROM raw_shop.orders", "VALUES (1)", "PRAGMA version", "SELECT ';' AS semicolon; -- one",
     "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 3) FROM r"],
)  # fmt: skip
def test_every_way_to_ask_is_one_statement(statement: str, file: Path, root: Path) -> None:
    assert rows(root, statement)


def test_one_database_answers_again_and_again(file: Path, root: Path) -> None:
    project = Project.at(root)
    with query.opened(project, query.destination(project, None)) as database:
        with pytest.raises(QueryError):
            database.answer("SELECT * FROM nowhere")
        assert list(database.answer("SELECT count(*) FROM raw_shop.orders").rows) == [(5,)]
        answer = database.answer("SELECT 1 AS a, 'x' AS b, DATE '2024-01-01' AS c, '{}'::JSON AS d, [1] AS e")
        assert [(each.name, each.kind) for each in answer.columns] == [
            ("a", "number"), ("b", "text"), ("c", "time"), ("d", "json"), ("e", "text"),
        ]  # fmt: skip


def test_what_does_not_fit_into_memory_is_sorted_all_the_same(file: Path, root: Path) -> None:
    # DuckDB puts it aside in a file, which no lock on other files may forbid.
    project = Project.at(root)
    with query.opened(project, query.destination(project, None)) as database:
        answer = database.answer("SELECT count(*) FROM (SELECT DISTINCT hash(range), range FROM range(3_000_000))")
        assert list(answer.rows) == [(3_000_000,)]


@pytest.fixture
def lake(postgres: Postgres, root: Path, write: Write) -> Iterator[Any]:
    """A PostgreSQL database with five orders and a sequence, as the project's destination, open for reading."""
    facts = {"host": postgres.host, "port": postgres.port, "username": postgres.user, "password": postgres.password,
             "database": postgres.database}  # fmt: skip
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in facts.items())
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources: []\n",
        ".dlt/secrets.toml": f"[destination.lake.credentials]\n{lines}\n",
    })  # fmt: skip
    with postgres.cursor() as cursor:
        cursor.execute("CREATE SCHEMA raw_shop")
        cursor.execute("CREATE TABLE raw_shop.orders AS SELECT i AS id FROM generate_series(1, 5) i")
        cursor.execute("CREATE SEQUENCE raw_shop.s")
    project = Project.at(root)
    with query.opened(project, query.destination(project, None)) as database:
        yield database


@pytest.mark.postgres
def test_postgresql_is_asked_in_a_transaction_that_cannot_write(lake: Any, postgres: Postgres) -> None:
    refused = {
        "DELETE FROM raw_shop.orders": "cannot open DELETE query as cursor",
        "DELETE FROM raw_shop.orders RETURNING id": "cannot execute DELETE in a read-only transaction",
        "WITH gone AS (DELETE FROM raw_shop.orders RETURNING 1) SELECT * FROM gone": "in a read-only transaction",
        "SELECT 1; SELECT 2": "cannot open multi-query plan as cursor",
        "COMMIT; DELETE FROM raw_shop.orders": "cannot open multi-query plan as cursor",
        "SELECT 1; COMMIT; DELETE FROM raw_shop.orders; --": "cannot open multi-query plan as cursor",
        "'; END'; COMMIT; DELETE FROM raw_shop.orders; --": "syntax error",
        "COMMIT": "cannot open COMMIT query as cursor",
        "COPY raw_shop.orders TO STDOUT": "cannot open COPY query as cursor",
        "SELECT set_config('transaction_read_only', 'off', false)": "must be set before any query",
        "SELECT nextval('raw_shop.s')": "in a read-only transaction",
        "": "cannot open",
    }
    for wrong, why in refused.items():
        with pytest.raises(QueryError, match=why) as error:
            list(lake.answer(wrong).rows)
        assert error.value.exit_code == 2, wrong
    with pytest.raises(QueryError) as told:
        lake.answer("DELETE FROM raw_shop.orders")
    assert "SELECT, WITH, VALUES" in told.value.hint
    with postgres.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM raw_shop.orders")
        assert cursor.fetchall() == [(5,)]
    assert len(list(lake.answer("TABLE raw_shop.orders").rows)) == 5


@pytest.mark.postgres
def test_every_way_to_ask_postgresql_is_one_statement_and_rows_come_in_their_order(lake: Any) -> None:
    for statement in (
        "TABLE raw_shop.orders;",
        "VALUES (1)",
        "SHOW TimeZone",
        "EXPLAIN ANALYZE SELECT 1",
        "SELECT ';' -- one",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 3) SELECT * FROM r",
        "SELECT E'\\'; COMMIT; --', $a$'$a$, 'it''s %s {} \\'",
    ):
        assert list(lake.answer(statement).rows), statement
    assert [n for (n,) in lake.answer("SELECT generate_series(1, 2500)").rows] == [*range(1, 2501)]

"""Each path of a database's rows gives the table that the slow one gives: the same columns, types and values."""

from __future__ import annotations

import datetime as dt
import json
import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
import sqlalchemy as sa
from dlt.pipeline.exceptions import PipelineStepFailed

from dango import paths
from dango.connectors import sql, sql_engine
from dango.databases import copy
from dango.databases.columns import Columns
from dango.dlt_internals import alike as dlt_alike
from dango.errors import SourceError, root_cause
from dango.sources import hints
from tests.conftest import Said, native, one_of, sources
from tests.fixtures_mariadb import MariaDB
from tests.fixtures_postgres import Postgres

Load = Callable[..., paths.TablePath]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads the table `t` of a database into a dataset, `fast` or `slow`, of out.duckdb; says which path it took."""
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")

    def load(url: str, *, arrow: bool, name: str = "", **said: Any) -> paths.TablePath:
        source = sql.tables(url, table_names=["t"], arrow=arrow)  # type: ignore[arg-type]  # as dlt's users write it
        source.resources["t"].apply_hints(**said)
        dlt_alike.alike(source.resources["t"])
        name = name or ("fast" if arrow else "slow")
        pipeline = dlt.pipeline(
            name, pipelines_dir=str(tmp_path / "dlt"), dataset_name=name,
            destination=dlt.destinations.duckdb(str(tmp_path / "out.duckdb")),
        )  # fmt: skip
        with paths.collecting() as taken:
            pipeline.run(source, loader_file_format="parquet")
        return taken["t"]

    return load


@pytest.fixture
def seen(tmp_path: Path) -> Callable[[str], list[Any]]:
    """What a query finds in what was loaded."""

    def seen(query: str) -> list[Any]:
        with duckdb.connect(str(tmp_path / "out.duckdb")) as database:
            return database.sql("SET TimeZone = 'UTC'; " + query).fetchall()

    return seen


@pytest.fixture
def alike(load: Load, seen: Callable[[str], list[Any]]) -> Callable[..., paths.TablePath]:
    """Loads `t` both ways, compares the tables, and says which path the quicker one took."""

    def alike(url: str, *, key: str = "id", **said: Any) -> paths.TablePath:
        assert load(url, arrow=False, **said).path == "rows"
        taken = load(url, arrow=True, **said)
        shapes = {}
        for name in ("fast", "slow"):
            columns = seen(
                "SELECT column_name, data_type, is_nullable FROM information_schema.columns WHERE table_name = 't'"
                f" AND table_schema = '{name}' AND column_name NOT LIKE '\\_dlt%' ESCAPE '\\' ORDER BY ordinal_position"
            )
            values = ", ".join(f'"{column}"' for column, *_ in columns)
            found = seen(f"SELECT {values} FROM {name}.t ORDER BY {key}")
            shapes[name] = (columns, found)
        assert shapes["fast"] == shapes["slow"]
        assert shapes["fast"][1]
        return taken

    return alike


def _comparable(value: Any) -> Any:
    return "NaN" if isinstance(value, float) and math.isnan(value) else value


def _url(server: Postgres | MariaDB) -> str:
    kind = "postgresql+psycopg2" if isinstance(server, Postgres) else "mysql+pymysql"
    return f"{kind}://{server.user}:{server.password}@{server.host}:{server.port}/{server.database}"


POSTGRES = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE t (
    id bigint PRIMARY KEY, small smallint, price numeric(10, 2), free numeric, wide numeric(38, 10),
    half real, tenth double precision, code uuid, doc json, docb jsonb, numbers int[], texts text[], mood mood,
    naive timestamp, moment timestamptz, day date, clock time, zoned timetz, bytes bytea, yes boolean, span interval,
    bits bit(3), ip inet, fixed char(3), range int4range, domain positive, "Mixed Name" text, huge numeric(60, 2));
INSERT INTO t VALUES (
    9223372036854775807, -32768, -12.34, 1.5, 0.0123456789, 1.1, 2.5, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
    '{"a": [1, "x"]}', '[]', '{1,2}', '{x,NULL}', 'ok', '0001-01-01', '0001-01-01 00:00:00+00', '0001-01-01',
    '00:00:00', '03:04:05+02', '\\x00ff', true, '1 mon 2:00:00', B'101', '10.0.0.1', 'ab', '[1,5)', 7, 'x', 1.25);
INSERT INTO t VALUES (
    -9223372036854775808, 0, 99999999.99, 12345678901234567890123456789.123456789, 0, -0.0, -1e-320, NULL,
    '{}', '{"é": null}', '{}', '{}', 'sad', '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00',
    '9999-12-31', '23:59:59.999999', '00:00:00+00', '\\x01', false, '0', B'000', '::1', '', 'empty', 1, '', 0);
INSERT INTO t (id, tenth, docb, "Mixed Name") VALUES
    (2, 1e15, 'null', E'two\\nlines, "quoted"\\t\\\\.'), (3, 5e-324, NULL, 'NULL'), (4, 0.1, NULL, E'\\\\N'),
    (5, 1.7976931348623157e308, NULL, ' '), (6, NULL, NULL, E'\\r\\n'), (7, NULL, NULL, '\\.');
"""


@pytest.mark.slow
@pytest.mark.postgres
def test_what_postgres_copies_is_what_its_driver_gives(
    postgres: Postgres, alike: Callable[..., paths.TablePath], seen: Callable[[str], list[Any]]
) -> None:
    with postgres.cursor() as cursor:
        # Settings of the server's own: what hangs on them would show.
        cursor.execute(f"ALTER DATABASE \"{postgres.database}\" SET timezone = 'America/New_York'")
        cursor.execute(f"ALTER DATABASE \"{postgres.database}\" SET datestyle = 'SQL, DMY'")
        cursor.execute(POSTGRES)
    assert alike(_url(postgres)) == paths.TablePath("t", "copy")
    assert seen("SELECT mixed_name FROM fast.t WHERE id = 2") == [('two\nlines, "quoted"\t\\.',)]


@pytest.mark.slow
@pytest.mark.postgres
def test_what_dicts_lose_on_their_way_through_dlt_is_kept(
    postgres: Postgres, load: Load, seen: Callable[[str], list[Any]]
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id int, n float, d numeric, b bytea, doc json)")
        cursor.execute("INSERT INTO t VALUES (1, 'Infinity', 'NaN', '', '[123456789012345678901]')")
        cursor.execute("INSERT INTO t VALUES (2, '-Infinity', 0.1, NULL, NULL), (3, 'NaN', NULL, NULL, NULL)")
    assert load(_url(postgres), arrow=True, columns={"d": {"data_type": "double"}}).path == "copy"
    found = [tuple(map(_comparable, row)) for row in seen("SELECT n, d, b, doc FROM fast.t ORDER BY id")]
    assert found == [
        (math.inf, "NaN", b"", "[123456789012345678901]"),
        (-math.inf, 0.1, None, None),
        ("NaN", None, None, None),
    ]


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize(
    ("kind", "values", "path", "reason"),
    [
        ("text", ["NULL", "''"], "copy", ""),
        ("timestamp", ["'infinity'", "'-infinity'"], "rows", "x: a value that is none of its type in Arrow"),
        ("date", ["'infinity'", "'2024-01-02'"], "rows", "x: a value"),
        ("json", ["'5'", "'\"text\"'"], "rows", "x: JSON that is neither an object nor a list"),
        ("json", ["'null'", "'[1.10]'", '\'{"n": 1, "n": 2, "é": 12345678901234567890}\''], "copy", ""),
        ("numeric", ["0.1234567891", "1"], "rows", "x: a value"),
        ("tsvector", ["'a b'"], "copy", ""),
    ],
)
def test_what_arrow_cannot_hold_is_read_as_dicts_and_the_reason_is_told(
    postgres: Postgres, alike: Callable[..., paths.TablePath], kind: str, values: list[str], path: str, reason: str
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute(f"CREATE TABLE t (x {kind})")
        cursor.execute(f"INSERT INTO t VALUES {', '.join(f'({value})' for value in values)}")
    taken = alike(_url(postgres), key="ALL")
    assert taken.path == path
    assert taken.reason.startswith(reason)


@pytest.mark.slow
@pytest.mark.postgres
def test_a_type_that_is_set_by_hand_is_heeded(
    postgres: Postgres, alike: Callable[..., paths.TablePath], seen: Callable[[str], list[Any]]
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id int, n numeric); INSERT INTO t VALUES (1, 12.5), (2, 0.1), (3, NULL)")
    assert alike(_url(postgres), columns={"n": {"data_type": "double"}}).path == "copy"
    assert seen("SELECT n FROM fast.t ORDER BY id") == [(12.5,), (0.1,), (None,)]


MARIADB = """
CREATE TABLE t (
    id bigint PRIMARY KEY, flag tinyint(1), small tinyint, large bigint unsigned, price decimal(10, 2),
    wide decimal(65, 30), half float, tenth double, day date, moment timestamp NULL, naive datetime(6), clock time(6),
    year year, bytes blob, bits bit(3), doc json, mood enum('a', 'b'), many set('x', 'y'), text text, code uuid,
    no_day date);
SET time_zone = '+00:00', sql_mode = '';
INSERT INTO t VALUES (
    1, 1, 5, 9223372036854775807, -12.34, 1.5, 1.5, 0.1, '0001-01-01', '1970-01-01 00:00:01', '0001-01-01', '00:00:00',
    2024, x'00ff', b'101', '{"a": 1}', 'b', 'x,y', 'hé', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '0000-00-00'), (
    2, 0, -5, 0, 0, 0, -0.0, 1.7976931348623157e308, '9999-12-31', '2038-01-19 03:14:07', '9999-12-31 23:59:59.999999',
    '23:59:59.999999', 1901, x'01', b'0', '[]', 'a', '', '', NULL, NULL);
INSERT INTO t (id) VALUES (3)
"""


@pytest.mark.slow
@pytest.mark.mariadb
def test_what_mariadb_gives_is_the_same_in_columns(mariadb: MariaDB, alike: Callable[..., paths.TablePath]) -> None:
    with mariadb.cursor() as cursor:
        for statement in MARIADB.split(";\n"):
            cursor.execute(statement)
    assert alike(_url(mariadb)) == paths.TablePath("t", "columns")
    with mariadb.cursor() as cursor:
        cursor.execute("UPDATE t SET clock = '-100:00:01' WHERE id = 2")
    assert alike(_url(mariadb)) == paths.TablePath("t", "rows", "clock: a value of type str in time")


SQLITE = """
CREATE TABLE t (id integer PRIMARY KEY, price decimal(10, 2), plain real, moment datetime, day date, clock time,
                ok boolean, bytes blob, s text);
INSERT INTO t VALUES
    (1, 12.34, 0.1, '2024-01-02 03:04:05', '0001-01-01', '00:00:00', 1, x'00ff', 'x'),
    (2, 5, 1e308, '9999-12-31 23:59:59.999999', '9999-12-31', '23:59:59.999999', 0, x'01', ''),
    (3, 1.239, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
"""


def test_what_sqlite_gives_is_the_same_in_columns(tmp_path: Path, alike: Callable[..., paths.TablePath]) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript(SQLITE)
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    assert alike(url) == paths.TablePath("t", "columns")
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("UPDATE t SET moment = 'long ago' WHERE id = 3")
    assert alike(url) == paths.TablePath("t", "rows", "moment: a value of type str in timestamp")


@pytest.mark.parametrize(
    ("disposition", "first"),
    one_of(
        ("merge", False), ("merge", True), ("append", False), ("append", True), ("replace", False), ("replace", True)
    ),
)
def test_a_table_is_loaded_now_by_one_path_now_by_the_other(
    tmp_path: Path, load: Load, seen: Callable[[str], list[Any]], disposition: str, first: bool
) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    for number, arrow in enumerate([first, not first, first, first, not first]):
        with sqlite3.connect(tmp_path / "shop.db") as database:
            database.execute("CREATE TABLE IF NOT EXISTS t (id integer PRIMARY KEY, doc json)")
            database.execute("INSERT INTO t (doc) VALUES ('{\"n\": 1}')")
        taken = load(url, arrow=arrow, name="mixed", write_disposition=disposition, primary_key="id")
        assert taken.path == ("columns" if arrow else "rows")
        found = seen("SELECT count(*), count(DISTINCT id), count(_dlt_load_id) FROM mixed.t")
        rows = number + 1 if disposition != "append" else (number + 1) * (number + 2) // 2
        assert found == [(rows, number + 1, rows)]


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("first", ["copy", "rows"])
def test_both_paths_load_one_table_of_postgresql_in_one_transaction(
    write: Callable[[dict[str, str]], None], dango: Callable[..., Said], postgres: Postgres, first: str
) -> None:
    fields = {"host": postgres.host, "port": postgres.port, "database": postgres.database, "user": postgres.user}
    hints = {"t": {"write_disposition": "merge", "primary_key": "id", "cursor": {"field": "changed"}}}
    block = {"name": "shop", "type": "postgres", "resources": hints, "postgres": fields}
    lake = {"username": postgres.user, **fields, "password": postgres.password}
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\n"
                   f"sources: [{json.dumps(block)}]\n",
        ".dlt/secrets.toml": "[destination.lake.credentials]\n"
                             + "".join(f"{k} = {json.dumps(v)}\n" for k, v in lake.items() if k != "user"),
    })  # fmt: skip
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id int PRIMARY KEY, changed int, moment timestamp, bytes bytea, doc jsonb)")
        for number in range(4):
            exact = (number % 2 == 0) == (first == "copy")
            # An infinite time is none of Arrow's; the next sync does not see it any more.
            moment = "2024-01-02 03:04:05" if exact else "infinity"
            row = f"({number}, {number}, '{moment}', '\\x00ff', '{{\"a\": 1}}')"
            cursor.execute(f"UPDATE t SET moment = '2024-01-02'; INSERT INTO t VALUES {row}")
            said = dango("sync", env={"SOURCES__SHOP__PASSWORD": postgres.password})
            assert said.code == 0, said.err
            cursor.execute(
                "SELECT count(*), count(DISTINCT id), count(_dlt_load_id), max(encode(bytes, 'hex')) FROM raw_shop.t"
            )
            assert cursor.fetchone() == (number + 1, number + 1, number + 1, "00ff")
        cursor.execute("SELECT count(_dlt_id) FROM raw_shop.t")
        # All were read again, or came later, when dicts had brought the ids of rows.
        assert cursor.fetchone() == (4,)


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["timestamp", "timestamptz", "date", "int"])
def test_a_cursor_stands_where_it_stood_whichever_path_moved_it(
    postgres: Postgres, load: Load, seen: Callable[[str], list[Any]], kind: str
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute(f"CREATE TABLE t (id int, changed {kind}, doc jsonb, price numeric(9, 2), at timestamptz)")
    for number, arrow in enumerate([True, False, True, True, False, False, True]):
        value = f"{number}" if kind == "int" else f"'2024-01-0{number + 1}'"
        with postgres.cursor() as cursor:
            cursor.execute(f"INSERT INTO t VALUES ({number}, {value}, '{{\"a\": 1.10}}', 1.5, now())")
        taken = load(
            _url(postgres), arrow=arrow, name="mixed", write_disposition="append",
            incremental=dlt.sources.incremental("changed", primary_key=hints.every_column),
        )  # fmt: skip
        assert taken.path == ("copy" if arrow else "rows")
        assert seen("SELECT count(*), count(DISTINCT id) FROM mixed.t") == [(number + 1, number + 1)]


@pytest.mark.slow
@pytest.mark.postgres
def test_a_value_far_inside_a_table_lets_all_of_it_be_read_as_dicts(
    postgres: Postgres, write: Callable[[dict[str, str]], None], dango: Callable[..., Said], rows: Callable[[str], Any]
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute(
            "CREATE TABLE t AS SELECT g AS id, now() AS moment, repeat('x', 4000) AS s FROM generate_series(1, 5000) g"
        )
        cursor.execute("INSERT INTO t VALUES (0, 'infinity', '')")
        cursor.execute("CREATE TABLE other AS SELECT g AS id FROM generate_series(1, 10) g")
    fields = {"host": postgres.host, "port": postgres.port, "database": postgres.database, "user": postgres.user}
    write({"sources": f"version: 1\nsources:\n  - {{name: shop, type: postgres, postgres: {json.dumps(fields)}}}\n"})
    said = dango("sync", env={"SOURCES__SHOP__PASSWORD": postgres.password})
    assert said.code == 0, said.err
    found = rows("SELECT count(*), count(DISTINCT id), count(_dlt_id), max(moment)::DATE FROM raw_shop.t")
    assert found == [(5001, 5001, 5001, dt.date(9999, 12, 31))]
    assert rows("SELECT count(*) FROM raw_shop.other") == [(10,)]


@pytest.mark.parametrize("function", ["sql_database", "sql_table"])
def test_dlts_own_reader_takes_the_quick_path_where_nobody_chose_another(
    root: Path, write: Callable[[dict[str, str]], None], dango: Callable[..., Said], rows: Callable[[str], Any],
    function: str,
) -> None:  # fmt: skip
    with sqlite3.connect(root / "shop.db") as database:
        database.executescript(
            "CREATE TABLE t (id integer PRIMARY KEY, x real, d json); INSERT INTO t VALUES (1, 0.5, '[1]')"
        )
    given = {"credentials": f"sqlite:///{root / 'shop.db'}"} | ({"table": "t"} if function == "sql_table" else {})
    write({
        "sources": sources(
            native("quick", function, "sql_database", function_kwargs=given),
            native("chosen", function, "sql_database", function_kwargs={**given, "backend": "sqlalchemy"}),
            native("set", function, "sql_database", function_kwargs=given),
        ),
        ".dlt/config.toml": '[sources.set]\nbackend = "pyarrow"\n',
    })  # fmt: skip
    said = dango("sync")
    assert said.code == 0, said.err
    columns = {
        name: sorted(column for (column, *_) in rows(f"DESCRIBE raw_{name}.t")) for name in ("quick", "chosen", "set")
    }
    # Rows that came as dicts have an id.
    assert columns == {
        "quick": ["_dlt_load_id", "d", "id", "x"],
        "chosen": ["_dlt_id", "_dlt_load_id", "d", "id", "x"],
        "set": ["_dlt_load_id", "d", "id", "x"],
    }


@pytest.mark.slow
@pytest.mark.postgres
def test_a_connection_that_is_lost_far_inside_a_table_fails_the_sync(
    postgres: Postgres, load: Load, seen: Callable[[str], list[Any]]
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE base AS SELECT g AS id, repeat('x', 1000) AS s FROM generate_series(1, 30000) g")
        # The server ends the connection by itself, after 25 MB.
        ends = "CASE WHEN id = 25000 THEN pg_terminate_backend(pg_backend_pid())::int ELSE id END"
        cursor.execute(f"CREATE FUNCTION last(id int) RETURNS int VOLATILE LANGUAGE sql AS 'SELECT {ends}'")
        cursor.execute("CREATE VIEW t AS SELECT last(id) AS id, s FROM base")
    with pytest.raises(PipelineStepFailed) as failed:
        load(_url(postgres), arrow=True)
    cause = root_cause(failed.value)
    assert isinstance(cause, SourceError)
    assert "server closed the connection" in cause.message or "terminating connection" in cause.message
    assert postgres.password not in f"{cause.message} {cause.hint}"
    with pytest.raises(duckdb.CatalogException):
        seen("SELECT * FROM fast.t")


@pytest.mark.slow
@pytest.mark.postgres
def test_values_larger_than_a_block_and_a_reader_that_stops(
    postgres: Postgres, load: Load, seen: Callable[[str], list[Any]]
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE t AS SELECT g AS id, repeat(E'\"\\n,', 3000000) AS s FROM generate_series(1, 3) g")
    assert load(_url(postgres), arrow=True).path == "copy"
    assert seen("SELECT count(*), min(length(s)), max(length(s)) FROM fast.t") == [(3, 9_000_000, 9_000_000)]
    columns = Columns(pa.schema([("id", pa.int64()), ("s", pa.string())]), ("bigint", "text"))
    query = sa.text("SELECT id, 'x' FROM t, generate_series(1, 100000000)")
    with sql_engine.engine_of(sql_engine.url_of(_url(postgres))).connect() as connection:
        # Its connection could otherwise not be closed for as long as the server has something to say.
        with closing(copy.tables(connection, query, columns)) as tables:
            assert next(tables).num_rows > 0
        connection.invalidate()


def test_names_that_differ_by_path_and_contracts_are_read_as_dicts(
    tmp_path: Path, load: Load, seen: Callable[[str], list[Any]]
) -> None:
    url = f"sqlite:///{tmp_path / 'shop.db'}"
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript('CREATE TABLE t (id int, "a__b" int); INSERT INTO t VALUES (1, 2)')
    assert "a__b" in load(url, arrow=True).reason
    contract = {"tables": "evolve", "columns": "freeze", "data_type": "evolve"}
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.executescript("DROP TABLE t; CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    assert (
        load(url, arrow=True, name="contract", schema_contract=contract).reason == "a schema contract looks at each row"
    )
    assert load(url, arrow=True, name="none").path == "columns"

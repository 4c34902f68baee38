"""Databases, each a real one: what their types become, what a second sync loads, what they say of themselves."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote

import duckdb
import pytest

from dango.connectors import duckdb_file, sql_catalog
from dango.errors import SourceError
from tests.conftest import Said
from tests.fixtures_mariadb import MariaDB
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]


def source(kind: str, fields: dict[str, Any], resources: Any = None) -> str:
    chosen = f", resources: {json.dumps(resources)}" if resources else ""
    return f"version: 1\nsources:\n  - {{name: shop, type: {kind}{chosen}, {kind}: {json.dumps(fields)}}}\n"


def of(server: Postgres | MariaDB) -> dict[str, Any]:
    return {"host": server.host, "port": server.port, "database": server.database, "user": server.user}


def secret(server: Postgres | MariaDB) -> dict[str, str]:
    return {"SOURCES__SHOP__PASSWORD": server.password}


def loaded(said: Said) -> dict[str, int]:
    """How many rows a sync loaded into each table."""
    assert said.code == 0, said.err
    (result,) = said.json["results"]
    return {table["name"]: table["rows"] for table in result["tables"] if table["rows"]}


def credentials(server: Postgres | MariaDB) -> dict[str, Any]:
    driver = "postgresql+psycopg2" if isinstance(server, Postgres) else "mysql+pymysql"
    return {
        "drivername": driver, "host": server.host, "port": server.port, "database": server.database,
        "username": server.user, "password": server.password,
    }  # fmt: skip


TYPES = """
CREATE TYPE mood AS ENUM ('sad', 'ok');
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE types (
    id bigint PRIMARY KEY, small smallint, price numeric(10, 2), free numeric, half real, tenth double precision,
    code uuid, doc json, docb jsonb, numbers int[], texts text[], mood mood, naive timestamp, moment timestamptz,
    day date, clock time, zoned timetz, bytes bytea, yes boolean, span interval, bits bit(3), cash money, ip inet,
    doc_xml xml, fixed char(3), range int4range, spot point, domain positive);
INSERT INTO types VALUES (
    1, 2, 12.34, 1.5, 1.5, 0.1, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '"text"', '{"n": 12345678901234567890}',
    '{1,2}', '{x,NULL}', 'ok', '2024-01-02 03:04:05.123456', '2024-01-02 03:04:05+02', '2024-01-02', '03:04:05',
    '03:04:05+02', '\\x00ff', true, '1 mon 2:00:00', B'101', 12.5, '10.0.0.1', '<a/>', 'ab', '[1,5)', '(1,2)', 7);
INSERT INTO types (id, doc) VALUES (2, 'null');
"""


@pytest.mark.slow
@pytest.mark.postgres
def test_each_type_of_postgres_arrives_as_what_it_is(
    postgres: Postgres, write: Write, dango: Dango, rows: Rows
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute(TYPES)
    write({"sources": source("postgres", of(postgres))})
    assert loaded(dango("sync", "--json", env=secret(postgres))) == {"types": 2}
    (row,) = rows("SELECT * EXCLUDE (moment, _dlt_id, _dlt_load_id), epoch(moment) FROM raw_shop.types WHERE id = 1")
    names = [
        name for (name, *_) in rows("DESCRIBE SELECT * EXCLUDE (moment, _dlt_id, _dlt_load_id) FROM raw_shop.types")
    ]
    assert dict(zip([*names, "moment"], row, strict=True)) == {
        "id": 1,
        "small": 2,
        "price": Decimal("12.34"),
        "free": Decimal("1.5"),
        "half": 1.5,
        "tenth": 0.1,
        "code": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "doc": None,
        "doc__v_text": "text",  # dlt's JSON is an object or a list
        "docb": '{"n":12345678901234567890}',
        "numbers": "[1,2]",
        "texts": '["x",null]',
        "mood": "ok",
        "naive": dt.datetime(2024, 1, 2, 3, 4, 5, 123456),
        "moment": dt.datetime(2024, 1, 2, 1, 4, 5, tzinfo=dt.timezone.utc).timestamp(),
        "day": dt.date(2024, 1, 2),
        "clock": dt.time(3, 4, 5),
        "zoned": "03:04:05+02",
        "bytes": b"\x00\xff",
        "yes": True,
        "span": "1 mon 02:00:00",
        "bits": "101",
        "cash": "$12.50",
        "ip": "10.0.0.1/32",
        "doc_xml": "<a/>",
        "fixed": "ab ",
        "range": "[1,5)",
        "spot": "(1,2)",
        "domain": 7,
    }


@pytest.mark.slow
@pytest.mark.postgres
def test_names_views_keyless_tables_and_chosen_tables_of_postgres(
    postgres: Postgres, write: Write, dango: Dango, rows: Rows
) -> None:
    long = "t" + "x" * 62
    with postgres.cursor() as cursor:
        cursor.execute(
            f"""
            CREATE TABLE "Mixed Case" ("Order" int, "select" text); INSERT INTO "Mixed Case" VALUES (1, 'x');
            CREATE TABLE keyless (x text); INSERT INTO keyless VALUES ('a'), ('a');
            CREATE TABLE empty (id int PRIMARY KEY);
            CREATE VIEW seen AS SELECT 1 AS one;
            CREATE MATERIALIZED VIEW kept AS SELECT 2 AS two;
            CREATE TABLE "{long}" (id int); INSERT INTO "{long}" VALUES (1);
            CREATE TABLE broken (n numeric); INSERT INTO broken VALUES ('NaN');
            CREATE TABLE vast (n numeric); INSERT INTO vast VALUES (1), (728622150809756461242557160818152883);
            """
        )
    chosen = ["Mixed Case", "keyless", "empty", "seen", "kept", long]
    write({"sources": source("postgres", of(postgres), chosen)})
    assert sum(loaded(dango("sync", "--json", env=secret(postgres))).values()) == 6
    assert rows('SELECT "order", "select" FROM raw_shop.mixed_case') == [(1, "x")]
    assert rows("SELECT one, two FROM raw_shop.seen, raw_shop.kept") == [(1, 2)]

    write({"sources": source("postgres", of(postgres), ["keyles"])})
    said = dango("sync", env=secret(postgres))
    assert said.code != 0
    assert "there is no table `keyles` (did you mean `keyless`?)" in said.err

    write({"sources": source("postgres", of(postgres), ["broken"])})
    said = dango("sync", env=secret(postgres))
    assert said.code == 1
    assert "broken.n has a value that is not a decimal" in said.err
    assert "{broken: {columns: {n: {data_type: double}}}}" in said.err
    # Of as many digits Arrow's own reader makes another number.
    write({"sources": source("postgres", of(postgres), ["vast"])})
    said = dango("sync", env=secret(postgres))
    assert said.code == 1
    assert "vast.n has a value that is not a decimal of 38 digits, 9 of them after the point" in said.err
    write({"sources": source("postgres", of(postgres), {"broken": {"columns": {"n": {"data_type": "double"}}}})})
    assert loaded(dango("sync", "--json", env=secret(postgres))) == {"broken": 1}


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.parametrize(
    ("kind", "initial", "values"),
    [
        ("timestamp", "2024-01-02", ["2024-01-01 23:59:59", "2024-01-02 00:00:00", "2024-01-03 00:00:05"]),
        ("timestamptz", "2024-01-02", ["2024-01-01 23:59:59+00", "2024-01-02 00:00:00+00", "2024-01-03 00:00:05+00"]),
        ("date", "2024-01-02", ["2024-01-01", "2024-01-02", "2024-01-03"]),
        ("int", 2, ["1", "2", "3"]),
    ],
)
def test_the_next_sync_of_postgres_loads_what_changed_and_asks_for_no_more(
    postgres: Postgres, write: Write, dango: Dango, rows: Rows, kind: str, initial: Any, values: list[str]
) -> None:
    with postgres.cursor() as cursor:
        # A zone of the server's own: what hangs on it would show.
        cursor.execute(f"ALTER DATABASE \"{postgres.database}\" SET timezone = 'America/New_York'")
        cursor.execute(f"CREATE TABLE orders (id int PRIMARY KEY, changed {kind}, n int)")
        for number, value in enumerate(values):
            cursor.execute("INSERT INTO orders VALUES (%s, %s, 0)", (number, value))
    text = source("postgres", of(postgres)).replace(
        "type: postgres",
        "type: postgres, resources: {orders: {write_disposition: merge, primary_key: id,"
        f" cursor: {{field: changed, initial: {initial}}}}}}}",
    )
    write({"sources": text})
    assert loaded(dango("sync", "--json", env=secret(postgres))) == {"orders": 2}
    assert loaded(dango("sync", "--json", env=secret(postgres))) == {}

    with postgres.cursor() as cursor:
        cursor.execute("UPDATE orders SET n = 7 WHERE id = 2")  # within the same tick of the clock
        cursor.execute("INSERT INTO orders VALUES (5, %s, 1), (6, NULL, 2)", (values[-1],))
        # Never asked for: the filter stands in the query.
        cursor.execute("INSERT INTO orders VALUES (9, %s, 1)", (values[0],))
    assert loaded(dango("sync", "--json", env=secret(postgres))) == {"orders": 3}
    assert rows("SELECT id, n FROM raw_shop.orders ORDER BY id") == [(1, 0), (2, 7), (5, 1), (6, 2)]


@pytest.mark.slow
@pytest.mark.postgres
def test_a_row_without_a_cursor_is_not_lost_in_silence_where_rows_are_appended(
    postgres: Postgres, write: Write, dango: Dango
) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE log (id int, at timestamp); INSERT INTO log VALUES (1, '2024-01-01')")
    hints = {"log": {"write_disposition": "append", "cursor": {"field": "at"}}}
    write({"sources": source("postgres", of(postgres), hints)})
    assert loaded(dango("sync", "--json", env=secret(postgres))) == {"log": 1}
    with postgres.cursor() as cursor:
        cursor.execute("INSERT INTO log VALUES (2, NULL)")
    said = dango("sync", env=secret(postgres))
    assert said.code == 1
    assert "on_cursor_value_missing" in said.err


@pytest.mark.slow
@pytest.mark.postgres
def test_more_tables_than_the_server_has_connections(
    postgres: Postgres, write: Write, dango: Dango, rows: Rows
) -> None:
    with postgres.cursor() as cursor:
        for number in range(130):
            cursor.execute(f"CREATE TABLE t{number} AS SELECT {number} AS n")
    write({"sources": source("postgres", of(postgres))})
    assert sum(loaded(dango("sync", "--json", env=secret(postgres))).values()) == 130


@pytest.mark.postgres
def test_a_live_test_tells_the_version_and_what_the_user_may_not_read(postgres: Postgres) -> None:
    with postgres.cursor() as cursor:
        cursor.execute(
            """
            CREATE SCHEMA other; CREATE TABLE other.x (id int);
            CREATE TABLE orders (id int PRIMARY KEY, created_at timestamptz, "updatedAt" timestamptz, day date);
            CREATE TABLE lines (a int, b int, PRIMARY KEY (a, b));
            CREATE TABLE plain (id int PRIMARY KEY, created_at timestamp);
            CREATE TABLE secret (id int);
            CREATE TABLE parts (id int) PARTITION BY RANGE (id);
            CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (1) TO (9);
            CREATE VIEW seen AS SELECT 1 AS one;
            """
        )
        reader = f"r_{postgres.database[-8:]}"
        cursor.execute(f"CREATE ROLE {reader} LOGIN PASSWORD 'p@:/ %w'")
        cursor.execute(f"GRANT SELECT ON orders, lines, plain, parts, seen TO {reader}")
    try:
        found = sql_catalog.inspect(credentials(replace(postgres, user=reader, password="p@:/ %w")), schema="public")
    finally:
        with postgres.cursor() as cursor:
            cursor.execute(f"DROP OWNED BY {reader}; DROP ROLE {reader}")
    assert found.server.startswith("PostgreSQL 1")
    assert found.user == reader
    assert set(found.choices["schemas"]) == {"other", "public"}
    assert found.problems == (f"{reader} may not read secret: GRANT SELECT is missing",)
    tables = {table.name: table for table in found.tables}
    assert list(tables) == ["lines", "orders", "parts", "plain", "secret", "seen"]
    assert tables["orders"].cursors == ("updatedAt", "created_at", "id", "day")
    assert tables["orders"].proposals[0] == {
        "write_disposition": "merge",
        "primary_key": "id",
        "cursor": {"field": "updatedAt"},
    }
    assert tables["lines"].primary_key == ("a", "b")
    # A time of creation shows no change: whole, not merged.
    assert tables["plain"].proposals[0] == {"write_disposition": "replace"}
    assert (tables["seen"].view, tables["secret"].readable) == (True, False)


@pytest.mark.postgres
def test_a_database_that_cannot_be_reached_says_why_in_its_own_words_without_the_password(postgres: Postgres) -> None:
    for wrong, words in [
        ({"password": "s3cret-wrong"}, "password authentication failed"),
        ({"port": 1}, "Connection refused"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
    ]:
        with pytest.raises(SourceError) as raised:
            sql_catalog.inspect({**credentials(postgres), **wrong})
        assert words in raised.value.message
        assert "s3cret-wrong" not in f"{raised.value.message} {raised.value.hint}"
    found = sql_catalog.inspect(credentials(postgres), schema="nowhere")
    assert found.problems[0].startswith("there is no schema `nowhere`")
    with pytest.raises(SourceError, match="no SQLAlchemy URL"):
        sql_catalog.inspect("not a url")


MARIADB_TYPES = """
CREATE TABLE types (
    id bigint PRIMARY KEY, flag tinyint(1), small tinyint, large bigint unsigned, price decimal(10, 2),
    wide decimal(65, 30), half float, tenth double, day date, moment timestamp NULL, naive datetime(6),
    clock time, long_clock time, year year, bytes blob, bits bit(3), doc json, mood enum('a', 'b'), many set('x', 'y'),
    text text,
    code uuid, no_day date);
SET time_zone = '+00:00', sql_mode = '';
INSERT INTO types VALUES (
    1, 1, 5, 9223372036854775807, 12.34, 1.5, 1.5, 0.1, '2024-01-02', '2024-01-02 03:04:05',
    '2024-01-02 03:04:05.123456', '03:04:05', '-100:00:01', 2024, x'00ff', b'101', '{"a": 1}', 'b', 'x,y', 'hé',
    'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '0000-00-00');
INSERT INTO types (id) VALUES (2)
"""


@pytest.mark.slow
@pytest.mark.mariadb
def test_each_type_of_mariadb_arrives_as_what_it_is(mariadb: MariaDB, write: Write, dango: Dango, rows: Rows) -> None:
    with mariadb.cursor() as cursor:
        for statement in MARIADB_TYPES.split(";\n"):
            cursor.execute(statement)
    write({"sources": source("mysql", of(mariadb))})
    assert loaded(dango("sync", "--json", env=secret(mariadb))) == {"types": 2}
    (row,) = rows("SELECT * EXCLUDE (moment, _dlt_id, _dlt_load_id), epoch(moment) FROM raw_shop.types WHERE id = 1")
    names = [
        name for (name, *_) in rows("DESCRIBE SELECT * EXCLUDE (moment, _dlt_id, _dlt_load_id) FROM raw_shop.types")
    ]
    assert dict(zip([*names, "moment"], row, strict=True)) == {
        "id": 1,
        "flag": 1,
        "small": 5,
        "large": 9223372036854775807,
        "price": Decimal("12.34"),
        "wide": "1.500000000000000000000000000000",
        "half": 1.5,
        "tenth": 0.1,
        "day": dt.date(2024, 1, 2),
        # An instant, whatever the server's own zone.
        "moment": dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc).timestamp(),
        "naive": dt.datetime(2024, 1, 2, 3, 4, 5, 123456),
        "clock": dt.time(3, 4, 5),
        "long_clock": None,
        "long_clock__v_text": "-100:00:01",
        "year": 2024,
        "bytes": b"\x00\xff",
        "bits": 5,
        "doc": '{"a": 1}',
        "mood": "b",
        "many": "x,y",
        "text": "hé",
        "code": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
        "no_day": None,
    }
    with mariadb.cursor() as cursor:
        cursor.execute("UPDATE types SET large = 18446744073709551615")
    said = dango("sync", env=secret(mariadb))
    assert said.code == 1
    assert "types.large has a value that is not an integer" in said.err


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["datetime", "datetime(6)", "timestamp NULL", "date"])
@pytest.mark.mariadb
def test_the_next_sync_of_mariadb_loads_what_changed(
    mariadb: MariaDB, write: Write, dango: Dango, rows: Rows, kind: str
) -> None:
    with mariadb.cursor() as cursor:
        cursor.execute(f"CREATE TABLE orders (id int PRIMARY KEY, changed {kind}, n int)")
        cursor.execute("SET time_zone = '+00:00'")
        cursor.execute("INSERT INTO orders VALUES (0, '2024-01-01', 0), (1, '2024-01-02', 0), (2, '2024-01-03', 0)")
    text = source("mysql", of(mariadb)).replace(
        "type: mysql",
        "type: mysql, resources: {orders: {write_disposition: merge, primary_key: id,"
        " cursor: {field: changed, initial: 2024-01-02}}}",
    )
    write({"sources": text})
    assert loaded(dango("sync", "--json", env=secret(mariadb))) == {"orders": 2}
    with mariadb.cursor() as cursor:
        cursor.execute("UPDATE orders SET n = 7 WHERE id IN (0, 2)")
        cursor.execute("INSERT INTO orders VALUES (6, NULL, 2)")
    assert loaded(dango("sync", "--json", env=secret(mariadb))) == {"orders": 2}
    assert rows("SELECT id, n FROM raw_shop.orders ORDER BY id") == [(1, 0), (2, 7), (6, 2)]


@pytest.mark.mariadb
def test_mariadb_tells_its_version_tables_and_what_is_wrong(mariadb: MariaDB) -> None:
    with mariadb.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (a int, b int, updated_at datetime, PRIMARY KEY (b, a))")
        cursor.execute("CREATE VIEW seen AS SELECT 1 AS one")
    found = sql_catalog.inspect(credentials(mariadb))
    assert found.server.startswith("MariaDB 1")
    assert found.user.startswith("dango@")
    orders, seen = found.tables
    assert (orders.primary_key, orders.cursors, seen.view) == (("b", "a"), ("updated_at",), True)
    assert orders.proposals[0]["primary_key"] == ["b", "a"]
    with pytest.raises(SourceError, match="Access denied for user") as raised:
        sql_catalog.inspect({**credentials(mariadb), "password": "s3cret-wrong"})
    assert "s3cret-wrong" not in f"{raised.value.message} {raised.value.hint}"


def test_sqlite_is_read_whatever_its_columns_hold(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    write({"sources": source("sqlite", {"path": "shop.db"}), "nothing": ""})
    with sqlite3.connect(root / "shop.db") as database:
        database.executescript(
            """
            CREATE TABLE orders (id integer PRIMARY KEY, price decimal(10, 2), moment datetime,
                                 ok boolean, doc json, free, s string);
            INSERT INTO orders VALUES (1, 12.34, '2024-01-02 03:04:05', 1, '{"a": 1}', 7, 'x'),
                                      (2, 1.239, 'long ago', 0, NULL, 'x', 'y');
            """
        )
    assert loaded(dango("sync", "--json")) == {"orders": 2}
    assert rows(
        "SELECT price, moment, moment__v_text, ok, doc, free, free__v_text, s FROM raw_shop.orders ORDER BY id"
    ) == [
        (Decimal("12.34"), dt.datetime(2024, 1, 2, 3, 4, 5), None, True, '{"a":1}', 7, None, "x"),
        (Decimal("1.24"), None, "long ago", False, None, None, "x", "y"),
    ]


def test_a_file_that_is_not_there_is_not_made(root: Path, write: Write, dango: Dango) -> None:
    for kind in ("sqlite", "duckdb"):
        write({"sources": source(kind, {"path": "missing.db"})})
        said = dango("sync")
        assert said.code == 1
        assert "missing.db" in said.err
        assert not (root / "missing.db").exists()


def test_any_url_of_sqlalchemy_is_a_source_and_stays_secret(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.executescript("CREATE TABLE t (id int); INSERT INTO t VALUES (1)")
    write({"sources": source("sql", {}), ".dlt/secrets.toml": '[sources.shop]\nurl = "sqlite:///shop.db"\n'})
    assert loaded(dango("sync", "--json")) == {"t": 1}
    write({".dlt/secrets.toml": '[sources.shop]\nurl = "nosuch://me:s3cret-pw@host/db"\n'})
    said = dango("sync")
    assert said.code == 1
    assert "SQLAlchemy knows no database `nosuch`" in said.err
    assert "s3cret-pw" not in said.err + said.out


@pytest.mark.postgres
def test_a_password_of_any_characters_goes_through_parts_and_url(
    postgres: Postgres, write: Write, dango: Dango
) -> None:
    password, user = "p@:/? %25#'\"", f"u_{postgres.database[-8:]}"
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE t AS SELECT 1 AS id")
        cursor.execute(f"CREATE ROLE {user} LOGIN PASSWORD %s", (password,))
        cursor.execute(f"GRANT SELECT ON t TO {user}")
    try:
        write({"sources": source("postgres", {**of(postgres), "user": user})})
        assert loaded(dango("sync", "--json", env={"SOURCES__SHOP__PASSWORD": password})) == {"t": 1}
        url = f"postgresql+psycopg2://{user}:{quote(password, safe='')}@127.0.0.1:{postgres.port}/{postgres.database}"
        write({"sources": source("sql", {}).replace("shop", "other")})
        assert loaded(dango("sync", "--json", env={"SOURCES__OTHER__URL": url})) == {"t": 1}
    finally:
        with postgres.cursor() as cursor:
            cursor.execute(f"DROP OWNED BY {user}; DROP ROLE {user}")


def test_duckdb_is_read_by_its_types_and_its_cursor(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    with duckdb.connect(str(root / "shop.duckdb")) as database:
        database.execute(
            """
            CREATE TABLE orders (id int PRIMARY KEY, changed timestamp, tags varchar[], large hugeint, span interval);
            INSERT INTO orders VALUES
                (1, '2024-01-01', ['a'], 12345678901234567890, INTERVAL 1 DAY), (2, '2024-01-02', NULL, 1, NULL);
            CREATE TABLE empty (id int); CREATE VIEW seen AS SELECT 1 AS one;
            """
        )
    found = duckdb_file.inspect(str(root / "shop.duckdb"))
    assert [(table.name, table.primary_key, table.view) for table in found.tables] == [
        ("empty", (), False),
        ("orders", ("id",), False),
        ("seen", (), True),
    ]
    cursor = {"field": "changed", "lag": 60}
    hints = {"orders": {"write_disposition": "merge", "primary_key": "id", "cursor": cursor}}
    write({"sources": source("duckdb", {"path": "shop.duckdb"}, {**hints, "seen": {}})})
    assert loaded(dango("sync", "--json")) == {"orders": 2, "seen": 1}
    assert rows("SELECT tags, large, span, changed FROM raw_shop.orders WHERE id = 1") == [
        ('["a"]', Decimal("12345678901234567890"), "1 day", dt.datetime(2024, 1, 1))
    ]
    with duckdb.connect(str(root / "shop.duckdb")) as database:
        database.execute(
            "UPDATE orders SET large = 5 WHERE id = 2; INSERT INTO orders VALUES (3, '2023-01-01', NULL, 1, NULL)"
        )
    assert loaded(dango("sync", "--json"))["orders"] == 1
    assert rows("SELECT id, large FROM raw_shop.orders WHERE id > 1") == [(2, 5)]


def test_the_destinations_own_file_can_be_a_source(write: Write, dango: Dango, rows: Rows, root: Path) -> None:
    (root / "data").mkdir()
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
        database.execute("CREATE TABLE mine AS SELECT 1 AS id")
    write({"sources": source("duckdb", {"path": "data/warehouse.duckdb"}, ["mine"])})
    assert loaded(dango("sync", "--json")) == {"mine": 1}
    assert rows("SELECT id FROM raw_shop.mine") == [(1,)]


def test_a_cursor_that_is_no_column_is_told_at_its_place(root: Path, write: Write, dango: Dango) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.executescript(
            "CREATE TABLE t (id integer PRIMARY KEY, updated_at datetime); INSERT INTO t (id) VALUES (1)"
        )
    hints = {"t": {"write_disposition": "merge", "primary_key": "id", "cursor": {"field": "updated"}}}
    write({"sources": source("sqlite", {"path": "shop.db"}, hints)})
    said = dango("sync")
    assert said.code == 1
    assert ".dango/sources.yml:3:" in said.err
    assert "the table `t` has no column `updated` (did you mean `updated_at`?)" in said.err


def test_what_is_asked_live_becomes_the_proposal_of_each_table(root: Path, write: Write, dango: Dango) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.executescript(
            "CREATE TABLE t (id integer PRIMARY KEY, updated_at datetime); CREATE TABLE log (x text)"
        )
    write({"sources": "version: 1\nsources: []\n"})
    assert dango("source", "add", "sqlite", "--name", "shop", "--set", "path=shop.db").code == 0
    written = (root / ".dango" / "sources.yml").read_text(encoding="utf-8")
    assert "cursor: {field: updated_at}" in written
    assert "log: {write_disposition: replace}" in written


def test_a_table_of_which_nothing_is_said_is_replaced_and_one_with_a_cursor_is_not(
    write: Write, dango: Dango, rows: Rows, root: Path
) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.execute("CREATE TABLE whole (id INTEGER PRIMARY KEY)")
        database.execute("CREATE TABLE log (id INTEGER PRIMARY KEY)")
        database.execute("INSERT INTO whole VALUES (1)")
        database.execute("INSERT INTO log VALUES (1)")
    write({"sources": source("sqlite", {"path": "shop.db"}, {"whole": {}, "log": {"cursor": {"field": "id"}}})})
    assert dango("sync").code == 0
    with sqlite3.connect(root / "shop.db") as database:
        database.execute("INSERT INTO log VALUES (2)")
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.whole") == [(1,)]
    assert rows("SELECT id FROM raw_shop.log ORDER BY id") == [(1,), (2,)]

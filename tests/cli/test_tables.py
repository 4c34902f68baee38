"""`dango tables`: what is in the destinations, for people and as JSON."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Said, native, sources
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

SHOP = """\
import dlt

@dlt.resource(primary_key="id", write_disposition="merge")
def orders():
    yield [{"id": n, "price": n * 1.5, "lines": [{"sku": "a"}]} for n in range(3)]

def customers():
    yield {"name": "Ada"}
"""


def listed(said: Said) -> dict[str, Any]:
    return {f"{table['dataset']}.{table['name']}": table for table in said.json["tables"]}


def test_what_was_loaded_is_listed_with_rows_columns_and_when(root: Path, write: Write, dango: Dango) -> None:
    write({
        "sources": sources(native("shop", "orders"), native("crm", "customers"), native("idle", "customers")),
        "custom_sources/shop.py": SHOP,
    })  # fmt: skip
    nothing = dango("tables")
    assert (nothing.code, nothing.out, nothing.err) == (0, "no table yet: dango sync\n", "")
    assert dango("tables", "--json").json == {"tables": [], "problems": [], "exit_code": 0}

    before = dt.datetime.now(dt.timezone.utc)
    assert dango("sync", "shop", "crm").code == 0
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
        database.execute("CREATE SCHEMA marts; CREATE VIEW marts.best AS SELECT id FROM raw_shop.orders")
        database.execute("CREATE SCHEMA IF NOT EXISTS raw_shop_staging; CREATE TABLE raw_shop_staging.orders (a INT)")
        database.execute('CREATE TABLE marts."odd ""name" AS SELECT 1 AS a')
    said = dango("tables", "--json")
    tables = listed(said)
    assert [*tables] == [
        "marts.best",
        'marts.odd "name',
        "raw_crm.customers",
        "raw_shop.orders",
        "raw_shop.orders__lines",
    ]
    orders = tables["raw_shop.orders"]
    assert (orders["destination"], orders["source"], orders["rows"], orders["estimated"]) == (
        "duckdb",
        "shop",
        3,
        False,
    )
    assert {"name": "price", "type": "DOUBLE", "nullable": True} in orders["columns"]
    assert before <= dt.datetime.fromisoformat(orders["last_load"]) <= dt.datetime.now(dt.timezone.utc)
    best = tables["marts.best"]
    assert (best["view"], best["rows"], best["last_load"], best["source"]) == (True, None, None, "")

    lines = dango("tables").out.splitlines()
    assert lines[0].split() == ["table", "rows", "columns", "last", "load", "source"]
    assert next(line for line in lines if line.startswith("raw_shop.orders ")).split()[1:3] == ["3", "4"]
    every = listed(dango("tables", "--all", "--json"))
    assert {"raw_shop._dlt_loads", "raw_shop_staging.orders", "raw_shop._dlt_version"} <= every.keys()

    assert [*listed(dango("tables", "shop", "--json"))] == ["raw_shop.orders", "raw_shop.orders__lines"]
    assert [*listed(dango("tables", "raw_crm", "marts.best", "--json"))] == ["marts.best", "raw_crm.customers"]
    assert dango("tables", "idle").out == "no table yet: dango sync\n"
    columns = dango("tables", "raw_crm.customers").out.splitlines()
    assert columns[0].split() == ["table", "column", "type", "may", "be", "NULL"]
    assert columns[1].split() == ["raw_crm.customers", "name", "VARCHAR", "yes"]
    assert columns[2].split() == ["_dlt_load_id", "VARCHAR", "no"]
    assert len(dango("tables", "--columns", "shop").out.splitlines()) == 1 + 4 + 5
    assert dango("tables", "raw_shop._dlt_loads").out.splitlines()[1].split()[:2] == ["raw_shop._dlt_loads", "load_id"]
    wrong = dango("tables", "raw_shop.order")
    assert (wrong.code, "(did you mean `raw_shop.orders`?)" in wrong.err) == (2, True)


def test_a_database_that_cannot_be_read_hides_no_other(root: Path, write: Write, dango: Dango) -> None:
    broken = native("broken").replace("type: dlt_native", "destination: other, type: dlt_native")
    out = native("out").replace("type: dlt_native", "destination: files, type: dlt_native")
    head = "version: 1\ndestinations:\n  other: {type: duckdb, credentials: data/other.duckdb}\n"
    head += "  files: {type: filesystem, bucket_url: out}\nsources:\n"
    write({"sources": head + native("shop") + broken, "data/other.duckdb": "no database"})
    alone = dango("tables")
    assert (alone.code, alone.out, "destination `other` cannot be used" in alone.err) == (1, "", True)
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
        database.execute("CREATE TABLE here (a INT)")
    write({"sources": head + native("shop") + broken + out})
    said = dango("tables", "--json")
    assert (said.code, [*listed(said)], said.json["exit_code"]) == (3, ["main.here"], 3)
    assert len(said.json["problems"]) == 2
    assert "of the type `filesystem`, which dango does not read" in said.json["problems"][1]["message"]
    assert dango("tables", "--destination", "othre").code == 2


@pytest.mark.postgres
def test_tables_of_postgresql_are_listed_beside_those_of_duckdb(
    root: Path, write: Write, dango: Dango, postgres: Postgres
) -> None:
    facts = {"host": postgres.host, "port": postgres.port, "username": postgres.user, "password": postgres.password,
             "database": postgres.database}  # fmt: skip
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in facts.items())
    lake = native("shop", "orders").replace("type: dlt_native", "destination: lake, type: dlt_native")
    write({
        "sources": "version: 1\ndestinations: {lake: {type: postgres}}\nsources:\n" + lake + native("crm", "customers"),
        ".dlt/secrets.toml": f"[destination.lake.credentials]\n{lines}\n",
        "custom_sources/shop.py": SHOP,
    })  # fmt: skip
    assert dango("sync").code == 0
    with postgres.cursor() as cursor:
        cursor.execute("CREATE SCHEMA marts")
        cursor.execute("CREATE MATERIALIZED VIEW marts.best AS SELECT id FROM raw_shop.orders")
        cursor.execute("CREATE TABLE marts.large (n numeric(12, 2) NOT NULL)")
        cursor.execute("UPDATE pg_class SET reltuples = 7000000 WHERE relname = 'large'")
    said = dango("tables", "--json")
    tables = listed(said)
    assert (said.code, said.json["problems"]) == (0, [])
    assert [*tables] == ["marts.best", "marts.large", "raw_shop.orders", "raw_shop.orders__lines", "raw_crm.customers"]
    assert tables["marts.large"]["columns"] == [{"name": "n", "type": "numeric(12,2)", "nullable": False}]
    assert (tables["marts.large"]["rows"], tables["marts.large"]["estimated"]) == (7_000_000, True)
    assert (tables["raw_shop.orders"]["rows"], tables["raw_shop.orders"]["source"]) == (3, "shop")
    assert tables["raw_shop.orders"]["last_load"]
    assert tables["marts.best"]["view"]
    shown = dango("tables").out
    assert shown.splitlines()[0].split()[:2] == ["destination", "table"]
    assert "about 7,000,000" in shown

"""Names that come with the data: of tables, columns and keys, as who wants to harm would choose them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from tests.conftest import Said, native, sources
from tests.faults.running import into_postgres
from tests.fixtures_postgres import Postgres

pytestmark = pytest.mark.slow

SHOP = """\
import os
import dlt

NAMES = [
    '"; DROP TABLE canary; --',
    "'; DROP SCHEMA raw_shop CASCADE; --",
    'a" FROM canary; DELETE FROM canary; SELECT "b',
    "../../../tmp/outside",
    "{0.__class__} %s %(x)s $1 ?",
    "line\\nbreak\\ttab",
    "ünïcode ‮ reversed",
]
BATCH = int(os.environ.get("BATCH", "1"))


@dlt.source
def shop():
    for nth, name in enumerate(NAMES):
        yield resource(nth, name)


def resource(nth, name):
    disposition = ("append", "merge", "replace")[nth % 3]

    @dlt.resource(name=f"r{nth}", table_name=name, primary_key=name, write_disposition=disposition)
    def rows():
        yield [{name: n, f"{name} too": {name: [{name: n}]}} for n in range(BATCH)]

    return rows
"""
OWN = ("_dlt_", "_dango_")
TRY = ("sync", "sync --full-refresh", "tables --columns", "doctor", "source cursor shop --json")


@pytest.mark.parametrize(
    ("where", "naming"),
    [
        ("duckdb", "sql_cs_v1"),
        pytest.param("postgres", "snake_case", marks=pytest.mark.postgres),
        pytest.param("duckdb", "snake_case", marks=pytest.mark.long),
        pytest.param("postgres", "sql_cs_v1", marks=[pytest.mark.postgres, pytest.mark.long]),
    ],
)
def test_names_of_the_data_are_names_and_nothing_else(
    request: pytest.FixtureRequest,
    root: Path,
    write: Callable[..., None],
    dango: Callable[..., Said],
    where: str,
    naming: str,
) -> None:
    environment: dict[str, str] = {}
    of = sources
    if where == "postgres":
        postgres: Postgres = request.getfixturevalue("postgres")
        environment, of = {"LAKE": postgres.url}, into_postgres

        def ask(query: str) -> list[Any]:
            with postgres.cursor() as cursor:
                cursor.execute(query)
                return cursor.fetchall() if cursor.description else []
    else:
        (root / "data").mkdir()

        def ask(query: str) -> list[Any]:
            with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
                return database.execute(query).fetchall()

    write({
        "sources": of(native("shop", "shop")),
        "custom_sources/shop.py": SHOP,
        ".dlt/config.toml": f'[schema]\nnaming = "{naming}"\n',
    })  # fmt: skip
    for schema in ("raw_shop", "mine"):
        ask(f"CREATE SCHEMA {schema}")
        ask(f"CREATE TABLE {schema}.canary AS SELECT 1 AS id")
    ask("CREATE TABLE canary AS SELECT 1 AS id")
    for batch in range(1, 3):
        for line in TRY:
            said = dango(*line.split(), env={**environment, "BATCH": str(batch)})
            assert said.code == 0, (line, said.err)
            assert not {c for c in said.out + said.err if not c.isprintable() and c != "\n"}
    found = ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'raw_shop'")
    tables = {name for (name,) in found if not name.startswith(OWN)} - {"canary"}
    # One of each name, and one nested in it.
    assert len(tables) == 14, tables
    for table in tables:
        quoted = table.replace('"', '""')
        assert ask(f'SELECT count(*) FROM raw_shop."{quoted}"') == [(2,)], table
    said = dango("source", "remove", "shop", "--drop-data", "--yes", env=environment)
    assert said.code == 0, said.err
    assert [ask(f"SELECT id FROM {table}") for table in ("canary", "mine.canary", "raw_shop.canary")] == [[(1,)]] * 3
    left = ask("SELECT table_name FROM information_schema.tables WHERE table_schema = 'raw_shop'")
    assert [name for (name,) in left if not name.startswith(OWN)] == ["canary"]
    assert sorted(path.name for path in root.parent.iterdir()) == ["project"]

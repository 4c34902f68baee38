"""Files of other tools whose connectors are then run, with the real packages and a real PostgreSQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said
from tests.connectors.taps import TAP
from tests.connectors.test_openmetadata import CONNECTOR
from tests.postgres_server import Postgres

pytestmark = pytest.mark.slow

Dango = Callable[..., Said]
Rows = Callable[[str], list[Any]]
Write = Callable[[Mapping[str, str]], None]

EMPTY = "version: 1\nsources: []\n"
VDK = """\
[sources.made-up]
name = "auto-generated-data"
config = { num_records = 4, num_streams = 2 }
[destinations.here]
method = "duckdb"
target = "out/rows.duckdb"
[[flows]]
from = "made-up"
to = "here"
"""
RECIPE = """\
source:
  type: sqlalchemy
  config:
    connect_uri: ${SHOP_URI}
    platform: sqlite
sink: {type: datahub-rest, config: {server: "http://localhost:8080"}}
"""
WORKFLOW = """\
source:
  type: customDatabase
  serviceName: Shop Tables
  serviceConnection:
    config:
      type: CustomDatabase
      sourcePythonClass: custom_sources.connector.Tables
      connectionOptions: {file: $TABLES}
  sourceConfig: {config: {type: DatabaseMetadata}}
sink: {type: metadata-rest, config: {}}
workflowConfig: {openMetadataServerConfig: {hostPort: "http://localhost:8585/api"}}
"""
MELTANO = """\
plugins:
  extractors:
    - {name: tap-shop, executable: python taps/tap.py, config: {account: 7}, select: [orders.*]}
  loaders:
    - name: target-postgres
      config: {host: HOST, port: PORT, user: $PG_USER, password: PASSWORD, database: DATABASE}
"""


def test_a_data_source_of_vdk_is_loaded_as_its_file_says(dango: Dango, root: Path, write: Write) -> None:
    write({"sources": EMPTY, "config.toml": VDK})
    assert dango("import", "config.toml").code == 0
    (root / "out").mkdir()
    said = dango("sync", "made_up", timeout=600)
    assert said.code == 0, said.err
    asked = dango("query", "select count(*) from raw_made_up.stream_1", "--destination", "here", "--format", "csv")
    assert asked.out.split()[-1] == "4"


def test_a_recipe_of_datahub_is_loaded_as_it_says(dango: Dango, rows: Rows, root: Path, write: Write) -> None:
    with sqlite3.connect(root / "shop.db") as shop:
        shop.execute("create table orders (id integer primary key, amount real)")
    write({"sources": EMPTY, "recipe.yml": RECIPE, ".env": f"SHOP_URI=sqlite:///{root}/shop.db\n"})
    assert dango("import", "recipe.yml").code == 0
    said = dango("sync", "sqlalchemy", timeout=600)
    assert said.code == 0, said.err
    assert rows("select field_path from raw_sqlalchemy.schema_metadata__fields order by 1") == [("amount",), ("id",)]


def test_a_workflow_of_openmetadata_is_loaded_as_it_says(dango: Dango, rows: Rows, write: Write) -> None:
    write({
        "sources": EMPTY, "workflow.yml": WORKFLOW, "custom_sources/connector.py": CONNECTOR,
        "tables.csv": "name,columns\norders,id:INT;amount:DOUBLE\npeople,id:INT\n", ".env": "TABLES=tables.csv\n",
    })  # fmt: skip
    assert dango("import", "workflow.yml").code == 0
    assert dango("check").code == 0
    said = dango("sync", "shop_tables", timeout=900)
    assert said.code == 0, said.err
    named = "select fully_qualified_name from raw_shop_tables.tables order by 1"
    assert rows(named) == [("Shop Tables.shop.public.orders",), ("Shop Tables.shop.public.people",)]


def test_a_loader_of_meltano_is_the_database_that_it_was(
    dango: Dango, root: Path, write: Write, postgres: Postgres
) -> None:
    text = MELTANO.replace("HOST", postgres.host).replace("PORT", str(postgres.port))
    text = text.replace("PASSWORD", postgres.password or "none").replace("DATABASE", postgres.database)
    write({"sources": EMPTY, "taps/tap.py": TAP, "meltano.yml": text, ".env": f"PG_USER={postgres.user}\n"})
    said = dango("import", "meltano.yml")
    assert said.code == 0, said.err
    assert "not carried over" not in said.out
    said = dango("sync", env={"ROWS": "6"})
    assert said.code == 0, said.err
    with postgres.cursor() as cursor:
        cursor.execute("select count(*) from raw_tap_shop.orders")
        assert cursor.fetchone() == (6,)

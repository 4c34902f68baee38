"""`dango sync --on`: the same command, events, errors, history and exit codes, on the machines of a cluster."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.conftest import Cluster
from tests.conftest import Said
from tests.postgres_server import Postgres

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.xdist_group("ray")]

SHOP = """
import os, time
import dlt

@dlt.resource(write_disposition="append")
def orders(token=dlt.secrets.value, cursor=dlt.sources.incremental("id", initial_value=0)):
    print("orders of", token)
    yield [{"id": n, "pid": os.getpid()} for n in range(1, 1001) if n > cursor.last_value]

@dlt.resource
def broken(token=dlt.secrets.value):
    yield [{"id": 1}]
    raise ValueError(f"refused: {token}")

@dlt.resource(write_disposition="append")
def slow():
    for n in range(600):
        yield {"id": n}
        time.sleep(0.1)
"""


@pytest.fixture
def project(write: Callable[..., None], postgres: Postgres) -> Postgres:
    """Sources that go to PostgreSQL, each with a secret."""
    blocks = "".join(
        f"  - {{name: {name}, type: dlt_native, dlt_native: {{source_module: shop, source_function: {function}}}}}\n"
        for name, function in (("one", "orders"), ("two", "orders"), ("bad", "broken"), ("long", "slow"))
    )
    write({
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n" + blocks,
        "custom_sources/shop.py": SHOP,
        ".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{postgres.url}"\n'
        '[sources.one]\ntoken = "secret-of-one"\n[sources.two]\ntoken = "secret-of-two"\n'
        '[sources.bad]\ntoken = "secret-of-bad"\n',
        ".env": "SOURCES__LONG__TOKEN=secret-of-long\n",
    })  # fmt: skip
    return postgres


def _count(postgres: Postgres, table: str) -> tuple[int, int]:
    with postgres.cursor() as cursor:
        cursor.execute(f"SELECT count(*), count(DISTINCT id) FROM {table}")
        found: tuple[int, int] = cursor.fetchone()
    return found


def test_a_sync_on_a_cluster_is_like_one_here(dango: Callable[..., Said], cluster: Cluster, project: Postgres) -> None:
    said = dango("sync", "one", "two", "--on", "auto", "--json", env=cluster.env)
    assert said.code == 0, said.err
    assert {(each["source"], each["status"], each["rows"]) for each in said.json["results"]} == {
        ("one", "ok", 1000), ("two", "ok", 1000),
    }  # fmt: skip
    assert _count(project, "raw_one.orders") == _count(project, "raw_two.orders") == (1000, 1000)
    history = dango("history", "--json").json
    assert {run["status"] for run in history["runs"]} == {"ok"}, history

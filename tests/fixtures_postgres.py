"""Real PostgreSQL for tests: the fixture `postgres` is a database of the test's own.

Enabled by `pytest_plugins = ["tests.fixtures_postgres"]` in tests/conftest.py. The server is the one that
DANGO_TEST_POSTGRES names (`postgresql://user:password@127.0.0.1:5432/postgres`, a user who may create
databases), else one started from the machine's PostgreSQL (`postgres_server.py`); each xdist worker has its
own. Without either the tests are skipped; with CI set they fail.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import pytest

from tests.postgres_server import QUICK, NoServer, Postgres, cluster, programs


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A server, by its maintenance database; tests use `postgres`."""
    if url := os.environ.get("DANGO_TEST_POSTGRES"):
        yield _of_url(url)
        return
    found = programs()
    if found is None:
        reason = "no PostgreSQL here: apt-get install postgresql, or set DANGO_TEST_POSTGRES"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    try:
        with cluster(found, QUICK) as server:
            yield server
    except NoServer as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture
def postgres(postgres_server: Postgres) -> Iterator[Postgres]:
    """A new, empty database; dropped after the test, whoever is still connected."""
    database = replace(postgres_server, database=f"dango_{secrets.token_hex(8)}")
    with postgres_server.cursor() as cursor:
        cursor.execute(f'CREATE DATABASE "{database.database}"')
    yield database
    with postgres_server.cursor() as cursor:
        cursor.execute(f'DROP DATABASE IF EXISTS "{database.database}" WITH (FORCE)')


def _of_url(url: str) -> Postgres:
    parts = urlsplit(url)
    host = parts.hostname or ""
    # Tests create and drop databases: not on somebody's server because a variable was left set.
    if host != "localhost" and not (_is_address(host) and ipaddress.ip_address(host).is_loopback):
        pytest.fail(f"DANGO_TEST_POSTGRES must name a server on this machine, not {host!r}", pytrace=False)
    return Postgres(
        host=host,
        port=parts.port or 5432,
        user=unquote(parts.username or "postgres"),
        password=unquote(parts.password or ""),
        database=unquote(parts.path.lstrip("/")) or "postgres",
    )


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True

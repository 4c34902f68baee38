"""Databases whose servers are not at hand: what their dialects and drivers make of what their entries say."""

from __future__ import annotations

import datetime as dt
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests
import tomlkit
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from packaging.requirements import Requirement

from dango import environments
from dango.errors import MissingPackage
from dango.project import Project
from dango.registry.entries import Registry
from dango.sources.resolve import require_packages
from tests.connectors import dialects
from tests.connectors.dialect_words import CONNECTING, SELECTED

Write = Callable[[dict[str, str]], None]
Ask = Callable[..., Any]

REPOSITORY = Path(__file__).resolve().parents[2]
ENTRIES = (
    "bigquery", "clickhouse", "cockroachdb", "databricks", "mssql", "oracle", "redshift", "snowflake", "trino",
)  # fmt: skip
BY_URL = [name for name in ENTRIES if name != "bigquery"]


def lacking(identity: str) -> list[str]:
    """What the entry needs and is not installed here."""
    return [text for text in Registry().entry(identity).requires if not _is_here(Requirement(text).name)]


def _is_here(name: str) -> bool:
    try:
        distribution(name)
    except PackageNotFoundError:
        return False
    return True


@pytest.mark.parametrize("identity", ENTRIES)
def test_without_its_driver_a_database_says_what_to_install(identity: str, root: Path, write: Write) -> None:
    needed = lacking(identity)
    if not needed:
        pytest.skip("its packages are installed here")
    write({"sources": f"version: 1\nsources: [{{name: shop, type: {identity}}}]\n"})
    project = Project(root)
    with pytest.raises(MissingPackage) as raised:
        require_packages(project.job(project.source("shop")))
    assert raised.value.message.startswith(f"`{identity}` needs packages that are not installed: ")
    install, _, packages = raised.value.hint.partition(" -m pip install ")
    assert (install, [text for text in needed if text not in packages]) == (sys.executable, [])


def test_every_extra_of_a_database_is_what_its_entry_requires() -> None:
    project = tomlkit.parse((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    extras = {identity: project["optional-dependencies"][identity] for identity in ENTRIES}
    assert extras == {identity: list(Registry().entry(identity).requires) for identity in ENTRIES}


@pytest.fixture(scope="module")
def requirements() -> list[str]:
    """What all the entries require, and ClickHouse's engine."""
    return sorted({"chdb>=4", *(text for identity in ENTRIES for text in Registry().entry(identity).requires)})


@pytest.fixture(scope="module")
def folder(requirements: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose environment has the drivers and dialects of all entries side by side."""
    root = tmp_path_factory.mktemp("dialects") / "project"
    (root / ".dango").mkdir(parents=True)
    _source(root, {"name": "shop", "type": "mssql", "environment": {"requirements": requirements}})
    environments.build(_wanted(root), lambda text: None)
    return root


@pytest.fixture(scope="module")
def python(folder: Path) -> Path:
    """The Python of that environment."""
    return _wanted(folder).interpreter


def _source(root: Path, source: dict[str, Any]) -> None:
    (root / ".dango" / "sources.yml").write_text(json.dumps({"version": 1, "sources": [source]}))


def _wanted(root: Path) -> environments.Wanted:
    project = Project(root)
    asked = environments.wanted(project.job(project.source("shop")))
    assert asked is not None
    return asked


@pytest.fixture
def ask(python: Path) -> Ask:
    """What functions of `dialects` say there, all asked in one process."""

    def ask(*calls: tuple[str, list[Any], dict[str, Any]]) -> list[Any]:
        done = subprocess.run(
            [python, "-m", "tests.connectors.dialects"],
            input=json.dumps(calls), capture_output=True, text=True, cwd=REPOSITORY,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return list(json.loads(done.stdout))

    return ask


@pytest.mark.slow
def test_each_driver_is_called_with_what_the_fields_say(ask: Ask) -> None:
    said = ask(*(("connecting", [identity], {}) for identity in BY_URL))
    for identity, given in zip(BY_URL, said, strict=True):
        assert {name: given.get(name) for name in CONNECTING[identity]} == CONNECTING[identity], identity
    odbc, sid = ask(
        ("connecting", ["mssql"], {"driver": "pyodbc"}), ("connecting", ["oracle"], {"service_name": None, "sid": "XE"})
    )
    assert odbc["args"] == [
        (
            "DRIVER={ODBC Driver 18 for SQL Server};Server=db.example.com,1433;Database=shop;UID=dango;"
            f"PWD={dialects.SECRET};Encrypt=yes;TrustServerCertificate=no"
        )
    ]
    assert "(SID=XE)" in sid["dsn"]


UNKNOWN = {"oracle": {"VECTOR"}}
"""What is left to its values."""


@pytest.mark.slow
def test_each_type_of_a_dialect_is_one_of_dlts(ask: Ask) -> None:
    said = dict(zip(ENTRIES, ask(*(("become", [identity], {}) for identity in ENTRIES)), strict=True))
    for identity, kinds in said.items():
        assert {name for name, kind in kinds.items() if kind == "None"} == UNKNOWN.get(identity, set()), identity
    assert said["mssql"]["datetimeoffset"] == "timestamp with zone"
    assert (said["mssql"]["money"], said["mssql"]["timestamp"]) == ("decimal(19,4)", "bigint")
    assert (said["oracle"]["DATE"], said["oracle"]["NUMBER"]) == ("timestamp", "decimal")
    assert (said["snowflake"]["TIMESTAMP_LTZ"], said["snowflake"]["VARIANT"]) == ("timestamp with zone", "json")
    assert (said["bigquery"]["TIMESTAMP"], said["bigquery"]["DATETIME"]) == ("timestamp with zone", "timestamp")
    assert (said["clickhouse"]["Int256"], said["clickhouse"]["Array(Int64)"]) == ("text", "json")
    assert (said["redshift"]["super"], said["redshift"]["numeric"]) == ("json", "decimal")
    assert (said["trino"]["row(a bigint)"], said["trino"]["ipaddress"]) == ("json", "text")


@pytest.mark.slow
def test_what_is_new_since_a_cursor_is_asked_for_in_each_databases_own_words(ask: Ask) -> None:
    said = ask(*(("selected", [identity, *columns], {}) for identity, (columns, _) in SELECTED.items()))
    for (identity, (_, query)), made in zip(SELECTED.items(), said, strict=True):
        assert f"SELECT {query} ORDER BY " in made["sql"], identity
        # The time is bound, and not written into the query.
        assert any(value.startswith("2024-01-02 03:04:05.678900") or value == "7" for value in made["bound"]), identity


@pytest.fixture(scope="module")
def key() -> str:
    """A service account's key, whose tokens are given where nobody listens."""
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "client_email": "dango@example.com", "token_uri": "http://127.0.0.1:9/token"}
    return json.dumps({**account, "private_key": pem.decode()})


@pytest.mark.slow
def test_a_database_where_nobody_listens_is_told_in_one_line_without_its_password(ask: Ask, key: str) -> None:
    with socket.socket() as held:
        # Bound, and not listening: nobody else gets the port meanwhile.
        held.bind(("127.0.0.1", 0))
        port = held.getsockname()[1]
        said = ask(*(("refused", [identity, port, key], {}) for identity in ENTRIES))
    for identity, told in zip(ENTRIES, said, strict=True):
        assert told["kind"] == "SourceError", (identity, told)
        assert "\n" not in told["message"], identity
        assert dialects.SECRET not in f"{told}", identity
        if identity == "bigquery":
            assert told["message"] == "no connection to where Google gives tokens"
            continue
        # Snowflake's driver, since version 5, tries again after pauses by chance, at times until its time is up.
        given_up = identity == "snowflake" and told["message"].endswith("login timed out after 10s")
        assert given_up or "efused" in told["message"], (identity, told)
        assert "127.0.0.1" in told["hint"] or identity == "snowflake", (identity, told)


@pytest.fixture
def clickhouse(python: Path) -> Iterator[int]:
    """The port of a ClickHouse."""
    server = [python, "-m", "tests.connectors.clickhouse_server"]
    with subprocess.Popen(server, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.kill()


def _run(query: str, port: int) -> None:
    requests.post(f"http://127.0.0.1:{port}/", params={"query": query}, timeout=30).raise_for_status()


@pytest.mark.slow
def test_clickhouses_own_engine_gives_each_type_as_what_it_is_and_then_what_is_new(
    clickhouse: int, folder: Path, requirements: list[str]
) -> None:
    fields = {"host": "127.0.0.1", "port": clickhouse, "database": "shop", "tls": False}
    orders = {"write_disposition": "append", "cursor": {"field": "local"}}
    source = {"name": "shop", "type": "clickhouse", "environment": {"requirements": requirements}}
    _source(folder, {**source, "clickhouse": fields, "resources": {"orders": orders}})

    def sync() -> int:
        done = subprocess.run([sys.executable, "-m", "dango", "sync", "--json"], capture_output=True, cwd=folder)
        assert done.returncode == 0, done.stdout
        return int(json.loads(done.stdout)["results"][0]["rows"])

    assert sync() == 1
    # A day older by the clock of Tokyo, and one second newer.
    _run(
        "INSERT INTO shop.orders (id, local) VALUES (2, '2024-01-01 00:00:00'), (3, '2024-01-02 03:04:06')", clickhouse
    )
    assert sync() == 1
    (file,) = folder.glob("data/*.duckdb")
    with duckdb.connect(str(file), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        found = connection.sql(
            'SELECT * EXCLUDE ("at", "local"), epoch("at") AS "at", epoch("local") AS "local" '
            "FROM raw_shop.orders WHERE id = 1"
        )
        row = dict(zip(found.columns, found.fetchall()[0], strict=True))
        assert connection.sql("SELECT id FROM raw_shop.orders ORDER BY id").fetchall() == [(1,), (3,)]
    moment = dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc).timestamp()
    expected = {
        "id": 1, "large": "12345678901234567890123", "price": Decimal("12.34"), "wide": "1.5", "share": 0.1,
        "name": "hé", "low": "x", "code": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "mood": "ok",
        "day": dt.date(2024, 1, 2), "ip": "10.0.0.1", "yes": True, "numbers": "[1,2]", "counts": '{"a":1}',
        "pair": '{"a":1,"b":"z"}', "nothing": None, "at": moment, "local": moment - 9 * 3600 + 0.123456,
    }  # fmt: skip
    assert {name: value for name, value in row.items() if not name.startswith("_dlt")} == expected

"""Databases whose servers are not at hand: what their dialects and drivers make of what their entries say."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from packaging.requirements import Requirement

from dango import environments
from dango.errors import MissingPackage
from dango.project import Project
from dango.registry.entries import Registry
from dango.sources.resolve import require_packages
from tests.connectors import dialects

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
    # The extras that are installed are those of another version of the project: its own file is what counts.
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    for identity in ENTRIES:
        (line,) = (line for line in text.splitlines() if line.startswith(f"{identity} = "))
        assert json.loads(line.partition(" = ")[2].partition("]")[0] + "]") == list(Registry().entry(identity).requires)


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python with the drivers and dialects of all entries side by side."""
    root = tmp_path_factory.mktemp("dialects") / "project"
    (root / ".dango").mkdir(parents=True)
    requirements = sorted({text for identity in ENTRIES for text in Registry().entry(identity).requires})
    source = {"name": "shop", "type": "mssql", "environment": {"requirements": requirements}}
    (root / ".dango" / "sources.yml").write_text(json.dumps({"version": 1, "sources": [source]}))
    project = Project(root)
    asked = environments.wanted(project.job(project.source("shop")))
    assert asked is not None
    environments.build(asked, lambda text: None)
    return asked.interpreter


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


CONNECTING: dict[str, dict[str, Any]] = {
    "clickhouse": {
        "host": "db.example.com", "port": 8443, "database": "shop", "username": "dango", "password": dialects.SECRET,
        "secure": True, "verify": True, "ca_cert": "/ca.pem",
    },
    "cockroachdb": {
        "host": "db.example.com", "port": 26257, "dbname": "shop", "user": "dango", "password": dialects.SECRET,
        "sslmode": "verify-full", "sslrootcert": "system", "sslcert": "/crt", "sslkey": "/key",
    },
    "databricks": {
        "server_hostname": "db.example.com", "access_token": dialects.SECRET, "http_path": "/sql/1.0/warehouses/x",
        "catalog": "main", "schema": "default",
    },
    "mssql": {
        "host": "db.example.com:1433", "database": "shop", "user": "dango", "password": dialects.SECRET,
        "encryption": "require",
    },
    "oracle": {
        "dsn": "tcps://db.example.com:1521/FREE", "user": "dango", "password": dialects.SECRET,
        "wallet_location": "/wallet", "wallet_password": dialects.SECRET,
    },
    "redshift": {
        "host": "db.example.com", "port": 5439, "dbname": "shop", "user": "dango", "password": dialects.SECRET,
        "sslmode": "verify-full",
    },
    "snowflake": {
        "account": "my-org-acme", "host": "my-org-acme.snowflakecomputing.com", "user": "dango", "database": "shop",
        "schema": "public", "warehouse": "LOADING", "role": "READER", "authenticator": "snowflake_jwt",
        "private_key_file": "/key.p8", "private_key_file_pwd": dialects.SECRET,
    },
    "trino": {
        "host": "db.example.com", "port": 443, "catalog": "hive", "schema": "shop", "user": "dango",
        "http_scheme": "https", "verify": "/ca.pem",
    },
}  # fmt: skip


@pytest.mark.slow
def test_each_driver_is_called_with_what_the_fields_say(ask: Ask) -> None:
    said = ask(*(("connecting", [identity], {}) for identity in BY_URL))
    for identity, given in zip(BY_URL, said, strict=True):
        assert {name: given.get(name) for name in CONNECTING[identity]} == CONNECTING[identity], identity
    odbc, sid = ask(
        ("connecting", ["mssql"], {"driver": "pyodbc"}), ("connecting", ["oracle"], {"service_name": None, "sid": "XE"})
    )
    assert odbc["args"] == [
        "DRIVER={ODBC Driver 18 for SQL Server};Server=db.example.com,1433;Database=shop;UID=dango;"
        f"PWD={dialects.SECRET};Encrypt=yes;TrustServerCertificate=no"
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


SELECTED = {
    "mssql": (
        ["timestamp", "sql_variant"],
        "TOP __[POSTCOMPILE_param_1] CAST(shop.orders.timestamp AS BIGINT) AS timestamp, "
        "CAST(shop.orders.sql_variant AS NVARCHAR(max)) AS sql_variant FROM shop.orders "
        "WHERE shop.orders.timestamp >= CAST(CAST(%(timestamp_1)s AS BIGINT) AS BINARY(8))",
    ),
    "oracle": (
        ["TIMESTAMP", "INTERVAL DAY TO SECOND"],
        'shop.orders."TIMESTAMP", to_char(shop.orders."INTERVAL DAY TO SECOND") AS "INTERVAL DAY TO SECOND" '
        'FROM shop.orders WHERE shop.orders."TIMESTAMP" >= :TIMESTAMP_1',
    ),
    "snowflake": (
        ["TIMESTAMP_LTZ", "VARIANT"],
        'shop.orders."TIMESTAMP_LTZ", to_json(to_variant(shop.orders."VARIANT")) AS "VARIANT" FROM shop.orders '
        'WHERE shop.orders."TIMESTAMP_LTZ" >= %(TIMESTAMP_LTZ_1)s',
    ),
    "bigquery": (
        ["TIMESTAMP", "STRUCT"],
        "`orders`.`TIMESTAMP`, to_json_string(`orders`.`STRUCT`) AS `STRUCT` FROM `shop`.`orders` "
        "WHERE `orders`.`TIMESTAMP` >= %(TIMESTAMP_1:TIMESTAMP)s",
    ),
    "redshift": (
        ["timestamptz", "super", "interval"],
        "shop.orders.timestamptz, json_serialize(shop.orders.super) AS super, "
        "CAST(shop.orders.interval AS VARCHAR(65535)) AS interval FROM shop.orders "
        "WHERE shop.orders.timestamptz >= %(timestamptz_1)s",
    ),
    "clickhouse": (
        ["DateTime", "JSON", "UUID"],
        "`shop`.`orders`.`DateTime`, toJSONString(`shop`.`orders`.`JSON`) AS `JSON`, "
        "toString(`shop`.`orders`.`UUID`) AS `UUID` FROM `shop`.`orders` "
        "WHERE `shop`.`orders`.`DateTime` >= toDateTime64(%(DateTime_1)s, %(toDateTime64_1)s, %(toDateTime64_2)s)",
    ),
    "cockroachdb": (
        ["timestamptz", "interval"],
        "shop.orders.timestamptz, CAST(shop.orders.interval AS TEXT) AS interval FROM shop.orders "
        "WHERE shop.orders.timestamptz >= %(timestamptz_1)s",
    ),
    "trino": (
        ["timestamp(6) with time zone", "array(bigint)"],
        'shop.orders."timestamp(6) with time zone", json_format(CAST(shop.orders."array(bigint)" AS JSON)) '
        'AS "array(bigint)" FROM shop.orders WHERE shop.orders."timestamp(6) with time zone" >= ?',
    ),
    "databricks": (
        ["timestamp", "variant"],
        "shop.orders.timestamp, to_json(shop.orders.variant) AS variant FROM shop.orders "
        "WHERE shop.orders.timestamp >= :`timestamp_1`",
    ),
}


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
        assert "efused" in told["message"], (identity, told)
        assert "127.0.0.1" in told["hint"] or identity == "snowflake", (identity, told)

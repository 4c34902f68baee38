"""What a dialect makes of an entry, told as JSON: run by the tests in an environment that has all dialects."""

from __future__ import annotations

import datetime as dt
import importlib
import json
import sys
import warnings
from typing import Any

import sqlalchemy as sa
from dlt.sources.sql_database.schema_types import sqla_col_to_column_schema

from dango.connectors.sql_engine import engine_of, url_of
from dango.connectors.sql_tables import fitted
from dango.connectors.warehouse_types import readable
from dango.errors import DangoError
from dango.registry.entries import Registry
from dango.registry.template import filled

SECRET = "p@ss/w:rd %"
VALUES: dict[str, dict[str, Any]] = {
    "clickhouse": {"tls": True, "verify": True, "ca_cert": "/ca.pem"},
    "cockroachdb": {"sslcert": "/crt", "sslkey": "/key"},
    "databricks": {"http_path": "/sql/1.0/warehouses/x", "catalog": "main"},
    "oracle": {"service_name": "FREE", "protocol": "tcps", "wallet_location": "/wallet"},
    "snowflake": {"account": "my-org-acme", "warehouse": "LOADING", "role": "READER", "private_key_file": "/key.p8"},
    "trino": {"catalog": "hive", "schema": "shop", "ca": "/ca.pem"},
}
COMMON = {"host": "db.example.com", "database": "shop", "user": "dango"}


def arguments(identity: str, **more: Any) -> dict[str, Any]:
    """What the entry calls its function with, secrets and all."""
    entry = Registry().entry(identity)
    known: dict[str, Any] = {}
    for field in entry.fields:
        if field.applies(known):
            given = {**COMMON, **VALUES.get(identity, {}), **more}
            known[field.name] = given.get(field.name, SECRET if field.secret else field.default)
    values = {f"secrets.{name}" if entry.field(name).secret else name: value for name, value in known.items()}  # type: ignore[union-attr]
    return filled(entry.build.args, {**values, "resources": []})  # type: ignore[union-attr]


def engine(identity: str, **more: Any) -> sa.Engine:
    """The engine that the entry asks for; it has connected nowhere."""
    if identity == "bigquery":
        return sa.create_engine("bigquery://my-project/shop?user_supplied_client=True")
    made = arguments(identity, **more)
    return engine_of(url_of(made["credentials"]), made.get("connect"))


def connecting(identity: str, **more: Any) -> dict[str, Any]:
    """What the driver's `connect` is called with."""
    made = arguments(identity, **more)
    url = url_of(made["credentials"])
    # pyodbc itself is only there where the system has ODBC; what its dialect makes of a URL needs neither.
    dialect = url.get_dialect()() if "+pyodbc" in url.drivername else engine(identity, **more).dialect
    args, kwargs = dialect.create_connect_args(url)
    given = {**kwargs, **(made.get("connect") or {})}
    return {
        "args": list(args),
        **{name: value if isinstance(value, int) else str(value) for name, value in given.items()},
    }


def types(identity: str) -> dict[str, sa.types.TypeEngine[Any]]:
    """The dialect's types, by what the database calls them."""
    dialect = engine(identity).dialect
    if identity == "databricks":
        from databricks.sqlalchemy import _parse

        found = _parse.GET_COLUMNS_TYPE_MAP
    elif identity == "trino":
        from trino.sqlalchemy.datatype import parse_sqltype

        said = ["timestamp(6) with time zone", "array(bigint)", "map(varchar, bigint)", "row(a bigint)", "ipaddress"]
        said += [
            "decimal(20,0)",
            "varchar",
            "double",
            "real",
            "json",
            "date",
            "time(3)",
            "time with time zone",
            "bigint",
        ]
        said += ["boolean", "varbinary", "uuid", "timestamp(3)", "interval day to second"]
        found = {name: parse_sqltype(name) for name in said}
    elif identity == "clickhouse":
        from clickhouse_connect.cc_sqlalchemy.datatypes.base import sqla_type_from_name

        said = ["Int8", "UInt64", "Int256", "Float32", "Decimal(18, 4)", "Decimal(76, 4)", "String", "FixedString(3)"]
        said += ["UUID", "Enum8('a' = 1)", "Date", "Date32", "DateTime", "DateTime64(6, 'Asia/Tokyo')", "IPv4", "Bool"]
        said += ["Array(Int64)", "Map(String, Int64)", "Tuple(Int8, String)", "JSON", "Point", "Nullable(Int64)"]
        said += ["LowCardinality(Nullable(String))"]
        found = {name: sqla_type_from_name(name) for name in said}
    elif identity == "bigquery":
        from sqlalchemy_bigquery._types import _type_map as found
    elif identity == "cockroachdb":
        from sqlalchemy_cockroachdb.base import _type_map as found
    elif identity == "redshift":
        from sqlalchemy.dialects import postgresql
        from sqlalchemy_redshift import dialect as redshift

        found = {**postgresql.base.ischema_names, "super": redshift.SUPER, "timestamptz": redshift.TIMESTAMPTZ}
    else:
        found = dialect.ischema_names
    return {name: _instance(name, kind) for name, kind in found.items()}


def _instance(name: str, kind: Any) -> Any:
    parts = {"ARRAY": (sa.Integer(),), "_array": (sa.Integer(),), "MAP": (sa.Integer(), sa.Integer())}
    if not isinstance(kind, type):
        return kind
    if name == "VECTOR" and issubclass(kind, sa.types.TypeEngine) and kind.__module__.startswith("snowflake"):
        return kind("INT", 3)
    return kind(*parts.get(name, ())) if kind.__name__ != "OBJECT" else kind()


def _table(identity: str, chosen: list[str] | None = None) -> sa.Table:
    kinds = types(identity)
    columns = [sa.Column(name, kinds[name]) for name in chosen or kinds]
    table = sa.Table("orders", sa.MetaData(), *columns, schema="shop")
    readable(table, engine(identity).dialect.name)
    return table


def become(identity: str) -> dict[str, Any]:
    """What dlt makes of each type: its data type, none where the values tell."""
    made = {}
    for column in _table(identity).columns:
        hint = sqla_col_to_column_schema(column, "full_with_precision") or {}
        zone = {True: " with zone", False: ""}.get(hint.get("timezone", False), "")
        digits = f"({hint['precision']},{hint['scale']})" if "scale" in hint else ""
        made[column.name] = f"{hint.get('data_type')}{digits}{zone}"
    return made


def selected(identity: str, *columns: str) -> dict[str, Any]:
    """The query of a sync that goes on from a cursor, and what is bound in it."""
    there = engine(identity)
    table = _table(identity, list(columns))
    cursor = table.columns[columns[0]]
    start = dt.datetime(2024, 1, 2, 3, 4, 5, 678900, tzinfo=dt.timezone.utc)
    value = 7 if isinstance(cursor.type, sa.Integer) else fitted(start, cursor.type)
    query = sa.select(table).where(cursor >= value).order_by(cursor.asc()).limit(5)
    compiled = query.compile(dialect=there.dialect)
    processors = compiled._bind_processors
    bound = {name: processors[name](each) if name in processors else each for name, each in compiled.params.items()}
    return {"sql": " ".join(str(compiled).split()), "bound": [str(each) for each in bound.values()]}


def refused(identity: str, port: int, key: str) -> dict[str, str]:
    """What is told where nobody listens."""
    where = {"host": "127.0.0.1", "port": port, "protocol": "tcp", "sslmode": "prefer", "tls": False}
    own = {"authenticator": "snowflake", "key": key, "project": "my-project", "dataset": "shop"}
    made = arguments(identity, **where, **own)
    if identity == "snowflake":
        made["connect"] |= {"host": "127.0.0.1", "port": port, "protocol": "http"}
    module, _, function = Registry().entry(identity).build.inspect.partition(":")  # type: ignore[union-attr]
    try:
        getattr(importlib.import_module(module), function)(**made)
    except DangoError as error:
        return {"kind": type(error).__name__, "message": error.message, "hint": error.hint}
    return {}


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    functions = {"connecting": connecting, "become": become, "selected": selected, "refused": refused}
    calls = json.load(sys.stdin)
    print(json.dumps([functions[name](*given, **named) for name, given, named in calls], default=str))

"""The data of the bench: made by DuckDB, the same every time, kept under `bench/.data`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from bench.truth import Columns, Content, Kind, Remembered, held
from tests.postgres_server import Postgres

FORMATS = {"csv": "FORMAT csv, HEADER", "jsonl": "FORMAT json", "parquet": "FORMAT parquet"}


@dataclass(frozen=True, slots=True)
class Table:
    """A table by formula: `select` gives its row number `i`. `kinds` says how its values are compared."""

    name: str
    kinds: Columns
    select: str
    postgres: str
    """The columns as PostgreSQL declares them."""


def _pick(words: str, salt: int) -> str:
    names = words.split()
    return f"{names!r}[1 + (hash(i, {salt}) % {len(names)})::int]"


def _number(salt: int, low: int, high: int) -> str:
    return f"({low} + hash(i, {salt}) % {high - low + 1})::bigint"


_WORDS = (
    "the of final regular express pending ironic bold silent even careful quick slow deposits requests accounts "
    "packages dolphins platelets foxes pinto beans ideas sleep nag haggle wake boost cajole among above"
)
_LINEITEM: Mapping[str, tuple[Kind, str, str]] = {
    "l_orderkey": ("int", "bigint", "1 + i // 4"),
    "l_partkey": ("int", "bigint", _number(1, 1, 1_000_000)),
    "l_suppkey": ("int", "bigint", _number(2, 1, 50_000)),
    "l_linenumber": ("int", "integer", "(1 + i % 4)::int"),
    "l_quantity": ("decimal", "decimal(15,2)", f"{_number(3, 1, 50)}::decimal(15,2)"),
    "l_extendedprice": ("decimal", "decimal(15,2)", f"({_number(4, 90_000, 10_000_000)} / 100)::decimal(15,2)"),
    "l_discount": ("decimal", "decimal(15,2)", f"({_number(5, 0, 10)} / 100)::decimal(15,2)"),
    "l_tax": ("decimal", "decimal(15,2)", f"({_number(6, 0, 8)} / 100)::decimal(15,2)"),
    "l_returnflag": ("text", "varchar(1)", _pick("A N R", 7)),
    "l_linestatus": ("text", "varchar(1)", _pick("O F", 8)),
    "l_shipdate": ("date", "date", f"date '1992-01-02' + {_number(9, 0, 2525)}::int"),
    "l_commitdate": ("date", "date", f"date '1992-01-31' + {_number(10, 0, 2465)}::int"),
    "l_receiptdate": ("date", "date", f"date '1992-01-04' + {_number(11, 0, 2553)}::int"),
    "l_shipinstruct": ("text", "varchar(25)", _pick("COLLECT_COD DELIVER_IN_PERSON NONE TAKE_BACK_RETURN", 12)),
    "l_shipmode": ("text", "varchar(10)", _pick("AIR FOB MAIL RAIL SHIP TRUCK REG_AIR", 13)),
    "l_comment": ("text", "varchar(44)", " || ' ' || ".join(_pick(_WORDS, salt) for salt in range(14, 18))),
}


def _table(name: str, columns: Mapping[str, tuple[Kind, str, str]]) -> Table:
    return Table(
        name,
        {column: kind for column, (kind, _, _) in columns.items()},
        ", ".join(f"{formula} AS {column}" for column, (_, _, formula) in columns.items()),
        ", ".join(f"{column} {declared}" for column, (_, declared, _) in columns.items()),
    )


LINEITEM = _table("lineitem", _LINEITEM)
"""Sixteen columns of the types and about the widths of TPC-H's `lineitem`."""

CHANGING = _table(
    "changing",
    {
        "id": ("int", "bigint", "i"),
        "updated_at": ("moment", "timestamptz", "timestamptz '2024-01-01 00:00:00+00' + to_seconds(i)"),
        **_LINEITEM,
    },
)
"""The same with a key, and a column that moves with every change."""

FLAT = Table(
    "flat",
    {
        "id": "int", "customer_id": "int", "name": "text", "email": "text", "city": "text", "amount": "decimal",
        "quantity": "int", "active": "bool", "created_at": "moment", "note": "text",
    },
    """i AS id, i * 7919 % 100003 AS customer_id, 'customer ' || i * 7919 % 100003 AS name,
    'user' || i || '@example.com' AS email, ['Berlin', 'Lagos', 'Lima', 'Osaka', 'Pune'][1 + i % 5] AS city,
    (i * 31 % 40000 / 4)::decimal(15,2) AS amount, 1 + i % 9 AS quantity, i % 3 = 0 AS active,
    to_timestamp(1704067200 + i) AS created_at,
    CASE WHEN i % 4 > 0 THEN 'note ' || i % 1000 END AS note""",
    "",
)  # fmt: skip
"""What `custom_sources/dicts.py` yields, by formula."""

_SAID: Mapping[str, Mapping[str, object]] = {
    "int": {"type": "integer"}, "text": {"type": ["null", "string"]}, "decimal": {"type": "number"},
    "bool": {"type": "boolean"}, "moment": {"type": "string", "format": "date-time"},
}  # fmt: skip

DOCUMENTS = Table(
    "documents",
    {
        "id": "int", "title": "text", "created": "text", "customer__name": "text", "customer__city": "text",
        "customer__tier": "int", "customer__score": "decimal",
    },
    """i AS id, 'document ' || i AS title, 'day ' || i % 365 AS created, 'customer ' || i % 100003 AS customer__name,
    ['Berlin', 'Lagos', 'Lima', 'Osaka', 'Pune'][1 + i % 5] AS customer__city, i % 4 AS customer__tier,
    (i * 31 % 4000 / 4 + 0.25)::decimal(15,2) AS customer__score""",
    "",
)  # fmt: skip
"""Documents with an object of four keys and one to three items (`ITEMS`)."""

_ITEM = {
    "sku": "'sku ' || (id * 7 + n) % 5000",
    "quantity": "1 + (id + n) % 9",
    "price": "((id * 13 + n) % 8000 / 4 + 0.25)::decimal(15,2)",
    "gift": "(id + n) % 2 = 0",
}
ITEMS = Table(
    "items",
    {"doc": "int", "idx": "int", "sku": "text", "quantity": "int", "price": "decimal", "gift": "bool"},
    ", ".join(["id AS doc, n AS idx", *(f"{formula} AS {name}" for name, formula in _ITEM.items())]),
    "",
)
_ITEM_ROWS = "(SELECT i AS id, unnest(range(1 + i % 3)) AS n FROM range({rows}) AS rows (i))"


class Data:
    """Files and tables of the bench, made when they are asked for first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._remembered = Remembered(folder / "truth.json")

    def content(self, table: Table, rows: int) -> Content:
        """What is right."""
        return self._remembered.of(f"{table.name} {rows}", lambda: _counted(relation(table, rows), table.kinds))

    def file(self, table: Table, rows: int, kind: str) -> Path:
        """A file of that kind with the table's rows; read once, so that it is in the page cache."""
        file = self.folder / f"{table.name}_{rows}.{kind}"
        if not file.exists():
            _written(file, f"SELECT * FROM {relation(table, rows)}", kind)
        _read_through(file)
        return file

    def nested(self, rows: int) -> Path:
        """A JSONL file of documents, each with an object and a list of objects."""
        file = self.folder / f"documents_{rows}.jsonl"
        if not file.exists():
            customer = ", ".join(
                f"{name.removeprefix('customer__')}: {name}"
                for name in DOCUMENTS.kinds
                if name.startswith("customer__")
            )
            item = ", ".join(f"{name}: {formula}" for name, formula in _ITEM.items())
            _written(
                file,
                f"SELECT id, title, created, {{{customer}}} AS customer,"
                f" [{{{item}}} FOR n IN range(1 + id % 3)] AS items FROM {relation(DOCUMENTS, rows)}",
                "jsonl",
            )
        _read_through(file)
        return file

    def tap(self, rows: int) -> Path:
        """A Singer tap of the flat table: a program that says lines which are there already."""
        program = self.folder / f"tap_flat_{rows}"
        if not program.exists():
            lines, catalog = program.with_suffix(".lines"), program.with_suffix(".catalog")
            said = {"type": "object", "properties": {name: _SAID[kind] for name, kind in FLAT.kinds.items()}}
            stream = {"stream": "flat", "tap_stream_id": "flat", "schema": said, "key_properties": [], "metadata": []}
            catalog.write_text(json.dumps({"streams": [{**stream, "replication_method": "FULL_TABLE"}]}))
            moment = "replace(created_at::varchar, ' ', 'T') || ':00' AS created_at"
            records = f"(SELECT * REPLACE (amount::double AS amount, {moment}) FROM {relation(FLAT, rows)})"
            with duckdb.connect() as database, lines.open("w") as out:
                database.execute("SET TimeZone = 'UTC'")
                found = database.execute(f"SELECT to_json(r)::varchar FROM {records} r")
                out.write(json.dumps({"type": "SCHEMA", **stream}) + "\n")
                while page := found.fetchmany(10_000):
                    out.writelines(f'{{"type": "RECORD", "stream": "flat", "record": {row}}}\n' for (row,) in page)
            program.write_text(
                f'#!/bin/sh\nfor word; do [ "$word" = --discover ] && exec cat {catalog}; done\nexec cat {lines}\n'
            )
            program.chmod(0o755)
        _read_through(program.with_suffix(".lines"))
        return program

    def in_postgres(self, server: Postgres, table: Table, rows: int, schema: str = "public") -> str:
        """The name of a table in a PostgreSQL database; made and filled where it is not there."""
        name = f"{table.name}_{rows}"
        file = self.file(table, rows, "csv")
        with server.cursor() as cursor:
            cursor.execute("SELECT to_regclass(%s)", (f"{schema}.{name}",))
            if (found := cursor.fetchone()) and found[0]:
                return name
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
            cursor.execute(f"CREATE TABLE {schema}.{name} ({table.postgres})")
            with file.open("rb") as lines:
                cursor.copy_expert(f"COPY {schema}.{name} FROM STDIN (FORMAT csv, HEADER)", lines)
            # Otherwise the first who reads it writes what the server notes of each row.
            cursor.execute(f"VACUUM (ANALYZE) {schema}.{name}")
        return name


def relation(table: Table, rows: int) -> str:
    """The table's rows as something that DuckDB selects from."""
    numbered = _ITEM_ROWS.format(rows=rows) if table is ITEMS else f"(SELECT range AS i FROM range({rows}))"
    return f"(SELECT {table.select} FROM {numbered})"


def _counted(relation: str, kinds: Columns) -> Content:
    with duckdb.connect() as database:
        return held(database, relation, kinds)


def _written(file: Path, query: str, kind: str) -> None:
    unfinished = file.with_suffix(".unfinished")
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        database.execute(f"COPY ({query}) TO '{unfinished}' ({FORMATS[kind]})")
    unfinished.replace(file)


def _read_through(file: Path) -> None:
    with file.open("rb") as data:
        while data.read(1 << 22):
            pass

"""Parquet into PostgreSQL: every kind of value comes out as it went in."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dango.load.copying import copy_rows
from tests.fixtures_postgres import Postgres

UTC = dt.timezone.utc

CASES = {
    "text": (
        pa.string(), "text", ["", " ", "a,b", 'q"uo"te', "line\nbreak", "\\N", "\\.", "NULL", "žluť 🙂", "\t", None],
    ),
    "large text": (pa.large_string(), "text", ["x" * 100_000, None]),
    "categories": (pa.dictionary(pa.int32(), pa.string()), "text", ["a", "b", "", None, "a"]),
    "bigint": (pa.int64(), "bigint", [0, -(2**63), 2**63 - 1, None]),
    "small": (pa.int8(), "smallint", [-128, 127, None]),
    "double": (pa.float64(), "double precision", [0.1, -1e300, float("inf"), float("-inf"), 5e-324, None]),
    "bool": (pa.bool_(), "boolean", [True, False, None]),
    "numeric": (pa.decimal128(38, 9), "numeric(38,9)", [Decimal("12345678901234567890.123456789"), Decimal(0), None]),
    "wide numeric": (pa.decimal256(76, 10), "numeric(76,10)", [Decimal("1" * 60 + ".0000000001"), None]),
    "date": (pa.date32(), "date", [dt.date(1, 1, 1), dt.date(2024, 2, 29), dt.date(9999, 12, 31), None]),
    "time": (pa.time64("us"), "time", [dt.time(0), dt.time(23, 59, 59, 999999), None]),
    "instant": (
        pa.timestamp("us", tz="UTC"), "timestamptz",
        [dt.datetime(1970, 1, 1, tzinfo=UTC), dt.datetime(2024, 7, 1, 12, 0, 0, 123456, tzinfo=UTC), None],
    ),
    "local time": (pa.timestamp("us"), "timestamp", [dt.datetime(2024, 7, 1, 12, 0, 0, 1), None]),
    "elsewhere": (
        pa.timestamp("us", tz="America/New_York"), "timestamptz", [dt.datetime(2024, 7, 1, 16, tzinfo=UTC), None],
    ),
    "bytes": (pa.binary(), "bytea", [b"", b"\x00\xff\\", None]),
    "json": (pa.string(), "jsonb", ['{"a": [1, null, "x"]}', "null", None]),
    "list": (pa.list_(pa.int64()), "jsonb", [[1, 2], [], None]),
    "struct": (pa.struct([("a", pa.int64()), ("b", pa.string())]), "jsonb", [{"a": 1, "b": 'x"'}, None]),
}  # fmt: skip


@pytest.mark.postgres
@pytest.mark.parametrize("case", CASES)
def test_values_come_out_as_they_went_in(case: str, postgres: Postgres, tmp_path: Path) -> None:
    kind, column, values = CASES[case]
    found = copied(postgres, tmp_path, pa.table({"v": pa.array(values, kind)}), f'"v" {column}')
    expected = values
    if case == "json":
        expected = [{"a": [1, None, "x"]}, None, None]
    assert [bytes(value) if isinstance(value, memoryview) else value for (value,) in found] == expected


@pytest.mark.postgres
def test_what_postgresql_cannot_hold_is_left_out_of_a_text(postgres: Postgres, tmp_path: Path) -> None:
    assert copied(postgres, tmp_path, pa.table({"v": ["a\0b"]}), '"v" text') == [("ab",)]


@pytest.mark.postgres
def test_many_batches_names_that_need_quotes_and_no_rows(postgres: Postgres, tmp_path: Path) -> None:
    names = {'we"ird %s': list(range(100_000)), "Ünder": ["é"] * 100_000}
    found = copied(postgres, tmp_path, pa.table(names), '"we""ird %s" bigint, "Ünder" text')
    assert (len(found), sum(number for number, _ in found)) == (100_000, sum(range(100_000)))
    assert copied(postgres, tmp_path, pa.table({"v": pa.array([], pa.int64())}), '"v" bigint') == []


def copied(postgres: Postgres, folder: Path, table: pa.Table, columns: str) -> list[Any]:
    """The rows of a PostgreSQL table with these columns, after the Arrow table was copied into it."""
    pq.write_table(table, folder / "rows.parquet")
    connection = psycopg2.connect(postgres.url, options="-c timezone=UTC")
    try:
        with connection.cursor() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS t; CREATE TABLE t ({columns})")
            copy_rows(connection, "t", folder / "rows.parquet", lambda name: '"' + name.replace('"', '""') + '"')
            # In the transaction that is under way: nobody else sees a row.
            with postgres.cursor() as other:
                other.execute("SELECT to_regclass('t')")
                assert other.fetchall() == [(None,)]
            cursor.execute("SELECT * FROM t")
            return cursor.fetchall()
    finally:
        connection.close()

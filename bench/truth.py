"""What a table holds, as two numbers: its rows, and a sum over them that their order does not change.

The sum is made by the database that holds the table, of a text that DuckDB and PostgreSQL write alike, whatever types a
loader chose: a decimal that came as text or as a float is right where its two digits are.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import duckdb

from bench.measure import BenchError
from tests.postgres_server import Postgres

Kind = Literal["text", "int", "decimal", "date", "moment", "bool"]
Columns = Mapping[str, Kind]

_TEXT = {
    "text": "{}::varchar",
    "int": "{}::bigint::varchar",
    "decimal": "{}::decimal(15,2)::varchar",
    "date": "{}::date::varchar",
    "moment": "extract(epoch from {})::bigint::varchar",
    "bool": "{}::boolean::int::varchar",
}
_DUCKDB = "('0x' || substr(md5({}), 1, 15))::bigint"
_POSTGRES = "('x' || substr(md5({}), 1, 15))::bit(60)::bigint"


@dataclass(frozen=True, slots=True)
class Content:
    """How many rows, and their checksum."""

    rows: int
    checksum: int


def of_duckdb(file: Path, relation: str, columns: Columns) -> Content:
    """What a relation of a DuckDB file holds. Raises `BenchError` where it is not there or of other types."""
    try:
        with duckdb.connect(str(file), read_only=True) as database:
            return held(database, relation, columns)
    except duckdb.Error as error:
        raise BenchError(f"the result cannot be checked\n{error}") from error


def held(database: duckdb.DuckDBPyConnection, relation: str, columns: Columns) -> Content:
    """What a relation of an open database holds. Raises `duckdb.Error`."""
    database.execute("SET TimeZone = 'UTC'")
    row = database.execute(_query(relation, columns, _DUCKDB)).fetchone()
    assert row is not None
    return Content(int(row[0]), int(row[1]))


def of_postgres(server: Postgres, relation: str, columns: Columns) -> Content:
    """What a relation of a PostgreSQL database holds. Raises `BenchError` where it is not there or of other types."""
    import psycopg2

    try:
        with server.cursor() as cursor:
            cursor.execute("SET TIME ZONE 'UTC'")
            cursor.execute(_query(relation, columns, _POSTGRES))
            row = cursor.fetchone()
    except psycopg2.Error as error:
        raise BenchError(f"the result cannot be checked\n{error}") from error
    assert row is not None
    return Content(int(row[0]), int(row[1]))


def _query(relation: str, columns: Columns, number: str) -> str:
    texts = ", ".join(f"coalesce({_TEXT[kind].format(name)}, chr(1))" for name, kind in columns.items())
    return f"SELECT count(*), coalesce(sum({number.format(f'concat_ws(chr(2), {texts})')}), 0) FROM {relation}"


def require(name: str, found: Content, expected: Content) -> None:
    """Raises `BenchError` where a table does not hold what it should."""
    if found.rows != expected.rows:
        raise BenchError(f"wrong result: {name} has {found.rows:,} rows, {expected.rows:,} are right")
    if found.checksum != expected.checksum:
        raise BenchError(f"wrong result: {name} has the right number of rows, and not the right values")


class Remembered:
    """Contents that were counted once, in a file beside the data."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def of(self, name: str, count: Callable[[], Content]) -> Content:
        """The content of that name, counted where it is not known."""
        known = json.loads(self._file.read_text()) if self._file.exists() else {}
        if name not in known:
            known[name] = asdict(count())
            self._file.write_text(json.dumps(known, indent=1))
        return Content(**known[name])

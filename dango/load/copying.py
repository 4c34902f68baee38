"""Files into PostgreSQL by COPY, on the connection and in the transaction that are under way."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import csv

from dango import external
from dango.external import External, Mistaken

# Every value that is there stands in quotes, so that an empty text is not taken for none.
_WRITTEN = csv.WriteOptions(include_header=False, quoting_style="all_valid")
_ROWS = 32_768


def copy_rows(connection: Any, table: str, path: Path, quoted: Callable[[str], str]) -> int:
    """Adds the rows of a package's Parquet file, or of the file that it stands for, to a table.

    Args:
        connection: psycopg2's.
        table: its name, quoted.
        path: the file; its columns have the names of the table's.
        quoted: quotes the name of a column.

    Returns:
        how many they are.

    Raises:
        Mistaken: when the file that it stands for is not what it says.
    """
    referred = external.read(path)
    with _parquet(path) if referred is None else _external(referred) as (schema, batches):
        columns = ", ".join(quoted(name) for name in schema.names)
        chunks = _Chunks(_ahead(_csv(batch) for batch in batches if batch.num_rows))
        with connection.cursor() as cursor, chunks.telling():
            cursor.copy_expert(
                f"COPY {table} ({columns}) FROM STDIN WITH (FORMAT csv, NULL '', ENCODING 'utf8')",
                chunks,
                size=1 << 20,
            )
            return int(cursor.rowcount)


Batches = tuple[pa.Schema, Iterator[pa.RecordBatch]]


@contextmanager
def _parquet(path: Path) -> Iterator[Batches]:
    # Left to itself, pyarrow reads ahead and keeps the whole file.
    with pq.ParquetFile(path, pre_buffer=False) as file:
        yield file.schema_arrow, file.iter_batches(_ROWS)


@contextmanager
def _external(file: External) -> Iterator[Batches]:
    try:
        with closing(duckdb.connect()) as database:
            database.execute("SET TimeZone = 'UTC'; SET preserve_insertion_order = false")
            with database.sql(file.select).to_arrow_reader(_ROWS) as reader:
                yield reader.schema, reader
    except (duckdb.Error, pa.ArrowException, OSError) as error:
        # By then the rows are under way in Arrow's stream, which has errors of its own.
        raise Mistaken(str(error)) from error


def _ahead(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same, each made while the server takes in the one before."""
    with ThreadPoolExecutor(1, thread_name_prefix="copying") as maker:
        coming = maker.submit(next, chunks, b"")
        while chunk := coming.result():
            coming = maker.submit(next, chunks, b"")
            yield chunk


class _Chunks(io.RawIOBase):
    """Bytes that are made as they are read."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""
        self._error: Exception | None = None

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Raises what went wrong while they were made, of which psycopg2 keeps the text only."""
        try:
            yield
        except psycopg2.Error as error:
            raise self._error or error from error

    def readable(self) -> bool:
        """It is."""
        return True

    def read(self, size: int = -1) -> bytes:
        """The next bytes, at most so many; nothing at the end."""
        if not self._left:
            try:
                self._left = next(self._chunks, b"")
            except Exception as error:
                # Kept whatever it is, and raised on: psycopg2 makes one of its own of it.
                self._error = error
                raise
        if size < 0:
            size = len(self._left)
        given, self._left = self._left[:size], self._left[size:]
        return given


def _csv(batch: pa.RecordBatch) -> bytes:
    text = pa.table([_text(column) for column in batch.columns], names=batch.schema.names)
    out = io.BytesIO()
    csv.write_csv(text, out, _WRITTEN)
    # PostgreSQL's text holds every character but this one.
    return out.getvalue().replace(b"\0", b"")


def _text(column: pa.Array) -> pa.Array:
    """The column as PostgreSQL reads its text."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _text(column.dictionary_decode())
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if value is None else "\\x" + value.hex() for value in column.to_pylist()], pa.string())
    if pa.types.is_nested(kind):
        return pa.array(
            [None if value is None else json.dumps(value, default=str) for value in column.to_pylist()], pa.string()
        )
    if pa.types.is_boolean(kind) or pa.types.is_string(kind) or pa.types.is_integer(kind):
        return column
    return pc.cast(column, pa.string())

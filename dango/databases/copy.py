"""PostgreSQL's COPY, read as Arrow: the server says text quicker than any driver reads rows of it."""

from __future__ import annotations

import io
import queue
import threading
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from pyarrow import csv

from dango.databases.columns import Columns, Inexact, of_text

BLOCK = 8 * 1024 * 1024
"""Bytes of text that become one table."""
_AHEAD = 1
"""Blocks that wait while another is read."""
_LARGEST = 1024**3
_NO_COPY = ("0A000", "42601")
"""What servers say that speak PostgreSQL's language and know no such COPY: not supported, or a syntax error."""


def tables(connection: sa.Connection, query: Any, columns: Columns) -> Generator[pa.Table, None, None]:
    """What a query finds; nothing where it finds nothing.

    Args:
        connection: of psycopg2; of no use behind this, where it was not read to the end.
        query: SQLAlchemy's.
        columns: what it finds.

    Raises:
        Inexact: when a value has no exact form in Arrow, or the server no such COPY.
        sa.exc.DBAPIError: of the server's, or of a connection that is lost.
    """
    driver: Any = connection.connection.driver_connection
    if driver.get_parameter_status("server_encoding") == "SQL_ASCII":
        raise Inexact("the database does not say how its text is encoded")
    try:
        with closing(_blocks(driver, _statement(connection, query))) as blocks:
            for block in blocks:
                yield _parsed(block, columns)
    except connection.dialect.loaded_dbapi.Error as error:
        connection.invalidate(error)
        if getattr(error, "pgcode", None) in _NO_COPY:
            raise Inexact("the server cannot copy what a query finds") from error
        raise sa.exc.DBAPIError(None, None, error) from error


def _statement(connection: sa.Connection, query: Any) -> str:
    compiled = query.compile(connection.engine, compile_kwargs={"render_postcompile": True})
    driver: Any = connection.connection.driver_connection
    with driver.cursor() as cursor:
        said = cursor.mogrify(str(compiled), compiled.construct_params()).decode()
    return f"COPY ({said}) TO STDOUT WITH (FORMAT csv, ENCODING 'UTF8')"


def _blocks(connection: Any, statement: str) -> Generator[bytes, None, None]:
    """Whole lines of what COPY says, some megabytes at once; the server goes on while they are read."""
    waiting: queue.Queue[bytes | None] = queue.Queue(_AHEAD)
    given_up = threading.Event()

    def send(lines: bytes | None) -> None:
        sent = False
        while not (sent or given_up.is_set()):
            with suppress(queue.Full):
                waiting.put(lines, timeout=0.1)
                sent = True

    def copy() -> None:
        try:
            # Rows come one by one: the buffer takes them without a line of Python.
            out = io.BufferedWriter(_Lines(send), BLOCK)
            with connection.cursor() as cursor:
                cursor.copy_expert(statement, out)
            out.flush()
        finally:
            send(None)

    with ThreadPoolExecutor(1, thread_name_prefix="copy") as executor:
        copied = executor.submit(copy)
        try:
            while (lines := waiting.get()) is not None:
                yield lines
            copied.result()
        finally:
            given_up.set()
            if not copied.done():
                connection.cancel()


class _Lines(io.RawIOBase):
    """Sends what is written to it on in whole lines of CSV."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._begun = b""

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, text: Any) -> int:
        """Takes it all."""
        lines = self._begun + bytes(text)
        # Inside a quoted value the number of quotes so far is odd.
        whole = lines.endswith(b"\n") and lines.count(b'"') % 2 == 0
        self._begun = b"" if whole else lines
        if whole:
            self._send(lines)
        return len(text)


def _parsed(lines: bytes, columns: Columns) -> pa.Table:
    if len(lines) > _LARGEST:
        raise Inexact("a row of more than a gigabyte")
    try:
        table = _read(lines, columns)
    except pa.ArrowInvalid as error:
        # Such as NaN among decimals, or a time that is infinite.
        raise Inexact(f"{_culprit(lines, columns)}: a value that is none of its type in Arrow") from error
    return of_text(table, columns)


def _read(lines: bytes, columns: Columns, only: str | None = None) -> pa.Table:
    """Raises `pa.ArrowInvalid`."""
    kinds = zip(columns.fields.names, columns.kinds, columns.fields.types, strict=True)
    return csv.read_csv(
        pa.BufferReader(lines),
        csv.ReadOptions(column_names=columns.fields.names, block_size=len(lines) + 1),
        # A line is empty where the value of an only column is missing.
        csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        csv.ConvertOptions(
            column_types={
                name: pa.string() if kind == "binary" or name in columns.loose else read for name, kind, read in kinds
            },
            include_columns=[only] if only else [],
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
            true_values=["t"],
            false_values=["f"],
        ),
    )


def _culprit(lines: bytes, columns: Columns) -> str:
    """The first column that cannot be read."""
    for name in columns.fields.names:
        try:
            _read(lines, columns, only=name)
        except pa.ArrowInvalid:
            return str(name)
    return "its rows"

"""A PostgreSQL database that is read, in a transaction that cannot write."""

from __future__ import annotations

import re
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg2
from psycopg2 import extensions

from dango.errors import QueryError, near
from dango.load.access import refusal
from dango.readers import AT_ONCE, Answer, Column, Kind

_KINDS: dict[int, Kind] = {
    **dict.fromkeys((20, 21, 23, 26, 700, 701, 1700), "number"),
    **dict.fromkeys((1082, 1114, 1184), "time"),
    **dict.fromkeys((114, 3802), "json"),
}
_AS_TEXT = {114: 199, 3802: 3807, 1186: 1187}
"""Types that stay as PostgreSQL writes them, each with its arrays: JSON, and intervals, whose months are no days."""
_TIMES = {1082: 1182, 1083: 1183, 1114: 1115, 1184: 1185, 1266: 1270}
_TABLES = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""
_TAKEN = "one statement that gives rows, and changes none: SELECT, WITH, VALUES, TABLE, SHOW, EXPLAIN"


@contextmanager
def opened(address: str, name: str) -> Iterator[Postgres]:
    """The database at an address, as libpq takes it. Raises `DestinationError` where it cannot be reached."""
    extensions.set_wait_callback(_interruptible)
    try:
        connection = psycopg2.connect(address, client_encoding="utf8", fallback_application_name="dango")
    except psycopg2.Error as error:
        raise refusal(error, name) from error
    try:
        connection.set_session(readonly=True)
        _read_as_written(connection)
        yield Postgres(connection)
    finally:
        connection.close()


class Postgres:
    """A PostgreSQL database that is open for reading."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def answer(self, sql: str) -> Answer:
        """Runs one statement; see `Database`."""
        try:
            cursor = self._open(sql)
            rows = _fetched(cursor)
            types = self._types({column.type_code for column in cursor.description})
            columns = [
                Column(column.name, types.get(column.type_code, ""), _KINDS.get(column.type_code, "text"))
                for column in cursor.description
            ]
        except (psycopg2.Error, ValueError) as error:
            raise self._told(error, sql) from error
        return Answer(columns, self._rows(cursor, rows, sql))

    def _open(self, sql: str) -> Any:
        """A cursor on the server, so that its rows need not be in memory here.

        The statement travels as a value, which PL/pgSQL opens: more than one of them, and one that ends the
        transaction, cannot be opened, however they are written.
        """
        self._connection.rollback()
        cursor = self._connection.cursor()
        # A plan for all rows, not one for the first few.
        cursor.execute("SET LOCAL TIME ZONE 'UTC'; SET LOCAL cursor_tuple_fraction = 1")
        body = b"DECLARE answer refcursor := 'answer'; BEGIN OPEN answer NO SCROLL FOR EXECUTE %s; END"
        cursor.execute(b"DO " + self._quoted(body % self._quoted(sql.encode())))
        return cursor

    def _quoted(self, text: bytes) -> bytes:
        quoted = extensions.QuotedString(text.decode())
        quoted.prepare(self._connection)
        return bytes(quoted.getquoted())

    def _types(self, codes: set[int]) -> dict[int, str]:
        with self._connection.cursor() as cursor:
            cursor.execute("SELECT oid::int8, format_type(oid, NULL) FROM pg_type WHERE oid = ANY(%s)", (list(codes),))
            return dict(cursor.fetchall())

    def _rows(self, cursor: Any, rows: list[Any], sql: str) -> Iterator[tuple[Any, ...]]:
        try:
            while rows:
                yield from rows
                rows = _fetched(cursor)
        except (psycopg2.Error, ValueError) as error:
            raise self._told(error, sql) from error

    def _told(self, error: psycopg2.Error | ValueError, sql: str) -> QueryError:
        """PostgreSQL's words, with the line and the place that they are about."""
        if not isinstance(error, psycopg2.Error):
            return QueryError(str(error), refused=True)
        code, said = error.pgcode or "", error.diag
        message = said.message_primary or " ".join(str(error).split())
        hint = "\n".join(filter(None, (said.message_detail, said.message_hint)))
        if code in ("42P11", "25006", "25001"):
            hint = _TAKEN
        if position := int(said.internal_position or 0):
            message += _shown(sql, position)
        if code == "42P01":
            hint = self._spelt_alike(sql[position - 1 :]) + "`dango tables` lists what there is"
        return QueryError(message, hint, refused=code[:2] in ("25", "42"))

    def _spelt_alike(self, rest: str) -> str:
        """What the name with which the rest of a statement begins may have been meant for."""
        found = re.match(r'[\w."$]+', rest)
        written = found.group().replace('"', "").lower() if found else ""
        self._connection.rollback()
        with self._connection.cursor() as cursor:
            cursor.execute(_TABLES)
            names = [name for (name,) in cursor.fetchall()]
        short = {name.partition(".")[2]: name for name in names}
        if written in short:
            return f"did you mean `{short[written]}`? "
        alike = near(written, [*names, *short]).strip(" ()")
        return f"{alike} " if alike else ""


def _fetched(cursor: Any) -> list[Any]:
    cursor.execute(f"FETCH {AT_ONCE} FROM answer")
    rows: list[Any] = cursor.fetchall()
    return rows


def _shown(sql: str, position: int) -> str:
    """The line of the statement that holds a position, from 1, and a mark below that."""
    before = sql[: position - 1]
    start = before.rfind("\n") + 1
    line = sql[start:].partition("\n")[0]
    label = f"LINE {before.count(chr(10)) + 1}: "
    return f"\n\n{label}{line}\n{' ' * (len(label) + len(before) - start)}^"


def _read_as_written(connection: Any) -> None:
    """Values that Python has no like of come as the text that PostgreSQL has for them."""

    def register(code: int, arrays: int, read: Callable[[Any, Any], Any]) -> None:
        kind = extensions.new_type((code,), f"read_{code}", read)
        extensions.register_type(kind, connection)
        extensions.register_type(extensions.new_array_type((arrays,), f"read_{arrays}", kind), connection)

    for code, arrays in _AS_TEXT.items():
        register(code, arrays, lambda text, cursor: text)
    for code, arrays in _TIMES.items():
        register(code, arrays, _time(extensions.string_types[code]))


def _time(read: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def time(text: str | None, cursor: Any) -> Any:
        # Python has no infinite dates, nor any before the first or after the 9999th year.
        if text is None or "infinity" in text:
            return text
        try:
            return read(text, cursor)
        except (ValueError, OverflowError, psycopg2.Error):
            return text

    return time


def _interruptible(connection: Any) -> None:
    """Waits for the server so that Ctrl-C ends the wait, and the statement with it."""
    try:
        while (state := connection.poll()) != extensions.POLL_OK:
            reading = [connection] if state == extensions.POLL_READ else []
            writing = [connection] if state == extensions.POLL_WRITE else []
            select.select(reading, writing, [])
    except KeyboardInterrupt:
        connection.cancel()
        raise

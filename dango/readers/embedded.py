"""A DuckDB file that is read: nothing in it can be changed, and nothing outside of it is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from dango.errors import QueryError
from dango.load.access import refusal
from dango.readers import AT_ONCE, Answer, Column, Kind

_NUMBERS = {
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT"),
    *("UHUGEINT", "FLOAT", "DOUBLE"),
}
_ONE = "one statement at a time; what is to be done with its rows belongs behind a pipe"
_LISTED = "`dango tables` lists what there is, with --columns also the columns"


@contextmanager
def opened(file: Path, name: str, lock: Path, *, files: bool) -> Iterator[Embedded]:
    """The database in a file.

    Args:
        file: is there.
        name: of the destination.
        lock: of the syncs that write the file.
        files: whether a statement may see other files, and the network.

    Raises:
        Held: when another process writes it.
        DestinationError: when it cannot be read.
    """
    # Without replacements a table is never taken for a variable of this program.
    config: dict[str, Any] = {"enable_external_access": str(files).lower(), "python_enable_replacements": "false"}
    try:
        connection = duckdb.connect(str(file), read_only=True, config=config)
    except duckdb.Error as error:
        raise refusal(error, name, lock) from error
    with connection, ThreadPoolExecutor(1) as thread:
        # Alike on every machine; `AT TIME ZONE` says otherwise.
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("SET lock_configuration = true")
        yield Embedded(connection, thread)


class Embedded:
    """A DuckDB database that is open for reading."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, thread: ThreadPoolExecutor) -> None:
        self._connection = connection
        self._thread = thread

    def answer(self, sql: str) -> Answer:
        """Runs one statement; see `Database`."""
        try:
            for statement in self._one(sql):
                self._wait(self._connection.execute, statement)
        except duckdb.Error as error:
            raise _told(error) from error
        described = self._connection.description or []
        return Answer([Column(name, str(kind), _kind(str(kind))) for name, kind, *_ in described], self._rows())

    def _one(self, sql: str) -> list[duckdb.Statement]:
        """The statement, which may be two to DuckDB."""
        statements = self._connection.extract_statements(sql)
        # DuckDB 1 makes a PIVOT of a type, which has no text of its own, and what uses it.
        count = sum(_has_text(each) or each.type != duckdb.StatementType.CREATE for each in statements)
        if count != 1:
            raise QueryError(f"{count} statements, where one is expected", _ONE, refused=True)
        return statements

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        try:
            while rows := self._wait(self._connection.fetchmany, AT_ONCE):
                yield from rows
        except duckdb.Error as error:
            raise _told(error) from error

    def _wait(self, work: Callable[..., Any], *arguments: Any) -> Any:
        """Does the work in a thread: DuckDB itself hears Ctrl-C only when it is done."""
        try:
            return self._thread.submit(work, *arguments).result()
        except KeyboardInterrupt:
            self._connection.interrupt()
            raise


def _has_text(statement: duckdb.Statement) -> bool:
    try:
        return bool(statement.query)
    except IndexError:
        # It looks for it behind the end of nothing.
        return False


def _told(error: duckdb.Error) -> QueryError:
    """DuckDB's words, which point at the place and at what is spelt alike."""
    if isinstance(error, duckdb.PermissionException):
        hint = "a query sees the database and nothing else; `--allow-files` lets it read and write files"
        return QueryError(str(error), hint, refused=True)
    hint = _LISTED if isinstance(error, duckdb.CatalogException | duckdb.BinderException) else ""
    return QueryError(str(error), hint, refused=isinstance(error, duckdb.ProgrammingError))


def _kind(type_: str) -> Kind:
    if type_ in _NUMBERS or type_.startswith("DECIMAL("):
        return "number"
    if type_ == "DATE" or (type_.startswith("TIMESTAMP") and not type_.endswith("]")):
        return "time"
    return "json" if type_ == "JSON" else "text"

"""Tables of a DuckDB file, read as Arrow and without the right to change anything."""

# Annotations are not postponed: dlt looks at that of `incremental`, and knows no names of this file.

import datetime as dt
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dlt
import duckdb
from dlt.sources import DltResource

from dango.connectors.cursor_columns import as_table
from dango.connectors.places import existing
from dango.duckdb_text import quoted
from dango.errors import SourceError, near
from dango.probe import Inspection

_ARROW = (
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "VARCHAR", "BLOB", "DATE", "TIME",
    "TIMESTAMP", "TIMESTAMP WITH TIME ZONE", "JSON",
)  # fmt: skip
_WIDER = {
    "UINTEGER": "BIGINT",
    "USMALLINT": "BIGINT",
    "UTINYINT": "BIGINT",
    "UBIGINT": "DECIMAL(20, 0)",
    "HUGEINT": "DECIMAL(38, 0)",
    "UHUGEINT": "DECIMAL(38, 0)",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
    "TIMESTAMP_NS": "TIMESTAMP",  # to microseconds: more, no destination keeps
}
_COLUMNS = """
SELECT c.table_name, c.column_name, c.data_type FROM duckdb_columns() c
WHERE c.database_name = current_database() AND c.schema_name = ? AND NOT c.internal
ORDER BY c.table_name, c.column_index
"""
_KEYS = """
SELECT table_name, constraint_column_names FROM duckdb_constraints()
WHERE database_name = current_database() AND schema_name = ? AND constraint_type = 'PRIMARY KEY'
"""
_SIZES = """
SELECT table_name, estimated_size FROM duckdb_tables() WHERE schema_name = ? AND database_name = current_database()
"""
_SCHEMAS = """
SELECT DISTINCT schema_name FROM duckdb_columns() WHERE NOT internal AND database_name = current_database() ORDER BY 1
"""

Columns = dict[str, dict[str, str]]


def tables(
    path: str, schema: str = "main", table_names: list[str] | None = None, chunk_size: int = 100_000
) -> list[DltResource]:
    """A resource for each table and view of a DuckDB file.

    Args:
        path: the file; a relative path begins in the project.
        schema: where the tables are.
        table_names: which; all without them.
        chunk_size: rows of an Arrow table.

    Raises:
        SourceError: when the file cannot be read, or there is no table of a name.
    """
    file = existing(path, "DuckDB")
    with _opened(file) as database:
        columns, keys = _columns(database, schema), _keys(database, schema)
    for name in table_names or ():
        if name not in columns:
            raise SourceError(
                f"there is no table `{name}`{near(name, columns)} in the schema `{schema}` of {file}",
                f"its tables: {', '.join([*columns][:20])}{', …' if len(columns) > 20 else ''}",
                loc=("resources", name),
            )
    return [
        dlt.resource(_rows, name=name, primary_key=keys.get(name, ()), columns=_hints(columns[name]))(
            file, schema, name, columns[name], chunk_size
        )
        for name in table_names or columns
    ]


def _hints(columns: dict[str, str]) -> Any:
    """What dlt would not see in Arrow: that a time has no zone, and that a text is JSON."""
    hints: dict[str, dict[str, Any]] = {}
    for name, kind in columns.items():
        if _WIDER.get(kind, kind) == "TIMESTAMP":
            hints[name] = {"data_type": "timestamp", "timezone": False}
        elif kind == "JSON" or _nested(kind):
            hints[name] = {"data_type": "json"}
    return hints


def _nested(kind: str) -> bool:
    return kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION"))


def _rows(
    file: Path,
    schema: str,
    table: str,
    columns: dict[str, str],
    chunk_size: int,
    incremental: dlt.sources.incremental[Any] | None = None,
) -> Iterator[Any]:
    """Arrow tables; one without rows where there are none."""
    query = (
        # Every name in it is quoted.
        f"SELECT {', '.join(_selected(*column) for column in columns.items())} FROM {quoted(schema)}.{quoted(table)}"  # noqa: S608
    )
    parameters: list[Any] = []
    if incremental is not None and incremental.last_value is not None:
        cursor = incremental.cursor_path
        if cursor not in columns:
            raise SourceError(
                f"the table `{table}` has no column `{cursor}`{near(cursor, columns)}",
                loc=("resources", table, "cursor", "field"),
            )
        # A row without a cursor is dlt's to judge; the comparison would leave it out and say nothing.
        query += f" WHERE {quoted(cursor)} >= CAST(? AS {columns[cursor]}) OR {quoted(cursor)} IS NULL"
        parameters.append(_compared(incremental.last_value, columns[cursor]))
    with _opened(file) as database:
        reader = database.sql(query, params=parameters).to_arrow_reader(chunk_size)
        # Says which columns there are where there are no rows; before rows dlt's cursor does not bear it.
        yield next(reader, reader.schema.empty_table())
        yield from reader


def _compared(value: Any, kind: str) -> Any:
    """An instant as its column has it; what has no zone is in UTC."""
    if isinstance(value, dt.datetime) and kind != "TIMESTAMP WITH TIME ZONE" and value.tzinfo:
        return value.astimezone(dt.timezone.utc).replace(tzinfo=None)
    return value


def _selected(name: str, kind: str) -> str:
    """A column as Arrow and dlt have room for it."""
    column = quoted(name)
    if kind in _ARROW or kind.startswith("DECIMAL"):
        return column
    if kind in _WIDER:
        return f"CAST({column} AS {_WIDER[kind]}) AS {column}"
    if _nested(kind):
        return f"CAST(to_json({column}) AS JSON) AS {column}"
    return f"CAST({column} AS VARCHAR) AS {column}"


@contextmanager
def _opened(file: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    try:
        with duckdb.connect(str(file), read_only=True) as database:
            database.execute("SET TimeZone = 'UTC'")
            yield database
    except duckdb.Error as error:
        raise SourceError(f"DuckDB cannot read {file}: {error}", "is another program writing it?") from error


def _columns(database: duckdb.DuckDBPyConnection, schema: str) -> Columns:
    columns: Columns = {}
    for table, column, kind in database.execute(_COLUMNS, [schema]).fetchall():
        columns.setdefault(table, {})[column] = kind
    return columns


def _keys(database: duckdb.DuckDBPyConnection, schema: str) -> dict[str, list[str]]:
    return dict(database.execute(_KEYS, [schema]).fetchall())


def inspect(path: str, schema: str = "main", **_: Any) -> Inspection:
    """Asks a DuckDB file what it holds. Raises `SourceError`."""
    file = existing(path, "DuckDB")
    with _opened(file) as database:
        columns, keys = _columns(database, schema), _keys(database, schema)
        sizes = dict(database.execute(_SIZES, [schema]).fetchall())
        schemas = tuple(name for (name,) in database.execute(_SCHEMAS).fetchall())
    return Inspection(
        server=f"DuckDB {duckdb.__version__}",
        problems=() if columns else (f"no tables in the schema `{schema}`; there is: {', '.join(schemas) or 'none'}",),
        choices={"schemas": schemas},
        tables=tuple(
            as_table(name, kinds, tuple(keys.get(name, ())), rows=sizes.get(name), view=name not in sizes)
            for name, kinds in columns.items()
        ),
    )

"""How the rows of one table are read: as Arrow where that holds each of them exactly, else as dicts."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from typing import Any, ClassVar

import dlt
import pyarrow as pa
import sqlalchemy as sa
from dlt.common.schema import Schema
from dlt.sources import DltResource
from dlt.sources.sql_database import TableLoader

from dango import paths
from dango.databases import copy
from dango.databases.columns import Columns, Inexact, items_of, of_rows, planned, require_text
from dango.dlt_internals import tables as dlt_tables

_CURSORS = ("bigint", "timestamp", "date")
"""What is compared alike in Arrow and in Python."""


def loader(kind: type[Exact], *, arrow: bool = True) -> type[Exact]:
    """The class of one source's loaders: what it finds out of its tables is forgotten with it.

    Args:
        kind: what it is a class of.
        arrow: False to have all tables read as dicts.
    """
    return type(kind.__name__, (kind,), {"found_inexact": {}, "arrow": arrow})


class Exact(TableLoader):
    """The rows of one table, in dicts if there is no other way; whichever, the destination's table is the same.

    A table is read in one way from its beginning to its end, since a cursor counts dicts and Arrow apart.
    """

    found_inexact: ClassVar[dict[str, str]] = {}
    """The tables that are to be read as dicts for a value far inside them, and why; each source has its own."""
    arrow: ClassVar[bool] = True

    def load_rows(self, backend_kwargs: dict[str, Any] | None = None) -> Iterator[Any]:
        """Arrow tables, or lists of rows. Raises `OtherPath` when it must be begun anew with the latter."""
        begun = False
        try:
            with closing(self._tables(self._planned())) as tables:
                for table in tables:
                    begun = True
                    yield table
            paths.note(self.table.name, self._path)
            return
        except Inexact as error:
            if begun:
                self.found_inexact[self.table.name] = str(error)
                raise paths.OtherPath(f"{self.table.name}: {error}") from error
            reason = str(error)
        paths.note(self.table.name, "rows", reason)
        yield from self.dicts(backend_kwargs or {})

    def dicts(self, backend_kwargs: dict[str, Any]) -> Iterator[Any]:
        """Lists of rows, as dlt reads them."""
        return super().load_rows(backend_kwargs)

    def checks(self) -> Mapping[str, Any]:
        """For some columns, by name, what makes of a value one that its column can hold, or raises."""
        return {}

    @property
    def _path(self) -> str:
        dialect = self.engine.dialect
        return "copy" if (dialect.name, dialect.driver) == ("postgresql", "psycopg2") else "columns"

    def _planned(self) -> Columns:
        """The columns in Arrow. Raises `Inexact` where something else than the columns stands in the way, too."""
        caps = dlt_tables.capabilities()
        if caps is None or not dlt_tables.takes_parquet():
            raise Inexact("the destination is loaded from another format")
        resource, schema = dlt.current.resource(), dlt.current.source_schema()
        if obstacle := next(filter(None, self._obstacles(resource, schema)), None):
            raise Inexact(obstacle)
        columns = planned(self.table, self.columns, schema, caps)
        if self._path == "copy":
            require_text(self.table, columns)
        if self.incremental is not None and self.cursor_column is not None:
            compared: Any = self.incremental.last_value_func
            kind = columns.kinds[columns.fields.get_field_index(self.cursor_column.name)]
            if kind not in _CURSORS or compared not in (max, min):
                raise Inexact(f"its cursor is a {kind}")
        return columns

    def _obstacles(self, resource: DltResource, schema: Schema) -> Iterator[str | None]:
        """Why the table is read as dicts, whatever its columns are."""
        yield None if self.arrow else "asked for"
        yield self.found_inexact.get(self.table.name)
        yield "only some of its rows are wanted" if self.limit is not None else None
        yield "its query is the source's own" if self.query_adapter_callback is not None else None
        if resource.has_dynamic_table_name or callable(resource.columns) or resource.validator is not None:
            yield "its table or its columns hang on its rows"
            return
        table = schema.naming.normalize_table_identifier(str(resource.table_name))
        contracts = (resource.schema_contract, schema.resolve_contract_settings_for_table(table))
        yield "a schema contract looks at each row" if any(map(_restricts, contracts)) else None
        disposition: Any = resource.write_disposition
        strategy = disposition.get("strategy", "delete-insert") if isinstance(disposition, Mapping) else "delete-insert"
        yield f"the strategy {strategy} needs an id for each row" if strategy != "delete-insert" else None

    def _tables(self, columns: Columns) -> Generator[pa.Table, None, None]:
        query: Any = self.make_query()
        if self._path == "copy":
            # The text of an array is PostgreSQL's own.
            query = query.with_only_columns(
                *(
                    sa.func.to_jsonb(column).label(column.name) if items_of(column) else column
                    for column in self.table.c
                )
            )
        with self.engine.connect() as connection:
            read = copy.tables if self._path == "copy" else self._fetched
            with closing(read(connection, query, columns)) as tables:
                yield from tables

    def _fetched(self, connection: sa.Connection, query: Any, columns: Columns) -> Generator[pa.Table, None, None]:
        checks = self.checks()
        result = connection.execution_options(yield_per=self.chunk_size).execute(query)
        with closing(result):
            for rows in result.partitions():
                yield of_rows(rows, columns, checks)


def known_type(kind: Any) -> Any:
    """A column's type as one that dlt knows; since SQLAlchemy 2.1, it does not know binary fractions."""
    return sa.Numeric(asdecimal=False) if isinstance(kind, sa.Float) and not kind.asdecimal else kind


def _restricts(contract: Any) -> bool:
    modes = contract.values() if isinstance(contract, Mapping) else [contract or "evolve"]
    return any(mode != "evolve" for mode in modes)

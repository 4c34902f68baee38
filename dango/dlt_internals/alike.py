"""What lets dicts and Arrow follow each other in one table. dlt's normaliser gives columns to dicts that Arrow has not.

Looks at each item without importing Arrow: `dlt_arrow` is for those that are Arrow.
"""

from __future__ import annotations

from typing import Any

import dlt
from dlt.sources import DltResource

from dango.dlt_internals.pipes import BehindCursor
from dango.dlt_internals.tables import columns_of, let_ids_be_missing, takes_parquet


def is_columns(item: Any) -> bool:
    """Whether an item is a table, of Arrow or pandas, and no dict. Imports neither: where none is, none is needed."""
    return hasattr(item, "shape") and (hasattr(item, "schema") or hasattr(item, "iloc"))


def alike(resource: DltResource) -> None:
    """Lets dicts and Arrow follow each other in the resource's table, from one load to the next.

    dlt gives dicts a load id and a row id, which no later row may be without, and gives Arrow neither. Behind this,
    Arrow has a load id, and row ids where the table has them; after Arrow, the row ids of dicts may be missing.
    """
    if not resource.has_dynamic_table_name:
        # Before the cursor, a row would look new for being loaded anew.
        resource._pipe.append_step(Alike(str(resource.table_name)))


class Alike(BehindCursor):
    """The step of `alike`. It sees what is written: processors come before it."""

    def __init__(self, table: str) -> None:
        super().__init__(self._step)
        self._table = table
        self._told = False

    def bind(self, pipe: Any) -> Alike:
        """Called when an extraction begins."""
        self._told = False
        return self

    def _step(self, item: Any, meta: Any) -> Any:
        if is_columns(item):
            return self._with_columns(item) if meta is None and takes_parquet() else item
        if isinstance(item, list) and item and is_columns(item[0]):
            return [self._step(each, meta) for each in item]
        if not self._told:
            self._told = True
            schema = dlt.current.source_schema()
            if takes_parquet() and columns_of(schema, self._table):
                let_ids_be_missing(schema, schema.naming.normalize_table_identifier(self._table))
        return item

    def _with_columns(self, item: Any) -> Any:
        from dango.dlt_internals.arrow import with_dlt_columns

        return with_dlt_columns(item, self._table)

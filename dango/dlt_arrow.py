"""What dango asks of dlt about Arrow that is not its documented public API.

The type of a column in a load file, and the columns that dlt's normaliser gives to dicts and not to Arrow.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.schema import Schema
from dlt.common.schema.utils import has_table_seen_data
from dlt.common.storages.load_package import load_package_state

ROW_ID, LOAD_ID = "_dlt_id", "_dlt_load_id"
_ID_LENGTH = 14
"""Characters of base64, as dlt's own ids have."""


def capabilities() -> DestinationCapabilitiesContext | None:
    """Of the destination for which rows are extracted; None outside of a pipeline."""
    return Container().get(DestinationCapabilitiesContext)


def arrow_type(hints: Mapping[str, Any], caps: DestinationCapabilitiesContext) -> pa.DataType:
    """The type of a column with these hints in the Parquet files that dlt makes of dicts."""
    return get_py_arrow_datatype(dict(hints), caps, "UTC")  # type: ignore[arg-type]  # a column without its name


def same_name(schema: Schema, name: str) -> str | None:
    """A column's name in the destination where it is the same from a dict and from Arrow, else None."""
    naming = schema.naming
    normalized = naming.normalize_path(name)
    plain = naming.shorten_fragments(naming.normalize_identifier(name)) == normalized
    return None if not plain or normalized.startswith("_dlt") else normalized


def columns_of(schema: Schema, table: str) -> Mapping[str, Any]:
    """What is known of a table's columns from earlier loads; empty where nothing was loaded."""
    found = schema.tables.get(schema.naming.normalize_table_identifier(table))
    return found["columns"] if found and has_table_seen_data(found) else {}


def with_dlt_columns(table: pa.Table, *, row_ids: bool) -> pa.Table:
    """The table with the id of the load, and ids of the rows where they are asked for: they cost as much as four
    columns of numbers, and nothing but tables that were once loaded from dicts needs them."""
    load_id = pa.array([load_package_state()["load_id"]], pa.string())
    constant = pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), table.num_rows), load_id)
    # Without the dictionary's type, which dlt would see as another.
    table = table.append_column(pa.field(LOAD_ID, constant.type, nullable=False), constant)
    if row_ids:
        table = table.append_column(pa.field(ROW_ID, pa.string(), nullable=False), random_ids(table.num_rows))
    return table


def random_ids(rows: int) -> pa.Array:
    """Ids like those that dlt gives to rows, made all at once."""
    # 4 characters are 3 bytes; an even number of ids is a whole number of bytes.
    characters = base64.b64encode(os.urandom(-(-rows // 2) * 21))
    offsets = pa.array(range(0, rows * _ID_LENGTH + 1, _ID_LENGTH), pa.int32())
    return pa.Array.from_buffers(pa.string(), rows, [None, offsets.buffers()[1], pa.py_buffer(characters)])


def let_row_ids_be_missing(table: str) -> None:
    """Dicts may follow Arrow in a table: the column of row ids, which dlt then adds, must allow the rows before it.

    To be called while the resource is extracted.
    """
    schema = dlt.current.source_schema()
    name, column = schema.naming.normalize_table_identifier(table), schema.naming.normalize_identifier(ROW_ID)
    known = columns_of(schema, table)
    if known and column not in known:
        schema.update_table(
            {"name": name, "columns": {column: {"name": column, "data_type": "text", "nullable": True}}},
            normalize_identifiers=False,
        )

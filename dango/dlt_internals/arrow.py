"""What dango asks of dlt about Arrow that is not its documented public API.

The type of a column in a load file, and the columns that dlt's normaliser gives to dicts and not to Arrow.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any

import dlt
import pyarrow as pa
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.json import json as dlt_json
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.schema import Schema
from dlt.common.storages.load_package import load_package_state

from dango.dlt_internals.tables import LOAD_ID, ROW_ID, columns_of, nullable

_ID_LENGTH = 14
"""Characters of base64, as dlt's own ids have."""


def arrow_type(hints: Mapping[str, Any], caps: DestinationCapabilitiesContext) -> pa.DataType:
    """The type of a column with these hints in the Parquet files that dlt makes of dicts."""
    return get_py_arrow_datatype(dict(hints), caps, "UTC")  # type: ignore[arg-type]  # a column without its name


def same_name(schema: Schema, name: str) -> str | None:
    """A column's name in the destination where it is the same from a dict and from Arrow, else None."""
    naming = schema.naming
    normalized = naming.normalize_path(name)
    plain = naming.shorten_fragments(naming.normalize_identifier(name)) == normalized
    return None if not plain or normalized.startswith("_dlt") else normalized


class _Document(pa.ExtensionScalar):  # type: ignore[misc]  # pyarrow has no types
    def as_py(self, **_: Any) -> Any:
        """The document, parsed."""
        return None if self.value is None else json.loads(self.value.as_py())


class Documents(pa.ExtensionType):  # type: ignore[misc]  # pyarrow has no types
    """JSON as text that is parsed where Python looks at it: a cursor then takes a row for the same as its dict."""

    def __init__(self) -> None:
        super().__init__(pa.string(), "dango.json")

    def __arrow_ext_serialize__(self) -> bytes:
        """It has no parameters."""
        return b""

    @classmethod
    def __arrow_ext_deserialize__(cls, storage_type: Any, serialized: bytes) -> Documents:
        """It has no parameters."""
        return cls()

    def __arrow_ext_scalar_class__(self) -> type:
        """Its values."""
        return _Document


def with_dlt_columns(table: Any, name: str) -> Any:
    """A table with the load id, and with row ids where the destination's table of this name has them."""
    if hasattr(table, "iloc"):
        from dlt.common.libs.pandas import pandas_to_arrow

        table = pandas_to_arrow(table)
    table, schema = written(table), dlt.current.source_schema()
    load_id, row_id = schema.naming.normalize_identifier(LOAD_ID), schema.naming.normalize_identifier(ROW_ID)
    known, rows = columns_of(schema, name), table.num_rows
    if load_id not in table.schema.names:
        # Of a table that an earlier version loaded, old rows have none.
        field = pa.field(load_id, pa.string(), nullable=bool(known) and nullable(known, load_id))
        table = _appended(table, field, pa.repeat(load_package_state()["load_id"], rows))
    if row_id in known and row_id not in table.schema.names:
        # They cost as much as four columns of numbers: nothing else needs them.
        table = _appended(table, pa.field(row_id, pa.string(), nullable=nullable(known, row_id)), random_ids(rows))
    return table


def written(table: Any) -> Any:
    """The table with its documents as the text that dlt makes of them."""
    arrays, schema = list(table.columns), table.schema
    for index, field in enumerate(schema):
        if isinstance(field.type, Documents):
            arrays[index] = pa.array(map(_document, arrays[index].to_pylist()), pa.string())
            schema = schema.set(index, field.with_type(pa.string()))
    return table if schema is table.schema else type(table).from_arrays(arrays, schema=schema)


def _document(value: Any) -> str | None:
    try:
        return None if value is None else dlt_json.dumps(value)
    except TypeError:
        # An integer of more than 64 bits.
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _appended(table: Any, field: pa.Field, values: pa.Array) -> Any:
    arrays, schema = [*table.columns, values], table.schema.append(field)
    return type(table).from_arrays(arrays, schema=schema)


def random_ids(rows: int) -> pa.Array:
    """Ids like those that dlt gives to rows, made all at once."""
    # 4 characters are 3 bytes; an even number of ids is a whole number of bytes.
    characters = base64.b64encode(os.urandom(-(-rows // 2) * 21))
    offsets = pa.array(range(0, rows * _ID_LENGTH + 1, _ID_LENGTH), pa.int32())
    return pa.Array.from_buffers(pa.string(), rows, [None, offsets.buffers()[1], pa.py_buffer(characters)])

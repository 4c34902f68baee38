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
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.json import json as dlt_json
from dlt.common.libs.pyarrow import get_py_arrow_datatype
from dlt.common.schema import Schema
from dlt.common.schema.utils import has_table_seen_data
from dlt.common.storages.load_package import load_package_state
from dlt.sources import DltResource

from dango.dlt_pipes import BehindCursor

ROW_ID, LOAD_ID = "_dlt_id", "_dlt_load_id"
_ARROW = (pa.Table, pa.RecordBatch)
_ID_LENGTH = 14
"""Characters of base64, as dlt's own ids have."""


def takes_parquet() -> bool:
    """Whether what is extracted here is for a destination that is loaded from Parquet, whatever the rows are."""
    caps = capabilities()
    return caps is not None and caps.sqlglot_dialect in ("duckdb", "postgres")


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


def alike(resource: DltResource) -> None:
    """Lets dicts and Arrow follow each other in the resource's table, from one load to the next.

    dlt gives dicts a load id and a row id, which no later row may be without, and gives Arrow neither. Behind this,
    Arrow has a load id, and row ids where the table has them; after Arrow, the row ids of dicts may be missing.
    """
    if not resource.has_dynamic_table_name:
        # Before the cursor, a row would look new for being loaded anew.
        resource._pipe.append_step(_Alike(str(resource.table_name)))


class _Alike(BehindCursor):
    def __init__(self, table: str) -> None:
        super().__init__(self._step)
        self._table = table
        self._told = False

    def bind(self, pipe: Any) -> _Alike:
        """Called when an extraction begins."""
        self._told = False
        return self

    def _step(self, item: Any, meta: Any) -> Any:
        if isinstance(item, _ARROW):
            return _with_dlt_columns(item, self._table) if meta is None and takes_parquet() else item
        if isinstance(item, list) and item and isinstance(item[0], _ARROW):
            return [self._step(each, meta) for each in item]
        if not self._told:
            self._told = True
            if takes_parquet():
                _let_row_ids_be_missing(self._table)
        return item


def _with_dlt_columns(table: Any, name: str) -> Any:
    table, schema = written(table), dlt.current.source_schema()
    load_id, row_id = schema.naming.normalize_identifier(LOAD_ID), schema.naming.normalize_identifier(ROW_ID)
    known, rows = columns_of(schema, name), table.num_rows
    if load_id not in table.schema.names:
        # Of a table that an earlier version loaded, old rows have none.
        field = pa.field(load_id, pa.string(), nullable=bool(known) and _nullable(known, load_id))
        table = _appended(table, field, pa.repeat(load_package_state()["load_id"], rows))
    if row_id in known and row_id not in table.schema.names:
        # They cost as much as four columns of numbers: nothing else needs them.
        table = _appended(table, pa.field(row_id, pa.string(), nullable=_nullable(known, row_id)), random_ids(rows))
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


def _nullable(known: Mapping[str, Any], column: str) -> bool:
    return column not in known or bool(known[column].get("nullable", True))


def _appended(table: Any, field: pa.Field, values: pa.Array) -> Any:
    arrays, schema = [*table.columns, values], table.schema.append(field)
    return type(table).from_arrays(arrays, schema=schema)


def random_ids(rows: int) -> pa.Array:
    """Ids like those that dlt gives to rows, made all at once."""
    # 4 characters are 3 bytes; an even number of ids is a whole number of bytes.
    characters = base64.b64encode(os.urandom(-(-rows // 2) * 21))
    offsets = pa.array(range(0, rows * _ID_LENGTH + 1, _ID_LENGTH), pa.int32())
    return pa.Array.from_buffers(pa.string(), rows, [None, offsets.buffers()[1], pa.py_buffer(characters)])


def _let_row_ids_be_missing(table: str) -> None:
    schema = dlt.current.source_schema()
    name, column = schema.naming.normalize_table_identifier(table), schema.naming.normalize_identifier(ROW_ID)
    known = columns_of(schema, table)
    if known and column not in known:
        schema.update_table(
            {"name": name, "columns": {column: {"name": column, "data_type": "text", "nullable": True}}},
            normalize_identifiers=False,
        )

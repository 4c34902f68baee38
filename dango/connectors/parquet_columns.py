"""Parquet by its columns, each in the type that its values have as rows; what is no number stays, and is null in rows.

Times finer than a microsecond lose what is finer: no type of dlt's that all destinations have would hold it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from dango import digits
from dango.connectors.file_tables import ROWS, TYPES, Contents, Irregular
from dango.duckdb_text import literal, quoted


@contextmanager
def opened(file: Path) -> Iterator[Contents]:
    """What a Parquet file holds.

    Raises:
        Irregular: when a column is nested, or of a type that rows do not keep.
        pyarrow.ArrowException: when it is no Parquet.
    """
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        held = [name for name in parquet.schema_arrow.names if _holds(parquet, name)]
        types = {name: _type(parquet.schema_arrow.field(name)) for name in held}
        texts = [name for name, kind in types.items() if kind == "text"]
        fields = [parquet.schema_arrow.field(name) for name in held]
        narrower = {field.name: field.type for field in fields if _widened(field.type)}
        batches = partial(_batches, parquet, types, narrower)
        yield Contents(types, _firsts(parquet, texts), batches, narrower, _relation(parquet, file, types))


def digits_of(file: Path) -> Mapping[str, digits.Digits]:
    """How many digits the decimals of its columns have."""
    decimals = {field.name: field.type for field in pq.read_schema(file) if pa.types.is_decimal128(field.type)}
    return {name: (kind.precision, kind.scale) for name, kind in decimals.items()}


def _holds(parquet: pq.ParquetFile, name: str) -> bool:
    """Whether a column has a value; said by the file's end, or found by reading it."""
    if len(set(parquet.schema_arrow.names)) < len(parquet.schema_arrow.names):
        raise Irregular(f"it has two columns `{name}`")
    position = parquet.schema_arrow.names.index(name)
    metadata = parquet.metadata
    if metadata.num_columns != len(parquet.schema_arrow.names):
        raise Irregular("it has nested columns")
    for group in range(metadata.num_row_groups):
        chunk = metadata.row_group(group).column(position)
        if chunk.statistics is None or not chunk.statistics.has_null_count:
            return any(batch.column(0).null_count < len(batch) for batch in parquet.iter_batches(columns=[name]))
        if chunk.statistics.null_count < chunk.num_values:
            return True
    return False


def _type(field: pa.Field) -> str:
    kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
    found = [name for name, tests in _KINDS.items() if any(test(kind) for test in tests)]
    if not found:
        raise Irregular(f"`{field.name}` is {kind}")
    return found[0]


_KINDS: Mapping[str, Sequence[Callable[[Any], bool]]] = {
    "text": (pa.types.is_string, pa.types.is_large_string),
    "bigint": (pa.types.is_signed_integer, pa.types.is_uint8, pa.types.is_uint16, pa.types.is_uint32),
    "double": (pa.types.is_float32, pa.types.is_float64),
    "bool": (pa.types.is_boolean,),
    "date": (pa.types.is_date,),
    "timestamp": (pa.types.is_timestamp,),
    "time": (pa.types.is_time,),
    "binary": (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary),
    "decimal": (pa.types.is_decimal128,),
}


def _widened(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_decimal(kind))


def _firsts(parquet: pq.ParquetFile, names: Sequence[str]) -> dict[str, str]:
    """The first text of each column."""
    found: dict[str, str] = {}
    for batch in parquet.iter_batches(1024, columns=list(names)) if names else ():
        for name in set(names).difference(found):
            if (column := batch.column(name)).null_count < len(column):
                found[name] = next(value for value in column if value.is_valid).as_py()
        if len(found) == len(names):
            break
    return found


# As what DuckDB reads a column of each type where it reads the same values.
_READ: Mapping[str, Sequence[str]] = {
    "text": ("VARCHAR",),
    "bigint": ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"),
    "double": ("FLOAT", "DOUBLE"),
    "bool": ("BOOLEAN",),
    "date": ("DATE",),
    "timestamp": ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"),
    "time": ("TIME",),
    "binary": ("BLOB",),
    "decimal": ("DECIMAL",),
}


# Parquet's own types of which it is known that it does.
_AS_THEY_ARE: Mapping[str, Sequence[str]] = {
    "text": ("STRING",),
    "bigint": ("NONE", "INT"),
    "double": ("NONE",),
    "bool": ("NONE",),
    "date": ("DATE",),
    "decimal": ("DECIMAL",),
}


def _relation(parquet: pq.ParquetFile, file: Path, types: Mapping[str, str]) -> str | None:
    """The columns as DuckDB reads them; None where that is not the same. Raises `duckdb.Error`."""
    rows = f"read_parquet({literal(str(file))})"
    if not _as_they_are(parquet.schema, types) and not _read_alike(rows, types):
        return None
    columns = ", ".join(
        f"CAST({quoted(name)} AS TIMESTAMPTZ) AS {quoted(name)}" if kind == "timestamp" else quoted(name)
        for name, kind in types.items()
    )
    return f"(SELECT {columns} FROM {rows})"


def _as_they_are(schema: pq.ParquetSchema, types: Mapping[str, str]) -> bool:
    """Whether DuckDB need not be asked, which takes as long as it takes to begin."""
    held = {name: schema.column(schema.names.index(name)).logical_type.type for name in types}
    alike = all(held[name] in _AS_THEY_ARE.get(kind, ()) for name, kind in types.items())
    # To DuckDB upper and lower case are the same.
    return alike and len({name.lower() for name in schema.names}) == len(schema.names)


def _read_alike(rows: str, types: Mapping[str, str]) -> bool:
    with closing(duckdb.connect()) as database:
        read = {name: kind.partition("(")[0] for name, kind, *_ in database.sql(f"DESCRIBE FROM {rows}").fetchall()}
    return all(read.get(name) in _READ[kind] for name, kind in types.items())


@contextmanager
def _batches(
    parquet: pq.ParquetFile, types: Mapping[str, str], narrower: Mapping[str, pa.DataType]
) -> Iterator[Iterator[pa.RecordBatch]]:
    schema = pa.schema([(name, narrower.get(name, TYPES[kind])) for name, kind in types.items()])
    yield (_cast(batch, schema) for batch in parquet.iter_batches(ROWS, columns=list(types)))


def _cast(batch: pa.RecordBatch, schema: pa.Schema) -> pa.RecordBatch:
    columns = [_coarser(batch.column(field.name)).cast(field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def rows(file: Path, size: int) -> Iterator[list[dict[str, Any]]]:
    """The rows, so many at a time; spans of time as text. Raises `pyarrow.ArrowException` when it is no Parquet."""
    with pq.ParquetFile(file, pre_buffer=False) as parquet:
        spans = [field.name for field in parquet.schema_arrow if pa.types.is_duration(field.type)]
        for batch in parquet.iter_batches(batch_size=size):
            columns = [_coarser(column) for column in batch.columns]
            found = pa.RecordBatch.from_arrays(columns, names=batch.schema.names).to_pylist()
            for name in spans:
                for row in found:
                    row[name] = None if row[name] is None else str(row[name])
            yield found


def _coarser(values: pa.Array) -> pa.Array:
    kind = _coarse(values.type)
    return values if kind == values.type else pc.cast(values, kind, safe=False)


def _coarse(kind: pa.DataType) -> pa.DataType:
    """The type, with microseconds in place of what is finer."""
    if pa.types.is_struct(kind):
        return pa.struct([field.with_type(_coarse(field.type)) for field in kind])
    if pa.types.is_list(kind):
        return pa.list_(kind.value_field.with_type(_coarse(kind.value_type)))
    if getattr(kind, "unit", None) != "ns":
        return kind
    if pa.types.is_timestamp(kind):
        return pa.timestamp("us", kind.tz)
    return pa.time64("us") if pa.types.is_time(kind) else pa.duration("us")

"""Values of a frame as the columns that dlt would write: converted, or `Unfit`; and the ids of rows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from dango import digits
from dango.columnar.frames import Unfit

ID_BYTES = 10
_ID_TEXT = 14
"""So many characters of base64 hold ten bytes."""


def _cast(values: pa.Array, target: pa.DataType) -> pa.Array:
    return values.cast(target)


def _number(values: pa.StructArray, target: pa.DataType) -> pa.Array:
    whole, broken = values.flatten()
    return pc.coalesce(whole.cast(target), broken.cast(target))


def _instant(values: pa.Array, target: pa.DataType) -> pa.Array:
    made = values.cast(pa.timestamp("us", "UTC"))
    least = pc.min(made).cast(pa.int64()).as_py() if len(made) else None
    if least is not None and least < _YEAR_ONE:
        raise Unfit("times before the year 1")
    return made.cast(target)


_YEAR_ONE = -62_135_596_800_000_000
"""In microseconds."""

_CONVERSIONS: dict[tuple[str, str], Callable[[pa.Array, pa.DataType], pa.Array]] = {
    **{(same, same): _cast for same in ("text", "bigint", "double", "bool", "binary", "date", "time")},
    ("decimal", "decimal"): digits.parsed,
    ("timestamp", "timestamp"): _cast,
    ("naive", "timestamp"): _cast,
    ("text", "timestamp"): _instant,
    ("bigint", "double"): _cast,
    ("double", "bigint"): _cast,
    ("number", "double"): _number,
    ("number", "bigint"): _number,
}


def converted(name: str, kind: str, values: pa.Array, data_type: str, target: pa.DataType) -> pa.Array:
    """The values as a column has them.

    Args:
        name: of the column.
        kind: what the values are, as `frames.Spec` has it.
        values: of the frame.
        data_type: the column's, in dlt's words.
        target: the column's in the file.

    Raises:
        Unfit: where dlt would not simply convert them all, or not in the same way.
    """
    if kind == "null":
        return pa.nulls(len(values), target)
    conversion = _CONVERSIONS.get((kind, data_type))
    if conversion is None:
        raise Unfit(f"{kind} in `{name}`, which is {data_type}")
    try:
        return conversion(values, target)
    except pa.ArrowException as error:
        raise Unfit(f"values in `{name}` that are no {data_type} as they stand") from error


def nested_ids(table: str, parents: Sequence[str], counts: Iterable[int]) -> pa.Array:
    """Ids for rows of a nested table, as dlt makes them: each a digest of its parent's, the table and its place.

    Args:
        table: its name.
        parents: the ids of the rows above.
        counts: how many rows there are for each of them.
    """
    shake = hashlib.shake_128
    places = chain.from_iterable(
        (f"{parent}_{table}_{place}" for place in range(count))
        for parent, count in zip(parents, counts, strict=True)
        if count
    )
    return _ids([shake(place.encode()).digest(ID_BYTES) for place in places])


def _ids(raw: list[bytes]) -> pa.Array:
    # One encoding for all of them: with two bytes between, none shares a character with the next.
    encoded = base64.b64encode(b"\0\0".join([*raw, b""]))
    fixed = pa.Array.from_buffers(pa.binary(16), len(raw), [None, pa.py_buffer(encoded)])
    return pc.utf8_slice_codeunits(fixed.cast(pa.binary()).cast(pa.string()), 0, _ID_TEXT)


def aligned(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """The table with the columns of a file, null where it has none of that name."""
    columns: list[Any] = [
        table.column(field.name) if field.name in table.column_names else pa.nulls(len(table), field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)

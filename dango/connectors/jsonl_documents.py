"""JSON Lines of nested documents, read by Arrow: frames, as dicts become them, without the dicts.

The first documents tell what stands where; Arrow's reader refuses whatever is otherwise in a later one: a key that is
new or there twice, a value of another type, a number that does not fit. A key that is missing counts as null, of which
the same tables come.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.json as arrow_json

from dango.columnar.frames import PRIVATE, Frame, Spec, struct
from dango.connectors.file_tables import Irregular
from dango.connectors.jsonl_columns import sampled

_CHUNK = 4 << 20
"""So many bytes of a file become a frame."""
_DEEPEST = 20
_THREADS = min(2, os.cpu_count() or 1)
_PLAIN: Mapping[type, tuple[str, pa.DataType]] = {
    int: ("bigint", pa.int64()),
    float: ("double", pa.float64()),
    bool: ("bool", pa.bool_()),
    str: ("text", pa.string()),
}


@dataclass(frozen=True, slots=True)
class _Kind:
    """What stands at one place: as frames have it, and as Arrow's reader is told."""

    spec: Spec
    read: pa.DataType


def write(file: Path, constants: Mapping[str, str], to: Path) -> int:
    """Writes the documents of a file as frames, one in a line.

    Args:
        file: in UTF-8.
        constants: what every document gets beside its own keys.
        to: what is written.

    Returns:
        how many documents there are.

    Raises:
        Irregular: where they cannot all be read so.
    """
    kind = _of_documents(sampled(file), _DEEPEST)
    if taken := constants.keys() & kind.spec.fields.keys():
        raise Irregular(f"it has a key `{taken.pop()}` of its own")
    rows = 0
    with to.open("wb") as made, file.open("rb") as read, ThreadPoolExecutor(_THREADS) as pool:
        for line, count in _in_turn(pool, partial(_framed, kind, constants), _chunks(read)):
            made.write(line)
            rows += count
    return rows


def _in_turn(pool: ThreadPoolExecutor, work: Any, chunks: Iterator[bytes]) -> Iterator[tuple[bytes, int]]:
    """What becomes of each chunk, in their order; no more of them are in memory than are worked on."""
    under_way: deque[Future[tuple[bytes, int]]] = deque()
    for chunk in chunks:
        under_way.append(pool.submit(work, chunk))
        if len(under_way) > _THREADS:
            yield under_way.popleft().result()
    for future in under_way:
        yield future.result()


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk + file.readline()


# --- what the first documents tell --------------------------------------------------------------------


def _of_documents(values: Sequence[Mapping[str, Any]], depth: int) -> _Kind:
    keys = tuple(dict.fromkeys(chain.from_iterable(values)))
    if not keys:
        raise Irregular("it has documents without keys")
    kinds = [_kind(key, [value.get(key) for value in values], depth) for key in keys]
    spec = Spec("document", (keys,), {key: kind.spec for key, kind in zip(keys, kinds, strict=True)})
    return _Kind(spec, pa.struct([pa.field(key, kind.read) for key, kind in zip(keys, kinds, strict=True)]))


def _kind(key: str, values: Sequence[Any], depth: int) -> _Kind:
    held = [value for value in values if value is not None]
    kinds = {*map(type, held)}
    if not held:
        # Of nulls in lists Arrow's reader makes arrays that are too short.
        return _Kind(Spec("null"), pa.string())
    if kinds == {int, float} and type(held[0]) is float:
        # The first tells the column's type; whole numbers that follow are the same number as a fraction.
        kinds = {float}
    if len(kinds) > 1:
        raise Irregular(f"`{key}` is of several types")
    (kind,) = kinds
    if kind in _PLAIN:
        name, read = _PLAIN[kind]
        return _Kind(Spec(name), read)
    if not depth:
        raise Irregular(f"`{key}` is nested very deep")
    if kind is dict:
        return _of_documents(held, depth - 1)
    inner = _kind(key, list(chain.from_iterable(held)), depth - 1)
    if inner.spec.kind == "list":
        raise Irregular(f"`{key}` holds lists of lists")
    return _Kind(Spec("list", (), {"": inner.spec}), pa.list_(inner.read))


# --- lines → a frame ----------------------------------------------------------------------------------


def _framed(kind: _Kind, constants: Mapping[str, str], chunk: bytes) -> tuple[bytes, int]:
    """A chunk of lines as a frame's line, and how many they are."""
    lines = chunk.count(b"\n") + (not chunk.endswith(b"\n"))
    # Arrow's reader wants no lines, and takes `null` for a document.
    if lines != chunk.count(b"\n{") + chunk.startswith(b"{"):
        raise Irregular("a line of it is no document")
    try:
        _ = chunk.isascii() or chunk.decode()
        table = arrow_json.read_json(
            pa.BufferReader(chunk),
            arrow_json.ReadOptions(use_threads=False, block_size=len(chunk) + 1),
            arrow_json.ParseOptions(explicit_schema=pa.schema(kind.read), unexpected_field_behavior="error"),
        )
        table.validate()
    except (pa.ArrowException, UnicodeDecodeError) as error:
        raise Irregular("a document of it is not like the first ones") from error
    if table.num_rows != lines:
        raise Irregular("a line of it holds several documents")
    fields = {**kind.spec.fields, **dict.fromkeys(constants, Spec("text"))}
    spec = Spec("document", (tuple(fields),), fields)
    documents = [_numbered(table.column(key).combine_chunks(), each) for key, each in kind.spec.fields.items()]
    same = [pa.repeat(pa.scalar(value, pa.string()), lines) for value in constants.values()]
    return Frame(spec, struct(pa.nulls(lines, pa.int16()), [*documents, *same])).line(), lines


def _numbered(array: pa.Array, spec: Spec) -> pa.Array:
    """An array as frames have it. Raises `Irregular` for values that they do not hold."""
    if spec.kind == "document":
        inner = [_numbered(each, kind) for each, kind in zip(array.flatten(), spec.fields.values(), strict=True)]
        return struct(pa.nulls(len(array), pa.int16()), inner, array.is_null() if array.null_count else None)
    if spec.kind == "list":
        items = _numbered(array.values, spec.fields[""])
        return pa.ListArray.from_arrays(array.offsets, items, mask=array.is_null() if array.null_count else None)
    if spec.kind == "null":
        if array.null_count < len(array):
            raise Irregular("it has values where the first documents have none")
        return pa.nulls(len(array))
    if spec.kind == "double" and pc.all(pc.is_finite(array)).as_py() is False:
        raise Irregular("it has numbers that are none")
    if spec.kind == "text" and (held := array.buffers()[2]) is not None and PRIVATE in held.to_pybytes():
        raise Irregular("it has text with the characters by which dlt marks types")
    return array

"""A page of documents as one Arrow record batch, from which exactly the same documents can be made again.

What fits is told by exact types: a page holds one kind of value at each place. A frame keeps what JSON would have kept,
also the order of keys and whether one was missing or null, so whoever meets it may go on with the documents instead.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import accumulate, chain
from operator import itemgetter
from typing import Any
from uuid import UUID

import pendulum
import pyarrow as pa
import pyarrow.compute as pc

_MARK = "dango_frame_1"
"""The format's number is in it: a frame of another format is no frame to this reader."""
_HEAD = b'[{"_dlt_list_idx":null,"' + _MARK.encode() + b'":"'
_TAIL = b'"}]\n'
PRIVATE = b"\xef\x80"
"""How the characters begin by which dlt marks text that stands for other types."""
_PACKED = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
_DEEPEST = 20
_MOST_SHAPES = 256
_SPARSEST = 8
"""How many places for values a page may have for each value that is there."""


class Unfit(Exception):
    """Why documents cannot take this path; dlt's own code takes them then."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What stands at one place of the documents.

    Attributes:
        kind: `null`, `text`, `bigint`, `double`, `number` (both), `bool`, `binary`, `timestamp` (in UTC), `naive`,
            `date`, `time`, `decimal`, or what has others in it: `document`, `list`.
        shapes: of documents, the keys in their order, once for each combination that there is.
        fields: of documents, what stands under each key; of lists, what they hold, under an empty one.
    """

    kind: str
    shapes: tuple[tuple[str, ...], ...] = ()
    fields: Mapping[str, Spec] = field(default_factory=dict)

    def to_json(self) -> Any:
        """What `from_json` reads."""
        return [self.kind, self.shapes, {key: spec.to_json() for key, spec in self.fields.items()}]

    @classmethod
    def from_json(cls, value: Any) -> Spec:
        """What `to_json` gave."""
        kind, shapes, fields = value
        return cls(kind, tuple(map(tuple, shapes)), {key: cls.from_json(spec) for key, spec in fields.items()})


@dataclass(frozen=True, slots=True)
class Frame:
    """A page of documents.

    Attributes:
        spec: of the documents.
        documents: a struct for each, its fields in the order of `spec.fields`, the number of its shape before them.
    """

    spec: Spec
    documents: pa.StructArray

    @classmethod
    def of(cls, page: Sequence[Any]) -> Frame:
        """The frame of a page. Raises `Unfit`."""
        if set(map(type, page)) != {dict}:
            raise Unfit("rows that are no plain dicts")
        try:
            return cls(*_documents(page, None, _DEEPEST))
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise Unfit("values that Arrow cannot hold") from error

    @classmethod
    def read(cls, page: Any) -> Frame | None:
        """The frame that a page read from a file stands for; None if it is one of documents."""
        if len(page) != 1 or type(page[0]) is not dict or _MARK not in page[0]:
            return None
        with pa.ipc.open_stream(pa.py_buffer(base64.b64decode(page[0][_MARK]))) as stream:
            batch = stream.read_next_batch()
        return cls(Spec.from_json(json.loads(batch.schema.metadata[b"spec"])), batch.column(0))

    def line(self) -> bytes:
        """The frame as a line of a file, which `read` takes when its JSON is read.

        For dlt's own code it is a page of one document that it refuses: `_dlt_list_idx` may not be null.
        """
        schema = pa.schema(
            [pa.field("documents", self.documents.type)], metadata={b"spec": json.dumps(self.spec.to_json())}
        )
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, schema, options=_PACKED) as stream:
            stream.write_batch(pa.RecordBatch.from_arrays([self.documents], schema=schema))
        return b"".join((_HEAD, base64.b64encode(sink.getvalue()), _TAIL))

    def rows(self, which: Sequence[int] | None = None) -> list[dict[str, Any]]:
        """The documents, or some of them."""
        documents = self.documents if which is None else self.documents.take(pa.array(which, pa.int64()))
        return [_value(self.spec, value) for value in documents.to_pylist()]


def is_line(line: bytes) -> bool:
    """Whether a line of a file is a frame."""
    return line.startswith(_HEAD)


# --- documents → arrays -------------------------------------------------------------------------------

Made = tuple[Spec, pa.Array]


def _column(values: Sequence[Any], depth: int) -> Made:
    kinds = set(map(type, values))
    nulls = type(None) in kinds
    kinds.discard(type(None))
    if not kinds:
        return Spec("null"), pa.nulls(len(values))
    if kinds == {int, float}:
        return _numbers(values)
    if len(kinds) > 1 or not kinds <= _MAKERS.keys():
        raise Unfit("values of " + " and ".join(sorted(kind.__name__ for kind in kinds)) + " at one place")
    (kind,) = kinds
    if kind in (dict, list, tuple):
        if depth == 0:
            raise Unfit("documents that are nested very deep")
        absent = pa.array([value is None for value in values]) if nulls else None
        return (_documents if kind is dict else _lists)(values, absent, depth - 1)
    return _MAKERS[kind](values)


def _documents(values: Sequence[Any], absent: pa.Array | None, depth: int) -> Made:
    rows = values if absent is None else [{} if value is None else value for value in values]
    numbers: dict[tuple[str, ...], int] = {
        shape: number for number, shape in enumerate(dict.fromkeys(map(tuple, rows)))
    }
    shapes = tuple(numbers)
    keys = shapes[0] if len(shapes) == 1 else tuple(dict.fromkeys(chain.from_iterable(shapes)))
    if not {*map(type, keys)} <= {str}:
        raise Unfit("keys that are no text")
    if len(shapes) == 1:
        which = pa.nulls(len(rows), pa.int16())
        columns: Sequence[Sequence[Any]] = _transposed(rows, keys)
    else:
        if len(shapes) > _MOST_SHAPES or len(keys) * len(rows) > _SPARSEST * sum(map(len, rows)) + 100:
            raise Unfit("documents that have hardly a key in common")
        which = pa.array([numbers[tuple(row)] for row in rows], pa.int16())
        columns = [[row.get(key) for row in rows] for key in keys]
    made = [_column(column, depth) for column in columns]
    spec = Spec("document", shapes, dict(zip(keys, (spec for spec, _ in made), strict=True)))
    return spec, struct(which, [array for _, array in made], absent)


def struct(which: pa.Array, arrays: Sequence[pa.Array], absent: pa.Array | None = None) -> pa.StructArray:
    """Documents of their values.

    Args:
        which: the number of each one's shape, null where there is one shape alone.
        arrays: the values under each key.
        absent: where there is null in place of a document; None for nowhere.
    """
    names = ["shape", *map(str, range(len(arrays)))]
    columns = [which, *arrays]
    fields = [pa.field(name, array.type) for name, array in zip(names, columns, strict=True)]
    return pa.StructArray.from_arrays(columns, fields=fields, mask=absent)


def _transposed(rows: Sequence[Mapping[str, Any]], keys: tuple[str, ...]) -> list[Sequence[Any]]:
    if len(keys) < 2:
        return [[row[key] for row in rows] for key in keys]
    return list(zip(*map(itemgetter(*keys), rows), strict=True))


def _lists(values: Sequence[Any], absent: pa.Array | None, depth: int) -> Made:
    lists = values if absent is None else [value or () for value in values]
    spec, items = _column(list(chain.from_iterable(lists)), depth)
    offsets = pa.array(accumulate(map(len, lists), initial=0), pa.int32())
    return Spec("list", (), {"": spec}), pa.ListArray.from_arrays(offsets, items, mask=absent)


def _numbers(values: Sequence[Any]) -> Made:
    whole = pa.array([value if type(value) is int else None for value in values], pa.int64())
    broken = _finite(pa.array([value if type(value) is float else None for value in values], pa.float64()))
    absent = pc.and_(pc.is_null(whole), pc.is_null(broken))
    return Spec("number"), pa.StructArray.from_arrays([whole, broken], ["whole", "broken"], mask=absent)


def _doubles(values: Sequence[Any]) -> Made:
    return Spec("double"), _finite(pa.array(values, pa.float64()))


def _finite(array: pa.Array) -> pa.Array:
    """JSON has no infinity, and dlt none that is not a number either: both are null."""
    finite = pc.is_finite(array)
    return array if pc.all(finite).as_py() in (True, None) else pc.if_else(finite, array, pa.scalar(None, array.type))


def _texts(values: Sequence[Any]) -> Made:
    array = _array(values, pa.string())
    if (held := array.buffers()[2]) is not None and PRIVATE in held.to_pybytes():
        raise Unfit("text with the characters by which dlt marks types")
    return Spec("text"), array


def _as_text(kind: str) -> Callable[[Sequence[Any]], Made]:
    def made(values: Sequence[Any]) -> Made:
        return Spec(kind), _array([None if value is None else str(value) for value in values], pa.string())

    return made


def _instants(values: Sequence[Any]) -> Made:
    zones = {value.tzinfo for value in values if value is not None}
    if zones == {None}:
        return Spec("naive"), _array(values, pa.timestamp("us"))
    if any(zone is not dt.timezone.utc and getattr(zone, "key", "") != "UTC" for zone in zones):
        raise Unfit("times of other zones than UTC")
    return Spec("timestamp"), _array(values, pa.timestamp("us", "UTC"))


def _times(values: Sequence[Any]) -> Made:
    if any(value is not None and value.tzinfo is not None for value in values):
        raise Unfit("times of day with a zone")
    return Spec("time"), _array(values, pa.time64("us"))


def _bytes(values: Sequence[Any]) -> Made:
    if b"" in values:
        raise Unfit("bytes of no length, which dlt keeps as text")
    return Spec("binary"), _array(values, pa.binary())


def _plain(kind: str, data_type: pa.DataType) -> Callable[[Sequence[Any]], Made]:
    return lambda values: (Spec(kind), _array(values, data_type))


def _array(values: Sequence[Any], data_type: pa.DataType) -> pa.Array:
    array = pa.array(values, data_type)
    if not isinstance(array, pa.Array):
        raise Unfit("more text than fits into a page")
    return array


_MAKERS: dict[type, Callable[..., Made]] = {
    dict: _documents,
    list: _lists,
    tuple: _lists,
    str: _texts,
    UUID: _as_text("text"),
    Decimal: _as_text("decimal"),
    int: _plain("bigint", pa.int64()),
    float: _doubles,
    bool: _plain("bool", pa.bool_()),
    bytes: _bytes,
    dt.datetime: _instants,
    pendulum.DateTime: _instants,
    dt.date: _plain("date", pa.date32()),
    dt.time: _times,
}

# --- arrays → documents -------------------------------------------------------------------------------


def _value(spec: Spec, value: Any) -> Any:
    """A value as `to_pylist` gives it → as it was in the document."""
    if value is None:
        return None
    if spec.kind == "document":
        keys = spec.shapes[value["shape"] or 0]
        numbers = {key: str(number) for number, key in enumerate(spec.fields)}
        return {key: _value(spec.fields[key], value[numbers[key]]) for key in keys}
    if spec.kind == "list":
        return [_value(spec.fields[""], item) for item in value]
    if spec.kind == "decimal":
        return Decimal(value)
    if spec.kind == "number":
        return value["broken"] if value["whole"] is None else value["whole"]
    return value


def restored(lines: Iterator[bytes], written: Callable[[list[dict[str, Any]]], bytes]) -> Iterator[bytes]:
    """Lines of a file, with documents in place of frames.

    Args:
        lines: of the file.
        written: documents → a line without its end.
    """
    for line in lines:
        frame = Frame.read(json.loads(line)) if is_line(line) else None
        yield line if frame is None else written(frame.rows()) + b"\n"

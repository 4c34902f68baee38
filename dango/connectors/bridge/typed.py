"""Records of which a JSON Schema tells the types: as Arrow where that says the same as they themselves do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from dango import digits
from dango.connectors.bridge.naming import Names
from dango.connectors.bridge.schemas import Schema, branches, is_map, properties, types

_NULL = type(None)


class Kind(NamedTuple):
    """A type of values: dlt's name for it, what JSON has, and what Arrow makes of that, if it does so exactly."""

    data_type: str
    of: frozenset[type]
    arrow: pa.DataType | None


_TEXT = Kind("text", frozenset({str, _NULL}), pa.string())
_TEXTS: Mapping[str, Kind] = {
    "date-time": Kind("timestamp", _TEXT.of, pa.timestamp("us", "UTC")),
    "date": Kind("date", _TEXT.of, pa.date32()),
    "time": Kind("time", _TEXT.of, None),  # Arrow reads no times
    "singer.decimal": Kind("decimal", _TEXT.of, pa.decimal128(38, 9)),
}
_MAP = Kind("json", frozenset({dict, _NULL}), None)
_PLAIN: Mapping[str, Kind] = {
    "integer": Kind("bigint", frozenset({int, _NULL}), pa.int64()),
    "number": Kind("double", frozenset({int, float, _NULL}), pa.float64()),
    "boolean": Kind("bool", frozenset({bool, _NULL}), pa.bool_()),
}


def kind_of(said: Any) -> Kind | None:
    """The kind of a property's values; None where it is nested, or may be one of several."""
    if is_map(said):
        return _MAP
    told = [branch for branch in branches(said) if types(branch) != {"null"}]
    if len(told) != 1:
        return None
    names = types(told[0]) - {"null"}
    if names == {"string"}:
        text: Kind = _TEXTS.get(str(told[0].get("format")), _TEXT)
        return text
    return _PLAIN.get(str(names.pop())) if len(names) == 1 else None


def columns(schema: Schema) -> dict[str, dict[str, Any]]:
    """dlt's hints for the columns whose types are told."""
    found = {name: kind_of(said) for name, said in properties(schema).items()}
    return {name: {"name": name, "data_type": kind.data_type} for name, kind in found.items() if kind is not None}


class Table:
    """Makes batches of records of one stream.

    Args:
        schema: what the connector says of them.
        names: what their properties are called.
    """

    def __init__(self, schema: Schema, names: Names) -> None:
        kinds = {name: kind_of(said) for name, said in properties(schema).items()}
        self._names = names
        self._kinds = {name: kind for name, kind in kinds.items() if kind is not None and kind.arrow is not None}
        self._flat = bool(kinds) and len(kinds) == len(self._kinds)

    def batch(self, records: Sequence[dict[str, Any]]) -> Any:
        """The records as one Arrow table; as they are where one holds what the schema does not tell."""
        table = self._table(records)
        return list(map(self._names.record, records)) if table is None else table

    def _table(self, records: Sequence[dict[str, Any]]) -> pa.Table | None:
        if not self._flat or not set().union(*records) <= self._kinds.keys():
            return None
        arrays = []
        for name, kind in self._kinds.items():
            values = [record.get(name) for record in records]
            # Arrow would cut a fraction to fit, without a word.
            if not set(map(type, values)) <= kind.of:
                return None
            try:
                arrays.append(_array(values, kind))
            except (pa.ArrowInvalid, OverflowError):
                return None
        return pa.table(arrays, names=list(map(self._names.of, self._kinds)))


def _array(values: list[Any], kind: Kind) -> pa.Array:
    if pa.types.is_decimal(kind.arrow):
        return digits.parsed(pa.array(values, pa.string()), kind.arrow)
    if kind.of is _TEXT.of and kind is not _TEXT:
        return pa.array(values, pa.string()).cast(kind.arrow)
    return pa.array(values, kind.arrow)

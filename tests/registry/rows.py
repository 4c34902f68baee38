"""Rows such as a vendor would send: sampled from its description, with the fields that an entry lives on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from itertools import count, pairwise
from typing import Any

from dango.conversions import convert, moment
from tests.registry.declared import Declared
from tests.registry.description import Shape, steps

STEP = dt.timedelta(days=60)
"""Between the rows of a list: longer than an entry's lag, so that a cursor that has advanced can be seen to have."""
SCALARS = 5
FORMATS = {
    "date-time": "2024-01-31T10:00:00Z", "date": "2024-01-31", "email": "ada@example.com", "uri": "https://example.com",
    "uuid": "00000000-0000-4000-8000-000000000000",
}  # fmt: skip

Row = dict[str, Any]


class Rows:
    """Makes rows of resources, each with a key of its own."""

    def __init__(self) -> None:
        self._numbers = count(1)

    def row(self, each: Declared, shape: Shape | None, needed: Sequence[str], age: float) -> Row:
        """One row.

        Args:
            each: its resource.
            shape: what the vendor says that a row looks like, before dango's own steps; None where nothing is said.
            needed: the fields that children are asked for with.
            age: how new it is, in steps after the first moment that is loaded.
        """
        row = sample(shape, depth=2) if shape else {}
        row = row if isinstance(row, dict) else {}
        number = next(self._numbers)
        for field in dict.fromkeys([*(key.replace("__", ".") for key in each.key_columns), *needed]):
            path = written_at(each, field, shape)
            put(row, path, _key(shape.at(path) if shape else None, each.name, number))
        if each.cursor and each.cursor not in each.columns_from_parent:
            renew(each, row, shape, age)
        return row


def renew(each: Declared, row: Row, shape: Shape | None, age: float) -> None:
    """Gives the row another cursor."""
    path = written_at(each, each.cursor, shape)
    put(row, path, _cursor(each, shape.at(path) if shape else None, age))


def written_at(each: Declared, field: str, shape: Shape | None) -> str:
    """Where the vendor sends what is a field of a row after dango's own steps."""
    for step in reversed(each.processing):
        if "rename" in step:
            back = {new: old for old, new in step["rename"].items()}
            field = back.get(field, field)
        elif "lift" in step and not field.startswith(f"{step['lift']}."):
            nested = f"{step['lift']}.{field}"
            is_outer = field in each.key_columns if shape is None or shape.is_silent else field in shape.properties
            field = field if is_outer else nested
    return field


def _key(shape: Shape | None, name: str, number: int) -> Any:
    types = shape.types if shape else set()
    if types and types <= {"integer", "number"}:
        return 1000 + number
    form = shape.format if shape else ""
    if form in ("date", "date-time"):
        return convert(moment("2024-01-01") + dt.timedelta(days=number), "date" if form == "date" else "iso")
    return f"00000000-0000-4000-8000-{number:012d}" if form == "uuid" else f"{name}-{number}"


def _cursor(each: Declared, shape: Shape | None, age: float) -> Any:
    """In the form of `initial_value`, with which dlt compares it."""
    initial = each.incremental.get("initial_value", "2024-01-01T00:00:00Z")
    when = moment(initial) + age * STEP
    if isinstance(initial, int | float):
        return convert(when, "epoch_ms" if abs(initial) > 1e11 else "epoch")
    text = str(initial)
    if text.replace(".", "").isdigit():
        return f"{convert(when, 'epoch')}{'.000000' if '.' in text else ''}"
    return convert(when, "date" if len(text) == len("2024-01-01") or (shape and shape.format == "date") else "iso")


def sample(shape: Shape, depth: int) -> Any:
    """A value of that shape; None where nothing is said of it. Not everything: real rows are very wide."""
    if shape.enum:
        return shape.enum[0]
    if shape.properties:
        return _object(shape, depth)
    if shape.items is not None:
        inner = sample(shape.items, depth - 1) if depth else None
        return [] if inner is None else [inner]
    kinds: Mapping[str, Any] = {
        "boolean": True,
        "integer": 7,
        "number": 7.5,
        "string": FORMATS.get(shape.format, "text"),
    }
    return next((value for kind, value in kinds.items() if kind in shape.types), None)


def _object(shape: Shape, depth: int) -> Row:
    row: Row = {}
    nested = 0
    for name, inner in shape.properties.items():
        is_nested = bool(inner.properties) or inner.items is not None
        if (is_nested and (not depth or nested == 1)) or len(row) >= SCALARS:
            continue
        value = sample(inner, depth - 1)
        if value is not None:
            row[name] = value
            nested += is_nested
    return row


def put(value: Any, path: str, item: Any) -> None:
    """Puts an item where a path leads, making what is on the way."""
    names = steps(path)
    for name, following in pairwise(names):
        if isinstance(name, int):
            if not value:
                value.append({})
            value = value[0]
            continue
        kind = list if isinstance(following, int) else dict
        if not isinstance(value.get(name), kind):
            value[name] = kind()
        value = value[name]
    value[names[-1]] = item


def get(value: Any, path: str) -> Any:
    """What a path leads to, of a list's items the last; None where there is nothing."""
    for name in steps(path):
        if isinstance(name, int):
            value = value[-1] if isinstance(value, list) and value else None
        else:
            value = value.get(name) if isinstance(value, Mapping) else None
    return value

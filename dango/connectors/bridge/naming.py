"""What the properties of records are called, so that no two of them become one column."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import dlt

from dango.connectors.bridge.schemas import Schema, is_map, items, objects, properties

_EMPTY = "_empty"
"""What dlt calls the column of a property without a name."""
_OWN = ("_dlt_id", "_dlt_load_id", "_dlt_parent_id", "_dlt_root_id", "_dlt_list_idx")
_Path = tuple[str, ...]


class Names:
    """The names of an object's properties, and of those of the objects and lists in it.

    By the naming convention `Full Name` and `full_name` are one column, of which dlt would keep the last value. The one
    that is called like its column keeps its name; the others have numbers behind theirs, in alphabetical order.

    Args:
        schema: what is known of the records beforehand.
        path: the columns of the objects around it, in the same table.
        taken: the columns of that table that have their property already.
    """

    def __init__(self, schema: Schema | None = None, path: _Path = (), taken: set[str] | None = None) -> None:
        self._path, self._is_record = path, taken is None
        self._taken = _own() if taken is None else taken
        self._called: dict[str, str] = {}
        self._changed: dict[str, str] = {}
        self._whole: set[str] = set()
        self._objects: dict[str, Names] = {}
        self._lists: dict[str, Names] = {}
        self.see(schema or {})

    def see(self, schema: Schema) -> None:
        """From now on the properties that it tells are known, too."""
        told = properties(schema)
        self._see(told)
        for name, said in told.items():
            # One column, of type JSON; what stands deeper has no hint, and dlt makes columns of it.
            if self._is_record and is_map(said):
                self._whole.add(name)
                continue
            for branch in objects(said):
                self._object(name).see(branch)
            for each in items(said):
                for branch in objects(each):
                    self._list(name).see(branch)

    def of(self, name: str) -> str:
        """What a property is called."""
        return self._called.get(name, name)

    def record(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record with its properties as they are called."""
        if not record.keys() <= self._called.keys():
            self._see(record)
        inside: dict[str, Any] = {}
        for name, value in record.items():
            kind = type(value)
            if (kind is dict or kind is list) and name not in self._whole:
                named = self._object(name).record(value) if kind is dict else self._list(name).items(value)
                if named is not value:
                    inside[name] = named
        if inside:
            record = {**record, **inside}
        if self._changed.keys().isdisjoint(record):
            return record
        return {self._called[name]: value for name, value in record.items()}

    def items(self, values: list[Any]) -> list[Any]:
        """The items of a list, whose objects are records of one table; of lists in lists likewise."""
        named = [
            self.record(each) if type(each) is dict else self._list("").items(each) if type(each) is list else each
            for each in values
        ]
        return values if all(map(lambda old, new: old is new, values, named)) else named

    def changed(self) -> Iterator[tuple[str, str]]:
        """The properties that are called otherwise, each as `address.Full Name`, and how."""
        yield from self._changed.items()
        for name, inner in (*self._objects.items(), *self._lists.items()):
            for old, new in inner.changed():
                yield f"{name}.{old}", new

    def tell(self, stream: str) -> None:
        """Says which properties are called otherwise; people look for their values."""
        for old, new in self.changed():
            said = f"`{stream}`: the property `{old}` is called `{new}`: another one has the column that it would have"
            print(said, file=sys.stderr)  # noqa: T201 - the worker's stderr is its log

    def hints(self, columns: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Hints of columns, under the names that they have then."""
        return {self.of(name): {**said, "name": self.of(name)} for name, said in columns.items()}

    def _see(self, names: Iterable[str]) -> None:
        new = [str(name) for name in names if name not in self._called]
        for name in sorted(new, key=lambda each: (_column((), each) != each, each)):
            called = plain = name if name.strip() else _EMPTY
            number = 1
            while _column(self._path, called) in self._taken:
                number += 1
                called = f"{plain}_{number}"
            self._taken.add(_column(self._path, called))
            self._called[name] = called
            if called != name:
                self._changed[name] = called

    def _object(self, name: str) -> Names:
        if name not in self._objects:
            # Its properties are columns of the same table.
            self._objects[name] = Names(None, (*self._path, _column((), self.of(name))), self._taken)
        return self._objects[name]

    def _list(self, name: str) -> Names:
        if name not in self._lists:
            # Its items are rows of a table of their own.
            self._lists[name] = Names(None, (), _own())
        return self._lists[name]


def _own() -> set[str]:
    return {_column((), name) for name in _OWN}


@cache
def _naming() -> Any:
    return dlt.Schema("names").naming


def _column(path: _Path, name: str) -> str:
    """The column of a property, as dlt names it."""
    plain = _naming().normalize_path(name) if name.strip() else _EMPTY
    return str(_naming().shorten_fragments(*path, plain)) if path else str(plain)

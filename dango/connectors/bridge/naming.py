"""What the properties of records are called, so that no two of them become one column."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import dlt

_EMPTY = "_empty"
"""What dlt calls the column of a property without a name."""
_OWN = ("_dlt_id", "_dlt_load_id", "_dlt_parent_id", "_dlt_root_id", "_dlt_list_idx")


class Names:
    """The names of one stream's properties.

    By the naming convention `Full Name` and `full_name` are one column, of which dlt would keep the last value. The one
    that is called like its column keeps its name; the others have numbers behind theirs, in alphabetical order.

    Args:
        properties: those that are known beforehand.
    """

    def __init__(self, properties: Iterable[str]) -> None:
        self._called: dict[str, str] = {}
        self._taken = {_column()(name) for name in _OWN}
        self.changed: dict[str, str] = {}
        self.see(properties)

    def see(self, properties: Iterable[str]) -> None:
        """From now on these are known, too."""
        column = _column()
        new = [str(name) for name in properties if name not in self._called]
        for name in sorted(new, key=lambda each: (column(each) != each, each)):
            called = plain = name if name.strip() else _EMPTY
            number = 1
            while column(called) in self._taken:
                number += 1
                called = f"{plain}_{number}"
            self._taken.add(column(called))
            self._called[name] = called
            if called != name:
                self.changed[name] = called

    def of(self, name: str) -> str:
        """What a property is called."""
        return self._called.get(name, name)

    def record(self, record: dict[str, Any]) -> dict[str, Any]:
        """A record with its properties as they are called."""
        if not record.keys() <= self._called.keys():
            self.see(record)
        if self.changed.keys().isdisjoint(record):
            return record
        return {self._called[name]: value for name, value in record.items()}

    def tell(self, stream: str) -> None:
        """Says which properties are called otherwise; people look for their values."""
        for old, new in self.changed.items():
            said = f"`{stream}`: the property `{old}` is called `{new}`: another one has the column that it would have"
            print(said, file=sys.stderr)  # noqa: T201 - the worker's stderr is its log

    def hints(self, columns: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Hints of columns, under the names that they have then."""
        return {self.of(name): {**said, "name": self.of(name)} for name, said in columns.items()}


@cache
def _column() -> Callable[[str], str]:
    naming = dlt.Schema("names").naming
    return lambda name: naming.normalize_path(name) if name.strip() else _EMPTY

"""What the names and types of a table's columns say of how to load it."""

from __future__ import annotations

import re
from collections.abc import Mapping

from dango.probe import Table

_CHANGED = re.compile(
    r"(^|_)(updated?(at|on)?|modified(at|on)?|modification|changed?(at|on)?|edited|lastmod(ified)?|mtime|touched)(_|$)"
    r"|^last_(update|change|mod|edit)|system_?modstamp|row_?version"
)
_CREATED = re.compile(
    r"(^|_)(created?(at|on)?|creation|inserted|added|registered|occurred|recorded|ctime|event|timestamp|ts)(_|$)"
)
_OTHER = 2
_TIME = re.compile(r"(?i)^(timestamp|datetime|smalldatetime)")
_WHOLE = re.compile(r"(?i)^(u?(tiny|small|medium|big|huge)?int(eger|[0-9]+)?|(big|small)?serial|number\(\d+\))\b")


def as_table(
    name: str,
    columns: Mapping[str, str],
    key: tuple[str, ...],
    *,
    rows: int | None = None,
    view: bool = False,
    readable: bool = True,
) -> Table:
    """A table with what its columns' names and types (as the database calls them) say of how to load it."""
    cursors = cursors_among(columns, key)
    # A change is told by a time of change, and by nothing else.
    unmoved = tuple(column for column in cursors if _rank(column) != 0 or not _is_time(columns[column]))
    return Table(name, key, cursors, unmoved, readable, rows, view, tuple(columns))


def cursors_among(columns: Mapping[str, str], key: tuple[str, ...]) -> tuple[str, ...]:
    """The columns by which new rows can be found, the best first.

    Times of change, times of creation, a single whole number as the key, other times; dates last, since two changes
    of one day look alike.
    """
    exact = sorted((name for name, kind in columns.items() if _is_time(kind)), key=_rank)
    days = [name for name, kind in columns.items() if not _is_time(kind) and re.match(r"(?i)date\b", kind)]
    growing = [name for name in key if len(key) == 1 and _WHOLE.match(columns.get(name, ""))]
    named = [name for name in exact if _rank(name) < _OTHER]
    return (*named, *growing, *(name for name in exact if name not in named), *days)


def _is_time(kind: str) -> bool:
    return bool(_TIME.match(kind))


def _rank(name: str) -> int:
    """0: named like a time of change, 1: of creation, 2: otherwise."""
    plain = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return 0 if _CHANGED.search(plain) else 1 if _CREATED.search(plain) else _OTHER

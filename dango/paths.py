"""Which way each table's rows took into Arrow, and why. A module without dependencies, as connectors note it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TablePath:
    """The way that one table's rows took.

    Attributes:
        table: the resource's name.
        path: `copy` (PostgreSQL's COPY), `columns` (fetched, column by column) or `rows` (dicts, the slow one).
        reason: why it took the slow one; empty for the others.
    """

    table: str
    path: str
    reason: str = ""


class OtherPath(Exception):
    """A table must be read again from its beginning, and will then take another way."""


# Of the process and not of a context: dlt's threads inherit no context. A process syncs one source.
_collecting: list[tuple[int, dict[str, TablePath]]] = []


@contextmanager
def collecting() -> Iterator[dict[str, TablePath]]:
    """The ways that tables take while the block lasts, by the table's name; of one that is read twice the last."""
    mine = (os.getpid(), dict[str, TablePath]())
    _collecting.append(mine)
    try:
        yield mine[1]
    finally:
        _collecting.remove(mine)


def note(table: str, path: str, reason: str = "") -> None:
    """Tells whoever collects, if anybody does."""
    if _collecting and _collecting[-1][0] == os.getpid():
        _collecting[-1][1][table] = TablePath(table, path, reason)

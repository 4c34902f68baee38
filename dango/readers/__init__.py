"""Databases that are asked and never written to: a statement's columns, and its rows as they come."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Kind = Literal["number", "time", "json", "text"]
"""What can be done with the values of a column; text is all that needs no more than to be shown."""

AT_ONCE = 1000
"""So many rows are in memory at a time."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of an answer; its type is in the database's own words."""

    name: str
    type: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gives. The rows come while the database is open, once."""

    columns: Sequence[Column]
    rows: Iterator[tuple[Any, ...]]


class Database(Protocol):
    """A database that is open for reading."""

    def answer(self, sql: str) -> Answer:
        """Runs one statement, of which the rows are read as they are asked for; another one ends it.

        Raises:
            QueryError: what the database says of the statement; also while rows are read.
        """
        ...

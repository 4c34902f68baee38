"""Resources that each want a connection, one after the other: dlt begins with all of them at once."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TypeVar

T = TypeVar("T")


def in_turn(turn: threading.Lock, rows: Iterator[T]) -> Iterator[T | None]:
    """The rows, which nothing is asked for before; None as long as it is another's turn."""
    while not turn.acquire(blocking=False):
        yield None
    try:
        yield from rows
    finally:
        turn.release()

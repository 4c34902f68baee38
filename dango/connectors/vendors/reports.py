"""What the reports of vendors have in common: days that are asked for again, and jobs that are waited for."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dlt
from dlt.sources import DltResource

from dango.conversions import moment
from dango.errors import VendorError

Days = tuple[dt.date, dt.date]
"""The first and the last of some days."""
Cursor = dlt.sources.incremental[dt.date]
"""Where the last load ended, or a range of days."""


def by_day(
    name: str, day: str, since: str, lookback: int, rows: Callable[[Cursor], Iterator[Any]], **hints: Any
) -> DltResource:
    """A resource whose days are read whole: each takes the place of what was loaded of it.

    Args:
        name: the resource's.
        day: the column that a row's day is in.
        since: the first day of all, as text.
        lookback: so many days before the newest one are read again, as the vendor may still change them. The newest
            itself always is: it may not have been over.
        rows: what yields the rows from where a cursor stands.
        hints: more of dlt's own.
    """
    start = dlt.sources.incremental(day, initial_value=moment(since).date(), lag=lookback, primary_key=())

    def read(cursor: Any = start) -> Iterator[Any]:
        yield from rows(cursor)

    return dlt.resource(read, name=name, write_disposition="merge", merge_key=day, **hints)


def windows(cursor: Cursor, today: dt.date, days: int) -> Iterator[Days]:
    """The days from where a cursor stands to today (or to its end), in pieces of so many days."""
    first, last = cursor.start_value, today
    assert first is not None
    if cursor.end_value is not None:
        last = min(last, cursor.end_value - dt.timedelta(days=1))
    while first <= last:
        end = min(last, first + dt.timedelta(days=days - 1))
        yield first, end
        first = end + dt.timedelta(days=1)


def to_today(cursor: Cursor, days: int) -> Iterator[tuple[dt.date, dt.date | None]]:
    """The same where only the vendor knows which day it is: the last piece has no end, and begins before today."""
    yesterday = dt.datetime.now(dt.timezone.utc).date() - dt.timedelta(days=1)
    pieces: list[tuple[dt.date, dt.date | None]] = [*windows(cursor, yesterday, days)]
    if cursor.end_value is None or cursor.end_value > yesterday + dt.timedelta(days=1):
        first = pieces.pop()[0] if pieces else yesterday
        pieces.append((first, None))
    yield from pieces


def awaited(
    ask: Callable[[], Mapping[str, Any]],
    is_over: Callable[[Mapping[str, Any]], bool],
    what: str,
    seconds: float,
    pause: float = 1.0,
    longest_pause: float = 30.0,
) -> Mapping[str, Any]:
    """Asks, more and more seldom, until a job of the vendor's is over; gives what was answered then.

    Raises:
        VendorError: when that takes too long.
    """
    until = time.monotonic() + seconds
    while not is_over(answer := ask()):
        left = until - time.monotonic()
        if left <= 0:
            raise VendorError(f"{what} is not done after {seconds:g} seconds", "ask for fewer days or columns at once")
        time.sleep(min(pause, left))
        pause = min(pause * 1.5, longest_pause)
    return answer

"""What the reports of vendors have in common: days that are asked for again, and jobs that are waited for."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dlt

from dango.conversions import moment
from dango.errors import VendorError

Days = tuple[dt.date, dt.date]
"""The first and the last of some days."""


def by_day(column: str, since: str, lookback: int) -> dlt.sources.incremental[dt.date]:
    """A cursor of days that begins a few of them before the newest: what vendors still change is read again.

    Args:
        column: the day of a row.
        since: the first day of all, as text.
        lookback: how many days before the newest are read again; the newest itself always is, as it may not be over.
    """
    # Each day is read whole, and takes the place of what was loaded of it.
    return dlt.sources.incremental(column, initial_value=moment(since).date(), lag=lookback, primary_key=())


def windows(cursor: dlt.sources.incremental[dt.date], today: dt.date, days: int) -> Iterator[Days]:
    """The days from where a cursor stands to today (or to its end), in pieces of so many days."""
    first, last = cursor.start_value, today
    assert first is not None
    if cursor.end_value is not None:
        last = min(last, cursor.end_value - dt.timedelta(days=1))
    while first <= last:
        end = min(last, first + dt.timedelta(days=days - 1))
        yield first, end
        first = end + dt.timedelta(days=1)


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

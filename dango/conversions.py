"""Times in the forms that vendors want them, by name. Imports no dlt: templates and entries use it too."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from typing import Any

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)
# As seconds it is the year 5138, as milliseconds March 1973.
_MILLISECONDS_FROM = 100_000_000_000
# Fewer digits are a year or a date without dashes.
_NUMBER = re.compile(r"-?\d{9,}(\.\d+)?")
# What may follow the milliseconds is the zone of whoever wrote it; they count from 1970 in UTC all the same.
_MS_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")

_FORMS: Mapping[str, Callable[[dt.datetime], int | str]] = {
    "epoch": lambda moment: (moment - _EPOCH) // dt.timedelta(seconds=1),
    "epoch_ms": lambda moment: (moment - _EPOCH) // dt.timedelta(milliseconds=1),
    "iso": lambda moment: moment.replace(tzinfo=None).isoformat("T", "seconds") + "Z",
    "date": lambda moment: moment.date().isoformat(),
    "ms_date": lambda moment: f"/Date({(moment - _EPOCH) // dt.timedelta(milliseconds=1)})/",
    "jql": lambda moment: moment.replace(tzinfo=None).isoformat(" ", "minutes"),
}

CONVERSIONS = tuple(_FORMS)


def convert(value: Any, name: str) -> int | str:
    """A time in another form; what a form has no room for is cut off, so that the result is never later.

    Args:
        value: ISO 8601 text, a date or datetime (without a zone: UTC), seconds since 1970 as a number or as text,
            milliseconds where the number is too large for seconds, or `/Date(milliseconds)/`.
        name: `epoch` (seconds), `epoch_ms`, `iso` (2024-01-01T00:00:00Z), `date` (2024-01-01), `ms_date`
            (/Date(1704067200000)/) or `jql` (2024-01-01 00:00); all in UTC.

    Raises:
        ValueError: when the value is no time, or there is no conversion of that name.
    """
    if name not in _FORMS:
        raise ValueError(f"there is no conversion `{name}`: {', '.join(CONVERSIONS)}")
    return _FORMS[name](moment(value))


def moment(value: Any) -> dt.datetime:
    """Any of the forms above as an instant in UTC. Raises `ValueError`."""
    try:
        return _read(value).astimezone(dt.timezone.utc)
    except OverflowError as error:
        raise ValueError("a time before the year 1 or after 9999") from error


def _read(value: Any) -> dt.datetime:
    if isinstance(value, dt.datetime):
        return value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)
    if isinstance(value, dt.date):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.timezone.utc)
    if isinstance(value, int | float) and not isinstance(value, bool):
        unit = "milliseconds" if abs(value) >= _MILLISECONDS_FROM else "seconds"
        return _EPOCH + dt.timedelta(**{unit: value})
    if not isinstance(value, str):
        raise ValueError(f"a {type(value).__name__} is no time")
    text = value.strip()
    if found := _MS_DATE.fullmatch(text):
        return _EPOCH + dt.timedelta(milliseconds=int(found[1]))
    if found := _NUMBER.fullmatch(text):
        return _read(float(text) if found[1] else int(text))
    return instant(text)


def instant(text: str) -> dt.datetime:
    """An ISO 8601 text as an instant, in UTC where it names no zone. Raises `ValueError`."""
    # Python 3.10 reads neither the `Z` that everyone writes, nor any number of digits of a second but 3 and 6.
    plain = re.sub(r"(\.\d+)", lambda digits: digits.group()[:7].ljust(7, "0"), text.strip().replace("Z", "+00:00"))
    plain = re.sub(r"([+-]\d\d)(\d\d)$", r"\1:\2", plain) if "T" in plain else plain
    read = dt.datetime.fromisoformat(plain)
    return read if read.tzinfo else read.replace(tzinfo=dt.timezone.utc)

"""Rows as text: what a value looks like, and whole answers as CSV or JSON, written as they come."""

from __future__ import annotations

import datetime as dt
import json
import math
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

_SECONDS_TO_COUNT = 2.0
_QUOTED = re.compile(r'[",\r\n]')


def text(value: Any) -> str:
    """A value as people read it; times as ISO 8601 has them, what is nested as JSON."""
    if isinstance(value, str):
        return value
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"\\x{bytes(value).hex()}"
    if isinstance(value, Mapping | list | tuple):
        return token(value)
    return str(value)


def token(value: Any) -> str:
    """A value as JSON. A decimal is a number with all its digits; what JSON has no numbers for is text."""
    if isinstance(value, str):
        return json.dumps(value)
    if value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value)):
        return json.dumps(value)
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value:f}"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(text(key))}: {token(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(token, value)) + "]"
    return json.dumps(value.isoformat() if isinstance(value, dt.datetime) else text(value))


def write_csv(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A header and a line a row on stdout, in UTF-8. NULL is nothing, and an empty text is two quotes."""
    # Data is not for the terminal alone; what reads it expects these.
    sys.stdout.reconfigure(encoding="utf-8", newline="")  # type: ignore[union-attr]
    write = sys.stdout.write
    write(",".join(map(_cell, names)) + "\n")
    for row in rows:
        write(",".join(map(_cell, row)) + "\n")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    said = text(value)
    if not said or _QUOTED.search(said):
        return '"' + said.replace('"', '""') + '"'
    return said


def write_json(columns: Sequence[Any], rows: Iterable[Sequence[Any]]) -> None:
    """One document on stdout: the columns with their types, and an object a row, each on a line.

    Args:
        columns: each with `name`, `type` and `kind`.
        rows: the values of each, in the order of the columns.
    """
    write = sys.stdout.write
    described = [{"name": name, "type": each.type} for name, each in zip(unique(columns), columns, strict=True)]
    write(f'{{"columns": {token(described)}, "rows": [')
    keys = [f"{json.dumps(each['name'])}: " for each in described]
    tokens: list[Callable[[Any], str]] = [_raw if each.kind == "json" else token for each in columns]
    for number, row in enumerate(rows):
        items = (key + say(value) for key, say, value in zip(keys, tokens, row, strict=True))
        write((",\n{" if number else "\n{") + ", ".join(items) + "}")
    write("\n]}\n")


def _raw(value: Any) -> str:
    """What is JSON already."""
    return "null" if value is None else str(value)


def unique(columns: Sequence[Any]) -> list[str]:
    """The names of columns; of those that are alike, all but the first have a number."""
    found: list[str] = []
    for column in columns:
        name, number = column.name, 1
        while name in found:
            name, number = f"{column.name}_{number}", number + 1
        found.append(name)
    return found


def left(rows: Iterator[Any]) -> tuple[int, bool]:
    """How many rows follow, and whether these are all: nobody waits for ever to hear it."""
    count, end = 0, time.monotonic() + _SECONDS_TO_COUNT
    for _ in rows:
        count += 1
        if count % 1000 == 0 and time.monotonic() > end:
            return count, False
    return count, True

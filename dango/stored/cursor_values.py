"""A cursor's value as a person reads and types it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from dango.conversions import instant
from dango.errors import UsageError
from dango.stored.wishes import Cursor, CursorKind

Value = int | float | str | None
_EXAMPLES: Mapping[str, str] = {
    "datetime": "2024-01-31T09:30:00+00:00",
    "date": "2024-01-31",
    "integer": "1042",
    "number": "10.5",
}


def shown_value(value: Any) -> Value:
    """A value of dlt's state as JSON has it, and `read` takes it."""
    if isinstance(value, dt.date):
        return value.isoformat()
    return value if isinstance(value, int | float | str | None) else str(value)


def kind_of(value: Any) -> CursorKind:
    """Its type; empty for none that a cursor can have."""
    if value is None or isinstance(value, bool):
        return ""
    kinds: tuple[tuple[Any, CursorKind], ...] = (
        (dt.datetime, "datetime"), (dt.date, "date"), (int, "integer"), ((float, Decimal), "number"), (str, "text")
    )  # fmt: skip
    return next((kind for types, kind in kinds if isinstance(value, types)), "")


def read(text: str, present: Any, cursor: Cursor) -> Any:
    """A value of the present one's type. Raises `UsageError`, with an example."""
    kind = kind_of(present)
    try:
        if kind == "datetime":
            moment = instant(text).astimezone(dt.timezone.utc)
            return moment if present.tzinfo else moment.replace(tzinfo=None)
        if kind == "date":
            return dt.date.fromisoformat(text)
        if kind == "integer" and re.fullmatch(r"-?\d+", text):
            return int(text)
        if kind == "number" and re.fullmatch(r"-?\d+(\.\d+)?", text):
            return type(present)(text)
        if kind == "text" and text:
            if _is_time(present):
                instant(text)
            return text
    except ValueError:
        pass
    if not kind:
        raise UsageError(
            f"the cursor `{cursor.path}` of `{cursor.resource}` has no value yet, and so no type",
            "sync the source once; where it begins, `cursor: {field: …, initial: …}` in sources.yml says",
        )
    what = f"{kind}, such as {_EXAMPLES.get(kind, cursor.value)}"
    raise UsageError(f"{text!r} is no value for the cursor `{cursor.path}` of `{cursor.resource}`: it is {what}")


def _is_time(text: str) -> bool:
    try:
        instant(text)
    except ValueError:
        return False
    return True

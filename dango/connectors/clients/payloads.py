"""What the bytes of a message are, and where the first one is that is loaded."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from dango.errors import SourceError

Form = Literal["json", "text", "bytes"]
Start = Literal["earliest", "latest", "time"]
READ: Mapping[Form, Callable[[bytes | None], Any]] = {
    "json": lambda data: None if data is None else json.loads(data),
    "text": lambda data: None if data is None else data.decode(),
    "bytes": lambda data: data,
}
"""Each raises `ValueError` for what it is not."""


def shown(data: bytes | str | None) -> str | None:
    """Bytes as text, whatever they are."""
    return data.decode(errors="backslashreplace") if isinstance(data, bytes) else data


def require_time(start: Start, start_time: dt.datetime | None) -> None:
    """Checks that there is a time to begin at, where one is wanted. Raises `SourceError`."""
    if start == "time" and start_time is None:
        raise SourceError("`start: time` needs a `start_time`", "start_time: 2024-01-01T00:00:00Z")

"""A failed record and its error as text: what people read of it, and what every database takes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from dango.failed import text

LONGEST_TEXT = 10_000
LONGEST_PAYLOAD = 100_000


def entity(record: Any, key: tuple[str, ...]) -> str:
    """What people would call the record: the values of its key, else what usually is a name."""
    if not isinstance(record, Mapping):
        return ""
    for names in (key, ("id",), ("name",), ("key",)):
        values = [record.get(name) for name in names]
        if all(value is not None for value in values) and (called := ", ".join(map(text, values))):
            return called
    return ""


def place(lines: tuple[tuple[str, int], ...], root: Path | None) -> str:
    """`file:line` of the innermost call in the project's own code; of any code where none is its own."""
    for file, line in reversed(lines):
        path = Path(file)
        if root is not None and path.is_relative_to(root) and "site-packages" not in path.parts:
            return f"{path.relative_to(root).as_posix()}:{line}"
    return ":".join(map(str, lines[-1])) if lines else ""


def as_json(record: Any) -> str:
    """The record as JSON; one that cannot be, as JSON text of what it says of itself."""
    try:
        written = json.dumps(record, default=_plain, ensure_ascii=False)
        if "NaN" in written or "Infinity" in written:
            # JSON has no such numbers.
            written = json.dumps(json.loads(written, parse_constant=str), ensure_ascii=False)
    except Exception:  # noqa: BLE001 - what a record does when it is looked at is other people's code
        return json.dumps(text(record), ensure_ascii=False)
    return written


def within_limit(payload: str) -> str:
    """The payload; of a huge one its beginning, in JSON that says so."""
    raw = payload.encode("utf-8", "backslashreplace")
    if len(raw) <= LONGEST_PAYLOAD:
        return storable(payload)
    begins = raw[:LONGEST_PAYLOAD].decode("utf-8", "ignore")
    cut = f"only the first {LONGEST_PAYLOAD:,} of {len(raw):,} bytes were kept"
    return storable(json.dumps({"cut": cut, "begins": begins}, ensure_ascii=False))


def brief(said: str) -> str:
    """A message or a stack trace; of a huge one its two ends: a trace has what happened at its end."""
    if len(said) > LONGEST_TEXT:
        said = f"{said[: LONGEST_TEXT // 2]}\n… cut …\n{said[-LONGEST_TEXT // 2 :]}"
    return storable(said)


def storable(said: str) -> str:
    """Text that every database takes: no lone halves of characters, no zero bytes."""
    return said.encode("utf-8", "backslashreplace").decode().replace("\x00", "\ufffd")


def plain(value: Any, mask: Callable[[str], str]) -> Any:
    """A value of a source's as one that needs no code of the source to be read: JSON's types, times, decimals, bytes.

    Args:
        value: whatever a source yields.
        mask: takes secrets out of text.
    """
    if isinstance(value, str):
        return mask(str(value))
    if isinstance(value, Mapping):
        return {text(key): plain(item, mask) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, mask) for item in value]
    if value is None or type(value) in (bool, int, float, Decimal, bytes, dt.date, dt.time):
        return value
    if isinstance(value, dt.datetime):
        # As Python's own: the time zones of others pickle as their names.
        return dt.datetime.fromisoformat(value.isoformat())
    if hasattr(value, "dtype") and hasattr(value, "item"):
        return plain(value.item(), mask)
    return mask(text(value))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, set | frozenset) else text(value)

"""The names of columns where files have none, or one of them twice."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def distinct(given: Iterable[Any], start: int = 0) -> list[str]:
    """Names for columns: by number where there is none, numbered where one is there twice."""
    names: list[str] = []
    taken: set[str] = set()
    for position, value in enumerate(given, start):
        name = base = str(value).strip() if value not in (None, "") else f"column{position}"
        count = 0
        while name.lower() in taken:
            count += 1
            name = f"{base}_{count}"
        names.append(name)
        taken.add(name.lower())
    return names

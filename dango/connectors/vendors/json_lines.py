"""Exports that vendors send as lines of JSON, read while they arrive."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from dango.errors import VendorError

_PAGE = 1000


def pages(lines: Iterable[bytes], vendor: str) -> Iterator[list[dict[str, Any]]]:
    """The objects on the lines, some at a time.

    Args:
        lines: as they come; empty ones are no objects.
        vendor: who sends them.

    Raises:
        VendorError: when a line is no object: an export that fails in the middle ends with a remark of the vendor's.
    """
    objects = (_object(line, vendor) for line in lines if line.strip())
    while page := list(islice(objects, _PAGE)):
        yield page


def _object(line: bytes, vendor: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        said = line[:200].decode("utf-8", "replace").strip()
        raise VendorError(f"{vendor}'s export breaks off: {said}", "sync again")
    return found

"""What connectors have said of their streams, kept for a day: to say it takes most as long as to load what is new.

It counts for the same program, as old as it is, with the same settings. A run that fails forgets it, and so does
`dango source describe`.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dango.config import parsed

_SECONDS = 24 * 3600
Catalog = list[dict[str, Any]]


class Catalogs:
    """The catalog of one source's connector.

    Args:
        source: the source's name.
        command: the program, and its arguments.
        settings: what it is told.
    """

    def __init__(self, source: str, command: Sequence[str], settings: Mapping[str, Any]) -> None:
        root = Path(os.environ.get("DLT_PROJECT_DIR") or Path.cwd())
        self._folder = root / ".dango" / "cache"
        self._name = f"catalog of {source}"
        asked = [[each, _changed(root / each)] for each in command]
        self._asked = json.dumps([asked, settings], sort_keys=True, default=str)

    def known(self, discover: Callable[[], Catalog]) -> Catalog:
        """What the connector has said; where that is not known, or old, it is asked."""
        found = parsed.read(self._folder, self._name, self._asked)
        if found is None or not 0 <= time.time() - found["at"] < _SECONDS:
            return self.asked(discover)
        catalog: Catalog = found["streams"]
        return catalog

    def asked(self, discover: Callable[[], Catalog]) -> Catalog:
        """What the connector says now, kept from here on."""
        catalog = discover()
        if catalog:
            parsed.keep(self._folder, self._name, self._asked, {"at": time.time(), "streams": catalog})
        return catalog

    def forget(self) -> None:
        """The next run asks anew."""
        parsed.keep(self._folder, self._name, "", {})


def _changed(path: Path) -> int | None:
    """When a file was changed last; None for what is no file."""
    return path.stat().st_mtime_ns if path.is_file() else None

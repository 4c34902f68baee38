"""What YAML files mean, kept in `.dango/cache/`, so that one that has not changed is not parsed again.

To parse two thousand lines with their places takes a third of a second, to read what they mean a few thousandths. It
is a cache: what does not belong to the very text, or cannot be read or written, is as if it were not there.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import importlib.metadata
import json
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from dango.config.text.values import same
from dango.errors import DangoError
from dango.files import replace_text

# To be raised where `text.yaml_tree` gives other values for the same text.
_FORM = 1
_DATES = {"$date": dt.date, "$datetime": dt.datetime}


def read(folder: Path, name: str, text: str) -> dict[str, Any] | None:
    """What the text means; None where that is not known.

    Args:
        folder: of the cache.
        name: of the file, as messages call it.
        text: all that the file holds.
    """
    try:
        with _file(folder, name).open(encoding="utf-8") as file:
            if not _is_ours(os.fstat(file.fileno())):
                return None
            kept = json.load(file, object_hook=_decoded)
    except (OSError, ValueError, TypeError, RecursionError):
        return None
    fits = isinstance(kept, dict) and kept.get("of") == _digest(text) and isinstance(kept.get("means"), dict)
    return kept["means"] if fits else None


def keep(folder: Path, name: str, text: str, values: dict[str, Any]) -> None:
    """Keeps what the text means, where JSON can say it; what was kept for the file before goes."""
    try:
        written = json.dumps({"of": _digest(text), "means": values}, default=_encoded)
        # A key that is no text, a set, a mapping that reads like a date: YAML has more than JSON.
        if not same(json.loads(written, object_hook=_decoded)["means"], values):
            return
    except (ValueError, TypeError, RecursionError):
        return
    with suppress(OSError, DangoError):
        folder.mkdir(mode=0o700, exist_ok=True)
        replace_text(_file(folder, name), written, mode=0o600)


def _is_ours(status: os.stat_result) -> bool:
    """Whether dango wrote the file here: git gives what it brings to everybody to read."""
    return not hasattr(os, "geteuid") or (status.st_uid == os.geteuid() and stat.S_IMODE(status.st_mode) == 0o600)


def _file(folder: Path, name: str) -> Path:
    return folder / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.json"


def _digest(text: str) -> str:
    parser = importlib.metadata.version("ruamel.yaml")
    return hashlib.sha256(f"{_FORM}\n{parser}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()


def _encoded(value: Any) -> dict[str, str]:
    names = {kind: name for name, kind in _DATES.items()}
    if type(value) not in names:
        raise TypeError(type(value))
    return {names[type(value)]: value.isoformat()}


def _decoded(mapping: dict[str, Any]) -> Any:
    if len(mapping) == 1:
        ((name, value),) = mapping.items()
        if name in _DATES:
            return _DATES[name].fromisoformat(value)
    return mapping

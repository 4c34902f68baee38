"""What is known of an embedded database without opening it: the loads that it had when its file was last closed.

To open one DuckDB reads its whole catalog, in 25 ms of the processor, or 70 with the thousand tables of two hundred
sources, and lets in nobody else meanwhile; most syncs open it to hear that nothing has changed. Where the file is the
very one that was closed, nothing has. This saves a look and decides nothing: whoever loads looks at the database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dango.files import replace_text
from dango.load.working_folder import Loads

Signature = tuple[int, ...]
"""Which file it is, how large, and when it was written to and its entry changed, in nanoseconds."""
_IDENTITY = 2


@dataclass
class KnownFile:
    """A dataset in a database's file, while nobody else of this project writes to it."""

    file: Path | None = None
    """None where the database is no file."""
    signature: Signature | None = None
    """What the file was like at first; None where there was none, or what was written to it is not all in it."""
    loads: Loads | None = None
    """Those that the dataset has had; None where that is not known."""
    learnt: Loads | None = None
    """What the database says of them after all that is written to it; None where it is not asked."""

    @property
    def stayed(self) -> bool:
        """Whether it is the same file still, whatever was written to it; it may be moved while it is open."""
        if self.file is None:
            return True
        now = _signature(self.file)
        return self.signature is not None and now is not None and self.signature[:_IDENTITY] == now[:_IDENTITY]


@contextmanager
def known(file: Path, dataset: str, note: Path) -> Iterator[KnownFile]:
    """What is known of a dataset at the beginning of the block; what is learnt of it there is noted at its end.

    Args:
        file: of the database, which nobody else of this project opens meanwhile.
        dataset: its name in the database.
        note: where it is written down.
    """
    before = _signature(file)
    noted = _noted(note, before) if before else {}
    database = KnownFile(file, before, noted.get(dataset))
    try:
        yield database
    except BaseException:
        # Whatever it was: the next one looks for itself.
        note.unlink(missing_ok=True)
        raise
    if database.learnt is None:
        return
    after, loads = _signature(file), {**noted, dataset: database.learnt}
    if after is None:
        note.unlink(missing_ok=True)
    elif (after, loads) != (before, noted):
        replace_text(note, json.dumps({"file": after, "loads": loads}), 0o600)


def _signature(file: Path) -> Signature | None:
    try:
        found = file.stat()
    except OSError:
        return None
    if os.path.lexists(f"{file}.wal"):
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _noted(note: Path, signature: Signature) -> Mapping[str, Loads]:
    try:
        written = json.loads(note.read_text(encoding="utf-8"))
        if tuple(written["file"]) != signature:
            return {}
        return {
            dataset: {name: (int(count), str(newest)) for name, (count, newest) in loads.items()}
            for dataset, loads in written["loads"].items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}

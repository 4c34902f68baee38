"""What is known of an embedded database without opening it: the loads that it had when its file was last closed.

To open one DuckDB reads its whole catalog, in 25 ms of the processor, or 70 with the thousand tables of two hundred
sources, and lets in nobody else meanwhile; most syncs open it to hear that nothing has changed. Where the file is the
very one that was closed, nothing has. And who would have to wait until another job of the same run has loaded into it
knows what was there before: that job fills another dataset, or brings other loads of this one. All this saves a look
and decides nothing: whoever loads looks at the database.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
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
    absent: bool = False
    """Whether it is known that the dataset is not there."""
    learnt: Loads | None = None
    """What the database says of them after all that is written to it; None where it is not asked."""
    datasets: Collection[str] = ()
    """All that are in the database then."""

    @property
    def stayed(self) -> bool:
        """Whether it is the same file still, whatever was written to it; it may be moved while it is open."""
        if self.file is None:
            return True
        now = _signature(self.file)
        return self.signature is not None and now is not None and self.signature[:_IDENTITY] == now[:_IDENTITY]

    def opened(self) -> None:
        """It is open: where there was none, this is the one that has been made."""
        if self.file is not None and self.absent and self.signature is None:
            self.signature = _identity(self.file)


@dataclass(frozen=True)
class _Noted:
    """What is written down: of the file as it was closed by a job of a run, its datasets, and the loads of some."""

    run: str = ""
    file: Signature = ()
    datasets: tuple[str, ...] = ()
    loads: Mapping[str, Loads] = field(default_factory=dict)

    def known(self, file: Path, dataset: str) -> KnownFile:
        """What that says of a dataset."""
        absent = bool(self.file) and dataset not in self.datasets
        return KnownFile(file, self.file or None, {} if absent else self.loads.get(dataset), absent)


@contextmanager
def known(file: Path, dataset: str, note: Path, run: str = "") -> Iterator[KnownFile]:
    """What is known of a dataset at the beginning of the block; what is learnt of it there is noted at its end.

    Args:
        file: of the database, which nobody else of this project opens meanwhile.
        dataset: its name in the database.
        note: where it is written down.
        run: whose job looks at it or loads into it.
    """
    before, found = _signature(file), _read(note)
    if found is None or found.file != before:
        # At once: another job of the run may read it before the block ends.
        note.unlink(missing_ok=True)
        found = _Noted()
    if _can_be_made(file):
        database = KnownFile(file, loads={}, absent=True)
    else:
        database = replace(found.known(file, dataset), signature=before)
    try:
        yield database
    except BaseException:
        # Whatever it was: the next one looks for itself.
        note.unlink(missing_ok=True)
        raise
    if database.learnt is None:
        return
    after = _signature(file)
    if after is None:
        note.unlink(missing_ok=True)
        return
    now = _Noted(run, after, tuple(sorted(database.datasets)), {**found.loads, dataset: database.learnt})
    if now != found:
        replace_text(note, json.dumps(asdict(now)), 0o600)


def noted(file: Path, dataset: str, note: Path, run: str) -> KnownFile | None:
    """What is known of a dataset while another job of the same run has the file; None where none of the run noted it.

    Args:
        file, dataset, note, run: as `known` takes them.
    """
    found, now = _read(note), _identity(file)
    if found is None or found.run != run or now is None or found.file[:_IDENTITY] != now[:_IDENTITY]:
        return None
    return found.known(file, dataset)


def _can_be_made(file: Path) -> bool:
    """Whether there is no such file, nor a log of one, and there may be: whoever cannot make it hears so at once."""
    there = any(os.path.lexists(each) for each in (file, f"{file}.wal"))
    return not there and os.access(file.parent, os.W_OK | os.X_OK)


def _signature(file: Path) -> Signature | None:
    return None if os.path.lexists(f"{file}.wal") else _identity(file)


def _identity(file: Path) -> Signature | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def _read(note: Path) -> _Noted | None:
    try:
        written = json.loads(note.read_text(encoding="utf-8"))
        loads = {
            dataset: {name: (int(count), str(newest)) for name, (count, newest) in loads.items()}
            for dataset, loads in written["loads"].items()
        }
        return _Noted(str(written["run"]), tuple(written["file"]), tuple(map(str, written["datasets"])), loads)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None

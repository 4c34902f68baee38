"""Whether there is room on the disk: asked before anything begins, and where something failed."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import duckdb

from dango.errors import DangoError, DestinationError, chain, root_cause

_SMALLEST = 50 * 1024**2
_FULL = (errno.ENOSPC, errno.EDQUOT)


def require_room(root: Path, needed: int = 0) -> None:
    """Nothing is begun on a disk that has not so many bytes free, and some more. Raises `DestinationError`."""
    free, needed = shutil.disk_usage(root).free, _SMALLEST + needed
    if free < needed:
        raise DestinationError(
            f"no room on the disk: {_mebibytes(free)} free in {root}, {needed // 1024**2} are needed to begin",
            "nothing was begun; make room and run again",
        )


def no_room(error: BaseException, root: Path) -> DestinationError | None:
    """What an error is told as where it comes of a full disk; None for any other.

    Args:
        error: what was raised.
        root: of the project; an embedded database usually is there, too.
    """
    causes = list(chain(error))
    full = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno in _FULL), None)
    free = shutil.disk_usage(root).free
    # DuckDB has one kind of error for all that a system refuses, and says why in words alone.
    if full is None and not (free < _SMALLEST and any(isinstance(cause, duckdb.Error) for cause in causes)):
        return None
    said = root_cause(error)
    if full is not None and not isinstance(said, DangoError):
        # What failed last may only be what was missing then.
        said = full
    # A source may have written elsewhere.
    where = f"{_mebibytes(free)} free in {root}: " if free < _SMALLEST else ""
    return DestinationError(
        f"no room on the disk: {where}{said}",
        "make room and sync again; it goes on from what is loaded",
    )


def _mebibytes(count: int) -> str:
    return f"{count // 1024**2} MiB"

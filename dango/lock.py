"""A lock that the kernel releases when its holder dies, and who holds it."""

from __future__ import annotations

import datetime as dt
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dango.errors import Held

if TYPE_CHECKING:
    from filelock import FileLock

# A reader that only asks whether a lock is held takes it for a moment; a holder-to-be waits that long.
_GRACE = 0.3
_POLL = 0.01


@contextmanager
def lock(
    path: Path, what: str, wait: float = 0.0, say: Callable[[str], None] = lambda message: None, run: str = ""
) -> Iterator[None]:
    """Holds `path` locked. The file is never unlinked: two holders could then lock two inodes.

    Args:
        path: the file.
        what: its name for people.
        wait: for how many seconds to wait for another process to let go.
        say: is told whom it waits for, if it does.
        run: the jobs of one run take turns: as long as another of them has it, the seconds do not count.

    Raises:
        Held: when another process has it for longer than `wait` seconds; names that process.
    """
    # Here and below, since who only looks at the history takes no lock.
    from filelock import FileLock, Timeout

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kernel = FileLock(path, mode=0o600)
    try:
        try:
            kernel.acquire(timeout=_GRACE, poll_interval=_POLL)
        except Timeout:
            if wait <= _GRACE and not _of(path, run):
                raise
            say(f"waiting for {what}, which is held by {holder(path) or 'another process'}")
            _wait(kernel, path, wait - _GRACE, run)
    except Timeout:
        raise Held(
            f"{what} is held by {holder(path) or 'another process'}",
            "wait for it to end, or let this one wait with `--wait SECONDS`",
        ) from None
    try:
        since = dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds")
        note = {"pid": os.getpid(), "since": since, "run": run}
        _note(path).touch(mode=0o600)
        _note(path).write_text(json.dumps(note), encoding="utf-8")
        yield
    finally:
        kernel.release()


def _wait(kernel: FileLock, path: Path, seconds: float, run: str) -> None:
    from filelock import Timeout

    end = time.monotonic() + seconds
    while True:
        if _of(path, run):
            end = time.monotonic() + seconds
        try:
            kernel.acquire(timeout=min(1.0, max(_GRACE, end - time.monotonic())), poll_interval=_POLL)
            return
        except Timeout:
            if time.monotonic() >= end and not _of(path, run):
                raise


def held(path: Path) -> bool:
    """Whether a process holds `path` now."""
    from filelock import FileLock, Timeout

    if not path.exists():
        return False
    kernel = FileLock(path)
    try:
        kernel.acquire(timeout=0)
    except Timeout:
        return True
    kernel.release()
    return False


def alive(pid: int) -> bool:
    """Whether a process of that number runs here. Where that cannot be asked, no: locks then tell."""
    if os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # One that has ended keeps its number until its parent asks how; in a container there may be none that does.
    return _state(pid) not in ("Z", "X")


def _state(pid: int) -> str:
    """The letter of a process's state, where the system has files that tell; nothing elsewhere."""
    try:
        # Behind the name, which may be anything, and stands in parentheses: proc(5).
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


def holder(path: Path) -> str:
    """Who holds the lock, as it noted itself: `process 4711 since 2024-01-01T10:00:00+00:00`."""
    note = _noted(path)
    return f"process {note['pid']} since {note['since']}" if {"pid", "since"} <= note.keys() else ""


def run_of(path: Path, pid: int) -> str:
    """The run for which that process holds the lock; empty where it does not, or for none."""
    note = _noted(path)
    return str(note.get("run", "")) if note.get("pid") == pid and held(path) else ""


def held_for(path: Path, run: str) -> bool:
    """Whether a process holds `path` for a job of that run."""
    return _of(path, run) and held(path)


def _of(path: Path, run: str) -> bool:
    return run != "" and _noted(path).get("run") == run


def _noted(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(_note(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def _note(path: Path) -> Path:
    return path.with_suffix(".holder")

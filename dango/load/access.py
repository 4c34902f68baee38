"""Why a database cannot be used: who has an embedded one in its hands, or what the database says itself."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from dango.config.models import EMBEDDED
from dango.errors import DestinationError, Held
from dango.lock import run_of
from dango.project import Project


def lock_file(root: Path, file: str | Path) -> Path:
    """The lock that a sync holds while it writes a DuckDB file."""
    # Two destinations may name one file; its path is what they share.
    path = Path(file).resolve()
    name = f"{path.stem}-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
    return Project(root).state / "locks" / f"{name}.database.lock"


def holder(error: BaseException) -> str:
    """The process that has DuckDB's file in its hands, by its number; empty for any other error."""
    import duckdb

    if not isinstance(error, duckdb.IOException):
        return ""
    # DuckDB says it in its message and nowhere else.
    found = re.search(r"lock is held in .*?\(PID (\d+)\)", str(error))
    return found.group(1) if found else ""


def refusal(error: BaseException, name: str, lock: Path | None = None) -> DestinationError | Held:
    """What a database's error means for who wanted to use it.

    Args:
        error: as its driver raised it.
        name: of the destination.
        lock: of an embedded database, to tell which run has it.
    """
    if pid := holder(error):
        run = run_of(lock, int(pid)) if lock else ""
        return Held(
            f"the database of `{name}` is held by process {pid}{f', which loads run {run} into it' if run else ''}",
            "wait for the sync to end, and run again"
            if run
            else "DuckDB lets one process write at a time: end the other (a notebook, a shell, a sync) and run again",
        )
    message = " ".join(str(error).split())
    if found := re.search(r'download extension "(\w+)"', message):
        extension = found[1]
        package = f"duckdb-extension-{extension.replace('_', '-')}"
        return DestinationError(
            f"destination `{name}` needs DuckDB's extension `{extension}`, which DuckDB could not download: {message}",
            f"where there is no network: pip install duckdb-extensions {package}; then, of each user that syncs: python"
            f" -c \"from duckdb_extensions import import_extension as add; add('{extension}')\"",
        )
    return DestinationError(
        f"destination `{name}` cannot be used: {message}",
        f"its credentials: .dlt/secrets.toml [destination.{name}.credentials]" if name != EMBEDDED
        else "the file is left as it is: if it may not be written, make it and its folder writable; if it is no DuckDB"
        " database, move it away and a new one is made",
    )  # fmt: skip

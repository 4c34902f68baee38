"""Where a local file of a source is."""

from __future__ import annotations

from pathlib import Path

import dlt

from dango.errors import SourceError


def local(path: str) -> Path:
    """A path as `sources.yml` has it: `~` is the home folder, and what is relative begins in the project."""
    return Path(dlt.current.run_context().run_dir) / Path(path).expanduser()


def existing(path: str, kind: str) -> Path:
    """The same of a file that must be there, for who opens one that is not makes it. Raises `SourceError`."""
    found = local(path)
    if not found.is_file():
        raise SourceError(
            f"there is no {kind} file {found}" if not found.exists() else f"{found} is no file",
            "a relative path begins in the project's folder",
        )
    return found

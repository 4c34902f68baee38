"""Files that are replaced at once (a crash leaves the old text or the new, never half of one), and stay where they are
thought to be."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from dango.errors import DangoError, UsageError


def leads_out(path: Path, root: Path) -> bool:
    """Whether a path below a folder is somewhere else in truth, by a symbolic link on the way."""
    return not path.resolve().is_relative_to(root.resolve())


def require_inside(path: Path, root: Path) -> None:
    """Raises `UsageError` where a path below a folder leads out of it."""
    if leads_out(path, root):
        raise UsageError(
            f"{path} leads out of the project, to {path.resolve()}",
            "nothing was written; put a file or folder of the project's own in the place of the link",
        )


def replace_text(path: Path, text: str, mode: int | None = None) -> None:
    """Puts `text`, line ends as they are in it, in the place of what the file held; a symbolic link stays one.

    Args:
        mode: of the file afterwards. Without one it keeps its own; a new file gets 0644.

    Raises:
        DangoError: the file is read-only, or the system refuses. The old text is then still there.
    """
    target = path.resolve()
    try:
        held = target.stat().st_mode & 0o777 if target.exists() else 0o644
        if not held & 0o200:
            # A rename does not ask for the right to write to what it replaces.
            raise DangoError(f"{path} cannot be written: it is read-only", f"chmod u+w {path}")
        _replace(target, text.encode("utf-8"), held if mode is None else mode)
    except OSError as error:
        raise DangoError(f"{path} cannot be written: {error.strerror}") from error
    except UnicodeEncodeError:
        # Not its cause: that holds the whole text, and the text may be a secret.
        raise DangoError(f"{path} cannot be written: half a character, which UTF-8 cannot hold") from None


def _replace(target: Path, content: bytes, mode: int) -> None:
    # 0600 from its first instant on: what is written may be a secret.
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(target)
    finally:
        temporary.unlink(missing_ok=True)

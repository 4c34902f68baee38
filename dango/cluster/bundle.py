"""What of a project goes to the nodes of a cluster: a list of what is taken, never one of what is left out.

No secret is in it, and no data: `.env`, `.dlt/secrets.toml`, `data/` and `.dango/` stay where they are, whatever
stands in them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

from dango.errors import UsageError
from dango.exporting import needs
from dango.project import SOURCES_FILE, Project
from dango.secrets import CONFIG_FILE

MOST = 64 * 1024 * 1024
"""Bytes of all files together: more is data, and belongs where every node can read it."""

_FILES = (SOURCES_FILE, CONFIG_FILE)
_FOLDERS = ("custom_sources", "registry")
_MANIFESTS = (".dango/*.yaml", ".dango/*.yml")
_NEVER = ("__pycache__", "secrets.toml")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def bundle(project: Project) -> bytes:
    """The files of a project that its sources need elsewhere, as a zip archive; the same for the same files.

    Raises:
        UsageError: where they are larger than code is.
    """
    packed, size = io.BytesIO(), 0
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in files(project):
            content = (project.root / path).read_bytes()
            if (size := size + len(content)) > MOST:
                raise UsageError(
                    f"the project's code is larger than {MOST // 1024**2} MiB, with {path}",
                    "what is data belongs where every node can read it: a database, or object storage",
                )
            archive.writestr(zipfile.ZipInfo(path, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def files(project: Project) -> list[str]:
    """The paths of the files that are taken, from the project's root, sorted."""
    root = project.root
    found = [root / name for name in _FILES]
    found += [path for pattern in _MANIFESTS for path in root.glob(pattern)]
    for folder in (*_FOLDERS, *needs.local_requirements(project)):
        found += _below(root / folder)
    return sorted({path.relative_to(root).as_posix() for path in found if path.is_file()})


def unpack(packed: bytes, folder: Path) -> None:
    """Writes the files into an empty folder."""
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        archive.extractall(folder)


def _below(folder: Path) -> Iterator[Path]:
    """Every file in a folder that is shown, and is none that has secrets in it wherever it stands; or the file."""
    if folder.is_file():
        yield folder
    for path in folder.rglob("*"):
        names = path.relative_to(folder).parts
        # A link may lead out of the project.
        if any(name.startswith(".") or name in _NEVER for name in names) or path.is_symlink():
            continue
        yield path

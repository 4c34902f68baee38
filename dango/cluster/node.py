"""A job on a node of a cluster: the project is unpacked, the source's process begun as on any machine, and watched.

What runs here is in a process of the cluster's, which does one job after the other. The source is in a process of its
own, as everywhere: its prints, crashes and threads end with it, and it ends with the cluster's process.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path

from dango import environments, parts
from dango.cluster.bundle import unpack
from dango.entrusted import Entrusted
from dango.errors import DangoError
from dango.job import Event, Job, RunResult
from dango.lock import alive
from dango.project import NODE_VARIABLE, Project
from dango.workers.processes import PRELOADED, Workers
from dango.workers.supervision import prepare, supervise

_ENVIRONMENTS = "environments"
_ALIKE = ("dango", "dlt")
"""What must be of one version everywhere: results and tables are of its making."""


def versions() -> dict[str, str]:
    """Of Python, as far as it matters, and of what must be alike."""
    return {"Python": ".".join(platform.python_version_tuple()[:2]), **{name: version(name) for name in _ALIKE}}


def work(packed: bytes, entrusted: Entrusted, job: Job, tell: Callable[[Event], None]) -> RunResult:
    """Does one job.

    Args:
        packed: the project, as `bundle` packs it.
        entrusted: what the source may know.
        job: whose `root` is that of another machine.
        tell: takes events, as they come.

    Returns:
        how it ended, with secrets masked; whatever the source does, it does not raise.
    """
    project = Project(_unpacked(packed), entrusted)
    job = replace(job, root=project.root)
    prepare(project)
    try:
        with closing(supervise(project, job, _workers())) as values:
            for value in values:
                if isinstance(value, RunResult):
                    return value
                tell(value)
    finally:
        # What dlt needs to know is in the destination; the next job of this source may be on another node.
        whole = project.working_folder(job.source, job.destination, job.dataset)
        shutil.rmtree(parts.working_folder(project.state, job) if job.part else whole, ignore_errors=True)
    raise AssertionError("a job that is watched has a result")


def base() -> Path:
    """Where a node works: a folder that is for its owner alone.

    Raises:
        DangoError: where somebody else has a folder of that name.
    """
    owner = os.geteuid() if hasattr(os, "geteuid") else 0
    folder = Path(os.environ.get(NODE_VARIABLE) or Path(tempfile.gettempdir()) / f"dango-{owner}")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = folder.lstat()
    if not folder.is_dir() or folder.is_symlink() or (hasattr(os, "geteuid") and status.st_uid != owner):
        raise DangoError(f"{folder} belongs to somebody else", f"name another folder on this node: {NODE_VARIABLE}")
    folder.chmod(0o700)
    return folder


@cache
def _workers() -> Workers:
    # For all jobs that this process does: what they import is imported once.
    return Workers(PRELOADED)


def _unpacked(packed: bytes) -> Path:
    """The project's folder, in one of this process's own; what processes have left that are gone goes, too."""
    folder = base()
    os.environ.setdefault(environments.VARIABLE, str(folder / _ENVIRONMENTS))
    # Whoever works here is to know that nothing of it lasts.
    os.environ.setdefault(NODE_VARIABLE, str(folder))
    for left in folder.glob("*-*"):
        if (pid := left.name.partition("-")[0]).isdigit() and not alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    root = folder / f"{os.getpid()}-{hashlib.sha256(packed).hexdigest()[:16]}"
    if not root.is_dir():
        fresh = root.with_name(f".{root.name}")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        unpack(packed, fresh)
        fresh.rename(root)
    return root

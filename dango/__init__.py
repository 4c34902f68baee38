"""dango: data from anywhere into a warehouse, from a project that fits in git.

>>> from dango import Project, sync
>>> results = sync(Project.find(), ["jira_issues"])      # doctest: +SKIP

Nothing is imported before a name is asked for, so that `dango --help` stays as quick as Python.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dango.errors import DangoError
    from dango.failed import Failed, guard
    from dango.job import Event, FailedRecord, RunError, RunResult, TableResult
    from dango.project import Project
    from dango.runner import sync

__all__ = [
    "DangoError",
    "Event",
    "Failed",
    "FailedRecord",
    "Project",
    "RunError",
    "RunResult",
    "TableResult",
    "guard",
    "sync",
]

_HOME = {
    "DangoError": "errors",
    "Event": "job",
    "Failed": "failed",
    "FailedRecord": "job",
    "Project": "project",
    "RunError": "job",
    "RunResult": "job",
    "TableResult": "job",
    "guard": "failed",
    "sync": "runner",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'dango' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(f"dango.{_HOME[name]}"), name)

"""A source leaves the project, and takes its data with it: first in the destination, then here, then in `sources.yml`.

An interruption leaves what comes after it, and the same command goes on from there.
"""

from __future__ import annotations

import shutil
from contextlib import AbstractContextManager
from pathlib import Path

from dango import parts
from dango.config.models import Source
from dango.doctor import EXAMINED
from dango.errors import UsageError
from dango.history import History
from dango.lock import lock
from dango.project import Project
from dango.stored.leftovers import folders
from dango.stored.wishes import DropWish, Holding
from dango.workers.supervision import prepare, values, watch


def require_alone(project: Project, source: Source) -> None:
    """Raises `UsageError` where other sources extend this one: they would be nothing without it."""
    others = [other.name for other in project.config.sources if other.extends == source.name]
    if others:
        raise UsageError(
            f"`{source.name}` is what {', '.join(f'`{name}`' for name in others)} extends",
            f"first: dango source remove {others[0]}; `enabled: false` lets it rest",
        )


def held(project: Project, source: Source) -> tuple[Holding, ...]:
    """What the source has in its destination; nothing is changed.

    Raises:
        Held: when another process works on the source.
        UsageError: for a destination whose data dango does not drop.
        DangoError: when the destination cannot be reached.
    """
    _require_droppable(project, source)
    with _locked(project, source):
        return _asked(project, source, write=False)


def remove(project: Project, source: Source) -> tuple[Holding, ...]:
    """Drops the source's data, its local state, and its entry in `sources.yml`. The history keeps its runs.

    Returns:
        what was dropped in the destination.

    Raises:
        DangoError: as `held`, or where the destination refuses; nothing is removed then.
    """
    _require_droppable(project, source)
    with _locked(project, source):
        dropped = _asked(project, source, write=True)
        for path in local(project, source):
            path.unlink() if path.is_file() else shutil.rmtree(path)
        parts.forget(project.state, source.name)
        _forget(project, source)
    return dropped


def local(project: Project, source: Source) -> list[Path]:
    """The source's working folder and what stands beside it; not those of other destinations, where its data stays."""
    there = (source.name, project.destination(source).name, source.dataset)
    return [each.path for each in folders(project) if (each.source, each.destination, each.dataset) == there]


def elsewhere(project: Project, source: Source) -> list[str]:
    """Other destinations to which the source was synced, by what stands here."""
    here = project.destination(source).name
    return sorted({each.destination for each in folders(project) if each.source == source.name} - {here})


def _forget(project: Project, source: Source) -> None:
    # As the file is now: the question, or the database, may have taken its time.
    now = Project(project.root)
    now.document.remove_item(("sources", now.index(source.name))).save()


def _locked(project: Project, source: Source) -> AbstractContextManager[None]:
    prepare(project)
    return lock(History(project.state).lock_file(source.name), f"source `{source.name}`")


def _asked(project: Project, source: Source, *, write: bool) -> tuple[Holding, ...]:
    project.require_environment([], [project.destination(source)])
    wish = DropWish(project.job(source), write)
    return next(value for value in values(watch(project, "worker:drop", wish, source.name)) if isinstance(value, tuple))


def _require_droppable(project: Project, source: Source) -> None:
    require_alone(project, source)
    destination = project.destination(source)
    if destination.type not in EXAMINED:
        raise UsageError(
            f"--drop-data drops data in {' and '.join(EXAMINED)}; `{source.name}` is in `{destination.name}`, of type"
            f" {destination.type}",
            f"drop the dataset {source.dataset} there by hand, then: dango source remove {source.name}",
        )

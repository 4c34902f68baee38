"""What past runs left behind, here and in the destinations, what each needs, and its repair."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager

from dango.config.models import Destination, Source
from dango.errors import Held
from dango.history import History
from dango.job import RunError
from dango.leftover import Examination, Leftover
from dango.lock import held, holder, lock
from dango.project import Project
from dango.stored import leftovers
from dango.workers.supervision import prepare, watch

EXAMINED = ("duckdb", "postgres")
"""The types of destinations that are looked into."""


def examine(project: Project, names: Sequence[str] = (), *, fix: bool = False) -> Iterator[Leftover]:
    """Looks for what past runs left behind. A source that another process works on is left alone, and so told.

    Args:
        project: where to look.
        names: of sources; empty means all of them, those that are no longer configured, and the project itself.
        fix: whether to repair what can be repaired without loading anything, under the sources' locks.

    Raises:
        DangoError: a broken `sources.yml`, an unknown source.
    """
    prepare(project)
    sources = [project.source(name) for name in names] or list(project.config.sources)
    every = dict.fromkeys(source.name for source in sources)
    if not names:
        every |= dict.fromkeys(folder.source for folder in leftovers.folders(project))
    with _undisturbed(project, list(every), fix) as busy:
        yield from (Leftover(name, "held", f"not looked at: held by {who}") for name, who in busy.items())
        free = [name for name in every if name not in busy]
        for found in leftovers.of_sources(project, free):
            yield found.settled(fix)
        if not names:
            for found in leftovers.of_project(project, busy):
                yield found.settled(fix)
        yield from _in_destinations(project, [source for source in sources if source.name not in busy], fix)


@contextmanager
def _undisturbed(project: Project, names: Sequence[str], fix: bool) -> Iterator[Mapping[str, str]]:
    """Yields who holds those sources that others work on. To repair, the locks of the others are held meanwhile."""
    history = History(project.state)
    files = {name: history.lock_file(name) for name in names}
    if not fix:
        yield {name: holder(file) or "another process" for name, file in files.items() if held(file)}
        return
    busy = {}
    with ExitStack() as locks:
        for name, file in files.items():
            try:
                locks.enter_context(lock(file, f"source `{name}`"))
            except Held:
                busy[name] = holder(file) or "another process"
        yield busy


def _in_destinations(project: Project, sources: Sequence[Source], fix: bool) -> Iterator[Leftover]:
    """One process a destination looks at all of its sources: an embedded database is opened once."""
    groups: dict[str, list[Source]] = {}
    for source in sources:
        groups.setdefault(project.destination(source).name, []).append(source)
    for group in groups.values():
        destination = project.destination(group[0])
        if destination.type not in EXAMINED:
            what = f"not looked into: doctor does that for {' and '.join(EXAMINED)}"
            yield Leftover("", "unexamined", what, destination.name)
        elif not _unborn(project, destination):
            yield from _in_destination(project, destination, group, fix)


def _unborn(project: Project, destination: Destination) -> bool:
    """Whether it is the embedded database and nothing was ever loaded: no process need start to find that out."""
    return destination.embedded and not project.warehouse.exists()


def _in_destination(
    project: Project, destination: Destination, sources: Sequence[Source], fix: bool
) -> Iterator[Leftover]:
    datasets = {source.name: source.dataset for source in sources}
    examination = Examination(project.job(sources[0]), datasets, fix)
    with closing(watch(project, "worker:examine", examination, sources[0].name)) as values:
        for value in values:
            if isinstance(value, Leftover):
                yield value
            elif isinstance(value, RunError):
                needs = value.hint or "mend that, then `dango doctor` again"
                yield Leftover("", "unreachable", value.message, destination.name, needs)

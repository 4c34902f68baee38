"""What can be said of a project before anything is loaded: `check`, `sync --dry-run`, `explain` and `preview`."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain, groupby
from pathlib import Path

from dango import environments
from dango.cluster import AUTO, SCHEME
from dango.config.document import Document
from dango.errors import ConfigError, DangoError, Problem, page_of
from dango.git import tracked
from dango.job import Event, Job, RunError
from dango.probe import About, Finding, Parameter, Probe, Sample
from dango.project import ENV_FILE, Project
from dango.registry.entries import entry_document, entry_in
from dango.registry.entry import Entry
from dango.registry.lint import Finding as RuleFinding
from dango.registry.lint import lint as rules
from dango.secrets import CONFIG_FILE, SECRETS_FILE, read_toml
from dango.workers import executors
from dango.workers.executors import LOCAL, cores
from dango.workers.processes import Workers, preloaded
from dango.workers.supervision import at_work, prepare, values, watch

_WORTH_A_PROCESS = 20
"""Sources of which importing and asking takes about as long as what they share."""


def check(project: Project, names: Sequence[str], *, rehearse: bool = False) -> Iterator[Finding]:
    """Imports each source and fits its arguments; with `rehearse` looks for secrets and connects as well.

    Yields:
        a finding a source, also for one that is well. One that ends or blocks its process harms only itself.
    """
    prepare(project)
    work = "asking:rehearse" if rehearse else "asking:check"
    parts = list(_parts(_jobs(project, names)))
    if not parts:
        return
    # Whatever ends it, the processes do, and what waits for them with them.
    with ThreadPoolExecutor(len(parts)) as pool, closing(preloaded()) as workers:
        workers.expect(None, several=len(parts) > 1)
        yield from chain.from_iterable(pool.map(partial(_checked_all, project, work, workers), parts))


def _parts(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Sources that are looked at one after the other in a process: as many processors as are worth it have some."""
    size = max(_WORTH_A_PROCESS, -(-len(jobs) // cores()))
    for start in range(0, len(jobs), size):
        yield list(jobs[start : start + size])


def _checked_all(project: Project, work: str, workers: Workers, jobs: Sequence[Job]) -> list[Finding]:
    parts = groupby(jobs, environments.interpreter)
    return [each for python, part in parts for each in _checked(project, list(part), python, work, workers)]


def _checked(project: Project, left: list[Job], python: Path | None, work: str, workers: Workers) -> Iterator[Finding]:
    if python is not None and not python.exists():
        # What builds it needs a network, and a check needs none.
        for job in left:
            name = job.source.name
            message = "its environment is not built yet, so its code is not looked at"
            place, hint = project.place(name, ("environment",)), f"dango env build {name}"
            yield Finding(name, (Problem.at(place, message, hint, "warning"),))
        return
    while left:
        with closing(watch(project, work, tuple(left), left[0].source.name, workers, python)) as found:
            for value in found:
                if isinstance(value, Finding):
                    left.pop(0)
                    yield _with_executor(project, _with_environment(project, value))
                elif isinstance(value, RunError) and left:
                    name = left.pop(0).source.name
                    place = value.place or project.place(name)
                    yield Finding(name, (Problem.at(place, value.message, value.hint, docs=value.docs),))


def project_problems(project: Project) -> Iterator[Problem]:
    """What is wrong with the project's other files, and with packages that are to extend dango.

    Raises:
        ConfigError: where a file cannot be read at all.
    """
    for name in (SECRETS_FILE, CONFIG_FILE):
        try:
            read_toml(project.root / name, name)
        except ConfigError as error:
            yield from error.problems
    yield from _exposed(project.root)
    for broken, why in project.registry.broken.items():
        yield Problem(f"{broken} is broken: {why}", severity="warning", docs=page_of("BrokenPlugin"))


def _exposed(root: Path) -> Iterator[Problem]:
    """Files of secrets that others than their owner can read."""
    there = [name for name in (SECRETS_FILE, ENV_FILE) if (root / name).is_file()]
    for name in there:
        if os.name == "posix" and stat.S_IMODE((root / name).stat().st_mode) & 0o077:
            yield Problem("others on this machine may read it", f"chmod 600 {name}", name, severity="warning")
    for name in tracked(root, there) if there else ():
        yield Problem(
            "it is in git: whoever gets the repository gets its secrets",
            f"git rm --cached {name}, put it into .gitignore, and have new secrets made: the old ones stay in git",
            name,
            severity="warning",
        )


def explain(project: Project, name: str) -> list[Parameter]:
    """Where each parameter of a source gets its value. Raises `DangoError` when the source cannot be imported."""
    prepare(project)
    job = _jobs(project, [name])[0]
    for value in values(at_work(project, "asking:explain", job, job)):
        if isinstance(value, list):
            return value
    raise AssertionError("a worker ends with a value or an error")


def about(project: Project, name: str) -> About:
    """What a source may be told, and what it has. Raises `DangoError` when it cannot be asked."""
    probe = Probe(_jobs(project, [name])[0])
    for value in values(at_work(project, "asking:about", probe, probe.job)):
        if isinstance(value, About):
            return value
    raise AssertionError("a worker ends with a value or an error")


def preview(project: Project, name: str, resources: Sequence[str], count: int) -> Iterator[Sample | Event]:
    """The first rows of a source; nothing is loaded, and no state is read or written.

    Args:
        project: whose source it is.
        name: of the source.
        resources: the only ones to look at; those that a sync would load where empty.
        count: rows of each.

    Yields:
        a sample a resource, also of one that fails; and what the source prints.

    Raises:
        DangoError: where nothing could be asked at all, with the cause.
    """
    source = project.source(name)
    project.require_environment([source], [])
    prepare(project)
    probe = Probe(project.job(source, resources=tuple(resources)), count=count)
    for value in values(at_work(project, "asking:preview", probe, probe.job)):
        if isinstance(value, Sample | Event):
            yield value


def lint(project: Project, names: Sequence[str]) -> Iterator[Problem]:
    """Checks registry entries: against every rule, and by building each with stand-ins for what a user would say.

    Args:
        project: whose registry it is.
        names: ids, or files of entries; every entry that the project sees where empty.
    """
    prepare(project)
    sound: dict[str, tuple[Document, Entry]] = {}
    for name in names or project.registry.ids:
        try:
            document = _entry_document(project, name)
            entry = entry_in(document)
        except ConfigError as error:
            yield from error.problems
            continue
        found = [_placed(document, finding) for finding in rules(entry)]
        yield from found
        if not any(problem.severity == "error" for problem in found):
            sound[entry.id] = document, entry
    try:
        yield from _unbuildable(project, sound) if sound else ()
    except ConfigError as error:
        # Of sources.yml; what was found so far is found all the same.
        yield from error.problems


def _unbuildable(project: Project, entries: Mapping[str, tuple[Document, Entry]]) -> Iterator[Problem]:
    """What dlt and the functions themselves say, asked in one process, since importing them takes its time."""
    payload = tuple(entry for _, entry in entries.values())
    with closing(watch(project, "asking:lint", (project.root, payload), "registry")) as found:
        for value in found:
            if isinstance(value, tuple):
                document, _ = entries[value[0]]
                yield from (_placed(document, finding) for finding in value[1])
            elif isinstance(value, RunError):
                yield Problem(value.message, value.hint, "registry")


def _entry_document(project: Project, name: str) -> Document:
    file = Path(name)
    return entry_document(file, name) if file.suffix in (".yml", ".yaml") else project.registry.document(name)


def _placed(document: Document, finding: RuleFinding) -> Problem:
    line, column = document.where(finding.loc)
    return Problem(f"{finding.message} [{finding.rule}]", finding.hint, document.name, line, column, finding.severity)


def _jobs(project: Project, names: Sequence[str]) -> list[Job]:
    sources = [project.source(name) for name in names] or list(project.config.sources)
    return [project.job(source) for source in sources]


def _with_environment(project: Project, finding: Finding) -> Finding:
    """The worker reports the first name that is not set; all of them are known here."""
    unset = project.unset(project.source(finding.source))
    if not unset:
        return finding
    rest = [p for p in finding.problems if not any(u.place == p.place or u.hint in p.message for u in unset)]
    named = [
        replace(u, hint=f"set it in the environment or in .env: {u.hint}=…", docs=page_of("MissingEnvironment"))
        for u in unset
    ]
    return Finding(finding.source, (*named, *rest))


def _with_executor(project: Project, finding: Finding) -> Finding:
    """Where a source runs is known without its process: whether there is such a place at all."""
    place = project.source(finding.source).executor or LOCAL
    if place in (LOCAL, AUTO) or place.startswith(SCHEME):
        return finding
    try:
        executors.named(place)
    except DangoError as error:
        at = project.place(finding.source, ("executor",))
        return Finding(finding.source, (*finding.problems, Problem.at(at, error.message, error.hint, docs=error.docs)))
    return finding

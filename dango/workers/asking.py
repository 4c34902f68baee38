"""What is asked of a source in a process of its own, with nothing loaded: whether it fits, what it has, what it gives.

As in `worker`, each function takes its payload and `send`, and what a source raises becomes a value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from dango.errors import Problem
from dango.job import Job, Secrets
from dango.load import destinations, pipeline
from dango.load.room import require_room
from dango.probe import About, Finding, Inspection, Probe, Sample, Tested
from dango.project import Project
from dango.registry.entry import Entry
from dango.secrets import Mask, leaves
from dango.sources import imports
from dango.sources.resolve import Resolved, missing_parameters, resolve
from dango.workers.boundary import boundary, importing, masking, reveal, run_error
from dango.workers.processes import Send


def check(jobs: tuple[Job, ...], send: Send) -> None:
    """Imports each source and fits its arguments; sends a `Finding` for each. Touches no network."""
    _find_in(jobs, send, rehearse=False)


def rehearse(jobs: tuple[Job, ...], send: Send) -> None:
    """As `check`, and looks for every secret and connects to the destination."""
    _find_in(jobs, send, rehearse=True)


def explain(job: Job, send: Send) -> None:
    """Sends the list of the source's `Parameter`s, or a `RunError`."""
    from dango.sources.explain import fields, parameters

    mask = masking(Project(job.root), send)
    send(importing(job))
    with boundary(job, mask) as failures:
        if job.entry is not None:
            send(fields(job))
        else:
            resolved = resolve(job)
            reveal(resolved, mask, send)
            send(list(parameters(resolved, job)))
    for told in failures:
        send(told)


def test(probe: Probe, send: Send) -> None:
    """Asks a source for a row of each resource; sends an `Inspection` where there is one, then `Tested`s."""
    _ask(probe, send, lambda resolved, mask: chain(_inspected(resolved, probe), _tested(resolved, probe, mask)))


def inspect(probe: Probe, send: Send) -> None:
    """Asks a source what it has; sends an `Inspection`, or a `RunError`."""
    _ask(probe, send, lambda resolved, mask: _inspected(resolved, probe))


def preview(probe: Probe, send: Send) -> None:
    """Asks a source for the first rows of each resource; sends `Sample`s, with secrets taken out of the rows."""
    _ask(probe, send, lambda resolved, mask: _sampled(resolved, probe, mask))


def describe(job: Job, send: Send) -> None:
    """Reads the function of a source that has no entry, and sends it as an `Entry`; a `RunError` where it cannot.

    Where the source names no function, the names of those that its module has are sent.
    """
    from dango.sources.describe import described

    block = job.source.dlt_native
    folder = Project(job.root).custom_sources
    send(importing(job))
    with boundary(job, masking(Project(job.root), send)) as failures:
        imports.install(folder)
        if job.plugin is not None:
            send(described(imports.of_plugin(job.plugin), job.plugin.module, job.plugin.name))
        elif block and block.source_function:
            located = imports.find(block.source_module, block.source_function, folder)
            send(described(located, block.source_module))
        elif block:
            send(imports.offered(imports.find_module(block.source_module, folder)))
    for told in failures:
        send(told)


def about(probe: Probe, send: Send) -> None:
    """Sends what the source says `About` itself, or a `RunError`."""
    _ask(probe, send, lambda resolved, mask: _told(resolved, probe.job, mask))


def lint(registry: tuple[Path, tuple[Entry, ...]], send: Send) -> None:
    """Builds each entry with stand-ins for what a user would say; sends its id and what is wrong with it.

    Args:
        registry: the project's root, and the entries.
        send: takes a pair for each entry.
    """
    from dango.sources.buildable import lint_built

    root, entries = registry
    folder = Project(root).custom_sources
    imports.install(folder)
    for entry in entries:
        send((entry.id, tuple(lint_built(entry, folder))))


def _ask(probe: Probe, send: Send, ask: Callable[[Resolved, Mask], Iterator[Any]]) -> None:
    job = probe.job
    mask = masking(Project(job.root), send)
    send(importing(job))
    unstored = tuple(leaves(probe.answers))
    mask.add(*unstored)
    send(Secrets(unstored))
    with boundary(job, mask) as failures:
        resolved = resolve(job, probe.answers)
        reveal(resolved, mask, send)
        for value in ask(resolved, mask):
            send(value)
    for told in failures:
        send(told)


def _inspected(resolved: Resolved, probe: Probe) -> Iterator[Inspection]:
    from dango.sources import probing

    found = probing.inspection(resolved, probe.job)
    if found is not None:
        yield found


def _told(resolved: Resolved, job: Job, mask: Mask) -> Iterator[About]:
    from dango.sources import probing

    yield probing.masked(probing.about(resolved, job), mask)


def _tested(resolved: Resolved, probe: Probe, mask: Mask) -> Iterator[Tested]:
    from dango.sources import probing

    return probing.rows(resolved, probe.job, lambda error: run_error(error, probe.job, mask))


def _sampled(resolved: Resolved, probe: Probe, mask: Mask) -> Iterator[Sample]:
    from dango.sources import probing
    from dango.sources.record_text import plain

    for sample in probing.samples(resolved, probe.job, probe.count, lambda error: run_error(error, probe.job, mask)):
        rows = tuple(plain(row, mask) for row in sample.rows)
        yield replace(sample, rows=rows, failed=tuple(map(mask, sample.failed)))


def _find_in(jobs: tuple[Job, ...], send: Send, *, rehearse: bool) -> None:
    # One reading of the project for all of them.
    project = Project(jobs[0].root)
    mask = masking(project, send)
    for job in jobs:
        send(Finding(job.source.name, tuple(_found(job, project, mask, send, rehearse=rehearse))))


def _found(job: Job, project: Project, mask: Mask, send: Send, *, rehearse: bool) -> Iterator[Problem]:
    from dango.sources.explain import parameters
    from dango.sources.literals import literal_secrets
    from dango.sources.traps import traps

    send(importing(job))
    with boundary(job, mask, project) as failures:
        resolved = resolve(job)
        reveal(resolved, mask, send)
        yield from traps(resolved.function, job.root)
        yield from literal_secrets(resolved, job, project)
        if any(job.source.steps):
            from dango.sources import processing

            yield from processing.problems(job, project)
        destinations.build(job)
        if job.source.split:
            from dango.load import ranges

            ranges.require_divisible(job)
        if rehearse:
            require_room(job.root)
            missing = [parameter.name for parameter in parameters(resolved, job) if parameter.missing]
            if missing:
                raise missing_parameters(missing, job.source.name, resolved.call.arguments_at)
            pipeline.reachable(job)
    for told in failures:
        yield Problem.at(told.place or project.place(job.source.name), told.message, told.hint, docs=told.docs)

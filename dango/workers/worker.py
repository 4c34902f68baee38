"""What happens in a job's own process: the functions that `supervision.watch` runs.

Each takes its payload and `send`, and imports what the others do not need: no sync waits for the reader of signatures.
Sources are other people's code: whatever one raises, exits or yields becomes a value here, with its secrets masked,
and stops nobody else.
"""

from __future__ import annotations

import datetime as dt
import gc
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from dango import environments, parts
from dango.dlt_internals import providers
from dango.entrusted import Entrusted
from dango.errors import Held, Problem
from dango.history import History
from dango.job import Event, Examination, Job, Secrets, Skipped
from dango.load import destinations, pipeline
from dango.load.room import require_room
from dango.lock import lock
from dango.paths import TablePath
from dango.probe import About, Finding, Inspection, Probe, Sample, Tested
from dango.profiling import Sampler, Steps, profile
from dango.project import Project
from dango.references import References
from dango.registry.entry import Entry
from dango.secrets import Mask, leaves, project_mask
from dango.sources import imports
from dango.sources.record_errors import RecordErrors
from dango.sources.resolve import Resolved, missing_parameters, resolve
from dango.stored.wishes import CursorWish, DropWish
from dango.workers.boundary import boundary, run_error
from dango.workers.processes import Send

_BETWEEN_COLLECTIONS = 200_000
"""So many objects more than went away are there before Python looks for garbage again."""


def load(job: Job, send: Send) -> None:
    """Syncs one source; sends events and at last its `RunResult`."""
    _load(Project(job.root), job, send)


def load_entrusted(work: tuple[Job, Entrusted], send: Send) -> None:
    """As `load`, with the source's secrets as a value in place of the project's files."""
    job, entrusted = work
    providers.entrust(entrusted.secrets)
    _load(Project(job.root, entrusted), job, send)


def _load(project: Project, job: Job, send: Send) -> None:
    started = dt.datetime.now(dt.timezone.utc)
    mask = _masking(project, send)
    result = job.begun(started)
    if job.part:
        folder = parts.working_folder(project.state, job)
    else:
        folder = project.working_folder(job.source, job.destination, job.dataset)
    spool = folder.with_name(f"{folder.name}.failed.jsonl")
    records = RecordErrors(spool, job.run, job.source.name, mask, job.root, job.limit)
    sampler, steps = Sampler(), Steps("import")
    paths: tuple[TablePath, ...] = ()

    def tell(event: Event) -> None:
        steps.note(event.step)
        send(_masked(event, mask))

    def say(message: str) -> None:
        tell(Event(job.source.name, "log", message=message))

    with boundary(job, mask) as failures, sampler.running() if job.profile else nullcontext():
        # Whoever has planned the parts of a source holds it for all of them.
        with (
            nullcontext()
            if job.part
            else lock(
                History(project.state).lock_file(job.source.name), f"source `{job.source.name}`", job.wait or 0.0, say
            )
        ):
            send(_importing(job))
            resolved = resolve(job)
            _reveal(resolved, mask, send)
            with _rarely_collected():
                outcome = pipeline.load(job, resolved, folder, tell, records)
        skipped = tuple(Skipped(name, run_error(error, job, mask)) for name, error in outcome.left_out)
        result = replace(result, status=outcome.status, tables=outcome.tables, skipped=skipped)
        paths = outcome.paths
    for told in failures:
        result = replace(result, status="held" if told.exit_code == Held.exit_code else "failed", error=told)
    if job.profile:
        result = replace(result, profile=profile(steps.ended(), sampler.seconds, paths))
    result = replace(result, processors=records.processors)
    send(replace(result, failed=records.sample(), failed_count=records.failed).ended())


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Python looks for garbage in cycles whenever it has made some hundred objects; rows are millions, and in none."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(_BETWEEN_COLLECTIONS, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def divide(job: Job, send: Send) -> None:
    """Sends the `Division` of a job, or a `RunError`."""
    from dango.load import ranges

    mask = _masking(Project(job.root), send)
    send(_importing(job))
    with boundary(job, mask) as failures:
        resolved = resolve(job)
        _reveal(resolved, mask, send)
        send(ranges.divided(job, resolved))
    for told in failures:
        send(told)


def environment(job: Job, send: Send) -> None:
    """Builds the environment that the job's source asks for; sends events, at last a `RunError` if it cannot."""
    asked = environments.wanted(job)
    mask = _masking(Project(job.root), send)
    send(Event(job.source.name, "environment"))
    with boundary(job, mask) as failures:
        assert asked is not None
        environments.build(asked, lambda said: send(Event(job.source.name, "log", message=mask(said))))
    for told in failures:
        send(told)


def check(jobs: tuple[Job, ...], send: Send) -> None:
    """Imports each source and fits its arguments; sends a `Finding` for each. Touches no network."""
    _find_in(jobs, send, rehearse=False)


def rehearse(jobs: tuple[Job, ...], send: Send) -> None:
    """As `check`, and looks for every secret and connects to the destination."""
    _find_in(jobs, send, rehearse=True)


def explain(job: Job, send: Send) -> None:
    """Sends the list of the source's `Parameter`s, or a `RunError`."""
    from dango.sources.explain import fields, parameters

    mask = _masking(Project(job.root), send)
    send(_importing(job))
    with boundary(job, mask) as failures:
        if job.entry is not None:
            send(fields(job))
        else:
            resolved = resolve(job)
            _reveal(resolved, mask, send)
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
    send(_importing(job))
    with boundary(job, _masking(Project(job.root), send)) as failures:
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


def address(job: Job, send: Send) -> None:
    """Sends the `Address` of the job's destination, or a `RunError`."""
    with boundary(job, _masking(Project(job.root), send)) as failures:
        send(destinations.address(job))
    for told in failures:
        send(told)


def examine(examination: Examination, send: Send) -> None:
    """Looks into a destination for what past runs left there; sends `Leftover`s, at last a `RunError` if it cannot."""
    from dango.stored.examination import examined

    job = examination.job
    mask = _masking(Project(job.root), send)
    with boundary(job, mask) as failures:
        for found in examined(examination):
            send(replace(found, what=mask(found.what)))
    for told in failures:
        send(told)


def cursors(wish: CursorWish, send: Send) -> None:
    """Sends a source's `Cursors`, or the tuple of what is `Moved`; a `RunError` where it cannot."""
    from dango.stored import cursors as engine

    job = wish.job
    project = Project(job.root)
    folder = project.working_folder(job.source, job.destination, job.dataset)
    file = History(project.state).lock_file(job.source.name)
    with boundary(job, _masking(project, send)) as failures, lock(file, f"source `{job.source.name}`"):
        if not (wish.values or wish.reset):
            send(engine.shown(wish, folder))
        else:
            send((engine.moved if wish.write else engine.planned)(wish, folder))
    for told in failures:
        send(told)


def drop(wish: DropWish, send: Send) -> None:
    """Drops what a source has in its destination, if it is to; sends the tuple of `Holding`s, or a `RunError`."""
    from dango.stored import dropping as engine

    job = wish.job
    with boundary(job, _masking(Project(job.root), send)) as failures:
        send((engine.dropped if wish.write else engine.held)(job))
    for told in failures:
        send(told)


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
    mask = _masking(Project(job.root), send)
    send(_importing(job))
    unstored = tuple(leaves(probe.answers))
    mask.add(*unstored)
    send(Secrets(unstored))
    with boundary(job, mask) as failures:
        resolved = resolve(job, probe.answers)
        _reveal(resolved, mask, send)
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
    mask = _masking(project, send)
    for job in jobs:
        send(Finding(job.source.name, tuple(_found(job, project, mask, send, rehearse=rehearse))))


def _found(job: Job, project: Project, mask: Mask, send: Send, *, rehearse: bool) -> Iterator[Problem]:
    from dango.sources.explain import parameters
    from dango.sources.literals import literal_secrets
    from dango.sources.traps import traps

    send(_importing(job))
    with boundary(job, mask) as failures:
        resolved = resolve(job)
        _reveal(resolved, mask, send)
        yield from traps(resolved.function, job.root)
        yield from literal_secrets(resolved, job, project)
        if any(job.source.steps):
            from dango.sources import processing

            yield from processing.problems(job, project)
        destinations.build(job)
        if rehearse:
            require_room(job.root)
            missing = [parameter.name for parameter in parameters(resolved, job) if parameter.missing]
            if missing:
                raise missing_parameters(missing, job.source.name, resolved.call.arguments_at)
            pipeline.reachable(job)
    for told in failures:
        yield Problem.at(told.place or project.place(job.source.name), told.message, told.hint, docs=told.docs)


def _masking(project: Project, send: Send) -> Mask:
    """What hides the project's secrets from here on, also those that `secrets.toml` only refers to."""
    mask = project_mask(project, os.environ)
    if project.entrusted is not None:
        # What it refers to has been found where the file is.
        return mask

    def tell(secret: str) -> None:
        mask.add(secret)
        send(Secrets((secret,)))

    providers.follow(References(project, tell))
    return mask


def _reveal(resolved: Resolved, mask: Mask, send: Send) -> None:
    """The source's signature says what is secret; from here on both sides mask it."""
    secrets = tuple(resolved.secrets.values())
    mask.add(*secrets)
    send(Secrets(secrets))


def _importing(job: Job) -> Event:
    block = job.source.dlt_native
    return Event(job.source.name, "import", message=f"`{block.source_module if block else job.source.type}`")


def _masked(event: Event, mask: Mask) -> Event:
    return replace(event, message=mask(event.message)) if event.message else event

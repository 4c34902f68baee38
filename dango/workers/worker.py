"""What happens in a job's own process: the functions that `supervision.watch` runs.

Each takes its payload and `send`, and imports what a sync does not need. What is asked without loading: `asking`.
Sources are other people's code: whatever one raises, exits or yields becomes a value here, with its secrets masked,
and stops nobody else.
"""

from __future__ import annotations

import datetime as dt
import gc
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace

from dango import environments, parts
from dango.dlt_internals import providers
from dango.entrusted import Entrusted
from dango.errors import Held
from dango.history import History
from dango.job import Event, Job, Skipped
from dango.leftover import Examination
from dango.load import destinations, pipeline
from dango.lock import lock
from dango.paths import TablePath
from dango.profiling import Sampler, Steps, profile
from dango.project import Project
from dango.secrets import Mask
from dango.sources.record_errors import RecordErrors
from dango.sources.resolve import resolve
from dango.stored.wishes import CursorWish, DropWish
from dango.workers.boundary import boundary, following, importing, masking, reveal, run_error
from dango.workers.processes import Send

_BETWEEN_COLLECTIONS = 200_000
"""So many objects more than went away are there before Python looks for garbage again."""


def load(work: tuple[Job, Mask], send: Send) -> None:
    """Syncs one source; sends events and at last its `RunResult`.

    Takes the project's mask, too: to make it, all of its sources are read, and of two hundred each would read them.
    """
    job, mask = work
    _load(Project(job.root), job, mask, send)


def load_entrusted(work: tuple[Job, Mask, Entrusted], send: Send) -> None:
    """As `load`, with the source's secrets as a value in place of the project's files."""
    job, mask, entrusted = work
    providers.entrust(entrusted.secrets)
    _load(Project(job.root, entrusted), job, mask, send)


def _load(project: Project, job: Job, mask: Mask, send: Send) -> None:
    started = dt.datetime.now(dt.timezone.utc)
    following(project, mask, send)
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
            send(importing(job))
            resolved = resolve(job)
            reveal(resolved, mask, send)
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

    mask = masking(Project(job.root), send)
    send(importing(job))
    with boundary(job, mask) as failures:
        resolved = resolve(job)
        reveal(resolved, mask, send)
        send(ranges.divided(job, resolved, lambda said: send(Event(job.source.name, "log", message=mask(said)))))
    for told in failures:
        send(told)


def environment(job: Job, send: Send) -> None:
    """Builds the environment that the job's source asks for; sends events, at last a `RunError` if it cannot."""
    asked = environments.wanted(job)
    mask = masking(Project(job.root), send)
    send(Event(job.source.name, "environment"))
    with boundary(job, mask) as failures:
        assert asked is not None
        environments.build(asked, lambda said: send(Event(job.source.name, "log", message=mask(said))))
    for told in failures:
        send(told)


def address(job: Job, send: Send) -> None:
    """Sends the `Address` of the job's destination, or a `RunError`."""
    with boundary(job, masking(Project(job.root), send)) as failures:
        send(destinations.address(job))
    for told in failures:
        send(told)


def examine(examination: Examination, send: Send) -> None:
    """Looks into a destination for what past runs left there; sends `Leftover`s, at last a `RunError` if it cannot."""
    from dango.stored.examination import examined

    job = examination.job
    mask = masking(Project(job.root), send)
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
    with boundary(job, masking(project, send)) as failures, lock(file, f"source `{job.source.name}`"):
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
    with boundary(job, masking(Project(job.root), send)) as failures:
        send((engine.dropped if wish.write else engine.held)(job))
    for told in failures:
        send(told)


def _masked(event: Event, mask: Mask) -> Event:
    return replace(event, message=mask(event.message)) if event.message else event

"""A source asked, and nothing loaded: the first rows of each resource, and what a database says of itself."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import replace
from itertools import islice
from typing import Any

from dlt.sources import DltResource, DltSource

from dango import durations
from dango.errors import ConnectorFailed, page_of
from dango.failed import Failed, collecting
from dango.job import Job, RunError
from dango.probe import About, Checked, Inspection, Option, Sample, Tested
from dango.project import Project
from dango.sources import imports
from dango.sources.describe import described
from dango.sources.resolve import Resolved, build

SECONDS = 30.0
"""How long one resource may take to give its first rows. `DANGO_TEST_SECONDS` says otherwise."""
_ROWS = 10
"""So many are asked for to get one: a cursor may leave the first out, and what a transformer gets may lead to none."""


def inspection(resolved: Resolved, job: Job) -> Inspection | None:
    """What the source says of itself; None where nothing is known that would ask it.

    Raises:
        DangoError: where it cannot be reached, with the cause.
    """
    found = _asked(resolved.call.inspect, resolved, job)
    assert found is None or isinstance(found, Inspection)
    return found


def checked(resolved: Resolved, job: Job) -> Checked | None:
    """Whether the source itself says that it reaches what it reads; None where it cannot tell."""
    found = _asked(resolved.call.check, resolved, job)
    assert found is None or isinstance(found, Checked)
    return found


def about(resolved: Resolved, job: Job) -> About:
    """What the source may be told, and which resources it has, as it says itself, or as its entry or signature does.

    Raises:
        DangoError: where it cannot be asked, with the cause.
    """
    found = _asked(resolved.call.about, resolved, job)
    if isinstance(found, About):
        return found
    located = imports.Located(resolved.module, resolved.call.function, resolved.function)
    entry = job.entry or described(located, resolved.module)
    options = tuple(
        Option(spec.name, spec.kind, spec.default, spec.required, spec.secret, spec.help or spec.title)
        for spec in entry.fields
    )
    tables = inspection(resolved, job) if job.entry and entry.select.live else None
    return About(options, tuple(table.name for table in tables.tables) if tables else entry.resources)


def masked(found: About, mask: Callable[[str], str]) -> About:
    """The same without secrets, of which a default may be made: such a one is shown as masked text."""

    def unseen(default: Any) -> Any:
        text = mask(str(default))
        return default if text == str(default) else text

    options = tuple(replace(each, default=unseen(each.default)) for each in found.options)
    return replace(found, options=options, problems=tuple(map(mask, found.problems)))


def _asked(reference: str | None, resolved: Resolved, job: Job) -> Any:
    """What a function beside the source's own says, called with the same arguments; None where there is none."""
    if reference is None:
        return None
    module, _, function = reference.partition(":")
    located = imports.find(module, function, Project(job.root).custom_sources)
    return located.function(**resolved.arguments)


def rows(resolved: Resolved, job: Job, told: Callable[[BaseException], RunError]) -> Iterator[Tested]:
    """Whether the source passes its own check, and each selected resource gives a row; see `samples`."""
    started = time.monotonic()
    if (said := checked(resolved, job)) is not None:
        error = told(ConnectorFailed(said.problem)) if said.problem else None
        yield Tested("its own check", round(time.monotonic() - started, 3), error=error, check=True)
        if error or said.final:
            return
    for sample in samples(resolved, job, 1, told):
        failed = sample.failed and not sample.rows
        broken = RunError("Failed", sample.failed[0], docs=page_of("Failed")) if failed else None
        yield Tested(sample.resource, sample.seconds, len(sample.rows), sample.error or broken)


def samples(resolved: Resolved, job: Job, count: int, told: Callable[[BaseException], RunError]) -> Iterator[Sample]:
    """Takes the first rows of each selected resource. No pipeline is made: no state, package or table is left.

    A cursor begins at its first value, since what was loaded is not looked at.

    Args:
        resolved: the source's function and arguments.
        job: what to ask.
        count: how many rows of each resource are wanted.
        told: an exception in the user's words, with secrets taken out.

    Raises:
        UsageError: where the environment says nonsense of how long that may take.
    """
    seconds = durations.seconds(os.environ, "DANGO_TEST_SECONDS", SECONDS, threading.TIMEOUT_MAX)
    source = build(resolved, job)
    for resource in source.resources.values():
        if not resource.is_transformer:
            # Also what is not selected: a transformer that is takes its data from it.
            resource.add_limit(_ROWS * count, count_rows=True)
    failed: dict[str, list[Failed]] = {name: [] for name in source.selected_resources}
    with _ways(source, job, failed) as ways:
        for name, resource in source.selected_resources.items():
            through = ways[name].all if name in ways else None
            yield _sample(name, resource, through, failed[name], count, seconds, told)


def _ways(source: DltSource, job: Job, failed: Mapping[str, list[Failed]]) -> AbstractContextManager[Mapping[str, Any]]:
    if not any(job.source.steps):
        return nullcontext({})
    from dango.sources.processing import ways

    return ways(source, job, lambda name, record: failed[name].append(record))


def _sample(
    name: str,
    resource: DltResource,
    through: Callable[[Iterable[Any]], Iterator[Any]] | None,
    failed: list[Failed],
    count: int,
    seconds: float,
    told: Callable[[BaseException], RunError],
) -> Sample:
    """The first rows; taken in a thread, since a source that never answers cannot be stopped otherwise."""
    found: list[Any] = []
    ended: list[RunError | None] = []
    started = time.monotonic()

    def ask() -> None:
        try:
            with collecting(failed.append), closing(iter(resource)) as asked:
                good = _good(asked, failed)
                for row in islice(_rows(through(good) if through else good, count), count):
                    found.append(row)
        except BaseException as error:  # noqa: BLE001 - sources are other people's code; one must not stop the rest
            ended.append(told(error))
        else:
            ended.append(None)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    error = ended[0] if ended else _late(len(found), count, seconds)
    messages = tuple(record.message for record in failed)
    return Sample(name, round(time.monotonic() - started, 3), tuple(found[:count]), messages, error)


def _good(items: Iterable[Any], failed: list[Failed]) -> Iterator[Any]:
    """What the source could make; the rest goes to `failed`."""
    for item in items:
        if isinstance(item, Failed):
            failed.append(item)
        else:
            yield item


def _rows(items: Iterable[Any], count: int) -> Iterator[Any]:
    """Row by row what comes in tables and lists, too, of tables the first rows."""
    for item in items:
        if hasattr(item, "to_pylist"):
            yield from item.slice(0, count).to_pylist()
        elif hasattr(item, "to_dict") and hasattr(item, "columns"):
            yield from item.head(count).to_dict("records")
        elif isinstance(item, list):
            yield from item
        else:
            yield item


def _late(there: int, count: int, seconds: float) -> RunError:
    came = f"{there} of {count} rows" if there else "no row"
    hint = "the server may be slow, or filters leave nothing (the environment variable DANGO_TEST_SECONDS allows more)"
    return RunError("Timeout", f"{came} within {seconds:g} s", hint, docs=page_of("Timeout"))

"""A source asked, and nothing loaded: one row of each resource, and what a database says of itself."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing

from dlt.sources import DltResource

from dango import durations, imports
from dango.job import Inspection, Job, RunError, Tested
from dango.project import Project
from dango.resolve import Resolved, build

SECONDS = 30.0
"""How long one resource may take to give its first row. `DANGO_TEST_SECONDS` says otherwise."""
_ROWS = 10
"""So many are asked for: the first that a transformer gets may lead to none."""


def inspection(resolved: Resolved, job: Job) -> Inspection | None:
    """What the source says of itself; None where nothing is known that would ask it.

    Raises:
        DangoError: where it cannot be reached, with the cause.
    """
    if resolved.call.inspect is None:
        return None
    module, _, function = resolved.call.inspect.partition(":")
    located = imports.find(module, function, Project(job.root).custom_sources)
    found = located.function(**resolved.arguments)
    assert isinstance(found, Inspection)
    return found


def rows(resolved: Resolved, job: Job, told: Callable[[BaseException], RunError]) -> Iterator[Tested]:
    """Takes the first row of each selected resource. No pipeline is made: no state, package or table is left.

    Args:
        resolved: the source's function and arguments.
        job: what to ask.
        told: an exception in the user's words, with secrets taken out.

    Raises:
        UsageError: where the environment says nonsense of how long that may take.
    """
    seconds = durations.seconds(os.environ, "DANGO_TEST_SECONDS", SECONDS, threading.TIMEOUT_MAX)
    source = build(resolved, job)
    for resource in source.resources.values():
        if not resource.is_transformer:
            # Also what is not selected: a transformer that is takes its data from it.
            resource.add_limit(_ROWS, count_rows=True)
    for name, resource in source.selected_resources.items():
        yield _first(name, resource, seconds, told)


def _first(name: str, resource: DltResource, seconds: float, told: Callable[[BaseException], RunError]) -> Tested:
    """Whether a row comes; in a thread, since a source that never answers cannot be stopped otherwise."""
    outcome: list[Tested] = []
    started = time.monotonic()

    def ask() -> None:
        try:
            with closing(iter(resource)) as asked:
                found = any(True for _ in asked)
        except BaseException as error:  # noqa: BLE001 - sources are other people's code; one must not stop the rest
            outcome.append(Tested(name, _since(started), error=told(error)))
        else:
            outcome.append(Tested(name, _since(started), int(found)))

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(seconds)
    if outcome:
        return outcome[0]
    hint = "the server may be slow, or filters leave nothing (the environment variable DANGO_TEST_SECONDS allows more)"
    return Tested(name, _since(started), error=RunError("Timeout", f"no row within {seconds:g} s", hint))


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)

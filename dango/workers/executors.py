"""Where jobs run. Here: some at once, each in a process of its own on this machine."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from typing import Protocol

from dango.errors import PluginNotFound
from dango.job import Event, Job, RunResult
from dango.registry.plugins import EXECUTORS, Plugin, plugin, told
from dango.workers.processes import Workers

Values = Generator[Event | RunResult, None, None]
Supervise = Callable[[Job], Values]


class Executor(Protocol):
    """Runs jobs somewhere. A cluster is another of these."""

    def run(self, jobs: Iterable[Job], on_event: Callable[[Event], None]) -> Iterator[RunResult]:
        """Yields results as they complete. Events are told in the thread that asks for results."""
        ...

    def close(self) -> None:
        """Cancels what is under way; returns when it has ended."""
        ...


LOCAL = "local"
"""The place for jobs of which nothing else is said: processes of this machine."""


def named(name: str) -> Plugin:
    """What brings the executor of that name. Raises `PluginNotFound`, naming the nearest, and all places there are."""
    try:
        return plugin(EXECUTORS, name)
    except PluginNotFound as error:
        raise PluginNotFound(error.message, f"{error.hint}; a Ray cluster: ray://HOST:PORT, auto") from None


def load(name: str, supervise: Supervise, workers: Workers, at_once: int) -> Executor:
    """The executor of that name: what the entry point of `dango.executors` names is called as `LocalExecutor` is.

    Raises:
        PluginNotFound: naming the nearest, and those of them that are broken.
        BrokenPlugin: where it cannot be imported or made, or is no `Executor`: what it lacks is named.
    """
    found = named(name)
    factory = found.load()
    if not callable(factory):
        raise found.broken(f"`{found.value}` is a {type(factory).__name__}, and is to be called")
    try:
        executor: Executor = factory(supervise, workers, at_once)
    except Exception as error:
        raise found.broken(f"`{found.value}` cannot be called: {told(error)}") from error
    if lacking := [f"`{each}`" for each in ("run", "close") if not callable(getattr(executor, each, None))]:
        raise found.broken(f"what `{found.value}` makes is no executor: it has no method {', '.join(lacking)}")
    return executor


def cores() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class LocalExecutor:
    """Jobs in processes of this machine.

    Args:
        supervise: yields what happens in a job, and at last its result.
        workers: whose processes `supervise` uses; they end with the executor.
        at_once: how many jobs are under way at a time.
    """

    def __init__(self, supervise: Supervise, workers: Workers, at_once: int) -> None:
        self._supervise = supervise
        self._workers = workers
        self._threads = ThreadPoolExecutor(at_once, thread_name_prefix="job")
        self._told: queue.SimpleQueue[Event | RunResult | Future[None]] = queue.SimpleQueue()

    def run(self, jobs: Iterable[Job], on_event: Callable[[Event], None]) -> Iterator[RunResult]:
        """Yields results as they complete."""
        under_way = [self._threads.submit(self._work, job) for job in jobs]
        for future in under_way:
            future.add_done_callback(self._told.put)
        left = len(under_way)
        while left:
            value = self._told.get()
            if isinstance(value, RunResult):
                yield value
            elif isinstance(value, Event):
                on_event(value)
            else:
                left -= 1
                value.result()

    def _work(self, job: Job) -> None:
        with closing(self._supervise(job)) as values:
            for value in values:
                self._told.put(value)

    def close(self) -> None:
        """Ends the jobs under way, and begins no other."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._workers.close()
        self._threads.shutdown()


class Several:
    """Jobs in more than one place, all of them at the same time.

    Args:
        executors: by place.
        place: where a job runs.
    """

    def __init__(self, executors: Mapping[str, Executor], place: Callable[[Job], str]) -> None:
        self._executors = executors
        self._place = place
        self._told: queue.SimpleQueue[Event | RunResult | BaseException | None] = queue.SimpleQueue()

    def run(self, jobs: Iterable[Job], on_event: Callable[[Event], None]) -> Iterator[RunResult]:
        """Yields results as they complete, wherever they do. Raises what any of the places does."""
        places: dict[str, list[Job]] = {}
        for job in jobs:
            places.setdefault(self._place(job), []).append(job)
        for place, those in places.items():
            threading.Thread(target=self._work, args=(self._executors[place], those), daemon=True).start()
        left = len(places)
        while left:
            value = self._told.get()
            if isinstance(value, RunResult):
                yield value
            elif isinstance(value, Event):
                on_event(value)
            elif value is None:
                left -= 1
            else:
                raise value

    def _work(self, executor: Executor, jobs: Sequence[Job]) -> None:
        ended: BaseException | None = None
        try:
            for result in executor.run(jobs, self._told.put):
                self._told.put(result)
        except BaseException as error:  # noqa: BLE001 - raised where the results are asked for
            ended = error
        self._told.put(ended)

    def close(self) -> None:
        """Ends all of them."""
        for executor in self._executors.values():
            executor.close()

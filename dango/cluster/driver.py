"""Jobs on a Ray cluster, from this side: each is a task, and what is lost with a machine is begun again elsewhere.

Ray's own retries are off: an attempt that is begun again has a number, by which the destination refuses the one before
(`load.lease`), and only a machine's failure is a reason for one. What a source does wrong is its result.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dango import packages
from dango.cluster import AUTO, SCHEME, node
from dango.cluster.bundle import bundle
from dango.cluster.entrusting import entrust
from dango.cluster.places import require_shared
from dango.entrusted import Entrusted
from dango.errors import ClusterRefused, DangoError, MissingPackage, WorkerLost
from dango.job import Event, Job, RunResult
from dango.project import Project

ATTEMPTS = 3
"""How often a job is begun in all, where machines fail under it."""

_UNDER_WAY = 1000
"""So many tasks at most: Ray plans as many at ease, and whoever adds machines by what waits sees enough."""
_LISTEN = 1.0
_GATHER = 0.1
_CANCEL = 1.0
_CONNECT = 5.0
_START = (
    "ray start --head; from elsewhere ray://HOST:10001, on a node `auto`, which takes RAY_ADDRESS where that is set"
)


def executor(project: Project, address: str, jobs: Sequence[Job], at_once: int | None = None) -> RayExecutor:
    """An executor for jobs. Raises what `RayExecutor` does, and `UsageError` where one of them cannot run elsewhere."""
    _require_listener(os.environ.get("RAY_ADDRESS", "") if address == AUTO else address)
    for job in jobs:
        require_shared(project, job)
    return RayExecutor(project, address, at_once)


@dataclass(slots=True)
class _Attempt:
    """A job that is under way.

    Attributes:
        job: with the number of the attempt.
        entrusted: what its source may know.
        heard: how many of its events have been told.
    """

    job: Job
    entrusted: Entrusted
    heard: int = 0


@dataclass(frozen=True, slots=True)
class _Told:
    """An event of an attempt, and the how manyth it is."""

    attempt: int
    number: int
    event: Event


class RayExecutor:
    """Runs jobs as tasks of a cluster.

    Args:
        project: whose jobs they are.
        address: `ray://HOST:PORT`, or `auto`.
        at_once: how many jobs are under way at a time; without it as many as the cluster has room for.

    Raises:
        MissingPackage: where Ray is not installed.
        ClusterRefused: where no cluster is there, or it is of other versions than this machine.
        UsageError: where the project cannot be taken there.
    """

    def __init__(self, project: Project, address: str, at_once: int | None = None) -> None:
        self._project = project
        self._most = at_once or _UNDER_WAY
        self._under_way: dict[Any, _Attempt] = {}
        packed = bundle(project)
        self._ray = _connected(address)
        try:
            self._require_alike(address)
        except BaseException:
            self._ray.shutdown()
            raise
        self._packed = self._ray.put(packed)
        self._mailbox = self._ray.remote(_Mailbox).options(num_cpus=0, max_restarts=-1).remote()
        self._task = self._ray.remote(_task)

    def run(self, jobs: Iterable[Job], on_event: Callable[[Event], None]) -> Iterator[RunResult]:
        """Yields results as they complete."""
        waiting = deque(jobs)
        news = self._mailbox.take.remote(_LISTEN)
        while waiting or self._under_way:
            while waiting and len(self._under_way) < self._most:
                job = waiting.popleft()
                # What is sent is told at once: the cluster may be long in finding room for it.
                on_event(Event(job.source.name, "queued", part=job.part_name))
                try:
                    self._begin(_Attempt(job, entrust(self._project, job)))
                except DangoError as error:
                    yield job.failed(error)
            ready, _ = self._ray.wait([*self._under_way, news], num_returns=1)
            if news in ready:
                self._tell(self._heard(news), on_event)
                news = self._mailbox.take.remote(_LISTEN)
            for task in ready:
                if attempt := self._under_way.pop(task, None):
                    yield from self._ended(task, attempt, on_event)

    def close(self) -> None:
        """Cancels what is under way: a task's process is killed, and with it the source's."""
        with contextlib.suppress(Exception):  # the cluster may be gone
            for task in self._under_way:
                self._ray.cancel(task, force=True)
            if self._under_way:
                self._ray.wait([*self._under_way], num_returns=len(self._under_way), timeout=_CANCEL)
        self._ray.shutdown()

    def _begin(self, attempt: _Attempt) -> None:
        job = attempt.job
        # Its name is shown by the cluster, to whoever may look.
        task = self._task.options(max_retries=0, name=" ".join(filter(None, ("dango", job.source.name, job.part_name))))
        self._under_way[task.remote(self._packed, attempt.entrusted, job, self._mailbox)] = attempt

    def _ended(self, task: Any, attempt: _Attempt, on_event: Callable[[Event], None]) -> Iterator[RunResult]:
        errors, job = self._ray.exceptions, attempt.job
        # Another machine, or another hour, knows nothing of them.
        lost = (
            errors.WorkerCrashedError, errors.NodeDiedError, errors.LocalRayletDiedError, errors.OutOfMemoryError,
            errors.ObjectLostError,
        )  # fmt: skip
        try:
            result, events = self._ray.get(task)
        except lost as error:
            why = type(error).__name__
            if job.attempt >= ATTEMPTS:
                yield job.failed(
                    WorkerLost(job.source.name, f"its machine was lost {ATTEMPTS} times, at last by {why}")
                )
                return
            on_event(
                Event(
                    job.source.name,
                    "log",
                    message=f"its machine was lost ({why}); it is begun again",
                    part=job.part_name,
                )
            )
            self._begin(_Attempt(replace(job, attempt=job.attempt + 1), attempt.entrusted))
        except errors.RayError as error:
            # Not its text, in which there may be anything.
            yield job.failed(WorkerLost(job.source.name, f"the cluster could not run it ({type(error).__name__})"))
        else:
            for told in events:
                if told.number >= attempt.heard:
                    on_event(told.event)
            yield result

    def _tell(self, news: Sequence[_Told], on_event: Callable[[Event], None]) -> None:
        """Tells events of the attempts that are under way: one that was given up may still speak."""
        attempts = {(each.job.source.name, each.job.part_name): each for each in self._under_way.values()}
        for told in news:
            attempt = attempts.get((told.event.source, told.event.part))
            if attempt and told.attempt == attempt.job.attempt and told.number >= attempt.heard:
                attempt.heard = told.number + 1
                on_event(told.event)

    def _heard(self, news: Any) -> Sequence[_Told]:
        try:
            told: Sequence[_Told] = self._ray.get(news)
        except self._ray.exceptions.RayActorError:
            # The mailbox was on a node that was lost, and begins anew elsewhere. What matters comes with the result.
            return ()
        return told

    def _require_alike(self, address: str) -> None:
        here = node.versions()

        # By value, as a function that has no name: where there is no dango, that is what it is to tell.
        def ask() -> dict[str, str]:
            from dango.cluster.node import versions

            return versions()

        try:
            there = self._ray.get(self._ray.remote(ask).options(num_cpus=0, max_retries=0).remote())
        except self._ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None) or error
            raise ClusterRefused(
                f"the nodes of {address} cannot run dango: {_first_line(cause)}",
                f"install there what is here: pip install 'dango[ray]=={here['dango']}'",
            ) from None
        if other := [name for name, number in here.items() if there[name] != number]:
            told = ", ".join(f"{name} {there[name]} there and {here[name]} here" for name in other)
            raise ClusterRefused(f"{address} has other versions: {told}", "both sides need the same: install it anew")


class _Mailbox:
    """Where tasks put what happens, for the one who listens. What is lost with it comes again with the results."""

    def __init__(self) -> None:
        self._news: list[_Told] = []
        self._there = asyncio.Event()

    async def put(self, told: _Told) -> None:
        self._news.append(told)
        self._there.set()

    async def take(self, seconds: float) -> list[_Told]:
        """What has come since; it is waited for so long, and then for what comes with it."""
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._there.wait(), seconds)
            # The one who listens looks at all tasks, a thousand maybe, each time that it hears something.
            await asyncio.sleep(_GATHER)
        self._there.clear()
        news, self._news = self._news, []
        return news


def _task(packed: bytes, entrusted: Entrusted, job: Job, mailbox: Any) -> tuple[RunResult, list[_Told]]:
    """On the node. What happened is told at once, and what people want to read comes with the result once more."""
    kept: list[_Told] = []
    number = 0

    def tell(event: Event) -> None:
        nonlocal number
        if event.step == "queued":
            # That was told when it was sent.
            return
        told = _Told(job.attempt, number, event)
        number += 1
        if not event.rows:
            kept.append(told)
        mailbox.put.remote(told)

    return node.work(packed, entrusted, job, tell), kept


def _connected(address: str) -> Any:
    """Ray, connected. Raises `MissingPackage` or `ClusterRefused`."""
    try:
        import ray
    except ImportError as error:
        raise MissingPackage(f"`--on {address}` needs the package ray", packages.install(["dango[ray]"])) from error
    # Ray has an answer of its own to SIGTERM, which is not to the second; ours stays.
    own = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ClusterRefused(f"no cluster at {address}: {_first_line(error)}", _START) from None
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, own)
    return ray


def _require_listener(address: str) -> None:
    """Raises `ClusterRefused` where nobody listens at an address; Ray itself would ask for a minute."""
    host, _, port = address.removeprefix(SCHEME).partition("/")[0].rpartition(":")
    if not (host and port.isdigit()):
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT).close()
    except OSError as error:
        raise ClusterRefused(f"no cluster at {address}: {error.strerror or error}", _START) from None


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)

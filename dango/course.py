"""The jobs of a run in their order: each source's own, or its parts, and after them what comes after."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace

from dango import parts
from dango.errors import DangoError
from dango.history import History
from dango.job import Event, Job, RunError, RunResult
from dango.lock import lock
from dango.parts import Division, Stored
from dango.project import Project
from dango.workers.executors import Executor
from dango.workers.processes import Workers
from dango.workers.supervision import at_work

OnEvent = Callable[[Event], None]


class Course:
    """What a run does, from what it was asked for.

    Args:
        project: whose jobs they are.
        jobs: one a source.
        workers: where sources are asked how far they go.
    """

    def __init__(self, project: Project, jobs: Sequence[Job], workers: Workers) -> None:
        self._project = project
        self._jobs = {job.source.name: job for job in jobs}
        self._workers = workers
        self._plans: dict[str, Stored] = {}
        self._ended: dict[str, list[RunResult]] = {}

    def results(self, executor: Executor, on_event: OnEvent) -> Iterator[RunResult]:
        """Yields one result a source, as they complete. Every plan is on disk before the first job begins."""
        with ExitStack() as held:
            begun: list[Job] = []
            for job in self._jobs.values():
                try:
                    begun += self._begun(job, held, on_event)
                except DangoError as error:
                    yield job.failed(error)
                except _Undivided as undivided:
                    yield job.failed(undivided.told)
            yield from self._run(executor, begun, on_event)
        # Each of these takes its source's lock by itself, as any job of a whole source does.
        rest = [rest for name, plan in self._plans.items() if (rest := plan.rest(self._jobs[name])) and plan.whole]
        if rest:
            yield from self._run(executor, rest, on_event)

    def _begun(self, job: Job, held: ExitStack, on_event: OnEvent) -> list[Job]:
        """The jobs that a source begins with. Its lock is held until the parts are done, where there are any."""
        name, state = job.source.name, self._project.state
        folder = parts.planned(state, job.run, name)
        again = folder.is_dir()
        if not again:
            parts.require_none(state, job)
            if not _divisible(job):
                return [job]
        with ExitStack() as taken:
            taken.enter_context(lock(History(state).lock_file(name), f"source `{name}`", job.wait or 0.0))
            if again:
                plan = parts.read(folder)
            else:
                parts.forget_superseded(state, job)
                division = self._division(job, on_event)
                if not division.parts:
                    return [job]
                plan = parts.store(state, job, division)
            self._plans[name] = plan
            held.enter_context(taken.pop_all())
        return plan.jobs(job, again=again)

    def _division(self, job: Job, on_event: OnEvent) -> Division:
        found = Division(())
        with closing(at_work(self._project, "worker:divide", job, job, self._workers)) as told:
            for value in told:
                if isinstance(value, RunError):
                    raise _Undivided(value)
                if isinstance(value, Division):
                    found = value
                elif isinstance(value, Event):
                    on_event(value)
        return found

    def _run(self, executor: Executor, jobs: Sequence[Job], on_event: OnEvent) -> Iterator[RunResult]:
        rows: dict[tuple[str, str], dict[str, int]] = {}

        def counting(event: Event) -> None:
            if event.part and event.resource:
                # Each part counts its own; people want to see how far the resource is.
                counted = rows.setdefault((event.source, event.resource), {})
                counted[event.part] = event.rows
                event = replace(event, rows=sum(counted.values()))
            on_event(event)

        left = Counter(job.source.name for job in jobs)
        for result in executor.run(jobs, counting):
            name = result.source
            if name not in self._plans:
                if self._jobs[name].refreshed and result.error is None:
                    parts.forget(self._project.state, name)
                yield result
                continue
            left[name] -= 1
            self._ended.setdefault(name, []).append(result)
            if result.part and result.error is None:
                self._plans[name] = self._plans[name].confirmed(result)
            if not left[name] and (whole := self._whole(name, after_parts=bool(result.part))):
                yield whole

    def _whole(self, name: str, *, after_parts: bool) -> RunResult | None:
        """A source's result, when all that it comes from has ended; None where something comes after its parts."""
        plan, ended = self._plans[name], self._ended[name]
        if after_parts and plan.whole and plan.division.rest is not None:
            return None
        result = parts.together(ended, plan)
        if result.error is None:
            plan.forget()
        return result


class _Undivided(Exception):
    """A source could not be asked how far it goes, and why."""

    def __init__(self, told: RunError) -> None:
        super().__init__(told.message)
        self.told = told


def _divisible(job: Job) -> bool:
    """Whether the source, or a resource of the job, says how it is divided.

    A refresh takes the place of all in one step.
    """
    if job.trial or job.full_refresh:
        return False
    hints = job.source.resources or {}
    ranged = any(each.split is not None for name, each in hints.items() if not job.resources or name in job.resources)
    return ranged or (job.source.split is not None and len(job.resources) != 1)

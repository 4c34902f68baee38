"""Jobs to results: plan, run, record.

`sync` is the public way in. Every job is worked on in a process of its own (`worker.load`), watched from this one,
which alone writes the history.
"""

from __future__ import annotations

import datetime as dt
import secrets as random
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from dango import parts
from dango.cluster import AUTO, SCHEME
from dango.config.models import Source
from dango.conversions import moment
from dango.course import Course
from dango.errors import DangoError, UsageError, page_of
from dango.history import History
from dango.job import Event, Job, RunError, RunResult
from dango.project import SOURCES_FILE, Project
from dango.registry.entry import Function, RestApi
from dango.secrets import CONFIG_FILE, SECRETS_FILE, read_toml
from dango.workers import executors
from dango.workers.executors import LOCAL, Executor, Several
from dango.workers.processes import PRELOADED, Workers
from dango.workers.supervision import prepare, supervise

OnEvent = Callable[[Event], None]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a sync, for all of its sources alike."""

    full_refresh: bool = False
    resources: tuple[str, ...] = ()
    limit: int | None = None
    destination: str | None = None
    since: dt.date | None = None
    until: dt.date | None = None
    wait: float | None = None
    allow_empty: bool = False
    fail_on_schema_change: bool = False
    profile: bool = False


def sync(
    project: Project,
    sources: Iterable[str] = (),
    *,
    full_refresh: bool = False,
    resources: Iterable[str] = (),
    limit: int | None = None,
    destination: str | None = None,
    since: dt.date | None = None,
    until: dt.date | None = None,
    wait: float | None = None,
    allow_empty: bool = False,
    fail_on_schema_change: bool = False,
    jobs: int | None = None,
    profile: bool = False,
    on: str | None = None,
    on_event: OnEvent = lambda event: None,
) -> list[RunResult]:
    """Loads sources into their destination.

    Args:
        project: from `Project.find()` or `Project.at(folder)`.
        sources: names; empty means every enabled source.
        full_refresh: load everything again in place of what is there.
        resources: only these resources.
        limit: a trial of so many rows a resource, in a dataset of its own (`raw_<name>__trial`).
        destination: the name of another destination for this run.
        since: load the rows from then on, whatever was loaded before, and leave the stored cursors as they are; a time
            without a zone is UTC.
        until: load the rows before then; without it before now.
        wait: how many seconds to wait for a source, or a database, that another process holds; without it none for
            a source, and 60 for a database.
        allow_empty: tables that hold rows may be replaced by nothing.
        fail_on_schema_change: load nothing of a source whose tables would change.
        jobs: how many sources are read at a time; as many as there are processors without it.
        profile: each result's `profile` tells where its time went.
        on: where the jobs run: `local`, `ray://HOST:PORT`, `auto` on a node of a Ray cluster, or an executor that a
            package brings; without it where each source says.
        on_event: called with each `Event`, in this thread.

    Returns:
        a result for each source, in the order of `sources.yml`. A source that fails does not raise: its result's
        `status` is `failed` and its `error` says why.

    Raises:
        DangoError: when nothing was started: a broken `sources.yml`, an unknown or disabled source, an `env:` name
            that is not set.
    """
    request = Request(
        full_refresh,
        tuple(resources),
        limit,
        destination,
        since,
        until,
        wait,
        allow_empty,
        fail_on_schema_change,
        profile,
    )
    planned = plan(project, list(sources), request)
    results = {result.source: result for result in run(project, planned, on_event, at_once=jobs, on=on)}
    return [results[job.source.name] for job in planned]


def plan(project: Project, names: Sequence[str], request: Request) -> list[Job]:
    """The jobs of a sync. Raises `UsageError` when there is nothing to do or a name is wrong."""
    chosen = _chosen(project, names)
    if request.limit is not None and (request.limit < 1 or request.full_refresh):
        raise UsageError("--limit takes a number from 1 and does not go with --full-refresh")
    since, until = _window(request)
    _require_path(project)
    for name in (SECRETS_FILE, CONFIG_FILE):
        read_toml(project.root / name, name)
    destinations = [project.destination(source, request.destination) for source in chosen]
    project.require_environment(chosen, {d.name: d for d in destinations}.values())
    run_id = f"{dt.datetime.now():%Y%m%d-%H%M%S}-{random.token_hex(2)}"
    return [
        project.job(
            source,
            run_id,
            request.destination,
            resources=request.resources,
            full_refresh=request.full_refresh,
            limit=request.limit,
            since=since,
            until=until,
            wait=request.wait,
            allow_empty=request.allow_empty,
            fail_on_schema_change=request.fail_on_schema_change,
            profile=request.profile,
        )
        for source in chosen
    ]


def resumed(project: Project, run: str, wait: float | None = None) -> list[Job]:
    """The jobs of a run that was stopped, of which some parts are not loaded yet: as it was asked for then.

    Raises:
        UsageError: where nothing is left to do of a run of that name.
        SourceNotFound: where the project has a source of it no more.
    """
    _require_path(project)
    plans = parts.of_run(project.state, run)
    sources = [project.source(plan.source) for plan in plans]
    pairs = list(zip(sources, plans, strict=True))
    destinations = [project.destination(source, plan.asked["destination"]) for source, plan in pairs]
    project.require_environment(sources, {d.name: d for d in destinations}.values())
    jobs = []
    for source, plan in pairs:
        asked = {name: value for name, value in plan.asked.items() if name != "destination"}
        jobs.append(project.job(source, run, plan.asked["destination"], wait=wait, **asked))
    return jobs


def _window(request: Request) -> tuple[dt.datetime | None, dt.datetime | None]:
    """The range of time that is asked for, as instants; a date is its beginning in UTC."""
    since, until = (None if day is None else moment(day) for day in (request.since, request.until))
    if (since or until) and request.full_refresh:
        raise UsageError("--since and --until load a range of time, and do not go with --full-refresh")
    if since and until and since >= until:
        raise UsageError(f"--since {since.isoformat()} is not before --until {until.isoformat()}")
    if since and not until and since >= dt.datetime.now(dt.timezone.utc):
        raise UsageError(f"--since {since.isoformat()} is still to come")
    return since, until


def _require_path(project: Project) -> None:
    """dlt takes a path with `%` for a pattern, and DuckDB one with `?` for a query: both fail after the extraction."""
    for character in "%?":
        if character in str(project.root):
            raise UsageError(
                f"the project's folder {project.root} has a `{character}` in its path, which dlt or DuckDB cannot bear",
                "nothing was begun; move or rename the folder",
            )


def run(
    project: Project,
    jobs: Sequence[Job],
    on_event: OnEvent,
    *,
    at_once: int | None = None,
    workers: Workers | None = None,
    on: str | None = None,
) -> Iterator[RunResult]:
    """Runs jobs, notes each outcome in the history, and yields results as they complete.

    An executor knows nothing of the history: wherever the jobs run, it is written here, by one process.

    Args:
        project: whose jobs they are.
        jobs: in the order in which they begin.
        on_event: called with each `Event`, in this thread.
        at_once: how many jobs are under way at a time; as many as there are processors without it.
        workers: where the jobs' processes begin; they end with the run.
        on: where all of them run, whatever their sources say.

    Raises:
        DangoError: where there is no such place, or a job cannot run there; nothing has begun.
    """
    prepare(project)
    history = History(project.state)
    workers = workers or Workers(PRELOADED)
    workers.expect(_modules(jobs), several=len(jobs) > 1)
    executor = _executor(project, jobs, on, at_once, workers)
    waiting = {job.source.name: job for job in jobs}
    under_way: dict[str, RunResult] = {}

    def noted(event: Event) -> None:
        if job := waiting.pop(event.source, None):
            under_way[event.source] = job.begun(event.at)
            history.record(under_way[event.source])
        on_event(event)

    code = 130
    try:
        for result in Course(project, jobs, workers).results(executor, noted):
            under_way.pop(result.source, None)
            history.record(result)
            yield result
    except KeyboardInterrupt as stop:
        code = getattr(stop, "exit_code", code)
        raise
    finally:
        executor.close()
        # Whatever ended it (a signal, whoever listens, a caller who wants no more), what had begun is told.
        error = RunError("Interrupted", "stopped before it was done", exit_code=code, docs=page_of("Interrupted"))
        for begun in under_way.values():
            left = parts.planned(project.state, begun.run, begun.source).exists()
            told = replace(error, hint=f"to go on: dango sync --resume {begun.run}") if left else error
            history.record(replace(begun, status="interrupted", error=told).ended())


def _modules(jobs: Iterable[Job]) -> set[str]:
    """The modules, of dango's own and of dlt's, from which the jobs' sources come, with what these import later."""
    modules: set[str] = set()
    for job in jobs:
        build = job.entry.build if job.entry else None
        if job.source.dlt_native and job.source.dlt_native.source_module.isidentifier():
            # Where dlt has none of that name it is the user's own, which each process imports for itself.
            modules.add(f"dlt.sources.{job.source.dlt_native.source_module}")
        elif isinstance(build, RestApi):
            modules.add("dango.connectors.rest")
        elif isinstance(build, Function) and build.function.startswith("dango."):
            modules.add(build.function.partition(":")[0])
    if "dango.connectors.sql" in modules or any(job.destination.type == "postgres" for job in jobs):
        modules.add("psycopg2")
    return modules


def _executor(project: Project, jobs: Sequence[Job], on: str | None, at_once: int | None, workers: Workers) -> Executor:
    """Where the jobs run: one place, or, where their sources say so, several at the same time."""

    def place(job: Job) -> str:
        return on or job.source.executor or LOCAL

    places: dict[str, list[Job]] = {}
    for job in jobs:
        places.setdefault(place(job), []).append(job)
    made: dict[str, Executor] = {}
    try:
        for name, those in places.items():
            made[name] = _at(name, project, those, at_once, workers)
    except BaseException as error:
        Several(made, place).close()
        if isinstance(error, DangoError) and not (on or error.place):
            error.place = project.place(those[0].source.name, ("executor",))
        raise
    return next(iter(made.values())) if len(made) == 1 else Several(made, place)


def _at(place: str, project: Project, jobs: Sequence[Job], at_once: int | None, workers: Workers) -> Executor:
    if place == AUTO or place.startswith(SCHEME):
        # Here, since Ray is an extra.
        from dango.cluster.driver import executor

        return executor(project, place, jobs, at_once)
    # dango's own is an entry point like any other; but to look for those takes longer than to begin.
    make = executors.LocalExecutor if place == LOCAL else partial(executors.load, place)
    return make(lambda job: supervise(project, job, workers), workers, at_once or executors.cores())


def _chosen(project: Project, names: Sequence[str]) -> list[Source]:
    wanted = {name: project.source(name) for name in names}
    if disabled := [name for name, source in wanted.items() if not source.enabled]:
        raise UsageError(f"source `{disabled[0]}` is disabled in {SOURCES_FILE}", f"dango source enable {disabled[0]}")
    if wanted:
        return [source for source in project.config.sources if source.name in wanted]
    enabled = [source for source in project.config.sources if source.enabled]
    if not enabled:
        has = "has no source yet" if not project.config.sources else "has no enabled source"
        raise UsageError(f"{SOURCES_FILE} {has}", "dango source add, or dango source enable NAME")
    return enabled

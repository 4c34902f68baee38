"""`dango sync`"""

from __future__ import annotations

import datetime as dt
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, Settings, app, emit, line, open_project, stop_once, whoever_reads
from dango.errors import UsageError

if TYPE_CHECKING:
    from dango.job import Event, Job, RunResult
    from dango.project import Project
    from dango.workers.processes import Workers


@app.command()
def sync(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Default: every enabled one.", autocompletion=complete.sources),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--source", metavar="NAME", help="The same as naming it.", autocompletion=complete.sources),
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Load everything again in place of what is there.")
    ] = False,
    resource: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this resource; may be repeated.", autocompletion=complete.resources),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(metavar="N", help="A trial of N rows a resource, beside the real tables.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Backfill from here (2024-01-31, or a time), cursors stay.")
    ] = None,
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Backfill up to here, and without it; default: now.")
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            envvar="DANGO_DESTINATION",
            help="Another destination for this run.",
            autocompletion=complete.destinations,
        ),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Sources that are read at a time; default: one a processor.")
    ] = None,
    on: Annotated[
        str | None,
        typer.Option(metavar="PLACE", help="ray://HOST:PORT, or auto on a node of a Ray cluster; default: here."),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a run that was stopped among its parts.",
            autocompletion=complete.stopped_runs,
        ),
    ] = None,
    wait: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS", help="Seconds to wait for a source or database that is held; without it 0 and 60."
        ),
    ] = None,
    allow_empty: Annotated[
        bool, typer.Option("--allow-empty", help="Let nothing take the place of rows, where nothing came.")
    ] = False,
    fail_on_schema_change: Annotated[
        bool, typer.Option("--fail-on-schema-change", help="Load nothing where tables would change; exit 5.")
    ] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Tell where the time went.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check, look for secrets, connect; load nothing.")] = False,
    json: Json = False,
) -> None:
    """Load sources into the destination. Without a name, all that are enabled."""
    chosen = [*(names or []), *(source or [])]
    if dry_run:
        from dango.cli.check import report

        raise typer.Exit(report(open_project(), chosen, json, rehearse=True))

    from dango.workers.processes import preloaded

    # dlt is imported in another process while this one still reads what is to be done.
    with closing(preloaded()) as workers:
        from dango.runner import Request, plan, resumed

        project = open_project()
        if resume is not None:
            if chosen or since or until or resource or limit or destination or full_refresh:
                raise UsageError("--resume goes on with what was asked for then, and takes no other words")
            raise typer.Exit(_run(project, resumed(project, resume, wait), workers, jobs, json, on))
        request = Request(
            full_refresh,
            tuple(resource or ()),
            limit,
            destination,
            _instant(since, "--since"),
            _instant(until, "--until"),
            wait,
            allow_empty,
            fail_on_schema_change,
            profile,
        )
        raise typer.Exit(_run(project, plan(project, chosen, request), workers, jobs, json, on))


def _instant(text: str | None, option: str) -> dt.datetime | None:
    from dango.conversions import instant

    try:
        return None if text is None else instant(text)
    except ValueError as error:
        raise UsageError(f"{option} {text}: it is no date", "2024-01-31, or 2024-01-31T09:30:00Z") from error


def load(project: Project, names: list[str], json: bool) -> int:
    """Loads sources and shows what happens; returns the exit code."""
    from dango.runner import Request, plan
    from dango.workers.processes import preloaded

    with closing(preloaded()) as workers:
        return _run(project, plan(project, names, Request()), workers, None, json)


def _tell_processors(results: list[RunResult]) -> None:
    """A line for each processor, and a warning of columns that it names and that never came."""
    for result in results:
        for each in result.processors:
            parts = [f"{each.records_in:,} in", f"{each.records_out:,} out"]
            parts += [f"{n:,} {what}" for n, what in ((each.dropped, "dropped"), (each.failed, "failed")) if n]
            typer.echo(f"{result.source}.{each.resource}: {each.name}: {', '.join(parts)}")
        for each in result.processors if Settings.log_format != "json" else ():
            for column in each.missing:
                line(f"{result.source}.{each.resource}: `{each.name}`: no record has `{column}`", "", "warning")


def _run(
    project: Project, jobs: list[Job], workers: Workers, at_once: int | None, json: bool, on: str | None = None
) -> int:
    from dango.cli import show
    from dango.cli.progress import Progress
    from dango.job import exit_code
    from dango.log import Log
    from dango.runner import run
    from dango.workers.supervision import prepare

    stop_once()
    prepare(project)
    log = Log(project.state / "logs", jobs[0].run, Settings.log_format)
    with log, Progress(jobs, Settings.verbose, Settings.log_format) as progress:

        def on_event(event: Event) -> None:
            log.event(event)
            progress.event(event)

        results = []
        for result in run(project, jobs, on_event, at_once=at_once, workers=workers, on=on):
            log.result(result)
            progress.result(result)
            results.append(result)
    names = [job.source.name for job in jobs]
    results.sort(key=lambda result: names.index(result.source))
    code = exit_code(results)
    with whoever_reads():
        if json:
            emit({"run": jobs[0].run, "exit_code": code, "results": tuple(results)})
        else:
            show.results(results, Settings.debug, quiet=Settings.log_format == "json")
            _tell_processors(results)
            show.profiles(results)
    return code

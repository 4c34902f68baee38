"""`python -m bench`: measure jobs, grow their rows, write the report."""

from __future__ import annotations

import datetime as dt
import fnmatch
from pathlib import Path
from typing import Annotated

import typer

from bench import peers, report, results
from bench.bench import HERE, Bench, opened
from bench.jobs import JOBS, Job
from bench.measure import BenchError, Unable, interleaved
from bench.results import Entry

app = typer.Typer(help=__doc__, no_args_is_help=True)
GROWTH = (10_000, 100_000, 1_000_000, 5_000_000, 20_000_000)
USAGE = 2
"""dango's exit code where it does not know what is asked of it."""

Names = Annotated[list[str] | None, typer.Argument(metavar="[JOB]...", help="Names or patterns; default: all.")]
Rounds = Annotated[int | None, typer.Option(help="So many rounds instead of each job's own.")]
Folder = Annotated[
    Path, typer.Option("--data", envvar="DANGO_BENCH_DATA", help="Where the data is made, and stays; up to 30 GB.")
]
DATA = HERE / ".data"
Out = Annotated[Path | None, typer.Option(help="The file of results; default: bench/results/latest.json.")]


@app.command()
def run(
    names: Names = None,
    rows: Annotated[int | None, typer.Option(help="So many rows instead of each job's own.")] = None,
    scale: Annotated[float, typer.Option(help="So many times each job's own rows.")] = 1.0,
    rounds: Rounds = None,
    beside: Annotated[bool, typer.Option("--peers/--no-peers", help="Beside what else is installed.")] = True,
    data: Folder = DATA,
    out: Out = None,
) -> None:
    """Measure jobs; exit 1 where a result is wrong. Trials with other rows are kept apart from the results."""
    file = out or (results.LATEST if rows is None and scale == 1 else data / "trial.json")
    failed = []
    with opened(data, peers=beside) as bench:
        for job in _chosen(names):
            count = rows if rows is not None else round(job.rows * scale)
            try:
                entry = _measured(bench, job, count, rounds or job.rounds)
            except BenchError as error:
                typer.echo(f"  FAILED: {error}", err=True)
                failed.append(job.name)
                continue
            kept = results.continued(file)
            kept.jobs[job.name] = entry
            kept.save(file)
            for line in report.verdict_lines(job, entry):
                typer.echo(f"  {line}")
    typer.echo(f"failed: {', '.join(failed)}" if failed else f"kept in {file}")
    raise typer.Exit(bool(failed))


@app.command()
def growth(
    names: Names = None,
    most: Annotated[int, typer.Option(help="No more rows than this.")] = GROWTH[-1],
    rounds: Rounds = 1,
    data: Folder = DATA,
    out: Out = None,
) -> None:
    """Measure jobs with more and more rows, for the plots; exit 1 where a result is wrong."""
    file = out or results.LATEST
    with opened(data, peers=False) as bench:
        for job in _chosen(names):
            for rows in (rows for rows in GROWTH if rows <= min(most, job.growth)):
                try:
                    entry = _measured(bench, job, rows, rounds or 1)
                except BenchError as error:
                    typer.echo(f"  FAILED: {error}", err=True)
                    raise typer.Exit(1) from error
                kept = results.continued(file)
                others = [one for one in kept.growth.get(job.name, []) if one.rows != rows]
                kept.growth[job.name] = sorted([*others, entry], key=lambda one: one.rows)
                kept.save(file)


@app.command(name="report")
def write_report(
    source: Annotated[Path, typer.Option("--from", help="The file of results.")] = results.LATEST,
    folder: Annotated[Path, typer.Option(help="Where PERFORMANCE.md and plots/ go.")] = HERE.parent / "docs",
) -> None:
    """Write docs/PERFORMANCE.md and its plots from the results."""
    if not source.exists():
        raise typer.BadParameter(f"{source} is not there: make bench")
    for file in report.write(results.read(source), folder):
        typer.echo(file)


@app.command(name="peers")
def install_peers() -> None:
    """Install what dango is compared with, each in an environment of its own."""
    for line in peers.install():
        typer.echo(line)


@app.command(name="list")
def list_jobs() -> None:
    """Show the jobs and their targets."""
    for job in JOBS:
        bounds = ", ".join(report.bound(target) for target in job.targets)
        typer.echo(f"{job.name:20} {job.title}{f', {job.rows:,}' if job.rows else ''}: {bounds}")


def _chosen(names: list[str] | None) -> list[Job]:
    unknown = [name for name in names or () if not any(fnmatch.fnmatch(job.name, name) for job in JOBS)]
    if unknown:
        raise typer.BadParameter(f"no job is named {', '.join(unknown)}: python -m bench list")
    return [job for job in JOBS if not names or any(fnmatch.fnmatch(job.name, name) for name in names)]


def _measured(bench: Bench, job: Job, rows: int, rounds: int) -> Entry:
    typer.echo(f"{job.name}: {job.title}" + (f", {rows:,}" if rows else ""))
    today = f"{dt.datetime.now(dt.timezone.utc):%Y-%m-%d}"
    try:
        contest = job.contest(bench, rows)
        outcome = interleaved(contest, rounds, typer.echo)
    except Unable as error:
        return Entry(rows, today, reason=str(error))
    except BenchError as error:
        if error.code != USAGE:
            raise
        return Entry(rows, today, reason=" ".join(str(error).split())[:200])
    finally:
        bench.tidy()
    labels = {name: contestant.label for name, contestant in contest.contestants.items()}
    return Entry(rows, today, labels, outcome.samples, outcome.skipped)


if __name__ == "__main__":
    app()

"""`dango history`"""

from __future__ import annotations

from typing import Annotated

import typer

from dango.cli.app import Json, Settings, app, emit, open_project
from dango.errors import UsageError


@app.command()
def history(
    run: Annotated[str | None, typer.Argument(metavar="RUN", help="A run, or the first letters of its name.")] = None,
    limit: Annotated[int, typer.Option(metavar="N", help="How many runs to list.")] = 20,
    json: Json = False,
) -> None:
    """List past runs, or show one of them with its tables and errors."""
    from dango.history import History

    past = History(open_project().state)
    if run is None:
        runs = past.runs(limit)
        if json:
            emit({"runs": tuple(tuple(results) for results in runs)})
            return
        from dango.cli import show

        rows = [
            (result.run, result.source, show.status(result.status), f"{result.rows:,}", f"{result.seconds:.1f}",
             f"{result.started.astimezone():%Y-%m-%d %H:%M:%S}")
            for results in runs
            for result in results
        ]  # fmt: skip
        columns = ("run", "source", "status", "rows", "seconds", "started")
        show.table(columns, rows, right=("rows", "seconds")) if rows else typer.echo("nothing was run yet")
        return
    results = past.run(run)
    if not results:
        raise UsageError(f"no run `{run}` in the history, or more than one begins so", "dango history lists them")
    if json:
        emit({"run": results[0].run, "results": tuple(results)})
        return
    from dango.cli import show

    show.results(results, Settings.debug)

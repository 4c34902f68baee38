"""`dango status`"""

from __future__ import annotations

import typer

from dango.cli.app import Json, app, emit, open_project


@app.command()
def status(json: Json = False) -> None:
    """Show each source, how its last run ended, and when."""
    from dango.history import History

    project = open_project()
    last = History(project.state).last()
    sources = project.config.sources
    if json:
        emit({
            "project": str(project.root),
            "sources": tuple({"name": s.name, "enabled": s.enabled, "last": last.get(s.name)} for s in sources),
        })  # fmt: skip
        return
    from dango.cli import show

    rows = []
    for source in sources:
        result = last.get(source.name)
        state = show.status(result.status) if result else "never run"
        if not source.enabled:
            state = "disabled"
        when = f"{result.started.astimezone():%Y-%m-%d %H:%M:%S}" if result else ""
        rows.append((source.name, state, when, f"{result.rows:,}" if result else "", result.error if result else ""))
    columns = ("source", "last run", "started", "rows", "error")
    show.table(columns, rows, right=("rows",)) if rows else typer.echo("no source yet: dango source add")

"""`dango source remove`"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli.app import Json, emit, open_project, source_app
from dango.cli.source import Name
from dango.errors import DangoError, Held, UsageError

if TYPE_CHECKING:
    from dango.config.models import Source
    from dango.project import Project
    from dango.stored.wishes import Holding


@source_app.command()
def remove(
    name: Name,
    drop_data: Annotated[
        bool, typer.Option("--drop-data", help="Its tables and its state, too; they stay otherwise.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Take a source out of sources.yml; --drop-data drops its data."""
    project = open_project()
    source = project.source(name)
    if drop_data:
        _with_data(project, source, yes, json)
        return
    from dango.removal import require_alone

    require_alone(project, source)
    if not (yes or json) and sys.stdin.isatty():
        from dango.cli import ask

        if not ask.sure(f"Remove `{name}` from sources.yml?"):
            raise typer.Exit(0)
    project.document.remove_item(("sources", project.index(name))).save()
    if json:
        emit({"source": name, "dropped": []})
        return
    typer.echo(
        f"`{name}` is no longer in sources.yml; the dataset {source.dataset} in"
        f" {project.destination(source).name} and the sync state in .dango/ stay"
    )


def _with_data(project: Project, source: Source, yes: bool, json: bool) -> None:
    from dango import removal

    attended = sys.stdin.isatty() and not json
    if not yes and not attended:
        raise UsageError("--drop-data drops what cannot be brought back, and there is no terminal to ask", "--yes")
    elsewhere = removal.elsewhere(project, source)
    try:
        if not yes:
            _show(project, source, removal.held(project, source), elsewhere)
            _require_typed(source.name)
        dropped = removal.remove(project, source)
    except (Held, UsageError):
        raise
    except DangoError as error:
        kept = f"nothing was removed; to leave the data: dango source remove {source.name}"
        error.hint = f"{error.hint}\n{kept}" if error.hint else kept
        raise
    if json:
        emit({"source": source.name, "dropped": dropped, "elsewhere": elsewhere})
        return
    if yes:
        _show(project, source, dropped, elsewhere)
    typer.echo(f"`{source.name}` is no longer in sources.yml, and its data is dropped; `dango history` keeps its runs")


def _show(project: Project, source: Source, held: Sequence[Holding], elsewhere: list[str]) -> None:
    from dango.cli import show

    destination = project.destination(source).name
    rows = [(f"{holding.dataset}.{table}", f"{count:,}") for holding in held for table, count in holding.tables.items()]
    show.table(("table", "rows"), rows, right=("rows",)) if rows else typer.echo(f"no table of it is in {destination}")
    for holding in held:
        if holding.whole:
            typer.echo(f"and the dataset {holding.dataset}, which holds nothing else")
        elif holding.others:
            typer.echo(f"what stays in {holding.dataset}, as it is of others: {', '.join(holding.others)}")
    for other in elsewhere:
        typer.echo(f"its data in `{other}`, where it was synced to as well, stays")


def _require_typed(name: str) -> None:
    from dango.cli import ask

    if ask.typed(f"All of this is dropped for good. Type `{name}` to go on:") != name:
        typer.echo("nothing was dropped")
        raise typer.Exit(0)

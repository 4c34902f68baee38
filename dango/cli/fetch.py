"""`dango source fetch`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli.app import Json, emit, line, open_project, source_app

if TYPE_CHECKING:
    from dango.fetch import Fetched
    from dango.project import Project

_SAID = {"theirs": "updated", "mine": "kept"}


@source_app.command()
def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="One of dlt's verified sources.")],
    from_: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A clone of their repository on this machine.")
    ] = None,
    update: Annotated[bool, typer.Option("--update", help="Bring a fetched one to the commit, keep changes.")] = False,
    commit: Annotated[
        str | None,
        typer.Option("--commit", metavar="REV", help="An id, a branch or a tag; default: one that is known."),
    ] = None,
    json: Json = False,
) -> None:
    """Copy one of dlt's verified sources into custom_sources/."""
    from dango import fetch as engine

    project = open_project()
    fetched = (engine.update if update else engine.fetch)(project, name, from_, commit)
    code = 3 if fetched.conflicts else 0
    if json:
        from dango.job import as_json

        emit({**as_json(fetched), "exit_code": code})
    else:
        _show(project, fetched)
    raise typer.Exit(code)


def _show(project: Project, fetched: Fetched) -> None:
    from dango.fetch import COMMIT

    folder = f"custom_sources/{fetched.name}/"
    if fetched.substitute:
        line(f"the copy does not have commit {COMMIT[:7]}, which dango knows: taken is its HEAD", "", "warning")
    for file in fetched.files:
        if file.status != "same":
            typer.echo(
                f"  {_SAID.get(file.status, file.status):<8}  {file.name}" + (f"  ({file.note})" if file.note else "")
            )
    if fetched.before:
        typer.echo(f"{folder} from {fetched.before[:7]} to {fetched.commit[:7]}" + _summary(fetched))
    else:
        typer.echo(f"{folder} is {fetched.name} at {fetched.commit[:7]}: {len(fetched.files)} files")
    for file in fetched.conflicts:
        typer.echo(f"\n{folder}{file.name}: {file.note}; yours is kept")
        if file.diff:
            typer.echo(file.diff)
        if file.beside:
            typer.echo(f"settle it in {folder}{file.beside}, then: mv {folder}{file.beside} {folder}{file.name}")
    _next(project, fetched)


def _summary(fetched: Fetched) -> str:
    if fetched.before == fetched.commit:
        return ": there is nothing new"
    return f", {len(fetched.conflicts)} to settle" if fetched.conflicts else ""


def _next(project: Project, fetched: Fetched) -> None:
    from dango.packages import install

    typer.echo("\nnext:")
    if fetched.missing:
        typer.echo(f"  {install(fetched.missing)}")
    if fetched.before:
        typer.echo("  dango check")
    elif fetched.name in project.registry.ids:
        typer.echo(f"  dango source add {fetched.name}")
    else:
        typer.echo(f"  dango source add dlt_native --module {fetched.name}")

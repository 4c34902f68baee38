"""`dango source new`"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli.app import Json, emit, open_project, source_app

if TYPE_CHECKING:
    from dango.new_source import New


def _worlds(incomplete: str) -> list[str]:
    from dango.worlds import worlds

    return [world for world in worlds() if world.startswith(incomplete)]


@source_app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the source, and of its file.")],
    world: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="WORLD",
            help="Whose connector it is: dlt, rest_api, sql, singer, airbyte, datahub, openmetadata or vdk.",
            autocompletion=_worlds,
        ),
    ] = "dlt",
    package: Annotated[bool, typer.Option("--package", help="A package that can be installed, in packages/.")] = False,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it loads, in a few words.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Begin a source of your own, with its test; it runs as it is."""
    from dango import new_source

    project = open_project()
    made = (new_source.as_package if package else new_source.in_project)(project, name, description, world)
    if not json:
        _show(made)
        if not yes and sys.stdin.isatty():
            from dango.cli import ask

            if not ask.sure("Write this?", default=True):
                raise typer.Exit(0)
    new_source.write(made)
    if json:
        diff = made.change.diff if made.change else ""
        emit({"source": name, "files": tuple(made.files), "diff": diff, "next": made.next})
        return
    typer.echo(f"{len(made.files)} files written{', and the entry in .dango/sources.yml' if made.change else ''}")
    typer.echo("\nnext:\n  " + "\n  ".join(made.next))


def _show(made: New) -> None:
    for file in made.files:
        typer.echo(f"  {file}")
    if made.change:
        from dango.cli import show

        show.diff(made.change.diff)

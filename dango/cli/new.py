"""`dango source new`"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli.app import Json, emit, open_project, source_app

if TYPE_CHECKING:
    from dango.new_source import New


@source_app.command()
def new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the source, and of its file.")],
    package: Annotated[bool, typer.Option("--package", help="A package that can be installed, in packages/.")] = False,
    description: Annotated[str, typer.Option(metavar="TEXT", help="What it loads, in a few words.")] = "",
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Begin a source of your own, with its test; it runs as it is."""
    from dango import new_source

    project = open_project()
    made = (new_source.as_package if package else new_source.in_project)(project, name, description)
    if not json:
        _show(made)
        if not yes and sys.stdin.isatty():
            from dango.cli import ask

            if not ask.sure("Write this?", default=True):
                raise typer.Exit(0)
    new_source.write(made)
    following = _next(made)
    if json:
        diff = made.change.diff if made.change else ""
        emit({"source": name, "files": tuple(made.files), "diff": diff, "next": following})
        return
    typer.echo(f"{len(made.files)} files written{', and the entry in .dango/sources.yml' if made.change else ''}")
    typer.echo("\nnext:\n  " + "\n  ".join(following))


def _show(made: New) -> None:
    for file in made.files:
        typer.echo(f"  {file}")
    if made.change:
        from dango.cli import show

        show.diff(made.change.diff)


def _next(made: New) -> tuple[str, ...]:
    name = made.name
    if made.change:
        return f"dango check {name}", f"dango sync {name}", f"python -m pytest tests/test_{name}.py"
    add = f"dango source add {name} --name {name} --yes"
    return f"python -m pip install -e packages/{name}", add, f"dango sync {name}"

"""`dango init`"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from dango.cli.app import Json, app, emit


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Where; default: here.")] = Path(),
    destination: Annotated[
        str | None, typer.Option(metavar="NAME", help="duckdb, or another of dlt's destinations.")
    ] = None,
    example: Annotated[bool | None, typer.Option(help="With a source that runs as it is.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that differ.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")] = False,
    json: Json = False,
) -> None:
    """Make a project: folders, settings and an example."""
    import shlex

    from dango import scaffold

    if not yes and not json and sys.stdin.isatty():
        from dango.cli import ask

        destination = destination or ask.destination()
        example = ask.example() if example is None else example
    folder = directory.expanduser().resolve()
    files = scaffold.plan(folder, destination or "duckdb", example is not False)
    written = scaffold.write(files, force=force)
    if json:
        emit({"project": str(folder), "written": [str(file.path.relative_to(folder)) for file in written]})
        return
    for file in written:
        typer.echo(f"  {file.path.relative_to(folder)}")
    typer.echo(
        f"{len(written)} files written in {folder}" if written else f"nothing to do: {folder} is a project already"
    )
    typer.echo("\nnext:")
    if example is False:
        typer.echo("  dango source add")
    first = "dango check" if folder == Path.cwd() else f"cd {shlex.quote(str(directory))}"
    typer.echo(f"  {first}\n  dango sync")

"""`dango export docker`: the project, to run elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli.app import Json, app, emit, line, open_project

if TYPE_CHECKING:
    from dango.exporting.docker import Image

export_app = typer.Typer(help="Write what runs the project elsewhere.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(export_app, name="export")


@export_app.command()
def docker(
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the files go; default: the project's folder.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite what is there.")] = False,
    json: Json = False,
) -> None:
    """Write a Dockerfile, and say which secrets a container needs.

    Packages, and the environments of sources' own, are built into the image: a sync there needs no network for them,
    and writes nothing but its state and its data.
    """
    from dango import scaffold
    from dango.exporting.docker import image

    project = open_project()
    made = image(project)
    folder = (output or project.root).resolve()
    # Only beside the Dockerfile is a list read that is not in the project's own folder.
    ignore = ".dockerignore" if folder == project.root else "Dockerfile.dockerignore"
    texts = {"Dockerfile": made.dockerfile, ignore: made.ignore}
    files = [scaffold.compared(folder, name, text) for name, text in texts.items()]
    scaffold.write(files, force=force, command="dango export docker")
    commands = made.commands(project.shown(folder / "Dockerfile"))
    if json:
        emit({
            "files": tuple(str(file.path) for file in files),
            "brings": made.brings,
            "secrets": made.secrets,
            "doubtful": made.doubtful,
            "commands": dict(commands),
        })  # fmt: skip
        return
    for file in files:
        typer.echo(f"{project.shown(file.path)}: {'as it was' if file.state == 'same' else 'written'}")
    _show(made, commands)


def _show(made: Image, commands: Mapping[str, str]) -> None:
    typer.echo(f"\nin the image: {', '.join(made.brings)}")
    for keys in made.doubtful:
        line(f".dango/sources.yml: `{keys}` looks like a secret, and is in the image", "env:NAME", "warning")
    if made.secrets:
        from dango.cli import show

        typer.echo("\nnot in the image, and given to the container:")
        show.table(
            ("variable", "of"),
            [(each.name, each.used_by + (", may be empty" if each.may_be_empty else "")) for each in made.secrets],
        )
    typer.echo(f"\nnext, in the project's folder:\n  {commands['build']}\n  {commands['run']}")
    if made.secrets:
        typer.echo(f"or with the file instead, readable for the container's user:\n  {commands['with_file']}")

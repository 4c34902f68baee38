"""`dango export`: the project, to run elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli.app import Json, app, emit, line, open_project

if TYPE_CHECKING:
    from dango.exporting.docker import Image
    from dango.exporting.tasks import Export
    from dango.project import Project
    from dango.scaffold import File

export_app = typer.Typer(help="Write what runs the project elsewhere.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(export_app, name="export")

Output = Annotated[
    Path | None, typer.Option("--output", metavar="DIR", help="Where the files go; default: the project's folder.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Otherwise = Annotated[
    str, typer.Option("--schedule", metavar="CRON", help="When sources are synced that have no `schedule:`; in UTC.")
]


@export_app.command()
def docker(output: Output = None, force: Force = False, json: Json = False) -> None:
    """Write a Dockerfile, and say which secrets it needs.

    Packages, and the environments of sources' own, are built into the image: a sync there needs no network for them,
    and writes nothing but its state and its data.
    """
    from dango.exporting.docker import image

    project = open_project()
    made = image(project)
    folder = _folder(project, output)
    # Only beside the Dockerfile is a list read that is not in the project's own folder.
    ignore = ".dockerignore" if folder == project.root else "Dockerfile.dockerignore"
    files = _written(folder, {"Dockerfile": made.dockerfile, ignore: made.ignore}, force, "docker")
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
    _show_files(project, files)
    _show_image(made, commands)


@export_app.command("github-actions")
def github_actions(
    output: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The repository's root; default: where `.git` is.")
    ] = None,
    schedule: Otherwise = "@daily",
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a workflow with a job for each source.

    A job sees the secrets of its own source alone.
    """
    from dango.exporting import github_actions

    project = open_project()
    folder = _folder(project, output or github_actions.repository(project))
    _give(project, folder, github_actions.export(project, folder, schedule), "github-actions", force, json)


@export_app.command()
def airflow(output: Output = None, schedule: Otherwise = "@daily", force: Force = False, json: Json = False) -> None:
    """Write DAGs for Airflow 3 and 2.10, one for each source."""
    from dango.exporting import airflow, tasks

    project = open_project()
    made = airflow.export(project, tasks.program(), schedule)
    _give(project, _folder(project, output), made, "airflow", force, json)


@export_app.command()
def cron(output: Output = None, schedule: Otherwise = "@daily", force: Force = False, json: Json = False) -> None:
    """Write lines for a crontab, one for each source."""
    from dango.exporting import cron, tasks

    project = open_project()
    made = cron.export(project, tasks.program(), schedule)
    _give(project, _folder(project, output), made, "cron", force, json)


@export_app.command()
def systemd(output: Output = None, schedule: Otherwise = "@daily", force: Force = False, json: Json = False) -> None:
    """Write units of systemd, a timer for each source."""
    from dango.exporting import systemd, tasks

    project = open_project()
    made = systemd.export(project, tasks.program(), systemd.owner(project.root), schedule)
    _give(project, _folder(project, output), made, "systemd", force, json)


@export_app.command()
def kubernetes(
    image: Annotated[
        str, typer.Option(metavar="NAME", help="The image; default: as `dango export docker` calls it.")
    ] = "",
    output: Output = None,
    schedule: Otherwise = "@daily",
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a manifest with a CronJob for each source.

    The image is that of `dango export docker`.
    """
    from dango.exporting import kubernetes

    project = open_project()
    made = kubernetes.export(project, image, schedule)
    _give(project, _folder(project, output), made, "kubernetes", force, json)


def _folder(project: Project, output: Path | None) -> Path:
    return (output or project.root).resolve()


def _written(folder: Path, texts: Mapping[str, str], force: bool, kind: str) -> list[File]:
    from dango import scaffold

    files = [scaffold.compared(folder, name, text) for name, text in texts.items()]
    scaffold.write(files, force=force, command=f"dango export {kind}")
    return files


def _give(project: Project, folder: Path, made: Export, kind: str, force: bool, json: bool) -> None:
    """Writes what was made, and says what it needs and what comes next."""
    files = _written(folder, made.files, force, kind)
    if json:
        emit({
            "files": tuple(str(file.path) for file in files),
            "tasks": tuple(
                {"source": task.source, "schedule": task.schedule.text, "secrets": task.secrets} for task in made.tasks
            ),
            "secrets": dict(made.secrets),
            "commands": made.commands,
            "notes": made.notes,
        })  # fmt: skip
        return
    _show_files(project, files)
    if made.secrets:
        from dango.cli import show

        typer.echo("\nsecrets to set:")
        show.table(("secret", "of"), [(key, made.users(key)) for key in made.secrets])
    for note in made.notes:
        typer.echo(f"\n{note}")
    typer.echo(f"\nnext, in {'the project' if folder == project.root else folder}:")
    for command in made.commands:
        typer.echo(f"  {command}")


def _show_files(project: Project, files: Iterable[File]) -> None:
    for file in files:
        typer.echo(f"{project.shown(file.path)}: {'as it was' if file.state == 'same' else 'written'}")


def _show_image(made: Image, commands: Mapping[str, str]) -> None:
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

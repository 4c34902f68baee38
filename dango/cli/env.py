"""`dango env list|build|prune`: environments of sources' own."""

from __future__ import annotations

from typing import Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, app, emit, open_project

env_app = typer.Typer(
    help="List, build and remove the environments of sources' own.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(env_app, name="env")


@env_app.command("list")
def list_(json: Json = False) -> None:
    """List the environments that are built, and who uses them."""
    from dango import environments

    found = environments.built(open_project())
    if json:
        emit({"environments": tuple(found)})
        return
    from dango.cli import show

    rows = [
        (
            each.folder.name,
            " ".join(each.requirements) if each.created else "never finished",
            f"{each.size / 1e6:,.0f} MB",
            f"{each.created:%Y-%m-%d %H:%M}" if each.created else "",
            ", ".join(each.sources) or "nobody",
        )
        for each in found
    ]
    columns = ("environment", "requirements", "size", "built", "used by")
    show.table(columns, rows) if rows else typer.echo(
        "no environment is built: `environment:` of a source asks for one"
    )


@env_app.command()
def build(
    sources: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SOURCE]...", help="These only.", autocompletion=complete.sources),
    ] = None,
) -> None:
    """Build the environments before a sync needs them."""
    from dango import environments
    from dango.job import Event
    from dango.workers.supervision import prepare, values, watch

    project = open_project()
    prepare(project)
    chosen = [project.source(name) for name in sources] if sources else project.config.sources
    for source in chosen:
        job = project.job(source)
        asked = environments.wanted(job)
        if asked is None:
            if sources:
                typer.echo(f"{source.name}: has no environment of its own")
            continue
        if not asked.is_built():
            for value in values(watch(project, "worker:environment", job, source.name)):
                if isinstance(value, Event) and value.step == "log":
                    typer.echo(f"{source.name}: {value.message}", err=True)
        typer.echo(f"{source.name}: {project.shown(asked.folder)} is there")


@env_app.command()
def prune(
    everything: Annotated[bool, typer.Option("--all", help="Those that are used, too.")] = False,
    json: Json = False,
) -> None:
    """Remove the environments that no source asks for."""
    from dango import environments

    gone = list(environments.prune(open_project(), unused=not everything))
    if json:
        emit({"removed": tuple(gone)})
        return
    for each in gone:
        typer.echo(f"removed {each.folder.name} ({' '.join(each.requirements)}), {each.size / 1e6:,.0f} MB")
    if not gone:
        typer.echo("nothing to remove")

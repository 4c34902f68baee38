"""`dango source list|show|describe|enable|disable|eject`"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, app, emit, open_project, source_app

if TYPE_CHECKING:
    from dango.config.models import Source
    from dango.project import Project

Name = Annotated[str, typer.Argument(metavar="NAME", help="The source's name.", autocompletion=complete.sources)]

app.add_typer(source_app, name="source")


@source_app.command("list")
def list_(json: Json = False) -> None:
    """List the sources of the project."""
    project = open_project()
    sources = project.config.sources
    if json:
        emit({"sources": tuple(_facts(project, source) for source in sources)})
        return
    from dango.cli import show

    rows = [
        (
            *(s.name, f"{s.type} (as {s.extends})" if s.extends else s.type, "yes" if s.enabled else "no"),
            *(project.destination(s).name, s.dataset, s.description),
        )
        for s in sources
    ]
    columns = ("name", "type", "enabled", "destination", "dataset", "description")
    show.table(columns, rows) if rows else typer.echo("no source yet: dango source add")


@source_app.command()
def show(name: Name, json: Json = False) -> None:
    """Show one source as it is configured, and where."""
    project = open_project()
    facts = _facts(project, project.source(name))
    if json:
        emit(facts)
        return
    for key, value in facts.items():
        if value not in (None, "", {}, []):
            typer.echo(f"{key}: {value}")


@source_app.command()
def describe(name: Name, json: Json = False) -> None:
    """Show what a source may be told, and which resources it has."""
    from dango import inspection
    from dango.workers.supervision import prepare

    project = open_project()
    prepare(project)
    found = inspection.about(project, name)
    if json:
        emit({"source": name, "options": found.options, "streams": found.streams, "problems": found.problems})
        return
    from dango.cli import show

    rows = [
        (
            each.name,
            each.kind,
            "secret" if each.secret else "" if each.default is None else str(each.default),
            "yes" if each.required else "",
            each.help,
        )
        for each in found.options
    ]
    show.table(("option", "type", "default", "required", "what it is"), rows) if rows else typer.echo("no options")
    if found.streams:
        typer.echo(f"\nresources: {', '.join(found.streams)}")
    for problem in found.problems:
        typer.echo(f"warning: {problem}", err=True)


@source_app.command()
def enable(name: Name) -> None:
    """Let `dango sync` load the source again."""
    _switch(name, True)


@source_app.command()
def disable(name: Name) -> None:
    """Leave the source out of `dango sync`."""
    _switch(name, False)


@source_app.command()
def eject(
    name: Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Write out what a registry source stands for. That is a dlt_native block, and its file in custom_sources/."""
    from dango.eject import ejected, write

    project = open_project()
    made = ejected(project, project.source(name))
    if not json:
        from dango.cli import ask, show

        show.diff(made.change.diff)
        if not yes and sys.stdin.isatty() and not ask.sure("Write this?", default=True):
            raise typer.Exit(0)
    write(made)
    file = str(made.file.relative_to(project.root)) if made.file else ""
    if json:
        emit({"source": name, "file": file, "diff": made.change.diff, "secrets": made.change.secrets})
        return
    typer.echo(f"`{name}` is a dlt_native source now{f': {file} is yours' if file else ''}")
    typer.echo(f"\nnext:\n  dango check {name}")


def _switch(name: str, enabled: bool) -> None:
    project = open_project()
    source = project.source(name)
    if source.enabled == enabled:
        typer.echo(f"`{name}` is {'enabled' if enabled else 'disabled'} already")
        return
    loc = ("sources", project.index(name))
    project.document.set_value(loc, "enabled", enabled, after="type").save()
    typer.echo(f"`{name}` is {'enabled' if enabled else 'disabled'}")


def _facts(project: Project, source: Source) -> dict[str, object]:
    from dango.secrets import hidden

    _, block = source.expandable()
    facts = hidden(source.model_dump(mode="json", exclude_defaults=True, exclude={"block", "dlt_native"}))
    entry = project.entry(source)
    secret = {spec.name for spec in entry.secrets} if entry else set()
    body = source.dlt_native.model_dump(mode="json", exclude_defaults=True) if source.dlt_native else block
    return {
        **facts,
        "enabled": source.enabled,
        "destination": project.destination(source).name,
        "dataset": source.dataset,
        source.type: hidden(body, secret=secret),
        "place": project.place(source.name),
    }

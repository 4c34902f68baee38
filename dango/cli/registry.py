"""`dango registry list|show|lint|schema|new`"""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, Settings, app, emit, line, open_project, open_registry, tell
from dango.errors import ProjectNotFound

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dango.project import Project
    from dango.registry.entries import Listed, Registry
    from dango.registry.plugins import Plugin

registry_app = typer.Typer(
    help="List, show and check the sources that dango knows.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(registry_app, name="registry")


@registry_app.command("list")
def list_(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="WORD", help="In the id, title, alias or category.")
    ] = None,
    json: Json = False,
) -> None:
    """List what there is: shipped, of packages, and the project's own. What is broken or hidden is said."""
    registry = open_registry()
    found, plugins = registry.search(words or []), registry.brought(words or [])
    if json:
        brought = tuple(_plugin_facts(each, registry) for each in plugins)
        emit({"entries": tuple(map(_facts, found)), "plugins": brought, "broken_packages": _broken_packages(registry)})
        return
    from dango.cli import show
    from dango.registry.plugins import SOURCES

    rows = [
        (each.id, each.entry.title, each.entry.category, each.entry.maturity, each.origin, _hides(each.shadows))
        if each.entry
        else (each.id, show.status("broken"), "", "", each.origin, _hides(each.shadows))
        for each in found
    ]
    named = [
        (
            each.name,
            each.kind,
            show.status("broken") if each in registry.broken else each.value,
            each.origin,
            _said(each, registry),
        )
        for each in plugins
        if each.group != SOURCES or each.name not in registry.ids
    ]
    if rows:
        show.table(("id", "title", "category", "maturity", "from", ""), rows)
    if rows and named:
        typer.echo("")
    if named:
        show.table(("name", "is a", "names", "from", ""), named)
    if not rows and not named:
        typer.echo(f"nothing matches: {' '.join(words or [])}")
    for problem in (problem for each in found for problem in each.problems):
        line(str(problem), problem.hint, "warning")
    for plugin, why in registry.broken.items():
        line(f"{plugin} is broken: {why}", "", "warning")


@registry_app.command()
def show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="The entry's id.", autocompletion=complete.entries)],
    json: Json = False,
) -> None:
    """Show what an entry asks and loads, and which hosts get secrets."""
    from dango.registry.hosts import hosts
    from dango.registry.loading import loadings

    registry = open_registry()
    entry = registry.entry(identity)
    listed = registry.listed(identity)
    facts = entry.model_dump(mode="json", exclude_defaults=True)
    place = {"origin": listed.origin, "file": str(listed.file), "shadows": listed.shadows, "hosts": hosts(entry)}
    if json:
        emit({**facts, "build": registry.document(identity).data["build"], **place})
        return
    from dango.cli import show as screen

    typer.echo(f"{entry.title} ({entry.id}): {entry.category}, {entry.maturity}, from {listed.origin}\n{listed.file}")
    for name, link in entry.links.items():
        typer.echo(f"{name}: {link}")
    if entry.setup:
        typer.echo(f"\n{entry.setup.rstrip()}")
    typer.echo("")
    fields = [
        (spec.name, spec.kind, "yes" if spec.required else "", "" if spec.default is None else spec.default, spec.help)
        for spec in entry.fields
    ]
    screen.table(("field", "kind", "needed", "default", "help"), fields)
    if entry.resources:
        typer.echo("")
        told = [(each.name, each.about, ", ".join(each.key), each.cursor, each.write) for each in loadings(entry)]
        screen.table(("resource", "", "key", "cursor", "written by"), told)
    typer.echo(f"\nsecrets go to: {', '.join(place['hosts']) or 'no host that the entry names'}")
    typer.echo(f"\nmore: dango docs {entry.id}\n\nnext:\n  dango source add {entry.id}")


@registry_app.command()
def lint(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID or FILE", help="Default: every entry that is found.", autocompletion=complete.entries
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Check entries against every rule. Each is built, too, with stand-ins for its secrets."""
    from dango.inspection import lint as check

    with _project() as project:
        problems = list(check(project, names or []))
    failed = any(problem.severity == "error" for problem in problems)
    if json:
        emit({"problems": tuple(problems), "exit_code": 2 if failed else 0})
    else:
        tell(problems)
        if not problems:
            typer.echo("nothing to complain of")
    raise typer.Exit(2 if failed else 0)


@registry_app.command()
def schema() -> None:
    """Print the JSON Schema of an entry."""
    from dango.registry.entry import json_schema

    emit(json_schema())


@registry_app.command()
def new(
    from_source: Annotated[
        str,
        typer.Option("--from-source", metavar="NAME", help="A `dlt_native` source.", autocompletion=complete.sources),
    ],
    identity: Annotated[
        str | None, typer.Option("--id", metavar="ID", help="The entry's id; default: the source's name.")
    ] = None,
    json: Json = False,
) -> None:
    """Make an entry of a `dlt_native` source. It goes into the project's registry/."""
    from dango.eject import entry_file
    from dango.inspection import lint as check

    project = open_project()
    file = entry_file(project, project.source(from_source), identity)
    problems = list(check(open_project(), [file.stem]))
    if json:
        emit({"file": str(file), "problems": tuple(problems)})
        return
    tell(problems)
    typer.echo(f"{file.relative_to(project.root)} is written: say in it what people should know")
    typer.echo(f"\nnext:\n  dango registry lint {file.stem}\n  dango source add {file.stem}")


@contextmanager
def _project() -> Iterator[Project]:
    """The project; for the author of a package, who has none, an empty one as long as it is needed."""
    from tempfile import TemporaryDirectory

    from dango.project import Project

    try:
        found = open_project()
    except ProjectNotFound:
        if Settings.folder:
            raise
        with TemporaryDirectory() as folder:
            yield Project.blank(Path(folder))
    else:
        yield found


def _facts(listed: Listed) -> dict[str, object]:
    entry = listed.entry
    said = {"title", "category", "aliases", "summary", "maturity"}
    return {
        "id": listed.id,
        **(entry.model_dump(mode="json", include=said) if entry else {}),
        "origin": listed.origin,
        "file": str(listed.file),
        "shadows": listed.shadows,
        "problems": listed.problems,
    }


def _plugin_facts(plugin: Plugin, registry: Registry) -> dict[str, object]:
    facts = {"group": plugin.group, "name": plugin.name, "value": plugin.value, "origin": plugin.origin}
    problem = {**registry.untyped, **registry.broken}.get(plugin, "")
    return {**facts, "shadows": plugin.hides, "problem": problem}


def _said(plugin: Plugin, registry: Registry) -> str:
    untyped = f"no type: {registry.untyped[plugin]}" if plugin in registry.untyped else ""
    return "; ".join(filter(None, (untyped, _hides(plugin.hides))))


def _hides(origins: Sequence[str]) -> str:
    return f"hides the one of: {', '.join(origins)}" if origins else ""


def _broken_packages(registry: Registry) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for each, why in registry.broken.items():
        found.setdefault(each.origin, []).append(f"{each.kind} `{each.name}`: {why}")
    return found

"""`dango source add|edit|test`: a person's answers, or options, become a source."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, emit, open_project, source_app
from dango.errors import UsageError

if TYPE_CHECKING:
    from dango.cli.interview import Stored

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A field's value; repeatable.")]
Secret = Annotated[
    list[str] | None,
    typer.Option("--secret", metavar="KEY[=env:NAME]", help="A secret: a reference, or its value on stdin."),
]
Resources = Annotated[
    list[str] | None, typer.Option("--resource", metavar="NAME", help="What to load; may be repeated.")
]
Requirement = Annotated[
    list[str] | None,
    typer.Option("--requirement", metavar="PACKAGE", help="For an environment of its own; may be repeated."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing.")]
Test = Annotated[bool | None, typer.Option("--test/--no-test", help="Ask the source for a row of each resource.")]


@source_app.command()
def add(
    kind: Annotated[
        str | None,
        typer.Argument(
            metavar="TYPE",
            help="A registry entry, or dlt_native; asked for otherwise.",
            autocompletion=complete.types,
        ),
    ] = None,
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="The source's name.")] = None,
    values: Set = None,
    secret: Secret = None,
    resource: Resources = None,
    requirement: Requirement = None,
    module: Annotated[
        str | None,
        typer.Option("--module", metavar="MODULE", help="Of dlt_native: the module, or a file of custom_sources/."),
    ] = None,
    function: Annotated[
        str | None, typer.Option("--function", metavar="FUNCTION", help="Of dlt_native: the function in it.")
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Where it goes; default: the project's.", autocompletion=complete.destinations
        ),
    ] = None,
    test: Test = None,
    sync: Annotated[bool, typer.Option("--sync", help="Load it at once.")] = False,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Add a source: by a wizard on a terminal, or by options."""
    from dango.cli import choose, interview

    if sync and json:
        raise UsageError("--json shows one document; `dango sync NAME --json` shows the other")
    project = open_project()
    asked = interview.Asked(
        tuple(values or ()),
        tuple(secret or ()),
        tuple(resource or ()),
        tuple(requirement or ()),
        name,
        destination,
        test,
        sync,
    )
    attended = _is_attended(yes, json)
    if kind is None and not attended:
        raise UsageError("which type? `dango source add TYPE`", "dango registry list shows them")
    subject = choose.subject(project, kind or choose.pick(project), module, function, attended=attended)
    _finish((interview.attended if attended else interview.unattended)(project, subject, asked), json)


@source_app.command()
def edit(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The source's name.", autocompletion=complete.sources)],
    values: Set = None,
    secret: Secret = None,
    resource: Resources = None,
    requirement: Requirement = None,
    test: Test = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Change a source: the wizard again, with the present answers."""
    from dango.cli import choose, interview

    project = open_project()
    subject = choose.present(project, project.source(name))
    asked = interview.Asked(
        tuple(values or ()),
        tuple(secret or ()),
        tuple(resource or ()),
        tuple(requirement or ()),
        test=test,
        replaces=name,
    )
    run = interview.attended if _is_attended(yes, json) else interview.unattended
    _finish(run(project, subject, asked), json)


@source_app.command()
def test(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The source's name.", autocompletion=complete.sources)],
    json: Json = False,
) -> None:
    """Ask a source for one row of each resource. Nothing is loaded and nothing is left behind."""
    from dango.adding import ask
    from dango.probe import Tested

    project = open_project()
    source = project.source(name)
    project.require_environment([source], [])
    found = []
    for value in ask(project, source):
        found.append(value)
        if not json:
            from dango.cli import show

            show.probed(value)
    failed = any(isinstance(value, Tested) and value.error for value in found)
    if json:
        emit({"source": name, "found": tuple(found), "exit_code": int(failed)})
    raise typer.Exit(int(failed))


def _is_attended(yes: bool, json: bool) -> bool:
    return not (yes or json) and sys.stdin.isatty() and sys.stdout.isatty()


def _finish(stored: Stored, json: bool) -> None:
    """Says what was stored, and what comes next."""
    change, name = stored.change, stored.change.made.item["name"]
    if json:
        emit(
            {
                "source": name,
                "changed": bool(change.diff),
                "secrets": change.secrets,
                "diff": change.diff,
                "found": stored.found,
            }
        )
        return
    from dango.cli import show

    for value in stored.found:
        show.probed(value)
    typer.echo(f"`{name}` is in .dango/sources.yml{'' if change.diff else ', as it was'}")
    if change.secrets:
        typer.echo(f"secrets in .dlt/secrets.toml [sources.{name}]: {', '.join(change.secrets)}")
    if stored.sync:
        from dango.cli.sync import load

        raise typer.Exit(load(open_project(), [name], json=False))
    typer.echo(f"\nnext:\n  dango sync {name}")

"""`dango import`"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli.app import Json, app, emit, open_project

if TYPE_CHECKING:
    from dango.importing import Plan

_SHOWN = 5


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="meltano.yml, a recipe, a workflow, config.toml …")],
    kind: Annotated[
        str,
        typer.Option(
            "--from",
            metavar="TOOL",
            help="meltano, datahub, openmetadata, vdk or getdango; found by what the file holds otherwise.",
        ),
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would be written, and write nothing.")] = False,
    json: Json = False,
) -> None:
    """Take over the sources of another tool's file."""
    from dango import importing

    plan = importing.plan(open_project(), file.expanduser(), kind)
    unset = plan.unset
    if not dry_run:
        plan.write()
    code = _code(plan)
    if json:
        emit(_document(plan, unset, dry_run, code))
    else:
        _show(plan, unset, dry_run)
    raise typer.Exit(code)


def _code(plan: Plan) -> int:
    """0 when all sources are there, 3 when some are, 1 when none is."""
    if not plan.refused and (plan.sources or plan.present):
        return 0
    return 3 if plan.sources or plan.present else 1


def _document(plan: Plan, unset: tuple[str, ...], dry_run: bool, code: int) -> dict[str, object]:
    return {
        "format": plan.imported.format,
        "sources": [
            {"name": each.name, "type": each.type, "was": each.was, "place": each.place} for each in plan.sources
        ],
        "destinations": [{"name": each.name, "was": each.was, "place": each.place} for each in plan.targets],
        "present": plan.present,
        "refused": plan.refused,
        "secrets": plan.secrets,
        "unset": unset,
        "notes": plan.notes,
        "diff": plan.diff,
        "written": not dry_run,
        "exit_code": code,
    }


def _show(plan: Plan, unset: tuple[str, ...], dry_run: bool) -> None:
    from dango.cli import show

    count = len(plan.imported.sources) + len(plan.imported.refused)
    typer.echo(f"{plan.imported.title}, with {count} source{'' if count == 1 else 's'}")
    if plan.sources:
        rows = [(each.name, each.type, _plain(each.was), each.place) for each in plan.sources]
        show.table(("source", "type", "was", "where"), rows)
    for each in plan.targets:
        typer.echo(f"destination `{each.name}`, was {_plain(each.was)}, at {each.place}")
    for section, names in plan.secrets.items():
        typer.echo(f"secrets in .dlt/secrets.toml [{section}]: {', '.join(map(_plain, names))}")
    for name in plan.present:
        typer.echo(f"`{name}` is in .dango/sources.yml already, and is left as it is")
    if plan.notes:
        typer.echo(f"\nnot carried over ({len(plan.notes)}):")
    for note in plan.notes:
        typer.echo(f"{note.place}: {_plain(note.path)}: {_plain(note.what)}\n  do: {_plain(note.do)}")
    if dry_run:
        typer.echo("\nnothing was written; it would be:")
        show.diff(plan.diff)
    elif plan.sources:
        _next(plan, unset)


def _next(plan: Plan, unset: tuple[str, ...]) -> None:
    names = [each.name for each in plan.sources]
    typer.echo("\nnext:")
    if unset:
        typer.echo(f"  set in the environment or in .env: {', '.join(unset)}")
    typer.echo(f"  dango check\n  dango sync {' '.join(names) if len(names) <= _SHOWN else ''}".rstrip())


def _plain(text: str) -> str:
    """A text of the file as it may be shown on a terminal."""
    return "".join(each if each.isprintable() else "?" for each in text)

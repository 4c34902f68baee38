"""`dango doctor`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, app, emit, open_project

if TYPE_CHECKING:
    from dango.leftover import Leftover


@app.command()
def doctor(
    names: Annotated[
        list[str] | None,
        typer.Argument(metavar="SOURCE", help="Default: all, and the project itself.", autocompletion=complete.sources),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Repair what needs no sync; nothing is loaded.")] = False,
    json: Json = False,
) -> None:
    """List what past runs left behind, and what each needs. Looks here and into the destinations."""
    from dango.doctor import examine

    found = []
    for leftover in examine(open_project(), names or [], fix=fix):
        found.append(leftover)
        if not json:
            _show(leftover)
    code = int(any(leftover.open for leftover in found))
    if json:
        emit({"leftovers": tuple(found), "exit_code": code})
    else:
        typer.echo(_sum(found))
    raise typer.Exit(code)


def _show(leftover: Leftover) -> None:
    typer.echo(f"{leftover.source or 'project'}: {leftover.what}")
    typer.echo(f"  where: {leftover.where}") if leftover.where else None
    if leftover.fixed:
        typer.echo("  fixed")
    elif leftover.needs:
        typer.echo("  needs: " + leftover.needs.replace("\n", "\n         "))


def _sum(found: list[Leftover]) -> str:
    left, fixed = sum(leftover.open for leftover in found), sum(leftover.fixed for leftover in found)
    if not left:
        return f"{fixed} repaired, nothing else is left of past runs" if fixed else "nothing is left of past runs"
    fixable = sum(leftover.open and leftover.fixable for leftover in found)
    more = f"; `dango doctor --fix` repairs {fixable}" if fixable and not fixed else ""
    return f"{left} left of past runs{f', {fixed} repaired' if fixed else ''}{more}"

"""`dango source cursor`"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dango.cli.app import Json, emit, line, open_project, source_app
from dango.cli.source import Name
from dango.errors import UsageError

if TYPE_CHECKING:
    from dango.project import Project
    from dango.stored.wishes import Cursors, CursorWish, Moved


@source_app.command()
def cursor(
    name: Name,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="RESOURCE", help="Only these, as with --resource.")
    ] = None,
    resource: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this one; may be repeated.")] = None,
    values: Annotated[
        list[str] | None, typer.Option("--set", metavar="R=V", help="Go on from V in R; may be repeated.")
    ] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Forget it: the next sync begins anew.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: Json = False,
) -> None:
    """Show how far each resource is read; move that, or forget it."""
    from dango.stored.wishes import CursorWish

    project = open_project()
    source = project.source(name)
    chosen = tuple(dict.fromkeys((*(names or ()), *(resource or ()))))
    wish = CursorWish(project.job(source), chosen, _pairs(values or (), chosen, reset), reset)
    if not (wish.values or reset):
        _show_all(_asked(project, wish), json)
        return
    _change(project, wish, asking=not (yes or json) and sys.stdin.isatty(), json=json)


def _pairs(texts: Iterable[str], chosen: tuple[str, ...], reset: bool) -> dict[str, str]:
    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise UsageError(f"--set {text}: it is RESOURCE=VALUE", "dango source cursor NAME shows the resources")
        pairs[key] = value
    if pairs and (reset or chosen):
        raise UsageError("--set names its resource itself, and does not go with --reset or --resource")
    return pairs


def _asked(project: Project, wish: CursorWish) -> Any:
    from dango.stored.wishes import Cursors
    from dango.workers.supervision import prepare, values, watch

    project.require_environment([], [wish.job.destination])
    prepare(project)
    found = values(watch(project, "worker:cursors", wish, wish.job.source.name))
    return next(value for value in found if isinstance(value, Cursors | tuple))


def _change(project: Project, wish: CursorWish, *, asking: bool, json: bool) -> None:
    from dataclasses import replace

    if asking:
        from dango.cli import ask

        planned = _asked(project, wish)
        _tell(planned)
        if not planned or not ask.sure("Do this?"):
            raise typer.Exit(0)
    moved: tuple[Moved, ...] = _asked(project, replace(wish, write=True))
    if json:
        emit({"source": wish.job.source.name, "moved": moved})
        return
    if not asking:
        _tell(moved)
    if moved:
        typer.echo(f"\nnext:\n  dango sync {wish.job.source.name}")


def _tell(moved: tuple[Moved, ...]) -> None:
    for each in moved:
        if not each.forgotten:
            typer.echo(f"{each.resource}: {each.path} from {each.before} to {each.after}")
        elif each.path:
            typer.echo(f"{each.resource}: {each.path} {each.before} is forgotten; it begins at {_begin(each.after)}")
        else:
            typer.echo(f"{each.resource}: what it remembers is forgotten")
    for warning in dict.fromkeys(each.warning for each in moved if each.warning):
        line(warning, "", "warning")
    if not moved:
        typer.echo("nothing is stored, and so nothing to forget")


def _begin(value: Any) -> Any:
    return "its first row" if value is None else value


def _show_all(found: Cursors, json: bool) -> None:
    if json:
        emit(found)
        return
    from dango.cli import show

    if found.cursors:
        rows = [(c.resource, c.path, c.value, c.kind, _begin(c.initial)) for c in found.cursors]
        show.table(("resource", "cursor", "value", "type", "begins at"), rows)
    for name, keys in found.others.items():
        typer.echo(f"{name} remembers by code of its own: {', '.join(keys)}")
    if found.without:
        typer.echo(f"without a cursor: {', '.join(found.without)}")
    if found.origin:
        when = f", written {found.stored.isoformat(timespec='seconds')}" if found.stored else ""
        typer.echo(f"from the {found.origin}{when}")
    elif not found.without:
        typer.echo("nothing is stored yet: the next sync begins at the beginning")
    if found.waiting:
        line(f"{found.waiting} extracted and not loaded; the next sync loads that first", "", "warning")

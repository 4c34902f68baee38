"""`dango tables`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, app, emit, fail, open_project

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dango.tables import Listing, Table


@app.command()
def tables(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE",
            help="A source, a dataset, or a table as dataset.table.",
            autocompletion=complete.sources,
        ),
    ] = None,
    columns: Annotated[bool, typer.Option("--columns", help="List columns and their types.")] = False,
    all_: Annotated[bool, typer.Option("--all", help="Also dlt's own tables and dango's, and staging.")] = False,
    destination: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Look into this one; default: the sources'.", autocompletion=complete.destinations
        ),
    ] = None,
    json: Json = False,
) -> None:
    """List the destinations' tables: rows, columns, and the last load."""
    from dango.tables import listed

    listing = listed(open_project(), names or [], destination, every=all_)
    if json:
        emit(_document(listing))
    else:
        for error in listing.errors.values():
            fail(error)
        named = [table.place for table in listing.tables if table.place in (names or [])]
        _show(listing, columns=columns or len(named) > 0)
    raise typer.Exit(listing.exit_code)


def _show(listing: Listing, *, columns: bool) -> None:
    from dango.cli import show

    if not listing.tables:
        typer.echo("no table yet: dango sync") if not listing.errors else None
    elif columns:
        show.table(("table", "column", "type", "may be NULL"), _columns(listing.tables))
    else:
        several = len({table.destination for table in listing.tables}) > 1
        names = ("destination", "table", "rows", "columns", "last load", "source")
        rows = [
            (table.destination, table.place, _rows(table), len(table.columns), _when(table), table.source)
            for table in listing.tables
        ]
        skipped = 0 if several else 1
        show.table(names[skipped:], [row[skipped:] for row in rows], right=("rows", "columns"))


def _columns(tables: Iterable[Table]) -> Iterable[tuple[str, str, str, str]]:
    for table in tables:
        for number, column in enumerate(table.columns):
            yield (table.place if number == 0 else "", column.name, column.type, "yes" if column.nullable else "no")


def _rows(table: Table) -> str:
    if table.rows is None:
        return "view" if table.view else ""
    return f"{'about ' if table.estimated else ''}{table.rows:,}"


def _when(table: Table) -> str:
    return f"{table.last_load.astimezone():%Y-%m-%d %H:%M:%S}" if table.last_load else ""


def _document(listing: Listing) -> dict[str, object]:
    problems = [problem for error in listing.errors.values() for problem in error.problems]
    return {"tables": listing.tables, "problems": problems, "exit_code": listing.exit_code}

"""`dango docs`"""

from __future__ import annotations

from typing import Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, app, emit, open_registry, until_nobody_reads


@app.command()
def docs(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="A page (`reliability`), a kind of error (`missing-secret`), or a source (`stripe`).",
            autocompletion=complete.pages,
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Read the documentation, or what it says of an error or a source."""
    from dango import documentation
    from dango.cli import show

    with until_nobody_reads():
        if name:
            page = documentation.lookup(name, open_registry())
            emit({"name": name, "markdown": page}) if json else show.markdown(page)
            return
        listed = {
            "pages": tuple(documentation.pages()),
            "kinds of errors": tuple(documentation.sections()),
            "sources": open_registry().ids,
        }
        if json:
            emit({heading.replace(" ", "_"): names for heading, names in listed.items()})
            return
        for heading, names in listed.items():
            show.heading(heading)
            typer.echo("".join(f"{each}\n" for each in names))

"""`dango explain`"""

from __future__ import annotations

from typing import Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, app, emit, open_project


@app.command()
def explain(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The source's name.", autocompletion=complete.sources)
    ],
    json: Json = False,
) -> None:
    """Show where each parameter of a source gets its value. Secrets are masked."""
    from dango import inspection

    parameters = inspection.explain(open_project(), source)
    if json:
        emit({"source": source, "parameters": tuple(parameters)})
    elif not parameters:
        typer.echo(f"`{source}` takes no parameters")
    else:
        from dango.cli import show

        show.parameters(parameters)
    raise typer.Exit(2 if any(parameter.missing for parameter in parameters) else 0)

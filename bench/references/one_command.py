"""The smallest program with typer."""

import typer

app = typer.Typer(rich_markup_mode=None)  # plain help, as dango's: rich would cost more than all the rest


@app.command()
def greet(name: str = "you", loud: bool = False) -> None:
    """Greet somebody."""
    typer.echo(f"hello {name}{'!' if loud else ''}")


app()

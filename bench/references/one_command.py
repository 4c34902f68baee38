"""The smallest program with typer."""

import typer

app = typer.Typer()


@app.command()
def greet(name: str = "you", loud: bool = False) -> None:
    """Greet somebody."""
    typer.echo(f"hello {name}{'!' if loud else ''}")


app()

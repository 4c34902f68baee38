"""Questions to a person. The only importer of questionary."""

from __future__ import annotations

from typing import Any

import questionary

DESTINATIONS = ("duckdb", "postgres", "snowflake", "bigquery", "redshift", "clickhouse", "filesystem")


def destination() -> str:
    """Where the data goes. Raises `KeyboardInterrupt` on Ctrl-C."""
    here = questionary.Choice("duckdb: a file in this project, no setting needed", "duckdb")
    choices = [here, *(questionary.Choice(name, name) for name in DESTINATIONS[1:])]
    return str(_answer(questionary.select("Where shall the data go?", choices=choices)))


def example() -> bool:
    """Whether to include the runnable example. Raises `KeyboardInterrupt` on Ctrl-C."""
    return bool(_answer(questionary.confirm("Include an example that runs as it is?", default=True)))


def sure(question: str) -> bool:
    """A yes or no, no by default. Raises `KeyboardInterrupt` on Ctrl-C."""
    return bool(_answer(questionary.confirm(question, default=False)))


def _answer(question: Any) -> Any:
    return question.unsafe_ask()

"""`dango preview`"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dango.cli import complete
from dango.cli.app import Format, Settings, app, chosen, line, more, open_project, until_nobody_reads
from dango.errors import UsageError

if TYPE_CHECKING:
    from dango.probe import Sample


@app.command()
def preview(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="The source's name.", autocompletion=complete.sources)
    ],
    resource: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this resource; may be repeated.", autocompletion=complete.resources),
    ] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, help="How many rows of each resource.")] = 10,
    format_: Annotated[Format | None, typer.Option("--format", help="Of the rows; default: table.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Show the first rows of a source. Nothing is loaded, and no cursor moves."""
    from dango import inspection
    from dango.job import Event

    kind = chosen(format_, json)
    samples: list[Sample] = []
    with until_nobody_reads():
        for value in inspection.preview(open_project(), source, resource or [], limit):
            if isinstance(value, Event):
                if Settings.verbose and value.step == "log":
                    typer.echo(value.message, err=True)
                continue
            samples.append(value)
            if kind is Format.table:
                _show(value, first=len(samples) == 1)
        failed = sum(sample.error is not None for sample in samples)
        code = 0 if not failed else 1 if failed == len(samples) else 3
        if kind is Format.json:
            _write_json(source, samples, code)
        elif kind is Format.csv:
            _write_csv(source, samples)
    raise typer.Exit(code)


def _show(sample: Sample, *, first: bool) -> None:
    from dango.cli import show

    show.heading(f"{'' if first else chr(10)}{sample.resource}: {_count(len(sample.rows))}")
    if sample.rows:
        names, rows = _tabular(sample)
        numbers = {n for n, _ in enumerate(names) if all(_is_number(row[n]) for row in rows)}
        show.rows(names, rows, numbers)
    # In its place among the tables, where both go to a terminal.
    sys.stdout.flush()
    _complain(sample)


def _complain(sample: Sample) -> None:
    for message in sample.failed[:3]:
        line(f"{sample.resource}: a record failed: {message}", "", "warning")
    if sample.error:
        line(f"{sample.resource}: {sample.error}", sample.error.hint)
        more(sample.error.docs)


def _write_json(source: str, samples: list[Sample], code: int) -> None:
    from dango.cli.rows import token
    from dango.job import as_json

    resources = []
    for sample in samples:
        error = sample.error and replace(sample.error, traceback=sample.error.traceback if Settings.debug else "")
        resources.append({**as_json(replace(sample, rows=(), error=error)), "rows": sample.rows})
    sys.stdout.write(token({"source": source, "resources": resources, "exit_code": code}) + "\n")


def _write_csv(source: str, samples: list[Sample]) -> None:
    from dango.cli.rows import write_csv

    if len(samples) > 1:
        resources = ", ".join(sample.resource for sample in samples)
        raise UsageError(
            f"CSV holds one table, and `{source}` has {len(samples)}: {resources}",
            f"name one: dango preview {source} --resource {samples[0].resource} --format csv",
        )
    for sample in samples:
        _complain(sample)
        names, rows = _tabular(sample)
        write_csv(names, rows)


def _tabular(sample: Sample) -> tuple[list[str], list[list[Any]]]:
    """The rows with a value in each column, also where some of them have other keys; in CSV a lack reads as NULL."""
    mappings = [row if isinstance(row, dict) else {"value": row} for row in sample.rows]
    names = list(dict.fromkeys(name for row in mappings for name in row))
    return names, [[row.get(name) for name in names] for row in mappings]


def _is_number(value: Any) -> bool:
    from decimal import Decimal

    return value is None or (isinstance(value, int | float | Decimal) and not isinstance(value, bool))


def _count(rows: int) -> str:
    return f"{rows:,} {'row' if rows == 1 else 'rows'}"

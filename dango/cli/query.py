"""`dango query`"""

from __future__ import annotations

import sys
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dango.cli import complete
from dango.cli.app import Format, app, chosen, line, open_project, until_nobody_reads
from dango.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dango.query import Column

_SHOWN = 1000

Limit = Annotated[
    int | None, typer.Option(metavar="N", min=1, help="Rows to show: 1000 in a table, else all.", show_default=False)
]


@app.command()
def query(
    sql: Annotated[str | None, typer.Argument(metavar="SQL", help="One statement; - reads it from stdin.")] = None,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", metavar="FILE", help="Read the statement from this file.")
    ] = None,
    destination: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            envvar="DANGO_DESTINATION",
            help="Default: the project's.",
            autocompletion=complete.destinations,
        ),
    ] = None,
    format_: Annotated[Format | None, typer.Option("--format", help="Of the rows; default: table.")] = None,
    json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
    limit: Limit = None,
    plot: Annotated[bool, typer.Option("--plot", help="Draw two columns: bars, or a line.")] = False,
    allow_files: Annotated[
        bool, typer.Option("--allow-files", help="Let DuckDB read and write files, and the network.")
    ] = False,
) -> None:
    """Run one statement on a destination, which is not changed. Times are in UTC."""
    from dango import query as engine
    from dango.cli import rows

    kind = chosen(format_, json)
    if plot and kind is not Format.table:
        raise UsageError(f"--plot draws, and --format {kind.value} does not")
    statement = _statement(sql, file)
    project = open_project()
    asked = engine.destination(project, destination)
    with until_nobody_reads(), engine.opened(project, asked, files=allow_files) as database:
        answer = database.answer(statement)
        if kind is Format.csv:
            rows.write_csv([column.name for column in answer.columns], islice(answer.rows, limit))
            return
        if kind is Format.json:
            rows.write_json(answer.columns, islice(answer.rows, limit))
            return
        shown = list(islice(answer.rows, limit or _SHOWN))
        more, all_of_them = rows.left(answer.rows)
    # Closed by now: whoever reads at leisure keeps no sync from its database.
    with until_nobody_reads():
        _draw(answer.columns, shown) if plot else _show(answer.columns, shown)
    if more:
        amount = f"{more:,}" if all_of_them else f"more than {more:,}"
        line(f"{amount} further {'row is' if more == 1 else 'rows are'} not shown", "--limit N shows more", "note")


def _statement(sql: str | None, file: Path | None) -> str:
    if (sql is None) == (file is None):
        raise UsageError("one statement: as an argument, from stdin as -, or by --file", 'dango query "SELECT 1"')
    try:
        if file is not None:
            return file.read_text(encoding="utf-8")
        return sys.stdin.buffer.read().decode("utf-8") if sql == "-" else sql or ""
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{file or 'stdin'} is not UTF-8: {error.reason} at byte {error.start}") from error


def _show(columns: Sequence[Column], shown: list[Any]) -> None:
    from dango.cli import show

    numbers = {number for number, column in enumerate(columns) if column.kind == "number"}
    show.rows([column.name for column in columns], shown, numbers)


def _draw(columns: Sequence[Column], shown: list[Any]) -> None:
    import shutil

    from dango.cli.plot import SYMBOLS, plot

    try:
        SYMBOLS.encode(sys.stdout.encoding)
        plain = False
    except UnicodeEncodeError:
        plain = True
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # The last column stays free: some terminals wrap when it is filled.
    width = shutil.get_terminal_size().columns - 1
    sys.stdout.write("\n".join(plot(columns, shown, width, ascii_only=plain)) + "\n")

"""Values as tables and lines. The only importer of rich."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from dango.cli.app import more, silence
from dango.cli.rows import text as as_text
from dango.job import RunError, RunResult, TableResult
from dango.probe import Inspection, Parameter, Tested


class _Console(Console):
    """Whether anybody reads stdout changes nothing of how a command ends, nor of what it says on stderr."""

    def on_broken_pipe(self) -> None:
        """rich's own ends the program, with exit code 1."""
        silence()


out = _Console(highlight=False, soft_wrap=True)
err = _Console(stderr=True, highlight=False, soft_wrap=True)

_COLOURS = {"ok": "green", "partial": "yellow", "running": "cyan"}
_FAILURES_SHOWN = 20
_TABLES_SHOWN = 50
"""Of a source after a run; the JSON has all."""
_LONGEST_LINE = 200
_NARROWEST = 10
"""A column of so few characters still says something."""
_UNBOUNDED = 100_000
"""Where there is no terminal there is no width to fit into."""
_NULL = Text("NULL", style="dim")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> None:
    """A plain table on stdout; the columns in `right` hold numbers."""
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        grid.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        grid.add_row(*(cell if isinstance(cell, Text) else Text("" if cell is None else str(cell)) for cell in row))
    # Without a terminal there is no width to fit into; a narrow guess would cut names.
    _Console(highlight=False, width=None if out.is_terminal else 240).print(grid)


def rows(columns: Sequence[str], values: Sequence[Sequence[object]], right: Collection[int] = ()) -> None:
    """What a database or a source gave, on stdout: as a table, or row by row where a table would be too wide.

    Args:
        columns: their names.
        values: of each row, in the order of the columns.
        right: the positions of those that hold numbers.
    """
    sys.stdout.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    width = out.width if out.is_terminal else _UNBOUNDED
    names = [_brief(name) for name in columns]
    cells = [[_NULL if value is None else Text(_brief(value)) for value in row] for row in values]
    longest = [max(cell.cell_len for cell in each) for each in zip([Text(name) for name in names], *cells, strict=True)]
    whole = len(values) == 1 and any(isinstance(value, str) and "\n" in value.strip() for value in values[0])
    room = width - 2 * (len(names) - 1)
    if whole or sum(min(each, _NARROWEST) for each in longest) > room:
        _one_by_one(names, values, width, whole=whole)
        return
    # The widest give way.
    shares = (most for most in range(max(longest, default=0), 0, -1) if sum(min(n, most) for n in longest) <= room)
    share = next(shares, 1)
    grid = Table(box=None, pad_edge=False, header_style="bold")
    for number, name in enumerate(names):
        side: Literal["left", "right"] = "right" if number in right else "left"
        grid.add_column(_within(Text(name), share), justify=side, no_wrap=True)
    for row in cells:
        grid.add_row(*(_within(cell, share) for cell in row))
    _Console(highlight=False, width=width).print(grid)


def heading(said: str) -> None:
    """A line that stands above a table."""
    out.print(Text(said, style="bold"))


def _one_by_one(names: Sequence[str], values: Sequence[Sequence[object]], width: int, *, whole: bool) -> None:
    margin = max(map(len, names), default=0)
    for number, row in enumerate(values):
        out.print(Text(f"row {number + 1}", style="bold"))
        for name, value in zip(names, row, strict=True):
            if whole and isinstance(value, str) and "\n" in value.strip():
                out.print(Text(f"  {name}"))
                out.print(Text(_printable(value).rstrip()))
                continue
            said = _NULL if value is None else Text(_brief(value))
            out.print(Text.assemble(f"  {name:<{margin}}  ", _within(said, max(_NARROWEST, width - margin - 4))))


def _within(cell: Text, width: int) -> Text:
    cut = cell.copy()
    cut.truncate(width, overflow="ellipsis")
    return cut


def _brief(value: object) -> str:
    """A value on one line; of a long one the beginning."""
    return _line(as_text(value)[: 2 * _LONGEST_LINE])


def status(value: str) -> Text:
    """A status in its colour."""
    return Text(value, style=_COLOURS.get(value, "red"))


def results(results: Sequence[RunResult], debug: bool = False, *, quiet: bool = False) -> None:
    """What a run did: a table of tables on stdout, then every error on stderr; not where JSON lines say them."""
    rows: list[tuple[object, ...]] = []
    for result in results:
        for number, each in enumerate(result.tables[:_TABLES_SHOWN]):
            new = "new table" if each.new else ", ".join(_named(each))
            total = "" if each.total is None else f"{each.total:,}"
            name = result.source if number == 0 else ""
            rows.append((name, f"{result.dataset}.{each.name}", f"{each.rows:,}", total, new, f"{each.seconds:.2f}"))
        if more := result.tables[_TABLES_SHOWN:]:
            loaded, seconds = sum(each.rows for each in more), sum(each.seconds for each in more)
            rows.append(("", f"and {len(more):,} tables more", f"{loaded:,}", "", "", f"{seconds:.2f}"))
        if not result.tables:
            said = "nothing new" if result.status == "ok" else status(result.status)
            rows.append((result.source, said, "0", "", "", f"{result.seconds:.2f}"))
    columns = ("source", "table", "rows loaded", "rows in all", "new columns", "seconds")
    table(columns, rows, right=("rows loaded", "rows in all", "seconds"))
    failures(results, debug)
    for result in () if quiet else results:
        if result.trial and result.status in ("ok", "partial"):
            err.print(Text(f"trial: to drop it, DROP SCHEMA {result.dataset} CASCADE (the next trial does so too)"))
        for each in result.tables:
            if each.discarded or each.left_out:
                err.print(Text(f"{result.source}: by its contract, {_kept_out(each)}"))
        error(result, debug)


def _named(table: TableResult) -> list[str]:
    return [f"{column} (another type)" if column in table.variants else column for column in table.new_columns]


def _kept_out(table: TableResult) -> str:
    """What a contract kept out of a table, in words."""
    rows = f"{table.discarded:,} {'row' if table.discarded == 1 else 'rows'} of {table.name} discarded"
    names = f"left out of {table.name}: {', '.join(table.left_out)}"
    return "; ".join([*([rows] if table.discarded else []), *([names] if table.left_out else [])])


def profiles(results: Iterable[RunResult]) -> None:
    """Where the time of each source went, which way its tables took, and what would help."""
    for result in results:
        if (profile := result.profile) is None:
            continue
        out.print()
        out.print(Text(f"{result.source}: where the {result.seconds:.1f} s went", style="bold"))
        whole = sum(profile.kinds.values()) or 1.0
        table(("step", "seconds"), [(step, f"{seconds:.2f}") for step, seconds in profile.steps.items()])
        shares = [(kind, f"{spent:.2f}", f"{100 * spent / whole:.0f} %") for kind, spent in profile.kinds.items()]
        table(("spent with", "seconds", "share"), shares)
        if profile.paths:
            table(("table", "read as", "why"), [(path.table, path.path, path.reason) for path in profile.paths])
        for advice in profile.advice:
            out.print(Text(f"hint: {advice}"))


def failures(results: Sequence[RunResult], debug: bool = False) -> None:
    """The records that failed, a few of them, and where all are; nothing where none did."""
    failed = [(result, record) for result in results for record in result.failed][:_FAILURES_SHOWN]
    if not failed:
        return
    rows = [
        (
            f"{result.source}.{record.resource}" if record.resource else result.source,
            _line(record.entity),
            _line(record.message),
            _printable(record.stack_trace) if debug else _line(record.place),
        )
        for result, record in failed
    ]
    out.print()
    table(("From", "Entity Name", "Message", "Stack Trace"), rows)
    if more := sum(result.failed_count for result in results) - len(failed):
        out.print(Text(f"and {more:,} more"))
    for result in results:
        if result.failed_count:
            query = f"SELECT * FROM {result.dataset}._dango_errors WHERE run = '{result.run}'"  # noqa: S608 - is shown
            out.print(Text(f"{records(result.failed_count)} of {result.source} failed: {query}"))


def records(count: int) -> str:
    """A number of records, in words."""
    return f"{count:,} {'record' if count == 1 else 'records'}"


def _line(said: str) -> str:
    """One line of a text that may be long: its beginning, without what would move the cursor."""
    line = " ".join(_printable(said).split())
    return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def _printable(said: str) -> str:
    """Text of a foreign system without characters that a terminal obeys."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in said)


def error(result: RunResult, debug: bool = False) -> None:
    """Why a source did not end well, on stderr; nothing where it did."""
    for skipped in result.skipped:
        _told(f"warning: {result.source}: `{skipped.resource}` was left out", skipped.error, debug)
    if result.error is not None:
        _told(f"error: {result.source}", result.error, debug)


def _told(what: str, why: RunError, debug: bool) -> None:
    err.print(Text(f"{what}: {why}"))
    if why.hint:
        err.print(Text("  hint: " + why.hint.replace("\n", "\n        ")))
    if why.docs:
        more(why.docs)
    if debug and why.traceback:
        err.print(Text(why.traceback))


def markdown(page: str) -> None:
    """A page of the documentation: set for a terminal, as it is written for everything else."""
    if out.is_terminal:
        from rich.markdown import Markdown

        out.print(Markdown(page), soft_wrap=False)
    else:
        out.print(Text(page.rstrip()))


def diff(text: str) -> None:
    """A unified diff."""
    colours = {"+": "green", "-": "red", "@": "cyan"}
    for line in text.splitlines():
        out.print(Text(line, style=colours.get(line[:1], "")))


def probed(value: Inspection | Tested) -> None:
    """What a source said when it was asked."""
    if isinstance(value, Tested):
        said = "well" if value.check else "a row" if value.rows else "well, and empty"
        outcome = Text("failed", style="red") if value.error else Text(said, style="green")
        out.print(Text.assemble(f"{value.resource}: ", outcome, f" in {value.seconds:.1f} s"))
        if value.error:
            _told(f"error: {value.resource}", value.error, debug=False)
        return
    count = f"{len(value.tables)} {'table' if len(value.tables) == 1 else 'tables'}"
    out.print(Text(f"{value.server}{f', as {value.user}' if value.user else ''}: {count}"))
    for problem in value.problems:
        err.print(Text(f"warning: {problem}"))


def parameters(rows: Iterable[Parameter]) -> None:
    """Where each parameter of a source comes from."""
    shown = [(p.name, p.annotation, Text(p.origin, style="red" if p.missing else ""), p.place, p.value) for p in rows]
    table(("parameter", "type", "from", "where", "value"), shown)

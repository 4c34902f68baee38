"""Two columns drawn in characters: bars for names with numbers, a line for numbers or times with numbers."""

from __future__ import annotations

import datetime as dt
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from dango.cli.rows import text
from dango.errors import UsageError

_EIGHTHS = " ▏▎▍▌▋▊▉█"
_QUARTERS = " ▘▝▀▖▌▞▛▗▚▐▜▄▙▟█"
"""By which quarters of the cell are set: 1 top left, 2 top right, 4 bottom left, 8 bottom right."""
SYMBOLS = _EIGHTHS + _QUARTERS + "│└─┤…"
"""What it draws with, where it may."""
_HEIGHT = 15
_NARROWEST = 10
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.timezone.utc)


def plot(columns: Sequence[Any], rows: Sequence[Sequence[Any]], width: int, *, ascii_only: bool = False) -> list[str]:
    """The lines of the drawing.

    Args:
        columns: two, of which the second holds numbers.
        rows: their values.
        width: how many characters a line may have.
        ascii_only: draws with what every terminal has.

    Raises:
        UsageError: for any other columns.
    """
    if len(columns) != 2 or columns[1].kind != "number":
        names = ", ".join(f"{column.name} ({column.type})" for column in columns) or "no columns"
        why = f"it has {len(columns)} columns" if len(columns) != 2 else f"`{columns[1].name}` is no number"
        raise UsageError(
            f"--plot draws two columns, of which the second is a number; {why}: {names}",
            "select two columns: a name, number or time first, then a number",
        )
    if not rows:
        return ["no rows"]
    if columns[0].kind in ("number", "time"):
        return _line(rows, width, ascii_only)
    return _bars(rows, width, ascii_only)


# --- bars ---------------------------------------------------------------------------------------------


def _bars(rows: Sequence[Sequence[Any]], width: int, ascii_only: bool) -> list[str]:
    labels = [_cut(text(label), max(_NARROWEST, width // 3), ascii_only) for label, _ in rows]
    said = [_said(value) for _, value in rows]
    label_width, said_width = max(map(_cells, labels)), max(map(len, said))
    room = max(_NARROWEST, width - label_width - said_width - 4)
    numbers = [_number(value) for _, value in rows]
    known = [number for number in numbers if number is not None]
    low, high = min([Decimal(0), *known]), max([Decimal(0), *known])
    below = round(room * (low / (low - high))) if low < 0 else 0
    below = min(max(below, 1), room - 1) if low < 0 < high else below
    lines = []
    for label, value, number in zip(labels, said, numbers, strict=True):
        left = _leftward(number / low, below, ascii_only) if number is not None and number < 0 else ""
        right = _rightward(number / high, room - below, ascii_only) if number is not None and number > 0 else ""
        bar = left.rjust(below) + right.ljust(room - below)
        lines.append(f"{label}{' ' * (label_width - _cells(label))}  {bar}  {value:>{said_width}}")
    return lines


def _rightward(share: Decimal, cells: int, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * max(1, round(share * cells))
    full, rest = divmod(max(1, round(share * cells * 8)), 8)
    return "█" * full + (_EIGHTHS[rest] if rest else "")


def _leftward(share: Decimal, cells: int, ascii_only: bool) -> str:
    if ascii_only:
        return "#" * max(1, round(share * cells))
    full, rest = divmod(max(1, round(share * cells * 2)), 2)
    return ("▐" if rest else "") + "█" * full


# --- a line -------------------------------------------------------------------------------------------


def _line(rows: Sequence[Sequence[Any]], width: int, ascii_only: bool) -> list[str]:
    known = [(at, row) for row in rows if (at := _position(row[0])) is not None]
    known.sort(key=lambda each: each[0])
    points = [(at, _number(row[1])) for at, row in known]
    values = [value for _, value in points if value is not None]
    if not values:
        return ["no row has a number to draw"]
    low, high = min(values), max(values)
    labels = (_said(high), _said(low))
    margin = max(map(len, labels))
    cells = max(_NARROWEST, width - margin - 2)
    grid = _Grid(cells, _HEIGHT, 1 if ascii_only else 2)
    before = None
    for at, value in points:
        dot = None
        if value is not None:
            across = _share(at, points[0][0], points[-1][0]) * (grid.columns - 1)
            down = _share(-value, -high, -low) * (grid.rows - 1)
            dot = (round(across), round(down))
            grid.draw(before or dot, dot)
        before = dot
    axis, corner, floor = ("|", "+", "-") if ascii_only else ("┤", "└", "─")
    sides = [labels[0], *[""] * (_HEIGHT - 2), labels[1]]
    lines = [f"{side:>{margin}} {axis}{cells}".rstrip() for side, cells in zip(sides, grid.lines(), strict=True)]
    first, last = text(known[0][1][0]), text(known[-1][1][0])
    between = " " * max(1, cells - len(first) - len(last))
    lines += [f"{'':>{margin}} {corner}{floor * cells}", f"{'':>{margin}}  {first}{between}{last}"]
    if missing := len(rows) - len(values):
        lines.append(f"{missing:,} {'row has' if missing == 1 else 'rows have'} no place in it")
    return lines


class _Grid:
    """Cells of characters, each of one dot, or of two by two."""

    def __init__(self, cells: int, height: int, dots: int) -> None:
        self._dots = dots
        self.columns, self.rows = cells * dots, height * dots
        self._set = [[False] * self.columns for _ in range(self.rows)]

    def draw(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """A straight line from one dot to another, both included."""
        steps = max(abs(end[0] - start[0]), abs(end[1] - start[1]), 1)
        for step in range(steps + 1):
            column = round(start[0] + (end[0] - start[0]) * step / steps)
            row = round(start[1] + (end[1] - start[1]) * step / steps)
            self._set[row][column] = True

    def lines(self) -> Iterable[str]:
        """The rows of cells as characters."""
        for row in range(0, self.rows, self._dots):
            yield "".join(self._cell(row, column) for column in range(0, self.columns, self._dots))

    def _cell(self, row: int, column: int) -> str:
        if self._dots == 1:
            return "*" if self._set[row][column] else " "
        quarters = (self._set[row + down][column + across] for down in (0, 1) for across in (0, 1))
        return _QUARTERS[sum(1 << number for number, there in enumerate(quarters) if there)]


def _share(value: Decimal, low: Decimal, high: Decimal) -> Decimal:
    """Where it stands between the two, from 0 to 1; in the middle where they are the same."""
    return (value - low) / (high - low) if high > low else Decimal("0.5")


# --- values -------------------------------------------------------------------------------------------


def _number(value: Any) -> Decimal | None:
    """A value to measure with, however large; None for what has no size."""
    if not isinstance(value, int | float | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() else None


def _position(value: Any) -> Decimal | None:
    """Where a number or a time stands on its axis."""
    if isinstance(value, dt.datetime):
        since = (value if value.tzinfo else value.replace(tzinfo=dt.timezone.utc)) - _EPOCH
        return Decimal(since // dt.timedelta(microseconds=1))
    if isinstance(value, dt.date):
        return Decimal(value.toordinal())
    return _number(value)


def _said(value: Any) -> str:
    if isinstance(value, int) and abs(value) < 10**15:
        return f"{value:,}"
    if isinstance(value, Decimal) and value.is_finite() and len(f"{value:f}") < 20:
        return f"{value:,f}"
    if isinstance(value, int):
        value = Decimal(value)
    return f"{value:.6g}" if isinstance(value, float | Decimal) else text(value)


def _cut(label: str, longest: int, ascii_only: bool) -> str:
    """The label on one line, of at most so many cells."""
    label = "".join(c if c.isprintable() else " " for c in label)
    if _cells(label) <= longest:
        return label
    ending = ".." if ascii_only else "…"
    while _cells(label) > longest - len(ending):
        label = label[:-1]
    return label + ending


def _cells(label: str) -> int:
    """How wide it is on a terminal."""
    return sum(0 if unicodedata.combining(c) else 1 + (unicodedata.east_asian_width(c) in "WF") for c in label)

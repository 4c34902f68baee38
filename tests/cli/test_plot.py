"""What `dango query --plot` draws, and what it refuses to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dango.cli.plot import plot
from dango.errors import UsageError
from dango.readers import Column, Kind
from tests.conftest import Said, sources


def drawn(first: Kind, rows: list[tuple[Any, Any]], width: int = 40, *, ascii_only: bool = False) -> list[str]:
    columns = [Column("a", "A", first), Column("b", "B", "number")]
    return plot(columns, rows, width, ascii_only=ascii_only)


def test_names_get_bars_by_eighths_of_a_character() -> None:
    assert drawn("text", [("one", 8), ("two", 4), ("three", 1), ("none", 0)], 24) == [
        "one    ██████████████  8",
        "two    ███████         4",
        "three  █▊              1",
        "none                   0",
    ]
    lines = drawn("text", [("a", 1), ("b", 1_000_000)])
    assert "▏" in lines[0]  # what is not nothing is seen
    assert lines[1].endswith("1,000,000")
    assert max(map(len, lines)) <= 40


def test_negative_numbers_go_to_the_other_side() -> None:
    lines = drawn("text", [("up", 10), ("down", -10), ("some", -5)], 36, ascii_only=True)
    up, down, some = (line.index("#") for line in lines)
    assert down < some < up
    assert abs(lines[0].count("#") - lines[1].count("#")) <= 1
    only = drawn("text", [("a", -1), ("b", -4)], 36, ascii_only=True)
    assert [line.count("#") for line in only] == [round(only[1].count("#") / 4), only[1].count("#")]


@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("first", ["text", "number", "time"])
@pytest.mark.parametrize(
    "values",
    [
        [],
        [None],
        [None, None],
        [5],
        [0],
        [0, 0, 0],
        [-3],
        [1, None, 3],
        [float("nan"), float("inf"), 2.0, -float("inf")],
        [Decimal("NaN"), Decimal("1e400"), Decimal("-1e400")],
        [10**400, 1, -(10**400)],
        [1e308, -1e308, 5e-324],
        [Decimal("0.1"), Decimal("0.2")],
        [True, 3],
        [*range(1000)],
    ],
)
def test_whatever_the_numbers_are_something_is_drawn_within_the_width(
    first: Kind, values: list[Any], ascii_only: bool
) -> None:
    at: Callable[[int], Any] = {
        "text": lambda n: f"name {n}",
        "number": lambda n: n,
        "time": lambda n: dt.datetime(2024, 1, 1) + dt.timedelta(days=n),
    }[first]
    lines = drawn(first, [(at(n), value) for n, value in enumerate(values)], 79, ascii_only=ascii_only)
    assert lines
    assert max(map(len, lines)) <= 79
    if ascii_only:
        assert "\n".join(lines).isascii()


def test_a_line_goes_from_the_lower_left_to_the_upper_right() -> None:
    lines = drawn("number", [(n, n) for n in range(100)], 50, ascii_only=True)
    body = lines[:-2]
    assert body[0].rstrip().endswith("*")
    assert body[0].startswith("99 |")
    assert body[-1].startswith(" 0 |*")
    assert lines[-1].split() == ["0", "99"]
    places = [line.index("*") for line in body]
    assert places == sorted(places, reverse=True)


def test_times_stand_where_they_are_and_not_one_after_the_other() -> None:
    days = [(dt.date(2024, 1, 1), 0), (dt.date(2024, 1, 2), 10), (dt.date(2024, 1, 11), 0)]
    top = drawn("time", days, 60, ascii_only=True)[0]
    assert top.index("*") - top.index("|") < 10
    zoned = [(dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc), 1), (dt.datetime(2024, 1, 2), 2), ("infinity", 3)]
    assert drawn("time", zoned)[-1] == "1 row has no place in it"


def test_a_lack_is_a_gap_in_the_line_and_is_counted() -> None:
    whole = drawn("number", [(0, 1), (1, 1), (2, 1), (3, 1)], 40, ascii_only=True)
    gap = drawn("number", [(0, 1), (1, None), (2, None), (3, 1)], 40, ascii_only=True)
    assert sum(line.count("*") for line in gap) == 2 < sum(line.count("*") for line in whole)
    assert gap[-1] == "2 rows have no place in it"
    assert drawn("number", [(1, None)]) == ["no row has a number to draw"]


def test_labels_are_cut_and_wide_characters_take_two_cells() -> None:
    lines = drawn("text", [("東京" * 20, 1), ("x\x1b[2J\ny", 2), (None, None)], 40)
    assert lines[0].startswith("東京東京東京…")
    assert "\x1b" not in lines[1]
    assert lines[2].split() == ["NULL", "NULL"]
    assert len({line.rindex(line.split()[-1]) + sum(c in "東京" for c in line) for line in lines[:2]}) == 1


@pytest.mark.parametrize(
    ("kinds", "why"),
    [
        (["text"], "it has 1 columns: c0 (T)"),
        (["text", "number", "number"], "it has 3 columns: c0 (T), c1 (T), c2 (T)"),
        (["number", "text"], "`c1` is no number: c0 (T), c1 (T)"),
        ([], "it has 0 columns: no columns"),
    ],
)
def test_what_cannot_be_drawn_is_refused_and_why_is_said(kinds: list[Kind], why: str) -> None:
    with pytest.raises(UsageError) as error:
        plot([Column(f"c{n}", "T", kind) for n, kind in enumerate(kinds)], [], 40)
    assert why in str(error.value)
    assert error.value.hint


def test_the_command_draws_in_what_the_terminal_has(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": sources()})
    (root / "data").mkdir()
    duckdb.connect(str(root / "data" / "warehouse.duckdb")).close()
    bars = "SELECT 'é' || range AS name, range * 2 AS n FROM range(3)"
    said = dango("query", bars, "--plot", env={"COLUMNS": "60", "PYTHONIOENCODING": "utf-8"})
    assert (said.code, said.err) == (0, "")
    assert ("█" in said.out, max(map(len, said.out.splitlines())) < 60) == (True, True)
    plain = dango("query", bars, "--plot", env={"COLUMNS": "60", "PYTHONIOENCODING": "ascii"})
    assert ("#" in plain.out, plain.out.isascii(), plain.code) == (True, True, 0)
    line = dango("query", "SELECT DATE '2024-01-01' + range::INT AS day, sin(range) FROM range(2000)", "--plot")
    assert ("2024-01-01" in line.out, "1,000 further rows are not shown" in line.err) == (True, True)
    assert dango("query", "SELECT 'a' AS a, 1 AS n WHERE false", "--plot").out == "no rows\n"
    wrong = dango("query", "SELECT 1", "--plot")
    assert (wrong.code, wrong.out, "--plot draws two columns" in wrong.err) == (2, "", True)
    assert dango("query", bars, "--plot", "--json").code == 2

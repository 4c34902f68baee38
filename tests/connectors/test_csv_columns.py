"""A column of CSV gives every value back: whole numbers as they are written, whatever stands beside them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import pytest

from dango.connectors.csv_columns import Csv, Texts, Unlike

NUMBERS: Sequence[tuple[list[str], str]] = (
    (["1795829377277442001", "5"], "BIGINT"),
    ([str(2**63 - 1), str(-(2**63))], "BIGINT"),
    ([str(2**63), "1"], "VARCHAR"),
    ([str(-(2**63) - 1)], "VARCHAR"),
    (["-0", "1"], "DOUBLE"),
    (["00", "0"], "VARCHAR"),
    (["999999999999999", "1.5"], "DOUBLE"),
    (["9007199254740993", "1.5"], "VARCHAR"),
    (["9007199254740993", "2"], "BIGINT"),
    (["1e300", "-2.5E-3"], "DOUBLE"),
    (["1e400", "1"], "VARCHAR"),
    (["1" * 400 + ".0", "1"], "VARCHAR"),
)


def read(folder: Path, values: Sequence[str], texts: Texts | None = None) -> tuple[str, list[Any], list[Any]]:
    """The type of a column, its values by columns, and row by row."""
    file = folder / "v.csv"
    file.write_text("v,w\n" + "".join(f"{value},x\n" for value in values), encoding="utf-8")
    with closing(duckdb.connect()) as database:
        found = Csv(database, file, None, True, texts or Texts())
        kind = found.kinds()["v"]
        try:
            relation = found.likely().relation
            by_columns = database.execute(f"FROM {relation}").fetchall()
        except (Unlike, duckdb.Error):
            by_columns = database.execute(f"FROM {found.certain().relation}").fetchall()
        by_rows = [row["v"] for page in found.rows(10) for row in page]
    return kind, [value for value, _ in by_columns], by_rows


@pytest.mark.parametrize(("values", "kind"), NUMBERS)
def test_a_column_of_numbers_is_of_a_type_that_holds_them(tmp_path: Path, values: list[str], kind: str) -> None:
    found, by_columns, by_rows = read(tmp_path, values)
    assert found == kind
    assert repr(by_columns) == repr(by_rows)
    given = {"BIGINT": int, "DOUBLE": float, "VARCHAR": str}[kind]
    assert repr(by_columns) == repr([given(value) for value in values])


def test_no_whole_number_becomes_another(tmp_path: Path) -> None:
    random = Random(1)
    for _ in range(150):
        digits = [random.choice((1, 5, 15, 16, 17, 18, 19, 20, 39)) for _ in range(random.randrange(1, 5))]
        values = [random.choice(("", "-")) + str(random.randrange(10 ** (n - 1), 10**n)) for n in digits]
        values += random.choice(([], [], ["0.5"], ["1e3"], ["-0"]))
        _, by_columns, by_rows = read(tmp_path, values)
        for found in (by_columns, by_rows):
            assert [Decimal(value) for value in found] == [Decimal(value) for value in values], values
            assert all(math.isfinite(value) for value in found if isinstance(value, float))


def test_what_is_not_like_the_first_rows_is_found_while_it_is_read(tmp_path: Path) -> None:
    for last in (str(2**63), "1e400", "9007199254740993.5", "9007199254740993"):
        values = ["0.5" if "." in last or "e" in last else "1"] * 20_001 + [last]
        _, by_columns, by_rows = read(tmp_path, values)
        assert repr(by_columns[-1]) == repr(by_rows[-1]), last
        assert last == "9007199254740993.5" or Decimal(by_rows[-1]) == Decimal(last)


def test_what_is_text_or_a_decimal_in_the_table_stays_as_it_is_written(tmp_path: Path) -> None:
    for kind in ("text", "decimal", "wei"):
        texts = Texts({"v": kind}.get)
        assert read(tmp_path, ["1.50", "007"], texts) == ("VARCHAR", ["1.50", "007"], ["1.50", "007"])
    assert read(tmp_path, ["1.50", "7"], Texts({"v": "double"}.get))[0] == "DOUBLE"
    met = Texts()
    assert read(tmp_path, ["A12"], met)[0] == "VARCHAR"
    assert read(tmp_path, ["TRUE"], met) == ("VARCHAR", ["TRUE"], ["TRUE"])

"""Documents by columns come to the same as by dlt's own code: schemas, rows, relations, counts, warnings, errors."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dango.columnar import hooks
from tests.columnar.corpus import case
from tests.columnar.rules import USUAL
from tests.columnar.worlds import difference, live

pytestmark = pytest.mark.usefixtures("quiet")

CASES = int(os.environ.get("EQUALITY", "0"))
"""How many cases more than the tests have are tried; `make equality` says."""


def compared(tmp_path_factory: pytest.TempPathFactory, cases: int, *, always: bool) -> Counter[str]:
    """Tries cases, the same each time where `always`. Gives how many tables went which way."""
    ways: Counter[str] = Counter()

    @settings(
        max_examples=cases,
        derandomize=always,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.integers(0, 2**64))
    def come_to_the_same(seed: int) -> None:
        folder = tmp_path_factory.mktemp("worlds")
        by_rows = live(folder / "rows", case(Random(seed)), columns=False)
        by_columns = live(folder / "columns", case(Random(seed)), columns=True)
        ways.update(path for paths in by_columns.paths for path, _ in paths.values())
        assert not difference(by_rows, by_columns)

    come_to_the_same()
    return ways


def test_what_is_drawn_comes_to_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    ways = compared(tmp_path_factory, 4, always=True)
    assert not proven() or ways["columnar"], "nothing went by columns: nothing was compared"


@pytest.mark.slow
def test_thousands_of_documents_come_to_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
    ways = compared(tmp_path_factory, 60, always=True)
    assert not proven() or 2 * ways["columnar"] > ways["rows"]


if CASES:  # `make equality`

    def test_a_hundred_thousand_documents_come_to_the_same(tmp_path_factory: pytest.TempPathFactory) -> None:
        ways = compared(tmp_path_factory, CASES, always=False)
        assert not proven() or 2 * ways["columnar"] > ways["rows"]


def proven() -> bool:
    return hooks._able()


def test_a_usual_document_goes_by_columns(tmp_path: Path) -> None:
    for name, runs in USUAL.items():
        by_rows = live(tmp_path / name / "rows", runs, columns=False)
        by_columns = live(tmp_path / name / "columns", runs, columns=True)
        assert not difference(by_rows, by_columns), name
        assert by_columns.columnar or not proven(), (name, by_columns.paths)

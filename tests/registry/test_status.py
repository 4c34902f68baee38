"""`make registry`: what it says of entries is how their tests end, and docs/sources/STATUS.md has all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.registry import status
from tests.registry.elsewhere import ELSEWHERE
from tests.registry.shipped import FILES
from tests.registry.status import FAILED, NOT_RUN, OK, Reports, Row


def report(test: str, outcome: str, *passed: str, when: str = "call") -> pytest.TestReport:
    properties = [("passed", name) for name in passed]
    return pytest.TestReport(test, ("", 0, ""), {}, outcome, None, when, user_properties=properties, duration=1)  # type: ignore[arg-type]


def cells(identity: str, *reports: pytest.TestReport) -> list[str]:
    """The cells of an entry's row after these reports."""
    made = Reports([identity])
    for each in reports:
        made.pytest_runtest_logreport(each)
    return [made.rows[identity].cells[column] for column in status.COLUMNS]


LOADS = f"{status.LOADS}[stripe]"
NONE = [NOT_RUN] * len(status.COLUMNS)


def test_each_check_of_a_test_is_a_cell_of_its_own() -> None:
    assert cells("stripe") == NONE
    assert cells("stripe", report(LOADS, "passed", "full", "incremental", "secrets"))[3:] == [OK, OK, OK]
    assert cells("stripe", report(LOADS, "failed", "full"))[3:] == [OK, FAILED, NOT_RUN]
    assert cells("stripe", report(LOADS, "failed", when="setup"))[3:] == [FAILED, NOT_RUN, NOT_RUN]
    assert cells("stripe", report(LOADS, "skipped", when="setup")) == NONE
    assert cells("stripe", report(f"{status.OF_ALL['lint']}[stripe]", "failed"))[:3] == [NOT_RUN, FAILED, NOT_RUN]
    assert cells("stripe", report(f"{status.OF_ALL['lint']}[github]", "failed")) == NONE


def test_an_entry_whose_loads_nobody_tests_is_not_green() -> None:
    assert status.begun("snowflake").cells == dict(
        zip(status.COLUMNS, [NOT_RUN, NOT_RUN, "n/a", *NONE[3:]], strict=True)
    )
    assert [*status.begun("slack").cells.values()][3:] == ["n/a", "n/a", "n/a"]


def test_of_several_cases_of_a_test_a_failure_stays() -> None:
    test = ELSEWHERE["rest_api"]["full"]
    assert cells("rest_api", report(f"{test}[a]", "failed"), report(f"{test}[b]", "passed"))[3] == FAILED
    assert cells("rest_api", report(f"{test}[a]", "passed"), report(f"{test}[b]", "passed"))[3] == OK


def test_a_row_is_green_where_no_check_failed_or_was_left_out() -> None:
    cells = dict.fromkeys(status.COLUMNS, OK)
    assert Row("x", {**cells, "spec": status.BY_HAND, "secrets": status.NOTHING}).is_green
    assert not Row("x", {**cells, "full": NOT_RUN}).is_green
    assert not Row("x", {**cells, "full": FAILED}).is_green


def test_a_page_is_read_as_it_was_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"a": Row("a", dict.fromkeys(status.COLUMNS, OK), 7, "2026-01-31")}
    monkeypatch.setattr(status, "PAGE", tmp_path / "STATUS.md")
    assert status.rows() == {}
    status.PAGE.write_text(status.written(known, " with x"), encoding="utf-8")
    assert status.rows() == known


def test_the_page_has_a_row_for_each_entry_and_no_other() -> None:
    assert [*status.rows()] == [file.stem for file in FILES], "run: make registry"


@pytest.mark.parametrize("test", sorted({test for tests in ELSEWHERE.values() for test in tests.values()}))
def test_a_test_that_stands_for_a_check_is_there(test: str) -> None:
    file, _, name = test.partition("::")
    assert f"\ndef {name}(" in (status.ROOT / file).read_text(encoding="utf-8")


def test_the_entries_that_are_loaded_elsewhere_are_there() -> None:
    assert {*ELSEWHERE} <= {file.stem for file in FILES}

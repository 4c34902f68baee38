"""`make registry`: every check of every entry, as its tests end, in docs/sources/STATUS.md.

    python -m tests.registry.status [ID…]

Nothing is checked here. The tests of the entries run, a few at a time, and what they report becomes a table; with ids
the rows of these are written anew, and the others stay as they were.
"""

from __future__ import annotations

import argparse
import datetime as dt
import platform
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import pytest

from dango.registry.entries import Registry
from dango.registry.entry import Verified
from dango.registry.page import table
from tests.registry import shapes
from tests.registry.elsewhere import ELSEWHERE
from tests.registry.shipped import FILES, is_described, is_rest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "sources" / "STATUS.md"
COLUMNS = ("schema", "lint", "spec", "full", "incremental", "secrets")
CASES = "tests/registry/test_entries.py::"
LOADS = f"{CASES}test_an_entry_loads_in_full_then_what_is_new_and_shows_no_secret"
OF_ALL = {
    "schema": f"{CASES}test_an_entry_fits_the_schema_and_is_named_like_its_file",
    "lint": f"{CASES}test_lint_finds_no_error_in_an_entry",
}
SPEC = f"{CASES}test_an_entry_asks_for_what_the_vendor_describes"
OK, BY_HAND, NOTHING, FAILED, NOT_RUN = "ok", "by hand", "n/a", "failed", "not run"
GREEN = (OK, BY_HAND, NOTHING)

HEAD = """# What was checked

Written by `make registry`,{when}; do not edit.

| column | what was done |
| --- | --- |
| schema | the file is an entry, and named like its id |
| lint | no rule of `dango registry lint` is broken |
| spec | all that is asked, and all that is read of the answers, fits the vendor's description of the API; "by hand": one that was written after its documentation |
| full | all rows of each table are there, once, every page was read, and no other host was asked |
| incremental | a second sync: changed rows are there as they are now, none is there twice, and of a table with a cursor only what is new was asked for |
| secrets | of a sync with a wrong secret neither it nor the right one shows in what is printed or kept |

Loads are from a server on this machine that answers as described; no vendor was asked. "n/a": there is nothing to check
there, such as the secrets of a file; the code of dlt's verified sources is not loaded here.

"""  # noqa: E501


@dataclass
class Row:
    """How the checks of one entry have ended."""

    id: str
    cells: dict[str, str]
    seconds: float = 0.0
    day: str = ""
    running: set[str] = field(default_factory=set)
    """The tests of it that have not ended yet."""

    @property
    def is_green(self) -> bool:
        """Whether every check that there is has passed."""
        return all(cell in GREEN for cell in self.cells.values())

    def note(self, outcomes: Mapping[str, str]) -> None:
        """Takes how some of its checks have ended; of several cases of one, a failure stays."""
        for column, outcome in outcomes.items():
            if self.cells[column] != FAILED:
                by_hand = column == "spec" and outcome == OK and shapes.written(self.id) is not None
                self.cells[column] = BY_HAND if by_hand else outcome

    def line(self) -> tuple[str, ...]:
        """Its cells as text."""
        return (f"[{self.id}]({self.id}.md)", *(self.cells[c] for c in COLUMNS), f"{self.seconds:.0f}", self.day)


def rows() -> dict[str, Row]:
    """The rows of the page, by id; none where there is no page."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    found = {}
    for line in text.splitlines():
        if line.startswith("| ["):
            name, *cells, seconds, day = [cell.strip() for cell in line.strip("|").split("|")]
            identity = name[1 : name.index("]")]
            found[identity] = Row(identity, dict(zip(COLUMNS, cells, strict=True)), float(seconds), day)
    return found


def tests_of(identity: str) -> dict[str, str]:
    """The test that is each check of an entry, by column; none of a check that there is not."""
    file = next(file for file in FILES if file.stem == identity)
    entry = Registry().entry(identity)
    cases = {**OF_ALL, **({"spec": SPEC} if is_described(file) else {})}
    if is_rest(file):
        loads = ("full", "incremental", *(["secrets"] if entry.secrets else []))
        cases |= dict.fromkeys(loads, LOADS)
    return {column: f"{case}[{identity}]" for column, case in cases.items()} | dict(ELSEWHERE.get(identity, {}))


def begun(identity: str) -> Row:
    """The row of an entry of which no test has run."""
    tests = tests_of(identity)
    loaded = "full" in tests or isinstance(Registry().entry(identity).build, Verified)
    wanted = {*tests} if loaded else {*tests, "full", "incremental", "secrets"}
    cells = {column: NOT_RUN if column in wanted else NOTHING for column in COLUMNS}
    return Row(identity, cells, day=f"{dt.date.today():%Y-%m-%d}")


class Reports:
    """What the tests of some entries report, as a plugin of pytest."""

    def __init__(self, identities: Iterable[str]) -> None:
        self.rows = {identity: begun(identity) for identity in identities}
        self.failures: list[str] = []
        self._columns: dict[str, dict[str, list[str]]] = {}
        """By test and entry."""
        for identity in self.rows:
            for column, test in tests_of(identity).items():
                self._columns.setdefault(test, {}).setdefault(identity, []).append(column)

    @property
    def tests(self) -> list[str]:
        """The tests to run."""
        return [*self._columns]

    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        """Tells which cases a test has."""
        for case in ids:
            for identity in self._of(case):
                self.rows[identity].running.add(case)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes how a test has ended, and shows a row that is whole."""
        if report.failed:
            self.failures.append(f"{report.nodeid}\n{report.longreprtext}")
        for identity, columns in self._of(report.nodeid).items():
            row = self.rows[identity]
            row.seconds += report.duration
            if report.when == "call" or not report.passed:
                row.note(dict(zip(columns, outcomes(report, columns), strict=True)))
            if report.when == "teardown":
                row.running.discard(report.nodeid)
                if not row.running:
                    show(row)

    def _of(self, case: str) -> Mapping[str, list[str]]:
        return self._columns.get(case) or self._columns.get(case.partition("[")[0], {})


def outcomes(report: pytest.TestReport, columns: list[str]) -> list[str]:
    """How the checks of one test have ended, which are made one after another until one fails."""
    if report.passed or report.skipped:
        return [OK if report.passed else NOT_RUN] * len(columns)
    passed = [value for name, value in report.user_properties if name == "passed"]
    good = [OK for column in columns if column in passed]
    return [*good, FAILED, *[NOT_RUN] * len(columns)][: len(columns)]


def show(row: Row) -> None:
    """A row on the terminal, as soon as it is whole."""
    print(f"{row.id:20}", *(f"{row.cells[column]:12}" for column in COLUMNS), f"{row.seconds:5.0f} s", flush=True)


def written(known: Mapping[str, Row], when: str) -> str:
    """The page."""
    header = ("entry", *COLUMNS, "seconds", "on")
    lines = [known[identity].line() for identity in sorted(known)]
    others = [f"- {name}: {', '.join(dict.fromkeys(map(_code, tests.values())))}" for name, tests in ELSEWHERE.items()]
    whole = f"\n\nOf these the loads are tests of their own:\n\n{chr(10).join(others)}\n"
    return HEAD.format(when=when) + table(header, lines) + whole


def _code(test: str) -> str:
    return f"`{test.partition('::')[0]}`"


def versions() -> str:
    """With what the checks are run."""
    return f" with dlt {version('dlt')}, DuckDB {version('duckdb')} and Python {platform.python_version()}"


def main(arguments: list[str]) -> int:
    """Runs the checks, shows them and writes the page; 1 where one has failed."""
    parser = argparse.ArgumentParser(description="Check entries, and write docs/sources/STATUS.md.")
    parser.add_argument("ids", nargs="*", metavar="ID", help="default: every entry of registry/")
    parser.add_argument("-n", default="3", help="how many tests run at the same time")
    asked = parser.parse_args(arguments)
    known = [file.stem for file in FILES]
    if unknown := {*asked.ids} - {*known}:
        parser.error(f"no entry in registry/: {', '.join(sorted(unknown))}")
    reports = Reports(asked.ids or known)
    print(f"{'':20}", *(f"{column:12}" for column in COLUMNS), flush=True)
    quiet = ("-p", "no:terminal", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-n", asked.n)
    ended = pytest.main([*quiet, *(str(ROOT / test) for test in reports.tests)], plugins=[reports])
    for failure in reports.failures:
        print(f"\n{failure}", file=sys.stderr)
    kept = {identity: row for identity, row in rows().items() if identity in known}
    # Rows of other versions beside those of this run would be told as if they were of these.
    if asked.ids and kept and versions() not in PAGE.read_text(encoding="utf-8"):
        print(
            f"{PAGE.name} is left as it is: its rows are of other versions; make registry without ONLY", file=sys.stderr
        )
    else:
        PAGE.write_text(written({**kept, **reports.rows}, versions()), encoding="utf-8")
    return int(ended)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

"""A run's log holds every event and the whole of an error; thirty logs are kept."""

from __future__ import annotations

import datetime as dt
import json
import stat
from pathlib import Path

from dango.job import Event, RunError, RunResult, TableResult
from dango.log import KEPT, Log, text

AT = dt.datetime(2024, 2, 29, 12, 0, 0, 123456, tzinfo=dt.timezone.utc)
EVENTS = [
    Event("shop", "import", message="`shop`", at=AT),
    Event("shop", "extract", "orders", 12345, at=AT),
    Event("shop", "log", message="a line that the source prints", at=AT),
]
FAILED = RunResult(
    *("r1", "shop", "failed", AT, 1.25, "duckdb", "raw_shop", (TableResult("orders", 3),)),
    error=RunError("ValueError", "ValueError: no", "try again", "custom_sources/shop.py:3", "Traceback …\n  line\n"),
)


def test_events_and_results_are_lines_for_people(tmp_path: Path) -> None:
    with Log(tmp_path / "logs", "r1", "text") as log:
        for event in EVENTS:
            log.event(event)
        log.result(FAILED)
    assert (tmp_path / "logs" / "r1.log").read_text() == (
        "2024-02-29T12:00:00.123+00:00 shop: import `shop`\n"
        "2024-02-29T12:00:00.123+00:00 shop: extract orders 12,345 rows\n"
        "2024-02-29T12:00:00.123+00:00 shop: a line that the source prints\n"
        "2024-02-29T12:00:00.123+00:00 shop: failed, 3 rows in 1.25 s\n"
        "custom_sources/shop.py:3: ValueError: no\n"
        "Traceback …\n"
        "  line\n"
    )
    assert stat.S_IMODE((tmp_path / "logs").stat().st_mode) == 0o700


def test_events_and_results_are_lines_of_json(tmp_path: Path) -> None:
    with Log(tmp_path, "r1", "json") as log:
        for event in EVENTS:
            log.event(event)
        log.result(FAILED)
    lines = [json.loads(line) for line in (tmp_path / "r1.log").read_text().splitlines()]
    assert [line.get("step") for line in lines] == ["import", "extract", "log", None]
    assert lines[1] == {
        "source": "shop", "step": "extract", "resource": "orders", "rows": 12345, "message": "",
        "at": "2024-02-29T12:00:00.123+00:00", "part": "",
    }  # fmt: skip
    assert lines[3]["error"]["traceback"] == "Traceback …\n  line\n"
    assert lines[3]["rows"] == 3


def test_what_was_logged_is_in_the_file_at_once(tmp_path: Path) -> None:
    with Log(tmp_path, "r1", "text") as log:
        log.event(EVENTS[0])
        assert (tmp_path / "r1.log").read_text().endswith("shop: import `shop`\n")


def test_the_logs_of_the_newest_runs_stay(tmp_path: Path) -> None:
    assert KEPT == 30
    (tmp_path / "notes.txt").touch()
    names = [f"202402{day:02}-120000-ab{day:02}" for day in range(1, 36)]
    for name in names:
        with Log(tmp_path, name, "text"):
            pass
    assert sorted(file.name for file in tmp_path.iterdir()) == [*(f"{name}.log" for name in names[-30:]), "notes.txt"]


def test_the_log_of_a_run_stays_also_where_its_name_is_of_an_earlier_time(tmp_path: Path) -> None:
    for day in range(1, 36):
        with Log(tmp_path, f"202402{day:02}-120000-ab{day:02}", "text"):
            pass
    with Log(tmp_path, "20230201-120000-abcd", "text") as log:
        log.event(EVENTS[0])
    assert (tmp_path / "20230201-120000-abcd.log").read_text()


def test_an_event_is_one_line_even_where_its_message_is_odd() -> None:
    assert text(Event("shop", "log", message="[bold]é\ud800", at=AT)) == "shop: [bold]é\ud800"
    assert text(Event("shop", "load", at=AT)) == "shop: load"


def test_a_message_that_is_no_text_is_logged_all_the_same(tmp_path: Path) -> None:
    with Log(tmp_path, "r1", "text") as log:
        log.event(Event("shop", "log", message="a file name that is not UTF-8: \udcff", at=AT))
        log.event(EVENTS[0])
    assert (tmp_path / "r1.log").read_text().endswith("shop: import `shop`\n")

"""What people are shown of records that failed, read from the history as `dango history RUN` does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dango.history import History
from dango.job import FailedRecord, RunResult
from tests.conftest import Said, sources

Write = Callable[[dict[str, str]], None]
RUN = "20240229-120000-abcd"


def record(
    root: Path, source: str, count: int, resource: str = "orders", message: str = "KeyError: 'id'", trace: str = "x"
) -> None:
    failed = tuple(
        FailedRecord(resource, f"order {n}", message, "custom_sources/shop.py:7", trace) for n in range(min(count, 20))
    )
    began = dt.datetime(2024, 2, 29, 12, tzinfo=dt.timezone.utc)
    result = RunResult(RUN, source, "partial", began, 1.5, "duckdb", f"raw_{source}", failed=failed, failed_count=count)
    History(root / ".dango").record(result)


def table(said: Said) -> list[str]:
    """The lines from the table's header on."""
    lines = said.out.splitlines()
    return lines[next(n for n, line in enumerate(lines) if line.startswith("From ")) :]


def test_failed_records_are_a_table_that_says_where_all_of_them_are(root: Path, write: Write, dango: Any) -> None:
    write({"sources": sources()})
    record(root, "shop", 2)
    record(root, "till", 1, resource="")
    header, *lines = table(dango("history", RUN))
    assert header.split() == ["From", "Entity", "Name", "Message", "Stack", "Trace"]
    assert [line.split() for line in lines[:3]] == [
        ["shop.orders", "order", "0", "KeyError:", "'id'", "custom_sources/shop.py:7"],
        ["shop.orders", "order", "1", "KeyError:", "'id'", "custom_sources/shop.py:7"],
        ["till", "order", "0", "KeyError:", "'id'", "custom_sources/shop.py:7"],
    ]
    assert lines[3:] == [
        f"2 records of shop failed: SELECT * FROM raw_shop._dango_errors WHERE run = '{RUN}'",
        f"1 record of till failed: SELECT * FROM raw_till._dango_errors WHERE run = '{RUN}'",
    ]


def test_of_many_twenty_are_shown_and_how_many_more_there_are(root: Path, write: Write, dango: Any) -> None:
    write({"sources": sources()})
    record(root, "shop", 1200)
    record(root, "till", 34)
    _, *lines = table(dango("history", RUN))
    assert [line for line in lines if line.startswith("till.")] == []
    assert lines[20] == "and 1,214 more"
    assert [line.partition(":")[0] for line in lines[21:]] == [
        "1,200 records of shop failed",
        "34 records of till failed",
    ]


def test_a_message_is_one_line_and_moves_no_cursor(root: Path, write: Write, dango: Any) -> None:
    write({"sources": sources()})
    record(root, "shop", 1, message="bad\x1b[2J\r\nrow [red] " + "word " * 200)
    said = dango("history", RUN)
    assert "\x1b" not in said.out
    assert "\r" not in said.out
    assert " ".join(table(said)[1].split()).startswith("shop.orders order 0 bad [2J row [red] word word")
    assert 20 < said.out.count("word") < 50


def test_the_whole_stack_trace_is_there_with_debug_and_in_json(root: Path, write: Write, dango: Any) -> None:
    write({"sources": sources()})
    trace = "Traceback (most recent call last):\n  File \"shop.py\", line 7, in made\nKeyError: 'id'\n"
    record(root, "shop", 1, trace=trace)
    assert "line 7, in made" not in dango("history", RUN).out
    assert "line 7, in made" in dango("--debug", "history", RUN).out
    (result,) = dango("history", RUN, "--json").json["results"]
    assert result["failed"] == [
        {"resource": "orders", "entity": "order 0", "message": "KeyError: 'id'", "stack_trace": trace,
         "place": "custom_sources/shop.py:7"}
    ]  # fmt: skip
    assert result["failed_count"] == 1


def test_nothing_is_said_where_nothing_failed(root: Path, write: Write, dango: Any) -> None:
    write({"sources": sources()})
    record(root, "shop", 0)
    assert "From" not in dango("history", RUN).out

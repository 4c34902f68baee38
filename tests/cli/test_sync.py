"""`dango sync` as people and programs see it: what it says where, its exit codes, its logs, and the trial."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pexpect
import pytest

from tests.conftest import Said, native, sources

SHOP = """\
import sys
import dlt

def rows():
    print("printed by the source")
    print("said by the source", file=sys.stderr)
    yield [{"id": 1}, {"id": 2}]

def other():
    yield {"id": 1}

def broken():
    yield {"id": 1}
    raise ValueError("no more")
"""


@pytest.fixture(autouse=True)
def _project(write: Callable[..., None]) -> None:
    write({
        "sources": sources(
            native("good"), native("other", "other"), native("bad", "broken"), native("gone", module="gone"),
            native("off").replace("type:", "enabled: false, type:"),
        ),
        "custom_sources/shop.py": SHOP,
    })  # fmt: skip


def names(said: Said) -> list[str]:
    return [result["source"] for result in said.json["results"]]


def test_json_is_the_only_thing_on_stdout_and_a_line_a_source_goes_to_stderr(dango: Callable[..., Said]) -> None:
    said = dango("sync", "other", "good", "--source", "good", "--json")
    assert said.code == 0
    assert list(said.json) == ["run", "exit_code", "results"]
    assert names(said) == ["good", "other"], "each once, in the order of the file"
    good = said.json["results"][0]
    assert (good["status"], good["dataset"], good["destination"], good["rows"]) == ("ok", "raw_good", "duckdb", 2)
    lines = sorted(said.err.splitlines())  # of sources that are read side by side, whichever ends first
    assert len(lines) == 2, said.err
    assert re.fullmatch(r"good: ok, 2 rows in \d+\.\d s", lines[0])
    assert re.fullmatch(r"other: ok, 1 rows in \d+\.\d s", lines[1])

    # `--source X` means the same as X; people get a table of tables, and with -v also what the source says.
    people = dango("-v", "sync", "--source", "good")
    assert people.code == 0
    assert people.out.splitlines()[0].split("  ")[0] == "source"
    assert re.search(r"^good +raw_good\.rows +2 +4 ", people.out, re.M)
    assert "printed by the source" not in people.out
    assert "good: printed by the source\n" in people.err
    assert "good: said by the source\n" in people.err
    assert "\x1b" not in people.out + people.err


@pytest.mark.slow
def test_exit_codes_tell_failure_from_a_mixture(dango: Callable[..., Said]) -> None:
    mixed = dango("sync", "--json")
    assert (mixed.code, mixed.json["exit_code"]) == (3, 3)
    assert [(r["source"], r["status"]) for r in mixed.json["results"]] == [
        ("good", "ok"), ("other", "ok"), ("bad", "failed"), ("gone", "failed"),
    ]  # fmt: skip
    failed = dango("sync", "bad")
    assert failed.code == 1
    assert "error: bad: custom_sources/shop.py:14: ValueError: no more\n" in failed.err
    assert "hint: the whole traceback: dango --debug history " in failed.err
    assert dango("sync", "gone").code == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["goud"],
            (
                "error: no source `goud` in this project (did you mean `good`?)\n"
                "  hint: sources: good, other, bad, gone, off\n"
            ),
        ),
        (["--source", "goud"], "error: no source `goud` in this project (did you mean `good`?)\n"),
        (["off"], "error: source `off` is disabled in .dango/sources.yml\n  hint: dango source enable off\n"),
        (["good", "off"], "error: source `off` is disabled in .dango/sources.yml\n"),
        (["--limit", "0"], "error: --limit takes a number from 1 and does not go with --full-refresh\n"),
        (
            ["--limit", "5", "--full-refresh"],
            "error: --limit takes a number from 1 and does not go with --full-refresh\n",
        ),
        (
            ["--since", "2024-01-01", "--full-refresh"],
            "error: --since and --until load a range of time, and do not go with --full-refresh\n",
        ),
        (
            ["--since", "2024-01-02", "--until", "2024-01-01"],
            "error: --since 2024-01-02T00:00:00+00:00 is not before --until 2024-01-01T00:00:00+00:00\n",
        ),
        (["--since", "9999-01-01"], "error: --since 9999-01-01T00:00:00+00:00 is still to come\n"),
        (["--until", "May"], "error: --until May: it is no date\n  hint: 2024-01-31, or 2024-01-31T09:30:00Z\n"),
        (["--destination", "lake"], "error: no destination `lake`\n  hint: known destinations: duckdb; "),
        (["--limit", "many"], None),
        (["--nonsense"], None),
    ],
)
def test_what_cannot_be_is_exit_2_and_starts_nothing(
    root: Path, dango: Callable[..., Said], arguments: list[str], said: str | None
) -> None:
    ended = dango("sync", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(said) if said else ended.err
    assert not (root / "data").exists()
    assert not list((root / ".dango").glob("history*"))


def test_no_enabled_source_is_exit_2(write: Callable[..., None], dango: Callable[..., Said]) -> None:
    write({"sources": "version: 1\n"})
    said = dango("sync")
    assert (said.code, said.err.splitlines()[0]) == (2, "error: .dango/sources.yml has no source yet")
    write({"sources": "version: 1\ndefaults: {enabled: false}\n" + sources(native("a")).removeprefix("version: 1\n")})
    said = dango("sync")
    assert (said.code, said.err.splitlines()[0]) == (2, "error: .dango/sources.yml has no enabled source")
    document = dango("sync", "--json")
    assert (document.code, document.json["exit_code"]) == (2, 2)


def test_an_unknown_resource_names_the_nearest(dango: Callable[..., Said]) -> None:
    said = dango("sync", "good", "--resource", "row")
    assert said.code == 2
    assert "source `good` has no resource `row` (did you mean `rows`?)" in said.err


@pytest.mark.slow
def test_logs_are_json_where_asked_for_and_the_last_thirty_stay(root: Path, dango: Callable[..., Said]) -> None:
    logs = root / ".dango" / "logs"
    logs.mkdir(mode=0o700)
    for number in range(40):
        (logs / f"20200101-0000{number:02}-aaaa.log").write_text("old\n")
    said = dango("--log-format", "json", "sync", "--jobs", "1", "good", "bad")
    assert said.code == 3
    lines = [json.loads(line) for line in said.err.splitlines()]
    assert {line["source"] for line in lines} == {"good", "bad"}
    assert [line["status"] for line in lines if "status" in line] == ["ok", "failed"]
    assert any(line.get("message") == "printed by the source" for line in lines)
    kept = sorted(path.name for path in logs.glob("*.log"))
    assert len(kept) == 30
    assert kept[0] == "20200101-000011-aaaa.log"
    written = [json.loads(line) for line in (logs / kept[-1]).read_text().splitlines()]
    assert [line["status"] for line in written if "status" in line] == ["ok", "failed"]
    assert "Traceback" in written[-1]["error"]["traceback"]
    assert dango("--log-format", "xml", "sync").code == 2

    run = dango("sync", "bad", "--json").json["run"]
    text = (logs / f"{run}.log").read_text()
    assert "bad: failed, 0 rows" in text
    assert "ValueError: no more" in text


TRIAL = """\
import dlt
import pyarrow as pa

@dlt.source
def many():
    @dlt.resource(write_disposition="merge", primary_key="id")
    def pages(updated=dlt.sources.incremental("id", initial_value=0)):
        yield [{"id": n} for n in range(updated.last_value + 1, 6)]
        yield [{"id": n} for n in range(6, 11)]

    @dlt.resource
    def singles():
        for n in range(10):
            yield {"id": n, "inner": [{"x": n}]}

    @dlt.resource
    def tables():
        for n in range(5):
            yield pa.table({"id": [3 * n, 3 * n + 1, 3 * n + 2]})

    @dlt.resource
    def few():
        yield [{"id": 1}, {"id": 2}]

    return pages, singles, tables, few
"""


def test_a_limit_is_a_trial_that_leaves_no_trace_in_the_real_tables(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], rows: Callable[[str], list[Any]]
) -> None:
    write({"sources": sources(native("many", "many")), "custom_sources/shop.py": TRIAL})

    def counts(dataset: str) -> dict[str, int]:
        tables = ("pages", "singles", "singles__inner", "tables", "few")
        return {table: rows(f"SELECT count(*) FROM {dataset}.{table}")[0][0] for table in tables}

    said = dango("sync", "--limit", "4")
    assert said.code == 0, said.err
    assert counts("raw_many__trial") == {"pages": 4, "singles": 4, "singles__inner": 4, "tables": 4, "few": 2}
    assert "trial: to drop it, DROP SCHEMA raw_many__trial CASCADE" in said.err
    schemas = {name for (name,) in rows("SELECT schema_name FROM information_schema.schemata")}
    assert "raw_many" not in schemas
    assert "raw_many__trial_staging" not in schemas
    assert list((root / ".dango" / "pipelines").iterdir()) == []

    # The real sync begins at the beginning, and another trial sees rows that the real cursor has passed.
    assert dango("sync").code == 0
    everything = {"pages": 10, "singles": 10, "singles__inner": 10, "tables": 15, "few": 2}
    assert counts("raw_many") == everything
    assert dango("sync", "--limit", "3").code == 0
    assert counts("raw_many__trial") == {"pages": 3, "singles": 3, "singles__inner": 3, "tables": 3, "few": 2}
    assert counts("raw_many") == everything
    statement = re.search(r"DROP SCHEMA \w+ CASCADE", said.err)
    assert statement
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
        database.sql(statement.group())
    assert counts("raw_many") == everything


SLOW = """\
import time
import dlt

@dlt.resource
def things():
    for page in range(12):
        yield [{"id": 100 * page + n} for n in range(100)]
        time.sleep(0.15)
"""


@pytest.mark.parametrize("colour", [True, False])
def test_a_terminal_shows_source_step_resource_and_rows_as_they_come(
    root: Path, write: Callable[..., None], colour: bool
) -> None:
    write({"sources": sources(native("live", "things")), "custom_sources/shop.py": SLOW})
    environment = {**os.environ, "TERM": "xterm-256color", "PYTHONPATH": os.pathsep.join(sys.path)}
    if colour:
        del environment["NO_COLOR"]
    child = pexpect.spawn(
        sys.executable, ["-m", "dango", "sync"], cwd=root, env=environment, encoding="utf-8", timeout=60,
        dimensions=(40, 140),
    )  # fmt: skip
    try:
        child.expect(pexpect.EOF)
    finally:
        child.close()
    assert child.exitstatus == 0
    coloured = re.findall(r"\x1b\[[0-9;]*m", child.before)
    colours = [code for code in coloured if re.search(r"3[0-7]|38|9[0-7]", code)]
    assert bool(colours) is colour
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", child.before)
    frames = re.findall(r"live +extract +things +([\d,]+)", shown)
    counted = [int(rows.replace(",", "")) for rows in frames]
    assert len(set(counted)) > 2, "rows are shown as they come"
    assert counted == sorted(counted)
    assert max(counted) <= 1200
    assert "rows/s" in shown
    assert re.search(r"live: ok, 1,200 rows in ", shown)
    assert re.search(r"live +raw_live\.things +1,200 +1,200", shown)

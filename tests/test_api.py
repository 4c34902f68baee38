"""The public way in, as a program of one's own uses it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dango as package
from dango import DangoError, Event, Project, RunError, RunResult, sync
from tests.conftest import native, sources

Write = Callable[[dict[str, str]], None]

SHOP = """
import sys

def rows(count=3):
    print("a line of the source")
    for number in range(count):
        yield {"id": number}

def broken():
    yield {"id": 1}
    raise LookupError("no such page")
"""


def test_sync_gives_a_result_a_source_and_tells_what_happens(
    root: Path, write: Write, rows: Callable[..., Any]
) -> None:
    write(
        {
            "sources": sources(
                native("first"), native("second", "broken"), native("third", function_kwargs={"count": 5})
            ),
            "custom_sources/shop.py": SHOP,
        }
    )
    before = dict(os.environ), Path.cwd(), list(sys.path), set(threading.enumerate())
    events: list[Event] = []
    threads: list[threading.Thread] = []

    def on_event(event: Event) -> None:
        events.append(event)
        threads.append(threading.current_thread())

    results = sync(Project.at(root), on_event=on_event)

    assert [(r.source, r.status, r.rows) for r in results] == [
        ("first", "ok", 3),
        ("second", "failed", 0),
        ("third", "ok", 5),
    ]
    assert all(isinstance(result, RunResult) for result in results)
    assert results[0].dataset == "raw_first"
    assert [(t.name, t.rows, t.total, t.new) for t in results[0].tables] == [("rows", 3, 3, True)]
    error = results[1].error
    assert isinstance(error, RunError)
    assert (error.kind, error.message, error.place) == (
        "LookupError", "LookupError: no such page", "custom_sources/shop.py:11",
    )  # fmt: skip
    assert "raise LookupError" in error.traceback
    assert len({result.run for result in results}) == 1
    assert rows("SELECT count(*) FROM raw_third.rows") == [(5,)]

    assert {type(event) for event in events} == {Event}
    steps = [event.step for event in events if event.source == "first" and event.step != "log"]
    assert list(dict.fromkeys(steps)) == [
        *("queued", "import", "recover", "resolve", "extract", "normalize", "load", "verify")
    ]
    assert ("rows", 3) in [(event.resource, event.rows) for event in events if event.source == "first"]
    assert "a line of the source" in [event.message for event in events if event.step == "log"]
    assert set(threads) == {threading.current_thread()}
    # Nothing of the program that calls is changed.
    assert (dict(os.environ), Path.cwd(), list(sys.path), set(threading.enumerate())) == before

    chosen = sync(Project.at(root), ["third"], limit=2)
    assert [(r.source, r.dataset, r.trial, r.rows) for r in chosen] == [("third", "raw_third__trial", True, 2)]


@pytest.mark.parametrize(
    ("text", "names", "options", "message"),
    [
        ("version: 1\nsources: {}\n", [], {}, ".dango/sources.yml:2:1: `sources`: should be a list, not a mapping"),
        (sources(native("shop")), ["shpo"], {}, "no source `shpo` in this project (did you mean `shop`?)"),
        (sources(native("shop")), [], {"destination": "lake"}, "no destination `lake`"),
        (
            sources(native("shop")), [], {"limit": 0},
            "--limit takes a number from 1 and does not go with --full-refresh",
        ),
        (
            sources(native("shop", function_kwargs={"count": "env:COUNT"})), [], {},
            ".dango/sources.yml:3:121: the environment variable COUNT is not set",
        ),
        (
            sources(native("shop").replace("type:", "enabled: false, type:")), ["shop"], {},
            "source `shop` is disabled in .dango/sources.yml",
        ),
        ("version: 1\nsources: []\n", [], {}, ".dango/sources.yml has no source yet"),
    ],
    ids=["file", "source", "destination", "limit", "environment", "disabled", "none"],
)  # fmt: skip
def test_what_is_wrong_is_raised_before_anything_starts(
    root: Path, write: Write, text: str, names: list[str], options: dict[str, Any], message: str
) -> None:
    write({"sources": text, "custom_sources/shop.py": SHOP})
    with pytest.raises(DangoError) as caught:
        sync(Project.at(root), names, **options)
    assert str(caught.value) == message
    assert caught.value.exit_code == 2
    # But for what sources.yml means, which is kept whatever becomes of it.
    assert {path.name for path in (root / ".dango").iterdir()} <= {"cache", "sources.yml"}


def test_a_folder_without_a_project_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DangoError, match=r"^no dango project in .*: \.dango/sources\.yml is missing$"):
        Project.at(tmp_path)


@pytest.mark.slow
def test_a_program_needs_no_main_guard_and_may_stand_anywhere_and_sync_in_a_thread(
    root: Path, write: Write, tmp_path: Path, rows: Callable[..., Any]
) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": SHOP, ".env": "FROM_DOTENV=1\n"})
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    # A module in the program's own folder that is named like one of the standard library harms nobody.
    (elsewhere / "program.py").write_text(
        "import os, sys, threading\n"
        "from dango import Project, sync\n"
        "print('begun')\n"
        "found = []\n"
        "thread = threading.Thread(target=lambda: found.extend(sync(Project.at(sys.argv[1]))))\n"
        "thread.start()\n"
        "thread.join()\n"
        "found.extend(sync(Project.find(sys.argv[1] + '/custom_sources')))\n"
        "print([(r.source, r.status, r.rows) for r in found], 'FROM_DOTENV' in os.environ)\n"
    )
    done = subprocess.run(
        [sys.executable, "program.py", str(root)], cwd=elsewhere, capture_output=True, text=True, timeout=120
    )
    assert done.stderr == ""
    assert done.stdout == "begun\n[('shop', 'ok', 3), ('shop', 'ok', 3)] False\n"
    assert rows("SELECT count(*) FROM raw_shop.rows") == [(6,)]
    assert [path.name for path in elsewhere.iterdir()] == ["program.py"]


def test_an_error_of_the_listener_stops_the_sync_and_reaches_the_caller(root: Path, write: Write) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": SHOP})

    def on_event(event: Event) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        sync(Project.at(root), on_event=on_event)
    from dango.history import History

    assert History(root / ".dango").last()["shop"].status == "interrupted"


def test_every_public_name_is_there_and_no_other() -> None:
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    with pytest.raises(AttributeError, match=r"^module 'dango' has no attribute 'nothing'$"):
        package.nothing  # noqa: B018


def test_a_program_that_uses_it_passes_strict_typing(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(
        "from dango import DangoError, Event, Project, RunError, RunResult, TableResult, sync\n"
        "\n"
        "def heard(event: Event) -> None:\n"
        "    print(event.source, event.step, event.rows + 1)\n"
        "\n"
        "def main() -> list[TableResult]:\n"
        "    try:\n"
        "        results: list[RunResult] = sync(Project.find(), ['a'], limit=3, on_event=heard)\n"
        "    except DangoError as error:\n"
        "        raise SystemExit(error.exit_code) from error\n"
        "    errors: list[RunError] = [r.error for r in results if r.error is not None]\n"
        "    print(errors)\n"
        "    reveal_type(sync)\n"
        "    return [table for result in results for table in result.tables]\n"
        "\n"
        "sync('not a project')\n"
    )
    repository = Path(package.__file__).parents[1]
    # Where dango is installed mypy finds it, and takes no such path.
    path = "" if repository.name == "site-packages" else str(repository)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(tmp_path / "cache"), "program.py"],
        cwd=tmp_path, env={**os.environ, "MYPYPATH": path}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert 'program.py:16: error: Argument 1 to "sync" has incompatible type "str"; expected "Project"' in done.stdout
    assert "list[dango.job.RunResult]" in done.stdout, "the types are known, not Any"
    assert done.stdout.endswith("Found 1 error in 1 file (checked 1 source file)\n"), done.stdout
    assert (repository / "dango" / "py.typed").exists()

"""What is known of DuckDB's file without opening it: that saves a look, and is never what a load relies on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dango.load.known_file import known, noted
from tests.conftest import Said, native, sources, until
from tests.load.test_pipeline import SHOP, ids, put, tables

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

# Ends without a word, as whoever is killed does: what it has written stands in the log beside the file.
KILLED = """
import duckdb, os, sys
database = duckdb.connect(sys.argv[1])
database.execute("CREATE TABLE notes (line TEXT)")
os._exit(0)
"""


@pytest.fixture
def file(root: Path, write: Write, dango: Dango) -> Path:
    """The database of a source that has loaded two rows."""
    write({"sources": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP})
    put(root, events=ids(1, 2))
    assert tables(dango("sync", "--json")) == {"events": (2, 2)}
    return root / "data" / "warehouse.duckdb"


def note(root: Path) -> Path:
    (found,) = (root / ".dango" / "locks").glob("*.known")
    return found


def test_a_sync_that_finds_nothing_new_leaves_the_database_to_others(
    file: Path, root: Path, dango: Dango, rows: Rows
) -> None:
    with duckdb.connect(str(file)):
        assert tables(dango("sync", "--json", "--wait", "0")) == {}
        put(root, events=ids(1, 2, 3))
        said = dango("sync", "--wait", "0")
        assert said.code == 4, said.err
    # What it has extracted waits, and is loaded first.
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,), (3,)]


@pytest.mark.parametrize(
    "restored",
    [shutil.copyfile, *(pytest.param(each, marks=pytest.mark.slow) for each in (shutil.copy2, os.replace))],
)
def test_an_older_copy_in_its_place_is_noticed(
    file: Path, root: Path, dango: Dango, restored: Callable[[Path, Path], object], tmp_path: Path
) -> None:
    shutil.copy2(file, tmp_path / "backup")
    put(root, events=ids(1, 2, 3))
    assert tables(dango("sync", "--json")) == {"events": (1, 3)}
    restored(tmp_path / "backup", file)
    assert tables(dango("sync", "--json")) == {"events": (1, 3)}


def test_what_a_killed_process_has_written_is_taken_in(file: Path, dango: Dango, rows: Rows) -> None:
    subprocess.run([sys.executable, "-c", KILLED, file], check=True, timeout=60)
    log = file.with_name(f"{file.name}.wal")
    assert log.exists()
    assert tables(dango("sync", "--json")) == {}
    assert not log.exists()
    assert rows("SELECT * FROM notes") == []


def test_of_a_dataset_is_known_what_others_in_the_same_file_leave_of_it(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": sources(native("one", "shop"), native("two", "shop")), "custom_sources/shop.py": SHOP})
    put(root, events=ids(1, 2))
    assert dango("sync").code == 0
    put(root, events=ids(1, 2, 3))
    assert tables(dango("sync", "one", "--json"), "one") == {"events": (1, 3)}
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")):
        assert tables(dango("sync", "one", "--json", "--wait", "0"), "one") == {}
        # What another source has loaded meanwhile is not taken for what this one knows.
        assert dango("sync", "two", "--wait", "0").code == 4
    assert dango("sync", "two").code == 0
    assert rows("SELECT id FROM raw_two.events ORDER BY id") == [(1,), (2,), (3,)]


def test_a_note_that_is_wrong_loads_nothing_and_is_not_believed_twice(
    file: Path, root: Path, dango: Dango, rows: Rows, tmp_path: Path
) -> None:
    shutil.copyfile(file, tmp_path / "backup")
    put(root, events=ids(1, 2, 3))
    assert tables(dango("sync", "--json")) == {"events": (1, 3)}
    shutil.copyfile(tmp_path / "backup", file)
    found = file.stat()
    known = json.loads(note(root).read_text())
    known["file"] = [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]
    note(root).write_text(json.dumps(known))

    put(root, events=ids(1, 2, 3, 4))
    said = dango("sync", "shop")
    assert (said.code, "another run has loaded source `shop`" in said.err) == (4, True), said.err
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,)]
    assert tables(dango("sync", "--json")) == {"events": (2, 4)}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]",
        '{"run": "", "file": 1, "datasets": ["shop"], "loads": {}}',
        '{"run": "", "file": FILE, "datasets": ["shop"], "loads": {"shop": 1}}',
        '{"run": "", "file": FILE, "datasets": ["shop"]}',
        '{"file": FILE, "loads": {"shop": {"shop": [1, "1.5"]}}}',
    ],
)
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    file, noted = tmp_path / "file", tmp_path / "note"
    file.touch()
    with known(file, "shop", noted) as database:
        database.learnt, database.datasets = {"shop": (1, "1.5")}, {"shop"}
    signature = json.dumps(json.loads(noted.read_text())["file"])
    with known(file, "shop", noted) as database:
        assert database.loads == {"shop": (1, "1.5")}
    noted.write_text(text.replace("FILE", signature))
    with known(file, "shop", noted) as database:
        assert database.loads is None


def test_what_failed_in_the_middle_leaves_nothing_known(tmp_path: Path) -> None:
    file, noted = tmp_path / "file", tmp_path / "note"
    file.touch()
    for dataset in ("shop", "other"):
        with known(file, dataset, noted) as database:
            database.learnt, database.datasets = {}, ("shop", "other")
    with pytest.raises(LookupError), known(file, "shop", noted):
        raise LookupError
    with known(file, "other", noted) as database:
        assert database.loads is None


def test_a_dataset_that_the_file_does_not_have_is_absent(tmp_path: Path) -> None:
    file, noted = tmp_path / "file", tmp_path / "note"
    file.touch()
    with known(file, "shop", noted) as database:
        assert (database.loads, database.absent) == (None, False), "nobody has looked yet"
        database.learnt, database.datasets = {"shop": (1, "1.5")}, ("main", "shop", "unknown")
    for dataset, told in {"shop": (database.learnt, False), "other": ({}, True), "unknown": (None, False)}.items():
        with known(file, dataset, noted) as database:
            assert (database.loads, database.absent) == told
    file.write_text("by somebody else")
    with known(file, "other", noted) as database:
        assert (database.loads, database.absent) == (None, False)


def test_a_file_that_is_to_be_made_holds_nothing(tmp_path: Path) -> None:
    file, noted = tmp_path / "file", tmp_path / "note"
    with known(file, "shop", noted) as database:
        assert (database.loads, database.absent) == ({}, True)
    with known(tmp_path / "no folder" / "file", "shop", noted) as database:
        assert (database.loads, database.absent) == (None, False), "whoever cannot make it is to hear so at once"
    (tmp_path / "file.wal").touch()
    with known(file, "shop", noted) as database:
        assert (database.loads, database.absent) == (None, False)


def test_a_file_that_is_made_is_known_from_when_it_is_open(tmp_path: Path) -> None:
    file, noted = tmp_path / "file", tmp_path / "note"
    with known(file, "shop", noted) as database:
        assert not database.stayed
        file.touch()
        database.opened()
        file.write_text("rows")
        assert database.stayed
        file.rename(tmp_path / "moved")
        file.touch()
        database.opened()
        assert not database.stayed


def test_while_another_job_has_the_file_its_run_is_believed(tmp_path: Path) -> None:
    file, text = tmp_path / "file", tmp_path / "note"
    file.touch()
    with known(file, "shop", text, "run 1") as database:
        database.learnt, database.datasets = {"shop": (1, "1.5")}, {"shop"}
    file.write_text("another job writes")
    ours = noted(file, "shop", text, "run 1")
    assert ours is not None and ours.loads == {"shop": (1, "1.5")}
    assert noted(file, "shop", text, "run 2") is None
    file.replace(tmp_path / "moved")
    file.touch()
    assert noted(file, "shop", text, "run 1") is None
    (tmp_path / "moved").replace(file)
    with known(file, "shop", text, "run 1"):
        # It is not what it was when it was noted: whoever has it says so at once.
        assert noted(file, "shop", text, "run 1") is None


TURNS = """
import time
from pathlib import Path
import dlt

def until(name):
    while not Path(name).exists():
        time.sleep(0.05)

@dlt.resource
def first():
    yield {"id": 1}

@dlt.resource
def patient():
    until("go")
    yield {"id": 1}

@dlt.resource
def failing():
    until("fail")
    raise LookupError

@dlt.resource
def third(id=dlt.sources.incremental("id", initial_value=0)):
    yield from ({"id": number} for number in (1, 2, 3) if number == 1 or Path("go").exists())
    Path("read").touch()
"""


@pytest.mark.parametrize("before", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_source_is_read_while_another_of_the_run_loads(
    root: Path, write: Write, dango: Dango, rows: Rows, before: bool
) -> None:
    """One has the database and waits for a notebook that has it open; the one that begins then is read meanwhile."""
    names = ("first", "patient", "failing", "third")
    write({"sources": sources(*(native(name, name, "turns") for name in names)), "custom_sources/turns.py": TURNS})
    if before:
        assert dango("sync", "third").code == 0
        (root / "read").unlink()
    file, logs = root / "data" / "warehouse.duckdb", root / ".dango" / "logs"
    with subprocess.Popen([sys.executable, "-m", "dango", "sync", "--jobs", "2", "--wait", "30"], cwd=root) as run:
        until(lambda: " first: ok" in max(logs.iterdir()).read_text())
        notebook = until(lambda: _opened(file))
        (root / "go").touch()
        until(lambda: " patient: load" in max(logs.iterdir()).read_text())
        (root / "fail").touch()
        until(lambda: (root / "read").exists())
        assert run.poll() is None, "it waits for the notebook"
        notebook.close()
        assert run.wait(timeout=60) == 3
    assert rows("SELECT id FROM raw_third.third ORDER BY id") == [(1,), (2,), (3,)]
    assert rows("SELECT id FROM raw_patient.patient") == [(1,)]


def _opened(file: Path) -> Any:
    try:
        return duckdb.connect(str(file))
    except duckdb.IOException:
        return None

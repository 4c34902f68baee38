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

from dango.load.known_file import known
from tests.conftest import Said, native, sources
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
    "text", ["", "{}", "[]", '{"file": 1, "loads": {}}', '{"file": FILE, "loads": {"shop": 1}}', '{"file": FILE}']
)
def test_a_note_that_cannot_be_read_is_none(tmp_path: Path, text: str) -> None:
    file, noted = tmp_path / "file", tmp_path / "note"
    file.touch()
    with known(file, "shop", noted) as database:
        database.learnt = {"shop": (1, "1.5")}
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
            database.learnt = {}
    with pytest.raises(LookupError), known(file, "shop", noted):
        raise LookupError
    with known(file, "other", noted) as database:
        assert database.loads is None

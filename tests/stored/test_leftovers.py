"""What runs leave in `.dango/`: made by runs that were killed, and by hand where a kill cannot be timed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dango.doctor import examine
from dango.leftover import Leftover
from dango.lock import lock
from dango.project import Project
from tests.conftest import Said, native, sources

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

DYING = """
import os

def rows():
    for number in range(5):
        yield {"id": number}
    if os.environ.get("DIE"):
        os.kill(os.getpid(), 9)
"""
EXTRACT = """
import dlt, sys
pipeline = dlt.pipeline("shop", pipelines_dir=sys.argv[1], destination="duckdb", dataset_name="raw_shop")
pipeline.extract([{"id": 1}, {"id": 2, "lines": [1, 2]}, {"id": 3}], table_name="orders")
if sys.argv[2:]:
    pipeline.normalize(workers=1)
"""


def folder_of(root: Path, rest: str = "", name: str = "shop--duckdb--raw_shop") -> Path:
    """A folder in `.dango/pipelines` with a state that dlt can read."""
    folder = root / ".dango" / "pipelines" / f"{name}{rest}"
    (folder / "shop" / "schemas").mkdir(parents=True)
    (folder / "shop" / "state.json").write_text(json.dumps({"_state_engine_version": 4}))
    (folder / "shop" / "schemas" / "shop.schema.json").write_text(json.dumps({"name": "shop", "tables": {}}))
    return folder


def extracted(folder: Path, *more: str) -> None:
    """A package waits in the folder, as dlt makes both."""
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([sys.executable, "-c", EXTRACT, str(folder), *more], check=True, capture_output=True)


def found(root: Path, *names: str, fix: bool = False) -> list[Leftover]:
    return list(examine(Project.at(root), names, fix=fix))


def brief(leftovers: list[Leftover]) -> list[tuple[str, str, bool]]:
    return [(each.source, each.kind, each.fixed) for each in leftovers]


@pytest.mark.slow
def test_after_a_sync_that_was_killed_while_it_extracted_the_next_sync_is_all_that_is_needed(
    root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": sources(native("shop")), "custom_sources/shop.py": DYING})
    assert dango("sync").code == 0
    assert found(root) == []
    assert dango("sync", env={"DIE": "1"}).code == 1
    kinds = {each.kind: each for each in found(root)}
    assert {"crashed", "unfinished"} <= set(kinds)
    assert (kinds["crashed"].needs, kinds["crashed"].fixable) == ("dango sync shop", False)
    assert kinds["unfinished"].where == ".dango/pipelines/shop--duckdb--raw_shop"
    fixed = {each.kind for each in found(root, fix=True) if each.fixed}
    assert "unfinished" in fixed
    assert "unfinished" not in {each.kind for each in found(root)}
    assert dango("sync").code == 0
    assert found(root) == []


@pytest.mark.parametrize(("step", "rows"), [((), 3), (("normalize",), 5)])
def test_packages_that_wait_are_counted_and_never_loaded_nor_removed(
    root: Path, write: Write, step: tuple[str, ...], rows: int
) -> None:
    write({"sources": sources(native("shop"))})
    extracted(folder_of(root), *step)
    (leftover,) = found(root, fix=True)
    assert (leftover.kind, leftover.needs, leftover.fixable) == ("pending", "dango sync shop", False)
    assert leftover.what.startswith(f"1 package, {rows} rows, ")
    assert found(root) == [leftover]
    write({"sources": sources(native("shop")).replace("type:", "enabled: false, type:")})
    assert found(root)[0].needs == "dango source enable shop, then dango sync shop"


def test_a_package_of_which_a_file_is_half_written_waits_all_the_same(root: Path, write: Write) -> None:
    write({"sources": sources(native("shop"))})
    folder = folder_of(root)
    extracted(folder)
    (file,) = folder.glob("*/normalize/extracted/*/new_jobs/orders.*")
    file.write_bytes(file.read_bytes()[:20])
    (leftover,) = found(root)
    assert leftover.kind == "pending"
    assert leftover.what.startswith("1 package, ")
    assert "row" not in leftover.what


def test_the_folder_of_a_source_that_is_gone_is_removed_unless_something_waits_in_it(root: Path, write: Write) -> None:
    write({"sources": sources(native("other"))})
    gone, waiting = folder_of(root), folder_of(root, name="older--duckdb--raw_older")
    extracted(waiting)
    assert brief(found(root)) == [("older", "orphan", False), ("shop", "orphan", False)]
    assert brief(found(root, fix=True)) == [("older", "orphan", False), ("shop", "orphan", True)]
    assert (gone.exists(), waiting.exists()) == (False, True)
    (left,) = found(root)
    assert "3 rows" in left.what
    assert not left.fixable


def test_a_folder_of_another_dataset_or_of_an_unknown_destination_is_orphaned_and_one_of_a_known_is_not(
    root: Path, write: Write
) -> None:
    lake = "version: 1\ndestinations: {lake: {type: duckdb, credentials: lake.db}}\nsources:\n"
    write({"sources": lake + native("shop", dataset_name="raw_new")})
    folder_of(root)
    folder_of(root, name="shop--pond--raw_new")
    other = folder_of(root, name="shop--lake--raw_new")
    first, second = found(root)
    assert "the dataset raw_shop; `shop` loads to raw_new now" in first.what
    assert "the destination `pond`" in second.what
    extracted(other)
    assert [each.needs for each in found(root) if each.kind == "pending"] == ["dango sync shop --destination lake"]


def test_what_was_set_aside_is_listed_with_what_waits_in_it_and_removed_when_that_is_wanted(
    root: Path, write: Write
) -> None:
    write({"sources": sources(native("shop"))})
    aside = folder_of(root, ".aside-20240101T101010.123456Z")
    extracted(aside)
    half = folder_of(root, ".dropped")
    old, new = found(root)
    assert (old.kind, old.where) == ("aside", aside.relative_to(root).as_posix())
    assert "set aside at 20240101T101010.123456Z" in old.what
    assert "(1 package, 3 rows, " in old.what
    assert new.kind == "refresh"
    assert brief(found(root, fix=True)) == [("shop", "aside", True), ("shop", "refresh", True)]
    assert not aside.exists()
    assert not half.exists()


def test_records_that_failed_and_were_not_written_yet_wait_for_a_sync(root: Path, write: Write) -> None:
    write({"sources": sources(native("shop"))})
    spool = root / ".dango" / "pipelines" / "shop--duckdb--raw_shop.failed.jsonl"
    spool.parent.mkdir(parents=True)
    spool.write_text('{"run": "x"}\n')
    (leftover,) = found(root, fix=True)
    assert (leftover.kind, leftover.needs, leftover.fixed) == ("pending", "dango sync shop", False)
    write({"sources": sources(native("other"))})
    assert brief(found(root, fix=True)) == [("shop", "orphan", True)]
    assert not spool.exists()


def test_a_full_refresh_that_was_killed_is_put_back_by_a_sync_and_not_by_doctor(root: Path, write: Write) -> None:
    write({"sources": sources(native("shop"))})
    kept = folder_of(root, ".before-refresh")
    (leftover,) = found(root, fix=True)
    assert (leftover.kind, leftover.needs, leftover.fixed) == ("refresh", "dango sync shop", False)
    assert "a full refresh was killed" in leftover.what
    assert kept.exists()


@pytest.mark.parametrize("name", ["state.json", "schemas/shop.schema.json"])
@pytest.mark.parametrize("text", ["", "{", "[1]", "{}", "\x00\x01"])
def test_local_state_that_cannot_be_read_is_named(root: Path, write: Write, name: str, text: str) -> None:
    write({"sources": sources(native("shop"))})
    (folder_of(root) / "shop" / name).write_text(text)
    (leftover,) = found(root, fix=True)
    assert (leftover.kind, leftover.needs, leftover.fixable) == ("corrupt", "dango sync shop", False)
    assert Path(name).name in leftover.what


def test_folders_of_trials_and_checks_that_were_killed_are_removed_and_those_in_use_are_not(
    root: Path, write: Write
) -> None:
    write({"sources": sources(native("shop"), native("held"))})
    state = root / ".dango"
    killed, running = state / "trial-a", state / "trial-b"
    (killed / "shop").mkdir(parents=True)
    (running / "held").mkdir(parents=True)
    young, old = state / "dry-a", state / "dry-b"
    young.mkdir()
    old.mkdir()
    os.utime(old, (time.time() - 4000, time.time() - 4000))
    with lock(state / "locks" / "held.lock", "it"):
        leftovers = found(root, fix=True)
    assert brief(leftovers) == [("held", "held", False), ("", "scratch", True), ("", "scratch", True)]
    assert [path.name for path in sorted(state.iterdir()) if path.is_dir()] == [
        "cache",
        "dry-a",
        "locks",
        "logs",
        "pipelines",
        "trial-b",
    ]
    assert brief(found(root)) == [("", "scratch", False)]


def test_a_source_that_someone_works_on_is_left_alone_and_its_holder_named(root: Path, write: Write) -> None:
    write({"sources": sources(native("shop"))})
    half = folder_of(root, ".dropped")
    for fix in (False, True):
        with lock(root / ".dango" / "locks" / "shop.lock", "it"):
            (leftover,) = found(root, fix=fix)
        assert leftover.kind == "held"
        assert f"process {os.getpid()} since " in leftover.what
        assert not leftover.open
    assert half.exists()


def test_the_locks_are_held_while_it_repairs_and_free_again_afterwards(root: Path, write: Write) -> None:
    write({"sources": sources(native("shop"))})
    folder_of(root, ".dropped")
    repairing = examine(Project.at(root), fix=True)
    assert next(repairing).fixed
    assert brief(found(root)) == [("shop", "held", False)]
    assert list(repairing) == []
    assert found(root) == []


def test_answers_that_were_never_stored_are_a_leftover_when_nobody_can_be_answering_any_more(
    root: Path, write: Write
) -> None:
    write({"sources": sources(native("shop")), ".dango/draft/github.json": "{}", ".dango/draft/edit-shop.json": "{}"})
    assert found(root) == []
    for name in ("github", "edit-shop"):
        os.utime(root / ".dango" / "draft" / f"{name}.json", (time.time() - 4000, time.time() - 4000))
    first, second = found(root)
    assert first.needs.startswith("`dango source edit shop` goes on with it")
    assert second.needs.startswith("`dango source add` goes on with it")
    assert all(each.fixed for each in found(root, fix=True))
    assert found(root) == []


def test_only_the_sources_that_are_named_are_looked_at(root: Path, write: Write) -> None:
    write({"sources": sources(native("shop"), native("other"))})
    for name in ("shop", "other", "gone"):
        folder_of(root, ".dropped", f"{name}--duckdb--raw_{name}")
    (root / ".dango" / "trial-a" / "shop").mkdir(parents=True)
    assert brief(found(root, "other")) == [("other", "refresh", False)]
    assert len(found(root)) == 4


def test_what_cannot_be_removed_stays_and_says_why(root: Path, write: Write) -> None:
    write({"sources": sources(native("shop"))})
    half = folder_of(root, ".dropped")
    elsewhere = root / "elsewhere"
    shutil.move(half, elsewhere)
    half.symlink_to(elsewhere)
    (leftover,) = found(root, fix=True)
    assert (leftover.fixed, leftover.open) == (False, True)
    assert "the repair failed: " in leftover.what
    assert elsewhere.exists()


def test_files_that_are_not_dangos_are_no_leftovers(root: Path, write: Write, tmp_path: Path) -> None:
    write({"sources": sources(native("shop")), ".dango/pipelines/notes.txt": "mine", ".dango/locks/shop.lock": ""})
    (root / ".dango" / "pipelines" / "My Folder").mkdir()
    assert found(root, fix=True) == []
    assert (root / ".dango" / "pipelines" / "notes.txt").exists()


def test_a_link_out_of_the_project_is_not_followed(root: Path, write: Write, tmp_path: Path) -> None:
    write({"sources": sources(native("shop"))})
    target: Any = tmp_path / "target"
    target.mkdir()
    (target / "file").write_text("x" * 5000)
    folder_of(root, ".aside-1").joinpath("link").symlink_to(target)
    assert found(root, fix=True)[0].fixed
    assert (target / "file").exists()

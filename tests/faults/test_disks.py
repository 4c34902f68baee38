"""A disk that is full from a step of a sync on, or that may not be written: it is told, and the next sync heals."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import pytest

from tests.conftest import Said, native, one_of, sources
from tests.faults import table
from tests.faults.disks import HELD, Disk, Limit, NoDisk, modes, small_disk
from tests.faults.held import held
from tests.faults.points import COMMIT, DUCKDB, PIPELINE, PLANNER, Fault
from tests.faults.running import ended, start

pytestmark = pytest.mark.slow

# `batch` says how far time has gone; a batch is a megabyte, so that no page that is half empty has room for it.
SHOP = """\
import pathlib

import dlt

def batch():
    return int(pathlib.Path("batch").read_text())

@dlt.source
def shop():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        numbers = range(1, 1000 * batch() + 1)
        yield [{"id": n, "text": f"{n * n * n} of many" * 50, "items": [{"n": n}]} for n in numbers]

    @dlt.resource(primary_key="id", write_disposition="merge")
    def customers(id=dlt.sources.incremental("batch", initial_value=0)):
        yield [{"id": n, "batch": batch(), "text": f"{n * n * n} of many" * 50} for n in range(1, 1001)]

    return events, customers
"""
BATCHES = [[(1000, 1000), (1000, 1000), (1000, 1)], [(2000, 2000), (2000, 2000), (1000, 2)]]
RECORD = "dango.history:History.record"

FULL = {
    "the disk is full from the extract on": Fault(f"{PIPELINE}.extract", "before"),
    "the disk is full from the load on": Fault("dango.load.loading:load", "before"),
    "the disk is full from the normalizing on": Fault(f"{PIPELINE}.normalize", "before"),
    "the disk is full from a merge on": Fault("dango.dlt_internals.packages:run", "before"),
    "the disk is full at the commit": Fault(COMMIT[DUCKDB], "before"),
    "the disk is full at the swap of a full refresh": Fault("dango.load.loading:_insert", "before"),
    "the disk is full when all is loaded, before that is noted": Fault("dango.load.working_folder:note", "before"),
    "the disk is full before the history notes the beginning": Fault(RECORD, "before", 1, PLANNER),
    "the disk is full before the history notes the end": Fault(RECORD, "before", 2, PLANNER),
}


@pytest.fixture(scope="module")
def synced(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose first batch is loaded."""
    root = tmp_path_factory.mktemp("synced") / "project"
    files = {".dango/sources.yml": sources(native("shop", "shop")), "custom_sources/shop.py": SHOP, "batch": "1"}
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert ended(start(root, "sync")).code == 0
    return root


@pytest.fixture
def project(tmp_path: Path, synced: Path) -> Path:
    """That project, a batch later."""
    shutil.copytree(synced, tmp_path / "project")
    (tmp_path / "project" / "batch").write_text("2")
    return tmp_path / "project"


@pytest.fixture
def disk(tmp_path: Path, project: Path) -> Iterator[Disk | Limit]:
    """A small disk with it; a limit for files where none can be mounted."""
    folder = tmp_path / "disk"
    folder.mkdir()
    try:
        with small_disk(folder, 80) as disk:
            shutil.copytree(project, disk.root / "project")
            yield disk
    except NoDisk:
        yield Limit(tmp_path)


@contextmanager
def copied(root: Path, folder: str) -> Iterator[Path]:
    """A copy of the project with that folder alone: databases look for the path that a file has without its disk."""
    with TemporaryDirectory() as copy:
        shutil.copytree(root / folder, Path(copy) / folder)
        yield Path(copy)


def loaded(root: Path) -> list[tuple[int, int]]:
    """Of each table how many rows it has, and how many distinct ones; of what is merged the newest batch."""
    with copied(root, "data") as copy:
        database = duckdb.connect(str(copy / "data" / "warehouse.duckdb"), read_only=True)
        return [
            database.sql(f"SELECT count(*), {what} FROM raw_shop.{name}").fetchall()[0]
            for name, what in (
                ("events", "count(DISTINCT id)"), ("events__items", "count(DISTINCT n)"), ("customers", "max(batch)"),
            )
        ]  # fmt: skip


def sync(root: Path, before: Sequence[str] = ()) -> Said:
    done = subprocess.run(
        [*before, sys.executable, "-m", "dango", "sync"], cwd=None if "nsenter" in before else root,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    assert "defect of dango" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def told(name: str, said: Said, disk: Disk | Limit) -> None:
    assert said.code == 1, said.err
    if isinstance(disk, Disk):
        with copied(disk.root / "project", ".dango") as copy:
            table.told(name, said, copy, disk.folder / "project")


@pytest.mark.parametrize("name", one_of(*FULL))
def test_a_disk_that_is_full_from_a_step_on_is_told_and_the_next_sync_heals(
    name: str, disk: Disk | Limit, tmp_path: Path
) -> None:
    root, before = disk.root / "project", disk.entering(tmp_path / "disk" / "project")
    options = ["--full-refresh"] if "refresh" in name else []
    with held(root, tmp_path / "notes", FULL[name], *options, before=before) as it:
        disk.fill()
        said = it.goes_on()
    told(name, said, disk)
    assert loaded(root) in BATCHES
    disk.empty()
    healed = sync(root, before)
    assert healed.code == 0, healed.err
    assert loaded(root) == BATCHES[1]


def test_a_disk_that_is_nearly_full_begins_nothing(disk: Disk | Limit) -> None:
    if isinstance(disk, Limit):
        pytest.skip("no small file system can be mounted here")
    root, before = disk.root / "project", disk.entering(disk.folder / "project")
    disk.fill(leaving=8 * 1024**2)
    told("the disk is nearly full before anything begins", sync(root, before), disk)
    assert loaded(root) == BATCHES[0]
    disk.empty()
    assert sync(root, before).code == 0
    assert loaded(root) == BATCHES[1]


def test_a_disk_that_has_become_read_only_is_told_and_the_next_sync_heals(disk: Disk | Limit) -> None:
    if isinstance(disk, Limit):
        pytest.skip("no small file system can be mounted here")
    root, before = disk.root / "project", disk.entering(disk.folder / "project")
    disk.remount("ro")
    told("the disk has become read-only", sync(root, before), disk)
    disk.remount("rw")
    assert loaded(root) == BATCHES[0]
    assert sync(root, before).code == 0
    assert loaded(root) == BATCHES[1]


@pytest.mark.parametrize("name", ["data", ".dango"])
def test_a_folder_that_may_not_be_written_is_told_and_the_next_sync_heals(name: str, project: Path) -> None:
    folder = project / name
    folders = [folder, *(each for each in folder.rglob("*") if each.is_dir())]
    with modes(0o444, *(each for each in folder.rglob("*") if each.is_file())), modes(0o555, *folders):
        said = sync(project, HELD)
    assert said.code == 1
    table.told(f"`{name}/` may not be written", said, project)
    assert loaded(project) == BATCHES[0]
    assert sync(project).code == 0
    assert loaded(project) == BATCHES[1]

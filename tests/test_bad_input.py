"""What a machine and a user may do to a project: a clear word, an exit code, and nothing lost."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dango.errors import DestinationError
from dango.load.room import require_room
from tests.conftest import Said, native, sources
from tests.faults.disks import HELD, modes

SHOP = """\
import time

def rows():
    yield {"id": 1}

def slow():
    yield {"id": 1}
    open("begun", "w").close()
    time.sleep(60)
    yield {"id": 2}
"""


@pytest.fixture(autouse=True)
def _project(write: Callable[..., None]) -> None:
    write({"sources": sources(native("good")), "custom_sources/shop.py": SHOP})


@pytest.fixture
def held(root: Path) -> Callable[..., Said]:
    """Runs `dango` as a user who is held to the modes of files."""

    def held(*arguments: str) -> Said:
        done = subprocess.run(
            [*HELD, sys.executable, "-m", "dango", *arguments], cwd=root, stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        assert "defect of dango" not in done.stderr, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    return held


@pytest.mark.slow
def test_a_read_only_project_is_refused_with_the_folder_and_can_still_be_read(
    root: Path, held: Callable[..., Said]
) -> None:
    with modes(0o555, root, root / ".dango"):
        said = held("sync")
        assert (said.code, said.out) == (1, "")
        assert said.err.startswith(f"error: {root}/.dango")
        assert "cannot be written" in said.err
        assert "hint: " in said.err
        assert held("source", "list").code == 0
        assert held("status").code == 0
        assert held("history").out == "nothing was run yet\n"
        said = held("source", "disable", "good")
        assert said.code == 1
        assert "cannot be written" in said.err
        said = held("init", "new")
        assert said.code == 1
        assert "cannot be written" in said.err
    assert sorted(path.name for path in root.iterdir()) == [".dango", "custom_sources"]
    assert held("sync").code == 0
    # What was run before stays readable.
    with modes(0o555, root, root / ".dango"), modes(0o444, *(root / ".dango").glob("history*")):
        assert "good" in held("history").out
        assert held("status", "--json").json["sources"][0]["last"]["status"] == "ok"


def test_a_folder_for_the_data_that_cannot_be_written_fails_that_run(root: Path, held: Callable[..., Said]) -> None:
    with modes(0o555, root):
        said = held("sync")
    assert said.code == 1
    assert "data" in said.err
    assert "make the folder writable" in said.err


@pytest.mark.parametrize("name", [".dango/sources.yml", ".dango", ".env", ".dlt/secrets.toml"])
def test_what_may_not_be_read_is_named(
    root: Path, write: Callable[..., None], held: Callable[..., Said], name: str
) -> None:
    write({".env": "A=1\n", ".dlt/secrets.toml": "a = 1\n"})
    with modes(0, root / name):
        said = held("sync")
    assert said.code == 2
    assert name in said.err
    assert "ermission denied" in said.err


def test_a_sources_file_that_is_a_folder_is_named(root: Path, dango: Callable[..., Said]) -> None:
    (root / ".dango" / "sources.yml").unlink()
    (root / ".dango" / "sources.yml").mkdir()
    said = dango("sync")
    assert (said.code, said.out) == (2, "")
    assert said.told == "error: .dango/sources.yml: cannot be read: Is a directory\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "error: .dango/sources.yml:1:1: the file is empty\n"),
        (
            b"version: 1\nsources:\n\t- name: x\n",
            "error: .dango/sources.yml:3:1: a tab: YAML is indented with spaces\n",
        ),
        (b"version: 1\n# \xe9t\xe9\n", "error: .dango/sources.yml: not UTF-8: invalid continuation byte at byte 13\n"),
        (
            b"version: 2\n",
            "error: .dango/sources.yml:1:1: version 2 is newer than this dango knows (1): upgrade dango\n",
        ),
        (b"\xff\xfev\x00", "error: .dango/sources.yml: not UTF-8: invalid start byte at byte 0\n"),
    ],
)
def test_a_broken_sources_file_stops_every_command_and_starts_nothing(
    root: Path, dango: Callable[..., Said], content: bytes, said: str
) -> None:
    file = root / ".dango" / "sources.yml"
    file.write_bytes(content)
    for command in (["sync"], ["check"]):
        ended = dango(*command)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith(said)
    assert file.read_bytes() == content
    assert not (root / "data").exists()


def test_an_env_file_that_is_no_text_is_named(root: Path, dango: Callable[..., Said]) -> None:
    (root / ".env").write_bytes(b"TOKEN=\xff\xfe\n")
    said = dango("sync")
    assert said.code == 2
    assert said.err.startswith("error: .env: ")
    assert "defect" not in said.err


def test_a_missing_env_file_is_no_fault_until_a_value_is_missing(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    assert dango("sync").code == 0
    write({"sources": sources(native("good", function_kwargs={"a": "env:BI_ONE", "b": ["env:BI_TWO"]}))})
    said = dango("sync")
    assert (said.code, said.out) == (2, "")
    assert "the environment variable BI_ONE is not set" in said.err
    assert "the environment variable BI_TWO is not set" in said.err
    assert f"or add to {root / '.env'}:" in said.err
    assert "BI_ONE=…" in said.err


def test_a_secrets_file_that_is_no_toml_starts_nothing(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({".dlt/secrets.toml": '[sources.good]\ntoken = "hunter22\n'})
    said = dango("sync")
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("error: .dlt/secrets.toml:2:")
    assert "hunter22" not in said.err
    assert dango("history").out == "nothing was run yet\n"


def test_a_file_that_is_no_database_keeps_its_bytes(root: Path, dango: Callable[..., Said]) -> None:
    (root / "data").mkdir()
    file = root / "data" / "warehouse.duckdb"
    content = b"not a database, but somebody's work\n" * 200
    file.write_bytes(content)
    said = dango("sync")
    assert said.code == 1
    assert "error: good: destination `duckdb` cannot be used: " in said.err
    assert "if it is no DuckDB database, move it away and a new one is made" in said.err
    assert file.read_bytes() == content
    assert [path.name for path in (root / "data").iterdir()] == ["warehouse.duckdb"]
    file.unlink()
    assert dango("sync").code == 0


@pytest.mark.slow
def test_a_database_that_another_process_has_open_names_it(
    root: Path, dango: Callable[..., Said], rows: Callable[[str], list[Any]]
) -> None:
    (root / "data").mkdir()
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(root / "data" / "warehouse.duckdb")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "open\n"
        said = dango("sync")
    finally:
        holder.communicate()
    assert said.code == 4
    assert f"error: good: the database of `duckdb` is held by process {holder.pid}\n" in said.err
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_good.rows") == [(1,)]


def test_a_dataset_named_like_the_database_is_refused_before_anything_is_written(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": sources(native("good", dataset_name="warehouse"))})
    said = dango("sync")
    assert said.code == 2
    assert "the dataset `warehouse` is named like the database file warehouse.duckdb" in said.err
    write({"sources": sources(native("good"))})
    assert dango("sync").code == 0


def test_a_full_disk_begins_nothing() -> None:
    # The kernel's own file systems have no room at all, for anybody.
    full = Path("/proc") if Path("/proc/self").exists() else Path("/dev")
    assert shutil.disk_usage(full).free == 0
    with pytest.raises(DestinationError) as caught:
        require_room(full)
    assert str(caught.value) == f"no room on the disk: 0 MiB free in {full}, 50 are needed to begin"
    assert caught.value.exit_code == 1


def test_a_project_on_a_full_disk_is_told_so(root: Path, dango: Callable[..., Said]) -> None:
    script = 'mount -t tmpfs -o size=8m none "$1" && cp -r "$2/." "$1" && cd "$1" && shift 2 && exec "$@"'
    small = root.parent / "small"
    small.mkdir()
    namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
    probe = [*namespace, "sh", "-c", script, "sh", str(small), str(root)]
    if not shutil.which("unshare") or subprocess.run([*probe, "true"], capture_output=True).returncode:
        said = "no small file system can be mounted here: a sync on a full disk was not tried"
        pytest.fail(said) if os.environ.get("CI") else pytest.skip(said)
    done = subprocess.run(
        [*probe, sys.executable, "-m", "dango", "sync"], capture_output=True, text=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "error: good: no room on the disk: " in done.stderr
    assert "nothing was begun; make room and run again" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_sync_ends_within_two_seconds_and_the_next_one_heals(
    root: Path,
    write: Callable[..., None],
    dango: Callable[..., Said],
    rows: Callable[[str], list[Any]],
    number: signal.Signals,
    code: int,
) -> None:
    write({"sources": sources(native("good", "slow"))})
    process = subprocess.Popen(
        [sys.executable, "-m", "dango", "sync"], cwd=root, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        for _ in range(400):
            if (root / "begun").exists():
                break
            time.sleep(0.05)
        assert (root / "begun").exists()
        begun = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=10)
        seconds = time.monotonic() - begun
    finally:
        process.kill()
    assert process.returncode == code
    assert seconds < 2
    assert "Traceback" not in err
    assert "stopped" in err
    assert dango("status", "--json").json["sources"][0]["last"]["status"] == "interrupted"
    assert dango("status", "--json").json["sources"][0]["last"]["error"]["exit_code"] == code
    write({"custom_sources/shop.py": SHOP.replace("time.sleep(60)", "pass")})
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_good.slow ORDER BY id") == [(1,), (2,)]

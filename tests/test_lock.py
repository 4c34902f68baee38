"""Real processes and one lock: never two holders, and a dead one holds nothing."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dango.errors import Held
from dango.lock import alive, held, holder, lock
from tests.conftest import Said, native, sources

HOLD = """
import sys, time
from pathlib import Path
from dango.lock import lock
with lock(Path(sys.argv[1]), "it"):
    print("held", flush=True)
    time.sleep(60)
"""

COUNT = """
import sys, time
from pathlib import Path
from dango.lock import lock
counter = Path(sys.argv[2])
for _ in range(15):
    with lock(Path(sys.argv[1]), "it", wait=60):
        seen = int(counter.read_text())
        time.sleep(0.002)
        counter.write_text(str(seen + 1))
"""


@pytest.fixture
def elsewhere(tmp_path: Path) -> Any:
    """Another process that holds the lock; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "x.lock")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_two_processes_never_hold_one_lock(tmp_path: Path) -> None:
    counter = tmp_path / "counter"
    counter.write_text("0")
    command = [sys.executable, "-c", COUNT, str(tmp_path / "x.lock"), str(counter)]
    started = [subprocess.Popen(command) for _ in range(4)]
    assert [process.wait(60) for process in started] == [0] * 4
    assert counter.read_text() == "60"


def test_a_lock_names_who_holds_it_and_since_when(tmp_path: Path, elsewhere: Any) -> None:
    path = tmp_path / "x.lock"
    assert held(path)
    with pytest.raises(Held) as caught, lock(path, "source `shop`"):
        pass
    assert re.fullmatch(
        rf"source `shop` is held by process {elsewhere.pid} since \d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00",
        str(caught.value),
    )
    assert caught.value.hint == "wait for it to end, or let this one wait with `--wait SECONDS`"
    assert caught.value.exit_code == 4


def test_a_lock_is_free_when_its_holder_is_killed(tmp_path: Path, elsewhere: Any) -> None:
    os.kill(elsewhere.pid, signal.SIGKILL)
    elsewhere.wait()
    assert not held(tmp_path / "x.lock")
    with lock(tmp_path / "x.lock", "it"):
        assert holder(tmp_path / "x.lock").startswith(f"process {os.getpid()} since ")


def test_the_file_is_never_unlinked(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "x.lock"
    with lock(path, "it"):
        first = path.stat().st_ino
    assert not held(path)
    with lock(path, "it"):
        assert path.stat().st_ino == first
    assert path.stat().st_ino == first


def test_a_lock_that_comes_free_in_time_is_taken(tmp_path: Path, elsewhere: Any) -> None:
    begun = time.monotonic()
    with pytest.raises(Held), lock(tmp_path / "x.lock", "it", wait=0.6):
        pass
    assert 0.5 < time.monotonic() - begun < 5
    subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -9 {elsewhere.pid}"])
    with lock(tmp_path / "x.lock", "it", wait=30):
        pass


def test_a_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), lock(tmp_path / "x.lock", "it"):
        1 / 0  # noqa: B018
    assert not held(tmp_path / "x.lock")


def test_a_look_leaves_no_file_behind(tmp_path: Path) -> None:
    assert not held(tmp_path / "none.lock")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("note", [None, "", "{}", "[]", "no json", '{"pid": 1}'])
def test_a_holder_that_left_no_good_note_is_another_process(tmp_path: Path, elsewhere: Any, note: str | None) -> None:
    file = tmp_path / "x.holder"
    file.unlink() if note is None else file.write_text(note)
    with pytest.raises(Held, match=r"^it is held by another process$"), lock(tmp_path / "x.lock", "it"):
        pass


def started(root: Path, *arguments: str) -> subprocess.Popen[str]:
    """`dango` in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "dango", *arguments],
        cwd=root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(process: subprocess.Popen[str]) -> Said:
    out, err = process.communicate(timeout=120)
    assert "Traceback" not in out + err
    return Said(process.returncode, out, err)


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


# Half of the rows, then it waits until the test says `go`.
SHOP = """
import pathlib
import time
import dlt

def rows(name, waits=False):
    @dlt.resource(name=name)
    def each(seen=dlt.sources.incremental("id", initial_value=0)):
        for number in range(seen.last_value + 1, 101):
            if number == 50 and waits:
                pathlib.Path("half").touch()
                while not pathlib.Path("go").exists():
                    time.sleep(0.02)
            yield {"id": number}
    return each
"""


@pytest.mark.slow
def test_syncs_of_one_source_at_once_load_each_row_once(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], rows: Callable[..., Any]
) -> None:
    write(
        {
            "sources": sources(native("shop", function_kwargs={"name": "shop", "waits": True})),
            "custom_sources/shop.py": SHOP,
        }
    )
    first = started(root, "sync")
    end = time.monotonic() + 60
    while not (root / "half").exists() and time.monotonic() < end:
        time.sleep(0.02)
    refused = dango("sync")
    assert refused.code == 4
    said_so = r"error: shop: source `shop` is held by process (\d+) since \S+\n  hint: wait for it to end, or let"
    found = re.search(said_so, refused.err)
    assert found
    # The pid is the worker's, below the command that was started first.
    assert first.pid in (parent(int(found[1])), parent(parent(int(found[1]))))
    patient = started(root, "sync", "--wait", "60")
    (root / "go").touch()
    assert [ended(process).code for process in (first, patient)] == [0, 0]
    assert rows("SELECT count(*), count(DISTINCT id) FROM raw_shop.shop") == [(100, 100)]


@pytest.mark.slow
def test_sources_that_load_into_one_file_at_once_take_turns(
    root: Path, write: Callable[..., None], rows: Callable[..., Any]
) -> None:
    names = ["one", "two", "three"]
    write(
        {
            "sources": sources(*(native(name, function_kwargs={"name": name}) for name in names)),
            "custom_sources/shop.py": SHOP,
        }
    )
    for said in [ended(process) for process in [started(root, "sync", name) for name in names]]:
        assert said.code == 0, said.err
    for name in names:
        assert rows(f"SELECT count(*), count(DISTINCT id) FROM raw_{name}.{name}") == [(100, 100)]


OF_RUN = """
import sys, time
from pathlib import Path
from dango.lock import lock
with lock(Path(sys.argv[1]), "it", run=sys.argv[2]):
    print("held", flush=True)
    time.sleep(1.5)
"""


@pytest.mark.parametrize(("run", "waits"), [("one", True), ("two", False), ("", False)])
def test_the_jobs_of_one_run_wait_for_each_other_however_long_it_takes(tmp_path: Path, run: str, waits: bool) -> None:
    command = [sys.executable, "-c", OF_RUN, str(tmp_path / "x.lock"), "one"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        if waits:
            with lock(tmp_path / "x.lock", "it", wait=0.0, run=run):
                assert other.wait(5) == 0
        else:
            with pytest.raises(Held, match="held by process"), lock(tmp_path / "x.lock", "it", wait=0.0, run=run):
                pass


def test_a_process_that_has_ended_is_not_alive_though_nobody_has_asked_how() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert alive(child.pid)
    child.kill()
    # Ended, and still there under its number.
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    os.kill(child.pid, 0)
    assert not alive(child.pid)
    child.wait()
    assert not alive(child.pid)

"""`dango` in the background: started, watched until it is where a test wants it, stopped, and nothing of it left."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import Said


def start(root: Path, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    """Starts `dango` in the project, without a terminal."""
    process = subprocess.Popen(
        [sys.executable, "-m", "dango", *arguments],
        cwd=root,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heeds_signals,
    )
    # A test that fails leaves it running.
    atexit.register(process.kill)
    return process


def heeds_signals() -> None:
    """Who runs the tests in the background may ignore these, and what they start would inherit that."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


def ended(process: subprocess.Popen[str], seconds: float = 180) -> Said:
    """How the command ended; killed when it does not within `seconds`."""
    try:
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    assert "Traceback" not in err, err
    return Said(process.returncode, out, err)


def stopped(process: subprocess.Popen[str], *signals: signal.Signals, pause: float = 0.2) -> tuple[Said, float]:
    """Sends the signals, `pause` seconds apart; how the command ended, and the seconds from the first signal on."""
    begun = time.monotonic()
    for number, sent in enumerate(signals):
        time.sleep(pause if number else 0)
        process.send_signal(sent)
    said = ended(process, 15)
    return said, time.monotonic() - begun


def wait_until(there: Callable[[], object], process: subprocess.Popen[str] | None = None, seconds: float = 60) -> None:
    """Waits until something is there; fails when the process ends before, or after `seconds`."""
    end = time.monotonic() + seconds
    while not there():
        if process is not None and process.poll() is not None:
            raise AssertionError(f"it ended too early: {process.communicate()}")
        assert time.monotonic() < end, f"not there after {seconds:g} s"
        time.sleep(0.01)


def step(root: Path) -> str:
    """The step that the newest run of the project is at, as its log says: `extract`."""
    logs = sorted((root / ".dango" / "logs").glob("*.log"), key=lambda log: log.stat().st_mtime_ns)
    lines = logs[-1].read_text().splitlines() if logs else []
    steps = [words[2] for line in lines if len(words := line.split()) > 2]
    return steps[-1] if steps else ""


def at_work(root: Path) -> list[int]:
    """The processes whose current folder is the project: the command, its workers and whatever those started."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cwd").resolve(strict=True) == root.resolve():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def into_postgres(*blocks: str) -> str:
    """A whole `sources.yml` whose sources go to PostgreSQL; LAKE in the environment says where that is."""
    head = "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres, credentials: 'env:LAKE'}}\nsources:\n"
    return head + "".join(blocks)

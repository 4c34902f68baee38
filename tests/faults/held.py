"""A sync that is held at one of its steps, while something happens to the world around it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.conftest import Said
from tests.faults.points import Fault
from tests.faults.running import ended, wait_until

HOOK = Path(__file__).parent / "hook"
REPOSITORY = Path(__file__).parents[2]


class Held:
    """A sync at its step; `goes_on` lets it go, and says how it ended."""

    def __init__(self, process: subprocess.Popen[str], notes: Path) -> None:
        self._process = process
        self._notes = notes

    def goes_on(self) -> Said:
        (self._notes / "go").touch()
        return ended(self._process)


@contextmanager
def held(
    root: Path, notes: Path, at: Fault, *arguments: str, before: Sequence[str] = (), **environment: str
) -> Iterator[Held]:
    """Starts `dango sync`, and waits until it is at the step.

    Args:
        root: the project.
        notes: a folder that is not there yet.
        at: where it is held.
        arguments: of the command.
        before: words before the command.
        environment: what else is in it.
    """
    notes.mkdir()
    path = os.pathsep.join(filter(None, [str(HOOK), str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    fault = json.dumps({**at.asdict(), "held": True})
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "dango", "sync", "--jobs", "1", *arguments],
        cwd=None if before else root,
        env={**os.environ, **environment, "PYTHONPATH": path, "FAULT_FOLDER": str(notes), "FAULT": fault},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until((notes / "fired").exists, process)
        yield Held(process, notes)
    finally:
        (notes / "go").touch()
        with suppress(ProcessLookupError):
            process.kill()
        process.wait()

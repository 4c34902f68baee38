"""A command that is killed at a point of its code, as `faults/` kills syncs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.faults.points import Fault

HOOK = Path(__file__).parent / "faults" / "hook"


def killed(
    root: Path, folder: Path, function: str, *arguments: str, when: str = "before", process: str = "worker", **env: str
) -> None:
    """Runs `dango` in the project, and kills one of its processes there.

    Args:
        root: the project.
        folder: where the processes note that they live; it is made.
        function: `module:function`.
        arguments: of the command.
        when: as of a `Fault`.
        process: `planner`, or `worker`.
        env: what else is in the environment.
    """
    folder.mkdir()
    path = os.pathsep.join((str(HOOK), str(Path(__file__).parents[1])))
    fault = json.dumps(Fault(function, when, process=process).asdict())
    done = subprocess.run(
        [sys.executable, "-m", "dango", *arguments],
        cwd=root,
        env={**os.environ, **env, "PYTHONPATH": path, "FAULT_FOLDER": str(folder), "FAULT": fault},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (folder / "fired").exists(), done.stderr
    assert done.returncode == (1 if process == "worker" else -9), done.stderr

"""A real Ray cluster on this machine, as a context: one node that plans, and one that works and may be lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cluster:
    """Where it is, and what is done to it.

    Attributes:
        address: for `RAY_ADDRESS`.
        client: for `--on`.
        folder: what its processes write.
        base: where its nodes unpack projects.
        home: the home folder of its nodes.
    """

    address: str
    client: str
    folder: Path
    base: Path
    home: Path
    process: subprocess.Popen[str]

    @property
    def env(self) -> dict[str, str]:
        """Of a command on a node."""
        return {"RAY_ADDRESS": self.address}

    def lose(self, what: str) -> None:
        """Kills a `node` whole, or its `raylet` alone; another node takes its place."""
        assert self.process.stdin and self.process.stdout
        self.process.stdin.write(f"{what}\n")
        self.process.stdin.flush()
        assert json.loads(self.process.stdout.readline())["done"] == what


@contextmanager
def started(processors: int = 2) -> Iterator[Cluster]:
    """Two nodes, of which one works, on so many sources at a time."""
    # Sockets are made in it, whose paths must be short.
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    base = Path(tempfile.mkdtemp(prefix="nodes-"))
    home = Path(tempfile.mkdtemp(prefix="home-"))
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("DANGO_", "SOURCES__"))},
        "DANGO_NODE": str(base),
        "HOME": str(home),
        "DANGO_LEASE_SECONDS": "5",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    process = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("two_nodes.py")), str(folder), str(processors)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    assert process.stdin and process.stdout
    try:
        said: dict[str, Any] = json.loads(process.stdout.readline() or "{}")
        assert said, "the cluster does not begin"
        yield Cluster(said["address"], said["client"], folder, base, home, process)
    finally:
        process.stdin.close()
        process.wait(60)
        for each in (folder, base, home):
            shutil.rmtree(each, ignore_errors=True)

"""Runs one command, and writes what it took as JSON: `launch.py OUT WORD…`.

A program of its own, and a small one: the kernel counts what a process held before it became another program, so the
parent of a measured one must be lighter than it. Run with `-I -S`.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

EVERY_SECONDS = 0.1
PAGE = os.sysconf("SC_PAGE_SIZE")


def main(out: str, words: list[str]) -> int:
    """Returns the command's exit code; writes seconds and bytes into `out`."""
    tree = _Tree()
    started = time.perf_counter()
    process = os.posix_spawnp(words[0], words, os.environ)
    threading.Thread(target=tree.watch, args=(process,), daemon=True).start()
    _, status, used = os.wait4(process, 0)
    wall = time.perf_counter() - started
    unit = 1 if sys.platform == "darwin" else 1024
    taken = {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss * unit, "tree": tree.most}
    Path(out).write_text(json.dumps(taken))
    return os.waitstatus_to_exitcode(status)


class _Tree:
    """The most memory that a process and all below it held at once; pages that two share count twice. 0: unknown."""

    def __init__(self) -> None:
        self.most = 0

    def watch(self, root: int) -> None:
        while Path(f"/proc/{root}/statm").exists():
            self.most = max(self.most, sum(map(_resident, _below(root))))
            time.sleep(EVERY_SECONDS)


def _below(process: int) -> Iterator[int]:
    yield process
    for children in Path(f"/proc/{process}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            for child in children.read_text().split():
                yield from _below(int(child))


def _resident(process: int) -> int:
    try:
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
    except (OSError, IndexError):  # it has ended meanwhile
        return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))

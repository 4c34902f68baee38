"""A small disk of a test's own, which is filled up, made read-only and put right again; and folders that are it."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.faults.running import at_work

# root may read and write everything; without these two capabilities it is held to the modes of files as others are.
HELD = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


@contextmanager
def modes(mode: int, *paths: Path) -> Iterator[None]:
    """Files and folders have other modes in the block."""
    before = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(mode)
    try:
        yield
    finally:
        for path, was in zip(paths, before, strict=True):
            path.chmod(was)


class NoDisk(Exception):
    """No file system can be mounted here."""


@dataclass(frozen=True)
class Disk:
    """A file system that is mounted at `folder` for the processes of a namespace only."""

    folder: Path
    keeper: int
    """The process that keeps the namespace."""

    @property
    def root(self) -> Path:
        """The same folder, as the test sees it."""
        return Path(f"/proc/{self.keeper}/root{self.folder}")

    def entering(self, folder: Path) -> list[str]:
        """The words before a command that is to run there, in that folder."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        inside = ["sh", "-c", 'cd "$1" && shift && exec "$@"', "sh", str(folder)]
        return ["nsenter", f"--target={self.keeper}", *user, "--mount", *inside]

    def fill(self, leaving: int = 0) -> None:
        """Leaves no more than so many bytes."""
        with (self.root / "ballast").open("wb", buffering=0) as ballast:
            size = 1024**2
            while size:
                try:
                    ballast.write(bytes(size))
                except OSError:
                    size //= 2
            ballast.truncate(ballast.tell() - leaving)

    def empty(self) -> None:
        """Makes room again."""
        (self.root / "ballast").unlink()

    def remount(self, how: str) -> None:
        """Mounts it anew: `ro`, `rw`."""
        mount = ["mount", "-o", f"remount,{how}", str(self.folder)]
        subprocess.run([*self.entering(Path("/")), *mount], check=True)


@dataclass(frozen=True)
class Limit:
    """In the place of a disk, where none can be mounted: no file of the processes that are at work there may grow."""

    root: Path

    def entering(self, folder: Path) -> list[str]:
        """Nowhere."""
        return []

    def fill(self, leaving: int = 0) -> None:
        """From here on."""
        for process in at_work(self.root / "project"):
            _, most = resource.prlimit(process, resource.RLIMIT_FSIZE)
            resource.prlimit(process, resource.RLIMIT_FSIZE, (leaving, most))

    def empty(self) -> None:
        """Other processes may write."""


@contextmanager
def small_disk(folder: Path, mebibytes: int) -> Iterator[Disk]:
    """A disk of that size. Raises `NoDisk`."""
    script = 'mount -t tmpfs -o size="$2m" none "$1" && echo there && exec cat'
    unshare = ["unshare", "-m" if os.geteuid() == 0 else "-rm"]
    try:
        keeper = subprocess.Popen(
            [*unshare, "sh", "-c", script, "sh", str(folder), str(mebibytes)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise NoDisk(str(error)) from error
    with keeper:
        assert keeper.stdin is not None
        assert keeper.stdout is not None
        if keeper.stdout.readline() != "there\n":
            raise NoDisk("no small file system can be mounted here")
        # With its stdin the namespace ends, and with that the disk.
        with keeper.stdin:
            yield Disk(folder, keeper.pid)

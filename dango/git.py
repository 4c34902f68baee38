"""A git repository, read by git itself: nothing of it is checked out and none of its hooks, filters or remotes run."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from dango.errors import FetchFailed, UsageError

LIMIT = 300.0
"""Seconds that one call of git may take."""

# Neither an option (`--upload-pack=…`) nor a refspec (`a:b`) nor a range.
_REVISION = re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./~^-]*")
# What git sets for hooks and aliases that it runs, dango among them, and what would lead it to another repository.
_INHERITED = {
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_SHALLOW_FILE", "GIT_CONFIG",
}  # fmt: skip
_SAFE = (
    "--no-pager", "-c", f"core.hooksPath={os.devnull}", "-c", "protocol.ext.allow=never", "-c", "gc.auto=0",
    "-c", "maintenance.auto=false", "-c", "core.fsmonitor=false",
    "-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60",
)  # fmt: skip


class Unreachable(Exception):
    """The remote repository does not answer; the text is git's own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file of a commit: its name below the folder that was asked for, git's mode, and the id of its content."""

    name: str
    mode: str
    id: str


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository on this machine. With `url`, what is asked of it is fetched from there first."""

    folder: Path
    url: str = ""

    def commit(self, revision: str) -> str | None:
        """The id of the commit that an id, a branch or a tag names; None where there is none.

        Raises:
            Unreachable: when it would have to come from a `url` that does not answer.
        """
        if not _REVISION.fullmatch(revision):
            return None
        if self.url:
            if not self._fetch(revision):
                return None
            revision = "FETCH_HEAD"
        found = self._git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
        return found.stdout.decode().strip() or None

    def folders(self, commit: str, path: str) -> list[str]:
        """The names of the folders in a folder of the commit; none where that is not there."""
        listed = self._git("ls-tree", "-z", "-d", "--name-only", f"{commit}:{path}")
        return [os.fsdecode(name) for name in listed.stdout.split(b"\0") if name]

    def entries(self, commit: str, path: str) -> list[Entry]:
        """Everything below a folder of the commit; nothing where that is not there."""
        listed = self._git("ls-tree", "-z", "-r", f"{commit}:{path}")
        found = []
        for line in filter(None, listed.stdout.split(b"\0")):
            facts, _, name = line.partition(b"\t")
            mode, _, id_ = facts.decode().split()
            found.append(Entry(os.fsdecode(name), mode, id_))
        return found

    def read(self, ids: Sequence[str]) -> list[bytes]:
        """The contents of files. Raises `FetchFailed` where the repository lacks one (a partial clone)."""
        stream = self._git("cat-file", "--batch", stdin="".join(f"{id_}\n" for id_ in ids).encode()).stdout
        contents, start = [], 0
        for _ in ids:
            header, _, _ = stream[start : start + 200].partition(b"\n")
            if b" blob " not in header:
                raise FetchFailed(
                    f"{self.folder} lacks a part of the commit", "it may be a partial clone: clone it whole"
                )
            first = start + len(header) + 1
            start = first + int(header.split()[-1]) + 1
            contents.append(stream[first : start - 1])
        return contents

    def _fetch(self, revision: str) -> bool:
        arguments = ("fetch", "--quiet", "--depth=1", "--no-tags", "--no-recurse-submodules", self.url, revision)
        if self._git(*arguments, online=True).returncode == 0:
            return True
        # git ends alike whether the commit or the network is missing; a question that needs no commit tells.
        asked = self._git("ls-remote", self.url, "HEAD", online=True)
        if asked.returncode:
            raise Unreachable(_last_line(asked.stderr))
        return False

    def _git(self, *arguments: str, stdin: bytes = b"", online: bool = False) -> subprocess.CompletedProcess[bytes]:
        inner = self.folder / ".git"
        where = f"--git-dir={inner if inner.exists() else self.folder}"
        return _git(self.folder, where, *arguments, stdin=stdin, online=online)


def local(folder: Path) -> Repository:
    """The repository in this very folder, a work tree or a bare one.

    Raises:
        UsageError: when there is none; a repository further up does not count.
    """
    repository = Repository(folder.expanduser().resolve())
    if not repository.folder.is_dir():
        raise UsageError(f"no folder {repository.folder}")
    if repository._git("rev-parse", "--git-dir").returncode:
        raise UsageError(f"{repository.folder} is no git repository", "a clone is: one with a work tree or a bare one")
    return repository


def tracked(folder: Path, names: Sequence[str]) -> list[str]:
    """Those files of a folder that are in git, also where only their adding is; none where that cannot be asked."""
    try:
        listed = _git(folder, "ls-files", "-z", "--", *names)
    except (FetchFailed, Unreachable):
        return []
    return [os.fsdecode(name) for name in filter(None, listed.stdout.split(b"\0"))]


@contextmanager
def remote(url: str) -> Iterator[Repository]:
    """The repository at a URL; what is fetched of it lies in a temporary folder until the block ends."""
    with tempfile.TemporaryDirectory(prefix="dango-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        # Said, because the user's settings may have templates with hooks, and another kind of ids.
        made = _git(folder, "init", "--quiet", "--bare", "--template=", "--object-format=sha1", ".")
        if made.returncode:
            raise FetchFailed(f"git cannot make a repository in {folder}: {_last_line(made.stderr)}")
        yield Repository(folder, url)


def merge(mine: bytes, base: bytes, theirs: bytes, labels: tuple[str, str, str]) -> tuple[bytes, bool] | None:
    """A three-way merge by lines: the text, with git's marks where both changed the same, and whether there are any.

    None where it cannot be merged by lines (binary files).
    """
    with tempfile.TemporaryDirectory(prefix="dango-") as temporary:
        folder = Path(temporary)
        for name, data in (("mine", mine), ("base", base), ("theirs", theirs)):
            (folder / name).write_bytes(data)
        named = [part for label in labels for part in ("-L", label)]
        done = _git(folder, "merge-file", "-p", "--diff3", *named, "mine", "base", "theirs")
    # The exit code is the number of conflicts, at most 127.
    return None if done.returncode not in range(128) else (done.stdout, done.returncode > 0)


def _git(folder: Path, *arguments: str, stdin: bytes = b"", online: bool = False) -> subprocess.CompletedProcess[bytes]:
    try:
        process = subprocess.Popen(
            ["git", *_SAFE, *arguments],
            cwd=folder, env=_environment(online), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True,
        )  # fmt: skip
    except FileNotFoundError as error:
        raise FetchFailed("git is not installed", "install git") from error
    with process:
        try:
            out, err = process.communicate(stdin, timeout=LIMIT)
        except subprocess.TimeoutExpired as error:
            _end(process)
            raise Unreachable(f"no end after {LIMIT:.0f} s") from error
        except BaseException:
            # Ctrl-C, too, ends git with us.
            _end(process)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends git with its children: the one that talks to the network would hold the pipes open."""
    if os.name == "posix":
        # It may have ended by itself meanwhile.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()


def _environment(online: bool) -> dict[str, str]:
    """No question is asked, and only what goes over the network sees the user's settings: proxy, certificates."""
    kept = {name: value for name, value in os.environ.items() if name not in _INHERITED}
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_ASKPASS": "", "GIT_NO_REPLACE_OBJECTS": "1", "LC_ALL": "C"}
    # No protocol: a partial clone would fetch what it lacks, by a command that its own settings name.
    alone = {
        "GIT_ALLOW_PROTOCOL": "", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_COUNT": "0",
        "GIT_CONFIG_PARAMETERS": "",
    }  # fmt: skip
    return {**kept, **quiet, **({} if online else alone)}


def _last_line(stderr: bytes) -> str:
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return lines[-1].removeprefix("fatal: ") if lines else "git says nothing"

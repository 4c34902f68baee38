"""The history of a git repository: its commits and the files that each one changed."""

import os
import subprocess
import tempfile
from collections.abc import Collection, Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import IO, Any

import dlt
from dlt.sources import DltResource

EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

# Each field ends in a NUL, which neither a name nor a message can hold.
COMMIT_FIELDS = ("%H", "%P", "%an", "%ae", "%at", "%cn", "%ce", "%ct", "%s", "%b")

# Spelt out so that no one's git configuration changes what is loaded.
LOG_OPTIONS = (
    "-z",
    "--format=tformat:" + "".join(field + "%x00" for field in COMMIT_FIELDS),
    "--numstat",
    "--find-renames",
    "--root",
    "--encoding=UTF-8",
    "--no-relative",
    "--no-show-signature",
    "--ignore-submodules=none",
)

# A hook sets these for its own repository; here they would win over the one asked for.
REPOSITORY_VARIABLES = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
}


class GitError(RuntimeError):
    """The repository cannot be read; the message has its path and what git said."""


@dlt.source
def git_history(repository: str = ".", branch: str = "HEAD") -> DltResource:
    """The commits reachable from a branch, each with the files it changed.

    Args:
        repository: A folder in a work tree, or a bare repository; relative to the working directory.
        branch: A branch, tag or commit.
    """
    return commits(repository, branch)


@dlt.resource(
    write_disposition="merge",
    primary_key="hash",
    columns={
        "parents": {"data_type": "text"},
        "authored_at": {"data_type": "timestamp", "timezone": True},
        "committed_at": {"data_type": "timestamp", "timezone": True},
        "body": {"data_type": "text"},
    },
    nested_hints={
        "files": dlt.mark.make_nested_hints(
            columns={
                "path": {"data_type": "text"},
                "added": {"data_type": "bigint"},
                "deleted": {"data_type": "bigint"},
                "old_path": {"data_type": "text"},
            }
        )
    },
)
def commits(repository: str, branch: str) -> Iterator[dict[str, Any]]:
    """Commits that the last load did not reach from its head; all of them when history was rewritten.

    Reachability decides, not dates: a branch older than the last load is new on the day it is merged.
    A merge lists no files, since the commits that it brings list them. Where a shallow clone is cut
    off, parents and files are unknown and left empty. Commits that a rewrite dropped stay in the table.
    """
    folder = Path(repository).expanduser().absolute()
    head = _resolve(folder, branch)
    if head is None:
        return
    state = dlt.current.resource_state()
    last = state.get("head")
    # A deepened clone has the same head and more history.
    cut = _shallow_cut(folder)
    same_depth = state.get("cut", []) == cut

    revisions = [head]
    if last and same_depth and _run(folder, "merge-base", "--is-ancestor", last, head).returncode == 0:
        revisions.append(f"^{last}")
    yield from _read_log(folder, revisions, cut)

    # Only now: a load that broke off has to start again from the old head.
    state.update(head=head, cut=cut)


def _resolve(folder: Path, branch: str) -> str | None:
    """The hash of the commit that the branch names; None when the repository has no commits."""
    opened = _run(folder, "rev-parse", "--git-dir")
    if opened.returncode:
        raise _error(folder, opened.stderr)
    named = _run(folder, "rev-parse", "--verify", "--quiet", branch + "^{commit}")
    if named.returncode == 0:
        return named.stdout.decode().strip()
    if not _run(folder, "for-each-ref", "--count=1").stdout:
        return None
    raise GitError(f"{folder} has no branch, tag or commit named {branch!r}")


def _shallow_cut(folder: Path) -> list[str]:
    """The commits at which a shallow clone ends, sorted; empty for a complete one."""
    file = _run(folder, "rev-parse", "--git-path", "shallow").stdout
    try:
        return sorted((folder / os.fsdecode(file.rstrip(b"\n"))).read_text("ascii").split())
    except FileNotFoundError:
        return []


def _read_log(folder: Path, revisions: list[str], cut: Collection[str]) -> Iterator[dict[str, Any]]:
    """Read commits one by one from a running `git log`."""
    command = _command(folder, "log", *LOG_OPTIONS, *revisions, "--")
    # A file and not a pipe: a pipe that nobody reads meanwhile would fill up and stop git.
    with tempfile.TemporaryFile() as stderr, _start(command, stderr) as process:
        assert process.stdout is not None
        try:
            yield from _parse(_split(process.stdout), cut)
        except BaseException:
            process.kill()
            raise
        if process.wait():
            stderr.seek(0)
            raise _error(folder, stderr.read())


def _parse(tokens: Iterator[str], cut: Collection[str]) -> Iterator[dict[str, Any]]:
    """Turn the tokens of `git log -z --numstat` into commits.

    A commit is its fields and an empty token, or in its place the counts of its files, of which the
    first begins with a newline. A renamed file leaves the path empty and adds two tokens: old, new.
    """
    commit: dict[str, Any] | None = None
    for token in tokens:
        token = token.lstrip("\n")
        if not token:
            continue
        counts, tab, rest = token.partition("\t")
        if tab:
            assert commit is not None
            deleted, _, path = rest.partition("\t")
            old_path = None
            if not path:
                old_path, path = next(tokens), next(tokens)
            # What a cut-off commit changed is unknown: git shows it as if it had added every file.
            if commit["hash"] not in cut:
                commit["files"].append(
                    {
                        "path": path,
                        "added": _count(counts),
                        "deleted": _count(deleted),
                        "old_path": old_path,
                    }
                )
            continue
        if commit is not None:
            yield commit
        commit = _commit(token, tokens, cut)
    if commit is not None:
        yield commit


def _commit(commit_hash: str, tokens: Iterator[str], cut: Collection[str]) -> dict[str, Any]:
    parents, author, author_email, authored, committer, committer_email, committed, subject, body = (
        next(tokens) for _ in COMMIT_FIELDS[1:]
    )
    return {
        "hash": commit_hash,
        "parents": None if commit_hash in cut else parents,
        "author_name": author,
        "author_email": author_email,
        "authored_at": _time(authored),
        "committer_name": committer,
        "committer_email": committer_email,
        "committed_at": _time(committed),
        "subject": subject,
        "body": body.rstrip("\n") or None,
        "files": [],
    }


def _count(number: str) -> int | None:
    """Lines added or deleted; git writes `-` for a binary file, which has no lines."""
    return None if number == "-" else int(number)


def _time(seconds: str) -> datetime | None:
    """A commit's time in UTC; None where a damaged or invented one is no date."""
    try:
        return EPOCH + timedelta(seconds=int(seconds))
    except (ValueError, OverflowError):
        return None


def _split(stream: IO[bytes], size: int = 1 << 16) -> Iterator[str]:
    """The NUL-terminated tokens of a stream; bytes that are not UTF-8 are replaced."""
    rest = b""
    while chunk := stream.read(size):
        *whole, rest = (rest + chunk).split(b"\0")
        for token in whole:
            yield token.decode("utf-8", "replace")


def _command(folder: Path, *arguments: str) -> list[str]:
    return ["git", "--no-pager", "-C", str(folder), *arguments]


def _start(command: list[str], stderr: int | IO[bytes]) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name not in REPOSITORY_VARIABLES}
    try:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment | {"GIT_TERMINAL_PROMPT": "0"},
        )
    except FileNotFoundError as error:
        raise GitError("reading a repository needs the program `git`, which is not on the PATH") from error


def _run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Run a git command whose output is short; the caller judges the exit code."""
    command = _command(folder, *arguments)
    with _start(command, subprocess.PIPE) as process:
        stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, stdout, stderr)


def _error(folder: Path, stderr: bytes) -> GitError:
    words = stderr.decode("utf-8", "replace").strip()
    return GitError(f"cannot read a git repository at {folder}: {words or 'git gave no reason'}")

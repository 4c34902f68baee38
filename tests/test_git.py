"""Reading real git repositories, on this machine and from a URL."""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from dango import git
from dango.errors import FetchFailed, UsageError


class Upstream:
    """A git repository that a test makes: `commit({path: content})` gives the id; None deletes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str) -> str:
        """Runs git in the repository."""
        who = ("-c", "user.name=A", "-c", "user.email=a@x.example", "-c", "commit.gpgsign=false")
        done = subprocess.run(["git", *who, *arguments], cwd=self.folder, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    def commit(self, files: Mapping[str, str | bytes | None]) -> str:
        """Writes the files and commits everything."""
        for name, content in files.items():
            path = self.folder / name
            if content is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message=change")
        return self.git("rev-parse", "HEAD")

    def tree(self, entries: str) -> str:
        """A commit of a tree that no work tree could hold; `entries` as `git mktree` reads them."""
        done = subprocess.run(
            ["git", "mktree", "--missing"], cwd=self.folder, input=entries, capture_output=True, text=True, check=True
        )
        return done.stdout.strip()


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    return Upstream(tmp_path / "upstream")


def contents(repository: git.Repository, commit: str, path: str) -> dict[str, bytes]:
    entries = repository.entries(commit, path)
    return dict(zip([e.name for e in entries], repository.read([e.id for e in entries]), strict=True))


FILES = {"s/a/__init__.py": "x = 1\n", "s/a/ü b/c.bin": b"\0\r\n\xff", "s/a/empty": "", "s/b/x.py": "", "top": ""}


def test_a_work_tree_a_bare_repository_and_a_url_read_alike(upstream: Upstream, tmp_path: Path) -> None:
    first = upstream.commit(FILES)
    upstream.commit({"s/a/__init__.py": "x = 2\n"})
    (upstream.folder / "s/a/__init__.py").write_text("not committed")
    subprocess.run(["git", "clone", "-q", "--bare", upstream.folder, tmp_path / "bare"], check=True)
    with git.remote(upstream.folder.as_uri()) as remote:
        for repository in (git.local(upstream.folder), git.local(tmp_path / "bare"), remote):
            assert repository.commit(first) == first
            found = contents(repository, first, "s/a")
            assert found == {"__init__.py": b"x = 1\n", "empty": b"", "ü b/c.bin": b"\0\r\n\xff"}
            assert repository.folders(first, "s") == ["a", "b"]
            assert (repository.folders(first, "t"), repository.entries(first, "s/c")) == ([], [])
        kept = remote.folder
    assert not kept.exists()


def test_a_commit_is_named_by_id_branch_or_tag_and_by_nothing_that_git_could_take_for_an_option(
    upstream: Upstream, tmp_path: Path
) -> None:
    first = upstream.commit(FILES)
    upstream.git("tag", "-a", "v1", "-m", "one")
    second = upstream.commit({"top": "2"})
    local = git.local(upstream.folder)
    named = {"v1": first, "main": second, "HEAD": second, "HEAD~1": first, first[:8]: first}
    assert {name: local.commit(name) for name in named} == named
    marker = tmp_path / "run"
    strange = [
        "",
        "-h",
        f"--upload-pack=touch {marker}",
        "main:main",
        "+main",
        "no such",
        "main..v1",
        "v2",
        "@{u}",
        "0" * 40,
    ]
    with git.remote(upstream.folder.as_uri()) as remote:
        assert {name: remote.commit(name) for name in ("v1", "main", first)} == {
            "v1": first,
            "main": second,
            first: first,
        }
        for repository in (local, remote):
            assert [name for name in strange if repository.commit(name)] == []
    assert not marker.exists()


def test_neither_the_surroundings_nor_settings_change_what_is_read(
    upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = Upstream(tmp_path / "other")
    other.commit({"s/a/__init__.py": "other"})
    first = upstream.commit({**FILES, ".gitattributes": "* text eol=crlf export-subst\n"})
    replaced = upstream.commit({"s/a/__init__.py": "replaced"})
    upstream.git("replace", first, replaced)
    (Path.home() / ".gitconfig").write_text("[core]\n\tautocrlf = true\n[merge]\n\tconflictStyle = merge\n[")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other.folder))
    monkeypatch.setenv("GIT_OBJECT_DIRECTORY", str(other.folder / ".git" / "objects"))
    assert contents(git.local(upstream.folder), first, "s/a")["__init__.py"] == b"x = 1\n"
    assert git.merge(b"1\n", b"0\n", b"2\n", ("m", "b", "t")) == (
        b"<<<<<<< m\n1\n||||||| b\n0\n=======\n2\n>>>>>>> t\n",
        True,
    )


def test_a_folder_inside_a_repository_is_none(upstream: Upstream, tmp_path: Path) -> None:
    upstream.commit(FILES)
    for folder in (upstream.folder / "s", tmp_path):
        with pytest.raises(UsageError, match="is no git repository"):
            git.local(folder)
    with pytest.raises(UsageError, match="no folder"):
        git.local(tmp_path / "nowhere")


def test_a_partial_clone_is_not_completed_behind_ones_back(upstream: Upstream, tmp_path: Path) -> None:
    first = upstream.commit(FILES)
    upstream.git("config", "uploadpack.allowFilter", "true")
    partial = tmp_path / "partial"
    clone = ["git", "clone", "-q", "--bare", "--filter=blob:none", upstream.folder.as_uri(), str(partial)]
    subprocess.run(clone, check=True, capture_output=True)
    marker = tmp_path / "run"
    command = f"touch {marker}; git-upload-pack"
    subprocess.run(["git", "config", "remote.origin.uploadpack", command], cwd=partial, check=True)
    with pytest.raises(FetchFailed, match="lacks a part of the commit"):
        contents(git.local(partial), first, "s/a")
    assert not marker.exists()


def test_a_closed_port_cannot_be_reached() -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/x"
        with git.remote(url) as remote, pytest.raises(git.Unreachable, match=r"127\.0\.0\.1"):
            remote.commit("main")


def test_a_server_that_never_answers_is_left_with_all_of_gits_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "LIMIT", 1.0)
    gone = threading.Event()

    def wait(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.settimeout(20)
        while connection.recv(4096):
            pass
        gone.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=wait, args=(server,), daemon=True).start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/x"
        started = time.monotonic()
        with git.remote(url) as remote, pytest.raises(git.Unreachable, match="no end after 1 s"):
            remote.commit("main")
        assert time.monotonic() - started < 10
        # The process that talked to the server has let go of it.
        assert gone.wait(10)


def test_without_git_it_says_so(upstream: Upstream, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FetchFailed, match="git is not installed"):
        git.local(upstream.folder)

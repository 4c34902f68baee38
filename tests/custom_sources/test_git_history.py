import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from custom_sources.git_history import GitError, git_history

Load = Callable[..., int]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    for name, value in {
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "Ada",
        "GIT_AUTHOR_EMAIL": "ada@example.org",
        "GIT_AUTHOR_DATE": "2024-01-02T03:04:05+02:00",
        "GIT_COMMITTER_NAME": "Grace",
        "GIT_COMMITTER_EMAIL": "grace@example.org",
        "GIT_COMMITTER_DATE": "2024-02-03T04:05:06-01:00",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        "RUNTIME__LOG_LEVEL": "ERROR",
    }.items():
        monkeypatch.setenv(name, value)


class Repository:
    """A real repository to which a test adds commits."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.git("init", "--quiet", "--initial-branch=main")

    def git(self, *arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            input=stdin,
            env={**os.environ, **(env or {})},
            capture_output=True,
        )
        assert done.returncode == 0, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(
        self, files: dict[str | bytes, str | bytes] | None = None, message: str | bytes = "change", **env: str
    ) -> str:
        for name, content in (files or {}).items():
            path = Path(self.folder, os.fsdecode(name))
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        self.git("add", "--all")
        text = message.encode() if isinstance(message, str) else message
        self.git("commit", "--quiet", "--allow-empty", "--cleanup=verbatim", "--file=-", stdin=text, env=env)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "repository")


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[dlt.Pipeline]:
    pipeline = dlt.pipeline(
        "git_history",
        destination=dlt.destinations.duckdb(str(tmp_path / "warehouse.duckdb")),
        dataset_name="raw_git",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    yield pipeline
    pipeline.deactivate()


@pytest.fixture
def load(pipeline: dlt.Pipeline, repository: Repository) -> Load:
    """Sync the repository; the number of commits that this load brought."""

    def load(limit: int | None = None) -> int:
        source = git_history(str(repository.folder))
        if limit:
            source.add_limit(limit)
        pipeline.run(source)
        return brought(pipeline)

    return load


def brought(pipeline: dlt.Pipeline) -> int:
    """The commits that the last load brought."""
    trace = pipeline.last_trace
    assert trace is not None and trace.last_normalize_info is not None
    return trace.last_normalize_info.row_counts.get("commits", 0)


def query(pipeline: dlt.Pipeline, sql: str) -> list[tuple[Any, ...]]:
    with pipeline.sql_client() as client:
        return [tuple(row) for row in client.execute_sql(sql) or []]


def rows(repository: Repository, **arguments: str) -> list[dict[str, Any]]:
    """What the source yields, newest first, without a pipeline."""
    return list(git_history(str(repository.folder), **arguments))


def files(commit: dict[str, Any]) -> dict[str, tuple[int | None, int | None, str | None]]:
    return {file["path"]: (file["added"], file["deleted"], file["old_path"]) for file in commit["files"]}


def test_a_commit_in_full(repository: Repository) -> None:
    first = repository.commit({"a.txt": "1\n2\n"}, "first")
    second = repository.commit({"a.txt": "1\n3\n4\n"}, "Second\n\nWhy it was done,\n\nat length.\n")
    commit, root = rows(repository)
    assert commit == {
        "hash": second,
        "parents": first,
        "author_name": "Ada",
        "author_email": "ada@example.org",
        "authored_at": datetime(2024, 1, 2, 1, 4, 5, tzinfo=timezone.utc),
        "committer_name": "Grace",
        "committer_email": "grace@example.org",
        "committed_at": datetime(2024, 2, 3, 5, 5, 6, tzinfo=timezone.utc),
        "subject": "Second",
        "body": "Why it was done,\n\nat length.",
        "files": [{"path": "a.txt", "added": 2, "deleted": 1, "old_path": None}],
    }
    assert (root["parents"], root["body"], files(root)) == ("", None, {"a.txt": (2, 0, None)})


def test_tables_and_types_in_the_warehouse(repository: Repository, pipeline: dlt.Pipeline, load: Load) -> None:
    repository.commit({"picture": b"\0\1"}, "no text file, no rename, no body")
    load()
    assert query(pipeline, "SELECT path, added, deleted, old_path FROM commits__files") == [
        ("picture", None, None, None)
    ]
    assert query(pipeline, "SELECT typeof(authored_at), authored_at::VARCHAR LIKE '2024-01-0%' FROM commits") == [
        ("TIMESTAMP WITH TIME ZONE", True)
    ]
    assert query(pipeline, "SELECT body FROM commits") == [(None,)]


def test_the_next_load_brings_only_what_is_new(repository: Repository, pipeline: dlt.Pipeline, load: Load) -> None:
    repository.commit({"a": "1"})
    repository.commit({"a": "2"})
    assert load() == 2
    assert load() == 0
    repository.commit({"a": "3"})
    assert load() == 1
    assert query(pipeline, "SELECT count(*), count(DISTINCT hash) FROM commits") == [(3, 3)]
    assert query(pipeline, "SELECT count(*) FROM commits__files") == [(3,)]


def test_a_branch_older_than_the_last_load_is_loaded_when_merged(
    repository: Repository, pipeline: dlt.Pipeline, load: Load
) -> None:
    repository.commit({"a": "1"})
    repository.git("checkout", "--quiet", "-b", "side")
    long_ago = {"GIT_AUTHOR_DATE": "2019-01-01T00:00:00Z", "GIT_COMMITTER_DATE": "2019-01-01T00:00:00Z"}
    side = {repository.commit({"b": str(number)}, **long_ago) for number in range(3)}
    repository.git("checkout", "--quiet", "main")
    repository.commit({"a": "2"})
    assert load() == 2
    repository.git("merge", "--quiet", "--no-ff", "--message=merge", "side")
    assert load() == 4
    loaded = {commit for (commit,) in query(pipeline, "SELECT hash FROM commits")}
    assert side < loaded
    assert len(loaded) == 6


@pytest.mark.parametrize("collected", [False, True], ids=["old head still there", "old head gone"])
def test_rewritten_history_is_loaded_again(
    repository: Repository, pipeline: dlt.Pipeline, load: Load, collected: bool
) -> None:
    repository.commit({"a": "1"})
    repository.commit({"a": "2"}, "typo")
    assert load() == 2
    repository.git("commit", "--quiet", "--amend", "--message=fixed")
    if collected:
        repository.git("reflog", "expire", "--expire=now", "--all")
        repository.git("gc", "--quiet", "--prune=now")
    assert load() == 2
    assert load() == 0
    found = query(pipeline, "SELECT subject, count(*) FROM commits GROUP BY 1 ORDER BY 1")
    assert found == [("change", 1), ("fixed", 1), ("typo", 1)]


def test_a_failure_in_mid_stream_keeps_the_old_head(repository: Repository, pipeline: dlt.Pipeline, load: Load) -> None:
    repository.commit({"a": "1\n"})
    load()
    repository.commit({"a": "2\n"})
    repository.commit({"b": "3\n"})
    blob = repository.git("rev-parse", "HEAD~1:a")
    stored = repository.folder / ".git" / "objects" / blob[:2] / blob[2:]
    hidden = stored.rename(stored.with_suffix(".hidden"))
    # git has written the newest commit by the time it misses the blob.
    with pytest.raises(PipelineStepFailed, match=blob):
        load()
    hidden.rename(stored)
    assert load() == 2
    assert query(pipeline, "SELECT count(*) FROM commits") == [(3,)]


def test_a_load_cut_short_does_not_move_the_head(repository: Repository, load: Load) -> None:
    for number in range(3):
        repository.commit({"a": str(number)})
    assert load(limit=1) == 1
    assert load() == 3


def test_names_of_files(repository: Repository) -> None:
    names = [
        "line\nbreak",
        "\nfirst",
        "tab\there",
        "quo\"te's",
        " blank ",
        "-dash",
        "1\t2\tcounts",
        "a => {b}",
        "ä\\b",
    ]
    # Of different contents, so that each rename is found.
    repository.commit({name: f"{number}\n" * 3 for number, name in enumerate(names)})
    repository.commit({"next": "1\n"})
    for number, name in enumerate(names):
        repository.git("mv", "--", name, f"moved{number}")
    repository.commit()
    for number, name in enumerate(names):
        repository.git("mv", f"moved{number}", f"./{name}")
    repository.commit()
    back, moved, following, added = map(files, rows(repository))
    assert added == dict.fromkeys(names, (3, 0, None))
    assert following == {"next": (1, 0, None)}
    assert moved == {f"moved{number}": (0, 0, name) for number, name in enumerate(names)}
    assert back == {name: (0, 0, f"moved{number}") for number, name in enumerate(names)}


def test_names_and_messages_that_are_not_utf8(repository: Repository) -> None:
    # Not by `git commit`, which mends such a message.
    tree = repository.git("hash-object", "-t", "tree", "-w", "--stdin")
    head = f"tree {tree}\nauthor A <a> 1 +0000\ncommitter B <b> 1 +0000\n\n".encode()
    commit = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=head + b"caf\xe9 as bytes\n")
    repository.git("update-ref", "refs/heads/main", commit)
    repository.git("config", "i18n.commitEncoding", "ISO-8859-1")
    repository.commit({"a": "2"}, b"caf\xe9 as declared")
    # Not every file system takes such a name, but every repository does.
    blob = repository.git("hash-object", "-w", "--stdin", stdin=b"1\n")
    repository.git("update-index", "-z", "--index-info", stdin=f"100644 {blob}\t".encode() + b"\xff.txt\0")
    repository.git("commit", "--quiet", "--message=name")
    name, declared, raw = rows(repository)
    assert files(name) == {"\ufffd.txt": (1, 0, None)}
    assert declared["subject"] == "café as declared"
    assert raw["subject"] == "caf\ufffd as bytes"


def test_a_merge_has_its_parents_and_no_files(repository: Repository) -> None:
    repository.commit({"a": "1"})
    repository.git("checkout", "--quiet", "-b", "side")
    side = repository.commit({"b": "1"})
    repository.git("checkout", "--quiet", "main")
    main = repository.commit({"c": "1"})
    repository.git("merge", "--quiet", "--message=merge", "side")
    merge = rows(repository)[0]
    assert merge["parents"] == f"{main} {side}"
    assert merge["files"] == []


def test_renamed_binary_empty_and_submodule(repository: Repository) -> None:
    sub = repository.commit({"old": "1\n2\n3\n4\n", "picture": b"\0\1"})
    repository.git("mv", "old", "new")
    repository.commit({"new": "1\n2\n3\n4\n5\n", "picture": b"\0\2"})
    repository.commit(message="nothing changed")
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{sub},vendored")
    repository.git("commit", "--quiet", "--message=submodule")
    # A setting that hides submodules from people must not hide them from the load.
    repository.git("config", "diff.ignoreSubmodules", "all")
    submodule, empty, changed, added = map(files, rows(repository))
    assert submodule == {"vendored": (1, 0, None)}
    assert empty == {}
    assert changed == {"new": (1, 0, "old"), "picture": (None, None, None)}
    assert added == {"old": (4, 0, None), "picture": (None, None, None)}


def test_a_damaged_date_is_empty(repository: Repository) -> None:
    tree = repository.git("hash-object", "-t", "tree", "-w", "--stdin")
    body = f"tree {tree}\nauthor A <a> 99999999999999 +0000\ncommitter B <b> when +0000\n\ndated\n"
    commit = repository.git("hash-object", "-t", "commit", "-w", "--stdin", "--literally", stdin=body.encode())
    repository.git("update-ref", "refs/heads/main", commit)
    (row,) = rows(repository)
    assert (row["authored_at"], row["committed_at"], row["subject"]) == (None, None, "dated")


def test_a_persons_configuration_changes_nothing(repository: Repository) -> None:
    (repository.folder / "below").mkdir()
    repository.commit({"a": "1\n", "below/b": "1\n"})
    # What it is signed with does not matter: that somebody looks is enough to add lines to a log.
    signed = repository.git("cat-file", "commit", "HEAD").replace(
        "\n\n", "\ngpgsig -----BEGIN PGP SIGNATURE-----\n -----END PGP SIGNATURE-----\n\n", 1
    )
    commit = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=signed.encode())
    repository.git("update-ref", "refs/heads/main", commit)
    gpg = repository.folder / ".git" / "gpg"
    gpg.write_text("#!/bin/sh\necho checked >&2\n")
    gpg.chmod(0o755)
    repository.git("config", "gpg.program", str(gpg))
    plain = rows(repository)
    for setting in [
        "log.showRoot=false",
        "log.showSignature=true",
        "log.date=relative",
        "diff.relative=true",
        "diff.renames=false",
        "i18n.logOutputEncoding=UTF-16",
    ]:
        repository.git("config", *setting.split("="))
    assert list(git_history(str(repository.folder / "below"))) == plain


def test_an_empty_repository_loads_nothing_until_it_has_a_commit(repository: Repository, load: Load) -> None:
    assert load() == 0
    repository.commit({"a": "1"})
    assert load() == 1


def test_a_branch_that_is_named(repository: Repository) -> None:
    repository.commit({"a": "1"}, "on main")
    repository.git("checkout", "--quiet", "-b", "side")
    repository.commit({"a": "2"}, "on side")
    repository.git("tag", "--annotate", "--message=tag", "v1", "main")
    for branch in ["main", "v1", "side~1"]:
        assert [row["subject"] for row in rows(repository, branch=branch)] == ["on main"]


@pytest.mark.parametrize("branch", ["nosuch", "--since=2020", "HEAD^{tree}", ""])
def test_a_branch_that_is_not_there(repository: Repository, branch: str) -> None:
    repository.commit({"a": "1"})
    with pytest.raises(Exception, match=re.escape(f"no branch, tag or commit named '{branch}'")) as caught:
        rows(repository, branch=branch)
    assert isinstance(caught.value.__cause__, GitError)
    assert str(repository.folder) in str(caught.value)


def test_a_folder_that_is_no_repository(tmp_path: Path) -> None:
    for folder in [tmp_path, tmp_path / "nosuch"]:
        with pytest.raises(Exception, match="cannot read a git repository at") as caught:
            list(git_history(str(folder)))
        assert f"{folder}: fatal:" in str(caught.value)


def test_a_repository_that_git_distrusts(repository: Repository, monkeypatch: pytest.MonkeyPatch) -> None:
    repository.commit({"a": "1"})
    # git's own switch to behave as if the folder were somebody else's.
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(Exception, match="cannot read a git repository at") as caught:
        rows(repository)
    assert "safe.directory" in str(caught.value)


def test_no_git(repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match="needs the program `git`"):
        rows(repository)


def test_where_the_repository_is_looked_for(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = repository.commit({"a": "1"})
    repository.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    monkeypatch.chdir(tmp_path)
    # As inside a hook of another repository.
    Repository(tmp_path / "other").commit({"b": "1"})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "other" / ".git"))
    for place in ["repository", "bare.git", "~/repository"]:
        assert [row["hash"] for row in git_history(place)] == [commit]
    monkeypatch.chdir(repository.folder)
    assert [row["hash"] for row in git_history()] == [commit]


def test_a_shallow_clone_and_its_completion(repository: Repository, tmp_path: Path, pipeline: dlt.Pipeline) -> None:
    for number in range(3):
        repository.commit({f"file{number}": "1\n"})
    clone = tmp_path / "clone"
    repository.git("clone", "--quiet", "--depth=1", f"file://{repository.folder}", str(clone))

    def load() -> int:
        pipeline.run(git_history(str(clone)))
        return brought(pipeline)

    assert load() == 1
    assert query(pipeline, "SELECT parents FROM commits") == [(None,)]
    assert "commits__files" not in pipeline.default_schema.data_table_names(seen_data_only=True)
    assert load() == 0
    subprocess.run(["git", "fetch", "--quiet", "--unshallow"], cwd=clone, check=True)
    assert load() == 3
    assert query(pipeline, "SELECT count(*), count(parents) FROM commits") == [(3, 3)]
    assert query(pipeline, "SELECT count(*) FROM commits__files") == [(3,)]
    assert load() == 0


def test_history_is_read_while_git_writes_it(
    repository: Repository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first commit is out while git is still at work, and giving up ends git."""
    script = b"".join(
        b"commit refs/heads/main\ncommitter C <c> %d +0000\ndata 3\nmsg\nM 644 inline f\ndata %d\n%s\n"
        % (number, len(str(number)), str(number).encode())
        for number in range(4000)
    )
    repository.git("fast-import", "--quiet", stdin=script)

    # A `git` that notes its process and then becomes the real one.
    noted = tmp_path / "processes"
    program = tmp_path / "bin" / "git"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho $$ >> "{noted}"\nexec "{shutil.which("git")}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")

    def running() -> bool:
        try:
            os.kill(int(noted.read_text().split()[-1]), 0)
        except ProcessLookupError:
            return False
        return True

    source = git_history(str(repository.folder)).add_limit(1)
    source.resources["commits"].add_map(lambda commit: {**commit, "running": running()})
    assert [commit["running"] for commit in source] == [True]
    assert not running()

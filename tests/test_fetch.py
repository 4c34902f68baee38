"""A verified source comes out of a real git repository into a real project, and is brought up to date."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dango import fetch as engine
from dango.errors import FetchFailed, UsageError
from dango.fetch import RECORD, Fetched, fetch, update
from dango.project import Project
from tests.test_git import Upstream

CHESS = "import dlt\n\nNAME = 'players'\n\n\n@dlt.resource\ndef players():\n    yield {'id': 1}\n"
FILES = {
    "sources/chess/__init__.py": CHESS,
    "sources/chess/helpers.py": "one = 1\ntwo = 2\nthree = 3\n",
    "sources/chess/data/logo.png": b"\x89PNG\r\n\0\xff",
    "sources/chess/dos.txt": b"a\r\nb\r\n",
    "sources/chess/requirements.txt": "dlt>=0.5.1\n",
    "sources/slack/__init__.py": "",
    "sources/chess_pipeline.py": "",
}


@pytest.fixture
def project(root: Path, write: Callable[..., None]) -> Project:
    write({"sources": "version: 1\nsources: []\n"})
    return Project.at(root)


@pytest.fixture
def upstream(tmp_path: Path) -> Upstream:
    repository = Upstream(tmp_path / "upstream")
    repository.commit(FILES)
    return repository


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder but the record; also what should not be there."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != RECORD]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def statuses(fetched: Fetched) -> dict[str, str]:
    return {file.name: file.status for file in fetched.files if file.status != "same"}


def record(project: Project) -> dict[str, object]:
    return json.loads((project.custom_sources / "chess" / RECORD).read_text())  # type: ignore[no-any-return]


# --- fetched ---------------------------------------------------------------------------------------


def test_a_source_lies_in_custom_sources_as_it_is_at_the_commit(project: Project, upstream: Upstream) -> None:
    (upstream.folder / "sources/chess/run.sh").write_text("#!/bin/sh\n")
    (upstream.folder / "sources/chess/run.sh").chmod(0o755)
    first = upstream.commit({})
    upstream.commit({"sources/chess/__init__.py": "later"})
    done = fetch(project, "chess", upstream.folder, first)
    folder = project.custom_sources / "chess"
    expected = {
        name.removeprefix("sources/chess/"): c for name, c in FILES.items() if name.startswith("sources/chess/")
    }
    assert tree(folder) == {
        **{name: content.encode() if isinstance(content, str) else content for name, content in expected.items()},
        "run.sh": b"#!/bin/sh\n",
    }
    assert os.access(folder / "run.sh", os.X_OK)
    assert not os.access(folder / "helpers.py", os.X_OK)
    assert (done.commit, done.before, done.missing) == (first, "", ())
    assert set(statuses(done).values()) == {"new"}
    assert (record(project)["commit"], record(project)["path"]) == (first, "sources/chess")
    assert names(project.custom_sources) == ["chess"]
    # As any folder that the user makes, not as a temporary one.
    (project.custom_sources / "mine").mkdir()
    assert folder.stat().st_mode == (project.custom_sources / "mine").stat().st_mode


def test_without_a_commit_it_is_the_pinned_one_and_else_the_head_of_the_copy(
    project: Project, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = upstream.git("rev-parse", "HEAD")
    head = upstream.commit({"sources/chess/__init__.py": "later"})
    done = fetch(project, "chess", upstream.folder)
    assert (done.commit, done.substitute) == (head, True)
    monkeypatch.setattr(engine, "COMMIT", first)
    done = fetch(project, "slack", upstream.folder)
    assert (done.commit, done.substitute) == (first, False)


def test_from_a_url_the_pinned_commit_alone_is_taken(
    project: Project, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, first = upstream.folder.as_uri(), upstream.git("rev-parse", "HEAD")
    upstream.commit({"sources/chess/__init__.py": "later"})
    with pytest.raises(UsageError, match=f"has no commit `{engine.COMMIT}`"):
        fetch(project, "chess", url=url)
    monkeypatch.setattr(engine, "COMMIT", first)
    assert fetch(project, "chess", url=url).commit == first
    assert (project.custom_sources / "chess" / "__init__.py").read_text() == CHESS


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ches", "no verified source `ches` at .* .did you mean `chess`?"),
        ("chess_pipeline", "no verified source"),
        ("../chess", "is no name of a source"),
        ("-h", "is no name of a source"),
        ("", "is no name of a source"),
        ("sql_database", "comes with dlt itself"),
    ],
)
def test_a_name_that_is_none_writes_nothing(project: Project, upstream: Upstream, name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fetch(project, name, upstream.folder)
    assert not project.custom_sources.exists()


@pytest.mark.parametrize("there", ["chess/__init__.py", "chess.py", "chess", "chess/a/b.txt"])
def test_what_was_not_fetched_is_never_overwritten(
    project: Project, upstream: Upstream, write: Callable[..., None], there: str
) -> None:
    write({f"custom_sources/{there}": "mine"})
    for call, said in ((fetch, "is there already, and was not fetched"), (update, "was not fetched|cannot be read")):
        with pytest.raises(UsageError, match=said):
            call(project, "chess", upstream.folder)
    assert tree(project.custom_sources) == {there: b"mine"}


def test_what_is_fetched_already_is_left_to_update(project: Project, upstream: Upstream) -> None:
    fetch(project, "chess", upstream.folder)
    with pytest.raises(UsageError) as said:
        fetch(project, "chess", upstream.folder)
    assert said.value.hint == "dango source fetch --update chess"


@pytest.mark.parametrize(
    "strange",
    [
        "120000 blob {link}\tpasswd",
        "160000 commit {commit}\tmodule",
        "100644 blob {link}\tC:evil.py",
        "100644 blob {link}\ta\\b.py",
        "100644 blob {link}\t.fetched.json",
        "040000 tree {git}\tinner",
    ],
)
def test_what_is_no_plain_file_of_the_folder_is_refused(project: Project, upstream: Upstream, strange: str) -> None:
    link = upstream.git("rev-parse", "HEAD:sources/chess/helpers.py")
    inner = upstream.tree(f"100644 blob {link}\t.GIT\n")
    entry = strange.format(link=link, commit=upstream.git("rev-parse", "HEAD"), git=inner)
    source = upstream.tree(f"100644 blob {link}\t__init__.py\n{entry}\n")
    top = upstream.tree(f"040000 tree {upstream.tree(f'040000 tree {source}{chr(9)}chess{chr(10)}')}\tsources\n")
    commit = upstream.git("commit-tree", "-m", "strange", top)
    with pytest.raises(FetchFailed, match="which is no plain file: nothing was written"):
        fetch(project, "chess", upstream.folder, commit)
    assert not project.custom_sources.exists()


def test_what_its_requirements_ask_for_and_is_not_installed_is_named(project: Project, upstream: Upstream) -> None:
    upstream.commit({
        "sources/chess/requirements.txt": (
            "# what it needs\ndlt[duckdb]>=99\nno-such-package~=2.1  # an API\nduckdb<0.1\nduckdb>=1\n-r other.txt\n"
            "another; python_version < '3'\n\nthis is not one\nmore[extra] >= 1\n"
        )
    })  # fmt: skip
    done = fetch(project, "chess", upstream.folder)
    assert done.missing == ("no-such-package~=2.1", "duckdb<0.1", "more[extra] >= 1")


# --- the network -----------------------------------------------------------------------------------


def test_without_network_the_way_out_is_said(project: Project) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{bound.getsockname()[1]}/x"
        with pytest.raises(FetchFailed, match="cannot reach http://127") as said:
            fetch(project, "chess", url=url)
    assert said.value.hint == "with a copy of the repository on this machine: dango source fetch chess --from DIR"
    assert not project.custom_sources.exists()


# --- stopped ---------------------------------------------------------------------------------------

PROGRAM = """\
import sys
from pathlib import Path
from dango import fetch
from dango.project import Project
root, url, what = sys.argv[1:]
origin = None if url.startswith("http") else Path(url)
getattr(fetch, what)(Project.at(root), "chess", origin, "main", url)
"""


def interrupted(project: Project, url: str, what: str, when: Callable[[], bool]) -> int:
    """Runs the engine in a process of its own and sends it Ctrl-C once `when` is so; its exit code."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(project.root), url, what], env=environment, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + 60
    while not when() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.0005)
    process.send_signal(signal.SIGINT)
    return process.wait(30)


def test_ctrl_c_while_a_server_does_not_answer_ends_git_too(project: Project) -> None:
    asked, gone = threading.Event(), threading.Event()

    def wait(server: socket.socket) -> None:
        connection, _ = server.accept()
        connection.settimeout(60)
        while connection.recv(4096):
            asked.set()
        gone.set()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=wait, args=(server,), daemon=True).start()
        code = interrupted(project, f"http://127.0.0.1:{server.getsockname()[1]}/x", "fetch", asked.is_set)
        assert code == -signal.SIGINT
        assert gone.wait(10)
    assert not project.custom_sources.exists()


@pytest.mark.parametrize("what", ["fetch", "update"])
def test_ctrl_c_half_way_leaves_everything_as_it_was(project: Project, upstream: Upstream, what: str) -> None:
    if what == "update":
        fetch(project, "chess", upstream.folder)
    before = tree(project.custom_sources)
    upstream.commit({f"sources/chess/part{number}.py": f"{number}\n" for number in range(3000)})
    folder = project.custom_sources

    def writing() -> bool:
        return any(folder.glob(".chess-*/new/part1*.py"))

    assert interrupted(project, str(upstream.folder), what, writing) == -signal.SIGINT
    assert tree(folder) == before
    assert names(folder) == (["chess"] if before else [])
    # And again, to the end.
    done = {"fetch": fetch, "update": update}[what](project, "chess", upstream.folder)
    assert len(done.files) == 3005


# --- brought up to date ----------------------------------------------------------------------------


def test_an_update_takes_theirs_and_keeps_mine(
    project: Project, upstream: Upstream, write: Callable[..., None]
) -> None:
    first = fetch(project, "chess", upstream.folder).commit
    write({
        "custom_sources/chess/helpers.py": "one = 'mine'\ntwo = 2\nthree = 3\n",
        "custom_sources/chess/dos.txt": "mine",
        "custom_sources/chess/extra/own.py": "",
        "custom_sources/chess/__pycache__/x.pyc": "",
    })  # fmt: skip
    upstream.git("mv", "sources/chess/data/logo.png", "sources/chess/logo.png")
    second = upstream.commit({
        "sources/chess/__init__.py": CHESS.replace("players'", "people'"),
        "sources/chess/helpers.py": "one = 1\ntwo = 2\nthree = 'theirs'\n",
    })  # fmt: skip
    done = update(project, "chess", upstream.folder)
    assert (done.before, done.commit, done.conflicts) == (first, second, ())
    assert statuses(done) == {
        "__init__.py": "theirs", "helpers.py": "merged", "dos.txt": "mine", "extra/own.py": "mine", "logo.png": "new",
        "data/logo.png": "removed",
    }  # fmt: skip
    assert tree(project.custom_sources / "chess") == {
        "__init__.py": CHESS.replace("players'", "people'").encode(),
        "helpers.py": b"one = 'mine'\ntwo = 2\nthree = 'theirs'\n",
        "dos.txt": b"mine",
        "extra/own.py": b"",
        "logo.png": FILES["sources/chess/data/logo.png"],
        "requirements.txt": b"dlt>=0.5.1\n",
    }
    assert not (project.custom_sources / "chess" / "data").exists()
    assert record(project)["commit"] == second
    # Nothing new: nothing is touched.
    inode = (project.custom_sources / "chess").stat().st_ino
    assert statuses(update(project, "chess", upstream.folder)) == {
        "helpers.py": "mine", "dos.txt": "mine", "extra/own.py": "mine",
    }  # fmt: skip
    assert (project.custom_sources / "chess").stat().st_ino == inode
    assert names(project.custom_sources) == ["chess"]


def test_a_conflict_leaves_mine_and_lays_both_sides_beside_it(
    project: Project, upstream: Upstream, write: Callable[..., None]
) -> None:
    first = fetch(project, "chess", upstream.folder).commit
    mine = "one = 1\ntwo = 'mine'\nthree = 3\n"
    write({"custom_sources/chess/helpers.py": mine})
    (project.custom_sources / "chess" / "dos.txt").unlink()
    second = upstream.commit({
        "sources/chess/helpers.py": "one = 1\ntwo = 'theirs'\nthree = 3\n",
        "sources/chess/dos.txt": "theirs",
        "sources/chess/new.py": "",
    })  # fmt: skip
    done = update(project, "chess", upstream.folder)
    folder = project.custom_sources / "chess"
    assert statuses(done) == {"dos.txt": "conflict", "helpers.py": "conflict", "new.py": "new"}
    assert (folder / "helpers.py").read_text() == mine
    beside = (folder / "helpers.py.new").read_text()
    marked = (
        f"<<<<<<< chess here\ntwo = 'mine'\n||||||| chess {first[:7]}\ntwo = 2\n=======\ntwo = 'theirs'\n"
        f">>>>>>> chess {second[:7]}"
    )
    assert beside == f"one = 1\n{marked}\nthree = 3\n"
    assert {file.name: file.diff for file in done.conflicts} == {"dos.txt": "", "helpers.py": marked}
    assert ((folder / "dos.txt").exists(), (folder / "dos.txt.new").read_text()) == (False, "theirs")
    # A second conflict does not overwrite the first.
    third = upstream.commit({"sources/chess/helpers.py": "one = 1\ntwo = 'again'\nthree = 3\n"})
    before = tree(folder)
    with pytest.raises(UsageError, match=r"chess/helpers.py.new is left from an earlier update") as said:
        update(project, "chess", upstream.folder)
    assert said.value.hint.startswith("settle it in helpers.py, delete helpers.py.new")
    assert tree(folder) == before
    # Settled, it is a change of mine like any other.
    (folder / "helpers.py").write_text("one = 1\ntwo = 'again'\nthree = 3\nfour = 'mine'\n")
    (folder / "helpers.py.new").unlink()
    done = update(project, "chess", upstream.folder)
    assert done.commit == third
    assert statuses(done) == {"dos.txt": "mine", "dos.txt.new": "mine", "helpers.py": "merged"}


def test_a_commit_that_is_gone_makes_changes_on_both_sides_conflicts(
    project: Project, upstream: Upstream, write: Callable[..., None], tmp_path: Path
) -> None:
    fetch(project, "chess", upstream.folder)
    write({"custom_sources/chess/helpers.py": "one = 'mine'\ntwo = 2\nthree = 3\n"})
    fresh = Upstream(tmp_path / "fresh")
    fresh.commit({**FILES, "sources/chess/helpers.py": "theirs\n", "sources/chess/dos.txt": "theirs\n"})
    done = update(project, "chess", fresh.folder)
    assert statuses(done) == {"helpers.py": "conflict", "dos.txt": "theirs"}
    assert (project.custom_sources / "chess" / "helpers.py.new").read_text() == "theirs\n"


def test_an_update_from_a_url_fetches_the_commit_it_came_from_too(
    project: Project, upstream: Upstream, write: Callable[..., None]
) -> None:
    url = upstream.folder.as_uri()
    fetch(project, "chess", url=url, commit="main")
    write({"custom_sources/chess/helpers.py": "one = 'mine'\ntwo = 2\nthree = 3\n"})
    upstream.commit({"sources/chess/helpers.py": "one = 1\ntwo = 2\nthree = 3\nfour = 4\n"})
    assert statuses(update(project, "chess", url=url, commit="main")) == {"helpers.py": "merged"}


def test_a_folder_whose_successor_does_not_come_is_put_back(tmp_path: Path) -> None:
    (tmp_path / "chess").mkdir()
    (tmp_path / "chess" / "mine.py").write_text("mine")
    with pytest.raises(FileNotFoundError):
        engine._swap(tmp_path / "chess", tmp_path / "never built", tmp_path / "before")
    assert tree(tmp_path) == {"chess/mine.py": b"mine"}


def test_a_folder_that_was_renamed_is_still_known(project: Project, upstream: Upstream) -> None:
    fetch(project, "chess", upstream.folder)
    (project.custom_sources / "chess").rename(project.custom_sources / "games")
    upstream.commit({"sources/chess/helpers.py": "later\n"})
    assert statuses(update(project, "games", upstream.folder)) == {"helpers.py": "theirs"}
    assert (project.custom_sources / "games" / "helpers.py").read_text() == "later\n"


def test_files_become_folders_and_folders_files(project: Project, upstream: Upstream) -> None:
    fetch(project, "chess", upstream.folder)
    folder = project.custom_sources / "chess"
    upstream.commit({"sources/chess/helpers.py": None, "sources/chess/data/logo.png": None})
    (upstream.folder / "sources/chess/data").rmdir()
    upstream.commit({"sources/chess/helpers.py/x": "1", "sources/chess/data": "2"})
    assert statuses(update(project, "chess", upstream.folder)) == {
        "helpers.py": "removed", "helpers.py/x": "new", "data": "new", "data/logo.png": "removed",
    }  # fmt: skip
    assert ((folder / "helpers.py" / "x").read_text(), (folder / "data").read_text()) == ("1", "2")


def test_nothing_is_written_where_custom_sources_lead_out_of_the_project(
    project: Project, upstream: Upstream, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    project.custom_sources.symlink_to(elsewhere)
    with pytest.raises(UsageError, match=f"leads out of the project, to {elsewhere}"):
        fetch(project, "chess", upstream.folder)
    assert names(elsewhere) == []
    project.custom_sources.unlink()
    fetch(project, "chess", upstream.folder)
    shutil.move(project.custom_sources / "chess", elsewhere / "chess")
    (project.custom_sources / "chess").symlink_to(elsewhere / "chess")
    upstream.commit({"sources/chess/__init__.py": "2"})
    with pytest.raises(UsageError, match=f"leads out of the project, to {elsewhere}/chess"):
        update(project, "chess", upstream.folder)
    assert (elsewhere / "chess" / "__init__.py").read_text() == CHESS


def test_a_link_stays_one_and_what_it_leads_to_is_not_written(
    project: Project, upstream: Upstream, tmp_path: Path
) -> None:
    fetch(project, "chess", upstream.folder)
    file, elsewhere = project.custom_sources / "chess" / "__init__.py", tmp_path / "elsewhere"
    shutil.move(file, elsewhere)
    file.symlink_to(elsewhere)
    (file.parent / "samples").symlink_to(tmp_path, target_is_directory=True)
    upstream.commit({"sources/chess/__init__.py": "2"})
    assert statuses(update(project, "chess", upstream.folder)) == {"__init__.py": "theirs"}
    assert (file.is_symlink(), file.read_text(), elsewhere.read_text()) == (False, "2", CHESS)
    assert (file.parent / "samples").is_symlink()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<< HEAD", "Invalid JSON"),
        ("{}", "repository: Field required"),
        ('{"repository": "x", "commit": "--help", "path": "sources/chess", "files": {}}', "commit: "),
        ('{"repository": "x", "commit": "ID", "path": "../x", "files": {}}', "path: "),
        ('{"repository": "x", "commit": "ID", "path": "sources/chess", "files": {"../shop.py": "1"}}', "shop.py"),
    ],
)  # fmt: skip
def test_a_record_that_is_broken_is_said_with_its_place(
    project: Project, upstream: Upstream, write: Callable[..., None], text: str, said: str
) -> None:
    write({"custom_sources/chess/.fetched.json": text.replace("ID", "0" * 40), "custom_sources/shop.py": "mine"})
    with pytest.raises(UsageError, match=said) as error:
        update(project, "chess", upstream.folder)
    assert error.value.place == "custom_sources/chess/.fetched.json"
    assert (project.custom_sources / "shop.py").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_said(
    project: Project, upstream: Upstream, write: Callable[..., None]
) -> None:
    write({"custom_sources": "a file"})
    with pytest.raises(FetchFailed, match="custom_sources/chess cannot be written: File exists"):
        fetch(project, "chess", upstream.folder)

"""Which folder is the project: the nearest above, and never one that is not the user's own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dango.errors import ConfigError, DestinationNotFound, ProjectNotFound, SourceNotFound
from dango.project import Project, _border
from tests.conftest import Said, native, sources

SHARED_MEMORY = Path("/dev/shm")


def make(folder: Path, text: str = "version: 1\n") -> Path:
    (folder / ".dango").mkdir(parents=True)
    (folder / ".dango" / "sources.yml").write_text(text)
    return folder


def test_the_nearest_project_above_is_found(tmp_path: Path) -> None:
    outer = make(tmp_path / "outer")
    inner = make(outer / "a" / "inner")
    (inner / "b" / "c").mkdir(parents=True)
    assert Project.find(inner / "b" / "c").root == inner
    assert Project.find(inner).root == inner
    assert Project.find(outer / "a").root == outer


def test_a_symbolic_link_is_followed_before_the_walk(tmp_path: Path) -> None:
    real = make(tmp_path / "real")
    (real / "deep").mkdir()
    make(tmp_path / "decoy")
    (tmp_path / "decoy" / "link").symlink_to(real / "deep")
    assert Project.find(tmp_path / "decoy" / "link").root == real


def test_the_walk_ends_below_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make(tmp_path / "home")
    (home / "work").mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(ProjectNotFound) as caught:
        Project.find(home / "work")
    assert str(caught.value) == (
        f"no dango project in {home / 'work'} or above it (looked for .dango/sources.yml up to {home}, the home folder)"
    )
    assert caught.value.hint == "`dango init` makes one here; `--project DIR` names one elsewhere"
    assert caught.value.exit_code == 2
    # Who stands in the home folder itself means it.
    assert Project.find(home).root == home


def test_a_folder_of_another_user_is_not_entered(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        theirs = make(tmp_path / "theirs")
        mine = theirs / "mine"
        mine.mkdir()
        os.chown(theirs, 12345, 12345)
    else:
        # Nobody but root can give a folder away; `/` is root's.
        theirs, mine = Path("/"), tmp_path
        assert _border(theirs, Path("/proc/..")) == "which belongs to another user"
        return
    with pytest.raises(ProjectNotFound, match=r"up to .*theirs, which belongs to another user\)"):
        Project.find(mine)


@pytest.fixture
def elsewhere() -> Iterator[Path]:
    """A folder on another file system than the temporary one, where there is such."""
    if not SHARED_MEMORY.is_dir() or not os.access(SHARED_MEMORY, os.W_OK):
        yield Path("/proc")  # no project can be made there; its border is asked for directly
        return
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY) as folder:
        yield Path(folder)


def test_the_walk_does_not_leave_its_file_system(tmp_path: Path, elsewhere: Path) -> None:
    assert elsewhere.stat().st_dev != Path("/").stat().st_dev
    assert _border(Path("/"), elsewhere) == "another file system"
    assert _border(elsewhere.parent, elsewhere) in ("", "another file system", "which belongs to another user")
    if elsewhere.is_relative_to(SHARED_MEMORY):
        # /dev/shm is a mount in /dev, and root's: for anybody else the walk ends a step earlier.
        assert _border(SHARED_MEMORY.parent, elsewhere) == "another file system"
        mine = SHARED_MEMORY.stat().st_uid == os.geteuid()
        stop = "/dev, another file system" if mine else "/dev/shm, which belongs to another user"
        with pytest.raises(ProjectNotFound, match=rf"up to {stop}\)"):
            Project.find(elsewhere)


def test_no_project_says_where_it_looked(tmp_path: Path, dango: Callable[..., Said]) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    for command in (["sync"], ["check"], ["status"], ["history"], ["source", "list"], ["explain", "x"]):
        said = dango(*command, cwd=empty)
        assert (said.code, said.out) == (2, "")
        assert said.err.startswith(
            f"error: no dango project in {empty} or above it (looked for .dango/sources.yml up to "
        )
        assert said.told.endswith("  hint: `dango init` makes one here; `--project DIR` names one elsewhere\n")
    assert list(empty.iterdir()) == []


def test_a_project_is_named_by_option_or_environment(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], tmp_path: Path
) -> None:
    write({"sources": sources(native("a"))})
    other = make(tmp_path / "other", sources(native("b")))
    below = root / "below"
    below.mkdir()

    def names(*before: str, env: dict[str, str] | None = None, cwd: Path) -> list[str]:
        said = dango(*before, "source", "list", "--json", env=env, cwd=cwd)
        assert said.code == 0, said.err
        return [source["name"] for source in said.json["sources"]]

    assert names(cwd=below) == ["a"]
    assert names("--project", str(other), cwd=below) == ["b"]
    assert names("--project", "../../other", cwd=below) == ["b"]
    assert names(env={"DANGO_PROJECT": str(other)}, cwd=below) == ["b"]
    assert names("--project", str(root), env={"DANGO_PROJECT": str(other)}, cwd=tmp_path) == ["a"]
    # A folder that is named is that very folder: nothing above it is taken instead.
    said = dango("--project", str(below), "status")
    assert (said.code, said.out) == (2, "")
    assert (
        said.told == f"error: no dango project in {below}: .dango/sources.yml is missing\n  hint: dango init {below}\n"
    )


def test_an_unknown_source_names_the_nearest_and_all(tmp_path: Path) -> None:
    project = Project.at(make(tmp_path / "p", sources(native("jira_issues"), native("pages"))))
    with pytest.raises(SourceNotFound) as caught:
        project.source("jira_isues")
    assert str(caught.value) == "no source `jira_isues` in this project (did you mean `jira_issues`?)"
    assert caught.value.hint == "sources: jira_issues, pages"
    with pytest.raises(DestinationNotFound) as caught:
        project.destination(project.source("pages"), "duckdbb")
    assert str(caught.value) == "no destination `duckdbb` (did you mean `duckdb`?)"


def test_each_source_destination_and_dataset_has_a_working_folder_of_its_own(tmp_path: Path) -> None:
    text = "destinations: {lake: {type: postgres}}\n" + sources(native("a"), native("b")).removeprefix("version: 1\n")
    project = Project.at(make(tmp_path / "p", text))
    folders = {
        project.working_folder(project.source(source), project.destination(project.source(source), name), dataset)
        for source in ("a", "b")
        for name in ("duckdb", "lake")
        for dataset in (f"raw_{source}", f"raw_{source}__trial")
    }
    assert len(folders) == 8
    assert all(folder.is_relative_to(project.root / ".dango" / "pipelines") for folder in folders)


def test_the_environment_comes_before_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = Project.at(make(tmp_path / "p"))
    assert project.dotenv == {}
    (project.root / ".env").write_text("BI_ONE=file\nexport BI_TWO='two words'  # why\nBI_THREE\n")
    monkeypatch.setenv("BI_ONE", "process")
    project = Project.at(project.root)
    assert (project.environment["BI_ONE"], project.environment["BI_TWO"]) == ("process", "two words")
    assert "BI_THREE" not in project.environment


def test_a_project_is_read_once(tmp_path: Path) -> None:
    project = Project.at(make(tmp_path / "p"))
    first = project.config
    (project.root / ".dango" / "sources.yml").write_text("nonsense: 1\n")
    assert project.config is first
    with pytest.raises(ConfigError):
        _ = Project.at(project.root).config

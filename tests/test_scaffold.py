"""The files of a new project: which, with which modes, and what happens to those that are there."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from dango.config.schema import json_schema
from dango.errors import DangoError, UsageError
from dango.project import Project
from dango.scaffold import plan, write


def scaffold(folder: Path, destination: str = "duckdb", example: bool = True, force: bool = False) -> list[str]:
    return [file.path.relative_to(folder).as_posix() for file in write(plan(folder, destination, example), force=force)]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.fixture(autouse=True)
def _mask() -> None:
    os.umask(0o022)


def test_a_project_has_its_files_and_they_are_valid(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "shop"
    assert sorted(scaffold(folder)) == [
        ".dango/sources.schema.json", ".dango/sources.yml", ".dlt/config.toml", ".dlt/secrets.toml", ".env.example",
        ".gitignore", "conftest.py", "custom_sources/README.md", "custom_sources/__init__.py",
            "samples/README.md", "samples/penguins.jsonl",
    ]  # fmt: skip
    assert [source.name for source in Project.at(folder).config.sources] == ["penguins"]
    assert len((folder / "samples" / "penguins.jsonl").read_text().splitlines()) == 344
    assert json.loads((folder / ".dango" / "sources.schema.json").read_text()) == json_schema()
    assert not (folder / ".env").exists()
    assert not (folder / ".dlt" / ".workspace").exists()


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077])
def test_secrets_and_state_are_the_users_alone_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        scaffold(tmp_path)
    finally:
        os.umask(before)
    assert mode(tmp_path / ".dango") == 0o700
    assert mode(tmp_path / ".dlt" / "secrets.toml") == 0o600
    assert mode(tmp_path / ".dlt" / "config.toml") == 0o666 & ~umask


def test_another_destination_gets_its_name_and_a_place_for_its_credentials(tmp_path: Path) -> None:
    scaffold(tmp_path, "postgres", example=False)
    config = Project.at(tmp_path).config
    assert (config.destination, config.destinations["warehouse"].type, config.sources) == ("warehouse", "postgres", ())
    assert "[destination.warehouse.credentials]" in (tmp_path / ".dlt" / "secrets.toml").read_text()
    assert not (tmp_path / "samples").exists()


def test_nothing_is_written_when_one_file_differs(tmp_path: Path) -> None:
    (tmp_path / ".env.example").write_text("MINE=1\n")
    (tmp_path / ".dlt").mkdir()
    (tmp_path / ".dlt" / "config.toml").write_text("mine = 1\n")
    with pytest.raises(UsageError) as caught:
        scaffold(tmp_path)
    assert str(caught.value) == (
        f"these files are there and would change:\n  {tmp_path}/.dlt/config.toml\n  {tmp_path}/.env.example"
    )
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == [".env.example", "config.toml"]
    assert ".env.example" in scaffold(tmp_path, force=True)
    assert "MINE" not in (tmp_path / ".env.example").read_text()


def test_secrets_are_never_replaced_and_never_opened_to_others(tmp_path: Path) -> None:
    secrets = tmp_path / ".dlt" / "secrets.toml"
    secrets.parent.mkdir()
    secrets.write_text("token = 'mine'\n")
    secrets.chmod(0o600)
    assert ".dlt/secrets.toml" not in scaffold(tmp_path, force=True)
    assert secrets.read_text() == "token = 'mine'\n"
    assert mode(secrets) == 0o600


def test_a_gitignore_keeps_its_lines_and_gains_what_is_missing_once(tmp_path: Path) -> None:
    ignore = tmp_path / ".gitignore"
    ignore.write_text("*.log\n.env\n__pycache__/")
    scaffold(tmp_path)
    lines = ignore.read_text().splitlines()
    assert lines[:3] == ["*.log", ".env", "__pycache__/"]
    assert {".dlt/secrets.toml", "data/", ".dango/*", "!.dango/sources.yml"} <= set(lines)
    assert lines.count(".env") == 1
    before = ignore.read_text()
    assert scaffold(tmp_path) == []
    assert ignore.read_text() == before


def test_the_lines_that_bring_sources_back_stand_behind_the_one_that_hides_them(tmp_path: Path) -> None:
    # Git takes the last line that matches.
    (tmp_path / ".gitignore").write_text("!.dango/sources.yml\n!.dlt/secrets.toml\n")
    scaffold(tmp_path)
    lines = (tmp_path / ".gitignore").read_text().splitlines()

    def last(line: str) -> int:
        return len(lines) - 1 - lines[::-1].index(line)

    assert last("!.dango/sources.yml") > last(".dango/*")
    assert last(".dlt/secrets.toml") > last("!.dlt/secrets.toml")


def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env.example").mkdir()
    with pytest.raises(DangoError, match=r"\.env\.example is a folder"):
        scaffold(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [".env.example"]


def test_a_folder_in_the_place_of_a_folder_that_is_a_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "custom_sources").write_text("x")
    with pytest.raises(DangoError, match=r"custom_sources/README\.md cannot be written: "):
        scaffold(tmp_path)


@pytest.mark.parametrize("link", ["custom_sources", ".dango", ".dango/sources.yml", ".dlt/config.toml", ".env.example"])
@pytest.mark.parametrize("there", [True, False], ids=["what is there", "what is not there yet"])
def test_nothing_is_written_through_a_link_that_leads_out_of_the_project(
    tmp_path: Path, link: str, there: bool
) -> None:
    folder, elsewhere = tmp_path / "shop", tmp_path / "elsewhere"
    (folder / link).parent.mkdir(parents=True)
    (folder / link).symlink_to(elsewhere)
    if there and "." in link[1:]:
        elsewhere.write_text("precious\n")
    elif there:
        elsewhere.mkdir()
    with pytest.raises(UsageError, match=f"leads out of the project, to {elsewhere}"):
        scaffold(folder, force=True)
    assert not elsewhere.is_file() or elsewhere.read_text() == "precious\n"
    assert not elsewhere.is_dir() or not any(elsewhere.iterdir())
    assert [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()] == []


def test_a_project_may_itself_be_a_link_and_have_links_within(tmp_path: Path) -> None:
    (tmp_path / "disk" / "code").mkdir(parents=True)
    (tmp_path / "shop").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "custom_sources").symlink_to("code")
    assert "custom_sources/__init__.py" in scaffold(tmp_path / "shop")
    assert (tmp_path / "disk" / "code" / "__init__.py").exists()

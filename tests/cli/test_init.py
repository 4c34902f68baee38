"""`dango init`: what it asks, what it says, and that Ctrl-C leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pexpect
import pytest

from tests.conftest import Said

DOWN = "\x1b[B"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., pexpect.spawn]]:
    """`dango init …` in a pseudo-terminal, in the folder above the test's project."""
    children = []

    def start(*arguments: str) -> pexpect.spawn:
        child = pexpect.spawn(
            sys.executable, ["-m", "dango", "init", *arguments],
            cwd=tmp_path, env={**os.environ, "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
            encoding="utf-8", timeout=20, dimensions=(40, 160),
        )  # fmt: skip
        children.append(child)
        return child

    yield start
    for child in children:
        child.close(force=True)


def ended(child: pexpect.spawn) -> tuple[int | None, str]:
    child.expect(pexpect.EOF)
    child.close()
    return child.exitstatus, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", child.before or "")


def test_it_asks_two_questions_and_ends_with_the_next_two_commands(
    tmp_path: Path, terminal: Callable[..., pexpect.spawn]
) -> None:
    child = terminal("shop")
    child.expect("Where shall the data go?")
    time.sleep(0.2)
    child.send(DOWN + "\r")
    child.expect("Include an example that runs as it is?")
    time.sleep(0.2)
    child.send("n")
    code, said = ended(child)
    assert code == 0
    assert "?" not in said.partition("\n")[2], "no third question"
    last = [line.strip() for line in said.splitlines() if line.strip()][-2:]
    assert last[0] == "cd shop"
    assert last[1].endswith("dango sync")
    written = (tmp_path / "shop" / ".dango" / "sources.yml").read_text()
    assert "warehouse: {type: postgres}" in written
    assert "penguins" not in written
    assert not (tmp_path / "shop" / "samples").exists()


def test_what_a_flag_answers_is_not_asked(tmp_path: Path, terminal: Callable[..., pexpect.spawn]) -> None:
    child = terminal("shop", "--destination", "duckdb")
    child.expect("Include an example that runs as it is?")
    time.sleep(0.2)
    child.send("y")
    assert ended(child)[0] == 0
    assert (tmp_path / "shop" / "samples" / "penguins.jsonl").is_file()
    code, said = ended(terminal("other", "--destination", "duckdb", "--no-example"))
    assert (code, "?" in said) == (0, False)
    code, said = ended(terminal("third", "--yes"))
    assert (code, "?" in said) == (0, False)


@pytest.mark.parametrize("question", [1, 2])
def test_ctrl_c_at_a_question_writes_nothing(
    tmp_path: Path, terminal: Callable[..., pexpect.spawn], question: int
) -> None:
    child = terminal("shop")
    child.expect("Where shall the data go?")
    time.sleep(0.2)
    if question == 2:
        child.send("\r")
        child.expect("Include an example that runs as it is?")
        time.sleep(0.2)
    child.send("\x03")
    code, said = ended(child)
    assert code == 130
    assert "Traceback" not in said
    assert not (tmp_path / "shop").exists()


def test_without_a_terminal_it_asks_nothing(root: Path, dango: Callable[..., Said]) -> None:
    begun = time.monotonic()
    said = dango("init")
    assert time.monotonic() - begun < 3, "it should take under a second"
    assert said.code == 0
    assert said.err == ""
    assert (root / "samples" / "penguins.jsonl").is_file()
    # Two commands here as well, where there is no folder to go into.
    last = said.out.split("next:\n")[1].splitlines()
    assert len(last) == 2
    assert all(line.startswith("  dango ") for line in last)


def test_a_folder_whose_name_the_shell_would_take_apart_is_quoted(tmp_path: Path, dango: Callable[..., Said]) -> None:
    said = dango("init", "my shop", cwd=tmp_path)
    assert said.out.endswith("\nnext:\n  cd 'my shop'\n  dango sync\n")


def test_the_json_names_what_was_written(root: Path, dango: Callable[..., Said]) -> None:
    said = dango("init", "--json", "--no-example")
    assert said.code == 0
    assert said.json["project"] == str(root)
    assert sorted(said.json["written"]) == [
        ".dango/sources.schema.json", ".dango/sources.yml", ".dlt/config.toml", ".dlt/secrets.toml", ".env.example",
        ".gitignore", "conftest.py", "custom_sources/README.md", "custom_sources/__init__.py",
    ]  # fmt: skip
    assert dango("init", "--json", "--no-example").json["written"] == []


def test_a_second_time_it_lists_what_would_change_and_changes_nothing(root: Path, dango: Callable[..., Said]) -> None:
    assert dango("init").code == 0
    again = dango("init")
    assert (again.code, again.err) == (0, "")
    assert f"nothing to do: {root} is a project already" in again.out
    mine = "version: 1\nsources: []\n"
    (root / ".dango" / "sources.yml").write_text(mine)
    (root / ".dlt" / "secrets.toml").write_text("token = 'mine'\n")
    (root / ".env.example").unlink()
    said = dango("init")
    assert (said.code, said.out) == (2, "")
    assert said.told == (
        f"error: these files are there and would change:\n  {root}/.dango/sources.yml\n"
        "  hint: nothing was written; `dango init --force` overwrites them\n"
    )
    assert (root / ".dango" / "sources.yml").read_text() == mine
    assert not (root / ".env.example").exists()
    assert dango("init", "--force").code == 0
    assert "penguins" in (root / ".dango" / "sources.yml").read_text()
    assert (root / ".dlt" / "secrets.toml").read_text() == "token = 'mine'\n"


def test_it_works_without_a_network_and_what_it_makes_runs_at_once(root: Path, dango: Callable[..., Said]) -> None:
    # A proxy that refuses everything stands for the network that is not there.
    offline = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1")
    assert dango("init", env=offline).code == 0
    checked = dango("check", env=offline)
    assert (checked.code, checked.out, checked.err) == (0, "1 of 1 sources are well\n", "")
    said = dango("sync", "--json", env=offline)
    assert said.code == 0, said.err
    (result,) = said.json["results"]
    assert [(table["name"], table["rows"], table["total"]) for table in result["tables"]] == [("penguins", 344, 344)]


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True,
        env={**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"},
    )  # fmt: skip
    return done.stdout


TRACKED = [
    ".dango/sources.schema.json", ".dango/sources.yml", ".dlt/config.toml", ".env.example", ".gitignore",
    "conftest.py", "custom_sources/README.md", "custom_sources/__init__.py", "samples/README.md",
    "samples/penguins.jsonl",
]  # fmt: skip


@pytest.mark.parametrize("present", [None, "*.log\ndata/\n# mine", ".venv/\r\n.env\r\n"])
def test_a_commit_straight_after_it_puts_no_secret_and_no_data_under_git(
    root: Path, dango: Callable[..., Said], present: str | None
) -> None:
    if present is not None:
        git(root, "init")
        (root / ".gitignore").write_bytes(present.encode())
        git(root, "add", "-A")
        git(root, "commit", "-m", "before dango")
    assert dango("init").code == 0
    git(root, "init")
    (root / ".env").write_text("TOKEN=secret\n")
    git(root, "add", "-A")
    git(root, "commit", "-m", "a project")
    assert git(root, "ls-files").split() == TRACKED
    if present is not None:
        kept = (root / ".gitignore").read_bytes().decode()
        assert kept.startswith(present)
        return
    assert dango("sync").code == 0
    assert (root / "data" / "warehouse.duckdb").is_file()
    assert git(root, "status", "--porcelain") == ""


def test_the_projects_schema_is_json_and_the_file_points_to_it(root: Path, dango: Callable[..., Said]) -> None:
    assert dango("init").code == 0
    first = (root / ".dango" / "sources.yml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=sources.schema.json"
    schema = json.loads((root / ".dango" / "sources.schema.json").read_text())
    assert "sources" in schema["properties"]


@pytest.mark.parametrize("name", ["postgres: x", "not there", "{}"])
def test_a_destination_that_cannot_be_is_refused(root: Path, dango: Callable[..., Said], name: str) -> None:
    said = dango("init", "--destination", name)
    assert (said.code, said.out) == (2, "")
    assert list(root.iterdir()) == []


def test_a_file_is_no_folder_for_a_project(tmp_path: Path, dango: Callable[..., Said]) -> None:
    (tmp_path / "file").write_text("x")
    said = dango("init", "file", cwd=tmp_path)
    assert (said.code, said.told) == (2, f"error: {tmp_path}/file is a file; a project is a folder\n")

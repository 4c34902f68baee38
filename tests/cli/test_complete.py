"""Completion in real shells: what is offered, how little is imported for it, and that nothing is ever complained of."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pexpect
import pytest

from tests.conftest import native, one_of
from tests.test_startup import ENGINE, imported

Write = Callable[[Mapping[str, str]], None]

PROJECT = (
    "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n"
    + native("shop").replace("type: dlt_native", "resources: [orders, customers], type: dlt_native")
    + native("shipping")
    + "  - {name: gh, type: github, github: {owner: a, repo: b}}\n"
)


@pytest.fixture
def path(tmp_path: Path) -> str:
    """A PATH on which `dango` is."""
    script = tmp_path / "bin" / "dango"
    script.parent.mkdir()
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path[:] = {sys.path!r}\nfrom dango.cli import main\nmain()\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f"{script.parent}{os.pathsep}{os.environ['PATH']}"


# As bash does it when the key is pressed.
PRESSED = """\
eval "$(_DANGO_COMPLETE=source_bash dango)"
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
_dango_completion dango
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def offered(root: Path, path: str) -> Callable[..., set[str]]:
    """What bash offers for the last of the words."""

    def offered(*words: str, cwd: Path = root) -> set[str]:
        done = subprocess.run(
            ["bash", "--norc", "-c", PRESSED, "bash", "dango", *words], cwd=cwd, env={**os.environ, "PATH": path},
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "")
        return set(done.stdout.split())

    return offered


def test_bash_offers_the_names_of_the_project(root: Path, write: Write, offered: Callable[..., set[str]]) -> None:
    write({"sources": PROJECT, "registry/own.yml": "registry: 1\n"})
    assert offered("sync", "") == {"shop", "shipping", "gh"}
    assert offered("sync", "shop", "sh") == {"shipping"}
    assert offered("sync", "--source", "g") == {"gh"}
    assert offered("sync", "shop", "--resource", "") == {"orders", "customers"}
    assert "issues" in offered("preview", "gh", "--resource", "")
    assert offered("sync", "--destination", "") == {"duckdb", "lake"}
    assert offered("query", "--format", "") == {"table", "csv", "json"}
    assert offered("source", "add", "gith") == {"github"}
    assert {"dlt_native", "own", "postgres"} <= offered("source", "add", "")
    assert offered("registry", "show", "ow") == {"own"}
    assert {"source", "status", "sync"} == offered("s")


@pytest.mark.parametrize("command", ["check", "explain", "preview", "tables", "doctor", "source show", "source enable",
                                     "source test", "source edit", "source remove", "source eject"])  # fmt: skip
def test_every_command_that_takes_a_source_offers_it(
    command: str, write: Write, offered: Callable[..., set[str]]
) -> None:
    write({"sources": PROJECT})
    assert offered(*command.split(), "shi") == {"shipping"}


def test_another_project_is_read_where_one_is_named(
    root: Path, write: Write, offered: Callable[..., set[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write({"sources": PROJECT})
    assert offered("--project", str(root), "sync", "sho", cwd=tmp_path) == {"shop"}
    monkeypatch.setenv("DANGO_PROJECT", str(root))
    assert offered("sync", "sho", cwd=tmp_path) == {"shop"}


@pytest.mark.parametrize(
    "broken",
    one_of(
        "sources: [a, {name: [b]}, {name: shop, resources: 8, type: [x]}]",
        None,
        "",
        "[]",
        "{",
        "\0",
        "sources: 7",
        "destinations: [x]\nsources: {shop: {}}",
        "sources: [{name: shop, type: nowhere}]",
    ),
)
def test_where_there_is_nothing_to_read_nothing_is_said(
    broken: str | None, root: Path, write: Write, offered: Callable[..., set[str]]
) -> None:
    if broken is not None:
        write({"sources": broken})
    for words in (["sync", ""], ["sync", "shop", "--resource", ""], ["query", "--destination", ""]):
        assert offered(*words) <= {"shop", "duckdb"}
    assert "github" in offered("registry", "show", "g")


def test_a_file_that_is_not_text_or_may_not_be_read_offers_nothing(
    root: Path, write: Write, offered: Callable[..., set[str]]
) -> None:
    write({"sources": PROJECT})
    (root / ".dango" / "sources.yml").write_bytes(b"sources: [\xff\xfe]")
    assert offered("sync", "") == set()
    (root / ".dango" / "sources.yml").unlink()
    (root / ".dango" / "sources.yml").mkdir()
    assert offered("sync", "") == set()


@pytest.mark.parametrize("words", ["dango sync ", "dango sync shop --resource ", "dango query --destination ",
                                   "dango source add ", "dango preview "])  # fmt: skip
def test_no_engine_no_screen_and_no_parser_is_imported(
    words: str, root: Path, write: Write, monkeypatch: pytest.MonkeyPatch, dango: Any
) -> None:
    write({
        "sources": PROJECT,
        "custom_sources/__init__.py": "raise SystemExit('imported')\n",
        "custom_sources/shop.py": "raise SystemExit('imported')\n",
    })  # fmt: skip
    dango("source", "list")
    monkeypatch.setenv("_DANGO_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(words.count(" ")))
    modules = imported(root, "completing")
    assert "dango.cli.complete" in modules
    others = {"rich", "questionary", "prompt_toolkit", "filelock", "tomlkit", "psycopg2", "custom_sources", "shop"}
    # The entry of a type that was never read is parsed once.
    assert modules & (ENGINE | others | (set() if "--resource" in words else {"ruamel"})) == set()


# --- the keys of a person -----------------------------------------------------------------------------


SHELLS = {"bash": ["-i"], "zsh": ["-i"], "fish": ["-i"]}


@pytest.mark.slow
@pytest.mark.parametrize("shell", SHELLS)
def test_installed_as_typer_does_it_the_tab_key_completes_a_source(
    shell: str, root: Path, write: Write, path: str, tmp_path: Path
) -> None:
    if shell != "bash" and not shutil.which(shell):
        pytest.skip(f"no {shell} here: apt-get install {shell}")
    write({"sources": PROJECT})
    home = tmp_path / "home"
    home.mkdir()
    (home / ".zshrc").touch()
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("XDG_", "ZDOTDIR", "BASH_ENV"))},
        "PATH": path, "HOME": str(home), "TERM": "xterm",
    }  # fmt: skip
    # In the shell itself: typer asks who called it.
    install = subprocess.run(
        [shell, "-c", "dango --install-completion; true"], cwd=root, env=environment, capture_output=True, text=True,
        timeout=60, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "completion installed" in install.stdout, install
    child = pexpect.spawn(
        shell, SHELLS[shell], cwd=str(root), env=environment, encoding="utf-8", timeout=30, dimensions=(40, 200)
    )
    try:
        child.send("echo re''ady\r")
        child.expect("ready")
        child.send("dango source show shi")
        # In zsh the first key only loads what answers to the second.
        for _ in range(3):
            child.send("\t")
            if child.expect(["pping", pexpect.TIMEOUT], timeout=10) == 0:
                break
        else:
            raise AssertionError(child.before)
    finally:
        child.close(force=True)

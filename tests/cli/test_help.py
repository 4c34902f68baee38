"""The help of every command can be read on a terminal of 80 columns, and `python -m dango` is `dango`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from dango.cli import app

WIDTH = 80


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group, with the words that lead to it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


def words(text: str) -> str:
    """A text without its line ends and columns."""
    return " ".join(text.split())


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_fits_in_80_columns_with_every_word(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(WIDTH))
    said = CliRunner().invoke(app, [*path, "--help"])
    assert said.exit_code == 0
    assert [line for line in said.output.splitlines() if len(line) > WIDTH] == []

    command = ALL[path]
    texts = [command.help, *(getattr(parameter, "help", None) for parameter in command.params)]
    assert [text for text in texts if text and words(text) not in words(said.output)] == []
    # The usage has dots that mean "and more"; a list of commands is not to be cut.
    _, _, listed = said.output.partition("\nCommands:\n")
    assert [line for line in listed.splitlines() if line.endswith("...")] == []


@pytest.mark.parametrize("arguments", [["source", "--help"], ["status"], ["nonsense"]], ids=" ".join)
def test_as_a_module_it_does_what_the_console_script_does(tmp_path: Path, arguments: list[str]) -> None:
    script = Path(sys.executable).with_name("dango")
    said = [
        subprocess.run([*how, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=60)
        for how in ([sys.executable, "-m", "dango"], [script])
    ]
    module, plain = ((done.returncode, done.stdout, done.stderr) for done in said)
    assert (module[0], *(re.sub("python -m dango", "dango", text) for text in module[1:])) == plain

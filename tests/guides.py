"""Pages of the documentation as what they are to a reader: files to write and commands to type, in their order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import Said

DOCS = Path(__file__).parent.parent / "docs"
_BLOCK = re.compile(r"(?:<!-- not executed: (?P<why>.+?) -->\n)?^```(?P<language>\w*)\n(?P<text>.*?)^```$", re.M | re.S)
_EXIT = re.compile(r"#.*\bexit (\d+)\b")


@dataclass(frozen=True)
class Block:
    """One block between fences. `why` says why it is not executed; empty where it is."""

    language: str
    text: str
    why: str

    @property
    def file(self) -> str:
        """The file that it is, which its first line says; empty for commands."""
        first = self.text.partition("\n")[0]
        found = re.fullmatch(r"# (\S+\.(?:py|yml|toml)|\.env)", first)
        return found.group(1) if found else ""


class Shell:
    """A bash that remembers its folder, and in which `dango` and `python` are those under test."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder = folder
        self._programs = programs
        for name, start in (("dango", "-m dango"), ("python", "")):
            file = programs / name
            file.write_text(f'#!/bin/sh\nexec {sys.executable} {start} "$@"\n', encoding="utf-8")
            file.chmod(0o755)

    def __call__(self, line: str) -> Said:
        where = self._programs / "folder"
        done = subprocess.run(
            ["bash", "-c", f'{line}\ncode=$?; pwd > "{where}"; exit $code'],
            cwd=self.folder,
            env={**os.environ, "PATH": f"{self._programs}:{os.environ['PATH']}", "PYTHONPATH": str(DOCS.parent)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        self.folder = Path(where.read_text(encoding="utf-8").strip())
        return Said(done.returncode, done.stdout, done.stderr)


def blocks(page: Path) -> list[Block]:
    """The blocks of a page, in their order."""
    return [
        Block(found["language"], found["text"], found["why"] or "")
        for found in _BLOCK.finditer(page.read_text(encoding="utf-8"))
    ]


def steps(page: Path, root: Path, run: Callable[[str], Said]) -> Iterator[tuple[str, Said]]:
    """Writes the files and runs the commands of a page in a folder; yields each command with how it ended.

    A command line ends well, unless a remark behind it (`# exit 2`) says how it ends.
    """
    for block in blocks(page):
        if block.why:
            continue
        if block.file:
            path = root / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            # As whoever knows what stands in them would.
            if path.name in (".env", "secrets.toml"):
                path.chmod(0o600)
        elif block.language == "sh":
            for line in block.text.splitlines():
                if not shlex.split(line, comments=True):
                    continue
                said = run(line)
                expected = _EXIT.search(line)
                wanted = int(expected.group(1)) if expected else 0
                assert said.code == wanted, f"{page.name}: {line}\n{said.out}{said.err}"
                yield line, said

"""A connector's own program: how it begins, what it says, how it ends."""

from __future__ import annotations

import atexit
import datetime as dt
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dango.conversions import convert
from dango.errors import ArgumentError, ConnectorFailed
from dango.lock import alive
from dango.project import Project

_TAIL = 20
_SECONDS_TO_END = 2.0


class Child:
    """A program that answers in lines on its stdout; what it says on stderr is passed on, and its last lines kept.

    It belongs to this process's group, and so ends with it whatever happens.

    Args:
        name: how people call it.
        command: the program and its arguments, none of which is a secret.
        request: what it reads from its stdin, as JSON; nothing without it.
    """

    def __init__(self, name: str, command: Sequence[str], request: Mapping[str, Any] | None = None) -> None:
        self.name = name
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._complaint = ""
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL if request is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self._echo = threading.Thread(target=self._pass_on, daemon=True)
        self._echo.start()
        if request is not None:
            self._ask(request)

    def lines(self) -> Iterator[bytes]:
        """The lines of its stdout, to their end."""
        assert self._process.stdout
        yield from self._process.stdout

    def noise(self, line: bytes) -> str:
        """A line that is no message: people may want to read it. Returns it as text."""
        text = line.decode("utf-8", "replace").rstrip()
        self._tail.append(text)
        print(text, file=sys.stderr)  # noqa: T201 - the worker's stderr is its log
        return text

    def require_success(self) -> None:
        """Waits for its end. Raises `ConnectorFailed` when it did not end well, with what it said last."""
        code = self._process.wait()
        self._echo.join(_SECONDS_TO_END)
        if code:
            how = f"exit code {code}" if code > 0 else f"signal {-code}"
            raise ConnectorFailed(f"`{self.name}` failed ({how}){self._last()}", self.said())

    def said(self) -> str:
        """Its last lines."""
        return "its last lines:\n" + "\n".join(self._tail) if self._tail else ""

    def close(self) -> None:
        """Ends it, if it runs still."""
        self._process.terminate()
        try:
            self._process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def _last(self) -> str:
        """The last line that says something: most programs end with their error, on stderr."""
        said = self._complaint or next((line.strip() for line in reversed(self._tail) if line.strip()), "")
        return f": {said}" if said else ""

    def _ask(self, request: Mapping[str, Any]) -> None:
        assert self._process.stdin
        # One that ended before it read says why by its exit code.
        with suppress(BrokenPipeError), self._process.stdin as stdin:
            stdin.write(json.dumps(request, default=_as_text).encode())

    def _pass_on(self) -> None:
        assert self._process.stderr
        with self._process.stderr as stderr:
            for line in stderr:
                # The two streams are read side by side: of the order between them nothing is known.
                self._complaint = self.noise(line).strip() or self._complaint


def program(written: str, environment: str | None) -> list[str]:
    """The program that a source names, with its arguments.

    Args:
        written: a name, or a path in the project, perhaps with arguments behind it.
        environment: the folder of programs of the source's own environment, which is looked into first.

    Raises:
        ArgumentError: when there is no such program.
    """
    name, *arguments = shlex.split(written) or [""]
    # Beside Python, too: an environment's programs need not be on the path for its Python to run.
    places = [*filter(None, [environment]), str(Path(sys.executable).parent), None]
    found = next((path for place in places if (path := shutil.which(name, path=place))), None)
    if not found:
        raise ArgumentError(
            f"no program `{name}`" + (" in the source's environment, nor on this machine" if environment else ""),
            "name the package that brings it under `environment: requirements:`, or a path to it (`./taps/mine`)",
        )
    return [found, *arguments]


def sweep(folder: Path) -> None:
    """Takes away the files of processes that are not there any more."""
    for left in folder.iterdir():
        pid = left.name.partition("-")[0]
        if pid.isdigit() and not alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)


class Files:
    """Files that a program insists on, with secrets in them: for its user's eyes alone, and gone with the process.

    A process that is killed leaves them behind: who watched over it takes them away, and else the next one.
    """

    def __init__(self) -> None:
        above = Project(Path(os.environ.get("DLT_PROJECT_DIR") or Path.cwd())).state / "bridge"
        above.mkdir(mode=0o700, parents=True, exist_ok=True)
        sweep(above)
        self._folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=above))
        atexit.register(self.close)

    def write(self, name: str, value: Any) -> str:
        """Writes JSON, readable for nobody else; returns the path."""
        path = self._folder / name
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(value, file, default=_as_text)
        return str(path)

    def close(self) -> None:
        """Removes them."""
        shutil.rmtree(self._folder, ignore_errors=True)
        atexit.unregister(self.close)


def _as_text(value: Any) -> str:
    """A time as YAML has it, as the text that it stands for: JSON has none."""
    if isinstance(value, dt.date):
        return str(convert(value, "iso" if isinstance(value, dt.datetime) else "date"))
    raise TypeError(f"{type(value).__name__} is nothing that JSON has")

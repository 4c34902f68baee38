"""What every test may use: a real project in a temporary folder, and the real command line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pytest

pytest_plugins = ["tests.fixtures_postgres", "tests.fixtures_mariadb", "tests.fixtures_dovecot"]


@dataclass(frozen=True)
class Said:
    """How a command ended: its exit code, stdout and stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)

    @property
    def told(self) -> str:
        """What is said on stderr, without where to read on."""
        return "".join(line for line in self.err.splitlines(True) if not line.startswith("  more: dango docs "))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--part 1/2`: of the tests that are chosen the first half, as good as any other; `--part 2/2` runs the rest."""
    parser.addoption("--part", default="1/1", metavar="N/M", help="only so much of the tests that are chosen")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    number, of = map(int, config.getoption("--part").split("/"))
    # By their names: each process of several chooses the same, and a new test moves no other.
    left_out = [item for item in items if zlib.crc32(item.nodeid.encode()) % of != number - 1]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in left_out]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Shows the figures that tests recorded, also those of xdist's workers."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, value in report.user_properties:
            if name == "figure" and report.when == "call":
                terminalreporter.write_line(str(value))


@pytest.fixture(autouse=True)
def _surroundings(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees this machine's own settings, nor writes outside its folders."""
    monkeypatch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
    monkeypatch.setenv("NO_COLOR", "1")
    for name in list(os.environ):
        if name.startswith(("DANGO_", "SOURCES__", "DESTINATION__", "DLT_")) and name != "DANGO_TEST_POSTGRES":
            monkeypatch.delenv(name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the test's project."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


@pytest.fixture
def write(root: Path) -> Callable[[Mapping[str, str]], None]:
    """Writes files into the project: `write({path: text})`; the key `sources` is `.dango/sources.yml`."""

    def write(files: Mapping[str, str]) -> None:
        for name, text in files.items():
            path = root / (".dango/sources.yml" if name == "sources" else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            if path.name in ("secrets.toml", ".env"):
                path.chmod(0o600)

    return write


@pytest.fixture
def dango(root: Path) -> Callable[..., Said]:
    """Runs `dango` in the project, as a user would: a process of its own, without a terminal."""

    def dango(
        *arguments: str, env: Mapping[str, str] | None = None, cwd: Path | None = None, timeout: float = 120
    ) -> Said:
        done = subprocess.run(
            [sys.executable, "-m", "dango", *arguments],
            cwd=cwd or root,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        assert "Traceback (most recent call last)" not in done.stderr or "--debug" in arguments, done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    return dango


@pytest.fixture
def rows(root: Path) -> Callable[[str], list[Any]]:
    """The rows that a query finds in the project's DuckDB file."""

    def rows(query: str) -> list[Any]:
        with duckdb.connect(str(root / "data" / "warehouse.duckdb"), read_only=True) as database:
            return database.sql(query).fetchall()

    return rows


def one_of(*values: Any) -> list[Any]:
    """The first of these with every change, all of them by `make long`: they are much alike."""
    return [
        pytest.param(*(value if isinstance(value, tuple) else (value,)), marks=pytest.mark.long if nth else ())
        for nth, value in enumerate(values)
    ]


def native(name: str, function: str = "rows", module: str = "shop", **block: Any) -> str:
    """One `dlt_native` source in the list of `sources:`, as YAML."""
    body = {"source_module": module, "source_function": function, **block}
    return f"  - {{name: {name}, type: dlt_native, dlt_native: {json.dumps(body)}}}\n"


def sources(*blocks: str) -> str:
    """A whole `sources.yml`."""
    return "version: 1\nsources:\n" + "".join(blocks)


def readable_by_others(root: Path) -> list[str]:
    """What of a project's state others may read: all but what belongs to git has to be its owner's alone."""
    state = root / ".dango"
    in_git = {state / "sources.yml", state / "sources.schema.json"}
    return [
        f"{path.relative_to(root)}: {path.stat().st_mode & 0o777:o}"
        for path in (state, *state.rglob("*"))
        if path not in in_git and path.stat().st_mode & 0o077
    ]


def until(there: Callable[[], Any], seconds: float = 25) -> Any:
    """What is there at last. Raises `TimeoutError`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if found := there():
                return found
        except (OSError, ValueError):
            # What another process writes is not there yet, or not all of it.
            pass
        time.sleep(0.02)
    raise TimeoutError

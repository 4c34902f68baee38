"""`docs/PLUGINS.md`, executed: its package is built, installed beside an installed dango, and loaded from."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest
import yaml

from tests.conftest import Said
from tests.guides import DOCS, blocks, steps

PAGE = DOCS / "PLUGINS.md"
ROOT = DOCS.parent
OURS = ("COVERAGE_", "DANGO_", "PYTHON", "VIRTUAL_ENV")


class Environment:
    """A virtual environment with a dango that is built and installed, and what it needs from that of the tests."""

    def __init__(self, folder: Path, project: Path) -> None:
        self.bin = folder / "venv" / "bin"
        self.project = project
        self._checked(sys.executable, "-m", "venv", folder / "venv")
        inside = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site, ours = (Path(self._checked(each, "-c", inside).strip()) for each in (self.bin / "python", sys.executable))
        (site / "of-the-tests.pth").write_text(f"{ours}\n")
        for each in ("dango", "registry", "templates", "docs", "pyproject.toml", "README.md", "LICENSE"):
            (shutil.copytree if (ROOT / each).is_dir() else shutil.copy)(ROOT / each, folder / "dango" / each)
        self._checked(
            self.bin / "python", "-m", "pip", "wheel", "-q", "--no-deps", "-w", folder / "dist", folder / "dango"
        )
        (wheel,) = (folder / "dist").glob("*.whl")
        self._checked(self.bin / "python", "-m", "pip", "install", "-q", "--no-deps", wheel)

    def __call__(self, line: str) -> Said:
        done = self._done("bash", "-c", line)
        return Said(done.returncode, done.stdout, done.stderr)

    def _done(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        env = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
        env["PATH"] = f"{self.bin}:{env['PATH']}"
        return subprocess.run(
            command, cwd=self.project, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )

    def _checked(self, *command: str | Path) -> str:
        done = self._done(*command)
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        return done.stdout


def plain(text: str) -> list[str]:
    """The lines without what aligns them, nor the machine's own paths."""
    return [re.sub(r"\(/\S+/site-packages/", "(…/", line.rstrip()) for line in text.strip().splitlines()]


@pytest.mark.slow
def test_every_block_of_the_page_does_what_it_says(tmp_path: Path, root: Path) -> None:
    (tmp_path / "dango").mkdir()
    run = Environment(tmp_path, root)
    assert run("dango init --no-example").code == 0
    listed, broken = (plain(block.text) for block in blocks(PAGE) if block.language == "text")
    (item,) = (block.text for block in blocks(PAGE) if block.language == "yaml" and not block.file)

    said = dict(steps(PAGE, root, run))
    assert plain(said["dango registry list acme"].out) == listed
    assert "2 passed" in said["python -m pytest -q packages/acme"].out
    stored = yaml.safe_load((root / ".dango" / "sources.yml").read_text(encoding="utf-8"))["sources"]
    assert stored[:2] == yaml.safe_load(item)
    with duckdb.connect(str(root / "data" / "warehouse.duckdb"), read_only=True) as database:
        assert database.sql("SELECT count(*), max(usd) FROM raw_acme_rates.rates").fetchall() == [(3, 1.03)]
        assert database.sql("SELECT shop, count(*) FROM raw_acme_shop.orders GROUP BY 1").fetchall() == [("north", 5)]
        assert database.sql("SELECT max(total) FROM raw_in_cents.orders").fetchall() == [(4750,)]

    assert said["dango registry list later"].err == (
        "warning: the source `acme_never` of package dango-late is broken: its module `dango_late.never` is not"
        " installed\n"
    )
    assert plain(said["dango source add acme_later --yes # exit 2"].err)[0] == broken[0]
    # It harms nothing else, and what dango brings is known from its metadata.
    checked = run("ACME_KEY=acme-key dango check")
    assert (checked.code, checked.out) == (0, "3 of 3 sources are well\n")
    assert re.search(r"^local +executor +\S+:LocalExecutor +shipped", run("dango registry list local").out, re.M)

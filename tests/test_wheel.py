"""What is in the built archives, and that an installed dango works without its checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

# One group for xdist: the archives are built once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

ROOT = Path(__file__).parents[1]
MARKER = "planted-secret-7f3a"
PLANTED = (".dlt/secrets.toml", ".env", ".dango/tokens/github.json", "data/notes.txt")


def run(*command: str | Path, cwd: Path) -> str:
    # The child is to have nothing of this process's Python: no path, no measurement.
    ours = ("COVERAGE_", "DANGO_", "PYTHON", "VIRTUAL_ENV")
    env = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    done = subprocess.run(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, f"{command} gave {done.returncode}:\n{done.stdout}"
    return done.stdout


def contents(archive: Path) -> Mapping[str, bytes]:
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            return {name: wheel.read(name) for name in wheel.namelist()}
    with tarfile.open(archive) as sdist:
        files = {member.name: sdist.extractfile(member) for member in sdist if member.isfile()}
        # The first folder bears the archive's own name.
        return {name.split("/", 1)[1]: file.read() for name, file in files.items() if file}


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has or would take, and beside it secrets, as a developer has them."""
    folder = tmp_path_factory.mktemp("checkout")
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT)
    for name in filter(None, names.split("\0")):
        if (ROOT / name).is_file():  # not where it is deleted and git does not know it yet
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    for name in PLANTED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f'token = "{MARKER}"\n')
    return folder


@pytest.fixture(scope="module")
def dist(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An sdist, and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, checkout, cwd=folder)
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    (wheel,) = dist.glob("*.whl")
    return wheel


def test_the_wheel_has_what_dango_ships_and_nothing_else(checkout: Path, wheel: Path) -> None:
    names = {name for name in contents(wheel) if ".dist-info/" not in name}
    expected = {f"dango/{name}" for name in files_below(checkout / "dango")}
    for shipped in ("registry", "templates"):
        expected |= {f"dango/_shipped/{shipped}/{name}" for name in files_below(checkout / shipped)}
    assert names == expected


def test_dotfiles_of_the_templates_are_in_the_wheel(wheel: Path) -> None:
    shipped = [name.split("/") for name in contents(wheel) if name.startswith("dango/_shipped/templates/")]
    assert any(part.startswith(".") for parts in shipped for part in parts), shipped


@pytest.mark.parametrize("gitignored", [True, False], ids=["gitignored", "not gitignored"])
def test_no_secret_is_in_an_archive(checkout: Path, dist: Path, tmp_path: Path, gitignored: bool) -> None:
    # Without a .gitignore the allow-list alone keeps them out.
    if not gitignored:
        shutil.copytree(checkout, tmp_path / "checkout", ignore=shutil.ignore_patterns(".gitignore"))
        dist = tmp_path / "dist"
        run(sys.executable, "-m", "build", "--sdist", "--outdir", dist, tmp_path / "checkout", cwd=tmp_path)
    archives = [path for path in dist.iterdir() if path.suffix in {".gz", ".whl"}]
    assert archives
    for archive in archives:
        files = contents(archive)
        assert not files.keys() & set(PLANTED)
        # This file has the marker in it, and it is in the sdist.
        assert not [name for name, data in files.items() if MARKER.encode() in data and name != "tests/test_wheel.py"]


def test_an_installed_dango_makes_a_project(wheel: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    run(sys.executable, "-m", "venv", venv, cwd=tmp_path)
    python, dango = venv / "bin/python", venv / "bin/dango"
    run(python, "-m", "pip", "install", "-q", "-c", ROOT / "constraints.txt", wheel, cwd=tmp_path)

    assert wheel.name.split("-")[1] in run(dango, "--version", cwd=tmp_path)
    run(dango, "init", "shop", "--yes", cwd=tmp_path)
    assert (tmp_path / "shop/.dango/sources.yml").is_file()
    assert "_shipped" in run(
        python, "-c", "from dango.resources import shipped; print(shipped('templates'))", cwd=tmp_path
    )

"""What is in the built archives, and that an installed dango works without its checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import tomlkit

# One group for xdist: the archives are built once.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("wheel")]

ROOT = Path(__file__).parents[1]
MARKER = "planted-secret-7f3a"
PLANTED = (
    ".dlt/secrets.toml",
    ".env",
    ".dango/tokens/github.json",
    "bench/.data/orders.csv",
    "bench/.peers/notes.txt",
    "data/notes.txt",
    "custom_sources/__pycache__/git_history.cpython-311.pyc",
)
MOST = 350_000_000
"""Bytes that dango and all that it needs may take, without extras, in an environment of their own."""


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
def known() -> set[str]:
    """The files that git has or would take."""
    names = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=ROOT).split("\0")
    return {name for name in names if (ROOT / name).is_file()}  # not where it is deleted and git does not know it yet


@pytest.fixture(scope="module")
def checkout(known: set[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What git has or would take, and beside it secrets, as a developer has them."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in known:
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
    expected |= {f"dango/_shipped/docs/{page.name}" for page in (checkout / "docs").glob("*.md")}
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


def test_the_sdist_has_all_that_git_has_of_what_is_allowed_and_nothing_that_it_ignores(
    known: set[str], dist: Path
) -> None:
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text()).unwrap()
    allowed = project["tool"]["hatch"]["build"]["targets"]["sdist"]["only-include"]
    (sdist,) = dist.glob("*.tar.gz")
    names = set(contents(sdist))
    # The last two are hatchling's own.
    expected = {name for name in known if any(Path(name).is_relative_to(path) for path in allowed)}
    assert names == expected | {"PKG-INFO", ".gitignore"}
    assert not [name for name in names if Path(name).parts[0] in (".dango", ".dlt", "data")]
    # `check-ignore` ends with 1 where nothing is ignored.
    ignored = subprocess.run(
        ["git", "check-ignore", "--no-index", "--stdin"],
        cwd=ROOT,
        input="\n".join(names),
        capture_output=True,
        text=True,
    )
    assert (ignored.returncode, ignored.stdout) == (1, "")


def test_what_the_sdists_pages_link_to_is_in_the_sdist(dist: Path) -> None:
    (sdist,) = dist.glob("*.tar.gz")
    files = contents(sdist)
    pages = [name for name in files if name.endswith(".md") and not name.startswith(("templates/", "tests/", "bench/"))]
    assert {"README.md", "CONTRIBUTING.md", "docs/COMMANDS.md", "custom_sources/README.md"} <= set(pages)
    for page in pages:
        for target in re.findall(r"\]\((?!\w+:)([^)#\s]+)", files[page].decode()):
            leads = os.path.normpath(Path(page).parent / target)
            assert any(Path(name).is_relative_to(leads) for name in files), f"{page}: {target}"


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with dango and what it needs: all of it from wheels, so that nothing is compiled."""
    venv = tmp_path_factory.mktemp("clean") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", venv, cwd=venv.parent)
    pip = (sys.executable, "-m", "pip", "--python", venv / "bin/python", "-q", "--disable-pip-version-check")
    options = ("--only-binary", ":all:", "-c", ROOT / "constraints.txt")
    run(*pip, "install", *options, wheel, cwd=venv.parent)
    return venv / "bin"


def test_the_core_is_installed_in_350_megabytes(
    installed: Path, record_property: Callable[[str, object], None]
) -> None:
    size = sum(path.stat().st_size for path in installed.parent.rglob("*") if path.is_file() and not path.is_symlink())
    record_property("figure", f"an environment with dango's core: {size / 1e6:.0f} MB")
    assert size <= MOST


def test_an_installed_dango_takes_a_project_from_its_beginning_to_rows(
    wheel: Path, installed: Path, tmp_path: Path
) -> None:
    shop = tmp_path / "shop"

    def dango(*arguments: str) -> str:
        return run(installed / "dango", *arguments, cwd=shop if shop.exists() else tmp_path)

    assert wheel.name.split("-")[1] in dango("--version")
    dango("init", "shop", "--yes", "--no-example")
    where = "from dango.resources import shipped; print(shipped('templates'), shipped('registry'))"
    assert run(installed / "python", "-c", where, cwd=shop).count("_shipped") == 2
    assert "github" in dango("registry", "list")
    assert dango("docs", "held").startswith("## Held\n")

    dango("source", "new", "orders", "--yes")
    assert dango("check") == "1 of 1 sources are well\n"
    assert dango("preview", "orders", "--limit", "3", "--format", "csv").count("\n") > 3
    dango("sync")
    name, count = dango("query", "select count(*) as n from raw_orders.orders", "--format", "csv").split()
    assert name == "n"
    assert int(count) > 3
    assert "raw_orders" in dango("tables")
    assert "updated_at" in dango("source", "cursor", "orders")
    # The same, as a module.
    assert "orders" in run(installed / "python", "-m", "dango", "status", cwd=shop)

"""`dango source new`: what it writes runs, and nothing that is there is touched."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dango.errors import UsageError
from dango.new_source import as_package, in_project
from dango.project import Project
from tests.conftest import Said

ROOT = Path(__file__).parents[2]
TEXT = """\
version: 1
sources:
  # The first.
  - name: pages   # as they come
    type: dlt_native
    dlt_native: {source_module: web, source_function: pages}
"""
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:1")


def run(*command: str | Path, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, env={**os.environ, **env}, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


def files(root: Path) -> dict[str, str]:
    """All of the project but what git ignores."""
    found = (path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    names = {path.relative_to(root).as_posix(): path for path in found}
    return {
        name: path.read_text()
        for name, path in names.items()
        if not name.startswith((".dango/", "data/")) or name == ".dango/sources.yml"
    }


def test_it_runs_at_once_and_a_second_sync_finds_nothing_new(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], rows: Callable[[str], list[Any]]
) -> None:
    write({"sources": TEXT})
    said = dango("source", "new", "shop", "--description", 'Orders: the "shop"', env=OFFLINE)
    assert (said.code, said.err) == (0, "")
    assert said.out.endswith(
        "\n3 files written, and the entry in .dango/sources.yml\n\nnext:\n"
        "  dango check shop\n  dango sync shop\n  python -m pytest tests/test_shop.py\n"
    )
    assert sorted(files(root)) == [".dango/sources.yml", "conftest.py", "custom_sources/shop.py", "tests/test_shop.py"]
    assert files(root)[".dango/sources.yml"].startswith(TEXT)
    assert dango("source", "show", "shop", "--json").json["description"] == 'Orders: the "shop"'
    assert dango("check", "shop", env=OFFLINE).code == 0
    assert dango("sync", "shop", env=OFFLINE).code == 0
    again = dango("sync", "shop", "--json", env=OFFLINE).json["results"][0]
    assert (again["status"], again["rows"]) == ("ok", 0)
    assert rows("SELECT count(*), count(DISTINCT id), max(updated_at)::text FROM raw_shop.orders") == [
        (120, 120, "2024-01-06 00:00:00+00")
    ]
    # Its parameters are read as those of any source.
    explained = {each["name"]: each for each in dango("explain", "shop", "--json").json["parameters"]}
    assert explained["api_token"]["secret"] is True


@pytest.mark.slow
def test_what_it_writes_is_clean_and_its_test_passes(root: Path, dango: Callable[..., Said]) -> None:
    assert dango("init", "--no-example").code == 0
    # Names that Python, and the template, have uses for.
    for name in ("list", "orders"):
        assert dango("source", "new", name, "--json").code == 0
    assert dango("source", "new", "shop", "--package", "--json").code == 0
    usual = ("--isolated", "--target-version", "py310")
    run(sys.executable, "-m", "ruff", "check", *usual, "custom_sources", "tests", cwd=root)
    run(sys.executable, "-m", "ruff", "check", ".", cwd=root / "packages" / "shop")
    run(sys.executable, "-m", "ruff", "format", "--check", "--line-length", "120", ".", cwd=root)
    run(sys.executable, "-m", "mypy", "--strict", "custom_sources", "tests", cwd=root)
    run(sys.executable, "-m", "mypy", "src", cwd=root / "packages" / "shop")
    assert "6 passed" in run(sys.executable, "-m", "pytest", "-q", "tests", cwd=root, PYTHONPATH="")
    assert "3 passed" in run(sys.executable, "-m", "pytest", "-q", cwd=root / "packages" / "shop", PYTHONPATH="")


@pytest.mark.parametrize(
    ("there", "hint"),
    [
        ("custom_sources/shop.py", "dango source add dlt_native --module shop"),
        ("custom_sources/shop/__init__.py", "dango source add dlt_native --module shop"),
        ("tests/test_shop.py", "take another name"),
    ],
)
def test_a_file_that_is_there_stays_and_nothing_is_written(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], there: str, hint: str
) -> None:
    write({"sources": TEXT, there: "mine\n"})
    before = files(root)
    said = dango("source", "new", "shop")
    assert (said.code, said.out) == (2, "")
    assert f"error: {there.removesuffix('/__init__.py')} is there already, and is left as it is" in said.err
    assert hint in said.err
    assert files(root) == before


@pytest.mark.parametrize(
    ("name", "better"),
    [("My-Shop", "my_shop"), ("pages", "pages_source"), ("class", "class_source"), ("filesystem", "filesystem_source"),
     ("web", "web_source"), ("9", "s_9"), ("", "my_source"), ("../x", "x"), ("s" * 60, "s" * 48)],
)  # fmt: skip
def test_a_name_that_cannot_be_is_answered_with_one_that_can(
    root: Path, write: Callable[..., None], name: str, better: str
) -> None:
    write({"sources": TEXT})
    with pytest.raises(UsageError) as refused:
        in_project(Project(root), name)
    assert f"dango source new {better}" in refused.value.hint
    assert files(root) == {".dango/sources.yml": TEXT}


@pytest.mark.parametrize(
    ("name", "better"), [("github", "github_source"), ("schedule", "schedule_source"), ("s", "s_source")]
)
def test_a_package_is_a_type_and_has_the_name_of_none_that_is_there(
    root: Path, write: Callable[..., None], name: str, better: str
) -> None:
    write({"sources": TEXT})
    with pytest.raises(UsageError) as refused:
        as_package(Project(root), name)
    assert refused.value.hint == f"dango source new {better} --package"
    as_package(Project(root), better)


def test_what_cannot_be_written_leaves_nothing_behind(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": TEXT, "tests": "a file where the folder would be\n"})
    before = files(root)
    said = dango("source", "new", "shop")
    assert (said.code, said.told) == (
        1, f"error: {root}/tests/test_shop.py cannot be written: Not a directory\n  hint: nothing was written\n"
    )  # fmt: skip
    assert files(root) == before
    assert not (root / "custom_sources").exists()


@pytest.mark.slow
def test_a_package_is_built_installed_and_synced(root: Path, tmp_path: Path, dango: Callable[..., Said]) -> None:
    assert dango("init", "--no-example").code == 0
    following = dango("source", "new", "shop", "--package", "--json").json["next"]
    assert dango("source", "list", "--json").json == {"sources": []}
    assert dango("source", "new", "shop", "--package").code == 2
    package = root / "packages" / "shop"
    run(sys.executable, "-m", "build", "--wheel", "--outdir", tmp_path / "dist", package, cwd=tmp_path)
    (wheel,) = (tmp_path / "dist").glob("*.whl")
    shutil.rmtree(package)
    # An environment of its own, which finds dango and what it needs in this one.
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    inside = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = [Path(run(each, "-c", inside, cwd=tmp_path).strip()) for each in (python, sys.executable)]
    (site[0] / "dango-of-the-tests.pth").write_text(f"{ROOT}\n{site[1]}\n")
    run(python, "-m", "pip", "install", "-q", "--no-index", "--no-deps", wheel, cwd=tmp_path)
    command = (python, "-m", *following[1].split())
    run(*command, cwd=root)
    assert dango("source", "list", "--json").code == 2, "this environment does not have the package"
    entry = site[0] / "dango_source_shop" / "registry" / "shop.yml"
    assert run(python, "-m", "dango", "registry", "lint", entry, cwd=root) == "nothing to complain of\n"
    assert "package dango-source-shop" in run(python, "-m", "dango", "registry", "list", "shop", cwd=root)
    assert "120" in run(python, "-m", "dango", "sync", "shop", cwd=root)
    assert "nothing new" in run(python, "-m", "dango", "sync", "shop", cwd=root)


@pytest.mark.parametrize(
    ("link", "words"),
    [("custom_sources", ()), ("tests", ()), ("conftest.py", ()), ("packages", ("--package",))],
)
def test_nothing_is_written_through_a_link_that_leads_out_of_the_project(
    link: str,
    words: tuple[str, ...],
    root: Path,
    write: Callable[..., None],
    dango: Callable[..., Said],
    tmp_path: Path,
) -> None:
    write({"sources": TEXT})
    elsewhere = tmp_path / "elsewhere"
    if link != "conftest.py":
        elsewhere.mkdir()
    (root / link).symlink_to(elsewhere)
    said = dango("source", "new", "shop", *words)
    assert said.code == 2
    assert f"leads out of the project, to {elsewhere}" in said.err
    assert not elsewhere.exists() or not any(elsewhere.iterdir())
    assert files(root)[".dango/sources.yml"] == TEXT

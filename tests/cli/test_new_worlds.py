"""`dango source new --from`: what it writes for each world runs, in the project and as a package, and is clean."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dango.cli import new
from dango.environments import scripts
from dango.worlds import worlds
from tests.cli.test_new import OFFLINE, run
from tests.conftest import Said, one_of

ROOT = Path(__file__).parents[2]
IN_PYTHON = ("rest_api", "sql", "singer")
LOADED = {"rest_api": 123, "sql": 123, "singer": 120}
ELSEWHERE = ("datahub", "openmetadata", "vdk")
TABLES = {"datahub": "dataset_properties", "openmetadata": "tables", "vdk": "orders"}
LINTED = ("-m", "ruff", "check", "--isolated", "--line-length", "120", "--target-version", "py310")
FORMATTED = ("-m", "ruff", "format", "--check", "--line-length", "120", ".")
# A framework that is not installed where mypy runs has no types there.
UNTYPED = ("--ignore-missing-imports", "--allow-subclassing-any", "--allow-untyped-decorators")


@pytest.fixture
def begun(root: Path, dango: Callable[..., Said]) -> Callable[..., dict[str, Any]]:
    """Begins a source, named `shop`, in a project that has nothing else; gives what the command says."""

    def begun(world: str, *words: str) -> dict[str, Any]:
        assert dango("init", "--no-example").code == 0
        said = dango("source", "new", "shop", "--from", world, *words, "--json", env=OFFLINE)
        assert said.code == 0, said.err
        made: dict[str, Any] = said.json
        return made

    return begun


def test_the_help_names_the_worlds_that_there_are(root: Path, dango: Callable[..., Said]) -> None:
    assert dango("init", "--no-example").code == 0
    said = dango("source", "new", "--help").out
    assert set(worlds()) <= set(re.findall(r"\w+", said))
    assert new._worlds("s") == ["singer", "sql"]
    said = dango("source", "new", "shop", "--from", "singr")
    assert (said.code, "`--from singr` is none (did you mean `singer`?)" in said.err) == (2, True)
    assert not (root / "tests").exists()


@pytest.mark.parametrize("world", IN_PYTHON)
def test_it_runs_at_once_and_has_each_row_once_after_two_syncs(
    world: str,
    begun: Callable[..., dict[str, Any]],
    dango: Callable[..., Said],
    rows: Callable[[str], list[Any]],
) -> None:
    begun(world)
    result = dango("sync", "shop", "--json", env=OFFLINE).json["results"][0]
    assert (result["status"], result["rows"]) == ("ok", LOADED[world])
    assert dango("sync", "shop", env=OFFLINE).code == 0
    assert rows("SELECT count(*), count(DISTINCT id), min(total) FROM raw_shop.orders") == [(120, 120, 1.5)]


@pytest.mark.slow
@pytest.mark.parametrize("world", IN_PYTHON)
def test_what_is_plain_python_is_clean_and_its_tests_pass(
    world: str, begun: Callable[..., dict[str, Any]], root: Path, dango: Callable[..., Said]
) -> None:
    begun(world)
    assert dango("source", "new", "two_words", "--from", world, "--package", "--json").code == 0
    package = root / "packages" / "two_words"
    run(sys.executable, *LINTED, "custom_sources", "tests", cwd=root)
    run(sys.executable, "-m", "ruff", "check", ".", cwd=package)
    run(sys.executable, *FORMATTED, cwd=root)
    run(sys.executable, "-m", "mypy", "--strict", "custom_sources", "tests", cwd=root)
    run(sys.executable, "-m", "mypy", "src", cwd=package)
    assert " passed" in run(sys.executable, "-m", "pytest", "-q", "tests", cwd=root, PYTHONPATH=str(ROOT))
    assert " passed" in run(sys.executable, "-m", "pytest", "-q", cwd=package, PYTHONPATH="")


@pytest.mark.slow
def test_a_tap_as_a_package_is_a_program_in_the_environment_of_its_source(
    begun: Callable[..., dict[str, Any]], dango: Callable[..., Said], rows: Callable[[str], list[Any]]
) -> None:
    made = begun("singer", "--package")
    assert "requirements: [./packages/shop]" in made["diff"]
    said = dango(*made["next"][0].split()[1:], timeout=600)
    assert said.code == 0, said.err
    assert rows("SELECT count(*) FROM raw_shop.orders") == [(120,)]


@pytest.mark.slow
@pytest.mark.parametrize("world", one_of(*ELSEWHERE, "airbyte"))
def test_what_runs_in_an_environment_of_its_own_is_clean_and_its_test_passes(
    world: str, begun: Callable[..., dict[str, Any]], root: Path
) -> None:
    begun(world)
    if (root / "custom_sources" / "shop.py").exists():
        run(sys.executable, *LINTED, "custom_sources", cwd=root)
        run(sys.executable, "-m", "mypy", "--strict", *UNTYPED, "custom_sources", cwd=root)
    run(sys.executable, *LINTED, "tests", cwd=root)
    run(sys.executable, *FORMATTED, cwd=root)
    run(sys.executable, "-m", "mypy", "--strict", "tests", cwd=root)
    assert "1 passed" in run(sys.executable, "-m", "pytest", "-q", "tests", cwd=root, PYTHONPATH=str(ROOT))


@pytest.mark.slow
@pytest.mark.parametrize("world", one_of(*ELSEWHERE, "airbyte"))
def test_as_a_package_it_is_found_where_its_framework_looks_and_its_own_tests_pass(
    world: str,
    begun: Callable[..., dict[str, Any]],
    root: Path,
    dango: Callable[..., Said],
    rows: Callable[[str], list[Any]],
) -> None:
    begun(world, "--package")
    package = root / "packages" / "shop"
    run(sys.executable, *LINTED, ".", cwd=package)
    run(sys.executable, *FORMATTED, cwd=package)
    run(sys.executable, "-m", "mypy", "--strict", *UNTYPED, "src", cwd=package)
    said = dango("env", "build", "shop", timeout=600)
    assert said.code == 0, said.err
    (environment,) = [each for each in (root / ".dango" / "environments").iterdir() if each.is_dir()]
    python = scripts(environment) / "python"
    # It has no pip where uv made it.
    subprocess.run([sys.executable, "-m", "pip", "--python", python, "install", "-q", "pytest"], check=True)
    assert " passed" in run(python, "-m", "pytest", "-q", cwd=package, PYTHONPATH="")
    if world in TABLES:
        assert dango("sync", "shop", timeout=600).code == 0
        ((count,),) = rows(f"SELECT count(*) FROM raw_shop.{TABLES[world]}")
        assert count == {"vdk": 120}.get(world, 2)

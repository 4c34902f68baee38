"""What pyproject.toml asks for is what the tests run with."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution, version
from pathlib import Path

import pytest
import tomlkit
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def asked_for() -> Iterator[Requirement]:
    """Every requirement, of dango and of its extras."""
    project = tomlkit.parse((ROOT / "pyproject.toml").read_text(encoding="utf-8")).unwrap()["project"]
    for texts in (project["dependencies"], *project["optional-dependencies"].values()):
        yield from map(Requirement, texts)


def pinned(file: str) -> set[tuple[str, str]]:
    """The names and versions in a file of constraints."""
    requirements = map(Requirement, (ROOT / file).read_text(encoding="utf-8").splitlines())
    return {(r.name, specifier.version) for r in requirements for specifier in r.specifier}


def release(version: str) -> str:
    """`2.11` for `2.11.0`, which is the same."""
    return version.removesuffix(".0").removesuffix(".0")


def test_every_lower_bound_is_a_version_that_is_tested() -> None:
    oldest = {(name, release(version)) for name, version in pinned("constraints-oldest.txt")}
    bounds = {
        (canonicalize_name(r.name), release(s.version)) for r in asked_for() for s in r.specifier if s.operator == ">="
    }
    # On a cluster the newest alone are tested: Ray wants newer packages than dango does.
    oldest |= {("ray", release(version)) for name, version in pinned("constraints.txt") if name == "ray"}
    assert bounds - oldest == set(), "raise the bound, or run: make constraints"


def test_every_requirement_has_its_version_in_the_constraints() -> None:
    newest = {name for name, _ in pinned("constraints.txt")}
    assert {canonicalize_name(r.name) for r in asked_for()} - newest == set(), "run: make constraints"


@pytest.mark.parametrize("file", ["constraints.txt", "constraints-oldest.txt"])
def test_every_version_in_the_constraints_is_one_that_is_allowed(file: str) -> None:
    bounds = {canonicalize_name(r.name): r.specifier for r in asked_for()}
    allowed = [bounds[name].contains(found) for name, found in pinned(file) if name in bounds]
    assert allowed and all(allowed), "run: make constraints"


def here() -> str:
    """The file of constraints from which this environment was made; a test without one is skipped."""
    direct = {canonicalize_name(r.name) for r in asked_for()}
    found = {(name, version(name)) for name in direct if installed(name)}
    for file in ("constraints.txt", "constraints-oldest.txt"):
        if found <= pinned(file):
            return file
    pytest.skip("this environment was made of neither file of constraints")


def needed() -> set[str]:
    """Every package that dango with all its extras brings into this environment."""
    found: set[tuple[str, str]] = set()
    waiting = [(canonicalize_name(r.name), extra) for r in asked_for() for extra in ("", *r.extras)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in found:
            continue
        found.add((name, extra))
        try:
            texts = distribution(name).requires or []
        except PackageNotFoundError:  # of an extra that nobody here asked for
            continue
        for requirement in map(Requirement, texts):
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(requirement.name), more) for more in ("", *requirement.extras)]
    # An extra that nobody asked for here (Ray, where the lowest versions are) is not in it.
    return {name for name, _ in found if installed(name)}


def installed(name: str) -> bool:
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


def test_every_package_that_is_needed_here_has_its_version_in_the_constraints() -> None:
    assert needed() - {name for name, _ in pinned(here())} == set(), "run: make constraints"


def test_no_version_in_the_constraints_is_of_a_package_that_nothing_needs() -> None:
    requirements = map(Requirement, (ROOT / here()).read_text(encoding="utf-8").splitlines())
    names = {r.name for r in requirements if r.marker is None or r.marker.evaluate()}
    # What is not installed cannot be asked for what it needs.
    assert {name for name in names - needed() if installed(name)} == set(), "run: make constraints"


@pytest.mark.slow
@pytest.mark.long
def test_the_constraints_come_out_the_same_when_they_are_made_again(tmp_path: Path) -> None:
    said = subprocess.run(["make", "-n", "constraints"], cwd=ROOT, check=True, capture_output=True, text=True)
    lines = re.findall(r"-m uv (pip compile .*)", said.stdout)
    assert len(lines) == 2
    for name in ("pyproject.toml", "constraints.txt", "constraints-oldest.txt"):
        shutil.copy(ROOT / name, tmp_path)
    asking = subprocess.run(
        [sys.executable, "-m", "uv", "pip", "compile", "-q", "-"], cwd=tmp_path, input=b"packaging", capture_output=True
    )
    if asking.returncode:
        pytest.skip("there is no index of packages to ask")
    for line in lines:
        # As they are: what has come out since is another matter.
        words = [word for word in line.split() if word != "--upgrade"]
        subprocess.run([sys.executable, "-m", "uv", *words], cwd=tmp_path, check=True, timeout=300)
    for name in ("constraints.txt", "constraints-oldest.txt"):
        assert (tmp_path / name).read_text() == (ROOT / name).read_text(), name

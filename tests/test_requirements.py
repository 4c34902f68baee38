"""What pyproject.toml asks for is what the tests run with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

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
    assert bounds - oldest == set(), "raise the bound, or run: make constraints"


def test_every_requirement_has_its_version_in_the_constraints() -> None:
    newest = {name for name, _ in pinned("constraints.txt")}
    assert {canonicalize_name(r.name) for r in asked_for()} - newest == set(), "run: make constraints"

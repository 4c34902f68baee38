"""What a source of one's own may be begun as: a folder of templates each, whose `world.yml` says what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import Any, Literal

from ruamel.yaml import YAML

from dango.errors import UsageError, near
from dango.resources import shipped

DEFAULT = "dlt"
_FILE = "world.yml"

Form = Literal["project", "package"]


@dataclass(frozen=True, slots=True)
class Made:
    """What a world's templates come to for one source.

    Attributes:
        files: their texts, by their paths from the project's root, or the package's.
        block: the source's entry in `sources.yml`, without its name; None where it gets none.
        next: the commands that one types next.
    """

    files: Mapping[str, str]
    block: Mapping[str, Any] | None
    next: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Said:
    """One part of a `world.yml`: of files by their paths the templates, and what is filled into them."""

    files: Mapping[str, str]
    next: list[str]
    values: Mapping[str, str] = field(default_factory=dict)
    block: Mapping[str, Any] | None = None


def worlds() -> list[str]:
    """Their names."""
    return sorted(file.parent.name for file in _folder().glob(f"*/{_FILE}"))


def made(world: str, form: Form, values: Mapping[str, str]) -> Made:
    """The files of a source, and its entry.

    Args:
        world: one of `worlds()`.
        form: a file of the project, or a package of its own.
        values: what is filled into names, texts and `world.yml` itself.

    Raises:
        UsageError: for a world that there is none of.
    """
    if world not in worlds():
        raise UsageError(f"`--from {world}` is none{near(world, worlds())}", f"one of: {', '.join(worlds())}")
    folder = _folder() / world
    whole = YAML(typ="safe").load(Template((folder / _FILE).read_text(encoding="utf-8")).safe_substitute(values))
    said = _Said(**whole[form])
    every = {**values, **said.values}
    # A template without a name is an empty file.
    files = {path: _filled(folder / f"{name}.tmpl", every) if name else "" for path, name in said.files.items()}
    return Made(files, said.block, tuple(said.next))


def _filled(template: Path, values: Mapping[str, str]) -> str:
    return Template(template.read_text(encoding="utf-8")).substitute(values)


def _folder() -> Path:
    return shipped("templates") / "source"

"""A source of one's own, begun from a template: a file of the project, or a package that can be installed."""

from __future__ import annotations

import json
import keyword
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dango import worlds
from dango.adding import Change, change, save
from dango.answers import Made
from dango.config.kinds import corrected
from dango.errors import DangoError, UsageError
from dango.fetch import is_of_dlt
from dango.files import require_inside
from dango.project import NATIVE, Project
from dango.question import checked_name
from dango.registry.entries import no_type
from dango.resources import shipped

_CONFTEST = "conftest.py"


@dataclass(frozen=True, slots=True)
class New:
    """What would be written: files by their paths from the project's root, and the source's entry, if it gets one.

    `next` are the commands that one types next.
    """

    project: Project
    name: str
    files: Mapping[str, str]
    next: tuple[str, ...]
    change: Change | None = None


def in_project(project: Project, name: str, description: str = "", world: str = worlds.DEFAULT) -> New:
    """The source's file, its test, and its entry in `sources.yml`; nothing is written yet.

    Raises:
        UsageError: for a name that no source can have, and for one that is there already.
        ConfigError: when `sources.yml` is none.
    """
    _require_name(project, name)
    if taken := [source.name for source in project.config.sources if _module(source.dlt_native) == name]:
        raise UsageError(
            f"`{taken[0]}` loads a module of that name, which custom_sources/{name}.py would stand in front of",
            f"another name: dango source new {_other(project, name)}",
        )
    made = worlds.made(world, "project", _values(name, description))
    files = dict(made.files)
    if not (project.root / _CONFTEST).exists():
        # By it pytest finds `custom_sources`.
        files[_CONFTEST] = (shipped("templates") / "project" / _CONFTEST).read_text(encoding="utf-8")
    modules = [path.removesuffix(".py") for path in files if path.startswith("custom_sources/")]
    _require_free(project, name, [*modules, *files])
    return New(project, name, files, made.next, _added(project, name, description, made.block))


def as_package(project: Project, name: str, description: str = "", world: str = worlds.DEFAULT) -> New:
    """A package in `packages/`: it brings the source to every project where it is installed, or is what a source of
    this project has in an environment of its own.

    Raises:
        UsageError: for a name that no source can have, and for one that is there already.
    """
    _require_name(project, name)
    made, folder = worlds.made(world, "package", _values(name, description)), f"packages/{name}"
    if made.block is None:
        _require_type(project, name)
    _require_free(project, name, [folder])
    files = {f"{folder}/{path}": text for path, text in made.files.items()}
    return New(project, name, files, made.next, _added(project, name, description, made.block))


def _added(project: Project, name: str, description: str, block: Mapping[str, Any] | None) -> Change | None:
    if block is None:
        return None
    said = {"description": description} if description else {}
    return change(project, Made({"name": name, "type": block["type"], **said, **block}, {}))


def write(new: New) -> None:
    """Writes all of it, or nothing.

    Raises:
        DangoError: where a file cannot be written, or one is there by now.
    """
    written: list[Path] = []
    made: list[Path] = []
    try:
        for name, text in new.files.items():
            path = new.project.root / name
            made += _with_folders(path.parent)
            # Whatever came to be there meanwhile stays.
            with path.open("x", encoding="utf-8") as file:
                written.append(path)
                file.write(text)
        if new.change:
            save(new.change)
    except BaseException as error:
        # Ctrl-C, too, leaves no file that nothing names.
        for path in written:
            path.unlink(missing_ok=True)
        for folder in reversed(made):
            # Who put something in it meanwhile keeps it.
            with suppress(OSError):
                folder.rmdir()
        if isinstance(error, OSError):
            raise DangoError(f"{error.filename} cannot be written: {error.strerror}", "nothing was written") from error
        raise


def _with_folders(folder: Path) -> list[Path]:
    """Makes a folder and those above it. Returns those that were not there, outermost first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()][::-1]
    for each in missing:
        each.mkdir()
    return missing


def _require_name(project: Project, name: str) -> None:
    try:
        checked_name(name, [source.name for source in project.config.sources])
    except ValueError as error:
        raise UsageError(f"{name}: it {error}", f"dango source new {_other(project, name)}") from error
    if keyword.iskeyword(name):
        raise UsageError(
            f"`{name}` is a word of Python's own, and no module's name", f"dango source new {_other(project, name)}"
        )
    if is_of_dlt(name):
        raise UsageError(
            f"`{name}` comes with dlt itself, and a source of that name would stand in front of it",
            f"dango source new {_other(project, name)}; or, to use dlt's: dango source add {NATIVE} --module {name}",
        )


def _require_type(project: Project, name: str) -> None:
    """The name that the package's source and entry have is that of no other, and can be a type."""
    fault = f"`{name}` is a type already" if name in project.registry.types else no_type(name)
    if fault:
        raise UsageError(f"{name}: {fault}", f"dango source new {corrected(name)[:34]}_source --package")


def _other(project: Project, name: str) -> str:
    """A name like the wanted one that can be had."""
    wanted, taken = corrected(name), {source.name for source in project.config.sources}
    usable = not keyword.iskeyword(wanted) and not is_of_dlt(wanted) and wanted not in taken
    if usable and wanted != name:
        return wanted
    names = (f"{wanted[:40]}_source{number or ''}" for number in range(len(taken) + 1))
    return next(each for each in names if each not in taken)


def _require_free(project: Project, name: str, paths: list[str]) -> None:
    for path in paths:
        require_inside(project.root / path, project.root)
    there = [path for path in paths if (project.root / path).exists() or (project.root / path).is_symlink()]
    if not there:
        return
    hint = f"nothing was written; take another name, or rename {there[0]}"
    if there[0].startswith("custom_sources"):
        hint += f"\nto load what is there: dango source add {NATIVE} --module {name}"
    raise UsageError(f"{there[0]} is there already, and is left as it is", hint)


def _module(native: object) -> str:
    """The first name of the module that a source loads; empty for one of the registry."""
    return str(getattr(native, "source_module", "")).partition(".")[0]


def _values(name: str, description: str) -> dict[str, str]:
    title = description or f"Orders, as the source `{name}`."
    # It stands in docstrings and in TOML.
    summary = " ".join(title.split()).replace("\\", "/").replace('"', "'")
    return {
        "name": name,
        "upper": name.upper(),
        "camel": "".join(part.capitalize() for part in name.split("_")),
        "dashed": name.replace("_", "-"),
        "title": name.replace("_", " ").capitalize(),
        "summary": summary,
        "quoted": json.dumps(summary, ensure_ascii=False),
    }

"""What a project needs where it is to run: secrets, packages, and of its files those that a sync reads."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement

from dango.config.models import DltNative, Source
from dango.project import ENV_FILE, ENV_REFERENCE, SOURCES_FILE, Project
from dango.secrets import CONFIG_FILE, REFERENCE, SECRETS_FILE, hidden, read_toml

REQUIREMENTS_FILE = "requirements.txt"
_ALWAYS = (SOURCES_FILE, CONFIG_FILE, REQUIREMENTS_FILE, "custom_sources", "registry")
_NEVER = {"data", "tests"}
"""What stands there, a source writes or a test reads; names that begin with a dot are left out anyway."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is not in git: the environment variable that gives it, and who needs it.

    Attributes:
        name: the variable's.
        used_by: the source or the destination, or the file that sets it.
        may_be_empty: whether it needs only to be set (`env:NAME?`).
        in_file: whether `.dlt/secrets.toml` has it, too.
        refers: the variable that its value there stands for, where that is one (`env:NAME`).
        sources: those that need it, or may: all of them where nothing says whose it is.
    """

    name: str
    used_by: str
    may_be_empty: bool = False
    in_file: bool = False
    refers: str = ""
    sources: tuple[str, ...] = ()


def secrets(project: Project) -> list[Secret]:
    """Every secret that the project is known to need, each once; never a value.

    Raises:
        ConfigError: where `sources.yml`, `.env` or `.dlt/secrets.toml` cannot be read.
    """
    known = [*_of_secrets_file(project), *_of_configuration(project), *_of_entries(project)]
    once: dict[str, Secret] = {}
    for each in (*known, *_of_dotenv(project, known)):
        first = once.setdefault(each.name, each)
        once[each.name] = replace(first, sources=tuple(dict.fromkeys((*first.sources, *each.sources))))
    return list(once.values())


def name(project: Project) -> str:
    """What the project may be called where it runs: by images, units and the like."""
    return re.sub(r"[^a-z0-9]+", "-", project.root.name.lower()).strip("-") or "dango"


def in_plain_text(project: Project) -> Iterator[tuple[str, bool]]:
    """What stands in `sources.yml` itself and is a secret: its path of keys, and whether that is certain.

    It is where an entry of the registry says so; otherwise its key, or a password in an address, makes it likely.
    """
    for source in project.config.sources:
        entry = project.entry(source)
        names = {field.name for field in entry.secrets} if entry else set()
        loc, values = source.expandable()
        for keys, value in _leaves(values):
            if hidden(value, keys[-1], names) != value:
                yield ".".join((source.name, *loc, *keys)), bool(names & {*keys})
    for destination in project.config.destinations.values():
        for keys, value in _leaves(destination.parameters):
            if hidden(value, keys[-1]) != value:
                yield ".".join(("destinations", destination.name, *keys)), False


def git(project: Project) -> bool:
    """Whether any package is asked for by an address of git's."""
    file = project.root / REQUIREMENTS_FILE
    asked = [file.read_text(encoding="utf-8")] if file.is_file() else []
    asked += [
        text for source in project.config.sources if source.environment for text in source.environment.requirements
    ]
    return any("git+" in text for text in asked)


def files(project: Project) -> list[str]:
    """The paths, from the root, of what a sync reads: what is always there, and what `sources.yml` names."""
    manifests = sorted(path for suffix in ("yaml", "yml") for path in (project.root / ".dango").glob(f"*.{suffix}"))
    found = [*_ALWAYS, *(f".dango/{path.name}" for path in manifests if path.is_file())]
    for source in project.config.sources:
        _, values = source.expandable()
        found += _named(project.root, _texts(values))
    found += local_requirements(project)
    there = dict.fromkeys(path for path in found if (project.root / path).exists())
    # A folder brings what is in it.
    return [path for path in there if not any(str(above) in there for above in Path(path).parents)]


def local_requirements(project: Project) -> list[str]:
    """Packages of the project's own that its sources, or its requirements, name by their folders."""
    texts = [*_lines(project), *(text for source in project.config.sources for text in _of_environment(source))]
    return list(dict.fromkeys(_named(project.root, [text.removeprefix("-e ") for text in texts if "./" in text])))


def packages(project: Project) -> list[str]:
    """dango itself with the extras that the destinations want, unless the project's requirements name it; then what
    entries of the registry need where no environment has it."""
    installed = [_name(line) for line in _lines(project)]
    needed = [
        text
        for source in project.config.sources
        if source.environment is None and (entry := project.entry(source))
        for text in entry.requires
    ]
    return [*([] if "dango" in installed else [_dango(project)]), *dict.fromkeys(needed)]


def _dango(project: Project) -> str:
    types = {project.destination(source).type for source in project.config.sources}
    extras = "[postgres]" if "postgres" in types else ""
    try:
        return f"dango{extras}=={importlib.metadata.version('dango')}"
    except importlib.metadata.PackageNotFoundError:
        # A checkout that is run as it is.
        return f"dango{extras}"


def _of_configuration(project: Project) -> Iterator[Secret]:
    for source in project.config.sources:
        for _, values in source.references:
            yield from _references(values, f"source {source.name}", (source.name,))
    for destination in project.config.destinations.values():
        bound = tuple(each.name for each in project.config.sources if project.destination(each) == destination)
        yield from _references(destination.parameters, f"destination {destination.name}", bound)


def _references(value: Any, used_by: str, sources: tuple[str, ...]) -> Iterator[Secret]:
    for text in _texts(value):
        if found := ENV_REFERENCE.fullmatch(text):
            yield Secret(found[1], used_by, may_be_empty=bool(found[2]), sources=sources)


def _of_entries(project: Project) -> Iterator[Secret]:
    for source in project.config.sources:
        entry = project.entry(source)
        for field in entry.secrets if entry else ():
            if field.required and field.name not in source.block:
                name = f"SOURCES__{source.name}__{field.name}".upper()
                yield Secret(name, f"source {source.name}", sources=_readers(project, name))


def _of_secrets_file(project: Project) -> Iterator[Secret]:
    for keys, value in _leaves(read_toml(project.root / SECRETS_FILE, SECRETS_FILE)):
        found = REFERENCE.fullmatch(value) if isinstance(value, str) else None
        refers = found[2].strip() if found and found[1] == "env" else ""
        as_json = _is_json(project, keys)
        name = "__".join(keys[:3] if as_json else keys).upper()
        used_by = " ".join((keys[0].removesuffix("s"), *keys[1:2])) + (", as JSON" if as_json else "")
        yield Secret(name, used_by, in_file=True, refers=refers, sources=_readers(project, name))


def _is_json(project: Project, keys: tuple[str, ...]) -> bool:
    """Whether they lead into a value that is given as a whole: what a connector is told has keys of anybody's."""
    sources = {source.name: source for source in project.config.sources} if keys[0] == "sources" else {}
    source = sources.get(keys[1]) if len(keys) > 3 else None
    entry = project.entry(source) if source else None
    field = entry.field(keys[2]) if entry else None
    return field is not None and field.kind == "json"


def _of_dotenv(project: Project, known: Iterable[Secret]) -> Iterator[Secret]:
    """What stands there; of the sources that something else names for it, or that its own name says."""
    named = {each.refers: each.sources for each in known} | {each.name: each.sources for each in known}
    for name in project.dotenv:
        if not name.startswith("DANGO_"):
            yield Secret(name, ENV_FILE, sources=named[name] if name in named else _readers(project, name))


def _readers(project: Project, name: str) -> tuple[str, ...]:
    """The sources that may look under this name: all of them, where it names no source, module or destination."""
    sources = project.config.sources
    section, _, rest = name.upper().partition("__")
    if section == "SOURCES" and (owners := [each for each in sources if _begins(rest, each.name)]):
        owner = max(owners, key=lambda each: len(each.name)).name
        field = rest[len(owner) + 2 :].partition("__")[0]
        heirs = (each for each in sources if owner in project.config.lineage(each.name) and not _says(each, field))
        return (owner, *(each.name for each in heirs))
    module = [each.name for each in sources if each.dlt_native and _begins(rest, _module(each.dlt_native))]
    if section == "SOURCES" and module:
        return tuple(module)
    if section == "DESTINATION":
        bound = {each.name: project.destination(each) for each in sources}
        told = {
            each.name for each in (*project.config.destinations.values(), *bound.values()) if _begins(rest, each.name)
        }
        told = told or {each.name for each in bound.values() if _begins(rest, each.type)}
        if told:
            return tuple(source for source, destination in bound.items() if destination.name in told)
    return tuple(each.name for each in sources)


def _says(source: Source, field: str) -> bool:
    """Whether `sources.yml` itself has the value, so that no other place is asked for it."""
    return field in (key.upper() for key in source.expandable()[1])


def _begins(rest: str, section: str) -> bool:
    return f"{rest}__".startswith(f"{section.upper()}__")


def _module(native: DltNative) -> str:
    """What dlt calls the section of a module."""
    return native.source_module.rpartition(".")[2]


def _leaves(section: Mapping[str, Any], above: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, (*above, key))
        else:
            yield (*above, key), value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _named(root: Path, texts: Iterable[str]) -> list[str]:
    """What of the project the texts name: a path, one with arguments behind it, or a pattern's folder."""
    found = []
    for text in texts:
        for word in (text, *_words(text)):
            path = _plain(word)
            first = path.partition("/")[0]
            if not path or first.startswith(".") or first in _NEVER or ".." in Path(path).parts:
                continue
            if (root / path).exists():
                found.append(path)
    return found


def _plain(word: str) -> str:
    """A path from the root as git would write it; of a pattern what stands before it; empty for no such path."""
    if word.startswith(("/", "~")) or "\n" in word:
        return ""
    fixed = word.removeprefix("./")
    for mark in "*?[{":
        before, found, _ = fixed.partition(mark)
        fixed = before.rpartition("/")[0] if found else fixed
    return fixed.strip("/")


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return []


def _of_environment(source: Source) -> tuple[str, ...]:
    return source.environment.requirements if source.environment else ()


def _lines(project: Project) -> list[str]:
    file = project.root / REQUIREMENTS_FILE
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    return [line.strip() for line in lines if line.strip() and not line.strip().startswith("#")]


def _name(line: str) -> str:
    try:
        return Requirement(line.partition(" #")[0]).name.lower()
    except InvalidRequirement:
        # A wheel is named like what it holds.
        return Path(line).name.partition("-")[0]

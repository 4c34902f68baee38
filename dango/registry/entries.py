"""The registry: what a source's type may be, where entries come from, which of two wins, and what is wrong with one.

Shipped entries stand in `registry/`, a package brings a folder of them by the entry point `dango.registry`, and a
project has its own `registry/`. The project's win over packages', and those over shipped ones. An entry's file is
named like its id, so that what there is can be told without reading it. A package may bring a source without an entry,
too (`dango.sources`); an entry of that id takes its place.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from dango.config.document import Document
from dango.config.models import Source
from dango.errors import ConfigError, EntryNotFound, Problem, located, near
from dango.files import leads_out
from dango.registry.entry import ID_PATTERN, Entry
from dango.registry.plugins import GROUPS, OWN, REGISTRY, SOURCES, Plugin, broken_like, faults, named, plugins
from dango.registry.validation import problems_in
from dango.resources import shipped

RESERVED = frozenset(Source.model_fields)


@dataclass(frozen=True, slots=True)
class Origin:
    """A folder of entries, and how people call it."""

    label: str
    folder: Path


@dataclass(frozen=True, slots=True)
class Listed:
    """An entry's file: the entry, or what is wrong with it."""

    id: str
    origin: str
    file: Path
    entry: Entry | None = None
    problems: tuple[Problem, ...] = ()
    shadows: tuple[str, ...] = field(default=())
    """The origins that have an entry of this id too, which this one hides."""

    def matches(self, words: Sequence[str]) -> bool:
        """Whether every word is part of its id, title, alias or category."""
        entry = self.entry
        known = (self.id, entry.title, entry.category, entry.summary, *entry.aliases) if entry else (self.id,)
        text = " ".join(known).lower()
        return all(word.lower() in text for word in words)


class Registry:
    """The entries that a project sees. Nothing is read before it is asked for, and nothing twice.

    Args:
        own: the project's folder of entries.
        cache: the folder in which is kept what their files mean.
    """

    def __init__(self, own: Path | None = None, cache: Path | None = None) -> None:
        self._own = own
        self._cache = cache
        self._read: dict[str, Listed] = {}

    @cached_property
    def origins(self) -> tuple[Origin, ...]:
        """Where entries come from, the winner first."""
        folder = shipped("registry")
        # This root's own `registry/` is the shipped one; it counts once.
        mine = [Origin("project", self._own)] if self._own and self._own.resolve() != folder.resolve() else []
        packaged = [_origin(plugin) for plugin in plugins(REGISTRY)]
        return (*mine, *packaged, Origin("shipped", folder))

    @cached_property
    def _files(self) -> dict[str, tuple[tuple[Origin, Path], ...]]:
        found: dict[str, tuple[tuple[Origin, Path], ...]] = {}
        for origin in self.origins:
            for file in _files_in(origin.folder):
                found[file.stem] = (*found.get(file.stem, ()), (origin, file))
        return dict(sorted(found.items()))

    @property
    def ids(self) -> tuple[str, ...]:
        """Every id, by the names of the files."""
        return tuple(self._files)

    @cached_property
    def sources(self) -> Mapping[str, Plugin]:
        """The sources of packages that may stand under `type:` as entries do, by name: those of no entry's id."""
        found = named(SOURCES)
        return {name: found[name] for name in found if name not in self._files and not _untyped(found[name])}

    @property
    def types(self) -> tuple[str, ...]:
        """What may stand under `type:`, besides `dlt_native`."""
        return (*self.ids, *self.sources)

    def brought(self, words: Sequence[str]) -> list[Plugin]:
        """What packages bring besides entries and holds every word; of those that share a name, the one that counts."""
        groups = [group for group in GROUPS if group != REGISTRY]
        return [each for group in groups for each in named(group).values() if each.matches(words)]

    @cached_property
    def broken(self) -> Mapping[Plugin, str]:
        """What packages say they bring and cannot be had, with why, as far as that is known without importing it."""
        return {each: why for group in GROUPS for each, why in faults(group).items()}

    @cached_property
    def untyped(self) -> Mapping[Plugin, str]:
        """The sources of packages that only `source_module` can name, with why."""
        return {each: why for each in plugins(SOURCES) if each not in self.broken and (why := _untyped(each))}

    def meant(self, kind: str) -> list[str]:
        """A line for each package that might have brought the type."""
        untyped = [f"{each} is no type: {why}" for each, why in self.untyped.items() if each.is_like(kind)]
        folders = [f"{each} is broken: {why}" for each, why in self.broken.items() if each.group == REGISTRY]
        return [*broken_like(kind, faults(SOURCES)), *untyped, *folders]

    def __iter__(self) -> Iterator[Listed]:
        """Every entry that is not hidden by another of its id, broken ones too."""
        for identity in self._files:
            yield self.listed(identity)

    def search(self, words: Sequence[str]) -> list[Listed]:
        """The entries that hold every word in id, title, summary, alias or category."""
        return [listed for listed in self if listed.matches(words)]

    def listed(self, identity: str) -> Listed:
        """The entry of that id, or what is wrong with it. Raises `EntryNotFound`, naming the nearest."""
        if identity not in self._files:
            raise self._not_found(identity)
        if identity not in self._read:
            self._read[identity] = self._listed(identity)
        return self._read[identity]

    def _not_found(self, identity: str) -> EntryNotFound:
        if plugin := self.sources.get(identity):
            message = f"`{identity}` is no registry entry, but {plugin}: `{plugin.value}`"
            return EntryNotFound(message, f"dango source add {identity}")
        known = near(self._aliases().get(identity.lower(), identity), self.types)
        more = "dango registry list shows what there is; `dango source add dlt_native` takes any dlt source"
        return EntryNotFound(f"no registry entry `{identity}`{known}", "\n".join([*self.meant(identity), more]))

    def _listed(self, identity: str) -> Listed:
        (origin, file), *hidden = self._files[identity]
        shadows = (*(other.label for other, _ in hidden), *self._sources_hidden_by(identity, origin))
        try:
            entry = entry_in(self._document(file))
            return Listed(identity, origin.label, file, entry, (), shadows)
        except ConfigError as error:
            return Listed(identity, origin.label, file, None, error.problems, shadows)

    def _sources_hidden_by(self, identity: str, origin: Origin) -> Iterator[str]:
        """The packages that have a source of an entry's id, but for the entry's own, and dango's."""
        for each in plugins(SOURCES):
            if each.name == identity and each.origin != origin.label and each.distribution != OWN:
                yield each.origin

    def entry(self, identity: str) -> Entry:
        """The entry of that id.

        Raises:
            EntryNotFound: naming the nearest.
            ConfigError: with every problem of its file.
        """
        listed = self.listed(identity)
        if listed.entry is None:
            raise ConfigError(listed.problems)
        return listed.entry

    def document(self, identity: str) -> Document:
        """The entry's file as written, for the places of what is in it."""
        return self._document(self.listed(identity).file)

    def _document(self, file: Path) -> Document:
        # A project may come from anywhere; what is installed is trusted as its code is, and may be all links.
        if self._own and file.is_relative_to(self._own) and leads_out(file, self._own.parent):
            problem = Problem("it is a link that leads out of the project", "put the file itself there")
            raise ConfigError([located(problem, self._name(file), (0, 0))])
        ours = self.origins[-1].folder
        return entry_document(file, self._name(file), self._cache, shipped=file.is_relative_to(ours))

    def _name(self, file: Path) -> str:
        return f"registry/{file.name}" if self._own and file.is_relative_to(self._own) else str(file)

    def _aliases(self) -> dict[str, str]:
        """The id that each alias stands for."""
        return {alias.lower(): listed.id for listed in self if listed.entry for alias in listed.entry.aliases}


def entry_in(document: Document) -> Entry:
    """The entry in a file. Raises `ConfigError` with every problem, each at its line and column."""
    try:
        entry = Entry.model_validate(document.data)
    except ValidationError as error:
        raise ConfigError(problems_in(document, error, Entry)) from error
    if entry.id != document.path.stem:
        message = f"the entry's id is `{entry.id}`, and its file is named `{document.path.name}`"
        raise _refused(document, message, f"name the file {entry.id}.yml")
    if entry.id in RESERVED:
        message = f"`{entry.id}` is a key of every source in sources.yml, and so no id of an entry"
        raise _refused(document, message, "choose another id")
    return entry


def no_type(name: str) -> str:
    """Why nothing of that name can stand under `type:`; empty where it can."""
    if name in RESERVED:
        return f"`{name}` is a key of every source in sources.yml"
    return "" if re.fullmatch(ID_PATTERN, name) else "types are lower-case letters, digits and `_`, a letter first"


def entry_document(file: Path, name: str, cache: Path | None = None, *, shipped: bool = False) -> Document:
    """An entry's file, for the places of what is in it. Raises `ConfigError` where it is not YAML.

    Args:
        file: where it is.
        name: as messages call it.
        cache: the folder in which is kept what it means.
        shipped: whether it is one of dango's own.
    """
    smallest = ("registry: 1", "id: …", "title: …", "category: …", "build: …")
    return Document(file, name, smallest=smallest, cache=cache, shipped=shipped)


def _refused(document: Document, message: str, hint: str) -> ConfigError:
    return ConfigError([located(Problem(message, hint), document.name, document.where(("id",)))])


def _files_in(folder: Path) -> list[Path]:
    """The files of entries in a folder, none where there is no folder; hidden ones belong to some other program."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(file for file in files if file.suffix in (".yml", ".yaml") and not file.name.startswith("."))


def _origin(plugin: Plugin) -> Origin:
    return Origin(plugin.origin, plugin.folder()[0])


def _untyped(plugin: Plugin) -> str:
    """Why a source of a package cannot stand under `type:`; empty where it can."""
    return no_type(plugin.name) or ("" if plugin.function else "it names no function, `module:function`")

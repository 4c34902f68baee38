"""The registry: where entries come from, which of two wins, and what is wrong with one.

Shipped entries stand in `registry/`, a package brings a folder of them by the entry point `dango.registry`, and a
project has its own `registry/`. The project's win over packages', and those over shipped ones. An entry's file is
named like its id, so that what there is can be told without reading it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pydantic import ValidationError

from dango.config.document import Document
from dango.config.models import Source
from dango.errors import ConfigError, EntryNotFound, Problem, located, near
from dango.files import leads_out
from dango.registry.entry import Entry
from dango.registry.plugins import REGISTRY, Plugin, plugins
from dango.registry.validation import problems_in
from dango.resources import shipped

RESERVED = frozenset(Source.model_fields)


@dataclass(frozen=True, slots=True)
class Origin:
    """A folder of entries, and how people call it."""

    label: str
    folder: Path
    problem: str = ""
    """Why the folder could not be found: a package that is broken."""


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

    @property
    def broken_packages(self) -> tuple[Origin, ...]:
        """Packages that say they have entries, and have none that can be found."""
        return tuple(origin for origin in self.origins if origin.problem)

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
            raise EntryNotFound(
                f"no registry entry `{identity}`{near(self._aliases().get(identity.lower(), identity), self.ids)}",
                "dango registry list shows what there is; `dango source add dlt_native` takes any dlt source",
            )
        if identity not in self._read:
            self._read[identity] = self._listed(identity)
        return self._read[identity]

    def _listed(self, identity: str) -> Listed:
        (origin, file), *hidden = self._files[identity]
        shadows = tuple(other.label for other, _ in hidden)
        try:
            entry = entry_in(self._document(file))
            return Listed(identity, origin.label, file, entry, (), shadows)
        except ConfigError as error:
            return Listed(identity, origin.label, file, None, error.problems, shadows)

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
        return entry_document(file, self._name(file), self._cache)

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


def entry_document(file: Path, name: str, cache: Path | None = None) -> Document:
    """An entry's file, for the places of what is in it. Raises `ConfigError` where it is not YAML.

    Args:
        file: where it is.
        name: as messages call it.
        cache: the folder in which is kept what it means.
    """
    smallest = ("registry: 1", "id: …", "title: …", "category: …", "build: …")
    return Document(file, name, smallest=smallest, cache=cache)


def _refused(document: Document, message: str, hint: str) -> ConfigError:
    return ConfigError([located(Problem(message, hint), document.name, document.where(("id",)))])


def _files_in(folder: Path) -> list[Path]:
    """The files of entries in a folder, none where there is no folder; hidden ones belong to some other program."""
    files = folder.iterdir() if folder.is_dir() else ()
    return sorted(file for file in files if file.suffix in (".yml", ".yaml") and not file.name.startswith("."))


def _origin(plugin: Plugin) -> Origin:
    folder, problem = plugin.folder()
    return Origin(f"package {plugin.distribution}", folder, problem)

"""Where a project is, what it holds, and its `sources.yml`."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from dango.config.document import Document
from dango.config.models import EMBEDDED, Config, Destination, Source
from dango.entrusted import Entrusted
from dango.errors import (
    ConfigError,
    DestinationNotFound,
    MissingEnvironment,
    Problem,
    ProjectNotFound,
    SourceNotFound,
    near,
)
from dango.job import Job
from dango.registry.entries import Registry
from dango.registry.entry import Entry
from dango.registry.plugins import Plugin
from dango.registry.validation import parse

ENV_FILE = ".env"
SOURCES_FILE = ".dango/sources.yml"
STATE_VARIABLE = "DANGO_STATE"
"""Names another folder for what is written while the project itself may not be."""
NATIVE = "dlt_native"
"""The type that runs any dlt source; every other type is the id of a registry entry, or a package's source."""

NODE_VARIABLE = "DANGO_NODE"
"""On a node of a cluster the folder in which it works. Set there, it names another than one for temporary files."""

ENV_REFERENCE = re.compile(r"env:([A-Za-z_][A-Za-z0-9_]*)(\??)")


@dataclass(frozen=True)
class Project:
    """A folder that holds `.dango/sources.yml`. Reading is lazy; nothing of the project's code is imported."""

    root: Path
    entrusted: Entrusted | None = field(default=None, repr=False, compare=False)
    """What stands for `.env` and `.dlt/secrets.toml` where the project has been taken elsewhere."""

    @classmethod
    def find(cls, start: Path | str | None = None) -> Project:
        """The project at `start` or the nearest above it.

        The walk ends at the home folder, at a mount boundary and at a folder that belongs to another user, so
        that nobody's project is picked up by accident.

        Raises:
            ProjectNotFound: with what was looked at.
        """
        first = Path(start or Path.cwd()).resolve()
        stop = "the root folder"
        for folder in (first, *first.parents):
            if folder != first and (reason := _border(folder, first)):
                stop = f"{folder}, {reason}"
                break
            if _holds(folder):
                return cls(folder)
        raise ProjectNotFound(
            f"no dango project in {first} or above it (looked for {SOURCES_FILE} up to {stop})",
            "`dango init` makes one here; `--project DIR` names one elsewhere",
        )

    @classmethod
    def at(cls, root: Path | str) -> Project:
        """The project in this very folder. Raises `ProjectNotFound` when there is none."""
        root = Path(root).expanduser().resolve()
        if not _holds(root):
            raise ProjectNotFound(f"no dango project in {root}: {SOURCES_FILE} is missing", f"dango init {root}")
        return cls(root)

    @classmethod
    def blank(cls, folder: Path) -> Project:
        """A project without a source, made in an empty folder."""
        file = folder / SOURCES_FILE
        file.parent.mkdir(mode=0o700)
        file.write_text("version: 1\nsources: []\n", encoding="utf-8")
        return cls(folder)

    @property
    def state(self) -> Path:
        """Locks, history, logs, dlt's working folders: all that is not in git."""
        # Of this place and not of the project: what `.env` says does not count.
        return self.root / os.environ.get(STATE_VARIABLE, ".dango")

    def shown(self, path: Path) -> str:
        """A path as people read it: from the project's root, where it is inside."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else str(path)

    @property
    def cache(self) -> Path:
        """What could be made again from other files, and is quicker to read."""
        return self.state / "cache"

    @property
    def custom_sources(self) -> Path:
        """The folder of the user's own sources."""
        return self.root / "custom_sources"

    @property
    def warehouse(self) -> Path:
        """The file of the embedded destination."""
        return self.root / "data" / "warehouse.duckdb"

    @cached_property
    def document(self) -> Document:
        """`sources.yml` as written. Raises `ConfigError` where it is not YAML."""
        return Document(self.root / SOURCES_FILE, SOURCES_FILE, cache=self.cache)

    @cached_property
    def config(self) -> Config:
        """`sources.yml` as meant. Raises `ConfigError` with every problem of the file."""
        sources = self.document.data.get("sources")
        listed = [source for source in (sources if isinstance(sources, list) else []) if isinstance(source, Mapping)]
        # Who needs no registry does not wait for the entry points of all that is installed.
        # One without a type extends another.
        kinds = {str(source.get("type") or NATIVE) for source in listed}
        known = (NATIVE, *(self.registry.types if kinds - {NATIVE} else ()))
        return parse(self.document, known, self._entry_of, self.registry.meant)

    @cached_property
    def registry(self) -> Registry:
        """The registry entries that this project sees: its own, packages' and dango's."""
        return Registry(self.root / "registry", self.cache)

    def entry(self, source: Source) -> Entry | None:
        """The registry entry of the source's type; None where that is none. Raises `ConfigError` where it is broken."""
        return self._entry_of(source.type)

    def plugin(self, source: Source) -> Plugin | None:
        """The package's source that is the source's type; None where that is none."""
        return None if source.type == NATIVE else self.registry.sources.get(source.type)

    def _entry_of(self, kind: str) -> Entry | None:
        return None if kind == NATIVE or kind in self.registry.sources else self.registry.entry(kind)

    @cached_property
    def dotenv(self) -> Mapping[str, str]:
        """What `.env` sets; empty where there is none."""
        if self.entrusted is not None:
            return self.entrusted.variables
        try:
            values = dotenv_values(self.root / ENV_FILE)
        except UnicodeDecodeError as error:
            raise ConfigError([Problem(f"not UTF-8: {error.reason} at byte {error.start}", file=ENV_FILE)]) from error
        except OSError as error:
            raise ConfigError([Problem(f"cannot be read: {error.strerror}", file=ENV_FILE)]) from error
        return {key: value for key, value in values.items() if value is not None}

    @property
    def environment(self) -> dict[str, str]:
        """The process environment, with `.env` behind it; before it where that is another machine's."""
        return {**os.environ, **self.dotenv} if self.entrusted is not None else {**self.dotenv, **os.environ}

    def source(self, name: str) -> Source:
        """The source of that name. Raises `SourceNotFound`, naming the nearest."""
        for source in self.config.sources:
            if source.name == name:
                return source
        names = [source.name for source in self.config.sources]
        raise SourceNotFound(
            f"no source `{name}` in this project{near(name, names)}",
            f"sources: {', '.join(names)}" if names else f"{SOURCES_FILE} lists no source yet",
        )

    def index(self, name: str) -> int:
        """The position of the source in `sources.yml`."""
        return next(i for i, source in enumerate(self.config.sources) if source.name == name)

    def place(self, name: str, loc: tuple[str | int, ...] = ()) -> str:
        """`file:line:column` of a key inside the source's block, or where the source has it from; empty for a source
        that is not in the file yet."""
        if name not in (source.name for source in self.config.sources):
            return ""
        return self.document.place(self._written(name, loc))

    def _written(self, name: str, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
        """Where a key of a source stands: in its block, in one that it extends, or under `defaults`."""
        blocks = [("sources", self.index(each)) for each in (name, *self.config.lineage(name))]
        places = [(*block, *loc) for block in (*blocks, ("defaults",))]
        return next((place for place in places if self.document.value(place) is not None), places[0])

    def destination(self, source: Source, override: str | None = None) -> Destination:
        """Where the source goes. Raises `DestinationNotFound` when `override` names nothing."""
        try:
            return self.config.destination_of(source, override)
        except KeyError as missing:
            known = [EMBEDDED, *self.config.destinations]
            name = missing.args[0]
            raise DestinationNotFound(
                f"no destination `{name}`{near(name, known)}",
                f"known destinations: {', '.join(known)}; more go under `destinations:` in {SOURCES_FILE}",
            ) from None

    def job(self, source: Source, run: str = "", destination: str | None = None, **asked: Any) -> Job:
        """The work that loading a source is.

        Args:
            source: one of this project's, or one that the wizard is about to add.
            run: the name of the run; empty where nothing is loaded.
            destination: the name of another destination than the configured one.
            asked: what else a `Job` holds.
        """
        entry, broken = None, ""
        try:
            entry = self.entry(source)
        except ConfigError as error:
            broken = str(error)
        return Job(
            root=self.root,
            run=run,
            source=source,
            destination=self.destination(source, destination),
            entry=entry,
            broken=broken,
            plugin=self.plugin(source),
            neighbours=tuple(other.name for other in self.config.sources if other.name != source.name),
            extends=self.config.lineage(source.name),
            **asked,
        )

    def working_folder(self, source: Source, destination: Destination, dataset: str) -> Path:
        """Where dlt keeps this source's state and packages: one place a source, destination and dataset."""
        return self.state / "pipelines" / f"{source.name}--{destination.name}--{dataset}"

    def require_environment(self, sources: Iterable[Source], destinations: Iterable[Destination]) -> None:
        """Checks that every `env:NAME` of these is set.

        Raises:
            MissingEnvironment: naming all that are not, with their places.
        """
        problems = [
            *(problem for source in sources for problem in self._unset_in_source(source)),
            *(problem for destination in destinations for problem in self._unset_in_destination(destination)),
        ]
        if problems:
            names = list(dict.fromkeys(problem.hint for problem in problems))
            lines = "\n".join(f"{name}=…" for name in names)
            raise MissingEnvironment(
                "\n".join(str(problem) for problem in problems),
                f"set in the environment, or add to {self.root / '.env'}:\n{lines}",
            )

    def unset(self, source: Source) -> list[Problem]:
        """The `env:` names of a source that are not set; `hint` is the name."""
        return list(self._unset_in_source(source))

    def unset_in_destination(self, destination: Destination) -> list[Problem]:
        """The `env:` names of a destination that are not set; `hint` is the name."""
        return list(self._unset_in_destination(destination))

    def _unset_in_source(self, source: Source) -> Iterator[Problem]:
        for keys, values in source.references:
            yield from self._unset(source.name, keys, values)

    def _unset_in_destination(self, destination: Destination) -> Iterator[Problem]:
        yield from self._unset("", ("destinations", destination.name), destination.parameters)

    def _unset(self, source: str, loc: tuple[str | int, ...], value: Any) -> Iterator[Problem]:
        """The `env:` names in a value that are not set. `loc` is in the source's block; in the file without one."""
        if isinstance(value, Mapping):
            for key, item in value.items():
                yield from self._unset(source, (*loc, key), item)
        elif isinstance(value, list | tuple):
            for position, item in enumerate(value):
                yield from self._unset(source, (*loc, position), item)
        elif isinstance(value, str) and (found := ENV_REFERENCE.fullmatch(value)):
            name, optional = found.groups()
            if self.environment.get(name) or (optional and name in self.environment):
                return
            line, column = self.document.where(self._written(source, loc) if source else loc)
            fault = "is set but empty" if name in self.environment else "is not set"
            yield Problem(f"the environment variable {name} {fault}", name, self.document.name, line, column)


def _holds(folder: Path) -> bool:
    """Whether the folder is a project; also with a `sources.yml` that cannot be read, which reading it then says."""
    try:
        return (folder / SOURCES_FILE).exists()
    except PermissionError:
        return True


def _border(folder: Path, start: Path) -> str:
    """Why the walk does not enter this folder; empty when it may."""
    if folder == Path.home():
        return "the home folder"
    try:
        if folder.stat().st_dev != start.stat().st_dev:
            return "another file system"
        # Windows has neither owners of this kind nor geteuid.
        if hasattr(os, "geteuid") and folder.stat().st_uid != os.geteuid():
            return "which belongs to another user"
    except OSError as error:
        return str(error.strerror)
    return ""

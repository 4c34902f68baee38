"""What installed packages add to dango, by entry points: found by their metadata, imported where they are used.

dango's own stand in its `pyproject.toml` as anybody's would.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import importlib.util
import re
import sys
import traceback
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from dango.errors import BrokenPlugin, PluginNotFound, causes, near
from dango.resources import checkout

SOURCES = "dango.sources"
REGISTRY = "dango.registry"
PROCESSORS = "dango.processors"
EXECUTORS = "dango.executors"
GROUPS = (SOURCES, REGISTRY, PROCESSORS, EXECUTORS)
OWN = "dango"
"""The distribution whose plugins are dango's own."""

_REFERENCE = re.compile(r"([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)\s*:\s*([A-Za-z_]\w*)")
_FILE = "entry_points.txt"
_ENTRY = re.compile(r'^(\w+) = "([^"]+)"$', re.M)
_DECLARED = re.compile(r'^\[project\.entry-points\."(dango\.\w+)"\]\n((?:\w+ = "[^"]+"\n)+)', re.M)


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point: its group and name, what it names, and the distribution that has it."""

    group: str
    name: str
    value: str
    distribution: str

    def __str__(self) -> str:
        return f"the {self.kind} `{self.name}` of package {self.distribution}"

    @property
    def kind(self) -> str:
        """What it is one of: a source, a processor, an executor, a registry."""
        return self.group.removeprefix("dango.").removesuffix("s")

    @property
    def origin(self) -> str:
        """Where it comes from, as people call it."""
        return "shipped" if self.distribution == OWN else f"package {self.distribution}"

    @property
    def module(self) -> str:
        """The module that it names, without what it names in it."""
        return self.value.partition(":")[0].strip()

    @property
    def function(self) -> str:
        """What it names in the module; empty where it names nothing in it."""
        found = _REFERENCE.fullmatch(self.value)
        return found.group(2) if found else ""

    @property
    def hides(self) -> tuple[str, ...]:
        """The origins of those of its name that do not count because of it."""
        alike = [other for other in plugins(self.group) if other.name == self.name]
        return tuple(other.origin for other in alike[alike.index(self) + 1 :])

    def matches(self, words: Iterable[str]) -> bool:
        """Whether every word is part of its name, of what it names, or of the distribution's name."""
        text = f"{self.name} {self.value} {self.distribution}".lower()
        return all(word.lower() in text for word in words)

    def is_like(self, name: str) -> bool:
        """Whether its name is this one, or nearly."""
        return bool(get_close_matches(name.lower(), [self.name.lower()], cutoff=0.6))

    def fault(self) -> str:
        """Why it cannot be had, as far as that is known without importing it; empty where nothing is known."""
        if self.group == REGISTRY:
            return self.folder()[1]
        # A source may be a module alone, for `source_module`.
        if not self.function and (self.group != SOURCES or ":" in self.value):
            return f"it names `{self.value}`, which is not of the form `module:function`"
        return "" if _is_there(self.module) else f"its module `{self.module}` is not installed"

    def folder(self) -> tuple[Path, str]:
        """The folder of the package that it names, and why there is none.

        Found without importing anything of the package, so that a broken one harms nobody.
        """
        package, *below = self.value.split(".")
        # Python would import a package to find what is below it.
        spec = _spec(package)
        places = [Path(place, *below) for place in (spec and spec.submodule_search_locations) or ()]
        folder = next((place for place in places if place.is_dir()), None)
        return (
            (folder, "") if folder else (Path(), f"`{self.value}` is no package that is installed, nor a folder in one")
        )

    def load(self, loc: tuple[str | int, ...] = ()) -> Any:
        """What it names: its module is imported.

        Args:
            loc: the keys that name it inside the source's block, for the place of the error.

        Raises:
            BrokenPlugin: with what went wrong, down to its root.
        """
        if not self.function:
            raise self.broken(f"it names no function: `{self.value}`", self._mended(), loc)
        try:
            module = importlib.import_module(self.module)
            found = getattr(module, self.function, None)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            why = f"importing `{self.module}` failed: {told(error)}"
            raise self.broken(why, self._mended(error), loc) from error
        if found is None:
            why = f"`{self.module}` has no `{self.function}`{near(self.function, vars(module))}"
            raise self.broken(why, self._mended(), loc)
        return found

    def broken(self, why: str, hint: str = "", loc: tuple[str | int, ...] = ()) -> BrokenPlugin:
        """The error that says so, for what is found when it is used."""
        return BrokenPlugin(f"{self} is broken: {why}", hint, loc=loc)

    def _mended(self, error: BaseException | None = None) -> str:
        """The command that may help."""
        # Most commands know no broken plugin, and do not wait for it.
        from dango import packages

        root = causes(error)[-1] if error else None
        if isinstance(root, ModuleNotFoundError) and root.name and not _is_or_holds(root.name, self.module):
            return packages.install([packages.bringing(root.name)])
        return f"perhaps it is mended by now: {packages.install(['--upgrade', self.distribution])}"


def plugins(group: str) -> list[Plugin]:
    """The entry points of a group, by name. Of several that share one the first counts.

    dango's own come last, but for processors: as `hash` is no package's to replace, what it hides stays hidden.
    """
    return [plugin for plugin in _plugins(tuple(sys.path)) if plugin.group == group]


def named(group: str) -> dict[str, Plugin]:
    """The entry points of a group that count, by name."""
    found: dict[str, Plugin] = {}
    for each in plugins(group):
        found.setdefault(each.name, each)
    return found


def plugin(group: str, name: str) -> Plugin:
    """The entry point of that name. Raises `PluginNotFound`, naming the nearest, and those of them that are broken."""
    found = named(group)
    if name not in found:
        kind = group.removeprefix("dango.")
        raise PluginNotFound(
            f"no {kind.removesuffix('s')} `{name}` is installed{near(name, found)}",
            "\n".join([*broken_like(name, faults(group)), f"{kind}: {', '.join(sorted(found)) or 'none'}"]),
        )
    return found[name]


def faults(group: str) -> dict[Plugin, str]:
    """The entry points of a group that cannot be had, with why, as far as that is known without importing them."""
    return {each: why for each in plugins(group) if (why := each.fault())}


def broken_like(name: str, broken: Mapping[Plugin, str]) -> list[str]:
    """A line for each broken one that may be meant by a name that is not known."""
    return [f"{each} is broken: {why}" for each, why in broken.items() if each.is_like(name)]


def told(error: BaseException) -> str:
    """What went wrong down to its root, and where that was: `ImportError: no reader <- AttributeError: … (a.py:3)`."""
    chain = causes(error)
    said = " <- ".join(": ".join(filter(None, (type(each).__name__, " ".join(str(each).split())))) for each in chain)
    theirs = [
        frame
        for frame in traceback.extract_tb(chain[-1].__traceback__)
        if not frame.filename.startswith("<") and frame.filename not in (__file__, importlib.__file__)
    ]
    return f"{said} ({theirs[-1].filename}:{theirs[-1].lineno})" if theirs else said


@cache
def _plugins(path: tuple[str, ...]) -> tuple[Plugin, ...]:
    # All that is installed is looked through for them: once, not for each source.
    source = checkout()
    installed = (each for each in _installed() if source is None or each.distribution != OWN)
    found = {*installed, *(_of_checkout(source) if source else ())}
    return tuple(sorted(found, key=_order))


def _order(plugin: Plugin) -> tuple[str, bool, str, str]:
    behind = (plugin.distribution == OWN) == (plugin.group != PROCESSORS)
    return plugin.name, behind, plugin.distribution, plugin.value


def _of_checkout(folder: Path) -> Iterator[Plugin]:
    """dango's own, from what they are installed from: a checkout's metadata are as old as its installation."""
    # Of a file of our own, in one form; completion does not wait for a parser.
    for group, entries in _DECLARED.findall((folder / "pyproject.toml").read_text(encoding="utf-8")):
        yield from (Plugin(group, name, value, OWN) for name, value in _ENTRY.findall(entries))


def _installed() -> Iterator[Plugin]:
    for distribution in importlib.metadata.distributions():
        text = distribution.read_text(_FILE) or ""
        # Few have any; to read what each is called would take longer than all the rest.
        if "[dango." in text and not _is_overlaid(name := distribution.metadata["Name"], text):
            yield from (Plugin(each.group, each.name, each.value, name) for each in distribution.entry_points)


def _is_overlaid(name: str, text: str) -> bool:
    """Whether another installation of the distribution stands before this one on Python's path."""
    return importlib.metadata.distribution(name).read_text(_FILE) != text


def _is_there(module: str) -> bool:
    """Whether there is such a module. The packages that it is in are not imported."""
    if module in sys.modules:
        return True
    top, *below = module.split(".")
    spec = _spec(top)
    for part in below:
        if spec is None:
            return False
        spec = PathFinder.find_spec(f"{spec.name}.{part}", list(spec.submodule_search_locations or ()))
    return spec is not None


def _spec(package: str) -> ModuleSpec | None:
    try:
        return importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):
        # One that is loaded already, and has no spec; or a finder of some other package's that fails.
        return None


def _is_or_holds(name: str, module: str) -> bool:
    return module == name or module.startswith(f"{name}.")

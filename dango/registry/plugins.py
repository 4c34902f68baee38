"""What installed packages add to dango, by entry points. Listing them imports nothing of theirs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCES = "dango.sources"
REGISTRY = "dango.registry"
PROCESSORS = "dango.processors"


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point: its name, what it names, and the distribution that has it."""

    name: str
    value: str
    distribution: str

    @property
    def module(self) -> str:
        """The module that it names, without what it names in it."""
        return self.value.partition(":")[0].strip()

    def folder(self) -> tuple[Path, str]:
        """The folder of the package that it names, and why there is none.

        Found without importing anything of the package, so that a broken one harms nobody.
        """
        package, *below = self.value.split(".")
        # Python would import a package to find what is below it.
        places = [Path(place, *below) for place in _places(package)]
        folder = next((place for place in places if place.is_dir()), None)
        return (
            (folder, "") if folder else (Path(), f"`{self.value}` is no package that is installed, nor a folder in one")
        )


def _places(package: str) -> list[str]:
    """The folders of an installed package; none for a module, and where there is none of that name."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError, AttributeError):
        # One that is loaded already, and has no spec; or a finder of some other package's that fails.
        spec = None
    return list(spec.submodule_search_locations or ()) if spec else []


def plugins(group: str) -> list[Plugin]:
    """The entry points of a group, by name."""
    return list(_plugins(group, tuple(sys.path)))


@cache
def _plugins(group: str, path: tuple[str, ...]) -> tuple[Plugin, ...]:
    # All that is installed is looked through for them: once, not for each source.
    found = (
        Plugin(entry.name, entry.value, entry.dist.name if entry.dist else "unknown")
        for entry in importlib.metadata.entry_points(group=group)
    )
    return tuple(sorted(found, key=lambda plugin: (plugin.name, plugin.distribution)))

"""What installed packages add to dango, by entry points. Listing them imports nothing of theirs."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

SOURCES = "dango.sources"
REGISTRY = "dango.registry"


@dataclass(frozen=True, slots=True)
class Plugin:
    """An entry point: its name, what it names, and the distribution that has it."""

    name: str
    value: str
    distribution: str

    def folder(self) -> tuple[Path, str]:
        """The folder of the package that it names, and why there is none.

        Found without importing the package itself, so that a broken one harms nobody.
        """
        try:
            spec = importlib.util.find_spec(self.value)
        except (ImportError, ValueError, AttributeError) as error:
            return Path(), f"{self.value}: {error}"
        places = list(spec.submodule_search_locations or ()) if spec else []
        if not places:
            return Path(), f"{self.value} is no package that is installed"
        return Path(places[0]), ""


def plugins(group: str) -> list[Plugin]:
    """The entry points of a group, by name."""
    found = (
        Plugin(entry.name, entry.value, entry.dist.name if entry.dist else "unknown")
        for entry in importlib.metadata.entry_points(group=group)
    )
    return sorted(found, key=lambda plugin: (plugin.name, plugin.distribution))

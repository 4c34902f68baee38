"""Which tool's file it is, and the reader for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dango.errors import UsageError, near
from dango.imports import datahub, getdango, given, meltano, openmetadata, vdk
from dango.imports.found import Found, Imported
from dango.imports.given import Given
from dango.imports.ledger import Ledger, Part, Rules


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of file.

    Attributes:
        title: as people call it.
        rules: what of it is not carried over.
        read: fills a `Found`.
        fits: whether a file is one, by what it holds.
    """

    title: str
    rules: Rules
    read: Callable[[Part, Found], None]
    fits: Callable[[Mapping[str, Any]], bool]


def _is_workflow(data: Mapping[str, Any]) -> bool:
    source = data.get("source")
    known = ("serviceName", "serviceConnection", "sourceConfig")
    return isinstance(source, Mapping) and ("workflowConfig" in data or any(key in source for key in known))


def _is_recipe(data: Mapping[str, Any]) -> bool:
    source = data.get("source")
    return isinstance(source, Mapping) and "type" in source and not _is_workflow(data)


def _is_meltano(data: Mapping[str, Any]) -> bool:
    return isinstance(data.get("plugins"), Mapping) or "default_environment" in data


FORMATS = {
    "meltano": Format("a meltano.yml", meltano.RULES, meltano.read, _is_meltano),
    "datahub": Format("a recipe of DataHub", datahub.RULES, datahub.read, _is_recipe),
    "openmetadata": Format("a workflow of OpenMetadata", openmetadata.RULES, openmetadata.read, _is_workflow),
    "vdk": Format(
        "a config.toml of VDK's data sources",
        vdk.RULES,
        vdk.read,
        lambda data: isinstance(data.get("sources"), Mapping),
    ),
    "getdango": Format(
        "a sources.yml of getdango", getdango.RULES, getdango.read, lambda data: isinstance(data.get("sources"), list)
    ),
}


def read(path: Path, name: str, folder: str = "", kind: str = "") -> Imported:
    """A file of another tool as sources of dango's.

    Args:
        path: the file.
        name: as messages call it.
        folder: where it stands, from the project's folder.
        kind: one of `FORMATS`; found by what the file holds where empty.

    Raises:
        ConfigError: where it is not YAML or TOML, or not of the shape that its tool wants, at its place.
        UsageError: where it is no file of a tool that is known.
    """
    if kind and kind not in FORMATS:
        raise UsageError(f"--from {kind}: no such format{near(kind, FORMATS)}", f"one of: {', '.join(FORMATS)}")
    file = given.read(path, name, folder)
    return of_given(file, kind or _recognised(file))


def of_given(file: Given, kind: str) -> Imported:
    """What a file of a known kind comes to. Raises `ConfigError` where it is not of that shape."""
    form = FORMATS[kind]
    ledger, found = Ledger(file, form.rules), Found()
    form.read(Part(ledger, (), file.data), found)
    return Imported(kind, form.title, tuple(found.sources), tuple(found.targets), tuple(found.refused), ledger.notes())


def _recognised(file: Given) -> str:
    fitting = [kind for kind, form in FORMATS.items() if form.fits(file.data)]
    if len(fitting) == 1:
        return fitting[0]
    why = f"may be of {' or '.join(fitting)}" if fitting else "is of no tool whose files are read"
    known = "\n".join(f"--from {kind}: {form.title}" for kind, form in FORMATS.items())
    raise UsageError(f"{file.name} {why}", f"say which it is, if it is one of these:\n{known}")

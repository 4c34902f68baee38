"""How each resource of an entry is loaded, as far as its configuration says: for the people who read of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from dango.registry.entry import Entry, RestApi
from dango.registry.lint.api import Api, Resource, mapping, words
from dango.registry.template import PLACEHOLDER


@dataclass(frozen=True, slots=True)
class Loading:
    """One resource: what it holds, and what a sync does about it."""

    name: str
    about: str
    is_default: bool
    """Whether it is loaded where the user does not say what is."""
    write: str = ""
    key: tuple[str, ...] = ()
    parent: str = ""
    """The resource that it is asked for row by row."""
    replaces: str = ""
    """The column of which each value is read whole, and takes the place of what was there of it."""
    cursor: str = ""
    by_source: bool = False
    """Whether a function asks for what is new, in its own way."""
    asked_with: str = ""
    """What of the request holds the cursor; empty where the vendor cannot be asked for less."""
    newest_first: bool = False
    """Whether reading ends at the first row that is known."""
    again: dt.timedelta = dt.timedelta()
    """How much before the cursor is read once more."""


def loadings(entry: Entry) -> list[Loading]:
    """The resources of an entry that are known without asking anybody, in its order."""
    if not isinstance(entry.build, RestApi):
        return [_by_function(entry, name) for name in entry.resources]
    return [_loading(entry, resource) for resource in Api(entry, entry.build).resources]


def _named(entry: Entry, name: str) -> Loading:
    default = entry.select.default
    return Loading(name, entry.describe.get(name, ""), not default or name in default)


def _by_function(entry: Entry, name: str) -> Loading:
    known, said = _named(entry, name), entry.loads.get(name, entry.loads.get("*"))
    if said is None:
        return known
    return replace(
        known, write=said.write_disposition, key=said.key, replaces=said.replaces, cursor=said.cursor, by_source=True
    )


def _loading(entry: Entry, resource: Resource) -> Loading:
    known = _named(entry, resource.name)
    incremental = mapping(resource.incremental.value)
    disposition = resource.hint("write_disposition").value or "append"
    return Loading(
        known.name, known.about, known.is_default,
        write=str(mapping(disposition).get("disposition", disposition)),
        key=tuple(words(resource.hint("primary_key").value)),
        parent=next((reference.parent for reference in resource.references), ""),
        cursor=str(incremental.get("cursor_path", "")),
        asked_with=str(incremental.get("start_param") or _asked_with(resource)),
        newest_first=incremental.get("row_order") == "desc",
        again=_again(entry, incremental),
    )  # fmt: skip


def _asked_with(resource: Resource) -> str:
    """The keys below the part of the request whose value has the cursor in it."""
    for part, text, loc in resource.formatted():
        if "{incremental." in text:
            return ".".join(str(key) for key in loc[loc.index(part) + 1 :] if not isinstance(key, int)) or part
    return ""


def _again(entry: Entry, incremental: Mapping[str, Any]) -> dt.timedelta:
    """The lag, which counts in the cursor's own unit."""
    lag = incremental.get("lag") or 0
    written = PLACEHOLDER.fullmatch(str(incremental.get("initial_value")))
    spec = entry.field(written[1]) if written else None
    form = (written[2] if written else "") or (spec.kind if spec else "")
    return dt.timedelta(**{{"date": "days", "epoch_ms": "milliseconds"}.get(form, "seconds"): lag})

"""`${field}` in an entry becomes what the user said. What dlt itself fills in later, `{…}`, is left to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from dango.config.text.values import kind
from dango.conversions import CONVERSIONS, convert

SECRETS = "secrets."
PLACEHOLDER = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_.]*)(?:\|([a-z_]+))?\}")

# dlt formats these, and nothing else of a configuration, whenever it sends a request: a brace in a value would be
# taken for one of its own placeholders.
FORMATTED = ("path", "params", "headers", "json", "data")

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Placeholder:
    """One `${name|filter}`; `name` is `secrets.x` for a secret."""

    name: str
    filter: str
    loc: Path


class _Dropped:
    """What stands for a value that has a placeholder with nothing in it."""


_DROPPED = _Dropped()

FILTERS: Mapping[str, Callable[[Any], Any]] = {
    "int": int,
    "json": json.dumps,
    **{name: partial(convert, name=name) for name in CONVERSIONS},
}


def placeholders(template: Any, loc: Path = ()) -> Iterator[Placeholder]:
    """Every placeholder of a template, keys included."""
    if isinstance(template, Mapping):
        for key, item in template.items():
            yield from placeholders(key, (*loc, key))
            yield from placeholders(item, (*loc, key))
    elif isinstance(template, list | tuple):
        for position, item in enumerate(template):
            yield from placeholders(item, (*loc, position))
    elif isinstance(template, str):
        for found in PLACEHOLDER.finditer(template):
            yield Placeholder(found.group(1), found.group(2) or "", loc)


def filled(template: Mapping[str, Any], values: Mapping[str, Any], *, rest_api: bool = False) -> dict[str, Any]:
    """The template with every placeholder filled in.

    A text that is one placeholder becomes its value, of whatever type; in a longer text the value is put in. Where a
    value is empty, the key or item that holds the placeholder is left out; of an `auth` block the whole.

    Args:
        template: plain data.
        values: by the placeholders' names.
        rest_api: whether it is a configuration of dlt's `rest_api`, in which braces of values are doubled (in a path,
            percent-encoded) where dlt would take them for its own.

    Raises:
        ValueError: when a value does not go through its filter; the value is not shown.
    """

    def fill(text: str, loc: Path) -> Any:
        return _filled(text, values, _kept_through(loc) if rest_api else _as_it_is)

    present = {name for name, value in values.items() if not _is_empty(value)}
    return _mapping(template, (), _Walk(present, fill))


def pruned(template: Mapping[str, Any], present: Collection[str]) -> dict[str, Any]:
    """The template as filling it would leave it, with the placeholders of what is present still in it."""
    return _mapping(template, (), _Walk(present, lambda text, loc: text))


@dataclass(frozen=True, slots=True)
class _Walk:
    """What is done with every text of a template; one with a placeholder that is not present falls out."""

    present: Collection[str]
    each: Callable[[str, Path], Any]

    def text(self, text: str, loc: Path) -> Any:
        """The text's value, or that it is dropped."""
        lacking = any(found.group(1) not in self.present for found in PLACEHOLDER.finditer(text))
        return _DROPPED if lacking else self.each(text, loc)


def _value(node: Any, loc: Path, walk: _Walk) -> Any:
    if isinstance(node, Mapping):
        return _mapping(node, loc, walk)
    if isinstance(node, list | tuple):
        items = [_value(item, (*loc, position), walk) for position, item in enumerate(node)]
        return [item for item in items if item is not _DROPPED]
    return walk.text(node, loc) if isinstance(node, str) else node


def _mapping(node: Mapping[str, Any], loc: Path, walk: _Walk) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, item in node.items():
        if key == "auth" and any(found.name not in walk.present for found in placeholders(item)):
            continue
        name = walk.text(key, loc) if isinstance(key, str) else key
        value = _value(item, (*loc, key), walk)
        if isinstance(name, list | tuple | Mapping):
            raise ValueError(f"`{key}` is the name of a key, and is filled with {kind(name)}")
        if value is not _DROPPED and name is not _DROPPED:
            made[name] = value
    return made


def _filled(text: str, values: Mapping[str, Any], kept: Callable[[Any], Any]) -> Any:
    if whole := PLACEHOLDER.fullmatch(text):
        return kept(_through_filter(whole, values))
    return PLACEHOLDER.sub(lambda found: str(kept(_as_text(_through_filter(found, values)))), text)


def _through_filter(found: re.Match[str], values: Mapping[str, Any]) -> Any:
    value = values[found.group(1)]
    if found.group(2) is None:
        return value
    if found.group(2) not in FILTERS:
        raise ValueError(f"`{found.group()}`: there is no filter `{found.group(2)}`: {', '.join(FILTERS)}")
    try:
        return FILTERS[found.group(2)](value)
    except (ValueError, TypeError, OverflowError, RecursionError):
        # What the filter says quotes the value, which may be a secret.
        raise ValueError(f"`{found.group(1)}` cannot be made {found.group(2)}") from None


def _as_text(value: Any) -> str:
    """As vendors read it inside a longer text: what is true as `true`, a list with commas."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(_as_text, value)) if isinstance(value, list | tuple) else str(value)


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [])


def _kept_through(loc: Path) -> Callable[[Any], Any]:
    """How a value passes through dlt, which formats what stands in an endpoint, or in the default of all, under one
    of five keys; a path it even formats twice."""
    match loc:
        case ("resources", int(), "endpoint", key, *_) | ("resource_defaults", "endpoint", key, *_):
            return _in_path if key == "path" else escaped if key in FORMATTED else _as_it_is
        case _:
            return _as_it_is


def _as_it_is(value: Any) -> Any:
    return value


def _in_path(value: Any) -> Any:
    return value.replace("{", "%7B").replace("}", "%7D") if isinstance(value, str) else value


def escaped(value: Any) -> Any:
    """The value with every brace in it doubled, at any depth: dlt then sends it as it was."""
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, Mapping):
        return {escaped(key): escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escaped(item) for item in value]
    return value

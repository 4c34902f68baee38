"""`${field}` in an entry becomes what the user said. What dlt itself fills in later, `{…}`, is left to it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from dango.conversions import CONVERSIONS, convert

SECRETS = "secrets."
PLACEHOLDER = re.compile(r"\$\{([a-z][a-z0-9_.]*)(?:\|([a-z_]+))?\}")

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
        rest_api: whether it is a configuration of dlt's `rest_api`, in which braces of values are doubled where dlt
            would take them for its own.

    Raises:
        ValueError: when a value does not go through its filter; the value is not shown.
    """
    return _mapping(template, values, (), rest_api)


def _filled(template: Any, values: Mapping[str, Any], loc: Path, rest_api: bool) -> Any:
    if isinstance(template, Mapping):
        return _mapping(template, values, loc, rest_api)
    if isinstance(template, list | tuple):
        items = [_filled(item, values, (*loc, position), rest_api) for position, item in enumerate(template)]
        return [item for item in items if item is not _DROPPED]
    if isinstance(template, str):
        return _text(template, values, doubled=rest_api and _is_formatted(loc))
    return template


def _mapping(template: Mapping[str, Any], values: Mapping[str, Any], loc: Path, rest_api: bool) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, item in template.items():
        if key == "auth" and _lacks(item, values):
            continue
        value = _filled(item, values, (*loc, key), rest_api)
        if value is not _DROPPED:
            made[_text(key, values, doubled=False) if isinstance(key, str) else key] = value
    return made


def _text(template: str, values: Mapping[str, Any], *, doubled: bool) -> Any:
    if whole := PLACEHOLDER.fullmatch(template):
        value = _value(whole, values)
        return _DROPPED if value is None else _doubled(value) if doubled else value
    if any(_value(found, values) is None for found in PLACEHOLDER.finditer(template)):
        return _DROPPED

    def put(found: re.Match[str]) -> str:
        text = str(_value(found, values))
        return str(_doubled(text)) if doubled else text

    return PLACEHOLDER.sub(put, template)


def _value(found: re.Match[str], values: Mapping[str, Any]) -> Any:
    """The placeholder's value, through its filter; None where there is nothing."""
    value = values.get(found.group(1))
    if value is None or value in ("", []):
        return None
    if found.group(2) is None:
        return value
    try:
        return FILTERS[found.group(2)](value)
    except (ValueError, TypeError) as error:
        raise ValueError(f"`{found.group(1)}` cannot be made {found.group(2)}") from error


def _lacks(block: Any, values: Mapping[str, Any]) -> bool:
    """Whether a placeholder anywhere in the block has nothing in it."""
    return any(values.get(found.name) in (None, "", []) for found in placeholders(block))


def _is_formatted(loc: Path) -> bool:
    """Whether dlt formats what stands there: inside an endpoint, under one of five keys."""
    after = loc[loc.index("endpoint") + 1 :] if "endpoint" in loc else ()
    return bool(after) and after[0] in FORMATTED


def _doubled(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("{", "{{").replace("}", "}}")
    if isinstance(value, Mapping):
        return {_doubled(key): _doubled(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [_doubled(item) for item in value]
    return value

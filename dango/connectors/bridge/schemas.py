"""What a JSON Schema says of records: their properties, and what may stand in them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
"""A JSON Schema of a record."""


def properties(schema: Schema) -> dict[str, Any]:
    """What is said of each property, by its name."""
    told = schema.get("properties")
    return {str(name): said for name, said in told.items()} if isinstance(told, Mapping) else {}


def branches(said: Any) -> list[Schema]:
    """What a property may be, each by itself."""
    if not isinstance(said, Mapping):
        return [{}]
    unions = [part for key in ("anyOf", "oneOf") for part in _listed(said.get(key))]
    return [branch for part in unions for branch in branches(part)] or [said]


def types(branch: Schema) -> set[str]:
    """The names of its types."""
    named = branch.get("type")
    return {str(name) for name in _listed([named] if isinstance(named, str) else named)}


def is_map(said: Any) -> bool:
    """Whether it is an object with keys that are not known beforehand: a column for each of them would be hundreds."""
    told = [branch for branch in branches(said) if types(branch) != {"null"}]
    return len(told) == 1 and types(told[0]) - {"null"} == {"object"} and not told[0].get("properties")


def objects(said: Any) -> Iterator[Schema]:
    """The objects that a property may be, of which properties are told."""
    yield from (branch for branch in branches(said) if properties(branch))


def items(said: Any) -> Iterator[Any]:
    """What is said of the items of the lists that a property may be."""
    yield from (branch["items"] for branch in branches(said) if isinstance(branch.get("items"), Mapping))


def _listed(said: Any) -> list[Any]:
    return said if isinstance(said, list) else []

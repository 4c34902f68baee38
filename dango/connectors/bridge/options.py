"""What a connector may be told, from the JSON Schema in which it says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from dango.probe import Option

_DEEP = 2
_SECRET = ("secret", "airbyte_secret", "writeOnly")


def options(schema: Mapping[str, Any]) -> tuple[Option, ...]:
    """The options of a configuration, those inside a block with a dot before their names."""
    return tuple(_options(schema, schema, ""))


def _options(schema: Mapping[str, Any], document: Mapping[str, Any], before: str) -> Iterator[Option]:
    required = schema.get("required") or ()
    for name, raw in (schema.get("properties") or {}).items():
        said = _resolved(raw, document)
        if before.count(".") < _DEEP and (inner := _blocks(said, document)):
            yield from _merged(inner, document, f"{before}{name}.", is_needed=name in required)
            continue
        yield Option(
            f"{before}{name}",
            _kind(said),
            said.get("default"),
            name in required or said.get("required") is True,
            any(said.get(word) for word in _SECRET) or said.get("format") == "password",
            " ".join(str(said.get("description") or said.get("title") or "").split()),
            _choices(said),
        )


def _blocks(said: Mapping[str, Any], document: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The blocks that an option may be, each with options of its own; none where it may be something else, too."""
    if said.get("properties"):
        return [said]
    branches = [_resolved(each, document) for each in said.get("oneOf") or said.get("anyOf") or ()]
    blocks = [each for each in branches if each.get("properties")]
    return list(blocks) if len(blocks) == len(branches) else []


def _merged(
    blocks: Sequence[Mapping[str, Any]], document: Mapping[str, Any], before: str, *, is_needed: bool
) -> Iterator[Option]:
    """The options of all blocks; those that tell which block is meant are a choice, upon which the others depend."""
    telling = _telling(blocks)
    if len(blocks) == 1 or telling is None:
        found: dict[str, Option] = {}
        for block in blocks:
            for option in _options(block, document, before):
                found.setdefault(option.name, option if len(blocks) == 1 else replace(option, required=False))
        yield from (replace(each, required=each.required and is_needed) for each in found.values())
        return
    names = tuple(block["properties"][telling]["const"] for block in blocks)
    yield Option(f"{before}{telling}", " or ".join(map(str, names)), required=is_needed, choices=names)
    chosen: dict[str, Option] = {}
    for block, value in zip(blocks, names, strict=True):
        for option in _options(block, document, before):
            earlier = chosen.get(option.name, option).when.get(f"{before}{telling}", ())
            chosen[option.name] = replace(option, when={**option.when, f"{before}{telling}": (*earlier, value)})
    yield from (option for name, option in chosen.items() if name != f"{before}{telling}")


def _telling(blocks: Sequence[Mapping[str, Any]]) -> str | None:
    """The option by whose constant value each block is known."""
    constant = [{name for name, said in block["properties"].items() if "const" in said} for block in blocks]
    return min(set.intersection(*constant), default=None)


def _choices(said: Mapping[str, Any]) -> tuple[Any, ...]:
    listed = [said["const"]] if "const" in said else said.get("enum") or ()
    return tuple(each for each in listed if isinstance(each, str | int | float))


def _resolved(said: Any, document: Mapping[str, Any]) -> dict[str, Any]:
    """With references followed, and of a choice between something and nothing that something."""
    made = dict(said) if isinstance(said, Mapping) else {}
    if isinstance(reference := made.get("$ref"), str) and reference.startswith("#/"):
        target: Any = document
        for part in reference[2:].split("/"):
            target = target.get(part, {}) if isinstance(target, Mapping) else {}
        made = {**target, **{key: value for key, value in made.items() if key != "$ref"}}
    for union in ("anyOf", "allOf", "oneOf"):
        branches = [each for each in made.get(union) or () if isinstance(each, Mapping) and each.get("type") != "null"]
        if len(branches) == 1:
            rest = {key: value for key, value in made.items() if key != union}
            return _resolved({**branches[0], **rest}, document)
    return made


def _kind(said: Mapping[str, Any]) -> str:
    if said.get("enum"):
        return " or ".join(map(str, said["enum"]))
    kinds = said.get("type")
    named = [kinds] if isinstance(kinds, str) else [kind for kind in kinds or () if kind != "null"]
    items = said.get("items")
    if named == ["array"] and isinstance(items, Mapping) and isinstance(items.get("type"), str):
        return f"array of {items['type']}"
    union = [_kind(each) for each in said.get("anyOf") or said.get("oneOf") or () if each.get("type") != "null"]
    return " or ".join(dict.fromkeys(map(str, named or union))) or "any"

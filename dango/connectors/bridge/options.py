"""What a connector may be told, from the JSON Schema in which it says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dango.probe import Option

_SECRET = ("secret", "airbyte_secret", "writeOnly")


def options(schema: Mapping[str, Any]) -> tuple[Option, ...]:
    """The options of a configuration, those inside a block with a dot before their names."""
    return tuple(_options(schema, schema, ""))


def _options(schema: Mapping[str, Any], document: Mapping[str, Any], before: str) -> Iterator[Option]:
    required = schema.get("required") or ()
    for name, raw in (schema.get("properties") or {}).items():
        said = _resolved(raw, document)
        inner = said.get("properties")
        if inner and before.count(".") < 2:
            yield from _options(said, document, f"{before}{name}.")
            continue
        yield Option(
            f"{before}{name}",
            _kind(said),
            said.get("default"),
            name in required or said.get("required") is True,
            any(said.get(word) for word in _SECRET) or said.get("format") == "password",
            " ".join(str(said.get("description") or said.get("title") or "").split()),
        )


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
    union = [_kind(each) for each in said.get("anyOf") or said.get("oneOf") or () if each.get("type") != "null"]
    return " or ".join(dict.fromkeys(map(str, named or union))) or "any"

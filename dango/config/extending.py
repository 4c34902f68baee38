"""Sources that extend others: what one does not say itself is as in the source that it names.

`type` and the block are completed in the data, before the models read them; the other keys in the models, as defaults.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

KEY = "extends"
NATIVE = "dlt_native"
_OWN = frozenset({"name", "description", "enabled", "type", "block", NATIVE, KEY})
"""Keys that are no other source's: its own, and those that are completed in the data."""
_PLACES = ("pipeline_name", "dataset_name")
"""Keys of a block that no two sources may have alike."""


def lineage(name: str, extends: Mapping[str, Any]) -> tuple[str, ...]:
    """The sources that one extends, the nearest first; as far as they are there, each once.

    Args:
        name: of the source.
        extends: which source each of the others extends.
    """
    found: list[str] = []
    above = extends.get(name)
    while isinstance(above, str) and above in extends and above not in (name, *found):
        found.append(above)
        above = extends[above]
    return tuple(found)


def common(said: Mapping[str, Any]) -> dict[str, Any]:
    """Of what a source says, that which is taken over by those that extend it."""
    return {key: value for key, value in said.items() if key not in _OWN}


def completed(data: Any) -> Any:
    """The data of `sources.yml`, in which each source that extends another has a type and a whole block."""
    sources = data.get("sources") if isinstance(data, Mapping) else None
    named = {str(each.get("name")): each for each in _blocks(sources)}
    extends = {name: each.get(KEY) for name, each in named.items()}
    if not any(extends.values()):
        return data

    def whole(source: Any) -> Any:
        if not isinstance(source, Mapping) or not source.get(KEY):
            return source
        return _whole(source, [named[name] for name in lineage(str(source.get("name")), extends)])

    return {**data, "sources": [whole(source) for source in sources or ()]}


def _blocks(sources: Any) -> Iterator[Mapping[str, Any]]:
    return (each for each in (sources if isinstance(sources, list) else ()) if isinstance(each, Mapping))


def _whole(source: Mapping[str, Any], above: list[Mapping[str, Any]]) -> dict[str, Any]:
    kind = next((each["type"] for each in (source, *above) if isinstance(each.get("type"), str)), None)
    if kind is None:
        return dict(source)
    own = source.get(kind)
    blocks = [each[kind] for each in reversed(above) if isinstance(each.get(kind), Mapping)]
    if not blocks or not (own is None or isinstance(own, Mapping)):
        return {**source, "type": kind}
    merged: dict[str, Any] = {}
    for block in blocks:
        merged = _joined(merged, block)
    shared = {key: value for key, value in merged.items() if key not in _PLACES}
    return {**source, "type": kind, kind: _joined(shared, own or {})}


def _joined(above: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """A block with what it does not say, key by key."""
    inner = "function_kwargs"
    both = isinstance(above.get(inner), Mapping) and isinstance(own.get(inner), Mapping)
    return {**above, **own, **({inner: {**above[inner], **own[inner]}} if both else {})}

"""Where each value of a YAML text stands: from its first character, anchor and tag included, to its last."""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
)
from ruamel.yaml.tokens import BlockEntryToken


class NotWritten(Exception):
    """There is no such key or item in the text: it comes from an anchor elsewhere, or is not there at all."""


@dataclass(frozen=True, slots=True)
class Node:
    """A value as written, `text[start:end]`; an empty one has no length. `column` counts from 0."""

    kind: Literal["scalar", "alias", "list", "mapping"]
    start: int
    end: int
    column: int
    flow: bool = False
    scalar: str = ""
    pairs: tuple[tuple[Node, Node], ...] = ()
    items: tuple[Node, ...] = ()
    dashes: tuple[int, ...] = ()
    """Where the `-` of each item stands, in a list that is not in flow style."""

    @property
    def is_block(self) -> bool:
        """Whether it is a list or a mapping whose parts stand on lines of their own."""
        return self.kind in ("list", "mapping") and not self.flow

    def position(self, key: Any) -> int | None:
        """Which of the pairs has this key; None where none has."""
        names = (str(key), {True: "true", False: "false", None: "null"}.get(key))
        return next((at for at, (name, _) in enumerate(self.pairs) if name.scalar in names), None)

    def at(self, loc: Sequence[str | int]) -> Node:
        """The value at `loc`. Raises `NotWritten`."""
        node = self
        for part in loc:
            if node.kind == "list" and isinstance(part, int) and part < len(node.items):
                node = node.items[part]
            elif (position := node.position(part)) is not None:
                node = node.pairs[position][1]
            else:
                raise NotWritten(part)
        return node


def read(text: str) -> Node:
    """The root of a text that is known to be YAML."""
    # Without the round trip's comments, which shift the marks of what they follow.
    tokens = YAML(typ="safe", pure=True).scan(text)
    dashes = [token.start_mark.index for token in tokens if isinstance(token, BlockEntryToken)]
    events = YAML(typ="safe", pure=True).parse(text)
    (root,), _ = _parts((event for event in events if isinstance(event, NodeEvent | CollectionEndEvent)), text, dashes)
    return root


def _parts(events: Iterator[Any], text: str, dashes: list[int]) -> tuple[tuple[Node, ...], int]:
    """The nodes up to the end of the collection that holds them, and where it ends."""
    parts: list[Node] = []
    for event in events:
        if isinstance(event, CollectionEndEvent):
            return tuple(parts), event.end_mark.index
        parts.append(_node(event, events, text, dashes))
    return tuple(parts), len(text)


def _node(event: Any, events: Iterator[Any], text: str, dashes: list[int]) -> Node:
    start, end, column = event.start_mark.index, event.end_mark.index, event.start_mark.column
    if isinstance(event, AliasEvent):
        return Node("alias", start, end, column)
    if isinstance(event, ScalarEvent):
        end = _end_of_lines(text, start, end) if event.style in ("|", ">") else end
        return Node("scalar", start, end, column, scalar=event.value)
    flow = bool(event.flow_style)
    parts, end = _parts(events, text, dashes)
    if isinstance(event, MappingStartEvent):
        pairs = tuple((name, _behind_colon(its, name, text)) for name, its in zip(parts[::2], parts[1::2], strict=True))
        return Node("mapping", start, end if flow else pairs[-1][1].end, column, flow, pairs=pairs)
    if flow:
        return Node("list", start, end, column, flow, items=parts)
    # A block ends, for the parser, with the comments below it: here with its last part.
    own = tuple(dashes[bisect.bisect_left(dashes, part.start) - 1] for part in parts)
    items = tuple(_moved(part, dash + 1) for part, dash in zip(parts, own, strict=True))
    return Node("list", start, items[-1].end, column, items=items, dashes=own)


def _behind_colon(value: Node, name: Node, text: str) -> Node:
    colon = re.compile(r"\s*:").match(text, name.end)
    return _moved(value, colon.end() if colon else name.end)


def _moved(value: Node, place: int) -> Node:
    """An empty value where it belongs: for the parser it stands before whatever comes next."""
    return value if value.end > value.start else replace(value, start=place, end=place)


def _end_of_lines(text: str, start: int, end: int) -> int:
    """Where the last line of a `|` or `>` ends; the empty lines below are its own only if it keeps them (`|+`)."""
    header = text[start : text.find("\n", start)].split("#")[0]
    lines = text[start:end]
    if "+" not in header.split()[-1]:
        return start + len(lines.rstrip())
    return start + len(lines.removesuffix("\n").removesuffix("\r"))

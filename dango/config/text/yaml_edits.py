"""Edits of a YAML text that change only the lines they must: text in, text out.

What an edit means is for the caller to verify: an anchor may tie one value to another. Each raises `NotWritten` where
the place it is for is not in the text.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dango.config.text import lines, yaml_spans, yaml_text
from dango.config.text.values import same
from dango.config.text.yaml_spans import Node, NotWritten

Loc = Sequence[str | int]


def with_value(text: str, loc: Loc, key: Any, value: Any, after: Any = None) -> str:
    """With `key: value` in the mapping at `loc`; a new key goes below the key `after`, or below the last."""
    mapping = yaml_spans.read(text).at(loc)
    if mapping.kind != "mapping":
        raise NotWritten(key)
    position, above = mapping.position(key), mapping.position(after)
    if position is not None:
        name, its = mapping.pairs[position]
        mark = text[its.start : its.start + 1]
        if isinstance(value, str) and mark and mark in yaml_text.QUOTES and its.end > its.start:
            # Who quotes a text wants the next one quoted, too.
            return text[: its.start] + yaml_text.quoted(value, mark) + text[its.end :]
        if mapping.flow:
            return _with_flow_value(text, name, its, value)
        return _with_below(text, name, its, _below(text, name, its, str(key), value))
    if not mapping.pairs:
        return _inserted(text, mapping.end - 1, f"{yaml_text.key(key, in_flow=True)}: {yaml_text.flow(value)}")
    name, its = mapping.pairs[-1 if above is None else above]
    if mapping.flow:
        return _inserted(text, its.end, f", {yaml_text.key(key, in_flow=True)}: {yaml_text.flow(value)}")
    first, *rest = _below(text, name, its, yaml_text.key(key), value)
    added = [f"{' ' * name.column}{yaml_text.key(key)}:{first}", *rest]
    return lines.inserted(text, lines.following(text, its.end), added)


def with_mapping(text: str, loc: Loc, old: Mapping[Any, Any], new: Mapping[Any, Any]) -> str:
    """With the mapping at `loc`, which means `old`, meaning `new`: only the keys that differ change."""
    above = None
    for key, value in new.items():
        if key not in old or not same(old[key], value):
            text = _with_difference(text, loc, key, old.get(key), value, above)
        above = key
    for key in old:
        text = text if key in new else without_key(text, loc, key)
    return text


def with_items(text: str, loc: Loc, values: Sequence[Any]) -> str:
    """With more items at the end of the list at `loc`, which may be empty or not there yet."""
    first, *rest = values
    text = with_item(text, loc, first)
    its = yaml_spans.read(text).at(loc) if rest else None
    if its is None:
        return text
    if its.flow:
        return functools.reduce(lambda text, value: with_item(text, loc, value), rest, text)
    return _with_block_items(text, its, rest)


def with_item(text: str, loc: Loc, value: Any) -> str:
    """With one more item at the end of the list at `loc`, which may be empty or not there yet."""
    *parents, key = loc
    mapping = yaml_spans.read(text).at(parents)
    position = mapping.position(key)
    if position is None:
        return with_item(with_value(text, parents, key, []), loc, value)
    name, its = mapping.pairs[position]
    if its.kind == "list" and its.items:
        return _with_flow_item(text, its, value) if its.flow else _with_block_items(text, its, [value])
    if mapping.flow:
        return _with_flow_value(text, name, its, [value])
    written = ["", *yaml_text.item(value, name.column + yaml_text.INDENT)]
    return _with_below(text, name, its, _apart(text, name, its, written, [value]))


def without_key(text: str, loc: Loc, key: Any) -> str:
    """Without the key in the mapping at `loc`; comments above and below it stay."""
    mapping = yaml_spans.read(text).at(loc)
    position = mapping.position(key)
    if position is None:
        raise NotWritten(key)
    name, its = mapping.pairs[position]
    if mapping.flow:
        return lines.without_part(text, [(one.start, other.end) for one, other in mapping.pairs], position)
    start, end = lines.start(text, name.start), lines.following(text, its.end)
    own_line = not text[start : name.start].strip()
    if len(mapping.pairs) == 1:
        if own_line and loc:
            return _with_empty(text[:start] + text[end:], loc, {})
        return text[: mapping.start] + "{}" + text[mapping.end :]
    if own_line:
        return text[:start] + text[end:]
    # It shares its line with the dash of its item: the next key takes its place, unless a comment stands between.
    following = mapping.pairs[1][0].start
    if not text[end:following].strip():
        return text[: name.start] + text[following:]
    return text[: name.start].rstrip(" ") + lines.breaks(text) + text[end:]


def without_item(text: str, loc: Loc) -> str:
    """Without the item at `loc`; comments above and below it stay."""
    *parents, index = loc
    items = yaml_spans.read(text).at(parents)
    if items.kind != "list" or not isinstance(index, int) or index >= len(items.items):
        raise NotWritten(index)
    if items.flow:
        return lines.without_part(text, [(part.start, part.end) for part in items.items], index)
    start = lines.start(text, items.dashes[index])
    if text[start : items.dashes[index]].strip():
        raise NotWritten(index)
    text = text[:start] + text[lines.following(text, items.items[index].end) :]
    return _with_empty(text, parents, []) if len(items.items) == 1 else text


def _with_difference(text: str, loc: Loc, key: Any, old: Any, new: Any, above: Any) -> str:
    mapping = yaml_spans.read(text).at(loc)
    position = mapping.position(key)
    own = position is not None and mapping.pairs[position][1].kind == "mapping"
    if own and old and new and isinstance(old, Mapping) and isinstance(new, Mapping):
        return with_mapping(text, [*loc, key], old, new)
    return with_value(text, loc, key, new, above)


def _with_empty(text: str, loc: Loc, empty: Any) -> str:
    *parents, key = loc
    return with_value(text, parents, key, empty)


def _below(text: str, name: Node, its: Node, key: str, value: Any) -> list[str]:
    """What follows the colon of a key that stands where `name` does, or below it."""
    return _apart(text, name, its, yaml_text.below(value, name.column, name.column + len(key) + 1), value)


def _apart(text: str, name: Node, its: Node, written: list[str], value: Any) -> list[str]:
    """As written; in one line where a `|` would take the comment that follows, being further in, for its own text."""
    comment = re.compile(r"(?:[ \t]*\r?\n)*( *)#").match(text, lines.following(text, its.end))
    if comment and len(comment.group(1)) > name.column and any(line.endswith((" |", " |-")) for line in written):
        return [f" {yaml_text.flow(value)}"]
    return written


def _with_below(text: str, name: Node, its: Node, written: list[str]) -> str:
    """With other lines from a key's colon on; the comment of the key's line stays."""
    colon = _colon(text, name)
    first, *rest = written
    gap = text[colon : its.start]
    if its.end > its.start and "\n" not in gap:
        first = f"{gap}{first[1:]}" if first else ""
    end = lines.end(text, its.end)
    breaks = text[end : lines.following(text, its.end)]
    block = lines.breaks(text).join([first + _comment(text, colon, its), *rest])
    return text[:colon] + block + breaks + text[end + len(breaks) :]


def _comment(text: str, colon: int, its: Node) -> str:
    line = text[colon : lines.end(text, colon)]
    if "\n" in text[colon : its.start] and "#" in line:
        return line.rstrip()
    # Behind the last line of a block stands a comment of that line, which goes with it.
    return "" if its.is_block else text[its.end : lines.end(text, its.end)].rstrip()


def _with_flow_value(text: str, name: Node, its: Node, value: Any) -> str:
    written = yaml_text.flow(value)
    if its.end > its.start:
        return text[: its.start] + written + text[its.end :]
    return _inserted(text, its.end, f" {written}" if its.end > name.end else f": {written}")


def _with_block_items(text: str, items: Node, values: Sequence[Any]) -> str:
    dash = items.dashes[-1]
    column = dash - lines.start(text, dash)
    position = _below_own_comments(text, lines.following(text, items.items[-1].end), column)
    between = text[items.items[-2].end : dash] if len(items.items) > 1 else ""
    empty_line = re.compile(r"\n[ \t]*\r?\n")
    apart = bool(empty_line.search(between))
    above = apart and not empty_line.search(text[:position][-4:])
    written = []
    for value in values:
        written += [*([""] if above else []), *yaml_text.item(value, column)]
        above = apart
    return lines.inserted(text, position, written)


def _below_own_comments(text: str, position: int, column: int) -> int:
    """Below the comments that are further in than the dashes: they belong to the item above."""
    comment = re.compile(r"(?:[ \t]*\r?\n)*( *)#[^\n]*(?:\n|$)")
    while (found := comment.match(text, position)) and len(found.group(1)) > column:
        position = found.end()
    return position


def _with_flow_item(text: str, items: Node, value: Any) -> str:
    last, written = items.items[-1], yaml_text.flow(value)
    indent = text[lines.start(text, last.start) : last.start]
    rest = text[last.end : lines.end(text, last.end)]
    if indent.strip() or last.end + len(rest) >= items.end:
        return _inserted(text, last.end, f", {written}")
    # On a line of its own, below the comment of the last one's line.
    comma = "" if rest.lstrip().startswith(",") else ","
    text = _inserted(text, last.end, comma)
    return lines.inserted(text, lines.following(text, last.end), [f"{indent}{written}{'' if comma else ','}"])


def _inserted(text: str, position: int, written: str) -> str:
    return text[:position] + written + text[position:]


def _colon(text: str, name: Node) -> int:
    """Behind the colon of a key."""
    found = re.compile(r"\s*:").match(text, name.end)
    if not found:
        raise NotWritten(name.scalar)
    return found.end()

"""Values as a person would write them in YAML: short ones in a line, texts in quotes only where they must be."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

WIDTH = 100
"""A list or a mapping that would end beyond this column goes on lines of its own."""

INDENT = 2
"""What stands below a key or a dash begins this much further in."""

QUOTES = "\"'"
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t", "\r": "\\r"}


def below(value: Any, indent: int, used: int) -> list[str]:
    """What follows the colon of a key: the rest of its line, then whole lines.

    Args:
        indent: the column of the key.
        used: how much of its line is taken.
    """
    if (line := inline(value, WIDTH - used - 1)) is not None:
        return [f" {line}"]
    if isinstance(value, str):
        padding = " " * (indent + INDENT)
        lines = value.removesuffix("\n").split("\n")
        return [" |" if value.endswith("\n") else " |-", *(padding + line if line else "" for line in lines)]
    inner = indent + INDENT
    return ["", *(_pairs(value, inner) if isinstance(value, Mapping) else _items(value, inner))]


def inline(value: Any, room: int) -> str | None:
    """The value in one line; None where a person would give it several."""
    if isinstance(value, str):
        return None if _is_lines(value) else scalar(value)
    if not isinstance(value, Mapping | list):
        return scalar(value)
    parts = value.values() if isinstance(value, Mapping) else value
    if not all(map(_is_short, parts)):
        return None
    line = flow(value)
    return line if len(line) <= room or not value else None


def item(value: Any, indent: int) -> list[str]:
    """An item of a list whose dashes are in column `indent`, as whole lines; a mapping always has one for each key."""
    inner = indent + INDENT
    if isinstance(value, Mapping) and value:
        first, *rest = _pairs(value, inner)
    elif isinstance(value, list) and inline(value, WIDTH - inner) is None:
        first, *rest = _items(value, inner)
    else:
        first, *rest = below(value, indent, indent + 1)
        return [f"{' ' * indent}-{first}", *rest]
    return [f"{' ' * indent}- {first[inner:]}", *rest]


def flow(value: Any) -> str:
    """The value in one line, whatever it is."""
    if isinstance(value, Mapping):
        pairs = (f"{key(name, in_flow=True)}: {flow(its)}" for name, its in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(flow, value))}]"
    return scalar(value, in_flow=True)


def scalar(value: Any, *, in_flow: bool = False) -> str:
    """A text, number, truth value, date or None in one line."""
    if isinstance(value, str):
        return value if _is_plain(value, "[{}]" if in_flow else "- {}") else _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    return value.isoformat() if isinstance(value, dt.date) else repr(value)


def key(name: Any, *, in_flow: bool = False) -> str:
    """The name of a pair, without its colon."""
    if not isinstance(name, str):
        return scalar(name)
    return name if _is_plain(name, "{{{}: 0}}" if in_flow else "{}: 0") else _quoted(name)


def _pairs(value: Mapping[Any, Any], indent: int) -> Iterator[str]:
    for name, its in value.items():
        head = f"{' ' * indent}{key(name)}:"
        first, *rest = below(its, indent, len(head))
        yield head + first
        yield from rest


def _items(value: list[Any], indent: int) -> Iterator[str]:
    for its in value:
        yield from item(its, indent)


@lru_cache(maxsize=1024)
def _is_plain(text: str, frame: str) -> bool:
    """Whether the bare text reads as itself, both to YAML 1.2 and to 1.1, whose `no` and `12:30` are no texts."""
    return text.isprintable() and all(_loaded(frame.format(text), v) in ([text], {text: 0}) for v in ((1, 2), (1, 1)))


def _loaded(text: str, version: tuple[int, int]) -> Any:
    yaml = YAML(typ="safe", pure=True)
    yaml.version = version
    try:
        return yaml.load(text)
    except (YAMLError, ValueError, LookupError):  # the last of `0x_`, which is no number
        return None


def _is_short(value: Any) -> bool:
    return not value if isinstance(value, Mapping | list) else not (isinstance(value, str) and _is_lines(value))


def _is_lines(text: str) -> bool:
    """Whether the text can stand below a `|` as it is."""
    lines = text.removesuffix("\n").split("\n")
    printable = all(line.replace("\t", " ").isprintable() for line in lines)
    return "\n" in text and printable and bool(lines[-1]) and lines[0][:1].strip() != "" and not any(map(_blank, lines))


def _blank(line: str) -> bool:
    return line != "" and not line.strip()


def quoted(text: str, mark: str) -> str:
    """The text in these quotes; in double ones where it has what single ones cannot say."""
    if mark == "'" and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return f'"{"".join(map(_character, text))}"'


def _quoted(text: str) -> str:
    return quoted(text, "'" if '"' in text or "\\" in text else '"')


def _character(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    return f"\\u{ord(character):04x}" if ord(character) <= 0xFFFF else f"\\U{ord(character):08x}"

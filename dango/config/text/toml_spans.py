"""Where each section and each key of a TOML text stands."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import tomlkit

_STRINGS = r'"""(?:\\.|[^\\])*?"""(?:"{0,2})|\'\'\'.*?\'\'\'(?:\'{0,2})|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
_TOKEN = re.compile(
    rf"(?s:{_STRINGS})|(?P<comment>#[^\n]*)|(?P<break>\n)|[\[{{]|[\]}}]|(?P<comma>,)|[^\s#\"'\[\]{{}},]+"
)
_PART = re.compile(r'[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'')
_DOT = re.compile(r"[ \t]*\.[ \t]*")
_SKIPPED = re.compile(r"(?:\s+|,|#[^\n]*)*")


class NotRead(Exception):
    """The text is TOML, but not as it is read here."""


@dataclass(frozen=True, slots=True)
class Span:
    """A section's header, or a key with its value: `text[start:end]`, a comment behind it not included.

    `path` is the whole way from the root; `section` the part of it that the header above says, or the keys of the
    inline tables around it.
    """

    path: tuple[str, ...]
    section: tuple[str, ...]
    start: int
    end: int
    value: int = 0
    """Where the value begins; 0 for a header."""
    inline: bool = False
    """Whether it stands in an inline table."""

    @property
    def is_header(self) -> bool:
        """Whether it is `[section]` or `[[section]]`."""
        return not self.value


def read(text: str) -> list[Span]:
    """Headers and keys in the order of the text, each inline table before its keys. Raises `NotRead`."""
    found: list[Span] = []
    section: tuple[str, ...] = ()
    position = _skipped(text, 0)
    while position < len(text):
        if text[position] == "[":
            opening = 2 if text.startswith("[[", position) else 1
            section, end = _key(text, _skipped(text, position + opening))
            end = text.find("]", end) + opening
            found.append(Span(section, section, position, end))
        else:
            found.extend(_pair(text, position, section, inline=False))
            end = next(span.end for span in reversed(found) if not span.inline)
        position = _skipped(text, end)
    return found


def _pair(text: str, position: int, section: tuple[str, ...], *, inline: bool) -> Iterator[Span]:
    key, end = _key(text, position)
    equals = re.compile(r"[ \t]*=[ \t]*").match(text, end)
    if not equals:
        raise NotRead
    value, path = equals.end(), (*section, *key)
    end = _end_of_value(text, value)
    yield Span(path, section, position, end, value, inline)
    if text[value] == "{":
        inner = _skipped(text, value + 1)
        while inner < end - 1:
            pairs = list(_pair(text, inner, path, inline=True))
            yield from pairs
            inner = _skipped(text, pairs[0].end)


def _key(text: str, position: int) -> tuple[tuple[str, ...], int]:
    parts = []
    while found := _PART.match(text, position):
        part, position = found.group(), found.end()
        parts.append(part if part[0] not in "\"'" else next(iter(tomlkit.parse(f"{part} = 0").unwrap())))
        dot = _DOT.match(text, position)
        if not dot:
            return tuple(parts), position
        position = dot.end()
    raise NotRead


def _end_of_value(text: str, position: int) -> int:
    depth, end = 0, position
    for token in _TOKEN.finditer(text, position):
        if token.group() in ("]", "}"):
            depth -= 1
        if depth < 0 or (depth == 0 and token.lastgroup):
            return end
        depth += token.group() in ("[", "{")
        end = end if token.lastgroup in ("comment", "break") else token.end()
    return end


def _skipped(text: str, position: int) -> int:
    found = _SKIPPED.match(text, position)
    return found.end() if found else position

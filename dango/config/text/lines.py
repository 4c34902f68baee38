"""Lines of a text, found from the position of a character in it."""

from __future__ import annotations

from collections.abc import Iterable


def breaks(text: str) -> str:
    """How the lines of the text end."""
    return "\r\n" if "\r\n" in text else "\n"


def start(text: str, position: int) -> int:
    """Where the line of `position` begins."""
    return text.rfind("\n", 0, position) + 1


def end(text: str, position: int) -> int:
    """Where the line of `position` ends, its line break not included."""
    found = text.find("\n", position)
    if found < 0:
        return len(text)
    return found - 1 if found > position and text[found - 1] == "\r" else found


def following(text: str, position: int) -> int:
    """Where the next line begins; the end of the text where there is none."""
    return text.find("\n", position) + 1 or len(text)


def inserted(text: str, position: int, added: Iterable[str]) -> str:
    """With whole lines where a line begins, or below the last."""
    head = text[:position]
    head += breaks(text) if head and not head.endswith("\n") else ""
    return head + "".join(line + breaks(text) for line in added) + text[position:]


def without_part(text: str, parts: list[tuple[int, int]], index: int) -> str:
    """Without one of the parts, given as begin and end, that commas divide; and without its comma."""
    begin, stop = parts[index]
    rest = text[stop:]
    if rest.lstrip(" \t").startswith(","):
        stop += len(rest) - len(rest.lstrip(" \t")) + 1
        stop += len(text[stop:]) - len(text[stop:].lstrip(" \t"))
    elif index and text[parts[index - 1][1] : begin].strip() == ",":
        begin = parts[index - 1][1]
    return text[:begin] + text[stop:]

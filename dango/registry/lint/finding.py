"""What a rule finds."""

from __future__ import annotations

from dataclasses import dataclass

from dango.errors import Severity

Loc = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that an entry breaks; `loc` is the path of keys to the place inside the entry."""

    rule: str
    loc: Loc
    message: str
    hint: str = ""
    severity: Severity = "error"


def error(loc: Loc, message: str, hint: str = "") -> Finding:
    """What must be mended. `lint` adds the rule's name."""
    return Finding("", loc, message, hint)


def warning(loc: Loc, message: str, hint: str = "") -> Finding:
    """What may be right, and must be known. `lint` adds the rule's name."""
    return Finding("", loc, message, hint, "warning")

"""The account of a file: each of its keys is carried over, means nothing here by a rule, or is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dango.config.text.values import kind
from dango.errors import ConfigError, Problem
from dango.imports.given import Given, Loc

_UNKNOWN = ("this is no key that dango knows in such a file", "where it matters, say it in .dango/sources.yml by hand")


@dataclass(frozen=True, slots=True)
class Note:
    """What is not carried over: where it stands, why, and what to do. Never holds a value of the file."""

    place: str
    path: str
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What of a format means nothing here, and what it means that cannot be said here.

    Attributes:
        ignored: why, by the path of a key (`plugins.extractors.*.label`).
        left: what it is and what to do, by the path of a key.
    """

    ignored: Mapping[str, str]
    left: Mapping[str, tuple[str, str]]


@dataclass
class Ledger:
    """Keeps the account while a file is read. What was not settled is named at the end: nothing is lost in silence."""

    given: Given
    rules: Rules
    _settled: set[Loc] = field(default_factory=set)
    _around: set[Loc] = field(default_factory=set)
    _notes: dict[Loc, list[tuple[str, str]]] = field(default_factory=dict)

    def settle(self, loc: Loc) -> None:
        """What stands there, with all below it, is carried over or named."""
        self._settled.add(loc)
        self._around.update(loc[:length] for length in range(len(loc)))

    def is_settled(self, loc: Loc) -> bool:
        """Whether it was said of that very place that it is."""
        return loc in self._settled

    def note(self, loc: Loc, what: str, do: str) -> None:
        """Names something; whether it is settled is said apart."""
        # What is inherited is read once for each that inherits it.
        said = self._notes.setdefault(loc, [])
        if (what, do) not in said:
            said.append((what, do))

    def notes(self) -> tuple[Note, ...]:
        """Everything that is named, in the order of the file."""
        named = [(loc, *said) for loc, each in self._notes.items() for said in each]
        named += self._rest((), self.given.data)
        named.sort(key=lambda each: self.given.where(each[0]))
        return tuple(Note(self.place(loc), path(loc), what, do) for loc, what, do in named)

    def place(self, loc: Loc) -> str:
        """`file:line:column` of what stands there."""
        line, column = self.given.where(loc)
        return f"{self.given.name}:{line}:{column}"

    def wrong(self, loc: Loc, message: str) -> ConfigError:
        """The error for what cannot be read at all."""
        line, column = self.given.where(loc)
        return ConfigError([Problem(f"`{path(loc)}` {message}", "", self.given.name, line, column)])

    def _rest(self, loc: Loc, value: Any) -> Iterator[tuple[Loc, str, str]]:
        """What nobody has settled: by the rule for it, or as unknown, as a whole where nothing in it is known."""
        if loc in self._settled or _found(self.rules.ignored, loc) is not None:
            return
        known = _found(self.rules.left, loc)
        inner = list(_inner(value))
        of_rules = known is None and any(_leads_on(each, loc) for each in self._patterns)
        if inner and (loc in self._around or of_rules):
            for key, item in inner:
                yield from self._rest((*loc, key), item)
        elif loc:
            yield (loc, *(known or _UNKNOWN))

    @property
    def _patterns(self) -> Iterator[list[str]]:
        return (pattern.split(".") for pattern in (*self.rules.ignored, *self.rules.left))


@dataclass(frozen=True, slots=True)
class Part:
    """A mapping of the file. What is taken out of it counts as carried over."""

    ledger: Ledger
    loc: Loc
    value: Mapping[str, Any]

    @property
    def place(self) -> str:
        """`file:line:column` of it."""
        return self.ledger.place(self.loc)

    def at(self, key: str | int) -> Loc:
        """Where its key stands."""
        return (*self.loc, key)

    def take(self, key: str) -> Any:
        """What stands under a key; None where nothing does."""
        self.ledger.settle(self.at(key))
        return self.value.get(key)

    def take_all(self, besides: str = "") -> Mapping[str, Any]:
        """All that stands in it but for one key; the whole of it where it is empty."""
        if not self.value:
            self.ledger.settle(self.loc)
        return {key: self.take(key) for key in self.value if key != besides}

    def text(self, key: str) -> str:
        """The text under a key; empty where there is none. Raises `ConfigError` where it is no text."""
        value = self.take(key)
        if isinstance(value, Mapping | list):
            raise self.ledger.wrong(self.at(key), f"should be text, this is {kind(value)}")
        return "" if value is None else str(value)

    def needed(self, key: str) -> str:
        """The text under a key. Raises `ConfigError` where there is none."""
        if value := self.text(key):
            return value
        raise self.ledger.wrong(self.loc, f"has no `{key}`")

    def items(self, key: str) -> list[Any]:
        """The list under a key; empty where there is none. Raises `ConfigError` where it is no list."""
        value = self.value.get(key)
        if not value:
            self.ledger.settle(self.at(key))
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.ledger.wrong(self.at(key), f"should be a list, this is {kind(value)}")
        return value

    def part(self, key: str) -> Part:
        """The mapping under a key; an empty one where there is none. Raises `ConfigError` where it is no mapping."""
        return self._part(self.at(key), self.value.get(key))

    def parts(self, key: str) -> list[Part]:
        """The list of mappings under a key. Raises `ConfigError` where it is none."""
        return [self._part((*self.at(key), position), each) for position, each in enumerate(self.items(key))]

    def note(self, key: str, what: str, do: str) -> None:
        """Names what stands under a key."""
        self.ledger.settle(self.at(key))
        self.ledger.note(self.at(key), what, do)

    def refuse(self, what: str, do: str) -> None:
        """Names it, as a whole."""
        self.ledger.settle(self.loc)
        self.ledger.note(self.loc, what, do)

    def _part(self, loc: Loc, value: Any) -> Part:
        if value is None:
            value = {}
        if not isinstance(value, Mapping):
            raise self.ledger.wrong(loc, f"should be a mapping, this is {kind(value)}")
        return Part(self.ledger, loc, value)


def path(loc: Loc) -> str:
    """A place as people write it: `plugins.extractors[0].config`."""
    return "".join(f"[{each}]" if isinstance(each, int) else f".{each}" for each in loc).lstrip(".")


def _inner(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list):
        yield from enumerate(value)


def _found(rules: Mapping[str, Any], loc: Loc) -> Any:
    """What a rule says of a place; None where there is no rule for it."""
    return next((said for pattern, said in rules.items() if _fits(pattern.split("."), loc)), None)


def _fits(pattern: Sequence[str], loc: Loc) -> bool:
    return len(pattern) == len(loc) and _leads_to(pattern, loc)


def _leads_on(pattern: Sequence[str], loc: Loc) -> bool:
    """Whether a rule is about something below a place."""
    return len(pattern) > len(loc) and _leads_to(pattern, loc)


def _leads_to(pattern: Sequence[str], loc: Loc) -> bool:
    return all(part in ("*", str(key)) for part, key in zip(pattern, loc, strict=False))

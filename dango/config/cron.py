"""When a source is synced: a cron expression of five fields, or a name such as `@daily`; in UTC.

What cron, systemd, Kubernetes, GitHub and Airflow read each in its own way is refused, too: a schedule means the same
wherever it is exported to.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from dango.config.text.values import kind
from dango.errors import near

NAMED = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
_LONGEST_MONTHS = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_ITEM = re.compile(r"(?:(\*)|([0-9A-Za-z]{1,9})(?:-([0-9A-Za-z]{1,9}))?)(?:/([0-9]{1,3}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Field:
    """One of the five: what it is called, its lowest and highest number, and names for them."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """What may stand there, for people."""
        return f"{self.low} to {self.high}" + (f" or {self.names[0]} to {self.names[-1]}" if self.names else "")


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")),
    Field("day of the week", 0, 7, ("SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT")),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """A schedule as it is meant.

    Attributes:
        text: the five fields in numbers, as every cron reads them; Sunday is 0.
        minutes: those in which it starts, ascending, as are the others.
        hours: of the day, in UTC.
        days: of the month.
        months: of the year.
        weekdays: Sunday is 0.
        either: whether a day counts by its date or by its weekday, as where both fields are given; else it needs both.
    """

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]
    either: bool

    @property
    def shortest(self) -> int:
        """The minutes between two starts, where they follow each other soonest."""
        starts = [60 * hour + minute for hour in self.hours for minute in self.minutes]
        return min(after - before for before, after in zip(starts, [*starts[1:], starts[0] + 24 * 60], strict=True))


def parse(text: str) -> Cron:
    """What a schedule means. Raises `ValueError`, which says the field, what stands there and what may."""
    words = NAMED.get(text.strip(), text).split()
    if len(words) != len(FIELDS):
        raise ValueError(
            f"`{text}` is no schedule{near(text if text.startswith('@') else f'@{text}', NAMED)}: five fields (minute,"
            f" hour, day of the month, month, day of the week), such as `0 9 * * MON-FRI`, or {', '.join(NAMED)}"
        )
    parts = [_field(field, word) for field, word in zip(FIELDS, words, strict=True)]
    (minutes, _), (hours, _), (days, day), (months, _), (weekdays, weekday) = parts
    either = day != "*" and weekday != "*"
    if either and "*" in day + weekday:
        star = day if "*" in day else weekday
        raise ValueError(
            f"`{star}` beside another day: some crons start on days that are both, others on days that are either;"
            " write the days out, such as `1-31/2`"
        )
    if not either and min(days) > max(_LONGEST_MONTHS[month - 1] for month in months):
        raise ValueError(
            f"there is no day {min(days)} in the months {','.join(map(str, months))}: it would never start"
        )
    return Cron(" ".join(part for _, part in parts), minutes, hours, days, months, weekdays, either)


def _field(field: Field, word: str) -> tuple[tuple[int, ...], str]:
    """The numbers that a field stands for, and how it is written in numbers."""
    items = [_item(field, item) for item in word.split(",")]
    if len(items) > 1 and "*" in (text for _, text in items):
        raise ValueError(f"{field.name} `{word}`: `*` is every one already")
    return tuple(sorted({number for numbers, _ in items for number in numbers})), ",".join(text for _, text in items)


def _item(field: Field, item: str) -> tuple[list[int], str]:
    found = _ITEM.fullmatch(item)
    if not found:
        raise ValueError(
            f"{field.name} `{item}`: should be {field.allowed}, a range such as"
            f" {field.low}-{field.high}, each with a step such as */2, or a list of these"
        )
    star, first, last, step = found.groups()
    if step and not 1 <= int(step) <= field.high:
        raise ValueError(f"{field.name} `{item}`: a step is 1 to {field.high}")
    if star:
        # Sunday is one day, though it has two numbers.
        high = 6 if field.names and field.low == 0 else field.high
        return [*range(field.low, high + 1, int(step or 1))], item
    low = _number(field, first, item)
    if last is None:
        if step:
            raise ValueError(f"{field.name} `{item}`: a step is one of a range, such as {first}-{field.high}/{step}")
        return _written(field, [low], str(low))
    high = _number(field, last, item)
    if last.upper() == "SUN" and low > 0:
        high = 7
    if low > high:
        raise ValueError(f"{field.name} `{item}`: {first} is behind {last}; write two ranges, divided by a comma")
    numbers = [*range(low, high + 1, int(step or 1))]
    # A range of one, such as 1-1, is every one to Airflow's croniter.
    return _written(field, numbers, f"{low}-{high}" + (f"/{int(step)}" if step else "") if high > low else str(low))


def _written(field: Field, numbers: list[int], text: str) -> tuple[list[int], str]:
    """Sunday is also 7, but not everywhere."""
    if field.high != 7 or "7" not in text.partition("/")[0]:
        return numbers, text
    numbers = list(dict.fromkeys(number % 7 for number in numbers))
    return numbers, ",".join(map(str, sorted(numbers)))


def _number(field: Field, word: str, item: str) -> int:
    if word.upper() in field.names:
        return field.names.index(word.upper()) + field.low
    if word.isdigit() and field.low <= int(word) <= field.high:
        return int(word)
    raise ValueError(f"{field.name} `{item}`: `{word}` should be {field.allowed}")


def _schedule(value: Any) -> Any:
    if not isinstance(value, str):
        raise PydanticCustomError("schedule", "a schedule is text, this is {kind}; quote it", {"kind": kind(value)})
    try:
        parse(value)
    except ValueError as error:
        raise PydanticCustomError("schedule", "{said}", {"said": str(error)}) from None
    return value


def _pattern() -> Iterator[str]:
    yield from NAMED
    yield r"[^\s@]+(\s+\S+){4}"


Schedule = Annotated[
    str,
    BeforeValidator(_schedule),
    WithJsonSchema({"type": "string", "pattern": rf"^\s*({'|'.join(_pattern())})\s*$"}),
]

"""Documents as sources have them: mostly of one make, with what happens in the wild. Drawn, not chosen."""

from __future__ import annotations

import datetime as dt
import math
import uuid
from collections.abc import Callable
from decimal import Decimal
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import pendulum

from tests.columnar.worlds import Page, Run

_KEYS = (
    *("id", "name", "Name", "createdAt", "created_at", "value", "list", "items", "tags", "price", "data", "late"),
    *("ä", "1x", "amount.total", "@type", "$ref", "_id", "a b", "x" * 90),
)
_ODD_KEYS = ("a__b", "Items", "", " ", "_dlt_id", "_dlt_load_id", "_dlt_list_idx")
_ZONES = (
    None,
    dt.timezone.utc,
    dt.timezone.utc,
    pendulum.UTC,
    dt.timezone(dt.timedelta(hours=2)),
    ZoneInfo("Europe/Berlin"),
)
_TEXTS = (
    "",
    " ",
    "x",
    "Ärger",
    "日本",
    "0",
    "1.5",
    "true",
    "null",
    "{}",
    "[1]",
    "\u0000",
    "a\nb",
    "nan",
    "2024",
)

Draw = Callable[[Random], Any]


def _text(random: Random) -> str:
    if random.random() < 0.002:
        return "\uf0261.5"
    return (
        random.choice(_TEXTS) if random.random() < 0.5 else "".join(random.choices("abc äé€😀", k=random.randrange(12)))
    )


def _day(random: Random) -> dt.date:
    return dt.date.fromordinal(random.choice((1, 719163, 3652059, random.randrange(1, 3652059), 738000)))


def _instant(random: Random, zone: Any = dt.timezone.utc) -> dt.datetime:
    time = dt.time(
        random.randrange(24), random.randrange(60), random.randrange(60), random.choice((0, 1, 123456, 500000))
    )
    return dt.datetime.combine(dt.date.fromordinal(random.randrange(693596, 766644)), time, zone)


def _iso(random: Random) -> str:
    text = _instant(random, None).isoformat(random.choice("TTT "), random.choice(("auto", "seconds", "milliseconds")))
    return text + random.choice(("Z", "Z", "Z", "+00:00", "+02:00", "-0530", "+01", "z", ""))


def _decimal(random: Random) -> Decimal:
    return Decimal(random.randrange(-(10**9), 10**9)).scaleb(-random.choice((0, 2, 2, 2, 9, 12, -3)))


_LEAVES: tuple[Callable[[Random], Draw], ...] = (
    lambda _: lambda r: r.randrange(-100, 100),
    lambda _: lambda r: r.choice((0, 2**31, 2**53 + 1, 2**62, -(2**63), r.randrange(2**40))),
    lambda _: lambda r: r.choice((0.0, -0.0, 1.0, 0.1, 1e300, 5e-324, r.random(), r.uniform(-1e6, 1e6))),
    lambda _: lambda r: r.choice((1.5, 2.0, 10.25, 3, 4)),
    lambda _: lambda r: r.choice((math.nan, math.inf, -math.inf, 1.25, 2.5)),
    lambda _: lambda r: r.random() < 0.5,
    lambda _: _text,
    lambda _: lambda r: f"{r.choice('abcdef')}{r.randrange(1000)}",
    lambda _: lambda r: _instant(r).isoformat().replace("+00:00", "Z"),
    lambda _: _iso,
    lambda _: lambda r: _day(r).isoformat(),
    lambda _: _decimal,
    lambda _: lambda r: Decimal(r.randrange(100000)).scaleb(-2),
    lambda _: _day,
    lambda _: _instant,
    lambda r: lambda r, zone=r.choice(_ZONES): _instant(r, zone),
    lambda _: lambda r: pendulum.instance(_instant(r)),
    lambda _: lambda r: dt.time(r.randrange(24), r.randrange(60), r.randrange(60), r.choice((0, 5))),
    lambda _: lambda r: r.randbytes(r.randrange(5) if r.random() < 0.01 else 3),
    lambda _: lambda r: uuid.UUID(int=r.getrandbits(128)),
    lambda _: lambda r: None,
    lambda _: lambda r: r.choice((2**63, 2**64 - 1)) if r.random() < 0.01 else 1,
    lambda _: lambda r: r.choice(("1", "2.5", "0x10", "x", "true")),
)


def _make(random: Random, depth: int) -> Draw:
    """A kind of value: some leaf, a document, a list."""
    kind = random.random()
    if depth == 0 or kind < 0.7:
        return random.choice(_LEAVES)(random)
    inner = documents(random, depth - 1) if kind < 0.93 else _make(random, depth - 1)
    if kind < 0.82:
        return inner
    longest = random.choice((0, 1, 3, 5))
    made = tuple if random.random() < 0.1 else list
    return lambda r: made(inner(r) for _ in range(r.randrange(longest + 1)))


def documents(random: Random, depth: int) -> Draw:
    """A kind of document: its keys, what stands under each, and how often it is missing, null or of another kind."""
    keys = random.sample(_KEYS, random.randrange(0, 7)) + random.sample(_ODD_KEYS, random.random() < 0.07)
    makes = [
        (key, _make(random, depth), random.choice((0.0, 0.0, 0.1, 0.6)), random.choice((0.0, 0.0, 0.1, 0.7)))
        for key in keys
    ]
    strange, shuffled = random.choice((0.0, 0.0, 0.0, 0.01)), random.random() < 0.05

    def draw(r: Random) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, make, missing, null in makes:
            if r.random() >= missing:
                made[key] = None if r.random() < null else _make(r, depth)(r) if r.random() < strange else make(r)
        return dict(r.sample(list(made.items()), len(made))) if shuffled else made

    return draw


def page(random: Random, draw: Draw, start: int, size: int) -> Page:
    """Documents that are numbered from `start`."""
    return [{"n": start + number, **draw(random)} for number in range(size)]


_HINTS: tuple[Callable[[Random], dict[str, Any]], ...] = (
    lambda r: {},
    lambda r: {"write_disposition": "replace"},
    lambda r: {"write_disposition": "merge", "primary_key": "n"},
    lambda r: {"write_disposition": "merge", "merge_key": r.choice(("n", "id"))},
    lambda r: {
        "write_disposition": {"disposition": "merge", "strategy": "upsert"},
        "primary_key": r.choice(("n", ("n", "id"))),
    },
    lambda r: {"write_disposition": {"disposition": "merge", "strategy": "scd2"}},
    lambda r: {"max_table_nesting": r.randrange(4)},
    lambda r: {"columns": {r.choice(_KEYS[:12]): {"data_type": r.choice(_TYPES), "nullable": r.random() < 0.9}}},
    lambda r: {"columns": {r.choice(_KEYS[:12]): {"nullable": r.random() < 0.5}}},
    lambda r: {"columns": {"price": {"data_type": "decimal", "precision": 10, "scale": 2}}},
    lambda r: {"columns": {"created_at": {"data_type": "timestamp", "timezone": False, "precision": r.choice((3, 6))}}},
    lambda r: {"columns": {"n": {"data_type": "bigint", "precision": r.choice((8, 16, 32))}}},
)
_TYPES = ("text", "double", "bool", "timestamp", "bigint", "json", "decimal", "date", "binary", "time", "wei")
_CONTRACTS = (
    {"columns": "freeze"},
    {"data_type": "discard_value"},
    {"columns": "discard_row"},
    {"tables": "discard_value"},
)


def case(random: Random, size: int = 25) -> list[Run]:
    """A few runs of one resource: hints that change, pages that change, and in any of them columns or not."""
    hints = random.choice(_HINTS)(random) if random.random() < 0.7 else {}
    draw, runs = documents(random, 3), []
    for number in range(random.randrange(1, 4)):
        if random.random() < 0.25:
            draw = documents(random, 3)
        if random.random() < 0.15:
            hints = random.choice(_HINTS)(random)
        pages = [
            page(random, draw, 1000 * number + 100 * part, random.randrange(1, size))
            for part in range(random.randrange(1, 4))
        ]
        contract = random.choice(_CONTRACTS) if random.random() < 0.1 else None
        columns = [random.random() < 0.85 for _ in range(2)]
        runs.append(Run(pages, hints, *columns, random.random() < 0.3, contract))
    return runs

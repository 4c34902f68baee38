"""Values that no column holds: what libraries say of them in passing is told with what to do."""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Said, native, sources

SHOP = """
import datetime as dt
from decimal import Decimal

import pyarrow as pa


def digits():
    yield {"price": Decimal("0.123456789012")}


def moments():
    yield pa.table({"at": pa.array([1_700_000_000_123_456_789], pa.timestamp("ns"))})


def counts():
    yield {"count": 2**64 - 1}


def huge():
    yield {"count": 2**70}


def spans():
    yield {"took": dt.timedelta(days=1)}
"""
ADVICE = {
    "digits": "{data_type: decimal, precision: 38, scale: 18}}), then dango sync digits --full-refresh",
    "moments": "cut it, in pandas by `.dt.floor('us')`",
    "counts": "under `resources:` (columns: {COLUMN: {data_type: decimal, precision: 38, scale: 0}})",
    "huge": "give an integer of more than 64 bits as a Decimal, or as text",
    "spans": "give a value of this type as text, a number, a list or a dict",
}


def test_the_hint_says_what_to_do(write: Callable[[dict[str, str]], None], dango: Callable[..., Said]) -> None:
    write({"custom_sources/shop.py": SHOP, "sources": sources(*(native(name, name) for name in ADVICE))})
    said = dango("sync")
    assert said.code == 1
    hints = dict(zip(ADVICE, said.err.split("  hint: ")[1:], strict=True))
    assert {name: advice for name, advice in ADVICE.items() if advice not in hints[name]} == {}

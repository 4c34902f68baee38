"""How many digits the decimals of a column have: all of them, and those after the point."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Digits = tuple[int, int]
OWN: Digits = (38, 9)
"""dlt's, where nothing is said of a column."""


def of(column: Mapping[str, Any]) -> Digits:
    """Those of a column as dlt describes it."""
    precision, scale = column.get("precision"), column.get("scale")
    return OWN if precision is None else (precision, scale or 0)


def hold(these: Digits, others: Digits) -> bool:
    """Whether decimals of these digits can be each number that has the others."""
    return others[0] - others[1] <= these[0] - these[1] and others[1] <= these[1]


def grown(before: Mapping[str, Any], after: Mapping[str, Any]) -> Digits | None:
    """The fewest that hold what a column held and what it is to hold; None where those that it has do."""
    these, others = of(before), of(after)
    if hold(these, others):
        return None
    scale = max(these[1], others[1])
    return max(these[0] - these[1], others[0] - others[1]) + scale, scale


def written(digits: Digits) -> str:
    """As the type is written: decimal(10, 2)."""
    return f"decimal({digits[0]}, {digits[1]})"

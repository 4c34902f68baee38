"""How many digits the decimals of a column have: all of them, and those after the point."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

Digits = tuple[int, int]
OWN: Digits = (38, 9)
"""dlt's, where nothing is said of a column."""
MOST = 38
"""Of Arrow's usual decimals, and of DuckDB's."""
_SHORT = 18
"""So many take eight bytes; more take sixteen, with which everything takes longer."""


def of(column: Mapping[str, Any]) -> Digits:
    """Those of a column as dlt describes it."""
    precision, scale = column.get("precision"), column.get("scale")
    return OWN if precision is None else (precision, scale or 0)


def hold(these: Digits, others: Digits) -> bool:
    """Whether decimals of these digits can be each number that has the others."""
    return others[0] - others[1] <= these[0] - these[1] and others[1] <= these[1]


def roomy(these: Digits) -> Digits:
    """Those of a new column for numbers of these: with room for longer ones, as far as it costs nothing."""
    return (_SHORT, these[1]) if these[0] <= _SHORT else exact(these)


def exact(these: Digits) -> Digits:
    """dlt's own, or where they would not hold numbers of these, all digits with as many behind the point."""
    return OWN if hold(OWN, these) else (MOST, these[1])


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


def parsed(texts: pa.Array, kind: pa.Decimal128Type) -> pa.Array:
    """Decimals that are written as text, none of them rounded.

    Of numbers that do not fit, Arrow's own conversion makes others (26.0.1, from 28 digits before the point on).

    Args:
        texts: an array, or a chunked one.
        kind: their type.

    Raises:
        pyarrow.ArrowInvalid: when one is no number, or does not fit.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    before = kind.precision - kind.scale
    plain = rf"^[-+]?[0-9]{{0,{before}}}(\.[0-9]{{0,{kind.scale}}})?$"
    if pc.all(pc.match_substring_regex(texts, plain), min_count=0).as_py() is False:
        return pa.array([None if text is None else _fitting(text, kind) for text in texts.to_pylist()], kind)
    return texts.cast(kind)


def _fitting(text: str, kind: pa.Decimal128Type) -> Decimal:
    import pyarrow as pa

    try:
        value = Decimal(text)
        fitting = value.quantize(Decimal(1).scaleb(-kind.scale), context=Context(prec=kind.precision))
    except InvalidOperation as error:
        raise pa.ArrowInvalid(f"{text} is no {written((kind.precision, kind.scale))}") from error
    if fitting != value:
        raise pa.ArrowInvalid(f"{text} has more digits than {written((kind.precision, kind.scale))}")
    return fitting

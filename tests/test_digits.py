"""Decimals that are written as text are those numbers, or are refused."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dango import digits

KINDS = ((38, 9), (38, 0), (38, 18), (10, 2), (1, 1))


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Numbers of up to eighty digits, as databases, Python and JSON write them."""
    whole, power = draw(st.integers(-(10**80), 10**80)), draw(st.integers(-60, 60))
    number = Decimal(whole).scaleb(power - len(str(whole)))
    return draw(st.sampled_from([str(number), f"{number:f}", f"{number:e}"]))


@settings(max_examples=2_000)
@given(st.lists(texts() | st.none(), min_size=1, max_size=3), st.sampled_from(KINDS))
@example(["728622150809756461242557160818152883"], (38, 9))
@example(["1" + "0" * 45], (38, 9))
@example(["6.5438364587E+34"], (38, 9))
@example(["44892464956872198291088134441.2944985186"], (38, 9))
@example(["1.50", None, "-0.000000001"], (38, 9))
def test_a_number_is_itself_or_refused(numbers: list[str | None], size: tuple[int, int]) -> None:
    kind = pa.decimal128(*size)
    held = [None if number is None else Decimal(number) for number in numbers]
    fit = all(each is None or _fits(each, *size) for each in held)
    try:
        parsed = digits.parsed(pa.array(numbers, pa.string()), kind).to_pylist()
    except pa.ArrowInvalid:
        assert not fit
    else:
        assert parsed == held
        assert fit


def _fits(number: Decimal, precision: int, scale: int) -> bool:
    shifted = Fraction(number) * 10**scale
    return shifted.denominator == 1 and abs(shifted) < 10**precision


@pytest.mark.parametrize("text", ["", "x", "NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(pa.ArrowInvalid):
        digits.parsed(pa.array([text]), pa.decimal128(38, 9))


@pytest.mark.parametrize(
    ("before", "after", "grown"),
    [
        ((10, 2), (12, 4), (12, 4)),
        ((10, 2), (9, 6), (14, 6)),
        ((10, 2), (10, 2), None),
        ((10, 2), (8, 2), None),
        ((10, 2), (6, 5), (13, 5)),
        ((None, None), (38, 18), (47, 18)),
        ((10, None), (38, 9), (38, 9)),
    ],
)
def test_a_column_grows_by_what_it_lacks(
    before: tuple[int | None, int | None], after: tuple[int, int], grown: tuple[int, int] | None
) -> None:
    columns = [dict(zip(("precision", "scale"), size, strict=True)) for size in (before, after)]
    assert digits.grown(*columns) == grown

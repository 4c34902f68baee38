"""A cursor's value is read in the type that it has, or refused with an example."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest

from dango.errors import UsageError
from dango.stored.cursor_values import kind_of, read, shown_value
from dango.stored.wishes import Cursor

UTC = dt.timezone.utc
INSTANT, LOCAL = dt.datetime(2024, 1, 10, 9, 30, tzinfo=UTC), dt.datetime(2024, 1, 10, 9, 30)


def cursor(present: Any) -> Cursor:
    return Cursor("orders", "at", shown_value(present), kind=kind_of(present))


@pytest.mark.parametrize(
    ("present", "text", "value"),
    [
        (INSTANT, "2024-01-08T11:30:00+02:00", dt.datetime(2024, 1, 8, 9, 30, tzinfo=UTC)),
        (INSTANT, "2024-01-08", dt.datetime(2024, 1, 8, tzinfo=UTC)),
        (INSTANT, "2024-01-08T09:30:00.123456Z", dt.datetime(2024, 1, 8, 9, 30, 0, 123456, tzinfo=UTC)),
        (LOCAL, "2024-01-08 09:30", dt.datetime(2024, 1, 8, 9, 30)),
        (LOCAL, "2024-01-08T11:30:00+02:00", dt.datetime(2024, 1, 8, 9, 30)),
        (dt.date(2024, 1, 10), "2024-01-08", dt.date(2024, 1, 8)),
        (10, "-8", -8),
        (1.5, "2", 2.0),
        (Decimal("1.50"), "2.25", Decimal("2.25")),
        ("2024-01-10T00:00:00Z", "2024-01-08", "2024-01-08"),
        ("w10", "w08", "w08"),
    ],
)
def test_a_value_has_the_type_of_the_present_one(present: Any, text: str, value: Any) -> None:
    found = read(text, present, cursor(present))
    assert (found, type(found)) == (value, type(value))
    assert getattr(found, "tzinfo", None) == getattr(value, "tzinfo", None)
    # What is shown can be typed.
    assert read(str(shown_value(found)), present, cursor(present)) == found


@pytest.mark.parametrize(
    ("present", "text", "example"),
    [
        (INSTANT, "soon", "datetime, such as 2024-01-31T09:30:00+00:00"),
        (dt.date(2024, 1, 10), "2024-13-01", "date, such as 2024-01-31"),
        (dt.date(2024, 1, 10), "2024-01-08T00:00:00", "date, such as 2024-01-31"),
        (10, "1.5", "integer, such as 1042"),
        (10, "1_0", "integer, such as 1042"),
        (1.5, "nan", "number, such as 10.5"),
        (Decimal("1.5"), "1e5", "number, such as 10.5"),
        ("2024-01-10T00:00:00Z", "soon", "text, such as 2024-01-10T00:00:00Z"),
        ("w10", "", "text, such as w10"),
    ],
)
def test_a_value_of_another_type_is_refused_with_an_example(present: Any, text: str, example: str) -> None:
    with pytest.raises(UsageError) as refused:
        read(text, present, cursor(present))
    assert refused.value.message == f"{text!r} is no value for the cursor `at` of `orders`: it is {example}"


def test_where_there_is_no_value_there_is_no_type() -> None:
    with pytest.raises(UsageError, match="has no value yet, and so no type"):
        read("1", None, cursor(None))

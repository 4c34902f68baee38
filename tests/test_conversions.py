"""Times in the forms of vendors: checked against `datetime` itself."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dango.conversions import CONVERSIONS, convert, moment

UTC = dt.timezone.utc
NEW_YEAR = dt.datetime(2024, 1, 1, tzinfo=UTC)
# From 1973 on, milliseconds and seconds are told apart by their size.
MOMENTS = st.datetimes(dt.datetime(1973, 4, 1), dt.datetime(5000, 1, 1), timezones=st.just(UTC))
ANY_ZONE = st.datetimes(
    dt.datetime(2, 1, 1),
    dt.datetime(9998, 1, 1),
    timezones=st.integers(-14 * 60, 14 * 60).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes))),
)


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("epoch", 1704067200),
        ("epoch_ms", 1704067200000),
        ("iso", "2024-01-01T00:00:00Z"),
        ("date", "2024-01-01"),
        ("ms_date", "/Date(1704067200000)/"),
        ("jql", "2024-01-01 00:00"),
    ],
)
@pytest.mark.parametrize(
    "value",
    [
        "2024-01-01",
        "2024-01-01T00:00:00Z",
        "2024-01-01T01:00:00+01:00",
        "2024-01-01T01:00:00.000+0100",
        "2024-01-01 00:00",
        dt.date(2024, 1, 1),
        dt.datetime(2024, 1, 1),
        NEW_YEAR,
        1704067200,
        1704067200.0,
        1704067200000,
        "1704067200",
        "1704067200.000100",
        "1704067200000",
        "/Date(1704067200000)/",
        "/Date(1704067200000+1300)/",
    ],
)
def test_every_form_is_read_and_every_form_is_written(value, name, written):
    assert convert(value, name) == written
    assert type(convert(value, name)) is type(written)


@given(ANY_ZONE)
def test_the_forms_agree_with_datetime(when):
    utc = when.astimezone(UTC)
    assert convert(when, "epoch") == int(utc.replace(microsecond=0).timestamp())
    milliseconds = convert(when, "epoch_ms")
    assert dt.timedelta() <= utc - (dt.datetime(1970, 1, 1, tzinfo=UTC) + dt.timedelta(milliseconds=milliseconds))
    assert convert(when, "ms_date") == f"/Date({milliseconds})/"
    assert dt.date.fromisoformat(convert(when, "date")) == utc.date()
    assert convert(when, "iso") == utc.replace(tzinfo=None, microsecond=0).isoformat() + "Z"
    minute = dt.datetime.fromisoformat(convert(when, "jql"))
    assert minute == utc.replace(tzinfo=None, second=0, microsecond=0)


@given(MOMENTS, st.sampled_from(CONVERSIONS), st.sampled_from(CONVERSIONS))
def test_what_one_form_says_the_others_read_and_never_as_later(when, first, second):
    said = convert(when, first)
    assert moment(said) <= when
    assert when - moment(said) < dt.timedelta(days=1)
    assert convert(said, first) == said
    assert moment(convert(said, second)) <= moment(said)


@pytest.mark.parametrize(
    "nonsense",
    ["", "yesterday", "2024-13-01", None, True, [], {}, float("nan"), float("inf"), 10**30, "9" * 40, b"2024-01-01",
     "/Date(x)/", "0001-01-01T00:00:00+14:00"],
)  # fmt: skip
def test_what_is_no_time_is_a_value_error(nonsense):
    with pytest.raises(ValueError):
        convert(nonsense, "iso")


def test_an_unknown_form_is_a_value_error_that_names_the_forms():
    with pytest.raises(ValueError, match=r"no conversion `unix`.*epoch_ms"):
        convert(NEW_YEAR, "unix")


def test_templates_convert_without_importing_dlt():
    code = "import sys, dango.conversions; sys.exit('dlt' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

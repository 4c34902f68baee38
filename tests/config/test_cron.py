"""Cron expressions: what they mean, against other readings of them, and what is refused with which words."""

from __future__ import annotations

import datetime as dt
import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from dango.config.cron import FIELDS, NAMED, Cron, parse
from dango.exporting.systemd import calendar
from tests.guides import DOCS

START = dt.datetime(2027, 1, 29, 22, 47)
MINUTE = dt.timedelta(minutes=1)


def named(draw: st.DrawFn, position: int, number: int) -> str:
    """A number, or what it is called."""
    names = FIELDS[position].names
    known = number - FIELDS[position].low < len(names)
    word = names[number - FIELDS[position].low] if known and draw(st.booleans()) else f"{number}"
    return word.lower() if draw(st.booleans()) else word


@st.composite
def items(draw: st.DrawFn, position: int) -> str:
    low, high = FIELDS[position].low, FIELDS[position].high
    first, last = sorted(draw(st.tuples(st.integers(low, high), st.integers(low, high))))
    one = named(draw, position, first)
    across = f"{one}-{named(draw, position, last)}"
    return draw(st.sampled_from([one, across, f"{across}/{draw(st.integers(1, high - low))}"]))


@st.composite
def fields(draw: st.DrawFn, position: int) -> str:
    step = draw(st.integers(1, FIELDS[position].high - FIELDS[position].low))
    several = ",".join(draw(st.lists(items(position), min_size=1, max_size=3)))
    return draw(st.sampled_from(["*", several, f"*/{step}"]))


@st.composite
def expressions(draw: st.DrawFn) -> str:
    minute, hour, day, month, weekday = (draw(fields(position)) for position in range(5))
    if "*" not in (day, weekday):
        # A step of all days beside other days is refused, as crons read it in two ways.
        day, weekday = day.replace("*", "1-31"), weekday.replace("*", "0-6")
    text = " ".join((minute, hour, day, month, weekday))
    try:
        parse(text)
    except ValueError as error:
        assume("it would never start" not in str(error))
        raise
    return text


def is_day(schedule: Cron, day: dt.date) -> bool:
    date, weekday = day.day in schedule.days, (day.weekday() + 1) % 7 in schedule.weekdays
    return day.month in schedule.months and (date or weekday if schedule.either else date and weekday)


def is_start(schedule: Cron, moment: dt.datetime) -> bool:
    return is_day(schedule, moment) and moment.hour in schedule.hours and moment.minute in schedule.minutes


def starts(schedule: Cron, after: dt.datetime, count: int) -> list[dt.datetime]:
    """The next starts, as far as there are so many in forty years."""
    found: list[dt.datetime] = []
    for day in (after.date() + dt.timedelta(days=days) for days in range(366 * 40)):
        if is_day(schedule, day):
            times = (dt.datetime.combine(day, dt.time(h, m)) for h in schedule.hours for m in schedule.minutes)
            found += [each for each in times if each > after]
        if len(found) >= count:
            break
    return found[:count]


def own_reading(text: str, moment: dt.datetime) -> bool:
    """Whether a cron would start then: written from crontab(5), and from nothing else."""
    words = text.upper().split()
    values = (moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)

    def number(word: str, position: int) -> int:
        for nth, name in enumerate(FIELDS[position].names):
            if word == name:
                return nth + (1 if position == 3 else 0)
        return int(word)

    def holds(word: str, position: int) -> bool:
        value = values[position]
        candidates = {value, 7} if position == 4 and value == 0 else {value}
        for item in word.split(","):
            body, _, step = item.partition("/")
            if body == "*":
                first, last = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))[position]
            else:
                begin, _, end = body.partition("-")
                first = number(begin, position)
                last = number(end, position) if end else first
            if any(first <= each <= last and (each - first) % int(step or 1) == 0 for each in candidates):
                return True
        return False

    minute, hour, day, month, weekday = (holds(word, position) for position, word in enumerate(words))
    either = words[2] != "*" and words[4] != "*"
    return minute and hour and month and (day or weekday if either else day and weekday)


@settings(deadline=None)
@given(expressions(), st.integers(0, 60 * 24 * 1500))
def test_a_schedule_means_what_crontab_says(text: str, offset: int) -> None:
    schedule, moment = parse(text), START + offset * MINUTE
    (soon,) = starts(schedule, moment, 1)
    for each in (moment, soon, soon + MINUTE, soon - MINUTE):
        assert is_start(schedule, each) == own_reading(text, each)


@given(expressions())
def test_what_is_written_for_other_crons_means_the_same(text: str) -> None:
    schedule = parse(text)
    assert parse(schedule.text) == schedule
    assert not any(letter.isalpha() for letter in schedule.text)
    assert "7" not in schedule.text.split()[4].partition("/")[0]


@settings(deadline=None, max_examples=60)
@given(expressions())
def test_a_library_names_the_same_next_times(text: str) -> None:
    croniter = pytest.importorskip("croniter")
    schedule = parse(text)
    expected = starts(schedule, START, 5)
    found = croniter.croniter(schedule.text, START, max_years_between_matches=50)
    assert [found.get_next(dt.datetime) for _ in expected] == expected


def systemd(arguments: list[str]) -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        reason = "no systemd-analyze here: apt-get install systemd"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    done = subprocess.run([program, *arguments], capture_output=True, text=True, env={**os.environ, "TZ": "UTC"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def elapses(words: str, count: int) -> Iterator[dt.datetime]:
    said = systemd(["calendar", f"--iterations={count}", f"--base-time={START:%Y-%m-%d %H:%M:%S}", words])
    for line in said.splitlines():
        name, _, value = line.strip().partition(": ")
        if name in ("Next elapse",) or name.startswith(("Iter. #", "Iteration #")):
            yield dt.datetime.strptime(value.strip(), "%a %Y-%m-%d %H:%M:%S UTC")


@settings(deadline=None, max_examples=40)
@given(expressions())
def test_systemd_starts_at_the_same_times(text: str) -> None:
    schedule = parse(text)
    expected = starts(schedule, START, 5)
    found = sorted({each for words in calendar(schedule) for each in elapses(words, 5)})
    assert found[: len(expected)] == expected


@pytest.mark.parametrize("text", ["*/21 * * * *", "5-59/7 * * * *", "0 */5 * * *", "0 0 */9 * *", "0 0 1 */5 *"])
def test_systemd_leaves_out_no_start_where_a_step_does_not_divide_its_field(text: str) -> None:
    """`*/21` is 42 minutes past eleven and then midnight, which systemd skips if it is written in steps."""
    schedule = parse(text)
    (words,) = calendar(schedule)
    assert list(elapses(words, 12)) == starts(schedule, START, 12)


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0 9 * * MON-FRI", "0 9 * * 1-5"),
        ("  0  9 * *\tmon-fri ", "0 9 * * 1-5"),
        ("*/15 0-6/2 1,15 JAN,jul *", "*/15 0-6/2 1,15 1,7 *"),
        ("00 09 * * 7", "0 9 * * 0"),
        ("0 0 * * 5-7", "0 0 * * 0,5,6"),
        ("0 0 * * FRI-SUN", "0 0 * * 0,5,6"),
        ("0 0 * * 5-7/2", "0 0 * * 0,5"),
        ("0 0 29 2 *", "0 0 29 2 *"),
        *NAMED.items(),
    ],
)
def test_a_schedule_in_numbers(text: str, numbers: str) -> None:
    assert parse(text).text == numbers


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("daily", "`daily` is no schedule (did you mean `@daily`?): five fields (minute, hour,"),
        ("@dayly", "`@dayly` is no schedule (did you mean `@daily`?)"),
        ("@reboot", "`@reboot` is no schedule: five"),
        ("", "`` is no schedule: five fields"),
        ("0 9 * *", "`0 9 * *` is no schedule: five fields"),
        ("0 0 9 * * *", "is no schedule: five fields"),
        ("60 * * * *", "minute `60`: `60` should be 0 to 59"),
        ("0 24 * * *", "hour `24`: `24` should be 0 to 23"),
        ("0 0 0 * *", "day of the month `0`: `0` should be 1 to 31"),
        ("0 0 * 13 *", "month `13`: `13` should be 1 to 12 or JAN to DEC"),
        ("0 0 * * 8", "day of the week `8`: `8` should be 0 to 7 or SUN to SAT"),
        ("0 0 * * MONDAY", "day of the week `MONDAY`: `MONDAY` should be 0 to 7 or SUN to SAT"),
        ("0 0 * JUN-FOO *", "month `JUN-FOO`: `FOO` should be 1 to 12 or JAN to DEC"),
        ("-1 * * * *", "minute `-1`: should be 0 to 59, a range such as 0-59, each with a step such as */2, or a list"),
        ("0,,5 * * * *", "minute ``: should be 0 to 59"),
        ("٣ * * * *", "minute `٣`: should be 0 to 59"),
        ("0 0 L * *", "day of the month `L`: `L` should be 1 to 31"),
        ("0 0 ? * *", "day of the month `?`: should be 1 to 31"),
        ("*/0 * * * *", "minute `*/0`: a step is 1 to 59"),
        ("*/60 * * * *", "minute `*/60`: a step is 1 to 59"),
        ("5/15 * * * *", "minute `5/15`: a step is one of a range, such as 5-59/15"),
        ("0 22-2 * * *", "hour `22-2`: 22 is behind 2; write two ranges, divided by a comma"),
        ("*,5 * * * *", "minute `*,5`: `*` is every one already"),
        ("0 0 */2 * MON", "`*/2` beside another day: some crons start on days that are both"),
        ("0 0 1 * */2", "`*/2` beside another day"),
        ("0 0 31 2,4 *", "there is no day 31 in the months 2,4: it would never start"),
        ("0 0 30 2 *", "there is no day 30 in the months 2: it would never start"),
    ],
)
def test_what_is_no_schedule_is_refused_with_what_may_stand_there(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        parse(text)


@pytest.mark.parametrize(
    ("text", "minutes"),
    [
        ("* * * * *", 1),
        ("*/7 * * * *", 4),
        ("0,58 * * * *", 2),
        ("0,58 3 * * *", 58),
        ("@hourly", 60),
        ("@daily", 1440),
    ],
)
def test_how_soon_one_start_follows_another(text: str, minutes: int) -> None:
    assert parse(text).shortest == minutes


@given(st.text(max_size=40))
def test_whatever_is_written_is_a_schedule_or_refused_with_a_reason(text: str) -> None:
    try:
        assert len(parse(text).text.split()) == 5
    except ValueError as error:
        assert str(error)


def test_the_names_are_those_that_the_documentation_lists() -> None:
    page = (DOCS / "DEPLOYING.md").read_text(encoding="utf-8")
    assert all(name in page for name in NAMED)

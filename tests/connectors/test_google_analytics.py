"""Google Analytics 4: a property on the loopback that answers `runReport` as its documentation has it."""

from __future__ import annotations

import datetime as dt

import pytest

from dango.connectors.vendors import google_analytics
from dango.errors import ArgumentError, VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.google import key_file, refused, token
from tests.connectors.vendor import vendor

SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
TODAY = dt.datetime.now(dt.timezone.utc).date()
DAY = dt.timedelta(days=1)
TYPES = {"sessions": "TYPE_INTEGER", "activeUsers": "TYPE_INTEGER", "totalRevenue": "TYPE_CURRENCY"}


class Property:
    """Rows by day and dimensions; `days` holds for each day what there is, as `{dimension values: metric value}`."""

    def __init__(self, days, today=TODAY, metadata=None):
        self.days, self.today, self.metadata = days, today, metadata or {}

    def __call__(self, asked):
        if asked.path == "/token":
            return token(asked, SCOPE)
        if asked.path != "/v1beta/properties/123:runReport":
            return refused("User does not have sufficient permissions for this property.", 403, "PERMISSION_DENIED")
        (dates,) = asked.json["dateRanges"]
        first = dt.date.fromisoformat(dates["startDate"])
        last = self.today if dates["endDate"] == "today" else dt.date.fromisoformat(dates["endDate"])
        if first > last:
            return refused("startDate must not be after endDate", 400, "INVALID_ARGUMENT")
        return self.report(asked.json, first, last)

    def report(self, asked, first, last):
        dimensions = [each["name"] for each in asked["dimensions"]]
        metrics = [each["name"] for each in asked["metrics"]]
        assert [each["dimension"]["dimensionName"] for each in asked["orderBys"]] == dimensions
        rows = [
            {"dimensionValues": [{"value": day.strftime("%Y%m%d")}, *({"value": value} for value in values)],
             "metricValues": [{"value": str(number)} for _ in metrics]}
            for day, found in sorted(self.days.items()) if first <= day <= last for values, number in found.items()
        ]  # fmt: skip
        begin = int(asked["offset"])
        page = rows[begin : begin + int(asked["limit"])]
        return {
            "dimensionHeaders": [{"name": name} for name in dimensions],
            "metricHeaders": [{"name": name, "type": TYPES.get(name, "TYPE_FLOAT")} for name in metrics],
            **({"rows": page} if page else {}),
            **({"rowCount": len(rows)} if rows else {}),
            "metadata": {"timeZone": "Europe/Berlin", **self.metadata},
            "propertyQuota": {"tokensPerDay": {"consumed": 10, "remaining": 190000}},
        }


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


OWN = {"signups": {"dimensions": ["country"], "metrics": ["sessions", "totalRevenue"]}}


def source(server, reports=OWN, since=TODAY - 10 * DAY, **answers):
    answers = {"property_id": "123", "start_date": since.isoformat(), "reports": reports, **answers}
    whole = made("google_analytics", credentials=key_file(server.url), base_url=server.url, **answers)
    return whole.with_resources(*reports) if reports else whole


def test_a_report_becomes_a_row_for_each_day_and_combination(warehouse):
    days = {TODAY - DAY: {("DE",): 3, ("FR",): 4}, TODAY: {("DE",): 5}}
    with vendor(Property(days)) as server:
        ask = warehouse.load(source(server))
    assert ask("SELECT date, country, sessions, total_revenue FROM signups ORDER BY 1, 2") == [
        (TODAY - DAY, "DE", 3, 3.0), (TODAY - DAY, "FR", 4, 4.0), (TODAY, "DE", 5, 5.0)
    ]  # fmt: skip


def test_the_second_load_replaces_the_days_that_may_have_changed_and_no_others(warehouse):
    days = {TODAY - n * DAY: {("DE",): n, ("FR",): n} for n in range(10)}
    shop = Property(days)
    with vendor(shop) as server:
        warehouse.load(source(server))
        asked = len(server.asked)
        # A combination is gone on a day that is read again, and another is new; an older day is not asked for.
        shop.days = {TODAY - 9 * DAY: {("DE",): 99}, TODAY - 2 * DAY: {("DE",): 20}, TODAY: {("IT",): 1}}
        shop.days[TODAY - DAY] = shop.days[TODAY - 3 * DAY] = shop.days[TODAY - 4 * DAY] = {("DE",): 7}
        ask = warehouse.load(source(server))
    ranges = [each.json["dateRanges"] for each in server.asked[asked:] if each.path != "/token"]
    assert ranges == [[{"startDate": (TODAY - 4 * DAY).isoformat(), "endDate": "today"}]]
    assert ask("SELECT date, country, sessions FROM signups WHERE date >= current_date - 4 ORDER BY 1, 2") == [
        (TODAY - 4 * DAY, "DE", 7), (TODAY - 3 * DAY, "DE", 7), (TODAY - 2 * DAY, "DE", 20), (TODAY - DAY, "DE", 7),
        (TODAY, "IT", 1),
    ]  # fmt: skip
    assert ask("SELECT count(*), sum(sessions) FROM signups WHERE date < current_date - 4") == [(10, 70)]


def test_pages_are_asked_for_until_all_rows_are_there(monkeypatch):
    monkeypatch.setattr(google_analytics, "_PAGE", 2)
    days = {TODAY: {(country,): 1 for country in ("AT", "BE", "CH", "DE", "FR")}}
    with vendor(Property(days)) as server:
        assert [row["country"] for row in source(server, since=TODAY)] == ["AT", "BE", "CH", "DE", "FR"]
        reports = [asked.json["offset"] for asked in server.asked if asked.path != "/token"]
    assert reports == ["0", "2", "4"]


@pytest.mark.parametrize("today", [TODAY - DAY, TODAY, TODAY + DAY])
@pytest.mark.parametrize("ago", [0, 1, 6, 7, 8])
def test_each_day_comes_once_wherever_the_property_is(today, ago):
    days = {TODAY + n * DAY: {("DE",): 1} for n in range(-20, 2)}
    with vendor(Property({day: found for day, found in days.items() if day <= today}, today)) as server:
        found = [row["date"] for row in source(server, since=TODAY - ago * DAY)]
    assert found == [day for day in days if TODAY - ago * DAY <= day <= today]


def test_a_property_without_visits_has_no_rows(warehouse):
    with vendor(Property({})) as server:
        assert list(source(server)) == []


def test_what_google_leaves_out_is_told_once(caplog):
    metadata = {"dataLossFromOtherRow": True, "subjectToThresholding": True}
    with vendor(Property({TODAY: {("DE",): 1}}, metadata=metadata)) as server:
        list(source(server))
    assert [record.message.partition(":")[2][:30] for record in caplog.records] == [
        " Google has put rare combinati", " Google withholds rows of few "
    ]  # fmt: skip


def test_a_property_that_may_not_be_seen_is_told_with_what_to_do():
    with vendor(Property({})) as server, pytest.raises(Exception) as caught:
        list(source(server, property_id="9"))
    error = root_cause(caught.value)
    assert isinstance(error, VendorError)
    assert "403: User does not have sufficient permissions" in error.message
    assert "as Viewer" in error.hint


def test_tokens_that_are_used_up_are_told(monkeypatch):
    monkeypatch.setenv("RUNTIME__REQUEST_MAX_ATTEMPTS", "1")
    said = "Exhausted property tokens per day."

    def answer(asked):
        return token(asked, SCOPE) if asked.path == "/token" else refused(said, 429, "RESOURCE_EXHAUSTED")

    with vendor(answer) as server, pytest.raises(Exception) as caught:
        list(source(server))
    error = root_cause(caught.value)
    assert said in error.message
    assert "they come back" in error.hint


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"dimensions": ["country"]}, "`metrics` is a list of names"),
        ({"metrics": ["sessions"], "dimension": ["x"]}, "no `dimension` .did you mean `dimensions`"),
        (["sessions"], "is no mapping"),
    ],
)
def test_a_report_that_is_none_is_told_before_anything_is_asked(report, said):
    with pytest.raises(ArgumentError, match=said):
        google_analytics.google_analytics("1", "{}", "2024-01-01", reports={"mine": report})


def test_what_is_ready_keeps_to_what_google_allows():
    for report in google_analytics.REPORTS.values():
        assert len(report["dimensions"]) <= 8
        assert len(report["metrics"]) <= 10

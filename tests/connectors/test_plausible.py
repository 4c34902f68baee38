"""Plausible: a site on the loopback that answers the Stats API as its documentation has it."""

from __future__ import annotations

import datetime as dt

import pytest

from dango.connectors.vendors import plausible
from dango.errors import ArgumentError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.vendor import Answer, vendor

TODAY = dt.datetime.now(dt.timezone.utc).date()
DAY = dt.timedelta(days=1)


class Site:
    """Visitors by day and what else is asked for: `{day: {(values): number}}`."""

    def __init__(self, days):
        self.days = days

    def __call__(self, asked):
        if asked.headers.get("Authorization") != "Bearer k3y":
            return Answer({"error": "Invalid API key or site ID."}, 401)
        assert (asked.method, asked.path, asked.json["site_id"]) == ("POST", "/api/v2/query", "shop.example")
        assert asked.json["order_by"] == [[each, "asc"] for each in asked.json["dimensions"]]
        first, last = map(dt.date.fromisoformat, asked.json["date_range"])
        rows = [
            {"dimensions": [day.isoformat(), *values], "metrics": [number for _ in asked.json["metrics"]]}
            for day, found in sorted(self.days.items()) if first <= day <= last for values, number in found.items()
        ]  # fmt: skip
        begin, limit = asked.json["pagination"]["offset"], asked.json["pagination"]["limit"]
        return {"results": rows[begin : begin + limit], "meta": {"total_rows": len(rows)}, "query": {}}


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(plausible, "_PER_SECOND", 1000.0)


def source(server, *resources, since=TODAY - 9 * DAY, key="k3y", **answers):
    whole = made(
        "plausible", site="shop.example", api_key=key, start_date=since.isoformat(), base_url=server.url, **answers
    )
    return whole.with_resources(*(resources or ["sources"]))


def test_a_report_is_a_row_for_each_day_and_combination(warehouse):
    days = {TODAY - DAY: {("Google", "cpc", "(not set)"): 3}, TODAY: {("Bing", "organic", "(not set)"): 4}}
    with vendor(Site(days)) as server:
        ask = warehouse.load(source(server))
    assert ask("SELECT date, source, utm_medium, utm_campaign, visitors, bounce_rate FROM sources ORDER BY date") == [
        (TODAY - DAY, "Google", "cpc", "(not set)", 3, 3), (TODAY, "Bing", "organic", "(not set)", 4, 4)
    ]  # fmt: skip


def test_the_second_load_replaces_the_days_that_may_have_changed(warehouse):
    site = Site({TODAY - n * DAY: {(): 1} for n in range(9)})
    with vendor(site) as server:
        warehouse.load(source(server, "overview"))
        site.days = {TODAY - n * DAY: {(): 7} for n in range(9)}
        ask = warehouse.load(source(server, "overview"))
        assert server.asked[-1].json["date_range"] == [(TODAY - 2 * DAY).isoformat(), TODAY.isoformat()]
    assert ask("SELECT visitors, count(*) FROM overview GROUP BY 1 ORDER BY 1") == [(1, 6), (7, 3)]


def test_pages_are_asked_for_until_all_rows_are_there(monkeypatch):
    monkeypatch.setattr(plausible, "_PAGE", 2)
    days = {TODAY: {(f"/{n}",): n for n in range(5)}}
    with vendor(Site(days)) as server:
        assert [row["page"] for row in source(server, "pages")] == ["/0", "/1", "/2", "/3", "/4"]
        assert [asked.json["pagination"]["offset"] for asked in server.asked] == [0, 2, 4]


def test_many_days_are_asked_for_in_pieces_and_each_once():
    site = Site({TODAY - n * DAY: {(): 1} for n in range(100)})
    with vendor(site) as server:
        assert [row["date"] for row in source(server, "overview", since=TODAY - 99 * DAY)] == sorted(site.days)
        assert len(server.asked) == 4


def test_reports_of_ones_own_are_asked_with_their_filters():
    report = {"metrics": ["visitors"], "dimensions": ["visit:country"], "filters": [["is", "event:page", ["/"]]]}
    with vendor(Site({TODAY: {("DE",): 1}})) as server:
        assert list(source(server, "mine", reports={"mine": report})) == [
            {"date": TODAY, "country": "DE", "visitors": 1}
        ]
        assert server.asked[0].json["filters"] == report["filters"]


def test_a_site_without_visits_has_no_rows():
    with vendor(Site({})) as server:
        assert list(source(server)) == []


def test_a_key_that_is_refused_is_told_and_not_shown():
    with vendor(Site({})) as server, pytest.raises(Exception) as caught:
        list(source(server, key="hunter22"))
    error = root_cause(caught.value)
    assert "401: Invalid API key or site ID." in error.message
    assert "Stats API" in error.hint
    assert "hunter22" not in f"{error} {error.hint}"


def test_a_report_that_is_none_is_told_before_anything_is_asked():
    with pytest.raises(ArgumentError, match="has no `metrics`"):
        plausible.plausible("x", "k3y", "2024-01-01", reports={"mine": {"dimensions": []}})
    with pytest.raises(ArgumentError, match=r"no `metric` .did you mean `metrics`"):
        plausible.plausible("x", "k3y", "2024-01-01", reports={"mine": {"metrics": ["visits"], "metric": []}})

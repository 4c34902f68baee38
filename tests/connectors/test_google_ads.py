"""Google Ads: an account on the loopback that answers GAQL over REST as the documentation has it."""

from __future__ import annotations

import datetime as dt
import re

import pytest

from dango.connectors.vendors import google_ads
from dango.errors import ArgumentError, VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.google import key_file, refused, token
from tests.connectors.vendor import vendor

TODAY = dt.datetime.now(dt.timezone.utc).date()
DAY = dt.timedelta(days=1)
SCOPE = "https://www.googleapis.com/auth/adwords"
QUERY = re.compile(
    r"SELECT (?P<fields>.+) FROM (?P<name>\w+)(?: WHERE (?P<where>.*?))??"
    r"(?:(?: WHERE| AND) segments.date BETWEEN '(?P<first>.{10})' AND '(?P<last>.{10})')?"
)


class Account:
    """Rows by what they are of, as the API nests them; pages of two."""

    def __init__(self, **rows):
        self.rows = rows

    def __call__(self, asked):
        if asked.path == "/token":
            return token(asked, SCOPE)
        if asked.headers.get("Developer-Token", asked.headers.get("developer-token")) != "dev":
            return refused("The developer token is not valid.", 401, "UNAUTHENTICATED")
        if asked.path != "/v26/customers/1234567890/googleAds:search":
            return refused("The caller does not have permission", 403, "PERMISSION_DENIED")
        found = QUERY.fullmatch(asked.json["query"])
        assert found, asked.json["query"]
        rows = [
            row for row in self.rows.get(found["name"], [])
            if not found["first"] or found["first"] <= row["segments"]["date"] <= found["last"]
        ]  # fmt: skip
        begin = int(asked.json.get("pageToken", 0))
        more = {"nextPageToken": str(begin + 2)} if begin + 2 < len(rows) else {}
        return {**({"results": rows[begin : begin + 2]} if rows else {}), **more, "fieldMask": "…"}


ZONE = [{"customer": {"resourceName": "customers/1234567890", "timeZone": "Etc/UTC"}}]


def result(day, campaign="1", clicks="5", **metrics):
    return {
        "campaign": {"resourceName": "…", "id": campaign, "name": "Spring"},
        "metrics": {"clicks": clicks, "impressions": "100", "costMicros": "1230000", "conversions": 1.5, **metrics},
        "segments": {"date": day.isoformat()},
    }


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(google_ads, "_PER_SECOND", 1000.0)


def source(server, *resources, since=TODAY - 9 * DAY, developer_token="dev", customer_id="123-456-7890", **answers):
    whole = made(
        "google_ads", customer_id=customer_id, developer_token=developer_token, credentials=key_file(server.url),
        start_date=since.isoformat(), base_url=server.url, **answers,
    )  # fmt: skip
    return whole.with_resources(*(resources or ["campaign_results"]))


def failure(given):
    with pytest.raises(Exception) as caught:
        list(given)
    return root_cause(caught.value)


def test_results_have_a_column_for_each_field_and_whole_numbers(warehouse):
    account = Account(customer=ZONE, campaign=[result(TODAY - DAY), result(TODAY, "2"), result(TODAY, "3")])
    with vendor(account) as server:
        ask = warehouse.load(source(server, login_customer_id="999-999-9999"))
        assert server.asked[-1].headers["login-customer-id"] == "9999999999"
    assert ask(
        "SELECT segments_date, campaign_id, campaign_name, metrics_clicks, metrics_cost_micros, metrics_conversions"
        " FROM campaign_results ORDER BY campaign_id"
    ) == [
        (TODAY - DAY, "1", "Spring", 5, 1230000, 1.5), (TODAY, "2", "Spring", 5, 1230000, 1.5),
        (TODAY, "3", "Spring", 5, 1230000, 1.5),
    ]  # fmt: skip


def test_the_second_load_replaces_the_days_to_which_conversions_may_be_added(warehouse):
    account = Account(customer=ZONE, campaign=[result(TODAY - n * DAY) for n in range(9)])
    with vendor(account) as server:
        warehouse.load(source(server, lookback=2))
        account.rows["campaign"] = [result(TODAY - n * DAY, clicks="6") for n in range(9)]
        ask = warehouse.load(source(server, lookback=2))
        assert f"BETWEEN '{TODAY - 2 * DAY}' AND '{TODAY}'" in server.asked[-1].json["query"]
    assert ask("SELECT metrics_clicks, count(*) FROM campaign_results GROUP BY 1 ORDER BY 1") == [(5, 6), (6, 3)]


def test_what_is_in_the_account_is_read_whole(warehouse):
    ads = [{"campaign": {"id": "1"}, "adGroupCriterion": {"criterionId": str(n), "negative": False}} for n in range(3)]
    with vendor(Account(ad_group_criterion=ads)) as server:
        ask = warehouse.load(source(server, "keywords"))
        assert server.asked[-1].json["query"].endswith("WHERE ad_group_criterion.type = 'KEYWORD'")
    assert ask("SELECT ad_group_criterion_criterion_id, ad_group_criterion_negative FROM keywords ORDER BY 1") == [
        ("0", False), ("1", False), ("2", False)
    ]  # fmt: skip


def test_reports_of_ones_own_are_by_day_or_whole():
    reports = {
        "by_device": {"from": "campaign", "fields": ["segments.device", "metrics.clicks"], "where": "campaign.id = 1"},
        "budgets": {"from": "campaign_budget", "fields": ["campaign_budget.amount_micros"], "by_day": False},
    }
    row = {"segments": {"device": "MOBILE", "date": TODAY.isoformat()}, "metrics": {"clicks": "5"}}
    budget = {"campaignBudget": {"amountMicros": "7"}}
    with vendor(Account(customer=ZONE, campaign=[row], campaign_budget=[budget])) as server:
        assert list(source(server, "by_device", reports=reports)) == [
            {"segments_date": TODAY, "segments_device": "MOBILE", "metrics_clicks": 5}
        ]
        assert list(source(server, "budgets", reports=reports)) == [{"campaign_budget_amount_micros": 7}]


def test_every_query_that_is_ready_is_well_formed():
    for report in {**google_ads.RESULTS, **google_ads.OBJECTS}.values():
        assert QUERY.fullmatch(google_ads._query(report))


def test_an_account_without_results_has_no_rows():
    with vendor(Account(customer=ZONE)) as server:
        assert list(source(server, "campaign_results", "campaigns")) == []


def test_an_account_that_may_not_be_read_is_told_with_what_to_do():
    with vendor(Account(customer=ZONE)) as server:
        error = failure(source(server, customer_id="1112223333"))
    assert isinstance(error, VendorError)
    assert "403: The caller does not have permission" in error.message
    assert "as Read only" in error.hint


def test_a_developer_token_that_is_refused_is_told_and_not_shown():
    with vendor(Account(customer=ZONE)) as server:
        error = failure(source(server, developer_token="hunter22"))
    assert "401: The developer token is not valid." in error.message
    assert "hunter22" not in f"{error} {error.hint}"


@pytest.mark.parametrize(
    ("report", "said"),
    [
        ({"fields": ["campaign.id"]}, "has no `from`"),
        ({"from": "campaign", "fields": ["campaign.id"], "wher": "x"}, "mean `where`"),
        ({"from": "campaign", "fields": ["campaign.id FROM x"]}, "is no field"),
    ],
)
def test_a_report_that_is_none_is_told_before_anything_is_asked(report, said):
    with pytest.raises(ArgumentError, match=said):
        google_ads.google_ads("1234567890", "dev", "{}", "2024-01-01", reports={"mine": report})

"""Meta Ads: an ad account on the loopback that computes its reports as jobs, as the documentation has it."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from itertools import count

import pytest

from dango.connectors.vendors import facebook_ads
from dango.errors import ArgumentError, VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.vendor import Answer, vendor

TODAY = dt.datetime.now(dt.timezone.utc).date()
DAY = dt.timedelta(days=1)
TOKEN = "EAAs3cret"


def refused(message, code, status=400, **more):
    return Answer({"error": {"message": message, "type": "OAuthException", "code": code, **more}}, status)


class Account:
    """One ad account; `days` holds the results of each day. A job is done when it has been asked for `slow` times."""

    def __init__(self, days=None, slow=1, largest=99, fails=()):
        self.days, self.slow, self.largest, self.fails = days or {}, slow, largest, fails
        self.jobs, self.numbers = {}, count(1000)
        self.objects = {"campaigns": [], "adsets": [], "ads": [], "adcreatives": []}
        self.busy = 0

    def __call__(self, asked):
        if asked.headers.get("Authorization") != f"Bearer {TOKEN}":
            return refused("Invalid OAuth access token.", 190)
        if self.busy:
            self.busy -= 1
            return refused("There have been too many calls from this ad-account.", 80004)
        _, version, first, *rest = asked.path.split("/")
        assert version == "v26.0"
        if first == "act_7":
            return self.account(rest, asked)
        return self.results(first, asked) if rest else self.job(first)

    def account(self, rest, asked):
        if not rest:
            return {"timezone_name": "Etc/UTC", "id": "act_7"}
        if rest == ["insights"]:
            assert asked.method == "POST"
            number = str(next(self.numbers))
            self.jobs[number] = {"form": asked.form, "asked": 0}
            return {"report_run_id": number}
        return self.page(self.objects[rest[0]], asked)

    def job(self, number):
        job = self.jobs[number]
        job["asked"] += 1
        first, last = self.between(job)
        if (last - first).days >= self.largest or first in self.fails:
            return {"async_status": "Job Failed", "async_percent_completion": 0, "error_user_msg": "Too much data"}
        if job["asked"] < self.slow:
            return {"async_status": "Job Running", "async_percent_completion": 50}
        return {"async_status": "Job Completed", "async_percent_completion": 100}

    def between(self, job):
        found = json.loads(job["form"]["time_range"])
        return dt.date.fromisoformat(found["since"]), dt.date.fromisoformat(found["until"])

    def results(self, number, asked):
        first, last = self.between(self.jobs[number])
        rows = [
            {**row, "date_start": day.isoformat(), "date_stop": day.isoformat()}
            for day, found in sorted(self.days.items()) if first <= day <= last for row in found
        ]  # fmt: skip
        return self.page(rows, asked)

    def page(self, rows, asked):
        begin = int(asked.query.get("after", 0))
        end = begin + int(asked.query["limit"])
        paging = {"cursors": {"before": str(begin), "after": str(end)}}
        if end < len(rows):
            paging["next"] = f"https://graph.facebook.com/…?access_token={TOKEN}&after={end}"
        return {"data": rows[begin:end], **({"paging": paging} if rows else {})}


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(facebook_ads, "_PER_SECOND", 1000.0)
    monkeypatch.setattr(facebook_ads, "_PAUSE", 0.01)


def source(server, *resources, since=TODAY - 3 * DAY, token=TOKEN, **answers):
    whole = made("facebook_ads", account="7", token=token, start_date=since.isoformat(), base_url=server.url, **answers)
    return whole.with_resources(*(resources or ["insights"]))


def ad(number, spend="1.10", **more):
    return {"ad_id": str(number), "impressions": "12", "spend": spend, **more}


def failure(given):
    with pytest.raises(Exception) as caught:
        list(given)
    return root_cause(caught.value)


def test_results_are_rows_by_day_whose_numbers_are_numbers(warehouse):
    bought = [{"action_type": "purchase", "value": "3", "7d_click": "2"}]
    with vendor(Account({TODAY: [ad(1, actions=bought), ad(2)]}, slow=3)) as server:
        ask = warehouse.load(source(server, attribution_windows=["7d_click", "1d_view"]))
    assert ask("SELECT date_start, ad_id, impressions, spend FROM insights ORDER BY ad_id") == [
        (TODAY, "1", 12, Decimal("1.10")), (TODAY, "2", 12, Decimal("1.10"))
    ]  # fmt: skip
    assert ask("SELECT action_type, value, _7d_click FROM insights__actions") == [("purchase", 3.0, 2.0)]
    (job,) = (asked.form for asked in server.to("/v26.0/act_7/insights"))
    assert (job["level"], job["time_increment"]) == ("ad", "1")
    assert json.loads(job["action_attribution_windows"]) == ["7d_click", "1d_view"]
    assert not any(TOKEN in str(asked.query) + asked.body for asked in server.asked)


def test_the_second_load_replaces_the_days_to_which_actions_may_be_added(warehouse):
    bought = [{"action_type": "purchase", "value": "3"}]
    days = {TODAY - n * DAY: [ad(1, actions=bought), ad(2)] for n in range(6)}
    account = Account(days)
    with vendor(account) as server:
        warehouse.load(source(server, since=TODAY - 6 * DAY, lookback=2))
        account.jobs = {}
        account.days = {**{day: [ad(9)] for day in days}, TODAY - DAY: [ad(1, "5.00"), ad(3)]}
        ask = warehouse.load(source(server, since=TODAY - 6 * DAY, lookback=2))
    assert [account.between(job) for job in account.jobs.values()] == [(TODAY - 2 * DAY, TODAY)]
    assert ask("SELECT date_start, ad_id, spend FROM insights WHERE date_start > current_date - 3 ORDER BY 1, 2") == [
        (TODAY - 2 * DAY, "9", Decimal("1.10")), (TODAY - DAY, "1", Decimal("5.00")),
        (TODAY - DAY, "3", Decimal("1.10")), (TODAY, "9", Decimal("1.10")),
    ]  # fmt: skip
    assert ask("SELECT count(*) FROM insights WHERE date_start <= current_date - 3") == [(6,)]
    assert ask("SELECT count(*) FROM insights__actions") == [(3,)]


def test_pages_are_followed_by_their_cursors(monkeypatch):
    monkeypatch.setattr(facebook_ads, "_PAGE", 10)
    account = Account({TODAY: [ad(number) for number in range(21)]})
    account.objects["campaigns"] = [{"id": str(number), "name": "x"} for number in range(5)]
    with vendor(account) as server:
        rows = list(source(server, "insights", "campaigns"))
    assert sorted(int(row["ad_id"]) for row in rows if "ad_id" in row) == [*range(21)]
    assert sorted(row["id"] for row in rows if "ad_id" not in row) == ["0", "1", "2", "3", "4"]


def test_a_report_that_is_too_large_is_asked_for_in_halves():
    account = Account({TODAY - n * DAY: [ad(n)] for n in range(6)}, largest=2)
    with vendor(account) as server:
        assert [row["ad_id"] for row in source(server, since=TODAY - 5 * DAY)] == ["5", "4", "3", "2", "1", "0"]


def test_a_day_whose_report_fails_is_told_in_metas_words():
    with vendor(Account(fails=[TODAY - DAY])) as server:
        error = failure(source(server, since=TODAY - DAY))
    assert isinstance(error, VendorError)
    assert error.message == f"Meta's report of {TODAY - DAY} ends as Job Failed: Too much data"


def test_a_report_that_is_never_done_is_told(monkeypatch):
    monkeypatch.setattr(facebook_ads, "_SECONDS", 0.05)
    with vendor(Account(slow=10**6)) as server:
        assert "is not done after 0.05 seconds" in failure(source(server)).message


def test_too_many_requests_are_asked_again_though_their_status_does_not_say_so():
    account = Account({TODAY: [ad(1)]})
    account.busy = 1
    with vendor(account) as server:
        assert len(list(source(server, since=TODAY))) == 1


def test_days_that_meta_does_not_keep_are_not_asked_for(monkeypatch):
    monkeypatch.setattr(facebook_ads, "_DAYS", 300)
    account = Account({TODAY: [ad(1)]})
    with vendor(account) as server:
        assert len(list(source(server, since=dt.date(2015, 1, 1)))) == 1
    assert min(account.between(job)[0] for job in account.jobs.values()) == TODAY - dt.timedelta(days=1120)


def test_an_account_without_results_has_no_rows():
    with vendor(Account()) as server:
        assert list(source(server, "insights", "ads", "creatives")) == []


def test_a_token_that_is_refused_is_told_and_not_shown():
    with vendor(Account()) as server:
        error = failure(source(server, token="other"))
    assert "answers 400: Invalid OAuth access token." in error.message
    assert "ads_read" in error.hint
    assert "other" not in f"{error} {error.hint}"


@pytest.mark.parametrize(
    ("report", "said"), [({"level": "ad"}, "has no `fields`"), ({"fields": ["spend"], "breakdown": []}, "mean `breakd")]
)
def test_a_report_that_is_none_is_told_before_anything_is_asked(report, said):
    with pytest.raises(ArgumentError, match=said):
        facebook_ads.facebook_ads("7", TOKEN, "2024-01-01", reports={"mine": report})

"""Ads of Meta (Facebook, Instagram): results by day, which Meta computes as jobs, and the ads themselves."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import dlt
from dlt.sources import DltResource
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from requests import Response

from dango.connectors.vendors.api import Api
from dango.connectors.vendors.reports import Cursor, Days, awaited, by_day, windows
from dango.errors import ArgumentError, VendorError, near

_PER_SECOND = 2.0
_PAGE = 500
_DAYS = 7
_DAY = "date_start"
# Meta keeps results for 37 months, and refuses to be asked for older ones.
_KEPT = dt.timedelta(days=1120)
_SECONDS = 3600.0
_PAUSE = 2.0
# Too many calls of the app, the user, the account; something temporary at Meta.
_LIMITS = {4, 17, 32, 613, *range(80000, 80015)}
_PASSING = {1, 2}
_HINTS = {
    400: "where the token is refused or lacks a right: give a system user's token with ads_read, and the ad account",
    401: "give a system user's token with ads_read, and the ad account",
    403: "give a system user's token with ads_read, and the ad account",
}
_NAMES = ("account_id", "campaign_id", "campaign_name", "adset_id", "adset_name", "ad_id", "ad_name")
_COUNTS = ("impressions", "clicks", "inline_link_clicks", "reach", "unique_clicks")
_RATES = ("cpc", "cpm", "cpp", "ctr", "frequency")
_RESULTS = (*_NAMES, "impressions", "clicks", "inline_link_clicks", "spend", "actions", "action_values")

Report = Mapping[str, Any]

REPORTS: Mapping[str, Report] = {
    "insights": {"fields": [*_RESULTS, "reach", "frequency", "cpc", "cpm", "ctr"]},
    "insights_by_age_and_gender": {"fields": [*_RESULTS], "breakdowns": ["age", "gender"]},
    "insights_by_country": {"fields": [*_RESULTS], "breakdowns": ["country"]},
    "insights_by_platform": {"fields": [*_RESULTS], "breakdowns": ["publisher_platform", "platform_position"]},
}
"""Results that are ready, by the name of their table; each is of ads, by day."""

_TIMES = "created_time,updated_time"
_EDGES = {"creatives": "adcreatives"}
_STATES = "status,effective_status"
_BUDGETS = "daily_budget,lifetime_budget"
OBJECTS: Mapping[str, str] = {
    "campaigns": "id,account_id,name,objective,buying_type,bid_strategy,start_time,stop_time,"
    f"{_BUDGETS},{_STATES},{_TIMES}",
    "adsets": "id,account_id,campaign_id,name,optimization_goal,billing_event,bid_amount,targeting,start_time,end_time,"
    f"{_BUDGETS},{_STATES},{_TIMES}",
    "ads": f"id,account_id,campaign_id,adset_id,name,creative{{id}},{_STATES},{_TIMES}",
    "creatives": "id,account_id,name,title,body,status,object_type,call_to_action_type,link_url,image_url,video_id,"
    "effective_object_story_id,url_tags",
}
"""What there is of the account: its fields, by the name of the table."""


def facebook_ads(
    account: str,
    token: str,
    start_date: str,
    lookback: int = 28,
    attribution_windows: Sequence[str] | None = None,
    reports: Mapping[str, Report] | None = None,
    version: str = "v26.0",
    base_url: str = "https://graph.facebook.com",
) -> list[DltResource]:
    """Results by day, which are merged, and the account's campaigns, ad sets, ads and creatives, which are replaced.

    Args:
        account: the number of the ad account.
        token: of a user who may read it.
        start_date: the first day.
        lookback: so many days before the newest one are read again with each sync, and replaced.
        attribution_windows: within which actions count, such as `7d_click`; without them as the ad sets are set.
        reports: more results, by the name of their table: `fields`, and perhaps `level`, `breakdowns` and
            `action_breakdowns`.
        version: of the API.
        base_url: of the API.

    Raises:
        ArgumentError: when a report is none.
    """
    for name, report in (reports or {}).items():
        _require(name, report)
    api = Api(f"{base_url}/{version}", _PER_SECOND, BearerTokenAuth(token), hints=_HINTS, is_passing=_is_passing)
    ad_account = f"act_{account.removeprefix('act_')}"
    results = [
        by_day(
            name,
            _DAY,
            start_date,
            lookback,
            partial(_results, api, ad_account, _asked(report, attribution_windows)),
            columns=_types(report),
            max_table_nesting=1,
        )
        for name, report in {**REPORTS, **(reports or {})}.items()
    ]
    whole = [
        dlt.resource(
            _objects, name=name, write_disposition="replace", primary_key="id", columns=_KNOWN, max_table_nesting=0
        )(api, f"{ad_account}/{_EDGES.get(name, name)}", fields)
        for name, fields in OBJECTS.items()
    ]
    return [*results, *whole]


_KEYS = ("fields", "level", "breakdowns", "action_breakdowns")
_KNOWN: Any = {
    **{
        name: {"data_type": "timestamp"}
        for name in ("created_time", "updated_time", "start_time", "stop_time", "end_time")
    },
    **{name: {"data_type": "bigint"} for name in ("daily_budget", "lifetime_budget", "bid_amount")},
}


def _require(name: str, report: Any) -> None:
    where = ("facebook_ads", "reports", name)
    if not isinstance(report, Mapping) or not report.get("fields"):
        raise ArgumentError(f"the report `{name}` has no `fields`", "such as [campaign_id, impressions]", loc=where[:2])
    for key in report:
        if key not in _KEYS:
            hint = f"it has: {', '.join(_KEYS)}"
            raise ArgumentError(f"the report `{name}` has no `{key}`{near(key, _KEYS)}", hint, loc=where)


def _types(report: Report) -> Any:
    """Meta sends numbers as text."""
    kinds = dict.fromkeys(_COUNTS, "bigint") | dict.fromkeys(_RATES, "double") | {"spend": "decimal"}
    return {name: {"data_type": kinds[name]} for name in report["fields"] if name in kinds}


def _asked(report: Report, attribution_windows: Sequence[str] | None) -> dict[str, str]:
    lists = {key: report.get(key) for key in ("breakdowns", "action_breakdowns")}
    lists["action_attribution_windows"] = attribution_windows
    return {
        "level": report.get("level", "ad"),
        "fields": ",".join(report["fields"]),
        "time_increment": "1",
        **{key: json.dumps(list(value)) for key, value in lists.items() if value},
    }


def _is_passing(response: Response) -> bool:
    """Meta says with status 400 or 403 that there were too many requests, or that something is wrong for a moment."""
    if response.status_code not in (400, 403):
        return False
    try:
        error = response.json().get("error", {})
    except ValueError:
        return False
    return error.get("code") in _LIMITS or (error.get("code") in _PASSING and bool(error.get("is_transient")))


def _results(api: Api, account: str, asked: Mapping[str, str], cursor: Cursor) -> Iterator[list[dict[str, Any]]]:
    # The account's day is not that of this machine.
    zone = ZoneInfo(api.get(account, {"fields": "timezone_name"})["timezone_name"])
    today = dt.datetime.now(zone).date()
    for first, last in windows(cursor, today, _DAYS):
        if last >= today - _KEPT:
            yield from _of_days(api, account, asked, (max(first, today - _KEPT), last))


def _of_days(api: Api, account: str, asked: Mapping[str, str], days: Days) -> Iterator[list[dict[str, Any]]]:
    """The results of some days; where that is too much for one job, of each half of them."""
    first, last = days
    between = json.dumps({"since": first.isoformat(), "until": last.isoformat()})
    run = api.submit(f"{account}/insights", {**asked, "time_range": between})["report_run_id"]
    job = awaited(lambda: api.get(run), _is_over, f"Meta's report of {first} to {last}", _SECONDS, _PAUSE)
    if job["async_status"] == "Job Completed":
        yield from (list(map(_row, page)) for page in _pages(api, f"{run}/insights", {"limit": _PAGE}))
    elif first < last:
        middle = first + (last - first) // 2
        yield from _of_days(api, account, asked, (first, middle))
        yield from _of_days(api, account, asked, (middle + dt.timedelta(days=1), last))
    else:
        reason = job.get("error_user_msg") or job.get("error_message") or "no reason given"
        raise VendorError(
            f"Meta's report of {first} ends as {job['async_status']}: {reason}", "ask for fewer fields or breakdowns"
        )


def _is_over(job: Mapping[str, Any]) -> bool:
    status = job.get("async_status")
    return status in ("Job Failed", "Job Skipped") or (
        status == "Job Completed" and job.get("async_percent_completion", 100) == 100
    )


def _objects(api: Api, path: str, fields: str) -> Iterator[list[dict[str, Any]]]:
    return _pages(api, path, {"fields": fields, "limit": _PAGE // 5})


def _pages(api: Api, path: str, params: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    """Pages by their cursors: the link to the next one holds the token."""
    after: dict[str, str] = {}
    while True:
        answer = api.get(path, {**params, **after})
        yield answer["data"]
        paging = answer.get("paging", {})
        if "next" not in paging:
            return
        after = {"after": paging["cursors"]["after"]}


def _row(result: Mapping[str, Any]) -> dict[str, Any]:
    days = {name: dt.date.fromisoformat(result[name]) for name in (_DAY, "date_stop")}
    counted = {name: list(map(_counted, value)) for name, value in result.items() if isinstance(value, list)}
    return {**result, **counted, **days}


def _counted(action: Any) -> Any:
    """How often something was done, or what it was worth: within each of the windows."""
    if not isinstance(action, Mapping):
        return action
    return {name: value if name.startswith("action_") else float(value) for name, value in action.items()}

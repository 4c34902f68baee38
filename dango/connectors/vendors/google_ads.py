"""Google Ads: results by day and what there is in the account, by GAQL over REST."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import dlt
from dlt.sources import DltResource

from dango.connectors.oauth import GoogleServiceAccount
from dango.connectors.vendors.api import Api
from dango.connectors.vendors.reports import Cursor, by_day, windows
from dango.errors import ArgumentError, near

_SCOPE = "https://www.googleapis.com/auth/adwords"
_PER_SECOND = 2.0
_DAYS = 30
_DAY = "segments.date"
_HINTS = {
    401: "is the Google Ads API enabled in the service account's project?",
    403: "Google Ads > Admin > Access and security: the service account's e-mail address, as Read only; an account that"
    " is reached through a manager's needs login_customer_id; and the developer token needs access to live accounts",
    404: "the API's version may have been switched off: set api_version to a newer one",
    429: "the developer token's operations for today are used up",
}
_METRICS = [
    "metrics.impressions", "metrics.clicks", "metrics.cost_micros", "metrics.conversions", "metrics.conversions_value",
    "metrics.all_conversions", "metrics.interactions",
]  # fmt: skip
# JSON has no whole numbers of 64 bits: Google sends them as text.
_WHOLE = re.compile(r"(metrics\.(impressions|clicks|interactions|\w*views)|.*_micros|customer\.id)$")
_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)*")

Report = Mapping[str, Any]

_CAMPAIGN = ["campaign.id", "campaign.name"]
_GROUP = [*_CAMPAIGN, "ad_group.id", "ad_group.name"]
RESULTS: Mapping[str, Report] = {
    "campaign_results": {"from": "campaign", "fields": [*_CAMPAIGN, *_METRICS]},
    "ad_group_results": {"from": "ad_group", "fields": [*_GROUP, *_METRICS]},
    "ad_results": {"from": "ad_group_ad", "fields": [*_GROUP, "ad_group_ad.ad.id", *_METRICS]},
    "keyword_results": {
        "from": "keyword_view",
        "fields": [
            *_GROUP, "ad_group_criterion.criterion_id", "ad_group_criterion.keyword.text",
            "ad_group_criterion.keyword.match_type", *_METRICS,
        ],
    },
    "search_term_results": {
        "from": "search_term_view", "fields": [*_GROUP, "search_term_view.search_term", *_METRICS[:5]]
    },
    "country_results": {
        "from": "geographic_view",
        "fields": [*_CAMPAIGN, "geographic_view.country_criterion_id", "geographic_view.location_type", *_METRICS[:5]],
    },
}  # fmt: skip
"""Results that are ready, by day and by the name of their table."""
OBJECTS: Mapping[str, Report] = {
    "campaigns": {
        "from": "campaign",
        "fields": [
            *_CAMPAIGN, "campaign.status", "campaign.serving_status", "campaign.advertising_channel_type",
            "campaign.bidding_strategy_type", "campaign_budget.amount_micros",
        ],
    },
    "ad_groups": {
        "from": "ad_group", "fields": [*_GROUP, "ad_group.status", "ad_group.type", "ad_group.cpc_bid_micros"]
    },
    "ads": {
        "from": "ad_group_ad",
        "fields": [
            *_GROUP, "ad_group_ad.ad.id", "ad_group_ad.ad.name", "ad_group_ad.ad.type", "ad_group_ad.status",
            "ad_group_ad.ad.final_urls",
        ],
    },
    "keywords": {
        "from": "ad_group_criterion",
        "fields": [
            *_GROUP, "ad_group_criterion.criterion_id", "ad_group_criterion.keyword.text",
            "ad_group_criterion.keyword.match_type", "ad_group_criterion.status", "ad_group_criterion.negative",
        ],
        "where": "ad_group_criterion.type = 'KEYWORD'",
    },
}  # fmt: skip
"""What there is in the account, by the name of its table."""
_KEYS = ("from", "fields", "where", "by_day")


def google_ads(
    customer_id: str,
    developer_token: str,
    credentials: str | Mapping[str, Any],
    start_date: str,
    lookback: int = 30,
    login_customer_id: str | None = None,
    reports: Mapping[str, Report] | None = None,
    api_version: str = "v26",
    base_url: str = "https://googleads.googleapis.com",
) -> list[DltResource]:
    """Results by day, each of which takes the place of what was loaded of it, and campaigns, ads and keywords.

    Args:
        customer_id: the number of the account.
        developer_token: of a manager account.
        credentials: the JSON key of a service account that may read the account.
        start_date: the first day.
        lookback: so many days before the newest one are read again with each sync, and replaced.
        login_customer_id: of the manager account through which the account is reached.
        reports: more, by the name of their table: `from` and `fields` in the words of GAQL, perhaps `where`; by day
            unless `by_day` is false.
        api_version: such as `v26`.
        base_url: of the API.

    Raises:
        ArgumentError: when a report is none.
    """
    for name, report in (reports or {}).items():
        _require(name, report)
    headers = {"developer-token": developer_token}
    if login_customer_id:
        headers["login-customer-id"] = _digits(login_customer_id)
    auth = GoogleServiceAccount("google_ads", credentials=credentials, scopes=[_SCOPE])
    api = Api(f"{base_url}/{api_version}/customers/{_digits(customer_id)}", _PER_SECOND, auth, headers, _HINTS)
    daily = {**RESULTS, **{name: report for name, report in (reports or {}).items() if report.get("by_day", True)}}
    whole = {**OBJECTS, **{name: report for name, report in (reports or {}).items() if name not in daily}}
    return [
        *(by_day(name, "segments_date", start_date, lookback, partial(_results, api, report), max_table_nesting=0)
          for name, report in daily.items()),
        *(dlt.resource(_objects, name=name, write_disposition="replace", max_table_nesting=0)(api, report)
          for name, report in whole.items()),
    ]  # fmt: skip


def _digits(customer: str) -> str:
    """A number as people write it, with dashes."""
    return customer.replace("-", "")


def _require(name: str, report: Any) -> None:
    where = ("google_ads", "reports", name)
    if not isinstance(report, Mapping) or not report.get("from") or not report.get("fields"):
        raise ArgumentError(f"the report `{name}` has no `from`, or no `fields`", "as in GAQL", loc=where)
    for key in report:
        if key not in _KEYS:
            hint = f"it has: {', '.join(_KEYS)}"
            raise ArgumentError(f"the report `{name}` has no `{key}`{near(key, _KEYS)}", hint, loc=where)
    for field in (report["from"], *report["fields"]):
        if not isinstance(field, str) or not _NAME.fullmatch(field):
            raise ArgumentError(f"the report `{name}`: {field!r} is no field", "such as campaign.id", loc=where)


def _results(api: Api, report: Report, cursor: Cursor) -> Iterator[list[dict[str, Any]]]:
    # The account's day is not that of this machine.
    ((account,),) = _pages(api, "SELECT customer.time_zone FROM customer")
    today = dt.datetime.now(ZoneInfo(account["customer"]["timeZone"])).date()
    fields = [_DAY, *(field for field in report["fields"] if field != _DAY)]
    for first, last in windows(cursor, today, _DAYS):
        between = f"{_DAY} BETWEEN '{first}' AND '{last}'"
        for page in _pages(api, _query({**report, "fields": fields}, between)):
            yield [
                {**row, "segments_date": dt.date.fromisoformat(row["segments_date"])} for row in _named(page, fields)
            ]


def _objects(api: Api, report: Report) -> Iterator[list[dict[str, Any]]]:
    for page in _pages(api, _query(report)):
        yield list(_named(page, report["fields"]))


def _query(report: Report, *conditions: str) -> str:
    all_of = [*([report["where"]] if report.get("where") else []), *conditions]
    where = f" WHERE {' AND '.join(all_of)}" if all_of else ""
    return f"SELECT {', '.join(report['fields'])} FROM {report['from']}{where}"  # noqa: S608 - GAQL only reads


def _pages(api: Api, query: str) -> Iterator[list[dict[str, Any]]]:
    """Pages of ten thousand rows."""
    asked = {"query": query}
    while True:
        answer = api.post("googleAds:search", asked)
        yield answer.get("results", [])
        if not answer.get("nextPageToken"):
            return
        asked["pageToken"] = answer["nextPageToken"]


def _named(page: list[dict[str, Any]], fields: list[str]) -> Iterator[dict[str, Any]]:
    """Rows with a column for each field that was asked for; what Google leaves out is zero or nothing."""
    paths = [(field.replace(".", "_"), list(map(_camel, field.split("."))), _WHOLE.match(field)) for field in fields]
    for row in page:
        found = {name: _at(row, path) for name, path, _ in paths}
        yield {
            **found,
            **{name: int(found[name]) for name, _, is_whole in paths if is_whole and found[name] is not None},
        }


def _at(row: Any, path: list[str]) -> Any:
    for name in path:
        row = row.get(name) if isinstance(row, Mapping) else None
    return row


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.title, others))

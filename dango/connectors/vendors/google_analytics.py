"""Reports of Google Analytics 4 by day, by its Data API. What Google still revises is read again, day by day."""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dlt.sources import DltResource

from dango.connectors.oauth import GoogleServiceAccount
from dango.connectors.vendors.api import Api
from dango.connectors.vendors.reports import Cursor, by_day, to_today
from dango.errors import ArgumentError, near

_SCOPE = "https://www.googleapis.com/auth/analytics.readonly"
_PER_SECOND = 5.0
_PAGE = 20_000
"""Google would send 250,000 rows at once, which are a hundred megabytes."""
_DAYS = 7
_DAY = "date"
_HINTS = {
    403: "GA4 > Admin > Property access management: add the service account's e-mail address as Viewer;"
    " and enable the Google Analytics Data API in its project",
    429: "the property's tokens for this hour or day are used up; they come back at the full hour, or at midnight of"
    " the Pacific time",
}
_VISITS = ("sessions", "engagedSessions", "activeUsers", "newUsers", "userEngagementDuration", "totalRevenue")

Report = Mapping[str, Any]
_LOG = logging.getLogger(__name__)

REPORTS: Mapping[str, Report] = {
    "overview": {"dimensions": [], "metrics": [*_VISITS, "screenPageViews", "eventCount"]},
    "traffic_sources": {
        "dimensions": ["sessionDefaultChannelGroup", "sessionSource", "sessionMedium", "sessionCampaignName"],
        "metrics": [*_VISITS],
    },
    "pages": {
        "dimensions": ["hostName", "pagePath"],
        "metrics": ["screenPageViews", "activeUsers", "userEngagementDuration", "eventCount"],
    },
    "landing_pages": {"dimensions": ["landingPage"], "metrics": [*_VISITS]},
    "events": {"dimensions": ["eventName"], "metrics": ["eventCount", "totalUsers", "eventValue"]},
    "devices": {"dimensions": ["deviceCategory", "operatingSystem", "browser"], "metrics": [*_VISITS]},
    "locations": {"dimensions": ["country", "region", "city"], "metrics": [*_VISITS]},
}
"""What is ready, by the name of its table."""


def google_analytics(
    property_id: str,
    credentials: str | Mapping[str, Any],
    start_date: str,
    lookback: int = 4,
    reports: Mapping[str, Report] | None = None,
    base_url: str = "https://analyticsdata.googleapis.com",
) -> list[DltResource]:
    """A resource for each report: a row for each day and each combination of its dimensions.

    Args:
        property_id: the number of the GA4 property.
        credentials: the JSON key of a service account that may view it.
        start_date: the first day.
        lookback: so many days before the newest one are read again with each sync, and replaced.
        reports: more of them, by the name of their table: `dimensions`, `metrics`, and perhaps a `dimensionFilter` and
            a `metricFilter` in the API's own form. Each is by day.
        base_url: of the API.

    Raises:
        ArgumentError: when a report is none.
    """
    auth = GoogleServiceAccount("google_analytics", credentials=credentials, scopes=[_SCOPE])
    api = Api(base_url, _PER_SECOND, auth, hints=_HINTS)
    for name, report in (reports or {}).items():
        _require(name, report)
    return [
        by_day(name, _DAY, start_date, lookback, partial(_rows, api, property_id, name, report))
        for name, report in {**REPORTS, **(reports or {})}.items()
    ]


_KEYS = ("dimensions", "metrics", "dimensionFilter", "metricFilter")


def _require(name: str, report: Any) -> None:
    where = ("google_analytics", "reports", name)
    if not isinstance(report, Mapping):
        raise ArgumentError(f"the report `{name}` is no mapping", "it has `dimensions` and `metrics`", loc=where[:2])
    for key in report:
        if key not in _KEYS:
            hint = f"it has: {', '.join(_KEYS)}"
            raise ArgumentError(f"the report `{name}` has no `{key}`{near(key, _KEYS)}", hint, loc=where)
    for key in _KEYS[:2]:
        listed = report.get(key, ())
        if not isinstance(listed, list | tuple) or (key == "metrics" and not listed):
            raise ArgumentError(f"the report `{name}`: `{key}` is a list of names", _WORDS, loc=where)


_WORDS = "https://developers.google.com/analytics/devguides/reporting/data/v1/api-schema lists them"


def _rows(api: Api, property_id: str, name: str, report: Report, cursor: Cursor) -> Iterator[list[dict[str, Any]]]:
    dimensions = [_DAY, *(each for each in report.get("dimensions", ()) if each != _DAY)]
    asked = {
        **report,
        "dimensions": [{"name": each} for each in dimensions],
        "metrics": [{"name": each} for each in report["metrics"]],
        # Without an order a row might be on two pages, and another on none.
        "orderBys": [{"dimension": {"dimensionName": each}} for each in dimensions],
        "limit": str(_PAGE),
        "returnPropertyQuota": True,
    }
    told: set[str] = set()
    for first, last in to_today(cursor, _DAYS):
        dates = {"startDate": first.isoformat(), "endDate": last.isoformat() if last else "today"}
        for answer in _pages(api, property_id, {**asked, "dateRanges": [dates]}):
            for warning in _warnings(answer, name):
                if warning not in told:
                    told.add(warning)
                    _LOG.warning(warning)
            yield list(_named(answer))


def _pages(api: Api, property_id: str, asked: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    offset, count = 0, 1
    while offset < count:
        answer = api.post(f"v1beta/properties/{property_id}:runReport", {**asked, "offset": str(offset)})
        count = int(answer.get("rowCount", 0)) if answer.get("rows") else 0
        offset += len(answer.get("rows", ()))
        yield answer


def _warnings(answer: Mapping[str, Any], name: str) -> Iterator[str]:
    """What Google says of the whole: that something is left out, or that little is left of the quota."""
    metadata = answer.get("metadata", {})
    if metadata.get("dataLossFromOtherRow"):
        yield f"{name}: Google has put rare combinations together as (other): ask for fewer dimensions"
    if metadata.get("subjectToThresholding"):
        yield f"{name}: Google withholds rows of few users, so that nobody can be told from them"
    for quota, left in answer.get("propertyQuota", {}).items():
        used, remaining = left.get("consumed", 0), left.get("remaining", 0)
        if quota.startswith("tokens") and remaining < 10 * max(used, 1):
            yield f"{name}: of {quota} {remaining} are left"


def _named(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    dimensions = [header["name"] for header in answer.get("dimensionHeaders", ())]
    metrics = [(header["name"], header.get("type")) for header in answer.get("metricHeaders", ())]
    for row in answer.get("rows", ()):
        named: dict[str, Any] = {
            name: _day(value["value"]) if name == _DAY else value["value"]
            for name, value in zip(dimensions, row["dimensionValues"], strict=True)
        }
        for (name, kind), value in zip(metrics, row["metricValues"], strict=True):
            named[name] = int(value["value"]) if kind == "TYPE_INTEGER" else float(value["value"])
        yield named


def _day(text: str) -> dt.date:
    return dt.datetime.strptime(text, "%Y%m%d").date()

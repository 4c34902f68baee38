"""Visits of a website by day, out of Plausible's Stats API."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dlt.sources import DltResource
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth

from dango.connectors.vendors.api import Api
from dango.connectors.vendors.reports import Cursor, by_day, to_today
from dango.errors import ArgumentError, near

_PER_SECOND = 1.0
_PAGE = 10_000
_DAYS = 30
_DAY = "time:day"
_HINTS = {
    401: "Plausible > Account settings > API keys: a key of type Stats API",
    402: "the plan of the site's owner has no Stats API",
    404: "does the key's owner see the site, and is it written as in Plausible?",
    429: "600 requests an hour: a report is one for each 30 days",
}
_VISITS = ["visitors", "visits", "pageviews", "bounce_rate", "visit_duration"]

Report = Mapping[str, Any]

REPORTS: Mapping[str, Report] = {
    "overview": {"dimensions": [], "metrics": [*_VISITS, "views_per_visit", "events"]},
    "sources": {"dimensions": ["visit:source", "visit:utm_medium", "visit:utm_campaign"], "metrics": _VISITS},
    "pages": {"dimensions": ["event:page"], "metrics": ["visitors", "visits", "pageviews"]},
    "entry_pages": {"dimensions": ["visit:entry_page"], "metrics": _VISITS},
    "locations": {"dimensions": ["visit:country_name", "visit:region_name", "visit:city_name"], "metrics": _VISITS},
    "devices": {"dimensions": ["visit:device", "visit:os", "visit:browser"], "metrics": _VISITS},
    "goals": {"dimensions": ["event:goal"], "metrics": ["visitors", "events"]},
}
"""What is ready, by the name of its table."""
_KEYS = ("dimensions", "metrics", "filters")


def plausible(
    site: str,
    api_key: str,
    start_date: str,
    lookback: int = 2,
    reports: Mapping[str, Report] | None = None,
    base_url: str = "https://plausible.io",
) -> list[DltResource]:
    """A resource for each report: a row for each day and each combination of its dimensions.

    Args:
        site: its domain, as in Plausible.
        api_key: for the Stats API.
        start_date: the first day.
        lookback: so many days before the newest one are read again with each sync, and replaced.
        reports: more of them, by the name of their table: `metrics`, and perhaps `dimensions` and `filters`.
        base_url: of Plausible, where one hosts it oneself.

    Raises:
        ArgumentError: when a report is none.
    """
    for name, report in (reports or {}).items():
        _require(name, report)
    api = Api(base_url, _PER_SECOND, BearerTokenAuth(api_key), hints=_HINTS)
    return [
        by_day(name, "date", start_date, lookback, partial(_rows, api, site, report))
        for name, report in {**REPORTS, **(reports or {})}.items()
    ]


def _require(name: str, report: Any) -> None:
    where = ("plausible", "reports", name)
    if not isinstance(report, Mapping) or not report.get("metrics"):
        raise ArgumentError(f"the report `{name}` has no `metrics`", "such as [visitors, pageviews]", loc=where)
    for key in report:
        if key not in _KEYS:
            hint = f"it has: {', '.join(_KEYS)}"
            raise ArgumentError(f"the report `{name}` has no `{key}`{near(key, _KEYS)}", hint, loc=where)


def _rows(api: Api, site: str, report: Report, cursor: Cursor) -> Iterator[list[dict[str, Any]]]:
    dimensions = [_DAY, *report.get("dimensions", ())]
    asked = {
        **report,
        "site_id": site,
        "dimensions": dimensions,
        # Without an order a row might be on two pages, and another on none.
        "order_by": [[each, "asc"] for each in dimensions],
        "include": {"imports": True, "total_rows": True},
    }
    names = ["date", *(each.partition(":")[2] for each in dimensions[1:])]
    for first, last in to_today(cursor, _DAYS):
        dates = [first.isoformat(), (last or dt.datetime.now(dt.timezone.utc).date()).isoformat()]
        for page in _pages(api, {**asked, "date_range": dates}):
            yield [_row(names, report["metrics"], each) for each in page]


def _pages(api: Api, asked: Mapping[str, Any]) -> Iterator[list[dict[str, Any]]]:
    offset, count = 0, 1
    while offset < count:
        answer = api.post("api/v2/query", {**asked, "pagination": {"limit": _PAGE, "offset": offset}})
        page = answer["results"]
        count = answer["meta"]["total_rows"] if page else 0
        offset += len(page)
        yield page


def _row(names: list[str], metrics: list[str], result: Mapping[str, Any]) -> dict[str, Any]:
    row = dict(zip(names, result["dimensions"], strict=True))
    numbers = dict(zip(metrics, result["metrics"], strict=True))
    return {**row, **numbers, "date": dt.date.fromisoformat(row["date"])}

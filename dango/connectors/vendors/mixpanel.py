"""Raw events of Mixpanel, which exports them as lines of JSON by the day on which they happened."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from dlt.sources import DltResource
from dlt.sources.helpers.rest_client.auth import HttpBasicAuth

from dango.connectors.vendors import json_lines
from dango.connectors.vendors.api import Api
from dango.connectors.vendors.reports import Cursor, by_day, to_today

_PER_SECOND = 1.0
# Of 60 exports an hour, so that a first load of years passes.
_DAYS = 30
_HINTS = {
    400: "does the project's number fit, and the region in which it is?",
    401: "the user name and the secret of a service account that is a member of the project, as Consumer",
    403: "the service account needs to be a member of the project, as Consumer",
    429: "Mixpanel allows 60 exports an hour",
}
_TYPES: Any = {"time": {"data_type": "timestamp"}, "properties": {"data_type": "json"}}


def mixpanel(
    project_id: str,
    username: str,
    secret: str,
    start_date: str,
    lookback: int = 5,
    base_url: str = "https://data.mixpanel.com",
) -> DltResource:
    """Events of a Mixpanel project; each day is read whole, and takes the place of what was loaded of it.

    Args:
        project_id: its number.
        username: of a service account.
        secret: of the same.
        start_date: the first day.
        lookback: so many days before the newest one are read again with each sync: events arrive late.
        base_url: of the export, in the project's region.
    """
    api = Api(base_url, _PER_SECOND, HttpBasicAuth(username, secret), hints=_HINTS)
    return by_day("events", "day", start_date, lookback, partial(_events, api, project_id), columns=_TYPES)


def _events(api: Api, project_id: str, cursor: Cursor) -> Iterator[list[dict[str, Any]]]:
    today = dt.datetime.now(dt.timezone.utc).date()
    for first, last in to_today(cursor, _DAYS):
        asked = {
            "project_id": project_id,
            "from_date": first.isoformat(),
            "to_date": (last or today).isoformat(),
            "time_in_ms": "true",
        }
        with api.stream("api/2.0/export", asked, Accept="text/plain") as response:
            for page in json_lines.pages(response.iter_lines(1 << 16), "Mixpanel"):
                yield list(map(_row, page))


def _row(event: Mapping[str, Any]) -> dict[str, Any]:
    """What every event has as columns, and what differs from one to the next together."""
    properties = dict(event["properties"])
    time = dt.datetime.fromtimestamp(properties.pop("time") / 1000, dt.timezone.utc)
    return {
        "event": event["event"],
        "time": time,
        "day": time.date(),
        "distinct_id": properties.pop("distinct_id", None),
        "insert_id": properties.pop("$insert_id", None),
        "properties": properties,
    }

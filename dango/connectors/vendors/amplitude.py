"""Raw events of Amplitude, which exports them by the hour of their arrival: archives of compressed lines of JSON."""

from __future__ import annotations

import datetime as dt
import gzip
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from typing import Any

import dlt
from dlt.sources import DltResource
from dlt.sources.helpers.rest_client.auth import HttpBasicAuth

from dango.connectors.vendors import json_lines
from dango.connectors.vendors.api import Api
from dango.conversions import moment
from dango.errors import VendorError

_PER_SECOND = 1.0
_HOUR = dt.timedelta(hours=1)
_WINDOW = dt.timedelta(hours=24)
# An hour is whole two hours after its end; what is asked for earlier would lack events for ever.
_DELAY = dt.timedelta(hours=3)
_NOTHING, _TOO_LARGE = 404, 400
_HINTS = {
    400: "an hour of more than 4 GB can only be exported to S3, which Amplitude does by itself",
    401: "the project's API key and secret key, and the region in which it is",
    403: "the project's API key and secret key, and the region in which it is",
}
_ARRIVED = "server_upload_time"
_TIMES = (
    _ARRIVED, "event_time", "client_event_time", "client_upload_time", "server_received_time", "processed_time",
    "user_creation_time",
)  # fmt: skip
_TYPES: Any = {name: {"data_type": "timestamp"} for name in _TIMES}

Cursor = dlt.sources.incremental[dt.datetime]
Hours = tuple[dt.datetime, dt.datetime]


def amplitude(
    api_key: str, secret_key: str, start_date: str, base_url: str = "https://amplitude.com"
) -> DltResource:  # fmt: skip
    """Events of an Amplitude project in the order of their arrival, merged by their `uuid`.

    Args:
        api_key: of the project.
        secret_key: of the project.
        start_date: events that arrived earlier are not loaded.
        base_url: of the project's region.
    """
    api = Api(base_url, _PER_SECOND, HttpBasicAuth(api_key, secret_key), hints=_HINTS)
    start = dlt.sources.incremental(_ARRIVED, initial_value=moment(start_date), primary_key=())

    def events(cursor: Any = start) -> Iterator[list[dict[str, Any]]]:
        for hours in _windows(cursor):
            yield from _exported(api, hours)

    return dlt.resource(
        events, name="events", primary_key="uuid", write_disposition="merge", columns=_TYPES, max_table_nesting=0
    )


def _windows(cursor: Cursor) -> Iterator[Hours]:
    """The first and the last hour of each export, from that of the newest event to the newest hour that is whole."""
    assert cursor.start_value is not None
    hour, last = _begun(cursor.start_value), _begun(dt.datetime.now(dt.timezone.utc) - _DELAY)
    if cursor.end_value is not None:
        last = min(last, _begun(cursor.end_value - dt.timedelta(microseconds=1)))
    while hour <= last:
        yield hour, min(last, hour + _WINDOW - _HOUR)
        hour += _WINDOW


def _begun(time: dt.datetime) -> dt.datetime:
    return time.replace(minute=0, second=0, microsecond=0)


def _exported(api: Api, hours: Hours) -> Iterator[list[dict[str, Any]]]:
    """The events of some hours; where these are too many for one archive, of each half of them."""
    first, last = hours
    asked = {"start": first.strftime("%Y%m%dT%H"), "end": last.strftime("%Y%m%dT%H")}
    several = first < last
    with (
        api.stream("api/2/export", asked, _NOTHING, *([_TOO_LARGE] if several else [])) as response,
        tempfile.TemporaryFile() as archive,
    ):
        status = response.status_code
        if response.ok:
            # Its table of contents stands at the end.
            response.raw.decode_content = True
            shutil.copyfileobj(response.raw, archive, 1 << 20)
            yield from _events(archive)
    if status == _TOO_LARGE:
        middle = first + (last - first) // _HOUR // 2 * _HOUR
        yield from _exported(api, (first, middle))
        yield from _exported(api, (middle + _HOUR, last))


def _events(archive: Any) -> Iterator[list[dict[str, Any]]]:
    try:
        with zipfile.ZipFile(archive) as files:
            for name in files.namelist():
                with files.open(name) as compressed, gzip.open(compressed) as lines:
                    for page in json_lines.pages(lines, "Amplitude"):
                        yield [{**event, _ARRIVED: moment(event[_ARRIVED])} for event in page]
    except (zipfile.BadZipFile, EOFError, gzip.BadGzipFile) as error:
        raise VendorError(f"Amplitude's archive cannot be read: {error}", "sync again") from error

"""Amplitude: a project on the loopback that exports its events as archives, as the documentation has it."""

from __future__ import annotations

import base64
import datetime as dt
import gzip
import io
import json
import zipfile

import pytest

from dango.connectors.vendors import amplitude
from dango.errors import VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.vendor import Answer, vendor

NOW = dt.datetime.now(dt.timezone.utc)
HOUR = dt.timedelta(hours=1)
BASIC = "Basic " + base64.b64encode(b"k3y:s3cret").decode()


def archive(hours):
    """A zip with a gzip of JSON lines for each hour."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as files:
        for name, events in hours.items():
            files.writestr(f"7/7_{name}#0.json.gz", gzip.compress("".join(map(json_line, events)).encode()))
    return whole.getvalue()


def json_line(event):
    return json.dumps(event) + "\n"


class Project:
    """Its events by the hour of their arrival; an answer holds at most so many hours with events."""

    def __init__(self, events, largest=10**6):
        self.events, self.largest = events, largest

    def __call__(self, asked):
        if asked.headers.get("Authorization") != BASIC:
            return Answer("Unauthorized", 401, {"Content-Type": "text/plain"})
        assert asked.path == "/api/2/export"
        hours: dict[str, list] = {}
        for each in self.events:
            hours.setdefault(each["server_upload_time"][:13].replace("-", "").replace(" ", "T"), []).append(each)
        found = {name: rows for name, rows in hours.items() if asked.query["start"] <= name <= asked.query["end"]}
        if len(found) > self.largest:
            return Answer("The file size is too large", 400, {"Content-Type": "text/plain"})
        if not found:
            return Answer("Raw data files were not found.", 404, {"Content-Type": "text/plain"})
        return Answer(archive(found), headers={"Content-Type": "application/zip"})


def event(number, arrived, **more):
    at = arrived.replace(tzinfo=None).isoformat(" ")
    return {"uuid": str(number), "event_type": "Signed up", "server_upload_time": at, "event_time": at, **more}


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(amplitude, "_PER_SECOND", 1000.0)


def source(server, since=NOW - 40 * HOUR, secret="s3cret"):
    return made(
        "amplitude", api_key="k3y", secret_key=secret, start_date=since.isoformat(timespec="seconds"),
        base_url=server.url,
    )  # fmt: skip


def failure(given):
    with pytest.raises(Exception) as caught:
        list(given)
    return root_cause(caught.value)


def test_events_have_their_times_and_their_properties(warehouse):
    arrived = (NOW - 5 * HOUR).replace(microsecond=123456)
    with vendor(Project([event(1, arrived, event_properties={"plan": "pro"}, groups={})])) as server:
        ask = warehouse.load(source(server))
    assert ask("SELECT uuid, event_type, server_upload_time, event_time, event_properties->>'plan' FROM events") == [
        ("1", "Signed up", arrived, arrived, "pro")
    ]


def test_the_second_load_asks_from_the_newest_event_on_and_loads_none_twice(warehouse):
    project = Project([event(n, NOW - n * HOUR) for n in range(8, 30)])
    with vendor(project) as server:
        warehouse.load(source(server))
        project.events += [event(n, NOW - n * HOUR) for n in (6, 7)]
        asked = len(server.asked)
        ask = warehouse.load(source(server))
        assert [each.query["start"] for each in server.asked[asked:]] == [(NOW - 8 * HOUR).strftime("%Y%m%dT%H")]
    assert ask("SELECT count(*), count(DISTINCT uuid) FROM events") == [(24, 24)]


def test_hours_that_are_not_whole_yet_are_left_for_later():
    def this_hour():
        return dt.datetime.now(dt.timezone.utc).replace(minute=0, second=0, microsecond=0)

    now = this_hour()
    project = Project([event(n, now - n * HOUR) for n in range(10)])
    with vendor(project) as server:
        loaded = sorted(int(row["uuid"]) for row in source(server))
    # The hour may turn meanwhile.
    assert loaded == [3, 4, 5, 6, 7, 8, 9] or (loaded == [2, 3, 4, 5, 6, 7, 8, 9] and this_hour() > now)


def test_what_is_too_large_for_one_archive_is_asked_for_in_halves():
    project = Project([event(n, NOW - n * HOUR) for n in range(3, 40)], largest=5)
    with vendor(project) as server:
        assert sorted(int(row["uuid"]) for row in source(server)) == [*range(3, 40)]


def test_an_hour_that_is_too_large_is_told():
    with vendor(Project([event(5, NOW - 5 * HOUR)], largest=0)) as server:
        error = failure(source(server))
    assert "400: The file size is too large" in error.message
    assert "exported to S3" in error.hint


def test_hours_without_events_are_no_error():
    with vendor(Project([])) as server:
        assert list(source(server)) == []
        assert len(server.asked) == 2


def test_an_archive_that_is_cut_short_is_told():
    whole = archive({"a": [event(1, NOW - 5 * HOUR)]})
    with vendor(lambda asked: Answer(whole[:-20], headers={"Content-Type": "application/zip"})) as server:
        error = failure(source(server))
    assert isinstance(error, VendorError)
    assert "cannot be read" in error.message


def test_a_key_that_is_refused_is_told_and_not_shown():
    with vendor(Project([])) as server:
        error = failure(source(server, secret="hunter22"))
    assert "401: Unauthorized" in error.message
    assert "API key and secret key" in error.hint
    assert "hunter22" not in f"{error} {error.hint}"

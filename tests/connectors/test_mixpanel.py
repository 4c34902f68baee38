"""Mixpanel: a project on the loopback that exports its events as the documentation has it."""

from __future__ import annotations

import base64
import datetime as dt
import json

import pytest

from dango.connectors.vendors import json_lines, mixpanel
from dango.errors import VendorError, root_cause
from tests.connectors.entries import Warehouse, made
from tests.connectors.vendor import Answer, vendor

TODAY = dt.datetime.now(dt.timezone.utc).date()
DAY = dt.timedelta(days=1)
BASIC = "Basic " + base64.b64encode(b"robot:s3cret").decode()


class Project:
    """Its events by day; `ends` is what stands behind them."""

    def __init__(self, days, ends=""):
        self.days, self.ends = days, ends

    def __call__(self, asked):
        if asked.headers.get("Authorization") != BASIC:
            return Answer({"error": "Unable to authenticate request"}, 401)
        assert asked.path == "/api/2.0/export"
        assert (asked.query["project_id"], asked.query["time_in_ms"]) == ("7", "true")
        between = dt.date.fromisoformat(asked.query["from_date"]), dt.date.fromisoformat(asked.query["to_date"])
        found = [
            event for day, events in sorted(self.days.items()) if between[0] <= day <= between[1] for event in events
        ]
        return Answer("".join(json.dumps(event) + "\n" for event in found) + self.ends)


def event(day, name="Signed up", hour=12, **properties):
    at = dt.datetime.combine(day, dt.time(hour), dt.timezone.utc)
    common = {"time": int(at.timestamp() * 1000), "distinct_id": "ann", "$insert_id": f"{name}{hour}"}
    return {"event": name, "properties": {**common, **properties}}


@pytest.fixture
def warehouse(tmp_path):
    return Warehouse(tmp_path)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch):
    monkeypatch.setattr(mixpanel, "_PER_SECOND", 1000.0)


def source(server, since=TODAY - 9 * DAY, secret="s3cret", **answers):
    return made(
        "mixpanel", project_id="7", username="robot", secret=secret, start_date=since.isoformat(), base_url=server.url,
        **answers,
    )  # fmt: skip


def failure(given):
    with pytest.raises(Exception) as caught:
        list(given)
    return root_cause(caught.value)


def test_events_have_what_all_have_as_columns_and_the_rest_as_json(warehouse):
    with vendor(Project({TODAY: [event(TODAY, plan={"name": "pro"}, mp_country_code="DE")]})) as server:
        ask = warehouse.load(source(server))
    at = dt.datetime.combine(TODAY, dt.time(12), dt.timezone.utc)
    assert ask("SELECT event, time, day, distinct_id, insert_id, properties->>'$.plan.name' FROM events") == [
        ("Signed up", at, TODAY, "ann", "Signed up12", "pro")
    ]


def test_the_second_load_replaces_the_days_to_which_events_may_be_added(warehouse):
    project = Project({TODAY - n * DAY: [event(TODAY - n * DAY)] for n in range(9)})
    with vendor(project) as server:
        warehouse.load(source(server, lookback=2))
        project.days = {day: [event(day, hour=1), event(day, hour=2)] for day in project.days}
        ask = warehouse.load(source(server, lookback=2))
        assert server.asked[-1].query["from_date"] == (TODAY - 2 * DAY).isoformat()
    assert ask("SELECT count(*), min(hour(time)) FROM events WHERE day >= current_date - 2") == [(6, 1)]
    assert ask("SELECT count(*), min(hour(time)) FROM events WHERE day < current_date - 2") == [(6, 12)]


def test_many_days_are_asked_for_in_pieces_and_each_once():
    days = {TODAY - n * DAY: [event(TODAY - n * DAY)] for n in range(70)}
    with vendor(Project(days)) as server:
        rows = list(source(server, since=TODAY - 69 * DAY))
        assert len(server.asked) == 3
    assert [row["day"] for row in rows] == sorted(days)


def test_a_project_without_events_has_no_rows():
    with vendor(Project({})) as server:
        assert list(source(server)) == []


def test_an_export_that_breaks_off_is_told_and_nothing_of_it_is_loaded(monkeypatch):
    monkeypatch.setattr(json_lines, "_PAGE", 1)
    with vendor(Project({TODAY: [event(TODAY)]}, ends="terminated early\n")) as server:
        error = failure(source(server))
    assert isinstance(error, VendorError)
    assert error.message == "Mixpanel's export breaks off: terminated early"


def test_a_secret_that_is_refused_is_told_and_not_shown():
    with vendor(Project({})) as server:
        error = failure(source(server, secret="hunter22"))
    assert "401: Unable to authenticate request" in error.message
    assert "as Consumer" in error.hint
    assert "hunter22" not in f"{error} {error.hint}"

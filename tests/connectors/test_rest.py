"""`rest_api`: declarative configurations with extensions, run against a vendor on the loopback, into DuckDB."""

from __future__ import annotations

import copy
import datetime as dt
import threading
import time

import dlt
import duckdb
import pytest

from dango.connectors.rest import Pace, rest_api
from dango.errors import RestConfigError
from tests.connectors.vendor import Answer, vendor


def config(url, *resources, **client):
    return {"client": {"base_url": url, **client}, "resources": list(resources)}


@pytest.fixture
def load(tmp_path):
    """Loads a source into DuckDB, with the state of the loads before it."""

    def load(source):
        file = tmp_path / "warehouse.duckdb"
        pipeline = dlt.pipeline(
            "shop", destination=dlt.destinations.duckdb(str(file)), dataset_name="shop", pipelines_dir=str(tmp_path)
        )
        pipeline.run(source)
        # Left active, its state would be that of sources read without a pipeline.
        pipeline.deactivate()
        return lambda query: duckdb.connect(str(file)).sql(query).fetchall()

    return load


def test_the_source_has_the_name_it_is_given_and_the_configuration_stays_as_it_was():
    given = config(
        "http://127.0.0.1:9",
        {
            "name": "rows",
            "processing_steps": [{"pick": ["id"]}],
            "endpoint": {
                "paginator": {"type": "json_link_until", "next_url_path": "next"},
                "params": {"owner": "x", "since": "{incremental.start_value}"},
                "path": "{owner}/rows",
                "incremental": {"cursor_path": "at", "initial_value": dt.date(2024, 1, 1), "convert": "epoch"},
                "response_actions": [{"json_path": "ok", "equals": False}],
            },
        },
        auth={"type": "oauth2_refresh", "token_url": "x", "client_id": "x", "client_secret": "x", "refresh_token": "x"},
    )
    before = copy.deepcopy(given)
    source = rest_api(given, "gh", requests_per_second=3)
    assert (source.name, source.section) == ("gh", "gh")
    assert list(source.resources) == ["rows"]
    assert given == before


@pytest.mark.parametrize(
    ("convert", "initial", "first", "second"),
    [
        ("epoch", dt.date(2024, 1, 1), "1704067200", "1714860000"),
        ("epoch_ms", "2024-01-01T00:00:00Z", "1704067200000", "1714860000000"),
        ("iso", dt.date(2024, 1, 1), "2024-01-01T00:00:00Z", "2024-05-04T22:00:00Z"),
        ("date", dt.datetime(2024, 1, 1, 3, tzinfo=dt.timezone.utc), "2024-01-01", "2024-05-04"),
        ("ms_date", "2024-01-01", "/Date(1704067200000)/", "/Date(1714860000000)/"),
        ("jql", dt.date(2024, 1, 1), "2024-01-01 00:00", "2024-05-04 22:00"),
    ],
)
def test_a_cursor_is_asked_for_in_the_vendors_form(load, convert, initial, first, second):
    """The rows say `2024-05-05T00:00:00+02:00`; each form of the request is in UTC."""
    rows = [{"id": 1, "at": "2024-02-01T00:00:00+02:00"}, {"id": 2, "at": "2024-05-05T00:00:00+02:00"}]
    endpoint = {
        "paginator": "single_page",
        "data_selector": "$",
        "params": {"since": "{incremental.start_value}"},
        "incremental": {"cursor_path": "at", "initial_value": initial, "convert": convert},
    }
    with vendor(lambda asked: rows) as server:
        given = config(server.url, {"name": "rows", "primary_key": "id", "endpoint": endpoint})
        load(rest_api(given, "shop"))
        load(rest_api(given, "shop"))
        assert [asked.query["since"] for asked in server.asked] == [first, second]


def test_a_vendor_whose_cursor_is_epoch_can_be_asked_in_text(load):
    rows = [{"id": 1, "at": 1704067200}, {"id": 2, "at": 1714860000}]
    endpoint = {
        "paginator": "single_page",
        "data_selector": "$",
        "params": {"query": "updated >= '{incremental.start_value}'"},
        "incremental": {"cursor_path": "at", "initial_value": 1704067200, "convert": "jql"},
    }
    with vendor(lambda asked: rows) as server:
        given = config(server.url, {"name": "rows", "primary_key": "id", "endpoint": endpoint})
        load(rest_api(given, "shop"))
        load(rest_api(given, "shop"))
        assert [asked.query["query"] for asked in server.asked] == [
            "updated >= '2024-01-01 00:00'",
            "updated >= '2024-05-04 22:00'",
        ]


def test_a_conversion_works_where_dlt_takes_an_incremental_among_the_parameters():
    since = {"type": "incremental", "cursor_path": "at", "initial_value": dt.date(2024, 1, 1), "convert": "epoch"}
    with vendor(lambda asked: [{"at": "2024-03-01"}]) as server:
        endpoint = {"paginator": "single_page", "data_selector": "$", "params": {"since": since}}
        assert list(rest_api(config(server.url, {"name": "rows", "endpoint": endpoint}), "shop"))
        assert server.asked[0].query == {"since": "1704067200"}


def test_steps_come_before_the_cursor_and_the_key(load):
    rows = [{"id": 1, "attributes": {"updated": f"2024-0{month}-01", "tags": ["x"]}} for month in (1, 2)]
    resource = {
        "name": "rows",
        "write_disposition": "merge",
        "primary_key": "key",
        "processing_steps": [{"lift": "attributes"}, {"rename": {"id": "key"}}, {"pick": ["key", "updated"]}],
        "endpoint": {
            "paginator": "single_page",
            "data_selector": "$",
            "incremental": {"cursor_path": "updated", "initial_value": dt.date(2024, 1, 15)},
        },
    }
    with vendor(lambda asked: rows) as server:
        query = load(rest_api(config(server.url, resource), "shop"))
    assert query("SELECT key, updated::date::text FROM shop.rows") == [(1, "2024-02-01")]


ISSUES = [{"id": f"i{number}", "updatedAt": f"2024-01-0{number}T00:00:00Z"} for number in range(1, 6)]

GRAPHQL = {
    "name": "issues",
    "primary_key": "id",
    "write_disposition": "merge",
    "endpoint": {
        "path": "graphql",
        "method": "POST",
        "json": {
            "query": (
                "query ($since: DateTime!, $after: String) {{ issues(first: 2, after: $after,"
                " filter: {{updatedAt: {{gte: $since}}}}) {{ nodes {{ id updatedAt }}"
                " pageInfo {{ endCursor hasNextPage }} }} }}"
            ),
            "variables": {"since": "{incremental.start_value}", "after": None},
        },
        "data_selector": "data.issues.nodes",
        "paginator": {
            "type": "cursor",
            "cursor_path": "data.issues.pageInfo.endCursor",
            "cursor_body_path": "variables.after",
            "has_more_path": "data.issues.pageInfo.hasNextPage",
        },
        "incremental": {"cursor_path": "updatedAt", "initial_value": "2024-01-02T00:00:00Z"},
        "response_actions": [
            {"json_path": "errors", "exists": True, "action": "fail", "message_path": "errors[0].message"}
        ],
    },
}


def linear(asked):
    """Answers as a GraphQL server does, two issues a page."""
    variables = asked.json["variables"]
    if "{{" in asked.json["query"] or not asked.json["query"].endswith("} }"):
        return {"errors": [{"message": "syntax error"}]}
    found = [issue for issue in ISSUES if issue["updatedAt"] >= variables["since"]]
    start = int(variables["after"] or 0)
    more = start + 2 < len(found)
    paging = {"hasNextPage": more, "endCursor": str(start + 2) if more else None}
    return {"data": {"issues": {"nodes": found[start : start + 2], "pageInfo": paging}}}


def test_graphql_needs_no_more_than_a_configuration(load):
    with vendor(linear) as server:
        load(rest_api(config(server.url, GRAPHQL), "shop"))
        query = load(rest_api(config(server.url, GRAPHQL), "shop"))
        asked = [(asked.json["variables"]["since"], asked.json["variables"]["after"]) for asked in server.asked]
    assert query("SELECT id FROM shop.issues ORDER BY 1") == [("i2",), ("i3",), ("i4",), ("i5",)]
    assert asked == [("2024-01-02T00:00:00Z", None), ("2024-01-02T00:00:00Z", "2"), ("2024-01-05T00:00:00Z", None)]


PAGES = 4


def numbered(asked):
    number = int(asked.query.get("page", 0))
    following = f"{asked.path}?page={number + 1}" if number + 1 < PAGES else None
    return {"rows": [{"number": number}], "next": following}


class Clock:
    """Time that only sleeping makes pass; each thread has slept until when it says."""

    def __init__(self):
        self.now = 100.0
        self.woken = []

    def sleep(self, seconds):
        self.woken.append(self.now + seconds)


def test_a_pace_gives_each_request_a_slot_of_its_own():
    clock = Clock()
    pace = Pace(4, clock=lambda: clock.now, sleep=clock.sleep)
    threads = [threading.Thread(target=pace.wait) for _ in range(9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(clock.woken) == [100 + 0.25 * slot for slot in range(1, 9)]


def test_time_in_which_nothing_was_asked_is_not_saved_up():
    clock = Clock()
    pace = Pace(1, clock=lambda: clock.now, sleep=clock.sleep)
    pace.wait()
    clock.now += 60
    pace.wait()
    pace.wait()
    assert clock.woken == [161]


def test_all_requests_of_a_source_share_one_pace():
    resources = [{"name": name, "parallelized": True} for name in ("a", "b", "c")]
    with vendor(numbered) as server:
        given = config(server.url, *resources, paginator={"type": "json_link_until", "next_url_path": "next"})
        given["resource_defaults"] = {"endpoint": {"data_selector": "rows"}}
        began = time.monotonic()
        assert len(list(rest_api(given, "shop", requests_per_second=10))) == 3 * PAGES
        assert len(server.asked) == 3 * PAGES
    # Eleven gaps between twelve requests, however slow the machine.
    assert time.monotonic() - began >= 11 / 10


def test_a_paced_source_still_repeats_what_a_vendor_refuses_for_a_moment():
    answers = [Answer(status=429, headers={"Retry-After": "1"}), {"rows": [{"number": 1}]}]
    with vendor(lambda asked: answers.pop(0)) as server:
        endpoint = {"data_selector": "rows", "paginator": "single_page"}
        given = config(server.url, {"name": "rows", "endpoint": endpoint})
        assert list(rest_api(given, "shop", requests_per_second=1000)) == [{"number": 1}]


@pytest.mark.parametrize("pace", [0, -1, float("nan")])
def test_a_pace_of_nothing_is_refused(pace):
    with pytest.raises(RestConfigError, match="requests_per_second"):
        rest_api(config("http://127.0.0.1:9", "rows"), "shop", requests_per_second=pace)


@pytest.mark.parametrize("lag", [None, 60])
def test_each_parent_is_asked_from_where_the_run_began_on_whichever_page_it_came(load, lag):
    pages = {"": ([1, 2], "b"), "b": ([3], "c"), "c": ([4], None)}
    newest = {
        1: "2024-05-01T00:00:00Z",
        2: "2024-02-01T00:00:00Z",
        3: "2024-04-01T00:00:00Z",
        4: "2024-03-01T00:00:00Z",
    }

    def answer(asked):
        if asked.path == "/projects":
            numbers, following = pages[asked.query.get("after", "")]
            return {"rows": [{"id": number} for number in numbers], "next": following}
        number = int(asked.path.split("/")[2])
        rows = [
            {"id": number * 10 + page, "at": at} for page, at in enumerate(["2024-01-15T00:00:00Z", newest[number]])
        ]
        return {"rows": [row for row in rows if row["at"] >= asked.query["since"]]}

    with vendor(answer) as shop:
        incremental = {"cursor_path": "at", "initial_value": "2024-01-01T00:00:00Z"}
        given = config(
            shop.url,
            {"name": "projects", "endpoint": {"path": "projects", "data_selector": "rows"}},
            {
                "name": "tasks",
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {
                    "path": "projects/{resources.projects.id}/tasks",
                    "data_selector": "rows",
                    "params": {"since": "{incremental.start_value}"},
                    "incremental": {**incremental, "lag": lag} if lag else incremental,
                },
            },
            paginator={"type": "cursor", "cursor_path": "next", "cursor_param": "after"},
        )

        def starts():
            return {asked.query["since"] for asked in shop.asked if asked.path != "/projects"}

        rows = load(rest_api(given, "shop"))
        assert rows("select count(*) from shop.tasks") == [(8,)]
        assert starts() == {"2024-01-01T00:00:00Z"}
        shop.asked.clear()
        load(rest_api(given, "shop"))
        assert starts() == {"2024-04-30T23:59:00Z" if lag else "2024-05-01T00:00:00Z"}

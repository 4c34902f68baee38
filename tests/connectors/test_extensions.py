"""The named extensions, each against a vendor on the loopback that behaves as badly as the real one."""

from __future__ import annotations

import copy

import pytest

from dango.connectors.extensions import uses_extensions
from dango.connectors.rest import rest_api
from dango.errors import RestConfigError, VendorError, root_cause
from tests.connectors.vendor import Answer, vendor

ROWS = [{"id": number} for number in range(1, 6)]


def source(url, **endpoint):
    return rest_api(
        {"client": {"base_url": url}, "resources": [{"name": "rows", "endpoint": {"path": "rows", **endpoint}}]}, "shop"
    )


def failure(given):
    with pytest.raises(Exception) as caught:
        list(given)
    return root_cause(caught.value)


def page(asked, size=2):
    start = int(asked.query.get("page", 0)) * size
    return ROWS[start : start + size], int(asked.query.get("page", 0)) + 1


def test_link_results_stops_at_the_link_that_leads_to_nothing():
    def sentry(asked):
        rows, after = page(asked)
        more = "true" if after < 3 else "false"
        link = f'<{sentry_.url}/rows?page={after}>; rel="next"; results="{more}"; cursor="0:{after}:0"'
        return Answer(rows, headers={"Link": f'<{sentry_.url}/rows>; rel="previous"; results="true", {link}'})

    with vendor(sentry) as sentry_:
        assert list(source(sentry_.url, paginator="link_results", data_selector="$")) == ROWS
        assert len(sentry_.asked) == 3


def test_json_link_until_stops_where_the_body_says_that_there_is_no_more():
    def paddle(asked):
        rows, after = page(asked)
        paging = {"next": f"{paddle_.url}/rows?page={after}", "has_more": after < 3}
        return {"data": rows, "meta": {"pagination": paging}}

    paginator = {
        "type": "json_link_until",
        "next_url_path": "meta.pagination.next",
        "has_more_path": "meta.pagination.has_more",
    }
    with vendor(paddle) as paddle_:
        assert list(source(paddle_.url, paginator=paginator, data_selector="data")) == ROWS
        assert len(paddle_.asked) == 3


@pytest.mark.parametrize("stop", [True, False])
def test_json_link_until_stops_at_an_empty_page_unless_told_otherwise(stop):
    def sparse(asked):
        number = int(asked.query.get("page", 0))
        rows = [[{"id": 1}], [], [{"id": 2}]][number]
        return {"rows": rows, "next": f"/rows?page={number + 1}" if number < 2 else None}

    paginator = {"type": "json_link_until", "next_url_path": "next", "stop_after_empty_page": stop}
    with vendor(sparse) as server:
        found = list(source(server.url, paginator=paginator, data_selector="rows"))
    assert found == ([{"id": 1}] if stop else [{"id": 1}, {"id": 2}])


def test_json_link_until_stops_at_a_link_to_the_page_it_stands_on():
    def zendesk(asked):
        rows, after = page(asked)
        # The last page, never empty, links to itself; an encoded character is sent as another than is written.
        return {"rows": rows, "next_page": f"{zendesk_.url}/rows?q=a b&page={min(after, 2)}"}

    paginator = {"type": "json_link_until", "next_url_path": "next_page"}
    with vendor(zendesk) as zendesk_:
        assert list(source(zendesk_.url, paginator=paginator, data_selector="rows")) == ROWS
        assert len(zendesk_.asked) == 3


def test_a_first_page_that_links_to_itself_is_the_only_one():
    with vendor(lambda asked: {"rows": ROWS, "next": "/rows"}) as server:
        paginator = {"type": "json_link_until", "next_url_path": "next"}
        assert list(source(server.url, paginator=paginator, data_selector="rows")) == ROWS
        assert len(server.asked) == 1


def test_pages_that_go_in_circles_are_an_error_and_not_endless():
    def circle(asked):
        number = int(asked.query.get("page", 0))
        return {"rows": ROWS, "next": f"/rows?page={(number + 1) % 3}&secret=s3cret"}

    paginator = {"type": "json_link_until", "next_url_path": "next"}
    with vendor(circle) as server:
        error = failure(source(server.url, paginator=paginator, data_selector="rows"))
        assert isinstance(error, VendorError)
        assert "circles" in str(error) and "s3cret" not in str(error)
        assert len(server.asked) <= 5


def test_a_paginator_among_the_defaults_keeps_resources_apart_that_are_read_in_turns():
    def both(asked):
        number = int(asked.query.get("page", 0))
        last = {"/a": 1, "/b": 4, "/c": 2}[asked.path]
        return {"rows": [{"at": f"{asked.path}{number}"}], "next": f"?page={number + 1}" if number < last else None}

    config = {
        "client": {"base_url": ""},
        "resource_defaults": {
            "endpoint": {"data_selector": "rows", "paginator": {"type": "json_link_until", "next_url_path": "next"}}
        },
        "resources": ["a", {"name": "b", "endpoint": "b"}, {"name": "c"}],
    }
    with vendor(both) as server:
        config["client"]["base_url"] = server.url
        found = sorted(row["at"] for row in rest_api(config, "shop"))
    assert found == ["/a0", "/a1", *(f"/b{n}" for n in range(5)), *(f"/c{n}" for n in range(3))]


def test_a_resource_can_be_read_twice():
    with vendor(lambda asked: {"rows": page(asked)[0], "next": f"?page={page(asked)[1]}"}) as server:
        given = source(server.url, paginator={"type": "json_link_until", "next_url_path": "next"}, data_selector="rows")
        assert list(given) == ROWS
        assert list(given) == ROWS


STEPPED = {
    "pick": (
        [{"pick": ["id", "b"]}],
        {"id": 1, "a": 2, "b": 3},
        {"id": 1, "b": 3},
    ),
    "pick of what is not there": ([{"pick": ["id", "x"]}], {"id": 1}, {"id": 1}),
    "rename": ([{"rename": {"a": "c", "x": "y"}}], {"id": 1, "a": 2}, {"id": 1, "c": 2}),
    "rename into each other": ([{"rename": {"id": "a", "a": "id"}}], {"id": 1, "a": 2}, {"a": 1, "id": 2}),
    "rename onto another": ([{"rename": {"a": "id"}}], {"id": 1, "a": 2}, {"id": 2}),
    "rename onto one that comes later": ([{"rename": {"a": "id"}}], {"a": 2, "id": 1}, {"id": 2}),
    "lift": ([{"lift": "a"}], {"id": 1, "a": {"x": 1, "y": [2]}}, {"id": 1, "x": 1, "y": [2]}),
    "lift, what is there wins": (
        [{"lift": "a"}],
        {"id": 1, "a": {"id": 9, "x": 2}},
        {"id": 1, "a": {"id": 9}, "x": 2},
    ),
    "lift, its own name inside": ([{"lift": "a"}], {"id": 1, "a": {"a": 5}}, {"id": 1, "a": 5}),
    "lift of what is no mapping": ([{"lift": "a"}], {"id": 1, "a": [1]}, {"id": 1, "a": [1]}),
    "lift of what is not there": ([{"lift": "a"}], {"id": 1}, {"id": 1}),
    "in their order": ([{"lift": "a"}, {"rename": {"x": "y"}}, {"pick": ["y"]}], {"id": 1, "a": {"x": 2}}, {"y": 2}),
    "dlt's own beside them": (
        [{"map": lambda row: {**row, "id": 7}}, {"pick": ["id"]}, {"filter": lambda row: row["id"] == 7}],
        {"id": 1, "a": 2},
        {"id": 7},
    ),
    "rows that are no mappings": ([{"pick": ["id"]}, {"rename": {"a": "b"}}, {"lift": "a"}], "text", "text"),
}


@pytest.mark.parametrize("case", STEPPED)
def test_processing_steps(case):
    steps, row, wanted = STEPPED[case]
    with vendor(lambda asked: [row]) as server:
        config = {
            "client": {"base_url": server.url, "paginator": "single_page"},
            "resources": [{"name": "rows", "processing_steps": steps, "endpoint": {"data_selector": "$"}}],
        }
        assert list(rest_api(config, "shop")) == [wanted]


SLACK = {"json_path": "ok", "equals": False, "action": "fail", "message_path": "error"}
GRAPHQL = {"json_path": "errors", "exists": True, "action": "fail", "message_path": "errors[0].message"}


@pytest.mark.parametrize(
    ("action", "body", "words"),
    [
        (SLACK, {"ok": False, "error": "invalid_auth"}, "invalid_auth"),
        (SLACK, {"ok": False}, "no reason given"),
        (SLACK, {"ok": False, "error": {"code": 7}}, '{"code": 7}'),
        (GRAPHQL, {"errors": [{"message": "no field x"}], "data": None}, "no field x"),
        ({"json_path": "rows", "exists": False}, {"other": 1}, "no reason given"),
        ({"json_path": "code", "equals": 0}, {"code": 0}, "no reason given"),
        ({"json_path": "items[*].state", "equals": "bad"}, {"items": [{"state": "ok"}, {"state": "bad"}]}, "no reason"),
    ],
)
def test_a_200_with_an_error_in_its_body_fails_in_the_vendors_words(action, body, words):
    with vendor(lambda asked: body) as server:
        error = failure(source(server.url, response_actions=[action], params={"key": "s3cret"}, data_selector="rows"))
    assert isinstance(error, VendorError)
    assert words in str(error)
    assert f"{server.url}/rows" in str(error)
    assert "s3cret" not in str(error)


@pytest.mark.parametrize(
    ("action", "body"),
    [
        (SLACK, {"ok": True, "rows": ROWS}),
        (SLACK, {"ok": 0, "rows": ROWS}),
        (SLACK, {"rows": ROWS}),
        (GRAPHQL, {"rows": ROWS}),
        (GRAPHQL, {"errors": [], "rows": ROWS}),
        (GRAPHQL, {"errors": None, "rows": ROWS}),
        ({"json_path": "rows", "exists": False}, {"rows": ROWS}),
    ],
)
def test_a_body_without_the_error_passes(action, body):
    with vendor(lambda asked: body) as server:
        given = source(server.url, response_actions=[action], paginator="single_page", data_selector="rows")
        assert list(given) == ROWS


def test_dlts_own_response_actions_work_beside_them():
    seen = []
    actions = [{"status_code": 404, "action": "ignore"}, SLACK, lambda response: seen.append(response.status_code)]
    with vendor(lambda asked: Answer({"ok": False}, status=404)) as server:
        assert list(source(server.url, response_actions=actions)) == []
    with vendor(lambda asked: {"ok": True, "rows": ROWS}) as server:
        given = source(server.url, response_actions=actions, paginator="single_page", data_selector="rows")
        assert list(given) == ROWS
    assert seen == [200]


def test_an_error_of_http_stays_one_beside_a_response_action():
    body = {"ok": False, "error": "no such permission"}
    with vendor(lambda asked: Answer(body, status=403)) as server:
        error = failure(source(server.url, response_actions=[SLACK]))
    assert error.response.status_code == 403


EXTENDED = [
    {"client": {"paginator": "link_results"}},
    {"client": {"auth": {"type": "oauth2_refresh"}}},
    {"client": {"auth": {"type": "google_service_account", "credentials": "${secrets.key}"}}},
    {"resource_defaults": {"endpoint": {"paginator": {"type": "json_link_until"}}}},
    {"resources": [{"endpoint": {"incremental": {"cursor_path": "x", "convert": "epoch"}}}]},
    {"resources": [{"endpoint": {"params": {"since": {"type": "incremental", "convert": "${form}"}}}}]},
    {"resources": [{"processing_steps": [{"lift": "attributes"}]}]},
    {"resources": [{"endpoint": {"response_actions": [SLACK]}}]},
]
PLAIN = [
    {},
    {"client": {"base_url": "${url}", "paginator": "header_link", "auth": {"type": "bearer", "token": "x"}}},
    {"resources": ["a", {"name": "b", "endpoint": {"params": {"pick": ["x"], "paginator": []}}}]},
    {"resources": [{"processing_steps": [{"map": str}], "endpoint": {"response_actions": [print, {"content": "x"}]}}]},
    {"resources": [{"endpoint": {"incremental": {"cursor_path": "x", "convert": int}}}]},
]


@pytest.mark.parametrize("config", EXTENDED)
def test_a_configuration_with_an_extension_is_told(config):
    before = copy.deepcopy(config)
    assert uses_extensions(config)
    assert config == before


@pytest.mark.parametrize("config", PLAIN)
def test_a_configuration_that_dlt_knows_itself_is_told(config):
    assert not uses_extensions(config)


@pytest.mark.parametrize(
    "action",
    [
        {"json_path": "ok"},
        {"json_path": "ok", "equals": 1, "exists": True},
        {"json_path": "ok", "equals": 1, "action": "ignore"},
        {"json_path": "o[", "equals": 1},
    ],
)
def test_a_response_action_that_means_nothing_is_refused(action):
    with pytest.raises(RestConfigError, match=r"resources\[rows\]\.endpoint\.response_actions\[0\]: "):
        source("http://127.0.0.1:9", response_actions=[action])

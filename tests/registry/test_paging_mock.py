"""The vendor on loopback pages as each paginator expects, and is strict; the real paginators read it to the end."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from typing import Any

import pytest

from dango.connectors.rest import rest_api
from dango.registry.entry import Entry, RestApi
from dango.registry.template import filled
from tests.registry.declared import template_values
from tests.registry.description import Description
from tests.registry.paging_mock import Vendor
from tests.registry.trial import Trial, trial

SHOP = {
    "openapi": "3.0.0",
    "servers": [{"url": "https://api.shop.example/v1"}],
    "paths": {
        "/orders": {
            "get": {
                "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "maximum": 100}},
                    {
                        "name": "since",
                        "in": "query",
                        "required": True,
                        "schema": {"type": "string", "format": "date-time"},
                    },
                ],
                "responses": {
                    "200": {
                        "headers": {"Link": {}},
                        "content": {
                            "application/json": {
                                "schema": {
                                    "type": "array",
                                    "items": {
                                        "type": "object",
                                        "properties": {
                                            "id": {"type": "integer"},
                                            "updated_at": {"type": "string", "format": "date-time"},
                                        },
                                    },
                                }
                            }
                        },
                    }
                },
            }
        }
    },
}


def entry(*resources: Mapping[str, Any], fields: tuple[Mapping[str, Any], ...] = (), **client: Any) -> Entry:
    """An entry with a token."""
    fields = fields or ({"name": "token", "kind": "secret", "required": True},)
    bearer = {"type": "bearer", "token": "${secrets.token}"}
    return Entry.model_validate(
        {
            "registry": 1, "id": "shop", "title": "Shop", "category": "commerce", "fields": list(fields),
            "build": {
                "kind": "rest_api",
                "config": {
                    "client": {"base_url": "https://api.shop.example/v1", "auth": bearer, **client},
                    "resources": list(resources),
                },
            },
        }
    )  # fmt: skip


def resource(name: str = "orders", **endpoint: Any) -> dict[str, Any]:
    """A resource whose rows are under `data`."""
    return {"name": name, "primary_key": "id", "endpoint": {"path": name, "data_selector": "data", **endpoint}}


def source(made: Trial) -> Any:
    """The dlt source, as dango makes it."""
    assert isinstance(made.entry.build, RestApi)
    return rest_api(filled(made.entry.build.config, template_values(made.entry, made.values), rest_api=True), "shop")


def loaded(made: Trial) -> dict[str, list[Any]]:
    """The rows that the real paginators bring, by resource."""
    found = source(made)
    return {each.name: list(found.resources[each.name]) for each in made.resources}


@pytest.mark.parametrize(
    "endpoint",
    [
        {"paginator": {"type": "json_link", "next_url_path": "links.next"}},
        {"paginator": "header_link"},
        {"paginator": "header_link", "path": "orders/"},
        {"paginator": {"type": "header_link", "links_next_key": "following"}},
        {"paginator": {"type": "header_cursor", "cursor_key": "X-Next", "cursor_param": "after"}},
        {"paginator": {"type": "cursor", "cursor_path": "paging.next.after", "cursor_param": "after"}},
        {"paginator": {"type": "cursor", "cursor_path": "data[-1].id", "cursor_param": "after", "has_more_path": "m"}},
        {"paginator": {"type": "cursor", "cursor_path": "data[-1].id", "cursor_param": "after"}},
        {"paginator": {"type": "cursor", "cursor_path": "data[-1].token", "cursor_param": "before"}},
        {"paginator": {"type": "cursor", "cursor_path": "next", "cursor_param": "at", "stop_after_empty_page": True}},
        {"paginator": {"type": "cursor", "cursor_path": "$[-1].id", "cursor_param": "after"}, "data_selector": "$"},
        {"paginator": {"type": "offset", "limit": 50, "total_path": None}},
        {"paginator": {"type": "offset", "limit": 50, "total_path": "pages.total"}},
        {"paginator": {"type": "offset", "limit": 50, "total_path": None, "has_more_path": "more"}},
        {"paginator": {"type": "page_number", "base_page": 1, "total_path": "total_pages"}},
        {"paginator": {"type": "page_number", "base_page": 0, "total_path": None}},
        {"paginator": {"type": "page_number", "total_path": None, "has_more_path": "more"}},
        {"paginator": "link_results"},
        {"paginator": {"type": "json_link_until", "next_url_path": "next", "has_more_path": "meta.has_more"}},
        {"paginator": {"type": "json_link_until", "next_url_path": "next_page"}},
        {
            "method": "POST", "json": {"filter": {"state": "open"}},
            "paginator": {"type": "cursor", "cursor_path": "next_cursor", "cursor_body_path": "start_cursor"},
        },
        {
            "method": "POST", "data_selector": "data.orders.nodes",
            "json": {"query": "query($after: String) {{ orders(after: $after) {{ id }} }}", "variables": {"first": 50}},
            "paginator": {
                "type": "cursor", "cursor_path": "data.orders.pageInfo.endCursor",
                "cursor_body_path": "variables.after", "has_more_path": "data.orders.pageInfo.hasNextPage",
            },
        },
        {
            "method": "POST", "data_selector": "boards[0].page.items", "json": {"variables": {"first": 50}},
            "paginator": {"type": "cursor", "cursor_path": "boards[0].page.at", "cursor_body_path": "variables.at"},
        },
        {"data_selector": "list[*].order", "paginator": {"type": "cursor", "cursor_path": "n", "cursor_param": "at"}},
    ],
    ids=lambda endpoint: json.dumps(endpoint["paginator"])[:70],
)  # fmt: skip
def test_a_real_paginator_reads_every_page_once(endpoint: dict[str, Any]) -> None:
    made = entry(resource(**endpoint))
    with Vendor(made, []) as vendor:
        found = loaded(trial(made, vendor, "mark"))["orders"]
        assert len({row["id"] for row in found}) == len(found) == 6
        assert {0, 1} <= {asked.page for asked in vendor.asked}
        assert vendor.refused == []


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer", "token": "${secrets.token}"},
        {"type": "http_basic", "username": "me@shop.example/token", "password": "${secrets.token}"},
        {"type": "http_basic", "username": "${secrets.token}", "password": "X"},
        {"type": "api_key", "name": "X-Key", "api_key": "Token token=${secrets.token}", "location": "header"},
        {"type": "api_key", "name": "apiKey", "api_key": "${secrets.token}", "location": "query"},
        {
            "type": "oauth2_client_credentials", "access_token_url": "https://login.shop.example/oauth/token",
            "client_id": "dango", "client_secret": "${secrets.token}",
        },
        {
            "type": "oauth2_refresh", "token_url": "https://login.shop.example/oauth/token", "send": "basic",
            "rotates": False, "client_id": "dango", "client_secret": "x", "refresh_token": "${secrets.token}",
        },
    ],
    ids=lambda auth: f"{auth['type']} {auth.get('location', '')}",
)  # fmt: skip
def test_who_has_the_credential_is_let_in_and_nobody_else(auth: dict[str, Any]) -> None:
    made = entry(resource(paginator="single_page"), auth=auth)
    with Vendor(made, []) as vendor:
        assert len(loaded(trial(made, vendor, "mark"))["orders"]) == 6
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"{vendor.url}/v1/orders")


def test_children_are_asked_for_with_every_parent() -> None:
    parent = resource("customers", paginator="header_link")
    child = {**resource("visits", paginator="header_link"), "include_from_parent": ["number"]}
    child["endpoint"]["path"] = "customers/{resources.customers.number}/visits"
    made = entry(parent, child)
    with Vendor(made, []) as vendor:
        found = loaded(trial(made, vendor, "mark"))
        assert len(found["visits"]) == 36
        assert {row["_customers_number"] for row in found["visits"]} == {row["number"] for row in found["customers"]}


@pytest.mark.parametrize(
    "initial", ["2024-01-01T00:00:00Z", "2024-01-01", 1704067200, 1704067200000, "1704067200.000000"]
)
def test_a_filter_is_honoured_and_time_goes_by(initial: Any) -> None:
    orders = resource(
        paginator="header_link", params={"filter": "ge(updated,{incremental.start_value})"},
        incremental={"cursor_path": "meta.updated", "initial_value": initial},
    )  # fmt: skip
    made = entry({**orders, "write_disposition": "merge"})
    with Vendor(made, []) as vendor:
        project = trial(made, vendor, "mark")
        first = loaded(project)["orders"]
        latest = max(row["meta"]["updated"] for row in first)
        vendor.advance()
        vendor.begin()
        again = trial_with(project, initial_value=latest)
        second = loaded(again)["orders"]
    assert {request.starts for request in vendor.asked} == {(str(latest),)}
    assert len(first) == 6
    assert sorted(row["meta"]["updated"] for row in second)[0] == latest
    assert len(second) == 3, "the latest, one that has changed, and a new one"


def trial_with(made: Trial, initial_value: Any) -> Trial:
    """The same, as if it had been loaded up to there."""
    assert isinstance(made.entry.build, RestApi)
    config = json.loads(json.dumps(made.entry.build.config))
    config["resources"][0]["endpoint"]["incremental"]["initial_value"] = initial_value
    build = RestApi(kind="rest_api", config=config)
    return Trial(made.entry.model_copy(update={"build": build}), made.values, made.resources, made.files)


ORDERS = resource(
    data_selector="$", paginator="header_link", params={"limit": 100, "since": "{incremental.start_value}"},
    incremental={"cursor_path": "updated_at", "initial_value": "2024-01-01T00:00:00Z"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("orders?limit=100&since=2024-01-01T00:00:00Z", 200),
        ("order?limit=100&since=2024-01-01T00:00:00Z", 404),
        ("orders?limit=100", 422),
        ("orders?limit=100&since=2024-01-01T00:00:00Z&colour=red", 422),
        ("orders?limit=100&since=2024-01-01T00:00:00Z&limit=True", 422),
        ("orders?limit=500&since=2024-01-01T00:00:00Z", 422),
        ("orders?limit=100&since=yesterday", 422),
    ],
)
def test_the_vendor_is_strict(path: str, status: int) -> None:
    made = entry(ORDERS)
    with Vendor(made, [Description(SHOP)]) as vendor:
        token = trial(made, vendor, "mark").secrets["token"]
        request = urllib.request.Request(f"{vendor.url}/v1/{path}", headers={"Authorization": f"Bearer {token}"})
        try:
            answered = urllib.request.urlopen(request).status
        except urllib.error.HTTPError as error:
            answered = error.code
    assert answered == status, vendor.refused


def test_a_body_that_lacks_what_a_search_needs_is_refused() -> None:
    made = entry(resource("search", method="POST", json={"query": {"field": "updated"}}, paginator="single_page"))
    with Vendor(made, []) as vendor:
        token = trial(made, vendor, "mark").secrets["token"]
        request = urllib.request.Request(
            f"{vendor.url}/v1/search", data=b'{"query": {}}', headers={"Authorization": f"Bearer {token}"}
        )
        with pytest.raises(urllib.error.HTTPError, match="400"):
            urllib.request.urlopen(request)


def test_resources_that_share_a_path_are_told_apart_by_what_they_send() -> None:
    open_only = {**resource(params={"state": "open"}, paginator="single_page"), "name": "open_orders"}
    open_only["endpoint"]["path"] = "orders"
    queries = [
        {**resource(name, method="POST", json={"query": name}, paginator="single_page"), "name": name}
        for name in ("teams", "users")
    ]
    for query in queries:
        query["endpoint"]["path"] = "graphql"
    made = entry(resource(paginator="single_page"), open_only, *queries)
    with Vendor(made, []) as vendor:
        found = loaded(trial(made, vendor, "mark"))
        assert {name: len(rows) for name, rows in found.items()} == dict.fromkeys(found, 6)
        assert [asked.resource for asked in vendor.asked] == ["orders", "open_orders", "teams", "users"]


def test_pages_that_never_end_spend_the_budget() -> None:
    made = entry(resource(paginator={"type": "offset", "limit": 3, "total_path": None, "maximum_offset": 10**6,
                                     "stop_after_empty_page": False}))  # fmt: skip
    with Vendor(made, []) as vendor:
        project = trial(made, vendor, "mark")
        with pytest.raises(Exception, match="410"):
            loaded(project)
    assert "the pages do not end" in vendor.refused[-1]


def test_a_vendor_that_answers_200_to_everything_says_in_the_body_who_is_not_let_in() -> None:
    failure = {"json_path": "ok", "equals": False, "action": "fail", "message_path": "error"}
    made = entry(resource(paginator="single_page", response_actions=[failure]))
    with Vendor(made, []) as vendor:
        project = trial(made, vendor, "mark")
        assert len(loaded(project)["orders"]) == 6
        said = json.loads(urllib.request.urlopen(f"{vendor.url}/v1/orders").read())
    assert said == {"ok": False, "error": "invalid_auth"}

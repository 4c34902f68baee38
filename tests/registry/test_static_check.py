"""The static check finds the errors that people make: each is put into a good entry, and must be seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from dango.registry.entry import Entry
from tests.registry.description import Description
from tests.registry.mutations import Mutation, mutations
from tests.registry.shipped import FILES, descriptions, entry_of, is_described
from tests.registry.static_check import differences, static_check

FLOOR = 0.95


def is_caught(mutation: Mutation, known: set[Any], found: Callable[[Entry], list[Any]]) -> bool:
    """Whether the check finds anything that it did not find before. That a waiver is idle now does not count."""
    return bool(set(found(mutation.entry)) - known)


@pytest.mark.slow
def test_nearly_all_errors_are_caught(record_property: Callable[[str, object], None]) -> None:
    entries = [entry_of(file) for file in FILES if is_described(file)]
    missed: list[Mutation] = []
    total = 0
    for entry in entries:
        described = descriptions(entry)
        known = set(differences(entry, described))
        for mutation in mutations(entry, described):
            total += 1
            if not is_caught(mutation, known, lambda wrong, by=described: differences(wrong, by)):
                missed.append(mutation)
    caught = total - len(missed)
    figure = f"static check: {caught} of {total} errors caught ({caught / total:.1%}) in {len(entries)} entries"
    record_property("figure", figure)
    print(figure, *(f"  missed: {mutation}" for mutation in missed), sep="\n")
    assert caught >= FLOOR * total, Counter(mutation.kind for mutation in missed)
    assert total > 300


# --- what is a difference, and what is none ------------------------------------------------------------------------

ROW = {
    "allOf": [
        {"$ref": "#/components/schemas/named"},
        {
            "type": "object",
            "properties": {
                "id": {"type": "integer"},
                "user": {"oneOf": [{"type": "string"}, {"type": "object", "properties": {"id": {"type": "string"}}}]},
                "updated": {"type": "string", "format": "date-time"},
                "made": {"type": "integer"},
                "properties": {"type": "object", "additionalProperties": {"type": "string"}},
            },
        },
    ]
}
ANSWER = {
    "type": "object",
    "properties": {
        "data": {"type": "array", "items": {"$ref": "#/components/schemas/row"}},
        "has_more": {"type": "boolean"},
        "next": {"type": "object", "nullable": True, "properties": {"offset": {"type": "string"}}},
    },
}
FIELDS = {"type": "array", "items": {"type": "string", "enum": ["name", "modified_at", "user.id"]}}
MADE = {"anyOf": [{"type": "object", "properties": {"gte": {"type": "integer"}}}, {"type": "integer"}]}
QUERY = {
    "type": "object",
    "required": ["filters"],
    "properties": {
        "filters": {"type": "array", "items": {"type": "object", "properties": {"op": {"enum": ["EQ", "GTE"]}}}},
        "limit": {"type": "integer", "maximum": 200},
        "after": {"type": "string"},
    },
}
OK = {"200": {"content": {"application/json": {"schema": ANSWER}}}}
MODERN = {
    "openapi": "3.0.0",
    "servers": [{"url": "https://api.shop.example/v1"}],
    "paths": {
        "/{kind}/orders": {
            "parameters": [{"$ref": "#/components/parameters/version"}],
            "get": {
                "parameters": [
                    {"name": "kind", "in": "path", "required": True, "schema": {"enum": ["shop", "web"]}},
                    {"name": "limit", "in": "query", "schema": {"type": "integer", "minimum": 1, "maximum": 100}},
                    {"name": "offset", "in": "query", "schema": {"type": "string"}},
                    {"name": "state", "in": "query", "schema": {"type": "string", "enum": ["open", "all"]}},
                    {"name": "opt_fields", "in": "query", "schema": FIELDS},
                    {"name": "properties", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                    {"name": "made", "in": "query", "style": "deepObject", "schema": MADE},
                    {"name": "archived", "in": "query", "schema": {"type": "boolean"}},
                ],
                "responses": OK,
            },
        },
        "/search": {
            "post": {
                "parameters": [{"$ref": "#/components/parameters/version"}],
                "requestBody": {"content": {"application/json": {"schema": QUERY}}},
                "responses": OK,
            }
        },
    },
    "components": {
        "schemas": {"row": ROW, "named": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "parameters": {
            "version": {
                "name": "Shop-Version", "in": "header", "required": True, "schema": {"enum": ["1", "2"]},
            }
        },
        "securitySchemes": {"key": {"type": "apiKey", "in": "header", "name": "X-Key"}},
    },
}  # fmt: skip
OLD = {
    "swagger": "2.0",
    "host": "api.shop.example",
    "basePath": "/v1",
    "paths": {
        "/bounces": {
            "get": {
                "parameters": [{"$ref": "#/parameters/limit"}, {"name": "start", "in": "query", "type": "integer"}],
                "responses": {"200": {"schema": {"type": "array", "items": {"$ref": "#/definitions/bounce"}}}},
            }
        }
    },
    "parameters": {"limit": {"name": "limit", "in": "query", "type": "integer", "maximum": 500}},
    "definitions": {"bounce": {"type": "object", "properties": {"email": {"type": "string"}}}},
}
ORDERS = {
    "name": "orders",
    "primary_key": "id",
    "endpoint": {
        "path": "shop/orders",
        "data_selector": "data",
        "params": {"limit": 100},
        "paginator": {"type": "cursor", "cursor_path": "next.offset", "cursor_param": "offset"},
    },
}
SEARCH = {
    "name": "search",
    "primary_key": "id",
    "endpoint": {
        "path": "search", "method": "POST", "data_selector": "data", "json": {"filters": [{"op": "GTE"}], "limit": 200},
        "paginator": {"type": "cursor", "cursor_path": "next.offset", "cursor_body_path": "after"},
    },
}  # fmt: skip
BOUNCES = {
    "name": "bounces",
    "primary_key": "email",
    "endpoint": {"path": "bounces", "data_selector": "$", "params": {"start": "1"}, "paginator": "single_page"},
}


def entry(
    *resources: dict[str, Any], waive: tuple[dict[str, str], ...] = (), headers: Any = None, **auth: str
) -> Entry:
    """An entry with these resources."""
    client = {
        "base_url": "https://api.shop.example/v1",
        "headers": {"Shop-Version": "2"} if headers is None else headers,
        "auth": {"type": "api_key", "name": "X-Key", "location": "header", "api_key": "${secrets.key}", **auth},
    }
    return Entry.model_validate(
        {
            "registry": 1, "id": "shop", "title": "Shop", "category": "commerce",
            "fields": [{"name": "key", "kind": "secret"}],
            "build": {"kind": "rest_api", "config": {"client": client, "resources": list(resources)}},
            "verify": {"waive": list(waive)},
        }
    )  # fmt: skip


def changed(resource: dict[str, Any], **endpoint: Any) -> dict[str, Any]:
    """The resource with another endpoint; `params` are added to those that it has."""
    before = resource["endpoint"]
    if "params" in endpoint:
        endpoint["params"] = {**before.get("params", {}), **endpoint["params"]}
    return {**resource, "endpoint": {**before, **endpoint}}


def found(made: Entry, *documents: dict[str, Any]) -> list[tuple[str, str, str]]:
    """The findings, without their words."""
    described = [Description(document) for document in documents or (MODERN,)]
    return [(finding.resource, finding.rule, finding.name) for finding in static_check(made, described)]


@pytest.mark.parametrize(
    "resource",
    [
        ORDERS,
        changed(ORDERS, params={"made[gte]": "1704067200"}),
        changed(ORDERS, params={"opt_fields": "name,modified_at"}),
        changed(ORDERS, params={"state": "all", "archived": "false"}),
        changed(
            ORDERS, params={"opt_fields": "modified_at"},
            incremental={"cursor_path": "modified_at", "initial_value": "2024-01-01"},
        ),
        changed(
            ORDERS, params={"properties": "email,changed"},
            incremental={"cursor_path": "properties.changed", "initial_value": "2024-01-01"},
        ),
        changed(ORDERS, incremental={"cursor_path": "made", "initial_value": 1704067200}),
        {**ORDERS, "primary_key": ["name", "user__id"]},
        changed(
            ORDERS,
            paginator={
                "type": "cursor", "cursor_path": "data[-1].id", "cursor_param": "offset", "has_more_path": "has_more",
            },
        ),
        SEARCH,
    ],
)  # fmt: skip
def test_what_the_vendor_describes_is_no_difference(resource: dict[str, Any]) -> None:
    assert found(entry(resource)) == []


@pytest.mark.parametrize(
    ("resource", "rule", "name"),
    [
        (changed(ORDERS, path="shop/order"), "path", "/v1/shop/order"),
        (changed(ORDERS, path="shops/orders"), "path", "/v1/shops/orders"),
        (changed(ORDERS, method="POST"), "path", "/v1/shop/orders"),
        (changed(ORDERS, params={"colour": "red"}), "param", "colour"),
        (changed(ORDERS, params={"made[gte": "1"}), "param", "made[gte"),
        (changed(ORDERS, params={"made[after]": "1"}), "param", "made[after]"),
        (changed(ORDERS, params={"made[gte]": "2024-01-01"}), "type", "made[gte]"),
        (changed(ORDERS, params={"limit": 101}), "maximum", "limit"),
        (changed(ORDERS, params={"limit": 0}), "minimum", "limit"),
        (changed(ORDERS, params={"state": "closed"}), "enum", "state"),
        (changed(ORDERS, params={"opt_fields": "name,gid"}), "enum", "opt_fields"),
        # In a query Python's True is `True`.
        (changed(ORDERS, params={"archived": True}), "type", "archived"),
        (changed(ORDERS, data_selector="$"), "selector", "$"),
        (changed(ORDERS, data_selector="has_more"), "selector", "has_more"),
        ({**ORDERS, "primary_key": "uid"}, "primary_key", "uid"),
        ({**ORDERS, "primary_key": "user.id"}, "primary_key", "user.id"),
        (changed(ORDERS, incremental={"cursor_path": "moved", "initial_value": "2024-01-01"}), "cursor", "moved"),
        (changed(ORDERS, incremental={"cursor_path": "updated", "initial_value": 1704067200}), "cursor", "updated"),
        (changed(ORDERS, incremental={"cursor_path": "made", "initial_value": "2024-01-01"}), "cursor", "made"),
        (
            changed(
                ORDERS, params={"properties": "email"},
                incremental={"cursor_path": "properties.changed", "initial_value": "2024-01-01"},
            ),
            "cursor", "properties.changed",
        ),
        (changed(ORDERS, paginator={"type": "json_link", "next_url_path": "links.next"}), "paginator", "links.next"),
        (changed(ORDERS, paginator="header_link"), "paginator", "Link"),
        (changed(ORDERS, paginator="single_page"), "paginator", "single_page"),
        (changed(SEARCH, json={"filters": [], "size": 1}), "body", "size"),
        (changed(SEARCH, json={"filters": [{"op": "LIKE"}]}), "enum", "filters[].op"),
        (changed(SEARCH, json={"filters": [], "limit": 500}), "maximum", "limit"),
        (changed(SEARCH, json={"filters": [], "limit": "200"}), "type", "limit"),
        (changed(SEARCH, json={"filters": [], "after": 1}), "type", "after"),
        (changed(SEARCH, json={"limit": 200}), "required_body", "filters"),
        (changed(SEARCH, json={"filters": "all"}), "type", "filters"),
    ],
)  # fmt: skip
def test_a_difference_is_found_and_named(resource: dict[str, Any], rule: str, name: str) -> None:
    assert (resource["name"], rule, name) in found(entry(resource))


def test_a_child_takes_what_its_parent_has() -> None:
    child = {**changed(ORDERS, params={"state": "{resources.orders.id}"}), "name": "lines"}
    assert found(entry(ORDERS, child)) == []
    wrong = {**changed(ORDERS, params={"state": "{resources.orders.uid}"}), "name": "lines"}
    assert found(entry(ORDERS, wrong)) == [("lines", "parent", "orders.uid")]


def test_a_grandchild_takes_what_its_parent_was_given() -> None:
    child = {**changed(ORDERS, params={"state": "{resources.orders.id}"}), "name": "lines"}
    grandchild = {**changed(ORDERS, params={"state": "{resources.lines._orders_id}"}), "name": "parts"}
    given = {**child, "include_from_parent": ["id"]}
    assert found(entry(ORDERS, given, grandchild)) == []
    assert found(entry(ORDERS, child, grandchild)) == [("parts", "parent", "lines._orders_id")]


def test_headers_and_the_credential_are_held_against_the_description() -> None:
    assert found(entry(ORDERS, headers={})) == [("orders", "required_header", "shop-version")]
    assert found(entry(ORDERS, headers={"Shop-Version": "9"})) == [("orders", "enum", "shop-version")]
    assert found(entry(ORDERS, headers={"Shop-Version": "2", "Shop": "1"})) == [("orders", "header", "shop")]
    assert found(entry(ORDERS, name="X-Token")) == [("orders", "auth", "x-token")]


def test_another_host_is_a_difference() -> None:
    elsewhere = {**MODERN, "servers": [{"url": "https://api.other.example/v1"}]}
    assert found(entry(ORDERS), elsewhere) == [("client", "host", "api.shop.example")]


def test_swagger_2_is_read_too_and_an_entry_may_need_several_descriptions() -> None:
    assert found(entry(BOUNCES, headers={}), OLD) == []
    assert found(entry(changed(BOUNCES, params={"limit": 501}), headers={}), OLD) == [("bounces", "maximum", "limit")]
    assert found(entry(ORDERS, BOUNCES), MODERN, OLD) == []


def test_lifted_and_renamed_fields_are_looked_for_where_they_end_up() -> None:
    lifted = {**ORDERS, "processing_steps": [{"lift": "user"}, {"rename": {"name": "title"}}]}
    assert found(entry({**lifted, "primary_key": ["id", "title"]})) == []
    assert found(entry({**lifted, "primary_key": "name"})) == [("orders", "primary_key", "name")]


def test_a_waiver_takes_out_what_it_names_and_one_that_does_nothing_is_a_finding() -> None:
    waiver = {"resource": "orders", "rule": "param", "name": "colour", "why": "documented in prose only"}
    coloured = changed(ORDERS, params={"colour": "red"})
    assert found(entry(coloured, waive=(waiver,))) == []
    assert found(entry(ORDERS, waive=(waiver,))) == [("orders", "waive", "param colour")]
    assert found(entry(changed(ORDERS, params={"color": "red"}), waive=(waiver,))) == [
        ("orders", "param", "color"),
        ("orders", "waive", "param colour"),
    ]

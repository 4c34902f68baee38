"""Descriptions that are written by hand, in short."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.registry import shapes
from tests.registry.description import Description

SAID = {
    "docs": "https://acme.example/docs",
    "server": "https://api.acme.example/v1",
    "auth": {"header": "X-Key"},
    "rows": {"order": {"id": "integer", "changed": "date-time", "customer": {"id": "integer"}, "tags": ["string"]}},
    "paths": {
        "/orders": {
            "query": {
                "limit": {"maximum": 100},
                "state": {"enum": ["open"]},
                "since": {"format": "date", "required": True},
            },
            "answer": {"data": ["order"], "next": "string"},
            "answer_headers": ["Link"],
        },
        "/search": {"method": "post", "body": {"after": "string"}, "answer": ["order"]},
    },
}


def test_what_is_written_in_short_is_a_description() -> None:
    described = Description(shapes.document(SAID))
    assert (described.hosts, described.credentials) == ({"api.acme.example"}, {("header", "x-key")})
    orders = described.operation([("v1", False), ("orders", False)], "GET")
    assert orders is not None
    assert (orders.query["limit"].shape.limit("maximum"), orders.query["state"].shape.enum) == (100, ["open"])
    assert [name for name, each in orders.query.items() if each.required] == ["since"]
    assert orders.response_headers == {"link"}
    row = orders.response.at("data[*]")
    assert row is not None and {*row.properties} == {"id", "changed", "customer", "tags"}
    assert row.properties["changed"].format == "date-time"
    search = described.operation([("v1", False), ("search", False)], "POST")
    assert search is not None and search.body is not None and search.response.items is not None
    assert {*search.body.properties} == {"after"}


def test_a_row_that_is_not_written_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="'ordr' is no type and none of the rows order"):
        shapes.document({**SAID, "paths": {"/orders": {"answer": ["ordr"]}}})


@pytest.mark.parametrize("file", sorted(shapes.FOLDER.glob("*.yml")), ids=lambda file: file.stem)
def test_a_written_description_belongs_to_an_entry(file: Path) -> None:
    assert (shapes.FOLDER.parents[2] / "registry" / file.name).is_file()

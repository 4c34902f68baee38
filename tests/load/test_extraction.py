"""`on_error: skip`: a resource that fails is left out, its cursor untouched, and the others are loaded."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, sources

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

# `broken` names the resources that fail after what they have given; each asking of `pages` is noted.
SHOP = """
import json, os
import dlt

def given(name):
    with open("given.json") as file:
        state = json.load(file)
    yield from state.get(name, [])
    if name in state.get("broken", []):
        raise LookupError(f"{name} is gone")

@dlt.source
def shop():
    @dlt.resource
    def events(id=dlt.sources.incremental("id", initial_value=0)):
        yield from given("events")

    @dlt.resource
    def visits(id=dlt.sources.incremental("id", initial_value=0)):
        yield from given("visits")

    @dlt.resource(write_disposition="merge", primary_key="id")
    def pages():
        with open("asked.txt", "a") as file:
            file.write("pages\\n")
        yield from given("pages")

    @dlt.transformer(data_from=pages, write_disposition="append")
    def words(page):
        for row in given("words"):
            yield {"page": page["id"], **row}

    @dlt.transformer(data_from=pages, write_disposition="append")
    def links(page):
        yield {"page": page["id"], "link": "x"}

    return events, visits, pages, words, links
"""


def source(**keys: Any) -> str:
    block = {"name": "shop", "type": "dlt_native", **keys}
    block["dlt_native"] = {"source_module": "shop", "source_function": "shop"}
    return sources(f"  - {json.dumps(block)}\n")


def put(root: Path, **given: Any) -> None:
    (root / "given.json").write_text(json.dumps(given))


def ids(*numbers: int) -> list[dict[str, int]]:
    return [{"id": number} for number in numbers]


@pytest.mark.slow
def test_a_resource_that_fails_is_left_out_and_its_cursor_is_what_it_was(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": source(on_error="skip"), "custom_sources/shop.py": SHOP})
    put(root, events=ids(1), visits=ids(1), pages=ids(1), words=[{"word": "a"}])
    assert dango("sync").code == 0

    # It had given a row already: neither the row nor its cursor stays.
    put(root, events=ids(1, 2), visits=ids(1, 2), pages=ids(1), words=[{"word": "a"}], broken=["visits"])
    said = dango("sync", "--json")
    assert said.code == 3
    (result,) = said.json["results"]
    assert result["status"] == "partial"
    (skipped,) = result["skipped"]
    assert skipped["resource"] == "visits"
    assert skipped["error"]["message"] == "LookupError: visits is gone"
    assert skipped["error"]["place"] == "custom_sources/shop.py:10"
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(1,), (2,)]
    assert rows("SELECT id FROM raw_shop.visits ORDER BY id") == [(1,)]

    put(root, events=ids(1, 2), visits=ids(1, 2, 3), pages=ids(1))
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.visits ORDER BY id") == [(1,), (2,), (3,)]


@pytest.mark.slow
def test_people_are_told_what_was_left_out_and_why(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": source(resources={"visits": {"on_error": "skip"}, "events": {}}), "custom_sources/shop.py": SHOP})
    put(root, events=ids(1), visits=ids(1), broken=["visits"])
    said = dango("sync")
    assert said.code == 3
    assert "shop: partial, 1 rows in" in said.err
    assert (
        "warning: shop: `visits` was left out: custom_sources/shop.py:10: LookupError: visits is gone\n"
    ) in said.err
    # One that may not fail still stops all.
    put(root, events=ids(2), visits=ids(1), broken=["events"])
    assert dango("sync").code == 1
    shown = dango("history", said.err and dango("history", "--json").json["runs"][1][0]["run"])
    assert "`visits` was left out" in shown.out + shown.err


@pytest.mark.slow
def test_rows_that_several_resources_share_are_read_once_unless_one_of_them_fails(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": source(on_error="skip"), "custom_sources/shop.py": SHOP})
    put(root, pages=ids(1), words=[{"word": "a"}])
    assert dango("sync").code == 0
    assert (root / "asked.txt").read_text().count("pages") == 1
    put(root, pages=ids(1, 2), words=[{"word": "a"}], broken=["words"])
    said = dango("sync", "--json")
    assert said.code == 3
    assert [skipped["resource"] for skipped in said.json["results"][0]["skipped"]] == ["words"]
    assert rows("SELECT id FROM raw_shop.pages ORDER BY id") == [(1,), (2,)]
    assert rows("SELECT page FROM raw_shop.links ORDER BY page") == [(1,), (1,), (2,)]
    assert rows("SELECT page, word FROM raw_shop.words") == [(1, "a")]


@pytest.mark.slow
def test_a_refresh_leaves_what_fails_as_it_is(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    write({"sources": source(on_error="skip"), "custom_sources/shop.py": SHOP})
    put(root, events=ids(1, 2), visits=ids(1, 2))
    assert dango("sync").code == 0
    put(root, events=ids(5), visits=ids(6), broken=["visits"])
    assert dango("sync", "--full-refresh").code == 3
    assert rows("SELECT id FROM raw_shop.events") == [(5,)]
    assert rows("SELECT id FROM raw_shop.visits ORDER BY id") == [(1,), (2,)]
    put(root, events=ids(5, 6), visits=ids(1, 2, 3))
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.events ORDER BY id") == [(5,), (6,)]
    assert rows("SELECT id FROM raw_shop.visits ORDER BY id") == [(1,), (2,), (3,)]

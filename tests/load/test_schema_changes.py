"""What a sync changes in the tables is told, column by column, and can be refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dlt
import pytest

from dango.cli import show
from dango.job import RunResult, TableResult
from dango.load.schema_changes import Change, between, has_loaded, refused
from tests.conftest import Said, native, sources
from tests.test_history import START

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]
Tables = dict[str, dict[str, Any]]


def columns(**types: str | None) -> dict[str, Any]:
    """Columns by name; a type that ends in `?` is a variant's."""
    hints = {}
    for name, kind in types.items():
        hints[name] = {"name": name, "nullable": True}
        if kind:
            hints[name] |= {"data_type": kind.rstrip("?"), **({"variant": True} if kind.endswith("?") else {})}
    return hints


def schema(tables: Tables) -> dlt.Schema:
    made = dlt.Schema("shop")
    for name, held in tables.items():
        parent, _, nested = name.rpartition("__")
        above = {"parent": parent} if nested and parent in tables else {"resource": name}
        made.update_table({"name": name, "columns": held, **above})  # type: ignore[typeddict-item]
    return made


def decimals(**digits: tuple[int, int] | None) -> dict[str, Any]:
    """Columns of decimals by name, with their digits where they are said."""
    said = {name: dict(zip(("precision", "scale"), each or (), strict=False)) for name, each in digits.items()}
    return {name: {**column, **said[name]} for name, column in columns(**dict.fromkeys(digits, "decimal")).items()}


ORDERS = columns(id="bigint", price="bigint", _dlt_id="text")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"orders": ORDERS}, {"orders": ORDERS}, []),
        ({}, {"orders": ORDERS}, [Change("orders")]),
        ({"orders": ORDERS}, {"orders": ORDERS, "orders__lines": columns(a="text")}, [Change("orders__lines")]),
        (
            {"orders": ORDERS},
            {"orders": {**ORDERS, **columns(note="text")}},
            [Change("orders", "note", "text")],
        ),
        (
            {"orders": ORDERS},
            {"orders": {**ORDERS, **columns(price__v_text="text?")}},
            [Change("orders", "price__v_text", "text", was="bigint", variant_of="price")],
        ),
        # A variant whose name had to be shortened is a new column whose origin cannot be told.
        (
            {"orders": ORDERS},
            {"orders": {**ORDERS, **columns(pr_x1y2_text="text?")}},
            [Change("orders", "pr_x1y2_text", "text")],
        ),
        # A column that only looks like a variant is none.
        (
            {"orders": ORDERS},
            {"orders": {**ORDERS, **columns(price__v_text="text")}},
            [Change("orders", "price__v_text", "text")],
        ),
        # Decimals that get more digits, on either side of the point; fewer are no change.
        (
            {"orders": decimals(price=(10, 2), tax=(10, 2), fee=(10, 2))},
            {"orders": decimals(price=(10, 3), tax=(10, 1), fee=(9, 2))},
            [
                Change("orders", "price", "decimal(11, 3)", was="decimal(10, 2)"),
                Change("orders", "tax", "decimal(11, 2)", was="decimal(10, 2)"),
            ],
        ),
        (
            {"orders": decimals(price=None, tax=(10, 2))},
            {"orders": decimals(price=(38, 9), tax=None)},
            [Change("orders", "tax", "decimal(38, 9)", was="decimal(10, 2)")],
        ),
        # Arrow's types are taken as they come.
        (
            {"orders": ORDERS},
            {"orders": {**ORDERS, **columns(price="text")}},
            [Change("orders", "price", "text", was="bigint")],
        ),
        # dlt's own, and what has no type yet.
        ({"orders": ORDERS}, {"orders": {**ORDERS, **columns(_dlt_load_id="text", later=None)}}, []),
        ({"orders": ORDERS}, {"orders": ORDERS, "none": columns(later=None)}, []),
        (
            {"orders": {**ORDERS, **columns(later=None)}},
            {"orders": {**ORDERS, **columns(later="double")}},
            [Change("orders", "later", "double")],
        ),
        # A table of which only dlt's columns are known has had no rows of the source's yet.
        ({"orders": columns(_dlt_id="text", id=None)}, {"orders": ORDERS}, [Change("orders")]),
        # What is gone, and hints other than the type, change nothing in a table.
        ({"orders": ORDERS, "old": ORDERS}, {"orders": columns(id="bigint")}, []),
        (
            {"orders": ORDERS},
            {"orders": {**ORDERS, "id": {**ORDERS["id"], "nullable": False, "primary_key": True}}},
            [],
        ),
    ],
)
def test_what_differs_is_told(before: Tables, after: Tables, told: list[Change]) -> None:
    assert list(between(before, schema(after))) == told


def test_changes_read_as_sentences() -> None:
    assert [
        str(change)
        for change in (
            Change("orders"),
            Change("orders", "note", "text"),
            Change("orders", "price__v_text", "text", "bigint", "price"),
            Change("orders", "price", "text", "bigint"),
        )
    ] == [
        "new table `orders`",
        "new column `orders.note` (text)",
        "new column `orders.price__v_text` for values of `price` that are text, not bigint",
        "`orders.price` becomes text, was bigint",
    ]


def test_a_refusal_lists_each_change_in_a_line_and_says_how_to_accept_them() -> None:
    error = refused([Change("orders__lines"), Change("orders", "note", "text")], "shop")
    assert error.exit_code == 5
    assert error.message == (
        "the tables of `shop` would change:\n- new table `orders__lines`\n- new column `orders.note` (text)"
    )
    assert error.hint == "nothing was loaded; to accept this: dango sync shop, without --fail-on-schema-change"


@pytest.mark.parametrize(
    ("before", "loaded"),
    [
        ({}, False),
        ({"orders": columns(later=None)}, False),
        ({"_dlt_loads": columns(load_id="text")}, False),
        ({"_DLT_LOADS": columns(LOAD_ID="text")}, False),
        ({"orders": ORDERS}, True),
    ],
)
def test_a_source_has_loaded_when_it_has_a_table_of_its_own(before: Tables, loaded: bool) -> None:
    assert has_loaded(before) is loaded


def test_what_a_contract_kept_out_is_shown_with_the_changes(capsys: pytest.CaptureFixture[str]) -> None:
    tables = (
        TableResult("orders", 3, 5, ("note", "price__v_text"), variants=("price__v_text",)),
        TableResult("refunds", 1, 1, discarded=1200, left_out=("why", "refunds__tags")),
        TableResult("visits", 0, 0, discarded=1),
    )
    show.results([RunResult("run", "shop", "ok", START, 1.0, "duckdb", "raw_shop", tables)])
    out, err = capsys.readouterr()
    assert "note, price__v_text (another type)" in out
    assert err.splitlines() == [
        "shop: by its contract, 1,200 rows of refunds discarded; left out of refunds: why, refunds__tags",
        "shop: by its contract, 1 row of visits discarded",
    ]


SHOP = """
import json
import dlt
import pyarrow

@dlt.resource
def orders(arrow=False):
    with open("given.json") as file:
        rows = json.load(file)
    yield pyarrow.Table.from_pylist(rows) if arrow else rows
"""


def put(root: Path, *rows: dict[str, Any]) -> None:
    (root / "given.json").write_text(json.dumps(rows))


@pytest.mark.slow
def test_each_sync_tells_new_tables_columns_and_variants(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop", "orders")), "custom_sources/shop.py": SHOP})
    put(root, {"id": 1, "price": 5})
    assert dango("sync", "--json").json["results"][0]["tables"][0]["new"] is True
    put(root, {"id": 2, "price": "dear", "note": "x", "tags": ["y"]})
    said = dango("sync", "--json")
    told = {table["name"]: table for table in said.json["results"][0]["tables"]}
    assert told["orders"]["new_columns"] == ["note", "price__v_text"]
    assert told["orders"]["variants"] == ["price__v_text"]
    assert (told["orders"]["new"], told["orders__tags"]["new"]) == (False, True)
    # What the history has is the same.
    past = dango("history", said.json["run"], "--json")
    assert past.json["results"][0]["tables"] == said.json["results"][0]["tables"]


@pytest.mark.slow
@pytest.mark.parametrize("arrow", [False, True], ids=["dict", "arrow"])
def test_a_change_is_refused_where_that_is_asked_for_and_nothing_is_loaded(
    root: Path, write: Write, dango: Dango, rows: Rows, arrow: bool
) -> None:
    block = native("shop", "orders", function_kwargs={"arrow": arrow})
    write({"sources": sources(block), "custom_sources/shop.py": SHOP})
    put(root, {"id": 1, "price": 5})
    assert dango("sync", "--fail-on-schema-change").code == 0, "a first load changes nothing"
    put(root, {"id": 2, "price": 5, "note": "a-private-word"})
    for _ in range(2):
        refused = dango("sync", "--fail-on-schema-change")
        assert refused.code == 5
        assert "error: shop: the tables of `shop` would change:\n- new column `orders.note` (text)\n" in refused.err
        assert "a-private-word" not in refused.out + refused.err
        assert rows("SELECT id FROM raw_shop.orders") == [(1,)]
        assert ("note",) not in rows("SELECT column_name FROM duckdb_columns WHERE table_name = 'orders'")
    assert dango("sync").code == 0
    assert rows("SELECT id, note FROM raw_shop.orders ORDER BY id") == [(1, None), (2, "a-private-word")]
    assert dango("sync", "--fail-on-schema-change").code == 0, "what has been accepted is no change any more"

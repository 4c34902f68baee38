"""What `schema_contract:` promises: what is frozen does not change, and what is discarded is told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

# The rows of each resource stand in given.json.
SHOP = """
import json
import dlt
import pyarrow

def given(name, arrow=False):
    with open("given.json") as file:
        rows = json.load(file).get(name, [])
    yield pyarrow.Table.from_pylist(rows) if arrow and rows else rows

@dlt.source
def shop(arrow=False):
    with open("given.json") as file:
        names = list(json.load(file))
    return [dlt.resource(given(name, arrow), name=name) for name in names]
"""


def put(root: Path, **given: list[dict[str, Any]]) -> None:
    (root / "given.json").write_text(json.dumps(given))


def shop(contract: str = "", *, resources: str = "", arrow: bool = False, defaults: str = "") -> dict[str, str]:
    """A project with one source `shop`; the contract stands in line 5, column 5."""
    call = f"{{source_module: shop, source_function: shop, function_kwargs: {{arrow: {str(arrow).lower()}}}}}"
    keys = ["name: shop", *contract.splitlines(), *resources.splitlines(), "type: dlt_native", f"dlt_native: {call}"]
    block = "\n    ".join(keys)
    return {
        "sources": f"version: 1\ndefaults: {{{defaults}}}\nsources:\n  - {block}\n",
        "custom_sources/shop.py": SHOP,
    }


def result(said: Said) -> dict[str, Any]:
    assert said.code == 0, said.err
    (found,) = said.json["results"]
    return {table["name"]: table for table in found["tables"]}


paths = pytest.mark.parametrize(
    "arrow", [pytest.param(False, id="dict"), pytest.param(True, id="arrow", marks=pytest.mark.slow)]
)


@paths
def test_a_new_column_is_refused_where_columns_are_frozen(
    root: Path, write: Write, dango: Dango, rows: Rows, arrow: bool
) -> None:
    write(shop("schema_contract: freeze", arrow=arrow))
    put(root, orders=[{"id": 1, "price": 5}])
    assert dango("sync").code == 0, "the first load makes the tables, frozen or not"

    put(root, orders=[{"id": 2, "price": 5, "note": "a-private-word"}])
    refused = dango("sync")
    assert refused.code == 5
    kind = "string" if arrow else "text"
    assert (
        f"error: shop: .dango/sources.yml:5:5: new column `orders.note` ({kind}), and the contract says"
        " `columns: freeze`; nothing was loaded\n"
        "  hint: to accept it, write `schema_contract: {tables: freeze, columns: evolve, data_type: freeze}`"
        " there and sync again\n"
    ) in refused.err
    assert "a-private-word" not in refused.out + refused.err
    assert rows("SELECT id FROM raw_shop.orders") == [(1,)]

    # The hint is right.
    write(shop("schema_contract: {tables: freeze, columns: evolve, data_type: freeze}", arrow=arrow))
    assert dango("sync").code == 0
    assert rows("SELECT id, note FROM raw_shop.orders ORDER BY id") == [(1, None), (2, "a-private-word")]


@paths
def test_a_value_of_another_type_is_refused_where_types_are_frozen(
    root: Path, write: Write, dango: Dango, arrow: bool
) -> None:
    write(shop("schema_contract:\n  data_type: freeze", arrow=arrow))
    put(root, orders=[{"id": 1, "price": 5}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": 2, "price": "dear", "note": "new columns may come"}])
    refused = dango("sync")
    assert refused.code == 5
    change = (
        "`orders.price` becomes string, was bigint"
        if arrow
        else "new column `orders.price__v_text` for values of `price` that are text, not bigint"
    )
    assert f"shop: .dango/sources.yml:6:7: {change}, and the contract says `data_type: freeze`" in refused.err
    assert "hint: to accept it, write `data_type: evolve` there and sync again" in refused.err


def test_nested_tables_are_under_the_contract_of_their_resource(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write(shop("schema_contract: evolve", resources="resources: {orders: {schema_contract: freeze}}"))
    put(root, orders=[{"id": 1, "lines": [{"sku": "a"}]}])
    assert dango("sync").code == 0

    put(root, orders=[{"id": 2, "lines": [{"sku": "a", "count": 1}]}])
    assert ".dango/sources.yml:6:26: new column `orders__lines.count` (bigint), and" in dango("sync").err
    put(root, orders=[{"id": 2, "tags": ["x"]}])
    table = dango("sync")
    assert table.code == 5
    assert "new table `orders__tags`, and the contract says `tables: freeze`" in table.err
    assert rows("SELECT count(*) FROM raw_shop.orders") == [(1,)]
    put(root, orders=[{"id": 2, "lines": [{"sku": "b"}]}])
    assert dango("sync").code == 0
    assert rows("SELECT sku FROM raw_shop.orders__lines ORDER BY sku") == [("a",), ("b",)]


@paths
def test_rows_that_are_discarded_are_counted_and_the_columns_named(
    root: Path, write: Write, dango: Dango, rows: Rows, arrow: bool
) -> None:
    write(shop("schema_contract: discard_row", arrow=arrow))
    put(root, orders=[{"id": 1, "price": 5}])
    assert result(dango("sync", "--json"))["orders"]["discarded"] == 0
    noted = [{"id": 3, "price": 5, "note": "x"}, {"id": 4, "price": 5, "note": "y"}]
    put(root, orders=[{"id": 2, "price": 5, "note": None}, *noted])
    told = result(dango("sync", "--json"))["orders"]
    assert (told["rows"], told["discarded"], told["left_out"], told["new_columns"]) == (1, 2, ["note"], [])
    assert rows("SELECT id FROM raw_shop.orders ORDER BY id") == [(1,), (2,)]

    put(root, orders=[{"id": 5, "price": 5, "note": "all of them"}])
    said = dango("sync")
    assert said.code == 0
    assert "shop: by its contract, 1 row of orders discarded; left out of orders: note" in said.err
    assert said.out.splitlines()[1].split()[:4] == ["shop", "raw_shop.orders", "0", "2"]


@paths
def test_values_that_are_discarded_are_named_by_their_columns(
    root: Path, write: Write, dango: Dango, rows: Rows, arrow: bool
) -> None:
    write(shop("schema_contract: discard_value", arrow=arrow))
    put(root, orders=[{"id": 1, "price": 5}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": 2, "price": "dear", "note": "x"}, {"id": 3, "price": "dear", "note": "y"}])
    told = result(dango("sync", "--json"))["orders"]
    variant = "price" if arrow else "price__v_text"
    assert (told["rows"], told["discarded"], sorted(told["left_out"])) == (2, 0, ["note", variant])
    assert rows("SELECT id, price FROM raw_shop.orders ORDER BY id") == [(1, 5), (2, None), (3, None)]


def test_rows_that_a_cursor_leaves_out_are_not_counted_as_discarded(root: Path, write: Write, dango: Dango) -> None:
    cursor = "resources: {orders: {schema_contract: discard_row, cursor: {field: id, initial: 0}}}"
    write(shop(resources=cursor))
    put(root, orders=[{"id": 1}, {"id": 2}])
    assert result(dango("sync", "--json"))["orders"]["discarded"] == 0
    put(root, orders=[{"id": 1}, {"id": 2}, {"id": 3}, {"id": 4, "note": "x"}])
    told = result(dango("sync", "--json"))["orders"]
    assert (told["rows"], told["discarded"]) == (1, 1)


@pytest.mark.slow
def test_a_nested_table_that_is_discarded_is_named_with_the_table_above(root: Path, write: Write, dango: Dango) -> None:
    write(shop("schema_contract: {tables: discard_row}"))
    put(root, orders=[{"id": 1}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": 2, "tags": ["x", "y"]}], refunds=[{"id": 1}, {"id": 2}])
    told = result(dango("sync", "--json"))
    assert (told["orders"]["rows"], told["orders"]["left_out"]) == (1, ["orders__tags"])
    assert (told["refunds"]["rows"], told["refunds"]["discarded"], told["refunds"]["left_out"]) == (0, 2, ["refunds"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("level", "arrow"), [("source", False), ("resource", False), ("resource", True), ("defaults", True)]
)
def test_a_contract_that_is_changed_or_taken_back_holds_no_more(
    root: Path, write: Write, dango: Dango, rows: Rows, level: str, arrow: bool
) -> None:
    def project(contract: str) -> dict[str, str]:
        key = f"schema_contract: {contract}" if contract else ""
        match level:
            case "source":
                return shop(key, arrow=arrow)
            case "resource":
                return shop(resources=f"resources: {{orders: {{{key}}}}}", arrow=arrow)
            case _:
                return shop(defaults=key, arrow=arrow)

    write(project("freeze"))
    put(root, orders=[{"id": 1}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": 2, "b": 1}])
    assert dango("sync").code == 5
    write(project("discard_value"))
    assert dango("sync").code == 0
    write(project(""))
    put(root, orders=[{"id": 3, "b": 1}])
    assert dango("sync").code == 0
    assert rows("SELECT id, b FROM raw_shop.orders ORDER BY id") == [(1, None), (2, None), (3, 1)]
    write(project("freeze"))
    put(root, orders=[{"id": 4, "c": 1}])
    assert dango("sync").code == 5


@pytest.mark.slow
def test_a_resource_that_is_asked_for_by_name_makes_its_tables_where_they_are_frozen(
    root: Path, write: Write, dango: Dango
) -> None:
    frozen = "schema_contract: freeze"
    write(shop(frozen))
    put(root, orders=[{"id": 1, "lines": [{"sku": "a"}]}])
    assert dango("sync").code == 0

    put(root, orders=[{"id": 1}], refunds=[{"id": 1, "reasons": ["x"]}])
    unasked = dango("sync")
    assert unasked.code == 5
    assert "new table `refunds`, and the contract says `tables: freeze`" in unasked.err
    write(shop(frozen, resources="resources: [orders, refunds]"))
    assert set(result(dango("sync", "--json"))) == {"orders", "refunds", "refunds__reasons"}
    put(root, orders=[{"id": 1}], refunds=[{"id": 1, "notes": ["x"]}])
    assert "new table `refunds__notes`" in dango("sync").err


@pytest.mark.slow
def test_the_nearest_level_counts_for_each_entity(root: Path, write: Write, dango: Dango) -> None:
    """`defaults` freeze all, the source lets columns come, one resource lets other types come."""
    levels = (
        "schema_contract: {columns: evolve}",
        "resources: {orders: {schema_contract: {data_type: evolve}}, refunds: }",
    )
    write(shop(levels[0], resources=levels[1], defaults="schema_contract: freeze"))
    put(root, orders=[{"id": 1}], refunds=[{"id": 1}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": "x", "b": 1}], refunds=[{"id": 1, "b": 1}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": 1}], refunds=[{"id": "x"}])
    type_ = dango("sync")
    assert ".dango/sources.yml:2:12: new column `refunds.id__v_text` for values of `id` that are text" in type_.err
    put(root, orders=[{"id": 1, "c": [1]}], refunds=[{"id": 1}])
    assert ".dango/sources.yml:2:12: new table `orders__c`, and the contract says `tables: freeze`" in dango("sync").err


@pytest.mark.slow
@paths
def test_a_full_refresh_is_no_way_around_a_contract(
    root: Path, write: Write, dango: Dango, rows: Rows, arrow: bool
) -> None:
    write(shop("schema_contract: freeze", arrow=arrow))
    put(root, orders=[{"id": 1, "price": 5}], refunds=[{"id": 1}])
    assert dango("sync").code == 0
    for more in ((), ("--resource", "orders")):
        put(root, orders=[{"id": 2, "note": "x"}], refunds=[{"id": 2}])
        refused = dango("sync", "--full-refresh", *more)
        assert refused.code == 5
        assert "new column `orders.note`" in refused.err
        assert rows("SELECT id, price FROM raw_shop.orders") == [(1, 5)]
    put(root, orders=[{"id": 3}], refunds=[{"id": 3}])
    assert dango("sync", "--full-refresh").code == 0
    assert rows("SELECT id, price FROM raw_shop.orders") == [(3, None)]
    write(shop("schema_contract: discard_value", arrow=arrow))
    put(root, orders=[{"id": 4, "note": "x"}], refunds=[{"id": 4}])
    assert result(dango("sync", "--full-refresh", "--json"))["orders"]["left_out"] == ["note"]
    assert rows("SELECT id FROM raw_shop.orders") == [(4,)]


def test_a_contract_holds_where_the_local_state_is_lost(root: Path, write: Write, dango: Dango) -> None:
    write(shop("schema_contract: freeze"))
    put(root, orders=[{"id": 1}])
    assert dango("sync").code == 0
    shutil.rmtree(root / ".dango" / "pipelines")
    put(root, orders=[{"id": 2, "note": "x"}])
    assert dango("sync").code == 5


@pytest.mark.slow
def test_a_cursor_stands_where_it_was_when_its_rows_are_refused(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    def project(contract: str) -> dict[str, str]:
        hints = f"{{schema_contract: {contract}, cursor: {{field: id, initial: 0}}}}"
        return shop(resources=f"resources: {{orders: {hints}}}")

    write(project("freeze"))
    put(root, orders=[{"id": 1}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": 1}, {"id": 2, "note": "x"}, {"id": 3}])
    assert dango("sync").code == 5
    assert dango("sync").code == 5, "what was refused is refused again, not forgotten"
    write(project("evolve"))
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.orders ORDER BY id") == [(1,), (2,), (3,)]


def test_a_trial_is_a_first_load(root: Path, write: Write, dango: Dango) -> None:
    write(shop("schema_contract: freeze"))
    put(root, orders=[{"id": 1}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": 2, "note": "x"}])
    assert dango("sync", "--limit", "5").code == 0


MODEL = """
import json
import dlt
from pydantic import BaseModel

class Order(BaseModel):
    id: int
    price: int | None = None

@dlt.source
def shop(arrow=False):
    @dlt.resource(columns=Order)
    def orders():
        yield json.load(open("given.json"))["orders"]
    return orders
"""


@pytest.mark.slow
def test_a_pydantic_model_is_a_contract_that_sources_yml_may_change(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write({**shop(), "custom_sources/shop.py": MODEL})
    put(root, orders=[{"id": 1, "price": 5, "note": "models leave out what they do not know"}])
    assert dango("sync").code == 0
    put(root, orders=[{"id": 1, "price": 5}, {"id": 2, "price": "a-private-word"}])
    refused = dango("sync")
    assert refused.code == 5
    assert "error: shop: `orders.price` does not fit its model (Input should be a valid integer" in refused.err
    assert (
        "hint: the source's own code says so; to accept it, write `schema_contract: {data_type: evolve}`" in refused.err
    )
    assert "a-private-word" not in refused.err

    write({**shop("schema_contract: {data_type: discard_row}"), "custom_sources/shop.py": MODEL})
    told = result(dango("sync", "--json"))["orders"]
    assert (told["rows"], told["discarded"]) == (1, 1)

    write({**shop("schema_contract: {columns: freeze}"), "custom_sources/shop.py": MODEL})
    put(root, orders=[{"id": 3, "note": "x"}])
    assert "sources.yml:5:23: new column `orders.note`, and the contract says `columns: freeze`" in dango("sync").err

    write({**shop("schema_contract: {data_type: discard_value}"), "custom_sources/shop.py": MODEL})
    cannot = dango("sync")
    assert cannot.code == 2
    assert "sources.yml:5:23: `orders` is described by a Pydantic model, which keeps whole rows out" in cannot.err


@pytest.mark.slow
def test_a_contract_of_the_sources_own_code_holds_and_the_error_says_how_to_change_it(
    root: Path, write: Write, dango: Dango
) -> None:
    own = SHOP.replace("@dlt.source", '@dlt.source(schema_contract="freeze")')
    write({**shop(), "custom_sources/shop.py": own})
    put(root, orders=[{"id": 1, "lines": [{"a": 1}]}])
    assert dango("sync").code == 0, "the first load makes the tables"
    put(root, orders=[{"id": 2, "note": "x"}])
    refused = dango("sync")
    assert refused.code == 5
    assert "write `schema_contract: {columns: evolve}` in the source's block and sync again" in refused.err
    write({**shop("schema_contract: {columns: evolve}"), "custom_sources/shop.py": own})
    assert dango("sync").code == 0


@pytest.mark.slow
def test_tables_whose_names_the_rows_tell_are_under_the_contract_of_their_source(
    root: Path, write: Write, dango: Dango
) -> None:
    events = """
import json
import dlt

@dlt.source
def shop(arrow=False):
    @dlt.resource(table_name=lambda row: row["kind"])
    def events():
        yield json.load(open("given.json"))["events"]
    return events
"""
    write({**shop("schema_contract: freeze"), "custom_sources/shop.py": events})
    put(root, events=[{"kind": "sale", "id": 1}, {"kind": "refund", "id": 1}])
    assert dango("sync").code == 0
    put(root, events=[{"kind": "sale", "id": 1}, {"kind": "gift", "id": 1}])
    assert "new table `gift`, and the contract says `tables: freeze`" in dango("sync").err
    put(root, events=[{"kind": "sale", "id": 1, "note": "x"}])
    assert "new column `sale.note` (text)" in dango("sync").err
    write({**shop("schema_contract: discard_row"), "custom_sources/shop.py": events})
    put(root, events=[{"kind": "sale", "id": 2, "note": "x"}, {"kind": "sale", "id": 3}, {"kind": "refund", "id": 3}])
    told = result(dango("sync", "--json"))
    assert (told["sale"]["rows"], told["sale"]["discarded"], told["refund"]["discarded"]) == (1, 1, 0)

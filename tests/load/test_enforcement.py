"""Which contract holds for a resource, of all that speak of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import dlt
import pytest

from dango.config.models import Destination, Source
from dango.job import Job
from dango.load.enforcement import enforced
from dango.registry.entry import Entry
from tests.registry.test_entry import SHOP

LOADED = {"name": "orders", "resource": "orders", "columns": {"id": {"name": "id", "data_type": "bigint"}}}


def job(root: Path, *, entry: Any = None, source: Any = None, resource: Any = None) -> Job:
    resources = {"orders": {"schema_contract": resource}} if resource else None
    configured = {"name": "shop", "type": "shop", "schema_contract": source, "resources": resources}
    known = Entry.model_validate({**SHOP, "select": {"hints": {"schema_contract": entry}}}) if entry else None
    return Job(root, "run", Source.model_validate(configured), Destination(type="duckdb"), known)


def held(work: Job, *, stored: Any = LOADED, of_source: Any = None, of_resource: Any = None) -> Any:
    """The contract of the resource `orders`, as dlt is told."""
    # dlt lets rows decide a contract where they tell the table's name, too.
    table: Any = (lambda row: "orders") if callable(of_resource) else None
    orders = dlt.resource([], name="orders", table_name=table, schema_contract=of_resource)
    made = dlt.source(lambda: orders, name="shop")()
    made.schema_contract = of_source
    schema = dlt.Schema("shop")
    if stored:
        schema.update_table(stored)
    with enforced(made, work, schema):
        return made.resources["orders"].schema_contract


def modes(tables: str, columns: str, data_type: str) -> dict[str, str]:
    return {"tables": tables, "columns": columns, "data_type": data_type}


def test_the_nearest_word_counts_for_each_entity(tmp_path: Path) -> None:
    work = job(tmp_path, entry={"columns": "discard_row"}, source={"data_type": "discard_row"})
    assert held(work, of_source="freeze") == modes("freeze", "discard_row", "discard_row")
    assert held(work, of_source="freeze", of_resource={"tables": "evolve"}) == modes(
        "evolve", "discard_row", "discard_row"
    )
    nearer = job(tmp_path, entry="freeze", source={"columns": "discard_row"}, resource={"columns": "evolve"})
    assert held(nearer, of_resource="discard_value") == modes("freeze", "evolve", "freeze")


def test_nothing_is_said_to_dlt_where_nothing_is_written(tmp_path: Path) -> None:
    assert held(job(tmp_path)) is None
    assert held(job(tmp_path, source="evolve")) is None


def test_a_contract_that_dlt_keeps_with_the_table_is_undone_where_none_is_written_any_more(tmp_path: Path) -> None:
    assert held(job(tmp_path), stored={**LOADED, "schema_contract": "freeze"}) == modes("evolve", "evolve", "evolve")


def test_a_first_load_makes_its_tables(tmp_path: Path) -> None:
    others = {**LOADED, "name": "refunds", "resource": "refunds"}
    assert held(job(tmp_path, source="freeze"), stored=None) == modes("evolve", "freeze", "freeze")
    assert held(job(tmp_path, source="freeze"), stored=others) == modes("freeze", "freeze", "freeze")
    assert held(job(tmp_path, source="freeze", resource="freeze"), stored=others)["tables"] == "evolve"
    nothing_came = {**LOADED, "columns": {"id": {"name": "id"}}}
    assert held(job(tmp_path, source="freeze"), stored=nothing_came)["tables"] == "evolve"


@pytest.mark.parametrize("said", ["freeze", None])
def test_a_contract_that_rows_decide_is_left_alone_where_nothing_is_written(tmp_path: Path, said: str | None) -> None:
    def decided(row: Any) -> str:
        return "discard_row"

    found = held(job(tmp_path, source=said), of_resource=decided)
    assert found == (modes("freeze", "freeze", "freeze") if said else decided)


@pytest.mark.parametrize(("contract", "kept"), [("freeze", True), ("evolve", False)])
def test_a_full_refresh_begins_with_the_tables_of_which_a_contract_speaks(
    tmp_path: Path, contract: str, kept: bool
) -> None:
    stored = dlt.Schema("shop")
    nested = {"name": "orders__lines", "parent": "orders", "columns": LOADED["columns"]}
    for table in (LOADED, nested):
        stored.update_table(table)  # type: ignore[arg-type]
    made = dlt.source(lambda: dlt.resource([], name="orders"), name="shop")()
    with enforced(made, replace(job(tmp_path, source=contract), full_refresh=True), stored):
        assert ({"orders", "orders__lines"} <= made.schema.tables.keys()) is kept

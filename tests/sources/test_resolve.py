"""Whatever a `source_function` is and gives becomes a source, or is refused in words."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest

from dango.config.models import Destination, DltNative, Source
from dango.config.resource import Resource
from dango.dlt_internals.providers import OwnSection
from dango.errors import DangoError, MissingSecret, NotASource, ResolveError
from dango.job import Job
from dango.sources.arguments import KWARGS
from dango.sources.calls import Call
from dango.sources.resolve import Resolved, build
from tests.conftest import Said, native, sources

Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]
Rows = Callable[[str], list[Any]]

TWO = [{"id": 1}, {"id": 2}]


@dlt.resource
def pages(size: int = 2) -> Iterator[Any]:
    yield TWO[:size]


@dlt.transformer
def details(page: Any) -> Iterator[Any]:
    for row in page:
        yield {**row, "detail": True}


@dlt.transformer(data_from=pages)
def fed(page: Any) -> Iterator[Any]:
    yield page


@dlt.source
def crm(size: int = 2) -> Any:
    return pages(size), dlt.resource([{"n": 1}], name="notes")


@dlt.source
def generated() -> Any:
    yield pages
    yield dlt.resource([{"n": 1}], name="notes")


def plain_generator(size: int = 2) -> Iterator[Any]:
    yield from TWO[:size]


async def async_generator() -> AsyncIterator[Any]:
    yield TWO


def returns_source() -> Any:
    return crm()


def returns_resource() -> Any:
    return pages


def returns_resources() -> Any:
    return [pages, dlt.resource([{"n": 1}], name="notes")]


def returns_tuple() -> Any:
    return pages, pages | dlt.transformer(details.__wrapped__, name="details")


def returns_sources_and_resources() -> Any:
    return [crm(), dlt.resource([{"x": 1}], name="others")]


def returns_rows() -> Any:
    return TWO


def returns_generator() -> Any:
    return (row for row in TWO)


def returns_table() -> Any:
    return pa.table({"id": [1, 2]})


def returns_batch() -> Any:
    return pa.RecordBatch.from_pylist(TWO)


def returns_tables() -> Any:
    return [pa.table({"id": [1]}), pa.table({"id": [2]})]


def returns_reader() -> Any:
    return pa.table({"id": [1, 2]}).to_reader()


def yields_tables() -> Any:
    yield pa.table({"id": [1, 2]})


def returns_one_row() -> Any:
    return {"id": 1}


def returns_no_rows() -> Any:
    return []


made = pages(1)
made_source = crm()


def job(**source: Any) -> Job:
    block = DltNative(source_module="shop", source_function="f")
    chosen = Source(name="shop", type="dlt_native", dlt_native=block, **source)
    return Job(Path("/nowhere"), "run", chosen, Destination(name="duckdb", type="duckdb"))


def built(function: Any, arguments: Mapping[str, Any] | None = None, **source: Any) -> Any:
    return build(
        Resolved(function, "shop", arguments or {}, OwnSection("shop", []), Call("shop", "shop", {})), job(**source)
    )


def data(source: Any) -> dict[str, list[Any]]:
    """The rows of each selected resource."""
    found: dict[str, list[Any]] = {}
    for name, resource in source.selected_resources.items():
        items = list(resource)
        found[name] = [row for item in items for row in (item.to_pylist() if hasattr(item, "to_pylist") else [item])]
    return found


BOTH = {"pages": TWO, "notes": [{"n": 1}]}


@pytest.mark.parametrize(
    ("function", "rows"),
    [
        (crm, BOTH),
        (generated, BOTH),
        (made_source, BOTH),
        (pages, {"pages": TWO}),
        (made, {"pages": TWO[:1]}),
        (fed, {"fed": TWO}),
        (plain_generator, {"plain_generator": TWO}),
        (async_generator, {"async_generator": TWO}),
        (returns_source, BOTH),
        (returns_resource, {"pages": TWO}),
        (returns_resources, BOTH),
        (returns_tuple, {"pages": TWO, "details": [{**row, "detail": True} for row in TWO]}),
        (returns_sources_and_resources, {**BOTH, "others": [{"x": 1}]}),
        (returns_rows, {"returns_rows": TWO}),
        (returns_generator, {"returns_generator": TWO}),
        (returns_table, {"returns_table": TWO}),
        (returns_batch, {"returns_batch": TWO}),
        (returns_tables, {"returns_tables": TWO}),
        (returns_reader, {"returns_reader": TWO}),
        (yields_tables, {"yields_tables": TWO}),
        (returns_one_row, {"returns_one_row": [{"id": 1}]}),
        (returns_no_rows, {"returns_no_rows": []}),
    ],
    ids=lambda value: getattr(value, "__name__", getattr(value, "name", "")) if not isinstance(value, dict) else "",
)
def test_each_kind_of_function_gives_its_rows(function: Any, rows: dict[str, list[Any]]) -> None:
    assert data(built(function)) == rows


@pytest.mark.parametrize("function", [crm, pages, plain_generator])
def test_arguments_reach_the_function(function: Any) -> None:
    assert next(iter(data(built(function, {"size": 1})).values())) == TWO[:1]


async def returns_later() -> Any:
    return TWO


class Client:
    pass


def returns(value: Any) -> Any:
    def shop() -> Any:
        return value

    return shop


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (returns(None), "`shop` returned None"),
        (returns("rows"), "`shop` returned a str"),
        (returns(7), "`shop` returned an int"),
        (returns(True), "`shop` returned a bool"),
        (returns(b"rows"), "`shop` returned a bytes"),
        (returns(Client()), "`shop` returned a Client"),
        (returns_later, "`returns_later` is async and returns once; make it a generator (`yield`)"),
        (details, "`details` is a transformer: it needs a resource to take its data from"),
        (returns(details), "`shop` is a transformer: it needs a resource to take its data from"),
        (Client, "it is a class; name a function that makes the source"),
        ({"id": 1}, "it is a dict, not a function, source or resource"),
        (7, "it is an int, not a function, source or resource"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_loaded_is_refused_in_words(function: Any, message: str) -> None:
    with pytest.raises(NotASource) as refused:
        built(function)
    assert refused.value.message == message
    assert refused.value.exit_code == 2


def test_parameters_that_nothing_gives_are_named_all_at_once_and_the_function_is_not_called() -> None:
    called = []

    def shop(region: str, size: int, pages: int = 1) -> Any:
        called.append(region)
        return TWO

    with pytest.raises(MissingSecret) as refused:
        built(shop, {"pages": 2})
    assert refused.value.message == "no value for `region`, `size`"
    assert refused.value.hint == (
        'add to function_kwargs in sources.yml, or to .dlt/secrets.toml:\n[sources.shop]\nregion = "…"\nsize = "…"'
    )
    assert refused.value.loc == KWARGS
    assert called == []


def test_resources_are_selected_by_a_list_or_a_mapping() -> None:
    assert data(built(crm, resources=["notes"])) == {"notes": [{"n": 1}]}
    assert data(built(crm, resources={"notes": None})) == {"notes": [{"n": 1}]}
    deselected = returns([dlt.resource(TWO, name="extra", selected=False), pages])
    assert list(data(built(deselected))) == ["pages"]
    assert list(data(built(deselected, resources=["extra"]))) == ["extra"]


@pytest.mark.parametrize("resources", [["pags"], {"pags": {"table": "x"}}])
def test_a_resource_that_the_source_does_not_have_is_refused(resources: Any) -> None:
    with pytest.raises(ResolveError) as refused:
        built(crm, resources=resources)
    assert refused.value.message == "source `shop` has no resource `pags` (did you mean `pages`?)"
    assert refused.value.hint == "its resources: pages, notes"
    assert refused.value.loc == ("resources", "pags")


def test_hints_of_one_resource_become_dlts_own() -> None:
    hints = Resource(
        table="orders", write_disposition="merge", primary_key=("id", "n"), merge_key="day",
        columns={"price": {"data_type": "decimal"}}, cursor={"field": "id", "initial": 2},
    )  # fmt: skip
    source = built(crm, resources={"pages": hints, "notes": {"primary_key": "n"}})
    schema = source.resources["pages"].compute_table_schema()
    assert (schema["name"], schema["write_disposition"]) == ("orders", "merge")
    columns = schema["columns"]
    assert [name for name, column in columns.items() if column.get("primary_key")] == ["id", "n"]
    assert [name for name, column in columns.items() if column.get("merge_key")] == ["day"]
    assert columns["price"]["data_type"] == "decimal"
    assert source.resources["notes"].compute_table_schema()["columns"]["n"]["primary_key"] is True
    notes = built(returns([{"id": 1}, {"id": 2}]), resources={"shop": {"cursor": {"field": "id", "initial": 2}}})
    assert data(notes) == {"shop": [{"id": 2}]}


SHOP = """
import pathlib
import dlt

@dlt.resource
def orders(token: str = dlt.secrets.value):
    yield [{"id": 1, "at": "2023-12-31T00:00:00Z", "day": "a", "price": "1.50", "token": token},
           {"id": 2, "at": "2024-02-01T00:00:00Z", "day": "b", "price": "2.50", "token": token},
           {"id": 2, "at": "2024-02-02T00:00:00Z", "day": "c", "price": "2.50", "token": token}]

@dlt.source
def crm():
    return [orders, dlt.resource([{"n": 1}], name="notes")]

def wants(size: int, token: str = dlt.secrets.value):
    pathlib.Path("called").touch()
    yield {"id": 1}

def nothing():
    if False:
        yield

def half():
    for n in range(20000):
        yield {"id": n}
    raise ValueError("no more today")

def none():
    print("some work")
"""


def test_sources_are_loaded_as_configured(write: Write, dango: Dango, rows: Rows, root: Path) -> None:
    hints = (
        "{orders: {table: tickets, write_disposition: merge, primary_key: id,"
        " columns: {price: {data_type: decimal}}, cursor: {field: at, initial: 2024-01-01, lag: 3600}}}"
    )
    crm = native("crm", "crm").replace("dlt_native, ", f"dlt_native, resources: {hints}, ", 1)
    orders = native("orders", "orders", function_kwargs={"token": "explicit"})
    write({
        "custom_sources/shop.py": SHOP,
        ".dlt/secrets.toml": '[sources.crm]\ntoken = "stored"\n[sources.orders]\ntoken = "stored"\n',
        "sources": sources(
            crm, orders, native("nothing", "nothing"), native("half", "half"), native("none", "none"),
            native("wants", "wants", function_kwargs={"siz": 1}),
        ),
    })  # fmt: skip
    said = dango("sync", "--json")
    assert said.code == 3
    results = {result["source"]: result for result in said.json["results"]}
    assert {name: result["status"] for name, result in results.items()} == {
        "crm": "ok", "orders": "ok", "nothing": "ok", "half": "failed", "none": "failed", "wants": "failed",
    }  # fmt: skip
    assert rows("select id, price, token from raw_crm.tickets") == [(2, pytest.approx(2.5), "stored")]
    types = "select data_type from information_schema.columns where table_name = 'tickets' and column_name = 'price'"
    assert rows(types)[0][0].startswith("DECIMAL")
    assert rows("select distinct token from raw_orders.orders") == [("explicit",)]
    tables = "select table_schema, table_name from information_schema.tables where not starts_with(table_name, '_dlt')"
    loaded = [table for table in rows(tables) if not table[0].endswith("_staging")]
    assert sorted(loaded) == [("raw_crm", "tickets"), ("raw_orders", "orders")]
    assert results["nothing"]["tables"] == []

    half = results["half"]["error"]
    assert (half["message"], half["exit_code"]) == ("ValueError: no more today", 1)
    line = SHOP.splitlines().index('    raise ValueError("no more today")') + 1
    assert half["place"] == f"custom_sources/shop.py:{line}"
    assert results["none"]["error"]["message"] == "`none` returned None"
    wants = results["wants"]["error"]
    assert wants["message"] == "`wants` has no parameter `siz` (did you mean `size`?)"
    assert (wants["hint"], wants["exit_code"]) == ("it takes: size, token", 2)
    assert wants["place"].startswith(".dango/sources.yml:8:")
    assert not (root / "called").exists()

    # A failed source alone gives its own code; nothing of it waits to be loaded by the next run.
    said = dango("sync", "half")
    assert said.code == 1
    assert "error: half: custom_sources/shop.py:" in said.err
    assert [table for table in rows(tables) if table[0].startswith("raw_half")] == []


def test_every_refusal_is_an_error_of_dango() -> None:
    assert issubclass(NotASource, ResolveError)
    assert issubclass(ResolveError, DangoError)

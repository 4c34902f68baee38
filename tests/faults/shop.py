"""One source with a resource for each way to load. It is copied into each project."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
from custom_sources.upstream import page, pages


def now() -> tuple[int, int]:
    """The batch and the era, which the test writes."""
    batch, era = Path("now").read_text().split()
    return int(batch), int(era)


def read(resource: str) -> Iterator[list[dict[str, Any]]]:
    for rows in pages(resource, *now()):
        yield page(rows)


@dlt.source
def shop() -> Any:
    """Appends, merges and replacements, with nested tables and Arrow."""

    @dlt.resource(write_disposition="append")
    def events(after: Any = dlt.sources.incremental("id", initial_value=0)) -> Any:
        yield from read("events")

    @dlt.resource(write_disposition="append")
    def arrow_events(after: Any = dlt.sources.incremental("id", initial_value=0)) -> Any:
        for rows in read("arrow_events"):
            yield pa.Table.from_pylist(rows)

    @dlt.resource(write_disposition="append")
    def orders(after: Any = dlt.sources.incremental("id", initial_value=0)) -> Any:
        yield from read("orders")

    @dlt.resource(write_disposition="merge")
    def visits(after: Any = dlt.sources.incremental("id", initial_value=0)) -> Any:
        yield from read("visits")

    @dlt.resource(write_disposition="merge", primary_key="id")
    def customers(after: Any = dlt.sources.incremental("revision", initial_value=0)) -> Any:
        yield from read("customers")

    @dlt.resource(write_disposition={"disposition": "merge", "strategy": "upsert"}, primary_key="id")
    def accounts(after: Any = dlt.sources.incremental("revision", initial_value=0)) -> Any:
        yield from read("accounts")

    @dlt.resource(write_disposition="replace")
    def prices() -> Any:
        yield from read("prices")

    @dlt.resource(write_disposition="replace")
    def stock() -> Any:
        for rows in read("stock"):
            yield pa.Table.from_pylist(rows)

    return events, arrow_events, orders, visits, customers, accounts, prices, stock

"""Sources that yield plain dicts, in pages as an API has them. Their rows are those of `bench/data.py`, by formula."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import dlt

PAGE = 1000
CITIES = ("Berlin", "Lagos", "Lima", "Osaka", "Pune")
START = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)


@dlt.resource(name="flat", write_disposition="append")
def flat(rows: int) -> Iterator[list[dict[str, Any]]]:
    """Ten columns."""
    for start in range(0, rows, PAGE):
        yield [_flat(i) for i in range(start, min(start + PAGE, rows))]


@dlt.resource(name="flat", write_disposition="append")
def tables(rows: int, select: str) -> Iterator[Any]:
    """The same ten columns as Arrow tables, made by DuckDB: `select` gives row number `i`."""
    import duckdb
    import pyarrow as pa

    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        with database.sql(f"SELECT {select} FROM range({rows}) AS numbers (i)").to_arrow_reader(100_000) as batches:
            yield from (pa.Table.from_batches([batch]) for batch in batches)


@dlt.source
def several(resources: int, rows: int) -> list[Any]:
    """So many resources of ten columns each, that know nothing of each other."""
    return [flat(rows).with_name(f"flat_{n}") for n in range(resources)]


@dlt.resource(name="documents", write_disposition="append")
def documents(rows: int) -> Iterator[list[dict[str, Any]]]:
    """An object of four keys, and one to three items."""
    for start in range(0, rows, PAGE):
        yield [_document(i) for i in range(start, min(start + PAGE, rows))]


@dlt.resource(name="orders", primary_key="id", write_disposition="merge")
def orders(
    rows: int,
    updated: dlt.sources.incremental[int] = dlt.sources.incremental("updated_at", initial_value=-1),
) -> Iterator[list[dict[str, Any]]]:
    """What has changed since the last time, as an API with a `since` gives it: all rows once, then none."""
    since = updated.last_value if updated.last_value is not None else -1
    for start in range(since + 1, rows, PAGE):
        yield [{"updated_at": i, **_flat(i)} for i in range(start, min(start + PAGE, rows))]


@dlt.resource(name="events", write_disposition="append")
def events(
    rows: int,
    seen: dlt.sources.incremental[int] = dlt.sources.incremental("id", initial_value=-1),
) -> Iterator[list[dict[str, Any]]]:
    """So many new rows every time."""
    first = (seen.last_value if seen.last_value is not None else -1) + 1
    yield [_flat(i) for i in range(first, first + rows)]


def _flat(i: int) -> dict[str, Any]:
    customer = i * 7919 % 100003
    return {
        "id": i,
        "customer_id": customer,
        "name": f"customer {customer}",
        "email": f"user{i}@example.com",
        "city": CITIES[i % 5],
        "amount": i * 31 % 40000 / 4,
        "quantity": 1 + i % 9,
        "active": i % 3 == 0,
        "created_at": START + dt.timedelta(seconds=i),
        "note": f"note {i % 1000}" if i % 4 else None,
    }


def _document(i: int) -> dict[str, Any]:
    return {
        "id": i,
        "title": f"document {i}",
        "created": f"day {i % 365}",
        "customer": {
            "name": f"customer {i % 100003}",
            "city": CITIES[i % 5],
            "tier": i % 4,
            "score": i * 31 % 4000 / 4 + 0.25,
        },
        "items": [
            {
                "sku": f"sku {(i * 7 + n) % 5000}",
                "quantity": 1 + (i + n) % 9,
                "price": (i * 13 + n) % 8000 / 4 + 0.25,
                "gift": (i + n) % 2 == 0,
            }
            for n in range(1 + i % 3)
        ],
    }

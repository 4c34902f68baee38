"""What a vendor would answer: a pure function of resource, time and era. It is copied into each project.

Time is counted in batches: each brings new rows, and changes some of the one before. A new era is what only a full
refresh finds out: rows are gone that nobody told of, the newest of each batch among them, and the others are written
differently.
"""

from __future__ import annotations

from typing import Any

ROWS = 40
"""New rows a batch, about."""

Row = dict[str, Any]


def answer(resource: str, batch: int, era: int) -> list[Row]:
    """All rows that the resource has at that time."""
    newest = {1000 * number + ROWS + number - 1 for number in range(1, batch + 1)}
    return [row for row in _MAKERS[resource](batch, era) if not era or (row["id"] % 5 and row["id"] not in newest)]


def page(rows: list[Row]) -> list[Row]:
    """One page of an answer, as the source takes it."""
    return rows


def pages(resource: str, batch: int, era: int) -> list[list[Row]]:
    """The same, in pages."""
    rows = answer(resource, batch, era)
    return [rows[start : start + 50] for start in range(0, len(rows), 50)]


def _stream(batch: int, era: int) -> list[Row]:
    """Rows that only come, and never change."""
    return [
        {"id": 1000 * number + n, "batch": number, "note": f"{era}/{number}/{n}"}
        for number in range(1, batch + 1)
        for n in range(ROWS + number)
    ]


def _nested(batch: int, era: int) -> list[Row]:
    return [{**row, "lines": [_line(row["id"], n, era) for n in range(row["id"] % 3)]} for row in _stream(batch, era)]


def _line(order: int, number: int, era: int) -> Row:
    sku = f"{order}-{number}"
    parts = [{"part": f"{sku}-{n}"} for n in range((order + number) % 3)]
    return {"sku": sku, "price": order + era, "parts": parts}


def _entities(batch: int, era: int) -> list[Row]:
    """Rows that change: each batch touches a third of the one before, with other children."""
    touched = {
        1000 * number + n: moment
        for moment in range(1, batch + 1)
        for number, step in ((moment - 1, 3), (moment, 1))
        if number
        for n in range(0, ROWS + number, step)
    }
    return [
        {
            "id": key,
            "revision": 1_000_000 * moment + key,
            "name": f"{era}/{moment}/{key}",
            "tags": [{"tag": f"{key}-{moment}-{n}", "weight": n + era} for n in range((key + moment) % 3)],
        }
        for key, moment in touched.items()
    ]


def _list(batch: int, era: int) -> list[Row]:
    """A whole list that is other each time, and now and then shorter."""
    return [
        {"id": n, "batch": batch, "note": f"{era}/{batch}/{n}"} for n in range(10 * (batch % 3), 60 + 30 * (batch % 2))
    ]


def _nested_list(batch: int, era: int) -> list[Row]:
    return [
        {**row, "lines": [{"sku": f"{row['id']}-{batch}-{n}", "price": n + era} for n in range(row["id"] % 3)]}
        for row in _list(batch, era)
    ]


_MAKERS = {
    "events": _stream,
    "arrow_events": _stream,
    "orders": _nested,
    "visits": _stream,
    "customers": _entities,
    "accounts": _entities,
    "prices": _nested_list,
    "stock": _list,
}
RESOURCES = tuple(_MAKERS)

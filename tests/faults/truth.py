"""What the tables must hold, worked out in plain Python, and what they do hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.faults.upstream import RESOURCES, Row, answer

Query = Callable[[str], list[tuple[Any, ...]]]
Tables = Mapping[str, Counter[tuple[Any, ...]]]

CURSORS = {
    "events": "id", "arrow_events": "id", "orders": "id", "visits": "id", "customers": "revision",
    "accounts": "revision",
}  # fmt: skip
KEYS = {"customers": "id", "accounts": "id"}
REPLACED = ("prices", "stock")


@dataclass(frozen=True)
class Table:
    """Columns of a table that are compared; of a nested one also the column by which its parent is known."""

    columns: tuple[str, ...]
    parent: tuple[str, str] | None = None


TABLES = {
    "events": Table(("id", "batch", "note")),
    "arrow_events": Table(("id", "batch", "note")),
    "orders": Table(("id", "batch", "note")),
    "orders__lines": Table(("sku", "price"), ("orders", "id")),
    "orders__lines__parts": Table(("part",), ("orders__lines", "sku")),
    "visits": Table(("id", "batch", "note")),
    "customers": Table(("id", "revision", "name")),
    "customers__tags": Table(("tag", "weight"), ("customers", "id")),
    "accounts": Table(("id", "revision", "name")),
    "accounts__tags": Table(("tag", "weight"), ("accounts", "id")),
    "prices": Table(("id", "batch", "note")),
    "prices__lines": Table(("sku", "price"), ("prices", "id")),
    "stock": Table(("id", "batch", "note")),
}


@dataclass(frozen=True)
class Truth:
    """What a destination holds, by resource; and how many rows the last sync had to bring, by table."""

    rows: Mapping[str, list[Row]] = field(default_factory=lambda: {name: [] for name in RESOURCES})
    brought: Mapping[str, int] = field(default_factory=dict)

    def synced(self, batch: int, era: int) -> Truth:
        """After a sync at that time."""
        return self._with(RESOURCES, batch, era)

    def refreshed(self, batch: int, era: int, resources: Collection[str] = RESOURCES) -> Truth:
        """After a full refresh, of some resources or all, at that time."""
        emptied = Truth({name: [] if name in resources else rows for name, rows in self.rows.items()})
        return emptied._with(resources, batch, era)

    def _with(self, resources: Collection[str], batch: int, era: int) -> Truth:
        rows, brought = dict(self.rows), Counter[str]()
        for name in resources:
            new = answer(name, batch, era)
            if cursor := CURSORS.get(name):
                last = max((row[cursor] for row in self.rows[name]), default=0)
                new = [row for row in new if row[cursor] > last]
            rows[name] = new if name in REPLACED else _put(self.rows[name], new, KEYS.get(name))
            brought.update({table: found.total() for table, found in _flat(name, new).items()})
        return Truth(rows, {table: count for table, count in brought.items() if count})

    @property
    def tables(self) -> Tables:
        """The rows of each table."""
        return {table: found for name, rows in self.rows.items() for table, found in _flat(name, rows).items()}


def _put(old: list[Row], new: list[Row], key: str | None) -> list[Row]:
    if key is None:
        return [*old, *new]
    return [*{row[key]: row for row in (*old, *new)}.values()]


def _flat(name: str, rows: list[Row], parent: Any = None) -> dict[str, Counter[tuple[Any, ...]]]:
    """The rows of a table and of those nested in it, each nested row with what its parent is known by."""
    found = {table: Counter[tuple[Any, ...]]() for table in TABLES if table == name or table.startswith(f"{name}__")}
    for row in rows:
        values = tuple(row[column] for column in TABLES[name].columns)
        found[name][values if parent is None else (parent, *values)] += 1
        for column, inner in row.items():
            if isinstance(inner, list):
                for table, nested in _flat(f"{name}__{column}", inner, values[0]).items():
                    found[table] += nested
    return found


def held(query: Query, dataset: str) -> Tables:
    """What the tables of a dataset hold."""
    return {name: Counter(query(_rows(name, dataset))) for name in TABLES}


def _rows(name: str, dataset: str) -> str:
    table = TABLES[name]
    columns = ", ".join(f"t.{column}" for column in table.columns)
    if table.parent is None:
        return f"SELECT {columns} FROM {dataset}.{name} AS t"
    # A nested row whose parent is missing has a parent NULL; one whose parent is there twice is there twice.
    parent, known_by = table.parent
    return (
        f"SELECT p.{known_by}, {columns} FROM {dataset}.{name} AS t"
        f" LEFT JOIN {dataset}.{parent} AS p ON p._dlt_id = t._dlt_parent_id"
    )


@dataclass(frozen=True)
class Difference:
    """Rows that are missing and rows that are too many, by table."""

    lost: Mapping[str, int]
    doubled: Mapping[str, int]

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled)

    def __str__(self) -> str:
        return f"lost {dict(self.lost)}, too many {dict(self.doubled)}"


def difference(wanted: Tables, found: Tables) -> Difference:
    """How what is found differs from what is wanted. A row that is other than it should be counts twice."""
    return Difference(
        {name: missing for name in TABLES if (missing := (wanted[name] - found[name]).total())},
        {name: many for name in TABLES if (many := (found[name] - wanted[name]).total())},
    )


def unconfirmed(query: Query, dataset: str) -> list[str]:
    """What is wrong with dlt's own notes: loads confirmed twice, rows of loads that were never confirmed."""
    twice = query(f"SELECT load_id FROM {dataset}._dlt_loads GROUP BY load_id HAVING count(*) > 1")
    wrong = [f"load {load_id} is confirmed twice" for (load_id,) in twice]
    for name, table in TABLES.items():
        if table.parent is None and "arrow" not in name and name != "stock":
            of_none = query(
                f"SELECT count(*) FROM {dataset}.{name} AS t WHERE NOT EXISTS"
                f" (SELECT 1 FROM {dataset}._dlt_loads AS l WHERE l.load_id = t._dlt_load_id)"
            )[0][0]
            if of_none:
                wrong.append(f"{of_none} rows of {name} are of no confirmed load")
    return wrong

"""Nothing is emptied by accident: which tables would lose all their rows, decided before anything is loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

from dango.dlt_internals.packages import Package
from dango.errors import WouldEmpty
from dango.load.dataset import counted


def unfilled(package: Package) -> tuple[str, ...]:
    """The root tables that are replaced, or refreshed, by no row.

    One that only grows or is merged into stays as it is where nothing came. Nested tables follow their parents.
    """
    replaced = {table for table in package.tables if package.disposition(table) == "replace"}
    written = replaced | set(package.refreshed_roots)
    return tuple(sorted(table for table in written if _is_root(package, table) and package.rows(table) == 0))


def would_empty(sql: Any, tables: Collection[str], known: Collection[str]) -> dict[str, int | None]:
    """Those of the tables that are to be filled with nothing which hold rows.

    Args:
        sql: a client for the destination, open; None where it cannot be asked in SQL.
        tables: as `unfilled` finds them.
        known: the tables that the source has had so far.

    Returns:
        how many rows each of them holds; None where that cannot be asked, which counts as some.
    """
    if sql is None:
        return {table: None for table in tables if table in known}
    return {table: rows for table, rows in counted(sql, tables).items() if rows}


def refused(tables: Mapping[str, int | None], source: str) -> WouldEmpty:
    """The error for these tables."""
    held = ", ".join(f"`{table}` ({_rows(rows)})" for table, rows in tables.items())
    return WouldEmpty(
        f"nothing came for {held}: the rows would be gone, so nothing was loaded",
        f"where it is right that they are gone: dango sync {source} --allow-empty",
    )


def _is_root(package: Package, table: str) -> bool:
    return table not in package.schema.tables or package.root(table) == table


def _rows(rows: int | None) -> str:
    if rows is None:
        return "how many rows it holds cannot be asked"
    return f"holds {rows:,} row{'' if rows == 1 else 's'}"


def resources_of(package: Package, tables: Iterable[str]) -> dict[str, list[str]]:
    """The tables by the resources that they belong to."""
    found: dict[str, list[str]] = {}
    for table in tables:
        found.setdefault(str(package.schema.tables[table].get("resource") or table), []).append(table)
    return found

"""Conditions in SQL, as `filter` takes them: whether they can be read, and which columns they speak of.

DuckDB is imported by those who have a condition.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from typing import Any

_KEYWORDS = (
    *("current_date", "current_time", "current_timestamp", "localtime", "localtimestamp"),
    *("current_user", "session_user", "user", "current_catalog", "current_schema", "current_role"),
)
"""What SQL has values for, and DuckDB's parser takes for columns."""


def fault(condition: str) -> str:
    """Why a text is no condition; empty where it is one."""
    import duckdb

    try:
        statements = duckdb.extract_statements(_select(condition))
    except duckdb.Error as error:
        return str(error).partition("\n")[0]
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        return "it is more than one statement"
    return "" if _tree(condition) else "it is more than a condition"


@cache
def columns(condition: str) -> tuple[str, ...]:
    """The columns that a condition speaks of, as they are written in it."""
    tree = _tree(condition)
    own = {*_named([each["lhs"] for each in _nodes(tree, "LAMBDA")]), *_KEYWORDS}
    return tuple(dict.fromkeys(name for name in _named(tree) if name.lower() not in own))


def _select(condition: str) -> str:
    # On lines of their own: a remark at the end of the condition ends there.
    return f"SELECT (\n{condition}\n)"


@cache
def _tree(condition: str) -> Any:
    """What DuckDB reads in it; None where that is no single expression."""
    import duckdb

    with duckdb.connect(":memory:") as database:
        row: Any = database.execute("SELECT json_serialize_sql(?)", [_select(condition)]).fetchone()
    read = json.loads(row[0])
    if read.get("error", True):
        return None
    node = read["statements"][0]["node"]
    plain = node.get("type") == "SELECT_NODE" and node["from_table"]["type"] == "EMPTY"
    return node["select_list"] if plain and len(node["select_list"]) == 1 else None


def _named(tree: Any) -> Iterator[str]:
    return (str(node["column_names"][0]) for node in _nodes(tree, "COLUMN_REF"))


def _nodes(tree: Any, kind: str) -> Iterator[dict[str, Any]]:
    """Every node of a kind, at any depth."""
    if isinstance(tree, dict):
        if tree.get("class") == kind:
            yield tree
        tree = list(tree.values())
    for each in tree if isinstance(tree, list) else ():
        yield from _nodes(each, kind)

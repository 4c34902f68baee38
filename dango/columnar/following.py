"""Documents after Arrow in one table: only documents have ids by nature, and those may not be null."""

from __future__ import annotations

from typing import Any

from dlt.common.schema import Schema
from dlt.common.schema.utils import has_table_seen_data


def leave_room(schema: Schema, table: str) -> None:
    """Lets the ids be null in a table of which rows without them may be loaded already.

    dlt would add a column that may not be null to rows that have none of it, which every destination refuses.
    """
    known: Any = schema.tables.get(table)
    if known is None or not has_table_seen_data(known):
        return
    normalizer: Any = schema.data_item_normalizer
    ids = (getattr(normalizer, "c_dlt_id", ""), getattr(normalizer, "c_dlt_load_id", ""))
    missing: Any = {name: {"name": name, "nullable": True} for name in ids if name and name not in known["columns"]}
    if missing:
        schema.update_table({"name": table, "columns": missing}, normalize_identifiers=False)

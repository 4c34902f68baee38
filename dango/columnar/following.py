"""A table that comes now as documents, now as Arrow: only documents have ids by nature, and those may not be null."""

from __future__ import annotations

import copy
from typing import Any

from dlt.common.schema import Schema
from dlt.common.schema.utils import has_table_seen_data, is_complete_column
from dlt.normalize.items_normalizers import ArrowItemsNormalizer


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


class FollowingNormalizer(ArrowItemsNormalizer):
    """Gives Arrow rows ids where the table has them from documents, which may not be null."""

    def __call__(self, extracted_items_file: str, root_table_name: str) -> Any:
        """As its base, for one extracted file."""
        normalizer: Any = self.schema.data_item_normalizer
        known: Any = self.schema.tables.get(root_table_name) or {"columns": {}}
        column = known["columns"].get(getattr(normalizer, "c_dlt_id", ""))
        if column and is_complete_column(column) and column.get("nullable") is False:
            self.config = copy.copy(self.config)
            self.config.parquet_normalizer = copy.copy(self.config.parquet_normalizer)
            self.config.parquet_normalizer.add_dlt_id = True
        return super().__call__(extracted_items_file, root_table_name)

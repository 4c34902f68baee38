"""What a sync changes in a source's tables: new ones, new columns, other types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dango import digits
from dango.errors import RefusedByContract

if TYPE_CHECKING:
    from dlt import Schema

Columns = Mapping[str, Mapping[str, Any]]
"""dlt's hints by the names of columns."""


@dataclass(frozen=True, slots=True)
class Change:
    """A table that is new, or a column of another table that is new or of another type than it was."""

    table: str
    column: str = ""
    type: str = ""
    """The column's, in dlt's words: text, bigint, double, …"""
    was: str = ""
    """The type that the values had so far; empty where they are new."""
    variant_of: str = ""
    """The column whose values are of that type and not of this one: dlt puts them into a column of their own."""

    @property
    def new_column(self) -> bool:
        """Whether the table gets a column, and not only another type of one."""
        return bool(self.column) and (not self.was or bool(self.variant_of))

    def __str__(self) -> str:
        name = f"`{self.table}.{self.column}`"
        if not self.column:
            return f"new table `{self.table}`"
        if self.variant_of:
            return f"new column {name} for values of `{self.variant_of}` that are {self.type}, not {self.was}"
        if self.was:
            return f"{name} becomes {self.type}, was {self.was}"
        return f"new column {name} ({self.type})" if self.type else f"new column {name}"


def between(before: Mapping[str, Columns], after: Schema) -> tuple[Change, ...]:
    """What differs between a source's tables as they were and as they are to be.

    Tables and columns that dlt makes for itself do not count, nor do columns without a type, of which nothing has
    come yet, nor hints other than the type and how many digits a decimal has that gets more of them.

    Args:
        before: the columns of each table before the sync.
        after: the source's schema behind normalisation.
    """
    own = after.naming.normalize_identifier("_dlt")
    found: list[Change] = []
    for table in after.data_tables():
        name = str(table["name"])
        known = _typed(before.get(name, {}), own)
        columns = _typed(table["columns"], own)
        found += _columns(name, known, columns, after) if known else [Change(name)]
    return tuple(found)


def has_loaded(before: Mapping[str, Columns]) -> bool:
    """Whether there was any table at all; a source without one has nothing that could change."""
    return any(_typed(columns, "_dlt") for name, columns in before.items() if not name.lower().startswith("_dlt"))


def refused(changes: Sequence[Change], source: str) -> RefusedByContract:
    """The error of a sync that was to change nothing."""
    lines = "".join(f"\n- {change}" for change in changes)
    return RefusedByContract(
        f"the tables of `{source}` would change:{lines}",
        f"nothing was loaded; to accept this: dango sync {source}, without --fail-on-schema-change",
    )


def _columns(table: str, known: Columns, columns: Columns, schema: Schema) -> Iterator[Change]:
    for name, hints in columns.items():
        kind = hints["data_type"]
        if name in known:
            was = known[name]["data_type"]
            if kind != was:
                yield Change(table, name, kind, was)
            elif kind == "decimal" and (grown := digits.grown(known[name], hints)):
                yield Change(table, name, digits.written(grown), digits.written(digits.of(known[name])))
        elif hints.get("variant") and (base := beside(name, schema)) in columns:
            yield Change(table, name, kind, columns[base]["data_type"], base)
        else:
            yield Change(table, name, kind)


def beside(variant: str, schema: Schema) -> str:
    """The column that a variant stands beside, `price` for `price__v_text`, if its name is not shortened."""
    return str(schema.naming.make_path(*schema.naming.break_path(variant)[:-1]))


def _typed(columns: Columns, own: str) -> Columns:
    return {
        name: hints
        for name, hints in columns.items()
        if hints.get("data_type") and not name.lower().startswith(own.lower())
    }

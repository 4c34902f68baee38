"""What a job has done to each table, told from what was extracted, what was loaded, and what a contract kept out."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from dango.columnar import Taken
from dango.dlt_internals.packages import Package
from dango.job import Status, TableResult
from dango.load.enforcement import KeptOut
from dango.load.extraction import LeftOut
from dango.load.loading import Loaded
from dango.load.schema_changes import Change
from dango.paths import TablePath


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job has done."""

    status: Status
    tables: tuple[TableResult, ...]
    left_out: tuple[LeftOut, ...] = ()
    paths: tuple[TablePath, ...] = ()
    """Which way the rows of each table took."""


def table_results(
    packages: Sequence[Package],
    data: Collection[str],
    counts: Mapping[str, int],
    done: Loaded,
    changes: Sequence[Change],
    kept_out: KeptOut,
) -> tuple[TableResult, ...]:
    """What was done to each table.

    Args:
        packages: what was loaded, without records that failed.
        data: the tables that they have rows of.
        counts: the rows of each table, as they were normalised or loaded.
        done: seconds and totals.
        changes: of the schema.
        kept_out: what a contract has kept out; its tables are told as well.
    """
    discarded = discarded_rows(kept_out, packages, counts)
    columns_out = kept_out.names
    touched = {*data, *discarded, *columns_out}
    rows = {table: counts.get(table, 0) for table in (*counts, *discarded, *columns_out) if table in touched}
    return tuple(
        TableResult(
            name=name,
            rows=count,
            total=done.totals.get(name),
            new=any(change.table == name and not change.column for change in changes),
            new_columns=tuple(sorted(c.column for c in changes if c.table == name and c.new_column)),
            variants=tuple(sorted(c.column for c in changes if c.table == name and c.variant_of)),
            seconds=round(done.seconds.get(name, 0.0), 3),
            discarded=discarded.get(name, 0),
            left_out=columns_out.get(name, ()),
        )
        for name, count in rows.items()
    )


def discarded_rows(kept_out: KeptOut, packages: Sequence[Package], counts: Mapping[str, int]) -> dict[str, int]:
    """How many rows of each table a contract kept out."""
    return kept_out.rows(counts, packages[-1].schema) if packages else {}


def table_paths(taken: Taken, ways: Mapping[str, TablePath]) -> Iterator[TablePath]:
    """Which way each table went: what the connector says of it, or what became of its dicts."""
    yield from ways.values()
    for table, (path, reason) in taken.paths.items():
        if table not in ways:
            yield TablePath(table, path, reason)

"""Pages: what a resource hands on at once, as a list of records or as an Arrow table; each as the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, TypeAlias

import pyarrow as pa

from dango.errors import ProcessorFailed

Page: TypeAlias = "list[Any] | pa.Table"


def pages(item: Any) -> Iterator[Page]:
    """What a source yields as pages: of a list of tables each for itself, of a single record a list of one."""
    if isinstance(item, list):
        if item and is_columns(item[0]):
            yield from chain.from_iterable(map(pages, item))
        else:
            yield [record(each) for each in item]
    elif is_columns(item):
        yield table(item)
    else:
        yield [record(item)]


def is_columns(item: Any) -> bool:
    """Whether it is a table, of Arrow, pandas or polars, and no record."""
    return isinstance(item, pa.Table | pa.RecordBatch) or (hasattr(item, "shape") and hasattr(item, "columns"))


def table(item: Any) -> pa.Table:
    """A batch or a frame as a table of Arrow."""
    if isinstance(item, pa.Table):
        return item
    if isinstance(item, pa.RecordBatch):
        return pa.Table.from_batches([item])
    return item.to_arrow() if hasattr(item, "to_arrow") else pa.Table.from_pandas(item, preserve_index=False)


def record(item: Any) -> Mapping[str, Any]:
    """One row as a mapping; of a Pydantic model its fields, and what has none stands under `value`, as dlt has it."""
    if isinstance(item, Mapping):
        return item
    return item.model_dump() if hasattr(item, "model_dump") else {"value": item}


def rows(page: Page) -> list[Any]:
    """The records of a page."""
    return list(page.to_pylist()) if isinstance(page, pa.Table) else page


def columns(page: Page, names: Sequence[str] | None = None) -> pa.Table:
    """A page as a table; of records those columns that are named, all without names.

    Raises:
        ProcessorFailed: where records cannot be one, as values of several kinds stand in a column.
    """
    if isinstance(page, pa.Table):
        return page
    keys = dict.fromkeys(chain.from_iterable(page)) if names is None else names
    made = {}
    for name in keys:
        try:
            made[str(name)] = pa.array([row.get(name) for row in page])
        except (pa.ArrowException, OverflowError) as error:
            raise ProcessorFailed(
                f"the records cannot be made a table: `{name}` has values of several kinds ({error})",
                f"`cast` it first: `cast: {{{name}: text}}`, or take records",
            ) from error
    # A table without columns has no rows.
    return pa.table(made) if made else pa.table({"": pa.nulls(len(page))}).select([])


class Types:
    """The types of the columns of pages so far: what is made of their records again has the same ones."""

    def __init__(self) -> None:
        self._known: dict[str, pa.DataType] = {}

    def note(self, schema: pa.Schema) -> None:
        """Takes the types of a page before its records are changed."""
        self._known |= {field.name: field.type for field in schema}

    def table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """The records as a table. Raises `ProcessorFailed` where they cannot be one."""
        names = dict.fromkeys(chain.from_iterable(rows))
        ordered = [*(name for name in self._known if name in names), *(n for n in names if n not in self._known)]
        made = {name: self._column(name, [row.get(name) for row in rows]) for name in ordered}
        self._known |= {name: array.type for name, array in made.items() if not pa.types.is_null(array.type)}
        return pa.table(made)

    def _column(self, name: str, values: list[Any]) -> pa.Array:
        try:
            return pa.array(values, self._known.get(name))
        except (pa.ArrowException, OverflowError):
            # The function made other values than there were.
            return columns([{name: value} for value in values])[name].combine_chunks()


class Form:
    """Pages in the form of the first: dlt takes either records or tables into one table, and not both at once."""

    def __init__(self) -> None:
        self._is_table: bool | None = None
        self._types = Types()

    def __call__(self, page: Page) -> Page:
        """The page in that form."""
        is_table = isinstance(page, pa.Table)
        if self._is_table is None:
            self._is_table = is_table
        if isinstance(page, pa.Table):
            self._types.note(page.schema)
        if is_table == self._is_table:
            return page
        return rows(page) if isinstance(page, pa.Table) else self._types.table(page)

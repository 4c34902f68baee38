"""What dango asks of dlt's schema contracts that is not its documented public API.

What a contract keeps out, dlt leaves out without a word. Its verdicts are listened to, and the rows are counted on
their way: when they come to a Pydantic model, behind it, and at the end of the pipe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from dlt.common.data_types import py_type_to_sc_type
from dlt.common.schema import Schema
from dlt.common.schema.exceptions import DataValidationError
from dlt.extract.extractors import ImportFileMeta
from dlt.extract.items_transform import MetricsItem
from dlt.extract.utils import get_data_item_format
from dlt.sources import DltResource
from pydantic import ValidationError

__all__ = ["DataValidationError"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A column, or where that is empty a whole table, that a contract keeps out."""

    table: str
    above: str
    """The table that this one is nested in; empty for others."""
    column: str


@contextmanager
def verdicts() -> Iterator[list[Verdict]]:
    """What dlt decides to keep out while the block runs, in the order in which it does."""
    heard: list[Verdict] = []
    decide = Schema.apply_schema_contract

    def listened(self: Schema, contract: Any, partial_table: Any, *args: Any, **kwargs: Any) -> Any:
        # Read first: dlt takes out of the table what it keeps out.
        table, above = partial_table["name"], partial_table.get("parent") or ""
        allowed, filters = decide(self, contract, partial_table, *args, **kwargs)
        heard.extend(Verdict(table, above, "" if entity == "tables" else name) for entity, name, _ in filters)
        return allowed, filters

    # There is no hook. What is called with other arguments one day fails loudly, in every test of contracts.
    Schema.apply_schema_contract = listened  # type: ignore[assignment,method-assign]  # dlt has no hook
    try:
        yield heard
    finally:
        Schema.apply_schema_contract = decide  # type: ignore[method-assign]  # as it was


def violation(error: BaseException) -> DataValidationError | None:
    """dlt's word for a broken contract, from among the errors that are wrapped around each other; None for others."""
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, DataValidationError):
            return inner
        inner = inner.__cause__ or inner.__context__
    return None


def offender(error: DataValidationError) -> str:
    """The type of the value that broke the contract, in dlt's words or in Arrow's; empty where there is none."""
    items = error.data_item if isinstance(error.data_item, list) else [error.data_item]
    for item in items:
        if isinstance(item, Mapping) and error.column_name in item:
            return str(py_type_to_sc_type(type(item[error.column_name])))
        names = getattr(getattr(item, "schema", None), "names", ())
        if error.column_name in names:
            return str(item.schema.field(error.column_name).type)
    return ""


def misfit(error: DataValidationError) -> tuple[str, str] | None:
    """The field that does not fit a Pydantic model, and why; None where no model was asked."""
    if not isinstance(error.__cause__, ValidationError):
        return None
    first = error.__cause__.errors(include_url=False, include_input=False)[0]
    # Of a page, a field's place begins with `items` and the number of the row.
    place = first["loc"][2:] if first["loc"][:1] == ("items",) else first["loc"]
    return ".".join(map(str, place)), first["msg"]


@dataclass(slots=True)
class Passing:
    """How many rows a resource has handed on so far."""

    given: int = 0
    """To its Pydantic model."""
    valid: int = 0
    """Behind it."""
    extracted: int = 0
    """At the end of the pipe, where dlt writes them down."""


def count(resource: DltResource) -> Passing:
    """Counts what passes through the resource's pipe, from now on."""
    passing = Passing()
    for step in (_Given, _Valid, Extracted):
        resource.add_step(step(passing))
    return passing


class _Counter(MetricsItem):
    stage: str

    def __init__(self, passing: Passing) -> None:
        super().__init__(self._count)
        self._passing = passing

    def bind(self, pipe: Any) -> _Counter:
        """Called when an extraction begins; of one that failed and is tried again nothing counts."""
        setattr(self._passing, self.stage, 0)
        return self

    def _count(self, item: Any, meta: Any, metrics: dict[str, Any]) -> None:
        # Of a file that is loaded as it is, and of a relation, nobody knows how many rows they have.
        if not isinstance(meta, ImportFileMeta) and get_data_item_format(item) != "model":
            setattr(self._passing, self.stage, getattr(self._passing, self.stage) + _rows(item))


# dlt sorts steps by affinity: models have 0.9, a cursor 1, which leaves out rows of its own, and a limit 1.1.
class _Given(_Counter):
    stage = "given"
    placement_affinity = 0.85


class _Valid(_Counter):
    stage = "valid"
    placement_affinity = 0.95


class Extracted(_Counter):
    """Counts what is written: processors come before it."""

    stage = "extracted"
    placement_affinity = 1.2


def _rows(item: Any) -> int:
    if isinstance(item, list):
        # A page of a thousand rows is not gone through; a list of tables is short.
        return sum(map(_rows, item)) if get_data_item_format(item) == "arrow" else len(item)
    if hasattr(item, "num_rows"):
        return int(item.num_rows)
    return int(item.shape[0]) if hasattr(item, "shape") else 1

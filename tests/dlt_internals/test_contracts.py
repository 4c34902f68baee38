"""dlt says nothing of what a contract keeps out: it is listened to, and what passes is counted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pyarrow as pa
import pytest
from dlt.common.schema import Schema
from dlt.pipeline.exceptions import PipelineStepFailed
from pydantic import BaseModel

from dango.dlt_internals.contracts import DataValidationError, Passing, Verdict, count, offender, verdicts, violation

ROWS = [{"id": 1}, {"id": 2}, {"id": 3}]
TABLE = pa.Table.from_pylist(ROWS)


@pytest.mark.parametrize(
    ("pages", "rows"),
    [
        ([], 0),
        ([[]], 0),
        (ROWS, 3),
        ([ROWS, ROWS], 6),
        ([TABLE], 3),
        ([[TABLE, TABLE], TABLE], 9),
        ([TABLE.to_batches()[0]], 3),
        ([TABLE.slice(0, 0)], 0),
    ],
    ids=["nothing", "an empty page", "row by row", "pages", "a table", "lists of tables", "a batch", "an empty table"],
)
def test_rows_are_counted_however_they_come(pages: list[Any], rows: int) -> None:
    resource = dlt.resource(pages, name="orders")
    passing = count(resource)
    list(resource)
    assert passing == Passing(rows, rows, rows)
    list(resource)
    assert passing == Passing(rows, rows, rows), "another extraction begins anew"


def test_what_a_file_holds_that_is_loaded_as_it_is_is_not_counted(tmp_path: Path) -> None:
    file = tmp_path / "orders.csv"
    file.write_text("id\n1\n")

    @dlt.resource
    def orders() -> Iterator[Any]:
        yield dlt.mark.with_file_import(str(file), "csv", hints=TABLE)

    made = orders()
    passing = count(made)
    list(made)
    assert passing == Passing()


def test_rows_are_counted_before_and_behind_a_model_and_behind_a_cursor(tmp_path: Path) -> None:
    class Order(BaseModel):
        id: int

    @dlt.resource(columns=Order, schema_contract={"data_type": "discard_row"})  # type: ignore[arg-type]
    def orders(since: Any = dlt.sources.incremental("id", initial_value=2)) -> Iterator[Any]:
        yield [{"id": 1}, {"id": "x"}, {"id": 2}]

    made = orders()
    passing = count(made)
    made.add_filter(lambda row: True)
    pipeline(tmp_path).extract(made)
    assert passing == Passing(given=3, valid=2, extracted=1)


def pipeline(folder: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "shop",
        pipelines_dir=str(folder / "pipelines"),
        destination=dlt.destinations.duckdb(str(folder / "x.duckdb")),
    )


def loaded(folder: Path, rows: Any, contract: str) -> list[Verdict]:
    """Extracts and normalises a second load, of which the contract keeps something out."""
    made = pipeline(folder)
    made.run(dlt.resource([{"id": 1, "price": 5}], name="orders"))
    with verdicts() as heard:
        made.extract(dlt.resource(rows, name="orders", schema_contract=contract))  # type: ignore[call-overload]
        made.normalize()
    return heard


def test_what_is_kept_out_is_heard_with_its_table(tmp_path: Path) -> None:
    heard = loaded(tmp_path, [{"id": 1, "note": "x", "tags": ["a"]}], "discard_value")
    assert set(heard) == {Verdict("orders", "", "note"), Verdict("orders__tags", "orders", "")}


def test_dlt_is_as_it_was_behind_the_block_also_when_it_raised(tmp_path: Path) -> None:
    decide = Schema.apply_schema_contract
    with pytest.raises(PipelineStepFailed) as caught:
        loaded(tmp_path, [{"id": 1, "note": "x"}], "freeze")
    assert Schema.apply_schema_contract is decide
    found = violation(caught.value)
    assert isinstance(found, DataValidationError)
    assert (found.table_name, found.column_name, offender(found)) == ("orders", "note", "text")
    assert violation(ValueError("of another kind")) is None

"""What is between dlt's pipes and its writers: real extractions, of which the rows are read back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from dango.dlt_internals.extracting import identity, is_opaque, through
from dango.dlt_internals.names import ResourceExtractionError


class Doubled:
    """Doubles numbers, and ends with how many there were."""

    def __init__(self) -> None:
        self.begun = 0
        self.seen = 0

    def begin(self, pipe: Any) -> None:
        self.begun += 1
        self.seen = 0

    def push(self, item: Any, meta: Any = None) -> Iterator[tuple[Any, Any]]:
        self.seen += 1
        if item["n"] == 13:
            raise ValueError("thirteen")
        yield {"n": item["n"] * 2}, meta
        if item["n"] == 2:
            yield [{"n": 100}, {"n": 101}], None

    def end(self) -> Iterator[tuple[Any, Any]]:
        yield {"n": self.seen, "by": dlt.current.resource_name()}, None


@dlt.source(name="shop")
def shop(last: int = 3) -> Any:
    @dlt.resource
    def numbers() -> Iterator[Any]:
        yield from ({"n": number} for number in range(1, last + 1))

    @dlt.transformer(data_from=numbers)
    def squares(item: Any) -> Iterator[Any]:
        yield {"n": item["n"] ** 2}

    @dlt.resource
    def none() -> Iterator[Any]:
        yield from ()

    return numbers, squares, none


def extracted(folder: Path, source: Any) -> dict[str, list[Any]]:
    """The rows of each table, as an extraction has written them."""
    pipeline = dlt.pipeline("shop", str(folder), destination="dummy", dataset_name="raw")
    pipeline.extract(source)
    found: dict[str, list[Any]] = {}
    for file in sorted(folder.glob("shop/normalize/extracted/*/new_jobs/*.typed-jsonl")):
        found.setdefault(file.name.split(".")[0], []).extend(
            row for line in file.read_text().splitlines() for row in json.loads(line)
        )
    return found


@pytest.fixture(autouse=True)
def _plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_WRITER__DISABLE_COMPRESSION", "true")


def test_items_go_through_and_transformers_get_them_as_they_were(tmp_path: Path) -> None:
    source, way, idle = shop(), Doubled(), Doubled()
    ways = {identity(source.resources["numbers"]._pipe): way, identity(source.resources["none"]._pipe): idle}
    with through(ways):
        found = extracted(tmp_path, source)
    assert found["numbers"] == [{"n": 2}, {"n": 4}, {"n": 100}, {"n": 101}, {"n": 6}, {"n": 3, "by": "numbers"}]
    assert found["squares"] == [{"n": 1}, {"n": 4}, {"n": 9}]
    assert found["none"] == [{"n": 0, "by": "none"}]
    assert (way.begun, idle.begun) == (1, 1)


def test_what_is_extracted_outside_of_the_block_is_dlts_own(tmp_path: Path) -> None:
    source = shop()
    ways = {identity(source.resources["numbers"]._pipe): Doubled()}
    with through(ways):
        pass
    assert [row["n"] for row in extracted(tmp_path, source)["numbers"]] == [1, 2, 3]


def test_what_a_way_raises_is_told_as_its_resources(tmp_path: Path) -> None:
    source = shop(20)
    with through({identity(source.resources["numbers"]._pipe): Doubled()}), pytest.raises(PipelineStepFailed) as told:
        extracted(tmp_path, source)
    assert isinstance(told.value.exception, ResourceExtractionError)
    assert told.value.exception.pipe_name == "numbers"
    assert isinstance(told.value.exception.__cause__, ValueError)


def test_a_copy_of_a_source_goes_the_same_way(tmp_path: Path) -> None:
    source = shop()
    with through({identity(source.resources["numbers"]._pipe): Doubled()}):
        found = extracted(tmp_path, source.with_resources("numbers"))
    assert len(found["numbers"]) == 6


def test_files_that_nobody_reads_are_told_from_rows() -> None:
    item = dlt.mark.with_file_import("somewhere.parquet", "parquet", 1)
    assert is_opaque(item.data, item.meta)  # type: ignore[attr-defined]
    assert not is_opaque([{"a": 1}], None)

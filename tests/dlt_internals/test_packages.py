"""What is extracted and not normalised yet."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pytest

from dango.dlt_internals import packages


@dlt.resource(name="orders", primary_key="id", write_disposition="merge")
def orders(ids: list[int], newest: Any = dlt.sources.incremental("id")) -> Iterator[Any]:
    """Orders of these numbers, as far as they are new."""
    yield [{"id": number} for number in ids]


@pytest.fixture
def pipeline(tmp_path: Path) -> Iterator[dlt.Pipeline]:
    made = dlt.pipeline("shop", pipelines_dir=str(tmp_path), destination="duckdb", dataset_name="raw")
    yield made
    made.deactivate()


def test_packages_without_rows_go_as_dlt_would_have_them(pipeline: dlt.Pipeline) -> None:
    pipeline.extract(orders([1, 2]))
    assert packages.extracted_rows(pipeline)
    assert len(pipeline.list_extracted_load_packages()) == 1

    pipeline.normalize()
    pipeline.extract(orders([1, 2]))

    assert len(pipeline.list_extracted_load_packages()) == 1
    assert not packages.extracted_rows(pipeline)
    assert not pipeline.list_extracted_load_packages()
    assert not any((packages.extracted(pipeline)).iterdir())


def test_a_package_that_empties_tables_is_normalised(pipeline: dlt.Pipeline) -> None:
    pipeline.extract(orders([1, 2]))
    pipeline.normalize()
    pipeline.extract(orders([]), refresh="drop_resources")
    assert packages.extracted_rows(pipeline)
    assert len(pipeline.list_extracted_load_packages()) == 1

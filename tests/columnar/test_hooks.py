"""How frames get into dlt and out of it again: packages in flight, switches, threads, tables that are Arrow, too."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from dlt.common.data_writers.writers import ParquetDataWriter, TypedJsonlListWriter
from dlt.normalize import worker
from dlt.pipeline.exceptions import PipelineStepFailed

from dango import columnar
from dango.columnar import hooks
from dango.columnar.frames import Frame
from dango.dlt_internals import packages
from dango.dlt_internals.alike import alike
from dango.errors import root_cause

ON = columnar.switched_on
PAGE = [{"id": 1, "tags": ["a", "b"]}, {"id": 2, "tags": []}]

pytestmark = pytest.mark.usefixtures("quiet")
needs_columns = pytest.mark.skipif(not hooks._able(), reason="this dlt goes by rows")


@pytest.fixture
def pipeline(tmp_path: Path) -> dlt.Pipeline:
    return dlt.pipeline(
        "p",
        pipelines_dir=str(tmp_path),
        destination=dlt.destinations.duckdb(str(tmp_path / "p.duckdb")),
        dataset_name="d",
    )


def extract(pipeline: dlt.Pipeline, page: Any, *, columns: bool = True) -> Mapping[str, Any]:
    with ON(columns, Path(pipeline.working_dir)) as taken:
        things = dlt.resource(iter([page]), name="things")
        alike(things)
        pipeline.extract(things, loader_file_format="parquet")
    return taken.paths


def normalize(pipeline: dlt.Pipeline, *, columns: bool = True) -> Mapping[str, Any]:
    with ON(columns, Path(pipeline.working_dir)) as taken:
        pipeline.normalize()
    return taken.paths


def loaded(pipeline: dlt.Pipeline, tmp_path: Path, sql: str) -> list[Any]:
    pipeline.load().raise_on_failed_jobs()
    with duckdb.connect(str(tmp_path / "p.duckdb"), read_only=True) as database:
        return database.execute(sql).fetchall()


def replaced() -> list[Any]:
    return [
        TypedJsonlListWriter.write_data,
        ParquetDataWriter.write_data,
        worker.JsonLItemsNormalizer,
    ]


@needs_columns
def test_dlt_by_itself_refuses_a_frame_rather_than_load_it(pipeline: dlt.Pipeline) -> None:
    extract(pipeline, PAGE)
    with pytest.raises(PipelineStepFailed) as failed:
        pipeline.normalize()
    assert "_dlt_list_idx" in str(root_cause(failed.value))


@pytest.mark.parametrize("compressed", ["true", "false"])
@pytest.mark.parametrize("how", ["switched off", "not proven", "by the user", "in other processes"])
def test_what_was_extracted_by_columns_is_loaded_where_they_are_off(
    how: str, compressed: str, pipeline: dlt.Pipeline, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_WRITER__DISABLE_COMPRESSION", compressed)
    extract(pipeline, PAGE)
    match how:
        case "not proven":
            monkeypatch.setattr(hooks, "PROVEN", frozenset())
        case "by the user":
            monkeypatch.setenv("DANGO__COLUMNAR", "false")
        case "in other processes":
            monkeypatch.setenv("NORMALIZE__WORKERS", "2")
    assert normalize(pipeline, columns=how != "switched off") == {}
    found = loaded(
        pipeline,
        tmp_path,
        "select id, value from d.things left join d.things__tags t on t._dlt_parent_id = things._dlt_id",
    )
    assert sorted(found, key=str) == [(1, "a"), (1, "b"), (2, None)]
    assert not list(tmp_path.rglob(".restoring"))


@needs_columns
def test_behind_the_block_everything_is_as_it_was_also_after_an_error(pipeline: dlt.Pipeline) -> None:
    own, folder = replaced(), Path(pipeline.working_dir)
    with ON(True, folder), ON(True, folder):
        assert all(new is not old for new, old in zip(replaced(), own, strict=True))
    assert replaced() == own
    with pytest.raises(ZeroDivisionError), ON(True, folder):
        raise ZeroDivisionError
    assert replaced() == own
    with ON(False, folder):
        assert replaced() == own


@needs_columns
def test_another_thread_goes_by_rows_meanwhile(pipeline: dlt.Pipeline) -> None:
    with ON(True, Path(pipeline.working_dir)) as taken:
        other = threading.Thread(
            target=lambda: pipeline.extract(dlt.resource(iter([PAGE]), name="things"), loader_file_format="parquet")
        )
        other.start()
        other.join()
    (extracted,) = Path(pipeline.working_dir).glob("normalize/extracted/*/new_jobs/things.*")
    assert not hooks._has_frames(extracted)
    assert taken.paths == {}


@needs_columns
def test_a_table_tells_which_way_it_went_and_why(pipeline: dlt.Pipeline) -> None:
    assert extract(pipeline, PAGE) == {}
    assert normalize(pipeline) == {"things": ("columnar", ""), "things__tags": ("columnar", "")}
    assert extract(pipeline, [{"id": 1}, {"id": "x"}]) == {"things": ("rows", "values of int and str at one place")}


def arrow(*numbers: int) -> pa.Table:
    return pa.table({"id": pa.array(numbers, pa.int64())})


@needs_columns
@pytest.mark.parametrize("first", ["documents", "arrow"])
def test_a_table_may_come_as_documents_and_as_arrow_in_any_order(
    first: str, pipeline: dlt.Pipeline, tmp_path: Path
) -> None:
    turns = iter([PAGE, arrow(3), [{"id": 4, "tags": ["c"]}], arrow(5)])
    if first == "arrow":
        turns = iter([arrow(3), PAGE, arrow(5), [{"id": 4, "tags": ["c"]}]])
    for turn in turns:
        extract(pipeline, turn)
        normalize(pipeline)
        found = loaded(pipeline, tmp_path, "select id from d.things order by id")
    assert found == [(1,), (2,), (3,), (4,), (5,)]
    nested = (
        "select things.id, value from d.things__tags t join d.things on t._dlt_parent_id = things._dlt_id order by 1, 2"
    )
    assert loaded(pipeline, tmp_path, nested) == [(1, "a"), (1, "b"), (4, "c")]


@pytest.fixture(autouse=True)
def _no_frames_of_others() -> Iterator[None]:
    own = replaced()
    yield
    assert replaced() == own


@needs_columns
def test_what_is_loaded_once_is_not_packed_and_only_text_has_a_dictionary(pipeline: dlt.Pipeline) -> None:
    extract(pipeline, [{"id": number, "tags": ["a"]} for number in range(100)])
    normalize(pipeline)
    found: dict[str, dict[str, tuple[str, bool]]] = {}
    for package in packages.waiting(pipeline):
        for file in (file for file in package.files if file.format == "parquet"):
            group = pq.read_metadata(file.path).row_group(0)
            columns = (group.column(number) for number in range(group.num_columns))
            found[file.table] = {each.path_in_schema: (each.compression, _dictionary(each)) for each in columns}
    assert {packed for columns in found.values() for packed, _ in columns.values()} == {"UNCOMPRESSED"}
    assert found["things__tags"]["value"] == ("UNCOMPRESSED", True)
    assert found["things"]["id"] == ("UNCOMPRESSED", False)
    assert [found[table]["_dlt_id"] for table in ("things", "things__tags")] == [("UNCOMPRESSED", False)] * 2
    assert found["things__tags"]["_dlt_parent_id"] == ("UNCOMPRESSED", False)


def _dictionary(column: Any) -> bool:
    return any("DICTIONARY" in encoding for encoding in column.encodings)


def test_frames_are_packed_as_they_are_written() -> None:
    line = Frame.of([{"id": number, "text": "the same text"} for number in range(1000)]).line()
    assert len(line) < 1000 * len("the same text")

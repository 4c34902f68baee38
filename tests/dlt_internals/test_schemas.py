"""Schemas that are read once, against dlt, which reads each time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import dlt
import pytest
from dlt.common.configuration.container import Container
from dlt.common.destination import DestinationCapabilitiesContext
from dlt.common.schema import Schema
from dlt.common.storages.schema_storage import SchemaStorage

from dango.dlt_internals.schemas import read_once


class Counted:
    """A pipeline with a schema, and how often that is read from its file."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, *, once: bool = True) -> None:
        self.times = 0
        self.pipeline = dlt.pipeline("shop", pipelines_dir=str(folder), destination="duckdb", dataset_name="raw")
        self.pipeline.extract([{"id": 1}], table_name="orders")
        if once:
            read_once(self.pipeline)
        load_schema = SchemaStorage.load_schema

        def counted(storage: SchemaStorage, name: str) -> Schema:
            self.times += 1
            return load_schema(storage, name)

        monkeypatch.setattr(SchemaStorage, "load_schema", counted)

    def asked(self) -> Schema:
        return self.pipeline.schemas["shop"]

    @property
    def file(self) -> Path:
        return Path(self.pipeline.working_dir) / "schemas" / "shop.schema.json"


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Counted]:
    counted = Counted(tmp_path, monkeypatch)
    yield counted
    counted.pipeline.deactivate()


def test_a_schema_is_read_once(shop: Counted) -> None:
    first = shop.asked()
    assert shop.asked() is first and shop.pipeline.default_schema is first
    assert shop.times == 1


def test_dlt_reads_it_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """If it does no more, this is not needed any more."""
    shop = Counted(tmp_path, monkeypatch, once=False)
    shop.asked(), shop.asked()
    assert shop.times == 2
    shop.pipeline.deactivate()


def test_a_file_that_somebody_else_has_written_is_read(shop: Counted) -> None:
    shop.asked()
    other = Schema.from_dict(json.loads(shop.file.read_text()))
    other.update_table({"name": "coupons", "columns": {"id": {"name": "id", "data_type": "bigint"}}})
    other._bump_version()
    written = shop.file.with_name("new")
    written.write_text(json.dumps(other.to_dict()))
    written.replace(shop.file)
    assert "coupons" in shop.asked().tables
    assert shop.times == 2


def test_what_a_run_changes_is_there_and_is_saved(shop: Counted) -> None:
    shop.asked()
    shop.pipeline.extract([{"id": 1}], table_name="coupons")
    assert "coupons" in shop.asked().tables
    assert "coupons" in json.loads(shop.file.read_text())["tables"]


def test_changes_that_are_not_saved_stay(shop: Counted) -> None:
    schema = shop.asked()
    schema.update_table({"name": "coupons", "columns": {}})
    assert "coupons" in shop.asked().tables
    shop.pipeline._schema_storage.set_live_schema(Schema.from_dict(json.loads(shop.file.read_text())))
    assert "coupons" not in shop.asked().tables


def test_names_are_as_long_as_the_destination_takes_them(shop: Counted) -> None:
    assert shop.asked().naming.max_length == 65536
    caps = DestinationCapabilitiesContext.generic_capabilities()
    caps.max_identifier_length = caps.max_column_identifier_length = 20
    with Container().injectable_context(caps):
        assert shop.asked().naming.max_length == 20
    assert shop.asked().naming.max_length == 65536

"""OpenMetadata's custom connectors, unmodified, without its server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said

pytestmark = pytest.mark.slow

CONNECTOR = '''\
"""Tables that a CSV file lists: a connector as OpenMetadata's guide to custom ones would have it."""
import csv
import traceback

from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
from metadata.generated.schema.api.data.createDatabaseSchema import CreateDatabaseSchemaRequest
from metadata.generated.schema.api.data.createTable import CreateTableRequest
from metadata.generated.schema.entity.data.database import Database
from metadata.generated.schema.entity.data.databaseSchema import DatabaseSchema
from metadata.generated.schema.entity.data.table import Column
from metadata.generated.schema.entity.services.databaseService import DatabaseService
from metadata.generated.schema.entity.services.ingestionPipelines.status import StackTraceError
from metadata.generated.schema.metadataIngestion.workflow import Source as WorkflowSource
from metadata.ingestion.api.models import Either
from metadata.ingestion.api.steps import Source


class Tables(Source):
    def __init__(self, config, metadata):
        self.config, self.metadata = config, metadata
        self.options = config.serviceConnection.root.config.connectionOptions.root
        super().__init__()

    @classmethod
    def create(cls, config_dict, metadata, pipeline_name=None):
        return cls(WorkflowSource.model_validate(config_dict), metadata)

    def prepare(self):
        print("a line for people")
        with open(self.options["file"]) as file:
            self.rows = list(csv.DictReader(file))

    def _iter(self):
        name = self.config.serviceName
        yield Either(right=self.metadata.get_create_service_from_source(entity=DatabaseService, config=self.config))
        service = self.metadata.get_by_name(entity=DatabaseService, fqn=name)
        yield Either(right=CreateDatabaseRequest(name="shop", service=service.fullyQualifiedName))
        database = self.metadata.get_by_name(entity=Database, fqn=f"{name}.shop")
        yield Either(right=CreateDatabaseSchemaRequest(name="public", database=database.fullyQualifiedName))
        schema = self.metadata.get_by_name(entity=DatabaseSchema, fqn=f"{name}.shop.public").fullyQualifiedName
        for row in self.rows:
            try:
                pairs = [each.split(":") for each in row["columns"].split(";")]
                columns = [Column(name=column, dataType=kind) for column, kind in pairs]
                yield Either(right=CreateTableRequest(name=row["name"], databaseSchema=schema, columns=columns))
            except ValueError as error:
                trace = traceback.format_exc()
                yield Either(left=StackTraceError(name=row["name"], error=f"no columns: {error}", stackTrace=trace))

    def test_connection(self):
        pass

    def close(self):
        open("closed", "a").write("once ")


class Half(Source):
    pass
'''
SOURCES = """\
version: 1
defaults: {environment: {requirements: ["openmetadata-ingestion==2.0.6.0", "dbt-core<1.12"]}}
sources:
  - name: listed
    type: openmetadata
    openmetadata: {connector: custom_sources.connector.Tables, config: {file: tables.csv}}
  - {name: half, type: openmetadata, openmetadata: {connector: custom_sources.connector.Half}}
"""


def test_a_custom_connector_loads_a_table_for_each_kind_of_entity_and_tells_what_it_could_not_make(
    dango: Callable[..., Said],
    rows: Callable[[str], list[Any]],
    root: Path,
    write: Callable[[Mapping[str, str]], None],
) -> None:
    write({
        "sources": SOURCES,
        "custom_sources/connector.py": CONNECTOR,
        "tables.csv": "name,columns\norders,id:INT;amount:DOUBLE\npeople,id:INT\nbroken,\n",
    })  # fmt: skip
    for _ in range(2):
        said = dango("sync", timeout=600)
        assert said.code == 3, said.err
        assert "From             Entity Name  Message" in said.out
        assert "`custom_sources.connector.Half` is no whole OpenMetadata source: it lacks" in said.err
    assert rows("select fully_qualified_name from raw_listed.tables order by 1") == [
        ("listed.shop.public.orders",),
        ("listed.shop.public.people",),
    ]
    assert rows("select name, data_type from raw_listed.tables__columns order by 1, 2") == [
        ("amount", "DOUBLE"),
        ("id", "INT"),
        ("id", "INT"),
    ]
    failed = "select distinct entity, message, stack_trace like '%Traceback%' from raw_listed._dango_errors"
    assert rows(failed) == [("broken", "no columns: not enough values to unpack (expected 2, got 1)", True)]
    assert (root / "closed").read_text() == "once once "
    said = dango("source", "test", "listed")
    assert (said.code, "its own check: well" in said.out) == (0, True), said.err
    (root / "tables.csv").unlink()
    said = dango("source", "test", "listed")
    assert (said.code, "its own check: failed" in said.out) == (1, True)
    said = dango("sync", "listed")
    assert said.code == 1
    assert "FileNotFoundError" in said.err

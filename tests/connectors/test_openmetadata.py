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


PROTOBUF = '''\
"""A table for each message that files of Protocol Buffers declare, as OpenMetadata's own parser reads them."""
from pathlib import Path
from typing import Iterable, Optional

from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
from metadata.generated.schema.api.data.createDatabaseSchema import CreateDatabaseSchemaRequest
from metadata.generated.schema.api.data.createTable import CreateTableRequest
from metadata.generated.schema.entity.data.databaseSchema import DatabaseSchema
from metadata.generated.schema.entity.data.table import Column
from metadata.generated.schema.entity.services.connections.database.customDatabaseConnection import (
    CustomDatabaseConnection,
)
from metadata.generated.schema.entity.services.databaseService import DatabaseService
from metadata.generated.schema.entity.services.ingestionPipelines.status import StackTraceError
from metadata.generated.schema.metadataIngestion.workflow import Source as WorkflowSource
from metadata.ingestion.api.common import Entity
from metadata.ingestion.api.models import Either
from metadata.ingestion.api.steps import InvalidSourceException, Source
from metadata.ingestion.ometa.ometa_api import OpenMetadata
from metadata.parsers.protobuf_parser import ProtobufParser, ProtobufParserConfig
from metadata.utils.logger import ingestion_logger

logger = ingestion_logger()


class Messages(Source):
    def __init__(self, config: WorkflowSource, metadata: OpenMetadata):
        self.config = config
        self.metadata = metadata
        self.connection = config.serviceConnection.root.config
        self.folder = self.connection.connectionOptions.root.get("folder")
        if not self.folder:
            raise InvalidSourceException("the connection option `folder` is missing")
        super().__init__()

    @classmethod
    def create(cls, config_dict: dict, metadata: OpenMetadata, pipeline_name: Optional[str] = None) -> "Messages":
        config = WorkflowSource.model_validate(config_dict)
        if not isinstance(config.serviceConnection.root.config, CustomDatabaseConnection):
            raise InvalidSourceException("this is no connection of a custom database")
        return cls(config, metadata)

    def prepare(self):
        self.files = sorted(Path(self.folder).glob("*.proto"))
        logger.info("%d files in %s", len(self.files), self.folder)

    def _iter(self) -> Iterable[Entity]:
        yield Either(right=self.metadata.get_create_service_from_source(entity=DatabaseService, config=self.config))
        service = self.metadata.get_by_name(entity=DatabaseService, fqn=self.config.serviceName)
        yield Either(right=CreateDatabaseRequest(name="messages", service=service.fullyQualifiedName))
        database = f"{service.fullyQualifiedName.root}.messages"
        yield Either(right=CreateDatabaseSchemaRequest(name="default", database=database))
        schema = self.metadata.get_by_name(entity=DatabaseSchema, fqn=f"{database}.default")
        for file in self.files:
            config = ProtobufParserConfig(schema_name=file.stem, schema_text=file.read_text())
            columns = ProtobufParser(config=config).parse_protobuf_schema(cls=Column)
            if columns is None:
                yield Either(left=StackTraceError(name=file.name, error="no message can be read", stackTrace=None))
                continue
            yield Either(
                right=CreateTableRequest(
                    name=file.stem, databaseSchema=schema.fullyQualifiedName, columns=columns[0].children
                )
            )

    def test_connection(self) -> None:
        pass

    def close(self):
        pass
'''
PERSON = """\
syntax = "proto3";
enum Colour { NONE = 0; RED = 1; }
message Address { string town = 1; fixed64 code = 2; }
message PersonInfo {
  int32 id = 1; bool active = 2; Colour colour = 3; Address home = 4; double height = 5; bytes photo = 6;
}
"""
MESSAGES = """\
version: 1
sources:
  - name: messages
    type: openmetadata
    environment: {requirements: ["openmetadata-ingestion==2.0.6.0", "dbt-core<1.12", "grpcio-tools==1.81.1"]}
    openmetadata: {connector: custom_sources.messages.Messages, config: {folder: protos}}
  - name: nowhere
    type: openmetadata
    environment: {requirements: ["openmetadata-ingestion==2.0.6.0", "dbt-core<1.12", "grpcio-tools==1.81.1"]}
    openmetadata: {connector: custom_sources.messages.Messages}
"""


def test_a_connector_of_protobuf_files_loads_their_messages_and_tells_of_the_one_that_is_none(
    dango: Callable[..., Said], rows: Callable[[str], list[Any]], write: Callable[[Mapping[str, str]], None]
) -> None:
    write({
        "sources": MESSAGES,
        "custom_sources/messages.py": PROTOBUF,
        "protos/person_info.proto": PERSON,
        "protos/broken.proto": 'syntax = "proto3";\nmessage {\n',
    })  # fmt: skip
    said = dango("sync", timeout=600)
    assert said.code == 3, said.err
    assert "the connection option `folder` is missing" in said.err
    assert rows("select fully_qualified_name from raw_messages.tables") == [("messages.messages.default.person_info",)]
    columns = "select name, data_type from raw_messages.tables__columns order by _dlt_list_idx"
    assert rows(columns) == [
        ("id", "INT"),
        ("active", "BOOLEAN"),
        ("colour", "ENUM"),
        ("home", "RECORD"),
        ("height", "DOUBLE"),
        ("photo", "BYTES"),
    ]
    inner = "select name, data_type from raw_messages.tables__columns__children order by _dlt_list_idx"
    assert rows(inner) == [("town", "STRING"), ("code", "INT")]
    assert rows("select entity, message from raw_messages._dango_errors") == [
        ("broken.proto", "no message can be read")
    ]


VERSIONS = """\
version: 1
sources:
  - name: newer
    type: openmetadata
    environment: {requirements: ["openmetadata-ingestion==2.0.6.0", "dbt-core<1.12"]}
    openmetadata: {connector: custom_sources.connector.Tables, config: {file: tables.csv}}
  - name: older
    type: openmetadata
    # It imports `cachetools` and does not ask for it.
    environment: {requirements: ["openmetadata-ingestion==1.9.0.0", "dbt-core<1.12", cachetools]}
    openmetadata: {connector: custom_sources.connector.Tables, config: {file: tables.csv}}
"""


@pytest.mark.long
def test_two_versions_of_openmetadata_load_side_by_side_each_in_its_own_environment(
    dango: Callable[..., Said], rows: Callable[[str], list[Any]], write: Callable[[Mapping[str, str]], None]
) -> None:
    told = CONNECTOR.replace("columns=columns)", 'columns=columns, description=version("openmetadata-ingestion"))')
    write({
        "sources": VERSIONS,
        "custom_sources/connector.py": told.replace("import csv", "import csv\nfrom importlib.metadata import version"),
        "tables.csv": "name,columns\norders,id:INT\n",
    })  # fmt: skip
    said = dango("sync", timeout=900)
    assert said.code == 0, said.err
    for source, version in (("newer", "2.0.6.0"), ("older", "1.9.0.0")):
        assert rows(f"select name, description from raw_{source}.tables") == [("orders", version)]
    built = dango("env", "list", "--json").json["environments"]
    assert sorted(each["sources"] for each in built) == [["newer"], ["older"]]

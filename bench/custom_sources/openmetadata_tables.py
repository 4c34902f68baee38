"""A connector of OpenMetadata's, after its guide, and its loop alone: `openmetadata_tables.py TABLES OUT`.

OpenMetadata's own workflow does not run without its server. What stands here in the server's place knows the names that
the connector has said, and no more.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from metadata.generated.schema.api.data.createDatabase import CreateDatabaseRequest
from metadata.generated.schema.api.data.createDatabaseSchema import CreateDatabaseSchemaRequest
from metadata.generated.schema.api.data.createTable import CreateTableRequest
from metadata.generated.schema.api.services.createDatabaseService import CreateDatabaseServiceRequest
from metadata.generated.schema.entity.data.table import Column
from metadata.generated.schema.entity.services.databaseService import DatabaseService
from metadata.generated.schema.metadataIngestion.workflow import Source as WorkflowSource
from metadata.ingestion.api.models import Either
from metadata.ingestion.api.steps import Source

KINDS = {"id": "INT", "name": "STRING", "at": "TIMESTAMP", "amount": "DECIMAL", "note": "STRING"}


class Tables(Source):  # type: ignore[misc] # known only where OpenMetadata is
    """So many tables of five columns."""

    def __init__(self, config: Any, metadata: Any) -> None:
        self.config, self.metadata = config, metadata
        self.tables = int(config.serviceConnection.root.config.connectionOptions.root["tables"])
        super().__init__()

    @classmethod
    def create(cls, config_dict: Any, metadata: Any, pipeline_name: str | None = None) -> Tables:
        return cls(WorkflowSource.model_validate(config_dict), metadata)

    def prepare(self) -> None:
        pass

    def _iter(self) -> Iterator[Any]:
        yield Either(right=self.metadata.get_create_service_from_source(entity=DatabaseService, config=self.config))
        service = self.metadata.get_by_name(entity=DatabaseService, fqn=self.config.serviceName)
        name = service.fullyQualifiedName.root
        yield Either(right=CreateDatabaseRequest(name="shop", service=name))
        yield Either(right=CreateDatabaseSchemaRequest(name="public", database=f"{name}.shop"))
        for number in range(self.tables):
            columns = [Column(name=column, dataType=kind) for column, kind in KINDS.items()]
            schema = f"{name}.shop.public"
            yield Either(right=CreateTableRequest(name=f"t{number}", databaseSchema=schema, columns=columns))

    def test_connection(self) -> None:
        pass

    def close(self) -> None:
        pass


class Names:
    """In place of the server's client."""

    def get_create_service_from_source(self, entity: Any, config: Any) -> Any:
        return CreateDatabaseServiceRequest(name=config.serviceName, serviceType="CustomDatabase")

    def get_by_name(self, entity: Any, fqn: Any) -> Any:
        return SimpleNamespace(fullyQualifiedName=SimpleNamespace(root=fqn))


def main(tables: str, out: str) -> None:
    connection = {
        "type": "CustomDatabase", "sourcePythonClass": "openmetadata_tables.Tables",
        "connectionOptions": {"tables": tables},
    }  # fmt: skip
    source = Tables.create(
        {
            "type": "customDatabase", "serviceName": "load", "serviceConnection": {"config": connection},
            "sourceConfig": {"config": {"type": "DatabaseMetadata"}},
        },
        Names(),
    )  # fmt: skip
    source.prepare()
    with Path(out).open("w") as lines:
        for made in source.run():
            kind = type(made).__name__
            lines.write(json.dumps({"kind": kind, "record": made.model_dump(mode="json", exclude_none=True)}) + "\n")
    source.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

"""A data job of VDK's, as its guide to data sources has it; `ROWS` says how many."""

import os
from typing import Any

from vdk.plugin.data_sources.mapping.data_flow import DataFlowInput
from vdk.plugin.data_sources.mapping.definitions import (
    DataFlowMappingDefinition,
    DestinationDefinition,
    SourceDefinition,
)


def run(job_input: Any) -> None:
    source = SourceDefinition("auto", "auto-generated-data", {"num_records": int(os.environ["ROWS"])})
    with DataFlowInput(job_input) as flow:
        flow.start(DataFlowMappingDefinition(source, DestinationDefinition("warehouse", "duckdb")))

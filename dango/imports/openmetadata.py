"""A workflow of OpenMetadata: one source, if a class of one's own reads it."""

from __future__ import annotations

from typing import Any

from dango.imports.found import Found
from dango.imports.ledger import Part, Rules
from dango.imports.settings import Reading

_SERVER = "OpenMetadata's server is not asked, nor written to: the tables are in dango's destination"

RULES = Rules(
    ignored={
        "source.serviceConnection.config.type": "dango says it by `service_type`",
        "ingestionPipelineFQN": "a run is named by dango",
        "pipelineRunId": "a run is named by dango",
    },
    left={
        "sink": (_SERVER, "nothing"),
        "processor": ("records go to no processor of OpenMetadata's", "`processors:` of the source do much of it"),
        "stage": ("nothing is staged", "nothing"),
        "bulkSink": (_SERVER, "nothing"),
        "workflowConfig.openMetadataServerConfig": (_SERVER, "nothing"),
        "workflowConfig.loggerLevel": ("what is logged is asked for by command", "dango -v sync"),
        "workflowConfig.successThreshold": (
            "how many records may fail is said otherwise",
            "`max_errors:` of the source",
        ),
        "workflowConfig.raiseOnError": ("a failure always fails the sync", "`max_errors:` of the source"),
        "workflowConfig.*": ("how OpenMetadata runs a workflow", "nothing"),
    },
)

_PREFIX = "custom"


def read(root: Part, found: Found) -> None:
    """The workflow's source. Raises `ConfigError` where it names none."""
    source = root.part("source")
    kind = source.needed("type")
    was = source.text("serviceName") or kind
    connection = source.part("serviceConnection").part("config")
    if not connection.value.get("sourcePythonClass"):
        found.refuse(
            source,
            was,
            f"`{kind}` is a connector of OpenMetadata's own, and dango runs custom ones (`sourcePythonClass`)",
            "for the data itself: dango source add; for its metadata: run it with OpenMetadata",
        )
        return
    name = found.name(was)
    reading = Reading(root.ledger, name)
    options = reading.settings(connection, "connectionOptions")
    block: dict[str, Any] = {"connector": connection.text("sourcePythonClass")}
    if options.plain:
        block["config"] = options.plain
    custom = kind.lower().startswith(_PREFIX)
    service = kind[len(_PREFIX) :] if custom else ""
    if service and service.lower() != "database":
        block["service_type"] = _SERVICES.get(service.lower(), service)
    if was != name:
        block["service_name"] = was
    workflow = _workflow(source, connection, reading, f"{block.get('service_type', 'Database')}Metadata")
    if workflow or not custom:
        block["workflow"] = {**({} if custom else {"type": kind}), **workflow}
    item = {
        "name": name,
        "type": "openmetadata",
        "environment": {"requirements": ["openmetadata-ingestion", "dbt-core<1.12"]},
        "openmetadata": block,
    }
    what = "which version of openmetadata-ingestion it was written for, and which package brings it, is not said here"
    do = 'requirements: ["openmetadata-ingestion==…"] and the package, or put the file into custom_sources/'
    root.ledger.note(connection.at("sourcePythonClass"), what, do)
    found.add(source, was, item, {"secrets": options.secrets} if options.secrets else {}, "source")


_SERVICES = {
    each.lower(): each for each in ("Dashboard", "Messaging", "Pipeline", "MlModel", "Storage", "Search", "Api")
}


def _workflow(source: Part, connection: Part, reading: Reading, usual: str) -> dict[str, Any]:
    """What the workflow says of its source besides what dango has words for; secrets have no place there."""
    made: dict[str, Any] = {}
    settings = reading.settings(source, "sourceConfig")
    if settings.plain and settings.plain != {"config": {"type": usual}}:
        made["sourceConfig"] = settings.plain
    known = ("type", "sourcePythonClass", "connectionOptions")
    others = {key: value for key, value in connection.value.items() if key not in known}
    more = reading.of(others, connection.loc)
    for key in others:
        connection.take(key)
    if more.plain:
        made["serviceConnection"] = {"config": more.plain}
    for part, secrets in ((source.part("sourceConfig"), settings.secrets), (connection, more.secrets)):
        for key in secrets:
            part.note(key, "a secret, for which `workflow:` has no place", "write `env:NAME` there, and set it in .env")
    return made

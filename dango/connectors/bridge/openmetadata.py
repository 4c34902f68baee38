"""OpenMetadata's custom connectors, unmodified, in an environment of their own and without its server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlt.sources import DltSource

from dango.connectors.bridge import foreign
from dango.probe import About, Checked


def openmetadata(
    source: str,
    connector: str,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    entities: Sequence[str] = (),
    service_type: str = "Database",
    service_name: str | None = None,
    workflow: Mapping[str, Any] | None = None,
    environment: str | None = None,
    on_error: str = "fail",
) -> DltSource:
    """What a connector yields, a table for each kind of entity.

    Args:
        source: the source's name.
        connector: the dotted path of its class.
        config: its `connectionOptions`.
        secrets: those of them that are secret.
        entities: the kinds to load, as their tables are called; all where empty.
        service_type: of what kind its service is: Database, Dashboard, Messaging, Pipeline …
        service_name: of the service; otherwise the source's.
        workflow: what is otherwise in the part `source:` of a workflow's file.
        environment: the folder of programs of the source's own environment.
        on_error: with `skip` a connector that fails leaves what came before.
    """
    asked = {
        **_request(config, secrets, service_type, service_name, workflow),
        "streams": list(entities),
    }
    return foreign.tables("openmetadata", source, "entities", connector, environment, on_error, asked)


def about(connector: str, environment: str | None = None, **asked: Any) -> About:
    """That the connector is one; what it may be told, none of them says. Arguments as of `openmetadata`."""
    return foreign.about("openmetadata", connector, environment)


def check(
    source: str,
    connector: str,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    service_type: str = "Database",
    service_name: str | None = None,
    workflow: Mapping[str, Any] | None = None,
    environment: str | None = None,
    **_: Any,
) -> Checked | None:
    """What a connector's own test of its connection says. Arguments as of `openmetadata`."""
    request = _request(config, secrets, service_type, service_name, workflow)
    return foreign.check("openmetadata", source, connector, environment, request)


def _request(
    config: Mapping[str, Any] | None,
    secrets: Mapping[str, Any] | None,
    service_type: str,
    service_name: str | None,
    workflow: Mapping[str, Any] | None,
) -> dict[str, Any]:
    return {
        "config": foreign.deep({}, config or {}, secrets or {}),
        "service_type": service_type,
        "service_name": service_name,
        "workflow": dict(workflow or {}),
    }

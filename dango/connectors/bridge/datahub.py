"""DataHub's sources, unmodified, in an environment of their own: a table for each aspect of the metadata they give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlt.sources import DltSource

from dango.connectors.bridge import foreign
from dango.probe import About, Checked


def datahub(
    source: str,
    connector: str,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    aspects: Sequence[str] = (),
    environment: str | None = None,
    on_error: str = "fail",
) -> DltSource:
    """What a DataHub source says, a row for each entity and aspect.

    Args:
        source: the source's name; its `pipeline_name` for DataHub.
        connector: the name under which DataHub knows it, or the dotted path of a class.
        config: its configuration, as a recipe has it under `source: config:`.
        secrets: what of that is secret, put into it.
        aspects: those to load, as their tables are called; all where empty.
        environment: the folder of programs of the source's own environment.
        on_error: with `skip` a source that fails leaves what came before.
    """
    asked = {
        "config": foreign.deep({}, config or {}, secrets or {}),
        "streams": list(aspects),
    }
    return foreign.tables("datahub", source, "aspects", connector, environment, on_error, asked)


def about(connector: str, environment: str | None = None, **asked: Any) -> About:
    """What a source may be told. Arguments as of `datahub`."""
    return foreign.about("datahub", connector, environment)


def check(
    source: str,
    connector: str,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    environment: str | None = None,
    **_: Any,
) -> Checked | None:
    """What a source's own test of its connection says. Arguments as of `datahub`."""
    request = {"config": foreign.deep({}, config or {}, secrets or {})}
    return foreign.check("datahub", source, connector, environment, request)

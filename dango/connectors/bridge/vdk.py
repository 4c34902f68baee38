"""VDK's data sources, unmodified, in an environment of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dlt.sources import DltSource

from dango.connectors.bridge import foreign
from dango.probe import About, Checked


def vdk(
    source: str,
    connector: str,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    streams: Sequence[str] = (),
    primary_keys: Mapping[str, Any] | None = None,
    metadata: str = "columns",
    environment: str | None = None,
    on_error: str = "fail",
) -> DltSource:
    """What a VDK data source reads, a table for each stream, or for each that a payload names.

    Args:
        source: the source's name.
        connector: the name under which a plugin registers it, or the dotted path of a class.
        config: its configuration.
        secrets: what of that is secret, put into it.
        streams: those to load; all where empty.
        primary_keys: by table the column, or the columns, that tell rows apart: these tables are merged.
        metadata: `columns` to have payloads' metadata beside their data, `table` to have a row for each payload in
            `TABLE_metadata`, which `vdk_payload` joins to its data, or `none`.
        environment: the folder of programs of the source's own environment.
        on_error: with `skip` a stream that fails leaves what it had confirmed, and the others are loaded.
    """
    asked = {
        "config": foreign.deep({}, config or {}, secrets or {}),
        "streams": list(streams),
        "keys": dict(primary_keys or {}),
        "metadata": metadata,
    }
    return foreign.tables("vdk", source, "streams", connector, environment, on_error, asked)


def about(connector: str, environment: str | None = None, **asked: Any) -> About:
    """What a data source may be told. Arguments as of `vdk`."""
    return foreign.about("vdk", connector, environment)


def check(
    source: str,
    connector: str,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    environment: str | None = None,
    **_: Any,
) -> Checked | None:
    """Whether a data source can connect. Arguments as of `vdk`."""
    request = {"config": foreign.deep({}, config or {}, secrets or {})}
    return foreign.check("vdk", source, connector, environment, request)

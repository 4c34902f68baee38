"""A pipeline's state as dlt keeps it: the semi-public names and the layout, all in this file.

dlt documents how a source's code reads and writes its own part of it. How the whole is laid out, and that a change is
extracted as a row of `_dlt_pipeline_state` with a version of its own, is the same from 1.26 to 1.31.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Collection, Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager
from typing import Any, cast

import dlt
from dlt.common.destination.client import StateInfo, WithStateSync
from dlt.common.destination.exceptions import DestinationUndefinedEntity
from dlt.common.versioned_state import compress_state, decompress_state, generate_state_version_hash

State = Mapping[str, Any]

INCREMENTAL = "incremental"
"""Where a resource's cursors are, among what it remembers."""


def resources(state: State) -> Iterator[tuple[str, MutableMapping[str, Any]]]:
    """What each resource remembers, by its name; its cursors are under `INCREMENTAL`, by their paths."""
    for source in state.get("sources", {}).values():
        yield from source.get("resources", {}).items()


def version(state: State) -> str:
    """What tells one state from another."""
    return str(state.get("_version_hash", ""))


def extracted(state: State) -> dt.datetime | None:
    """When it was last extracted here, or restored."""
    return cast("dt.datetime | None", state.get("_local", {}).get("_last_extracted_at"))


def changing(pipeline: dlt.Pipeline) -> AbstractContextManager[MutableMapping[str, Any]]:
    """The state, to be changed in the block; at its end a new version waits in a package of its own."""
    return cast("AbstractContextManager[MutableMapping[str, Any]]", pipeline.managed_state(extract_state=True))


def move(state: State, resource: str, path: str, value: Any) -> None:
    """Makes a cursor stand at a value."""
    for name, kept in resources(state):
        if name == resource and path in kept.get(INCREMENTAL, {}):
            # Rows at the value itself count as new: which of them were loaded is known for the old one alone.
            kept[INCREMENTAL][path].update(last_value=value, start_value=value, unique_hashes=[])


def forget(state: State, resource: str) -> None:
    """Forgets all that a resource remembers."""
    for source in state.get("sources", {}).values():
        source.get("resources", {}).pop(resource, None)


def stored(pipeline: dlt.Pipeline) -> StateInfo | None:
    """The newest state in the destination; None where there is none, or none is kept."""
    with pipeline.destination_client() as client:
        try:
            return client.get_stored_state(pipeline.pipeline_name) if isinstance(client, WithStateSync) else None
        except DestinationUndefinedEntity:
            return None


def schema_names(client: WithStateSync, pipeline: str) -> frozenset[str]:
    """The schemas by which a pipeline has loaded, as its newest state in the destination says."""
    newest = client.get_stored_state(pipeline)
    return frozenset(decompress_state(newest.state).get("schema_names") or ()) if newest else frozenset()


def read(text: str) -> dict[str, Any]:
    """A state as it is stored."""
    return dict(decompress_state(text))


def remembered(state: State, names: Collection[str]) -> dict[str, dict[str, Any]]:
    """What these resources remember, by the name of the source's schema and theirs."""
    return {
        section: found
        for section, source in state.get("sources", {}).items()
        if (found := {name: kept for name, kept in source.get("resources", {}).items() if name in names})
    }


def joined(base: State, own: State, other: State) -> tuple[dict[str, Any], bool]:
    """What two have made of one state, each without knowing of the other.

    Args:
        base: from which both began.
        own: what this one has made of it; it counts where both have changed the same.
        other: what the other has.

    Returns:
        the state, and whether both have changed what one resource remembers.
    """
    state, conflicts = _joined(base, own, other, ())
    names = {*(own.get("schema_names") or ()), *(other.get("schema_names") or ())}
    state["schema_names"] = sorted(names)
    return state, any(path[:1] == ("sources",) and path[2:3] == ("resources",) for path in conflicts)


_MISSING: Any = object()


def _joined(base: Any, own: Any, other: Any, path: tuple[str, ...]) -> tuple[Any, list[tuple[str, ...]]]:
    if own == base:
        return other, []
    if other == base:
        return own, []
    if not (isinstance(own, Mapping) and isinstance(other, Mapping)):
        return own, [path]
    below = base if isinstance(base, Mapping) else {}
    found, conflicts = {}, []
    for key in (*other, *(key for key in own if key not in other)):
        value, more = _joined(
            below.get(key, _MISSING), own.get(key, _MISSING), other.get(key, _MISSING), (*path, str(key))
        )
        conflicts += more
        if value is not _MISSING:
            found[key] = value
    return found, conflicts


def row(state: State, version: int) -> dict[str, Any]:
    """A state under a version, as columns of the table in which dlt stores it."""
    content = {key: value for key, value in state.items() if key != "_local"}
    content["_state_version"] = version
    content["_version_hash"] = generate_state_version_hash(cast("Any", content))
    return {"version": version, "version_hash": content["_version_hash"], "state": compress_state(cast("Any", content))}


def adopt(pipeline: dlt.Pipeline, schema: str) -> None:
    """Takes a schema over from the destination that the pipeline does not know, as what has loaded kept no state."""
    with pipeline.destination_client() as client:
        try:
            found = stored_schema(client, schema)
        except DestinationUndefinedEntity:
            return
    if found is not None:
        pipeline.schemas.save_schema(found)


def stored_schema(client: Any, name: str) -> dlt.Schema | None:
    """The newest schema of that name in a client's dataset; None where there is none, or none is kept.

    Raises:
        DestinationUndefinedEntity: where the dataset is not there.
    """
    found = client.get_stored_schema(name) if isinstance(client, WithStateSync) else None
    return dlt.Schema.from_stored_schema(json.loads(found.schema)) if found is not None else None

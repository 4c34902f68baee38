"""What Meltano says of a tap's streams (`select`, `metadata`), as dango says it: `resources`, `replication`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from dango.imports.ledger import Part

_WILD = re.compile(r"[*?\[]")
_METHOD = "replication-method"
_HINTED = (_METHOD, "replication-key")
_KEYS = ("table-key-properties", "view-key-properties", "key-properties")


def resources(plugin: Part) -> list[str]:
    """The streams that are selected by name; empty for all. What it says of properties is named."""
    streams: list[str] = []
    everything = False
    for position, pattern in enumerate(plugin.items("select")):
        loc = (*plugin.at("select"), position)
        if not isinstance(pattern, str):
            raise plugin.ledger.wrong(loc, "should be text, as `orders.*` is")
        plugin.ledger.settle(loc)
        # A dot that belongs to a name has a backslash before it.
        stream, _, attribute = (part.replace("\0", ".") for part in pattern.replace("\\.", "\0").partition("."))
        if stream.startswith("!"):
            what = "what is not wanted of a stream is loaded" if attribute != "*" else "a stream that is not wanted"
            do = "drop columns: `processors: [{drop: [NAME]}]` under `resources:`; or list the streams that are wanted"
            plugin.ledger.note(loc, what, do)
            continue
        if stream == "*":
            everything = True
        elif _WILD.search(stream):
            everything = True
            do = "list them under `resources:`; `dango source describe` shows them"
            plugin.ledger.note(loc, "streams are chosen by their whole names here, so all are loaded", do)
        elif stream not in streams:
            streams.append(stream)
        if attribute not in ("", "*"):
            do = "drop what is not wanted: `processors: [{drop: [NAME]}]` under `resources:`"
            plugin.ledger.note(loc, "all properties of a stream are loaded, not those alone", do)
    if not plugin.items("select"):
        plugin.take("select")
    return [] if everything else streams


def replication(plugin: Part) -> dict[str, dict[str, str]]:
    """How streams are read, by their names; what else their metadata say is named."""
    made: dict[str, dict[str, str]] = {}
    metadata = plugin.part("metadata")
    metadata.take_all()
    for stream, said in metadata.value.items():
        of_stream = metadata.part(stream)
        if _WILD.search(stream):
            what = "streams are named by their whole names here"
            of_stream.refuse(what, "`replication:` of the source, a line for each; `dango source describe` shows them")
            continue
        if not isinstance(said, Mapping):
            raise plugin.ledger.wrong(of_stream.loc, "should be a mapping")
        _rest(of_stream)
        wanted = {"method": said.get(_METHOD), "key": said.get("replication-key")}
        read = {key: str(value) for key, value in wanted.items() if value is not None}
        if read.get("method") == "INCREMENTAL" and "key" not in read:
            do = f"`replication: {{{stream}: {{method: INCREMENTAL, key: …}}}}`, where the tap does not say it itself"
            of_stream.note(_METHOD, "the key by which it is read is not said here", do)
        elif read:
            made[stream] = read
    return made


def _rest(of_stream: Part) -> None:
    """What is said of a stream besides how it is read."""
    for key in of_stream.value:
        if key in _KEYS:
            do = f"`resources: {{{of_stream.loc[-1]}: {{primary_key: …}}}}`"
            of_stream.note(key, "the tap says itself what tells rows apart", do)
        elif key not in _HINTED:
            do = "the tap's own settings, or `resources:` of the source"
            of_stream.note(key, "metadata for the tap's catalog, which dango asks the tap for", do)


def merged(parent: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """What is said of each stream, one's own before the parent's."""
    return {name: {**parent.get(name, {}), **own.get(name, {})} for name in {**parent, **own}}

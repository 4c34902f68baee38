"""Airbyte's connectors, unmodified: programs that speak its protocol, and low-code manifests.

The protocol: https://docs.airbyte.com/understanding-airbyte/airbyte-protocol. A manifest is run by the program
`source-declarative-manifest`, which the package airbyte-cdk brings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dlt
from dlt.common import json
from dlt.sources import DltSource
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from dango.connectors.bridge.catalogs import Catalogs
from dango.connectors.bridge.child import Child, Files, program
from dango.connectors.bridge.foreign import deep
from dango.connectors.bridge.messages import Fatal, Message, Record, State
from dango.connectors.bridge.options import options
from dango.connectors.bridge.streams import Run, Stream, chosen
from dango.errors import ArgumentError, ConnectorFailed
from dango.probe import About, Checked

_MANIFESTS = "source-declarative-manifest"


def airbyte(
    source: str,
    connector: str,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    resources: Sequence[str] = (),
    environment: str | None = None,
    on_error: str = "fail",
) -> DltSource:
    """The streams of a connector.

    Args:
        source: the source's name.
        connector: the program (`source-faker`), or a manifest's path (`manifest.yaml`).
        config: the connector's own settings.
        secrets: what of that is secret, put into it.
        resources: the streams to load; all that the connector discovers where empty.
        environment: the folder of programs of the source's own environment.
        on_error: with `skip` a connector that fails leaves what it had confirmed.

    Raises:
        ArgumentError: when there is no such program, manifest or stream.
        ConnectorFailed: when the connector cannot say which streams it has.
    """
    asked = _Asked(connector, environment, deep({}, config or {}, secrets or {}))
    catalogs = asked.catalogs(source)
    catalog = {_name(each): each for each in catalogs.known(asked.catalog)}
    selected = chosen(catalog, resources, connector)
    configured = [_configured(catalog[name]) for name in selected]
    names = {_descriptor(catalog[name]): name for name in selected}
    states: dict[str, Any] = {}

    def start(state: Any) -> Child:
        states.update({_key(each): each for each in state or ()})
        return asked.child("read", catalog={"streams": configured}, state=state)

    def read(line: dict[str, Any]) -> Message | None:
        return message(line, names, states)

    streams = [_stream(name, each) for name, each in zip(selected, configured, strict=True)]
    run = Run(start, read, streams, keep=on_error == "skip", part=_part, failed=catalogs.forget)
    return dlt.source(lambda: [run.resource(stream) for stream in streams], name=source, section=source)()


def about(source: str, connector: str, environment: str | None = None, **asked: Any) -> About:
    """What a connector may be told, and its streams as far as it knows them. Arguments as of `airbyte`."""
    settings = deep({}, asked.get("config") or {}, asked.get("secrets") or {})
    found = _Asked(connector, environment, settings)
    told = options(found.specification())
    try:
        return About(told, tuple(map(_name, found.catalogs(source).asked(found.catalog))))
    except ConnectorFailed as error:
        # Before it is told what it needs, it may not be able to say.
        return About(told, problems=(f"which streams it has, it does not say: {error.message}",))


def check(connector: str, environment: str | None = None, **asked: Any) -> Checked:
    """Whether a connector reaches what it reads, as it says itself. Arguments as of `airbyte`."""
    settings = deep({}, asked.get("config") or {}, asked.get("secrets") or {})
    try:
        return Checked(_Asked(connector, environment, settings).problem())
    except ConnectorFailed as error:
        return Checked(error.message)


class _Asked:
    """A connector's program, and what it is told."""

    def __init__(self, connector: str, environment: str | None, config: Mapping[str, Any]) -> None:
        self._connector = connector
        self._config = config
        self._manifest = _manifest(connector)
        self._program = program(_MANIFESTS if self._manifest else connector, environment)

    def child(self, ask: str, **files: Any) -> Child:
        """The program, asked for one thing; `files` are options that take a file, by their names."""
        held = Files()
        arguments = [] if ask == "spec" else ["--config", held.write("config.json", self._config)]
        for name, value in files.items():
            if value is not None:
                arguments += [f"--{name}", held.write(f"{name}.json", value)]
        if self._manifest and ask != "spec":
            arguments += ["--manifest-path", str(self._manifest)]
        return Child(self._connector, [*self._program, ask, *arguments])

    def catalogs(self, source: str) -> Catalogs:
        """Where a source keeps what the connector says of its streams."""
        return Catalogs(source, [*self._program, str(self._manifest or self._connector)], self._config)

    def catalog(self) -> list[dict[str, Any]]:
        """What the connector says of its streams. Raises `ConnectorFailed`."""
        return [stream for said in self._answers("discover", "CATALOG") for stream in said["catalog"]["streams"]]

    def problem(self) -> str:
        """Why it does not reach what it reads; empty where it does."""
        said = [answer["connectionStatus"] for answer in self._answers("check", "CONNECTION_STATUS")]
        return next((str(each.get("message")) for each in said if each["status"] != "SUCCEEDED"), "")

    def specification(self) -> Mapping[str, Any]:
        """The JSON Schema of its settings; a manifest's stands in it, and the program that runs it tells another."""
        if self._manifest:
            spec = YAML(typ="safe").load(self._manifest).get("spec") or {}
            return spec.get("connection_specification") or {}
        return next((said["spec"]["connectionSpecification"] for said in self._answers("spec", "SPEC")), {})

    def _answers(self, ask: str, kind: str) -> Iterator[dict[str, Any]]:
        child = self.child(ask)
        fatal: Fatal | None = None
        found = []
        for line in child.lines():
            try:
                said = json.loadb(line)
            except ValueError:
                child.noise(line)
                continue
            if isinstance(said, dict) and said.get("type") == kind:
                found.append(said)
            elif isinstance(said, dict) and (told := message(said, {}, {})):
                fatal = told if isinstance(told, Fatal) else fatal
        if fatal is not None:
            raise ConnectorFailed(f"`{self._connector}`: {fatal.message}")
        child.require_success()
        yield from found


def _manifest(connector: str) -> Path | None:
    """The manifest's file, if that is what the connector is. Raises `ArgumentError` where it cannot be read."""
    if not connector.endswith((".yaml", ".yml")):
        return None
    root = Path(os.environ.get("DLT_PROJECT_DIR") or Path.cwd())
    # Beside `sources.yml`, or from the project's root.
    places = [path for path in (root / ".dango" / connector, root / connector) if path.is_file()]
    if not places:
        raise ArgumentError(f"there is no manifest {connector}, neither in the project nor in its .dango/")
    try:
        YAML(typ="safe").load(places[0])
    except YAMLError as error:
        raise ArgumentError(f"{connector} is no YAML: {' '.join(str(error).split())}") from error
    return places[0]


def _name(entry: Mapping[str, Any]) -> str:
    namespace = entry.get("namespace")
    return f"{namespace}_{entry['name']}" if namespace else str(entry["name"])


def _descriptor(stream: Mapping[str, Any]) -> tuple[str, str]:
    return str(stream.get("namespace") or ""), str(stream["name"])


def _configured(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A stream as it is asked for: what is new, where it can tell, else all."""
    cursor = entry.get("default_cursor_field") or []
    can = "incremental" in (entry.get("supported_sync_modes") or ())
    incremental = can and bool(entry.get("source_defined_cursor") or cursor)
    key = entry.get("source_defined_primary_key") or []
    return {
        "stream": entry,
        "sync_mode": "incremental" if incremental else "full_refresh",
        "destination_sync_mode": ("append_dedup" if key else "append") if incremental else "overwrite",
        "cursor_field": cursor,
        "primary_key": key,
    }


def _stream(name: str, configured: Mapping[str, Any]) -> Stream:
    # A key inside of a block is the column that dlt makes of it.
    key = tuple("__".join(path) for path in configured["primary_key"])
    renewed = configured["sync_mode"] == "full_refresh"
    disposition = "replace" if renewed else "merge" if key else "append"
    return Stream(name, configured["stream"].get("json_schema") or {}, key, disposition)


def message(line: dict[str, Any], names: Mapping[tuple[str, str], str], states: dict[str, Any]) -> Message | None:
    """A line of a connector's.

    Args:
        names: what its streams are called here, by namespace and name.
        states: the newest of each stream, which is kept up to date.
    """
    match line.get("type"):
        case "RECORD":
            record = line["record"]
            return Record(names.get(_descriptor({**record, "name": record["stream"]}), ""), record["data"])
        case "STATE":
            states[_key(line["state"])] = line["state"]
            return State(list(states.values()))
        case "TRACE" if line["trace"].get("type") == "ERROR":
            error = line["trace"]["error"]
            return Fatal(_said(error), "", str(error.get("stack_trace") or error.get("internal_message") or ""))
        case "LOG":
            return None
        case _:
            return None


def _said(error: Mapping[str, Any]) -> str:
    stream = (error.get("stream_descriptor") or {}).get("name")
    kind = str(error.get("failure_type") or "").replace("_", " ")
    about_it = ", ".join(filter(None, [stream and f"stream {stream}", kind]))
    return f"{error.get('message') or error.get('internal_message')}" + (f" ({about_it})" if about_it else "")


def _key(state: Mapping[str, Any]) -> str:
    """What a state is of: a stream, or the whole connector."""
    descriptor = (state.get("stream") or {}).get("stream_descriptor")
    return "/".join(_descriptor(descriptor)) if descriptor else str(state.get("type", ""))


def _part(stored: Any, state: Any, name: str) -> Any:
    """The state of one stream, beside what is stored of the others."""
    kept = {_key(each): each for each in stored or ()}
    kept |= {
        _key(each): each for each in state if "stream" in each and _name(each["stream"]["stream_descriptor"]) == name
    }
    return list(kept.values())

"""VDK's data sources: by the names under which its plugins register them, or by a dotted path."""

from __future__ import annotations

import difflib
import importlib
import subprocess
import threading
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import MISSING, fields
from typing import Any

Request = dict[str, Any]
Say = Callable[..., None]
MODULE, PACKAGE = "vdk", "vdk-data-sources"

_AT_ONCE = 8
_COALESCED = 1000
"""So many records at most between two states of a stream."""


def spec(request: Request, say: Say) -> None:
    """The JSON Schema of a data source's configuration."""
    config = _item(request["connector"]).config_class
    said = {each.name: _property(each) for each in fields(config)}
    required = [each.name for each in fields(config) if each.default is MISSING and each.default_factory is MISSING]
    say("SPEC", schema={"type": "object", "required": required, "properties": said})


def check(request: Request, say: Say) -> None:
    """Connects, and asks for the streams; nothing is read."""
    source, _ = _connected(request, say)
    try:
        list(source.streams())
    finally:
        source.disconnect()
    say("CHECK", problem="")


def read(request: Request, say: Say) -> None:
    """Payloads as records, each stream in a thread of its own; its state comes after its records."""
    source, reading = _connected(request, say)
    try:
        wanted = request.get("streams") or ()
        streams = [stream for stream in source.streams() if not wanted or stream.name() in wanted]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            failed = list(filter(None, pool.map(reading.stream, streams)))
    finally:
        source.disconnect()
    if failed:
        raise failed[0]


def _connected(request: Request, say: Say) -> tuple[Any, _Reading]:
    """The data source, configured and connected with its state."""
    item = _item(request["connector"])
    config = request["config"]
    if unknown := sorted(config.keys() - {each.name for each in fields(item.config_class)}):
        known = ", ".join(each.name for each in fields(item.config_class))
        raise SystemExit(f"`{item.name}` has no option `{unknown[0]}`; it has {known}")
    from vdk.plugin.data_sources.config import create_config_from_dict

    # A data source that runs a program and does not look how it ended would take a crash for the end.
    subprocess.Popen = _Noted  # type: ignore[misc] # in this process of our own, for all that it imports
    reading = _Reading(request, say)
    source = item.instance_class()
    source.configure(create_config_from_dict(item.config_class, config))
    source.connect(reading.state)
    return source, reading


class _Reading:
    """One reading of a data source, with what it knows of its state."""

    def __init__(self, request: Request, say: Say) -> None:
        from vdk.plugin.data_sources.state import DataSourceState, InMemoryDataSourceStateStorage

        self._say = say
        self._metadata = request.get("metadata", "columns")
        self._keys = request.get("keys") or {}
        self._storage = InMemoryDataSourceStateStorage()
        self._storage.write("it", request.get("state") or {})
        self.state = DataSourceState(self._storage, "it")
        # What is said of a stream's state follows the stream's own records, whatever other streams say meanwhile.
        self._said: dict[str, Any] = dict((request.get("state") or {}).get("streams") or {})
        self._turn = threading.Lock()

    def stream(self, stream: Any) -> Exception | None:
        """Reads one stream to its end; gives what went wrong."""
        from vdk.plugin.data_sources.data_source import StopDataSourceStream

        name = str(stream.name())
        tables: set[str] = set()
        since, state = 0, None
        try:
            _begun.programs = []
            for payload in self._payloads(stream):
                self._record(payload.destination_table or name, payload, tables)
                since += 1
                state = payload.state or state
                if state and since >= _COALESCED:
                    self._confirm(name, state, tables)
                    since, state = 0, None
            for program in _begun.programs:
                if (code := program.wait(5)) > 0:
                    raise RuntimeError(f"{program.args[0]} ended with exit code {code}")
        except StopDataSourceStream:
            pass
        except Exception as error:  # noqa: BLE001 - data sources are other people's code; one stream must not stop the rest
            self._say("ERROR", stream=name, entity=name, message=_said(error), trace=traceback.format_exc())
            return error
        self._confirm(name, state, tables)
        return None

    def _payloads(self, stream: Any) -> Iterator[Any]:
        from vdk.plugin.data_sources.data_source import RetryDataSourceStream

        while True:
            try:
                yield from stream.read()
                return
            except RetryDataSourceStream:
                continue

    def _record(self, table: str, payload: Any, tables: set[str]) -> None:
        rows = payload.data if isinstance(payload.data, list) else [payload.data] if payload.data is not None else []
        about: dict[str, Any] = {}
        with self._turn:
            if payload.metadata and self._metadata == "columns":
                about = {"vdk_metadata": payload.metadata}
            elif payload.metadata and self._metadata == "table":
                about = {"vdk_payload": uuid.uuid4().hex}
                self._rows(f"{table}_metadata", [{**payload.metadata, **about}], tables)
            self._rows(table, ({**row, **about} for row in rows), tables)

    def _rows(self, table: str, rows: Iterable[dict[str, Any]], tables: set[str]) -> None:
        if table not in tables:
            tables.add(table)
            key = self._keys.get(table) or []
            self._say("SCHEMA", stream=table, schema={}, key_properties=[key] if isinstance(key, str) else key)
        for row in rows:
            self._say("RECORD", stream=table, record=row)

    def _confirm(self, name: str, state: Any, tables: set[str]) -> None:
        with self._turn:
            if state:
                self.state.update_stream(name, state)
                self._said[name] = state
            others = self._storage.read("it").get("others") or {}
            self._say("STATE", value={"streams": dict(self._said), "others": others}, tables=sorted(tables))


class _Noted(subprocess.Popen):  # type: ignore[type-arg] # of bytes or of text, as its user wants
    """A program, noted by the thread that starts it."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        getattr(_begun, "programs", []).append(self)


_begun = threading.local()


def _factory() -> Any:
    """VDK's factory of data sources, with all that its plugins register: some do so only when VDK starts."""
    from vdk.api.plugin.core_hook_spec import CoreHookSpecs
    from vdk.internal.plugin.plugin import PluginRegistry
    from vdk.plugin.data_sources.factory import SingletonDataSourceFactory

    plugins = PluginRegistry()
    plugins.load_plugins_from_setuptools_entrypoints()
    plugins.add_hook_specs(CoreHookSpecs)
    plugins.hook().vdk_start.call_historic(kwargs={"plugin_registry": plugins, "command_line_args": []})
    return SingletonDataSourceFactory()


def _item(name: str) -> Any:
    factory = _factory()
    if "." in name or ":" in name:
        module, _, attribute = name.replace(":", ".").rpartition(".")
        found = getattr(importlib.import_module(module), attribute)
        factory.register_data_source_class(found)
        name = found.__data_source_name__
    known = {item.name: item for item in factory.list()}
    if name not in known:
        near = difflib.get_close_matches(name, known, n=3) or sorted(known)
        raise SystemExit(f"VDK has no data source `{name}` here; it has {', '.join(near)}")
    return known[name]


def _property(each: Any) -> dict[str, Any]:
    kinds = {int: "integer", float: "number", bool: "boolean", str: "string", dict: "object", list: "array"}
    kind = each.type if isinstance(each.type, type) else {kind.__name__: kind for kind in kinds}.get(str(each.type))
    said = {
        "type": kinds.get(kind, "string"),  # type: ignore[arg-type] # None is no key of it
        "description": each.metadata.get("config_description") or "",
        "secret": bool(each.metadata.get("config_is_sensitive")),
    }
    return said if each.default is MISSING else {**said, "default": each.default}


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"

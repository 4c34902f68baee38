"""Singer taps, unmodified: any program that speaks Singer's protocol becomes a dlt source.

What is asked of a tap: `--config`, `--discover`, `--catalog` (or the older `--properties`), `--state`. The protocol is
described at https://hub.meltano.com/singer/spec.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import dlt
from dlt.common import json
from dlt.sources import DltSource

from dango.connectors.bridge.catalogs import Catalogs
from dango.connectors.bridge.child import Child, Files, program
from dango.connectors.bridge.foreign import deep
from dango.connectors.bridge.messages import Message, Record, State, Told
from dango.connectors.bridge.options import options
from dango.connectors.bridge.streams import Run, Stream, chosen
from dango.errors import ArgumentError, ConnectorFailed, near
from dango.probe import About, Option

_METHODS = ("FULL_TABLE", "INCREMENTAL", "LOG_BASED")


def singer(
    source: str,
    tap: str,
    config: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Any] | None = None,
    resources: Sequence[str] = (),
    replication: Mapping[str, Mapping[str, str]] | None = None,
    environment: str | None = None,
    on_error: str = "fail",
) -> DltSource:
    """The streams of a tap.

    Args:
        source: the source's name.
        tap: the program: its name, or a path; arguments may stand behind it.
        config: the tap's own settings.
        secrets: those of them that are secret.
        resources: the streams to load; all that the tap discovers where empty.
        replication: how streams are read, where the tap's catalog does not say or another way is wanted: by the name
            of the stream `{method: INCREMENTAL, key: updated_at}`.
        environment: the folder of programs of the source's own environment.
        on_error: with `skip` a tap that fails leaves what it had confirmed.

    Raises:
        ArgumentError: when there is no such program, or what is said of a stream cannot be.
        ConnectorFailed: when the tap cannot say which streams it has.
    """
    command = program(tap, environment)
    settings = deep({}, config or {}, secrets or {})
    catalogs = Catalogs(source, command, settings)
    catalog = catalogs.known(lambda: _discovered(tap, command, settings, resources))
    entries = {_name(each): each for each in catalog}
    selected = chosen(entries, resources, tap) if entries else list(resources)
    for name, said in (replication or {}).items():
        _replicate(entries, name, said)
    streams = [_stream(name, entries.get(name)) for name in selected]

    def start(state: Any) -> Child:
        files = Files()
        asked = ["--config", files.write("config.json", settings)]
        if entries:
            asked_for = {"streams": [_selected(each, name in selected) for name, each in entries.items()]}
            asked += ["--catalog", files.write("catalog.json", asked_for)]
        if state is not None:
            asked += ["--state", files.write("state.json", state)]
        return Child(tap, [*command, *asked])

    run = Run(start, message, streams, keep=on_error == "skip", part=_bookmark, failed=catalogs.forget)
    return dlt.source(lambda: [run.resource(stream) for stream in streams], name=source, section=source)()


def about(source: str, tap: str, environment: str | None = None, **asked: Any) -> About:
    """What a tap may be told, as taps of Meltano's SDK say by `--about`, and its streams. Arguments as of `singer`."""
    command = program(tap, environment)
    told: tuple[Option, ...] = ()
    problems: list[str] = []
    try:
        child = Child(tap, [*command, "--about", "--format=json"])
        said = b"".join(child.lines())
        child.require_success()
        told = options(json.loadb(said)["settings"])
    except ConnectorFailed as error:
        # Older taps have no such option.
        problems.append(f"what it may be told, it does not say: --about: {error.message}")
    except (ValueError, KeyError, TypeError):
        problems.append(f"what it may be told, it does not say: `{tap} --about --format=json` gives no settings")
    settings = deep({}, asked.get("config") or {}, asked.get("secrets") or {})
    try:
        catalog = Catalogs(source, command, settings).asked(lambda: _discovered(tap, command, settings, ()))
    except ConnectorFailed as error:
        # Before it is told what it needs, most cannot say which streams there are.
        problems.append(f"which streams it has, it does not say: {error.message}")
        catalog = []
    return About(told, tuple(_name(each) for each in catalog), tuple(problems))


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry.get("tap_stream_id") or entry["stream"])


def _discovered(
    tap: str, command: Sequence[str], settings: Mapping[str, Any], resources: Sequence[str]
) -> list[dict[str, Any]]:
    """What the tap says of its streams; nothing where it does not, and the streams are named."""
    files = Files()
    try:
        child = Child(tap, [*command, "--config", files.write("config.json", settings), "--discover"])
        said = b"".join(child.lines())
        child.require_success()
        found = json.loadb(said)["streams"]
    except ConnectorFailed:
        if resources:
            return []
        raise
    except (ValueError, KeyError, TypeError) as error:
        if resources:
            return []
        raise ConnectorFailed(
            f"`{tap}` does not say which streams it has: --discover gives no catalog",
            "name its streams under `resources:`",
        ) from error
    finally:
        files.close()
    return list(found)


def _replicate(entries: Mapping[str, dict[str, Any]], name: str, said: Mapping[str, str]) -> None:
    """Writes into the catalog how a stream is to be read."""
    method, key = str(said.get("method", "INCREMENTAL" if "key" in said else "")).upper(), said.get("key")
    if method not in _METHODS or (method == "INCREMENTAL" and not key):
        raise ArgumentError(
            f"`replication` of `{name}`: a method is one of {', '.join(_METHODS)}; INCREMENTAL needs a `key`",
            loc=("singer", "replication", name),
        )
    if name not in entries:
        raise ArgumentError(f"the tap has no stream `{name}`{near(name, entries)}", loc=("singer", "replication", name))
    entry = entries[name]
    entry["replication_method"] = method
    _of_stream(entry)["replication-method"] = method
    if key:
        entry["replication_key"] = _of_stream(entry)["replication-key"] = key


def _stream(name: str, entry: Mapping[str, Any] | None) -> Stream:
    if entry is None:
        return Stream(name)
    about = _metadata(entry).get((), {})
    key = tuple(entry.get("key_properties") or about.get("table-key-properties") or ())
    method = (
        entry.get("replication_method") or about.get("forced-replication-method") or about.get("replication-method")
    )
    # What is read whole each time takes the place of what was; a tap that does not say may give what is new alone.
    disposition = "replace" if method == "FULL_TABLE" else "merge" if key else "append"
    return Stream(name, entry.get("schema") or {}, key, disposition)


def _selected(entry: Mapping[str, Any], selected: bool) -> dict[str, Any]:
    """The catalog's entry of a stream, with all of its properties that can be had."""
    made = {**entry, "selected": selected, "metadata": [dict(each) for each in entry.get("metadata") or ()]}
    _of_stream(made)["selected"] = selected
    for breadcrumb, about in _metadata(made).items():
        if breadcrumb and about.get("inclusion") != "unsupported":
            about.setdefault("selected", about.get("selected-by-default", True))
    return made


def _metadata(entry: Mapping[str, Any]) -> dict[tuple[str, ...], dict[str, Any]]:
    """What is said of the stream, under `()`, and of its properties."""
    return {
        tuple(each.get("breadcrumb") or ()): each.setdefault("metadata", {}) for each in entry.get("metadata") or ()
    }


def _of_stream(entry: dict[str, Any]) -> dict[str, Any]:
    found = _metadata(entry)
    if () not in found:
        entry.setdefault("metadata", []).append({"breadcrumb": [], "metadata": {}})
        found = _metadata(entry)
    return found[()]


def _bookmark(stored: Any, state: Any, name: str) -> Any:
    """How far one stream has come, where the state says that as most do."""
    if not (isinstance(state, Mapping) and name in (state.get("bookmarks") or {})):
        return stored
    kept = stored or {}
    return {**kept, "bookmarks": {**kept.get("bookmarks", {}), name: state["bookmarks"][name]}}


def message(line: dict[str, Any]) -> Message | None:
    """A line of a tap's. Raises `ConnectorFailed` where it asks for files to be read."""
    kind = line.get("type")
    if kind == "RECORD":
        return Record(line["stream"], line["record"])
    if kind == "STATE":
        return State(line["value"])
    if kind == "SCHEMA":
        return Told(line["stream"], line["schema"])
    if kind == "BATCH":
        raise ConnectorFailed(
            "the tap writes files instead of records (BATCH messages)", "take `batch_config` out of its settings"
        )
    return None

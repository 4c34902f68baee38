"""Connectors that are Python classes of another framework: `runner/` runs them, in that framework's environment."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dlt
from dlt.common import json
from dlt.sources import DltSource

from dango.connectors.bridge.child import Child
from dango.connectors.bridge.messages import Fatal, Message, Record, State, Told, Wrong
from dango.connectors.bridge.options import options
from dango.connectors.bridge.streams import Run
from dango.errors import ConnectorFailed
from dango.probe import About, Checked

_RUNNER = Path(__file__).parent / "runner"


def program(framework: str, ask: str, connector: str, environment: str | None, request: Mapping[str, Any]) -> Child:
    """The runner, asked for something.

    Args:
        framework: whose connector it is.
        ask: `read`, `spec` or `check`.
        connector: its name, or the dotted path of its class, which may be in `custom_sources/`.
        environment: the folder of programs of the source's own environment; this Python where there is none.
        request: what the framework's part of the runner wants to know.
    """
    python = str(Path(environment) / "python") if environment else sys.executable
    root = Path(os.environ.get("DLT_PROJECT_DIR") or Path.cwd())
    asked = {
        **request,
        "framework": framework,
        "connector": connector,
        "ask": ask,
        "run": f"dango-{os.getpid()}",
        "path": [str(root), str(root / "custom_sources")],
    }
    return Child(connector, [python, "-I", str(_RUNNER)], asked)


def tables(
    framework: str,
    source: str,
    resource: str,
    connector: str,
    environment: str | None,
    on_error: str,
    request: Mapping[str, Any],
) -> DltSource:
    """A source of one resource, with a table for each stream that the connector gives.

    Args:
        framework: whose connector it is.
        source: the source's name.
        resource: the resource's.
        connector: its name, or the dotted path of its class.
        environment: the folder of programs of the source's own environment.
        on_error: with `skip` a connector that fails leaves what it had confirmed.
        request: what the framework's part of the runner wants to know.
    """

    def start(state: Any) -> Child:
        return program(framework, "read", connector, environment, {**request, "source": source, "state": state})

    run = Run(start, message, [], keep=on_error == "skip")
    return dlt.source(lambda: run.tables(resource), name=source, section=source)()


def about(framework: str, connector: str, environment: str | None) -> About:
    """What a connector may be told, as its framework makes a JSON Schema of it. Raises `ConnectorFailed`."""
    said = _answer(program(framework, "spec", connector, environment, {}), "SPEC")
    return About(options(said["schema"])) if said else About()


def check(
    framework: str, source: str, connector: str, environment: str | None, request: Mapping[str, Any]
) -> Checked | None:
    """Whether a connector reaches what it reads; None where it cannot tell. Arguments as of `tables`."""
    try:
        said = _answer(program(framework, "check", connector, environment, {**request, "source": source}), "CHECK")
    except ConnectorFailed as error:
        return Checked(error.message, final=True)
    return Checked(said["problem"], final=True) if said else None


def _answer(child: Child, kind: str) -> Mapping[str, Any] | None:
    """The one line in which the runner answers. Raises `ConnectorFailed` where it fails instead."""
    found: Mapping[str, Any] | None = None
    fatal: Fatal | None = None
    for line in child.lines():
        try:
            said = json.loadb(line)
        except ValueError:
            # Half a line of one that was killed; its exit code says so.
            child.noise(line)
            continue
        found = said if said["type"] == kind else found
        fatal = _fatal(said) if said["type"] == "FAILED" else fatal
    if fatal is not None:
        raise ConnectorFailed(fatal.message if fatal.whole else f"`{child.name}`: {fatal.message}", place=fatal.place)
    child.require_success()
    return found


def message(line: dict[str, Any]) -> Message | None:
    """A line of the runner's."""
    kind = line.get("type")
    if kind == "RECORD":
        return Record(line["stream"], line["record"])
    if kind == "STATE":
        return State(line["value"], tuple(line["tables"]) if "tables" in line else None)
    if kind == "SCHEMA":
        key = tuple(line.get("key_properties") or ())
        return Told(line["stream"], line["schema"], key, line.get("write_disposition", ""))
    if kind == "ERROR":
        return Wrong(line["stream"], line["message"], line["entity"], line["trace"])
    if kind == "FAILED":
        return _fatal(line)
    if kind == "LOG":
        print(line["message"], file=sys.stderr)  # noqa: T201 - the worker's stderr is its log
    return None


def _fatal(line: Mapping[str, Any]) -> Fatal:
    return Fatal(line["message"], line["place"], line["trace"], whole=not line["trace"])


def deep(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Mappings put over each other; of two values for one key the later counts."""
    made: dict[str, Any] = {}
    for layer in layers:
        for key, value in layer.items():
            both = isinstance(value, Mapping) and isinstance(made.get(key), Mapping)
            made[key] = deep(made[key], value) if both else value
    return made

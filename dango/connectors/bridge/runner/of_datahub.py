"""DataHub's sources: by the name of an entry point, or by a dotted path."""

from __future__ import annotations

import difflib
import inspect
import json
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

Request = dict[str, Any]  # what is asked, and what is said besides
Say = Callable[..., None]
MODULE, PACKAGE = "datahub", "acryl-datahub"
GROUP = "datahub.ingestion.source.plugins"


def spec(request: Request, say: Say) -> None:
    """The JSON Schema of the source's configuration."""
    found = _class(request["connector"])
    config = getattr(found, "get_config_class", None)
    if config is None:
        say("SPEC", schema={})
        return
    model = config()
    say("SPEC", schema=model.model_json_schema() if hasattr(model, "model_json_schema") else model.schema())


def check(request: Request, say: Say) -> None:
    """Asks the source whether it can reach what it reads, where it can tell."""
    found = _class(request["connector"])
    if hasattr(found, "test_connection"):
        told = found.test_connection(request["config"]).basic_connectivity
        if told is not None:
            say("CHECK", problem="" if told.capable else str(told.failure_reason))


def read(request: Request, say: Say) -> None:
    """Work units as records, a stream for each aspect; then what the source reports, and its state."""
    from datahub.ingestion.api.common import PipelineContext

    found = _class(request["connector"])
    config = request["config"]
    with _state(config, request.get("state")) as state:
        context = PipelineContext(run_id=request["run"], pipeline_name=request["source"])
        told = set()
        with found.create(config, context) as source:
            for unit in source.get_workunits():
                for stream, schema, record in _records(unit.metadata):
                    if request.get("streams") and stream not in request["streams"]:
                        continue
                    if stream not in told:
                        told.add(stream)
                        say("SCHEMA", stream=stream, schema=schema, key_properties=["entity_urn"])
                    say("RECORD", stream=stream, record=record)
            report = source.get_report()
        failed = _report(report, say)
        # What a source would forget of, were it to go on from a run that has failed, it is to see again.
        if not failed:
            for _, committable in context.get_committables():
                committable.commit()
            if (value := state()) is not None:
                say("STATE", value=value)


def _class(name: str) -> Any:
    from datahub.ingestion.api.source import Source
    from datahub.ingestion.source.source_registry import source_registry

    try:
        found = source_registry.get(name)
    except KeyError:
        installed = sorted({entry.name for entry in entry_points(group=GROUP)})
        near = difflib.get_close_matches(name, installed, n=3) or installed
        raise SystemExit(f"DataHub has no source `{name}` here; it has {', '.join(near)}") from None
    except (TypeError, ValueError) as error:
        # DataHub's own check of a class says that it is abstract, and not always what is missing.
        from datahub.ingestion.api.registry import import_path

        raise SystemExit(_unfit(name, import_path(name), Source) or str(error)) from error
    if fault := _unfit(name, found, Source):
        raise SystemExit(fault)
    return found


def _unfit(name: str, found: Any, base: type) -> str:
    """Why it is no source that can be run; empty where it is one."""
    if not (inspect.isclass(found) and issubclass(found, base)):
        return f"`{name}` is no DataHub source: it is no subclass of datahub.ingestion.api.source.Source"
    lacks = sorted(getattr(found, "__abstractmethods__", ()))
    return f"`{name}` is no whole DataHub source: it lacks {', '.join(lacks)}" if lacks else ""


@contextmanager
def _state(config: dict[str, Any], stored: Any) -> Iterator[Callable[[], Any]]:
    """A stateful source keeps its checkpoints in a file that is ours for the time; without a server it has no other."""
    stateful = config.get("stateful_ingestion") or {}
    if not stateful.get("enabled"):
        yield lambda: None
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "checkpoints.json")
        if stored:
            file.write_text(json.dumps(stored), encoding="utf-8")
        stateful["state_provider"] = {"type": "file", "config": {"filename": str(file)}}

        def now() -> Any:
            return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

        yield now


def _records(metadata: Any) -> Iterator[tuple[str, Any, dict[str, Any]]]:
    """What a work unit says, as (stream, schema, record): a change event has several aspects."""
    from datahub.emitter.mcp import MetadataChangeProposalWrapper
    from datahub.metadata.schema_classes import MetadataChangeEventClass, MetadataChangeProposalClass

    if isinstance(metadata, MetadataChangeEventClass):
        from datahub.emitter.mcp_builder import mcps_from_mce

        wrapped = mcps_from_mce(metadata)
    elif isinstance(metadata, MetadataChangeProposalClass):
        made = MetadataChangeProposalWrapper.try_from_mcpc(metadata)
        if made is None:
            yield _raw(metadata)
            return
        wrapped = [made]
    else:
        wrapped = [metadata]
    for each in wrapped:
        if each.aspect is None:
            yield _raw(each)
            continue
        fields = _plain(each.aspect.to_obj())
        maps = {
            field.name: {"type": ["null", "object"]}
            for field in each.aspect.RECORD_SCHEMA.fields
            if _is_map(field.type)
        }
        schema = {"type": "object", "properties": maps}
        yield _snake(each.aspectName or each.aspect.ASPECT_NAME), schema, {**_about(each), **fields}


def _raw(proposal: Any) -> tuple[str, Any, dict[str, Any]]:
    """One whose aspect this version of DataHub has no class for, or which deletes."""
    value = json.loads(proposal.aspect.value) if getattr(proposal.aspect, "value", None) else {}
    return (
        _snake(proposal.aspectName or "no_aspect"),
        {"type": "object", "properties": {}},
        {**_about(proposal), **value},
    )


def _about(proposal: Any) -> dict[str, Any]:
    change = proposal.changeType
    return {"entity_urn": proposal.entityUrn, "entity_type": proposal.entityType, "change_type": str(change)}


def _plain(value: Any) -> dict[str, Any]:
    """Without the wrappers that Avro puts around members of unions."""
    from datahub.emitter.serialization_helper import pre_json_transform

    plain: dict[str, Any] = pre_json_transform(value)
    return plain


def _is_map(kind: Any) -> bool:
    """Whether an Avro type has keys that are not known beforehand, perhaps beside null."""
    branches = getattr(kind, "schemas", None) or [kind]
    return any(branch.type == "map" for branch in branches)


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _report(report: Any, say: Say) -> bool:
    """Tells what the source reports of; whether anything of it is a failure."""
    said = report.as_obj()
    for entry in _entries(said.get("warnings")):
        say("LOG", message="warning: " + _text(entry))
    failures = _entries(said.get("failures"))
    for entry in failures:
        say("ERROR", stream="", entity=_context(entry), message=_text(entry), trace="")
    return bool(failures)


def _entries(listed: Any) -> list[dict[str, Any]]:
    """Versions differ: a list of entries, or a mapping from a key to its messages."""
    if isinstance(listed, dict):
        return [{"message": str(message), "context": [key]} for key, messages in listed.items() for message in messages]
    return [entry for entry in listed or () if isinstance(entry, dict)]


def _text(entry: dict[str, Any]) -> str:
    title, message = entry.get("title"), entry.get("message") or ""
    return f"{title}: {message}" if title and title != message else str(message)


def _context(entry: dict[str, Any]) -> str:
    context = entry.get("context") or ""
    return ", ".join(map(str, context)) if isinstance(context, (list, tuple)) else str(context)

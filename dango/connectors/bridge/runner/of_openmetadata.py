"""OpenMetadata's connectors, by dotted path, without its server: its client knows what the connector has said."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any

Request = dict[str, Any]
Say = Callable[..., None]
MODULE, PACKAGE = "metadata", "openmetadata-ingestion"

# What stands before an entity's name in its whole name, the nearest first.
_PARENTS = (
    "databaseSchema",
    "database",
    "apiCollection",
    "classification",
    "glossary",
    "parent",
    "service",
    "dashboard",
)
_PIPELINES = {
    "Database": "DatabaseMetadata", "Dashboard": "DashboardMetadata", "Messaging": "MessagingMetadata",
    "Pipeline": "PipelineMetadata", "MlModel": "MlModelMetadata", "Storage": "StorageMetadata",
    "Search": "SearchMetadata", "Api": "ApiMetadata",
}  # fmt: skip


def spec(request: Request, say: Say) -> None:
    """A connector of one's own says nowhere what it may be told: its options are whatever it reads."""
    _class(request["connector"])
    say("SPEC", schema={})


def check(request: Request, say: Say) -> None:
    """Calls the connector's own test, as far as it has one."""
    source, _ = _made(request)
    try:
        source.prepare()
        source.test_connection()
    finally:
        source.close()
    say("CHECK", problem="")


def read(request: Request, say: Say) -> None:
    """What the connector yields, a stream for each kind of entity; then what it could not make, by its status."""
    source, server = _made(request)
    source.prepare()
    told: set[str] = set()
    try:
        for record in source.run():
            if record is None:
                # What could not be made; its status says what.
                continue
            server.remember(record)
            stream = _stream(record)
            if request.get("streams") and stream not in request["streams"]:
                continue
            key = server.fqn(record)
            if stream not in told:
                told.add(stream)
                named = {"key_properties": ["fullyQualifiedName"]} if key else {"write_disposition": "replace"}
                say("SCHEMA", stream=stream, schema={}, **named)
            say("RECORD", stream=stream, record={**({"fullyQualifiedName": key} if key else {}), **_plain(record)})
    finally:
        source.close()
    for failure in _failures(source.status):
        say("ERROR", stream="", **failure)
    for warning in getattr(source.status, "warnings", None) or ():
        say("LOG", message=f"warning: {warning}")
    if not told and (failures := list(_failures(source.status))):
        raise SystemExit(f"`{request['connector']}` gave nothing: {failures[0]['message']}")


def _made(request: Request) -> tuple[Any, Any]:
    found = _class(request["connector"])
    server = _offline(request["source"])
    workflow = _workflow(request, found)
    arguments = [workflow, server, request["source"]]
    # The third came with a later version.
    takes = len([p for p in inspect.signature(found.create).parameters.values() if p.default is p.empty])
    return found.create(*arguments[: max(2, min(takes, 3))]), server


def _class(name: str) -> Any:
    from metadata.ingestion.api.steps import Source

    module, _, attribute = name.replace(":", ".").rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except AttributeError:
        raise SystemExit(f"module `{module}` has no `{attribute}`") from None
    if not (inspect.isclass(found) and issubclass(found, Source)):
        raise SystemExit(f"`{name}` is no OpenMetadata source: no subclass of metadata.ingestion.api.steps.Source")
    if lacks := sorted(getattr(found, "__abstractmethods__", ())):
        raise SystemExit(f"`{name}` is no whole OpenMetadata source: it lacks {', '.join(lacks)}")
    return found


def _workflow(request: Request, found: Any) -> dict[str, Any]:
    """The part `source` of a workflow, as OpenMetadata's own files have it; `workflow` says what is otherwise."""
    kind = request.get("service_type") or "Database"
    made = {
        "type": f"custom{kind}",
        "serviceName": request.get("service_name") or request["source"],
        "serviceConnection": {
            "config": {
                "type": f"Custom{kind}",
                "sourcePythonClass": f"{found.__module__}.{found.__qualname__}",
                "connectionOptions": {key: _text(value) for key, value in request["config"].items()},
            }
        },
        "sourceConfig": {"config": {"type": _PIPELINES.get(kind, f"{kind}Metadata")}},
    }
    return _over(made, request.get("workflow") or {})


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    for key, value in above.items():
        both = isinstance(value, dict) and isinstance(below.get(key), dict)
        below[key] = _over(below[key], value) if both else value
    return below


def _text(value: Any) -> str:
    """Options of a connection are texts, and connectors parse them."""
    return value if isinstance(value, str) else json.dumps(value)


def _offline(name: str) -> Any:
    """A client that knows what the connector itself has said so far, and nothing else."""
    from metadata.ingestion.ometa.ometa_api import OpenMetadata

    class Offline(OpenMetadata):  # type: ignore[misc] # known only where the runner runs
        def __init__(self) -> None:
            # Nothing of the real one's beginnings, which look for a server. Connections hold secrets: they stay out.
            self.config = type("Config", (), {"storeServiceConnection": False})()
            self.client = _Nobody()
            self._known: dict[tuple[str, str], Any] = {}

        def remember(self, request: Any) -> Any:
            fqn = self.fqn(request)
            if fqn is None:
                return None
            entity = self.get_entity_from_create(type(request))
            fields = {key: getattr(request, key) for key in _fields(type(request)) if key in _fields(entity)}
            made = _constructed(entity, {**fields, "id": _wrapped("Uuid", uuid.uuid5(uuid.NAMESPACE_URL, fqn)),
                                         "fullyQualifiedName": _wrapped("FullyQualifiedEntityName", fqn)})  # fmt: skip
            self._known[entity.__name__, fqn.lower()] = made
            return made

        def fqn(self, request: Any) -> str | None:
            if not re.fullmatch(r"Create\w+Request", type(request).__name__):
                return None
            parent = next((value for key in _PARENTS if (value := getattr(request, key, None)) is not None), None)
            mine = _quoted(_root(request.name))
            return f"{_root(parent)}.{mine}" if parent is not None else mine

        def create_or_update(self, data: Any) -> Any:
            return self.remember(data)

        def get_by_name(self, entity: Any, fqn: Any, *_: Any, **__: Any) -> Any:
            return self._known.get((entity.__name__, str(_root(fqn)).lower()))

        def get_by_id(self, entity: Any, entity_id: Any, *_: Any, **__: Any) -> Any:
            wanted = str(_root(entity_id))
            return next((made for (kind, _), made in self._known.items()
                         if kind == entity.__name__ and str(_root(made.id)) == wanted), None)  # fmt: skip

        def list_all_entities(self, entity: Any, *_: Any, **__: Any) -> Iterator[Any]:
            return iter([made for (kind, _), made in self._known.items() if kind == entity.__name__])

        def es_search_from_fqn(self, *_: Any, **__: Any) -> list[Any]:
            return []

        def close(self) -> None:
            pass

    return Offline()


class _Nobody:
    """Stands for the server's connection: whatever is asked of it, nobody answers."""

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *_, **__: None


def _fields(model: Any) -> Any:
    """Of pydantic 2 and 1 alike."""
    return model.model_fields if hasattr(model, "model_fields") else model.__fields__


def _constructed(model: Any, values: dict[str, Any]) -> Any:
    return model.model_construct(**values) if hasattr(model, "model_construct") else model.construct(**values)


def _wrapped(name: str, value: Any) -> Any:
    basic = importlib.import_module("metadata.generated.schema.type.basic")
    kind = getattr(basic, name)
    return kind(root=value) if hasattr(kind, "model_fields") else kind(__root__=value)


def _root(value: Any) -> Any:
    """What a model of one value holds."""
    for name in ("root", "__root__"):
        if hasattr(value, name):
            return _root(getattr(value, name))
    return value


def _quoted(name: str) -> str:
    return f'"{name}"' if "." in name else name


def _plain(record: Any) -> dict[str, Any]:
    if hasattr(record, "model_dump"):
        plain: dict[str, Any] = record.model_dump(mode="json", exclude_none=True)
        return plain
    read: dict[str, Any] = json.loads(record.json(exclude_none=True))
    return read


def _stream(record: Any) -> str:
    """`CreateDatabaseSchemaRequest` as the table `database_schemas`: `table` itself is a word of SQL's."""
    name = re.sub(r"^Create(\w+)Request$", r"\1", type(record).__name__)
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
    return f"{snake[:-1]}ies" if snake.endswith("y") else f"{snake}s"


def _failures(status: Any) -> Iterator[dict[str, str]]:
    for failure in getattr(status, "failures", None) or ():
        yield {
            "entity": str(getattr(failure, "name", "")),
            "message": str(getattr(failure, "error", failure)),
            "trace": str(getattr(failure, "stackTrace", "") or ""),
        }

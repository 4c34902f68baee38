"""APIs whose description is not at hand: the part that an entry uses, written by hand after the documentation.

A file of `shapes/` is named like its entry. It becomes an OpenAPI document, so that nothing else knows of it:

    docs: https://acme.example/docs                # where it was read
    server: https://api.acme.example/v1
    auth: {header: Authorization}
    rows:
      order: {id: integer, changed: date-time, customer: {id: integer}, tags: [string]}
    paths:
      /orders:
        query: {limit: {maximum: 100}, state: {enum: [open, closed]}, since: {format: date-time, required: true}}
        answer: {data: [order], next: string}
      /search: {method: post, body: {after: string}, answer: {results: [order]}}

A shape is a type's name, the name of a row, a list of one shape, or a mapping of names to shapes. `any` says nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

FOLDER = Path(__file__).parent / "shapes"
TYPES = ("string", "integer", "number", "boolean", "object")
FORMATS = ("date", "date-time", "uuid")


def written(name: str) -> dict[str, Any] | None:
    """The OpenAPI document of an entry's file; None where there is no such file."""
    file = FOLDER / f"{name}.yml"
    return document(YAML(typ="safe").load(file)) if file.is_file() else None


def document(said: Mapping[str, Any]) -> dict[str, Any]:
    """OpenAPI 3 of what is written in short."""
    schemes = {name: {"type": "apiKey", "in": place, "name": name} for place, name in said["auth"].items()}
    return {
        "openapi": "3.1.0",
        "externalDocs": {"url": said["docs"]},
        "servers": [{"url": said["server"]}],
        "components": {
            "securitySchemes": schemes,
            "schemas": {name: _shape(fields, said["rows"]) for name, fields in said["rows"].items()},
        },
        "paths": {
            path: {each.get("method", "get"): _operation(each, said["rows"])} for path, each in said["paths"].items()
        },
    }


def _operation(said: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "parameters": [
            _parameter(name, shape, place)
            for place, key in (("query", "query"), ("header", "headers"))
            for name, shape in (said.get(key) or {}).items()
        ],
        "responses": {
            "200": {
                "content": {"application/json": {"schema": _shape(said["answer"], rows)}},
                "headers": {name: {} for name in said.get("answer_headers") or ()},
            }
        },
    }
    if "body" in said:
        made["requestBody"] = {"content": {"application/json": {"schema": _shape(said["body"], rows)}}}
    return made


def _parameter(name: str, said: Any, place: str) -> dict[str, Any]:
    """A parameter's shape is a type's name, or OpenAPI's own words for it, besides `required`."""
    schema = {"type": "string", **said} if isinstance(said, Mapping) else _shape(said, {})
    if isinstance(said, Mapping) and {"maximum", "minimum"} & said.keys():
        schema["type"] = "integer"
    return {"name": name, "in": place, "required": bool(schema.pop("required", False)), "schema": schema}


def _shape(said: Any, rows: Mapping[str, Any]) -> dict[str, Any]:
    if isinstance(said, Mapping):
        return {"type": "object", "properties": {name: _shape(inner, rows) for name, inner in said.items()}}
    if isinstance(said, list):
        (item,) = said
        return {"type": "array", "items": _shape(item, rows)}
    if said in FORMATS:
        return {"type": "string", "format": said}
    if said in TYPES:
        return {"type": said}
    if said == "any":
        return {}
    if said not in rows:
        raise ValueError(f"{said!r} is no type and none of the rows {', '.join(rows)}")
    return {"$ref": f"#/components/schemas/{said}"}

"""A vendor's description of an API, OpenAPI 3 or Swagger 2, as far as an entry can be held against it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

FOLDER = Path(__file__).resolve().parents[2].parent / "shared" / "specs"
METHODS = ("get", "post")
NAMED = re.compile(r"\{[^}]*\}")
TOKEN = re.compile(r"""\[\s*['"](?P<quoted>[^'"]+)['"]\s*\]|\[(?P<item>\*|-?\d+)\]|(?P<name>[^.\[\]$]+)""")


def steps(path: str) -> list[str | int]:
    """The steps of a JSONPath: names, and 0 for any item of a list."""
    return [token["quoted"] or token["name"] if token["item"] is None else 0 for token in TOKEN.finditer(path)]


@dataclass(frozen=True)
class Shape:
    """What a value may look like: one of some schemas, references and unions resolved."""

    document: Mapping[str, Any]
    schemas: tuple[Mapping[str, Any], ...]

    @cached_property
    def branches(self) -> tuple[Mapping[str, Any], ...]:
        """The schemas, those that `allOf`, `oneOf` and `anyOf` are made of included."""
        return self._branches("allOf", "oneOf", "anyOf")

    def _branches(self, *unions: str) -> tuple[Mapping[str, Any], ...]:
        found: list[Mapping[str, Any]] = []
        waiting, seen = list(self.schemas), set()
        while waiting:
            schema = waiting.pop(0)
            if "$ref" in schema:
                if schema["$ref"] not in seen:
                    seen.add(schema["$ref"])
                    waiting.insert(0, resolved(self.document, schema["$ref"]))
                continue
            found.append(schema)
            waiting += [part for union in unions for part in schema.get(union) or ()]
        return tuple(found)

    def _named(self, key: str) -> list[Any]:
        return [branch[key] for branch in self.branches if branch.get(key) is not None]

    @cached_property
    def properties(self) -> dict[str, Shape]:
        """What an object has."""
        found: dict[str, list[Mapping[str, Any]]] = {}
        for properties in self._named("properties"):
            for name, schema in properties.items():
                found.setdefault(name, []).append(schema)
        return {name: Shape(self.document, tuple(schemas)) for name, schemas in found.items()}

    @property
    def required(self) -> set[str]:
        """The properties that an object must have, whichever of its alternatives it is."""
        certain = self._branches("allOf")
        return {name for schema in certain for name in _list(schema.get("required"))}

    @cached_property
    def items(self) -> Shape | None:
        """What a list holds; None for what is no list."""
        found = [items for items in self._named("items") if isinstance(items, Mapping)]
        if not found and "array" not in self.types:
            return None
        return Shape(self.document, tuple(found) or ({},))

    @cached_property
    def types(self) -> set[str]:
        """The types that it may have; nothing is said where it is empty."""
        named = [name for kind in self._named("type") for name in ([kind] if isinstance(kind, str) else kind)]
        return {*named, *(["object"] if self.properties else [])} - {"null"}

    @property
    def enum(self) -> list[Any]:
        """The values that it may have; any where it is empty."""
        open_ended = any("enum" not in b and b.get("type") not in (None, "array", "object") for b in self.branches)
        return [] if open_ended else [value for values in self._named("enum") for value in values]

    @property
    def default(self) -> Any:
        """What the vendor takes where nothing is sent."""
        return next(iter(self._named("default")), None)

    @property
    def format(self) -> str:
        """What kind of text or number it is."""
        return next(iter(self._named("format")), "")

    def limit(self, key: str) -> float | None:
        """Its `minimum` or `maximum`."""
        return next(iter(self._named(key)), None)

    @property
    def is_silent(self) -> bool:
        """Whether nothing is said about what is inside."""
        return self.types <= {"object"} and not self.properties and not any(
            branch.get("additionalProperties") is False for branch in self.branches
        )  # fmt: skip

    @property
    def is_map(self) -> bool:
        """Whether its keys are not known beforehand."""
        return not self.properties and any(self._named("additionalProperties"))

    def with_properties(self, properties: Mapping[str, Shape]) -> Shape:
        """An object that has these properties."""
        made = {name: {"anyOf": list(shape.schemas)} for name, shape in properties.items()}
        return Shape(self.document, ({"type": "object", "properties": made},))

    def step(self, name: str | int) -> Shape | None:
        """What stands under a name, or in a list; None where there is no such thing."""
        if isinstance(name, int):
            return self.items or (self if self.is_silent else None)
        if name in self.properties:
            return self.properties[name]
        if self.is_map:
            said = [schema for schema in self._named("additionalProperties") if isinstance(schema, Mapping)]
            return Shape(self.document, tuple(said) or ({},))
        return Shape(self.document, ({},)) if self.is_silent else None

    def at(self, path: str) -> Shape | None:
        """What a JSONPath leads to; None where it leads nowhere."""
        shape: Shape | None = self
        for name in steps(path):
            shape = shape.step(name) if shape else None
        return shape


@dataclass(frozen=True)
class Parameter:
    """One query parameter or header."""

    name: str
    required: bool
    shape: Shape
    is_deep: bool = False
    """Whether it is an object, sent as `name[key]`."""


@dataclass(frozen=True)
class Operation:
    """One path with its method."""

    path: str
    query: Mapping[str, Parameter]
    headers: Mapping[str, Parameter]
    """By their names in lower case."""
    body: Shape | None
    response: Shape
    response_headers: frozenset[str]
    """In lower case."""

    def parameter(self, name: str) -> tuple[Parameter, Shape] | None:
        """The query parameter, and what its value looks like: `created[gte]` is a key of `created`."""
        if found := self.query.get(name):
            return found, found.shape
        if (found := self.query.get(name.removesuffix("[]"))) and found.shape.items:
            return found, found.shape.items
        outer, bracket, inner = name.partition("[")
        found = self.query.get(outer)
        if bracket and inner.endswith("]") and found and found.is_deep:
            shape = found.shape.step(inner[:-1])
            return (found, shape) if shape else None
        return None


class Description:
    """What a vendor says about an API."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document
        self._modern = "openapi" in document
        self._operations: dict[tuple[str, str], Operation] = {}

    @classmethod
    def read(cls, name: str) -> Description:
        """The description in a file of the folder. Raises `FileNotFoundError`."""
        return cls(json.loads((FOLDER / name).read_text(encoding="utf-8")))

    @cached_property
    def servers(self) -> tuple[str, ...]:
        """The URLs that paths are appended to."""
        if self._modern:
            urls = [server["url"] for server in self._document.get("servers") or [{"url": "/"}]]
        else:
            urls = [f"https://{self._document.get('host', '')}{self._document.get('basePath', '')}"]
        return tuple(url.rstrip("/") for url in urls)

    @cached_property
    def hosts(self) -> set[str]:
        """Where the API is; `{…}` stands for a part that is not known beforehand."""
        return {host for url in self.servers if (host := urlsplit(url).netloc)}

    @cached_property
    def credentials(self) -> set[tuple[str, str]]:
        """Where a credential is sent: `header`, `query` or `cookie`, and the name in lower case."""
        components = self._document.get("components") or {}
        schemes = (components.get("securitySchemes") or self._document.get("securityDefinitions") or {}).values()
        return {
            (scheme["in"], scheme["name"].lower()) if scheme["type"] == "apiKey" else ("header", "authorization")
            for scheme in schemes
        }

    @cached_property
    def _paths(self) -> dict[int, list[tuple[list[str], str]]]:
        """The paths from the host on, in their parts, and as they are described; by how many parts they have."""
        prefixes = {urlsplit(url).path.strip("/") for url in self.servers}
        found: dict[int, list[tuple[list[str], str]]] = {}
        for prefix in prefixes:
            for path in self._document["paths"]:
                parts = [part for part in f"{prefix}/{path}".split("/") if part]
                found.setdefault(len(parts), []).append((parts, path))
        return found

    def operation(self, segments: list[tuple[str, bool]], method: str) -> Operation | None:
        """The operation of a path, if there is one.

        Args:
            segments: the path from the host on, each with whether it is a placeholder. What is literal in the entry
                is literal here too, else a typing error would be taken for a parameter's value.
            method: GET or POST.
        """
        for parts, path in self._paths.get(len(segments), ()):
            if method.lower() in self._document["paths"][path] and self._fits(parts, segments, path, method):
                return self._operation(path, method.lower())
        return None

    def _fits(self, parts: list[str], segments: list[tuple[str, bool]], path: str, method: str) -> bool:
        for part, (segment, is_placeholder) in zip(parts, segments, strict=True):
            if part == segment or (NAMED.search(part) and is_placeholder):
                continue
            if not (NAMED.fullmatch(part) and segment in self._values(path, method.lower(), part.strip("{}"))):
                return False
        return True

    def _values(self, path: str, method: str, name: str) -> list[Any]:
        """The values that a path's parameter is said to have."""
        return [
            value
            for raw in self._raw_parameters(path, method)
            if raw["in"] == "path" and raw["name"] == name
            for value in self._parameter(raw).shape.enum
        ]

    def _raw_parameters(self, path: str, method: str) -> Iterator[Mapping[str, Any]]:
        item = self._document["paths"][path]
        for raw in [*(item.get("parameters") or ()), *(item[method].get("parameters") or ())]:
            yield resolved(self._document, raw["$ref"]) if "$ref" in raw else raw

    def _parameter(self, raw: Mapping[str, Any]) -> Parameter:
        # Swagger 2 has the schema's keys in the parameter itself.
        schema = raw.get("schema") or next(
            (content.get("schema") or {} for content in (raw.get("content") or {}).values()),
            {key: value for key, value in raw.items() if key not in ("name", "in", "required", "$ref")},
        )
        return Parameter(
            raw["name"], bool(raw.get("required")), self._shape(schema), raw.get("style") == "deepObject"
        )  # fmt: skip

    def _operation(self, path: str, method: str) -> Operation:
        if (path, method) not in self._operations:
            self._operations[path, method] = self._read(path, method)
        return self._operations[path, method]

    def _read(self, path: str, method: str) -> Operation:
        raw = list(self._raw_parameters(path, method))
        described = self._document["paths"][path][method]
        answer = next(
            (answer for code, answer in sorted(described["responses"].items()) if code.startswith("2")), {}
        )  # fmt: skip
        if "$ref" in answer:
            answer = resolved(self._document, answer["$ref"])
        return Operation(
            path,
            {each["name"]: self._parameter(each) for each in raw if each["in"] == "query"},
            {each["name"].lower(): self._parameter(each) for each in raw if each["in"] == "header"},
            self._body(described, raw),
            self._shape(self._content(answer) or {}),
            frozenset(name.lower() for name in answer.get("headers") or ()),
        )

    def _body(self, described: Mapping[str, Any], raw: list[Mapping[str, Any]]) -> Shape | None:
        body = described.get("requestBody") or {}
        if "$ref" in body:
            body = resolved(self._document, body["$ref"])
        schema = self._content(body) or next((each["schema"] for each in raw if each["in"] == "body"), None)
        return self._shape(schema) if schema is not None else None

    def _content(self, holder: Mapping[str, Any]) -> Mapping[str, Any] | None:
        for media, content in (holder.get("content") or {}).items():
            if "json" in media and "schema" in content:
                return content["schema"]
        return holder.get("schema")

    def _shape(self, schema: Mapping[str, Any]) -> Shape:
        return Shape(self._document, (schema,))


def resolved(document: Mapping[str, Any], reference: str) -> Any:
    """What a `$ref` inside the document points to."""
    value: Any = document
    for part in reference.removeprefix("#/").split("/"):
        name = unquote(part).replace("~1", "/").replace("~0", "~")
        value = value[int(name) if isinstance(value, list) else name]
    return resolved(document, value["$ref"]) if isinstance(value, Mapping) and "$ref" in value else value


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []

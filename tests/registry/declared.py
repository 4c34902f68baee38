"""What an entry of kind `rest_api` will ask a vendor for: its resources with their defaults and a test's values."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from dlt.sources.rest_api.config_setup import PAGINATOR_MAP

from dango.connectors.extensions import PAGINATORS
from dango.conversions import CONVERSIONS, convert
from dango.registry.entry import Entry, RestApi
from dango.registry.field import FieldSpec
from dango.registry.template import SECRETS, filled, placeholders

REFERENCE = re.compile(r"\{resources\.([^.{}]+)\.([^{}]+)\}")
START = re.compile(r"\{incremental\.(?:start_value|initial_value|last_value)\}")
MARK = "\0"
BY_KIND: Mapping[str, Any] = {
    "int": 7, "float": 0.5, "bool": True, "list": ["sample"], "date": "2024-01-01", "datetime": "2024-01-01T00:00:00Z",
    "url": "https://vendor.example.com", "json": {},
}  # fmt: skip


@dataclass(frozen=True)
class Declared:
    """One resource: what is asked, how, and what of the answer is used."""

    name: str
    table: str
    segments: tuple[tuple[str, bool], ...]
    """The path from the host on, each with whether a placeholder stands there."""
    path: str
    """The same as text, filled in; what comes of a parent is left as `{resources.parent.field}`."""
    method: str
    params: Mapping[str, Any]
    headers: Mapping[str, str]
    json: Mapping[str, Any] | None
    """The body, which may be sent as a form too."""
    selector: str | None
    paginator: Mapping[str, Any]
    incremental: Mapping[str, Any]
    primary_key: tuple[str, ...]
    write_disposition: str
    auth: Mapping[str, Any]
    parents: tuple[tuple[str, str], ...]
    """Which field of which parent its requests are made of."""
    from_parent: tuple[str, ...]
    """The fields of the parent that its rows get."""
    processing: tuple[Mapping[str, Any], ...]
    failures: tuple[Mapping[str, Any], ...]
    """What in the body of an answer means that the request failed."""

    @property
    def parent(self) -> str | None:
        """The resource whose rows it is asked for."""
        return self.parents[0][0] if self.parents else None

    @property
    def cursor(self) -> str:
        """The field that says how new a row is; empty where all is loaded each time."""
        return str(self.incremental.get("cursor_path", ""))

    @property
    def started(self) -> Any:
        """What the vendor gets in place of `{incremental.start_value}` at first."""
        value = self.incremental.get("initial_value")
        name = self.incremental.get("convert")
        return convert(value, name) if name in CONVERSIONS else value

    @property
    def key_columns(self) -> tuple[str, ...]:
        """The key, without what comes from the parent."""
        return tuple(key for key in self.primary_key if key not in self.columns_from_parent)

    @property
    def columns_from_parent(self) -> tuple[str, ...]:
        """The columns that `include_from_parent` makes."""
        return tuple(f"_{self.parent}_{field}" for field in self.from_parent)


def sampled(entry: Entry) -> dict[str, Any]:
    """A value for each field that an entry's test fills in, by the field's name."""
    needed = {field.name for field in entry.fields if field.required or field.secret}
    needed |= {name for group in entry.groups[:1] for name in group}
    values: dict[str, Any] = {}
    for field in entry.fields:
        known = field.name in entry.verify.sample or field.default is not None
        if (known or field.name in needed) and field.applies(values):
            values[field.name] = _sample(field, entry.verify.sample.get(field.name))
    return values


def _sample(field: FieldSpec, given: Any) -> Any:
    options = field.options[:1] if field.kind != "list" else [list(field.options[:1])] if field.options else ()
    choices = (given, field.default, field.example, *options, BY_KIND.get(field.kind))
    return next((choice for choice in choices if choice is not None), f"sample-{field.name}")


def template_values(entry: Entry, values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields' values by the names that placeholders call them."""
    secret = {field.name for field in entry.secrets}
    named = {f"{SECRETS}{name}" if name in secret else name: value for name, value in values.items()}
    return {**named, "source": "sample"}


def declared(entry: Entry, values: Mapping[str, Any] | None = None) -> list[Declared]:
    """The resources of an entry of kind `rest_api`, in its order."""
    assert isinstance(entry.build, RestApi)
    known = template_values(entry, sampled(entry) if values is None else values)
    raw = entry.build.config
    config = filled(raw, known, rest_api=True)
    return [
        _declared(raw, config, written, resource, known)
        for written, resource in zip(raw["resources"], config["resources"], strict=True)
    ]


def _declared(
    raw: Mapping[str, Any],
    config: Mapping[str, Any],
    written: Mapping[str, Any],
    own: Mapping[str, Any],
    known: Mapping[str, Any],
) -> Declared:
    client, defaults = config["client"], config.get("resource_defaults") or {}
    resource = {**defaults, **own}
    endpoint = _endpoint(defaults.get("endpoint") or {}, own["endpoint"])
    segments = tuple(_segments(raw["client"]["base_url"], written["endpoint"]["path"], known))
    headers = {**(client.get("headers") or {}), **(endpoint.get("headers") or {})}
    params, body = endpoint.get("params") or {}, endpoint.get("json") or endpoint.get("data")
    places = [endpoint["path"], *_texts(params), *_texts(headers), *_texts(body)]
    parents = [found.groups() for place in places for found in REFERENCE.finditer(place)]
    disposition = resource.get("write_disposition") or "append"
    return Declared(
        name=resource["name"],
        table=resource.get("table_name") or resource["name"],
        segments=segments,
        path="/".join(["", *(text for text, _ in segments), *([""] if endpoint["path"].endswith("/") else [])]),
        method=endpoint.get("method", "GET").upper(),
        params={name: value for name, value in params.items() if value is not None},
        headers={name: str(value) for name, value in headers.items()},
        json=body,
        selector=endpoint.get("data_selector"),
        paginator=_paginator(endpoint.get("paginator") or client.get("paginator") or "auto"),
        incremental=endpoint.get("incremental") or {},
        primary_key=tuple(_listed(resource.get("primary_key"))),
        write_disposition=disposition["disposition"] if isinstance(disposition, Mapping) else disposition,
        auth=endpoint.get("auth") or client.get("auth") or {},
        parents=tuple(dict.fromkeys(parents)),
        from_parent=tuple(resource.get("include_from_parent") or ()),
        processing=tuple(resource.get("processing_steps") or ()),
        failures=tuple(action for action in endpoint.get("response_actions") or () if "json_path" in action),
    )


def _endpoint(defaults: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """As dlt merges them: `params` and `json` by their keys, all else as a whole."""
    merged = {**defaults, **own}
    for key in ("params", "json"):
        if key in defaults and key in own:
            merged[key] = {**defaults[key], **own[key]}
    return merged


def _segments(base_url: str, path: str, known: Mapping[str, Any]) -> Iterator[tuple[str, bool]]:
    url = path if "://" in path else f"{base_url.rstrip('/')}/{path.lstrip('/')}"
    filtered = {found.name for found in placeholders(url) if found.filter}
    marked = {name: value if name in filtered else _marked(value) for name, value in known.items()}
    _scheme, _, _host, *parts = filled({"url": url}, marked)["url"].split("/")
    for part in parts:
        if part:
            yield part.replace(MARK, ""), MARK in part or "{" in part


def _marked(value: Any) -> str:
    """A value of which each part of a path can be told from what is written in the entry."""
    return "/".join(MARK + part for part in str(value).split("/"))


def _paginator(written: str | Mapping[str, Any]) -> dict[str, Any]:
    """With what is meant where nothing is said."""
    said = {"type": written} if isinstance(written, str) else dict(written)
    meant = {**_defaults(said["type"]), **said}
    for word in ("cursor", "offset", "limit", "page"):
        if f"{word}_param" in meant and not meant[f"{word}_param"] and not meant.get(f"{word}_body_path"):
            meant[f"{word}_param"] = word
    return meant


@cache
def _defaults(name: str) -> Mapping[str, Any]:
    kind = {**PAGINATOR_MAP, **PAGINATORS}.get(name)
    empty = inspect.Parameter.empty
    options = inspect.signature(kind).parameters.items() if kind else ()
    return {name: option.default for name, option in options if option.default is not empty}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _listed(value: Any) -> list[str]:
    return [] if value is None else [value] if isinstance(value, str) else list(value)

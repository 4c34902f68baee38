"""Errors such as people make in entries, each put into a good one by itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dango.registry.entry import Entry, RestApi
from dango.registry.template import filled
from tests.registry.declared import REFERENCE, START, Declared, declared, sampled, template_values
from tests.registry.description import Description, Operation
from tests.registry.static_check import SENT_ANYWAY, operation_of

Config = dict[str, Any]
PAGINATORS = (
    {"type": "json_link", "next_url_path": "links.nxt"}, {"type": "header_link"},
    {"type": "offset", "limit": 100, "offset_param": "ofset", "total_path": None},
)  # fmt: skip


@dataclass(frozen=True)
class Mutation:
    """One error: in which resource, of which kind, and the entry that has it."""

    resource: str
    kind: str
    detail: str
    entry: Entry

    def __str__(self) -> str:
        return f"{self.entry.id}.{self.resource}: {self.kind} {self.detail}"


def mutations(entry: Entry, descriptions: Sequence[Description]) -> Iterator[Mutation]:
    """Every error that can be made in an entry, one after the other. The resources whose path is waived are left
    alone: the description has nothing that they could be held against."""
    assert isinstance(entry.build, RestApi)
    operations = []
    for position, each in enumerate(declared(entry)):
        operation = operation_of(each, entry, descriptions)
        if operation is None:
            continue
        operations.append(operation)
        for kind, detail, change in _changes(each, operation):
            config = _plain(entry.build.config)
            resource = _flat(config, position)
            change(resource)
            yield Mutation(each.name, kind, detail, _with(entry, config))
    for kind, detail, changed in _client_changes(entry, operations):
        yield Mutation("client", kind, detail, changed)


def _with(entry: Entry, config: Config) -> Entry:
    return entry.model_copy(update={"build": RestApi.model_construct(kind="rest_api", config=config)})


def _plain(value: Any) -> Any:
    return copy.deepcopy(value)


def _flat(config: Config, position: int) -> Config:
    """The resource with what it has of the defaults and of the client, so that a change is one resource's own."""
    defaults, own = config.get("resource_defaults") or {}, config["resources"][position]
    endpoint = {**(defaults.get("endpoint") or {}), **own["endpoint"]}
    for key in ("params", "json"):
        merged = {**((defaults.get("endpoint") or {}).get(key) or {}), **(own["endpoint"].get(key) or {})}
        if merged:
            endpoint[key] = merged
    if "paginator" in config["client"]:
        endpoint.setdefault("paginator", config["client"]["paginator"])
    config["resources"][position] = _plain({**defaults, **own, "endpoint": endpoint})
    return config["resources"][position]


Change = tuple[str, str, Callable[[Config], None]]


def _changes(each: Declared, operation: Operation) -> Iterator[Change]:
    yield from _in_path(each)
    yield from _in_params(each, operation)
    yield from _in_headers(each, operation)
    yield from _in_body(each, operation)
    yield from _in_rows(each)
    yield from _in_pages(each)


def _in_path(each: Declared) -> Iterator[Change]:
    for number, (segment, is_placeholder) in enumerate(each.segments):
        if not is_placeholder:
            for wrong in (f"{segment}x", segment[:-1]):
                yield "path", f"{segment} → {wrong}", lambda r, w=(segment, wrong): _replace(r["endpoint"], "path", *w)
        elif number == len(each.segments) - 1:
            continue
    last = each.segments[-1][0]
    yield (
        "path",
        f"without {last}",
        lambda r: r["endpoint"].update(path=r["endpoint"]["path"].rpartition("/")[0] or "x"),
    )
    yield "path", f"{last}/extra", lambda r: r["endpoint"].update(path=f"{r['endpoint']['path'].rstrip('/')}/extra")
    other = "GET" if each.method == "POST" else "POST"
    yield "method", other, lambda r: r["endpoint"].update(method=other)


def _replace(block: Config, key: str, old: str, new: str) -> None:
    """The last place where it stands; a segment that belongs to `base_url` is none of the resource's."""
    before, found, after = block[key].rpartition(old)
    block[key] = f"{before}{new}{after}" if found else f"{new}/{block[key]}"


def _in_params(each: Declared, operation: Operation) -> Iterator[Change]:
    yield "unknown param", "nonexistent", lambda r: r["endpoint"].setdefault("params", {}).update(nonexistent="1")
    for name, value in each.params.items():
        yield "param renamed", f"{name}x", lambda r, n=name: _rename(r["endpoint"]["params"], n, f"{n}x")
        known = operation.parameter(name)
        if known is None:
            continue
        shape = known[1]
        if shape.enum or (shape.items and shape.items.enum):
            yield "enum value", f"{name}=nonsense", lambda r, n=name: r["endpoint"]["params"].update({n: "nonsense"})
        if (limit := shape.limit("maximum")) is not None and str(value).isdigit():
            yield (
                "maximum",
                f"{name}={limit + 1}",
                lambda r, n=name, m=limit: r["endpoint"]["params"].update({n: m + 1}),
            )
        if shape.types and shape.types <= {"integer", "number", "boolean"}:
            yield "type", f"{name}=abc", lambda r, n=name: r["endpoint"]["params"].update({n: "abc"})
        if shape.format == "date-time" and START.search(str(value)):
            yield "type", f"{name}=jan", lambda r, n=name: r["endpoint"]["params"].update({n: "january"})
        if known[0].required:
            yield "required param", f"without {name}", lambda r, n=name: r["endpoint"]["params"].pop(n)


def _rename(block: Config, old: str, new: str) -> None:
    block[new] = block.pop(old)


def _in_headers(each: Declared, operation: Operation) -> Iterator[Change]:
    for name, header in operation.headers.items():
        if name not in SENT_ANYWAY and header.shape.enum:
            yield (
                "header value",
                f"{name}: 0.0",
                lambda r, n=name: r["endpoint"].setdefault("headers", {}).update({n: "0.0"}),
            )


def _in_body(each: Declared, operation: Operation) -> Iterator[Change]:
    if each.json is None:
        return
    yield "unknown body key", "nonexistent", lambda r: r["endpoint"]["json"].update(nonexistent=1)
    for way in _keys(each.json):
        detail = ".".join(map(str, way))
        yield (
            "body key renamed",
            f"{detail}x",
            lambda r, w=way: _rename(_holder(r["endpoint"]["json"], w), w[-1], f"{w[-1]}x"),
        )


def _keys(value: Any, way: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        if isinstance(value, dict):
            yield (*way, key)
        yield from _keys(item, (*way, key))


def _holder(value: Any, way: Sequence[Any]) -> Any:
    for key in way[:-1]:
        value = value[key]
    return value


def _in_rows(each: Declared) -> Iterator[Change]:
    if each.selector is not None:
        for wrong in {f"{each.selector}x" if each.selector != "$" else "data", f"wrong.{each.selector.lstrip('$')}"}:
            yield "selector", wrong, lambda r, w=wrong: r["endpoint"].update(data_selector=w)
        if each.selector != "$":
            yield "selector", "$", lambda r: r["endpoint"].update(data_selector="$")
    for key in each.key_columns:
        yield "primary key", f"{key}x", lambda r, k=key: r.update(primary_key=f"{k}x")
        if "__" in key:
            yield "primary key", key.replace("__", "."), lambda r, k=key: r.update(primary_key=k.replace("__", "."))
    if each.cursor:
        yield "cursor", f"{each.cursor}x", lambda r: _cursor(r, cursor_path=f"{each.cursor}x")
        yield "cursor", f"attributes.{each.cursor}", lambda r: _cursor(r, cursor_path=f"attributes.{each.cursor}")
        other = "2024-01-01T00:00:00Z" if isinstance(each.incremental.get("initial_value"), int | float) else 1704067200
        yield "initial value", str(other), lambda r: _cursor(r, initial_value=other)
    for parent, field in each.parents:
        yield "parent", f"{parent}.{field}x", lambda r, p=(parent, field): _reparent(r, *p, f"{p[0]}.{p[1]}x")
        yield "parent", f"{parent}x.{field}", lambda r, p=(parent, field): _reparent(r, *p, f"{p[0]}x.{p[1]}")
    if each.from_parent:
        yield "parent", "include_from_parent", lambda r: r.update(include_from_parent=["nonexistent"])


def _cursor(resource: Config, **changed: Any) -> None:
    resource["endpoint"]["incremental"].update(changed)


def _reparent(resource: Config, parent: str, field: str, new: str) -> None:
    resource["endpoint"] = _mapped(
        resource["endpoint"],
        lambda text: REFERENCE.sub(
            lambda found: f"{{resources.{new}}}" if found.groups() == (parent, field) else found[0], text
        ),
    )


def _mapped(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    return change(value) if isinstance(value, str) else value


def _in_pages(each: Declared) -> Iterator[Change]:
    said = dict(each.paginator)
    kind = said["type"]
    meant = {key: value for key, value in said.items() if value is not None or key == "total_path"}
    for key, value in meant.items():
        is_place = key.endswith(("_path", "_param")) and value
        if is_place or key == "cursor_key":
            yield "paginator", f"{key}={value}x", lambda r, k=key, v=value: _page(r, {**meant, k: f"{v}x"})
    for other in PAGINATORS:
        if other["type"] != kind and kind != "single_page":
            yield "paginator", f"{kind} → {other['type']}", lambda r, o=other: _page(r, dict(o))
    if kind != "single_page":
        yield "paginator", f"{kind} → single_page", lambda r: _page(r, {"type": "single_page"})


def _page(resource: Config, paginator: Config) -> None:
    resource["endpoint"]["paginator"] = paginator


def _client_changes(entry: Entry, operations: Sequence[Operation]) -> Iterator[tuple[str, str, Entry]]:
    assert isinstance(entry.build, RestApi)
    config = entry.build.config
    client = config["client"]

    def changed(**parts: Any) -> Entry:
        return _with(entry, {**config, "client": {**client, **parts}})

    for name, value in (client.get("headers") or {}).items():
        described = [operation.headers[name.lower()] for operation in operations if name.lower() in operation.headers]
        others = {other: said for other, said in client["headers"].items() if other != name}
        if any(header.required and header.shape.default not in (None, "application/json") for header in described):
            yield "required header", f"without {name}", changed(headers=others)
        if described and name.lower() not in (*SENT_ANYWAY, "accept"):
            yield "header renamed", f"{name}x", changed(headers={**others, f"{name}x": value})
    for auth_name in ["X-Wrong"] if (client.get("auth") or {}).get("type") == "api_key" else []:
        yield "auth", auth_name, changed(auth={**client["auth"], "name": auth_name})
    known = str(filled(client, template_values(entry, sampled(entry)))["base_url"])
    for wrong in (f"{known.rstrip('/')}/v99", "https://api.example.com" + urlsplit(known).path):
        yield "base_url", wrong, changed(base_url=wrong)

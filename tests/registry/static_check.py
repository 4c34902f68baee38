"""An entry held against its vendor's description: what is asked for, and what of the answer is used."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from dango.registry.entry import Entry, RestApi, Waiver
from dango.registry.template import filled
from tests.registry.declared import REFERENCE, START, Declared, declared, sampled, template_values
from tests.registry.description import Description, Operation, Shape, steps
from tests.registry.wire import Difference, body_differences, credential_place, query_differences, value_differences

CLIENT = "client"
# What requests sends by itself, or what says nothing where there is no body.
SENT_ANYWAY = {"content-type", "user-agent", "authorization"}
CONTINUES = {
    "_skip", "after", "before", "cursor", "nextPageToken", "offset", "page", "page[after]", "page-token", "page_token",
    "startAt", "start_cursor", "starting_after",
}  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One difference between an entry and the vendor's description."""

    resource: str
    rule: str
    name: str
    message: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.rule} `{self.name}`: {self.message}"


def static_check(entry: Entry, descriptions: Sequence[Description]) -> list[Finding]:
    """What differs and is not waived, and the waivers that nothing calls for."""
    found = differences(entry, descriptions)
    waivers = entry.verify.waive
    left = [finding for finding in found if not any(_waives(waiver, finding) for waiver in waivers)]
    idle = [waiver for waiver in waivers if not any(_waives(waiver, finding) for finding in found)]
    return left + [
        Finding(waiver.resource, "waive", f"{waiver.rule} {waiver.name}".rstrip(), "nothing differs here: remove it")
        for waiver in idle
    ]


def _waives(waiver: Waiver, finding: Finding) -> bool:
    return (waiver.resource, waiver.rule) == (finding.resource, finding.rule) and waiver.name in ("", finding.name)


def differences(entry: Entry, descriptions: Sequence[Description]) -> list[Finding]:
    """Everything that differs. The resources of an entry may be spread over several descriptions."""
    resources = declared(entry)
    operations = {each.name: operation_of(each, entry, descriptions) for each in resources}
    rows = {each.name: row_of(each, operations[each.name]) for each in resources}
    found = [Finding(CLIENT, *difference) for difference in _host(entry, descriptions)]
    for each in resources:
        operation = operations[each.name]
        if operation is None:
            found.append(Finding(each.name, "path", each.path, f"{each.method} is not in the description"))
            continue
        found += [
            Finding(each.name, *difference)
            for difference in (
                *_auth(each, descriptions),
                *_query(each, operation),
                *_headers(each, operation),
                *_body(each, operation),
                *_selector(each, operation, rows[each.name]),
                *_pages(each, operation),
                *_parents(each, resources, rows),
                *_fields(each, operation, rows[each.name]),
            )
        ]
    return found


def operation_of(each: Declared, entry: Entry, descriptions: Sequence[Description]) -> Operation | None:
    """What the description says of the resource's path; `verify.base_path` stands for what is before it."""
    segments = list(each.segments)
    if entry.verify.base_path:
        assert isinstance(entry.build, RestApi)
        base = [part for part in urlsplit(_base_url(entry)).path.split("/") if part]
        described = [part for part in entry.verify.base_path.split("/") if part]
        if base and described[-len(base) :] != base:
            return None
        segments = [(part, False) for part in described] + segments[len(base) :]
    found = (description.operation(segments, each.method) for description in descriptions)
    return next((operation for operation in found if operation), None)


def _base_url(entry: Entry) -> str:
    assert isinstance(entry.build, RestApi)
    return str(filled(entry.build.config["client"], template_values(entry, sampled(entry)))["base_url"])


def _host(entry: Entry, descriptions: Sequence[Description]) -> Iterator[Difference]:
    host = urlsplit(_base_url(entry)).netloc
    known = sorted({known for description in descriptions for known in description.hosts})
    if known and host not in known:
        yield "host", host, f"the description has {', '.join(known)}"


def _auth(each: Declared, descriptions: Sequence[Description]) -> Iterator[Difference]:
    known = {scheme for description in descriptions for scheme in description.credentials}
    place = credential_place(each.auth)
    if known and place and place not in known:
        yield "auth", place[1], f"the description has {', '.join(' '.join(scheme) for scheme in sorted(known))}"


# --- what is sent -----------------------------------------------------------------------------------------------------


def _query(each: Declared, operation: Operation) -> Iterator[Difference]:
    sent = {name: _wire(each, value) for name, value in each.params.items()}
    pages = {each.paginator[key]: [] for key in each.paginator if key.endswith("_param") and each.paginator[key]}
    if each.paginator.get("limit_param"):
        pages[each.paginator["limit_param"]] = [str(each.paginator["limit"])]
    yield from query_differences(operation, {**sent, **pages}, credential_place(each.auth))


def _wire(each: Declared, value: Any) -> list[str]:
    """A value as it goes into a query; nothing where it is a parent's."""
    texts = [str(item) for item in (value if isinstance(value, list | tuple) else [value])]
    return [_started(each, text) for text in texts if not REFERENCE.search(text)]


def _started(each: Declared, text: str) -> str:
    return START.sub(lambda _: str(each.started), text).replace("{{", "{").replace("}}", "}")


def _headers(each: Declared, operation: Operation) -> Iterator[Difference]:
    credential = credential_place(each.auth)
    sent = {name.lower(): value for name, value in each.headers.items()}
    names = {*sent, *([credential[1]] if credential else [])}
    described = operation.headers.keys() - SENT_ANYWAY - {"accept"}
    for name, value in sent.items():
        if name in operation.headers:
            # A header's default is the version that the vendor describes, and the form that it answers in.
            yield from value_differences(name, value, operation.headers[name].shape)
        elif described and name not in SENT_ANYWAY | {"accept"}:
            yield "header", name, f"the description has {', '.join(sorted(described))}"
    for name, header in operation.headers.items():
        is_met_by_any = name == "accept" and header.shape.default in (None, "application/json")
        if header.required and name not in names | SENT_ANYWAY and not is_met_by_any:
            yield "required_header", name, "it is required, and is not sent"


def _body(each: Declared, operation: Operation) -> Iterator[Difference]:
    paged = [value for key, value in each.paginator.items() if key.endswith("_body_path") and value]
    if each.json is None and not paged:
        return
    if operation.body is None:
        yield "body", each.method, "the description has no body here"
        return
    for path in paged:
        if operation.body.at(path) is None:
            yield "body", path, "the description has no such key"
    given = {steps(path)[0] for path in paged}
    yield from body_differences(operation.body, each.json or {}, given, lambda text: _started(each, text))


# --- what is read -----------------------------------------------------------------------------------------------------


def row_of(each: Declared, operation: Operation | None) -> Shape | None:
    """What one row looks like; None where the selector leads to no rows."""
    if operation is None or each.selector is None:
        return None
    reached = operation.response.at(each.selector)
    if reached is not None and reached.items is not None:
        return processed(reached.items, each.processing)
    if reached is None or 0 in steps(each.selector):
        return reached and processed(reached, each.processing)
    single = reached.is_silent or each.paginator["type"] == "single_page"
    return processed(reached, each.processing) if single else None


def processed(row: Shape, processing: Iterable[Mapping[str, Any]]) -> Shape:
    """What a row looks like after dango's own steps."""
    for step in processing:
        if row.is_silent:
            return row
        if "lift" in step and (nested := row.step(step["lift"])):
            others = {name: shape for name, shape in row.properties.items() if name != step["lift"]}
            row = nested if nested.is_silent else row.with_properties({**nested.properties, **others})
        elif "rename" in step:
            row = row.with_properties({step["rename"].get(name, name): has for name, has in row.properties.items()})
        elif "pick" in step:
            row = row.with_properties({name: has for name, has in row.properties.items() if name in step["pick"]})
    return row


def _selector(each: Declared, operation: Operation, row: Shape | None) -> Iterator[Difference]:
    if row is None:
        there = sorted(name for name, shape in operation.response.properties.items() if shape.items)
        yield "selector", each.selector or "", f"it leads to no list; the answer has {', '.join(there) or 'none'}"


def _pages(each: Declared, operation: Operation) -> Iterator[Difference]:
    paginator = each.paginator
    for key, path in paginator.items():
        if not key.endswith("_path") or key.endswith("_body_path") or not path:
            continue
        reached = operation.response.at(path)
        if reached is None:
            yield "paginator", path, f"`{key}` leads nowhere in the answer"
        elif reached.types and not reached.types & _wanted(key):
            yield "paginator", path, f"`{key}` leads to {', '.join(sorted(reached.types))}"
    if "links_next_key" in paginator and "link" not in operation.response_headers:
        yield "paginator", "Link", "the description's answer has no such header"
    if paginator["type"] == "header_cursor" and paginator["cursor_key"].lower() not in operation.response_headers:
        yield "paginator", paginator["cursor_key"], "the description's answer has no such header"
    known = set(operation.query) | set(operation.body.properties if operation.body else ())
    if paginator["type"] == "single_page" and (continuing := known & CONTINUES):
        yield "paginator", "single_page", f"there are pages: {', '.join(sorted(continuing))}"


def _wanted(key: str) -> set[str]:
    if key == "has_more_path":
        return {"boolean"}
    return {"integer", "number"} if key == "total_path" else {"string", "integer", "number"}


def _parents(each: Declared, resources: Sequence[Declared], rows: Mapping[str, Shape | None]) -> Iterator[Difference]:
    by_name = {other.name: other for other in resources}
    wanted = [*each.parents, *((each.parent or "", field) for field in each.from_parent)]
    for parent, field in dict.fromkeys(wanted):
        if parent not in by_name:
            yield "parent", parent, "there is no such resource"
        elif field not in by_name[parent].columns_from_parent and not _has(rows[parent], field, by_name[parent], None):
            yield "parent", f"{parent}.{field}", "the parent's rows have no such field"


def _fields(each: Declared, operation: Operation, row: Shape | None) -> Iterator[Difference]:
    if row is None:
        return
    for key in each.key_columns:
        if "." in key or not _has(row, key.replace("__", "."), each, operation):
            yield "primary_key", key, _there(row)
    if not each.cursor or each.cursor in each.columns_from_parent:
        return
    if not _has(row, each.cursor, each, operation):
        yield "cursor", each.cursor, _there(row)
        return
    field, initial = row.at(each.cursor), each.incremental.get("initial_value")
    types = field.types if field else set()
    if (types == {"string"} and isinstance(initial, int | float)) or (
        types and types <= {"integer", "number"} and isinstance(initial, str)
    ):
        yield "cursor", each.cursor, f"it is {', '.join(sorted(types))}, and `initial_value` is {initial!r}"


def _there(row: Shape) -> str:
    return f"the rows have no such field; they have {', '.join(sorted(row.properties)[:12]) or 'none'}"


def _has(row: Shape | None, path: str, each: Declared, operation: Operation | None) -> bool:
    """Whether the rows have the field, or the request asks for it among those that the description allows."""
    if row is None:
        return True
    names = steps(path)
    if row.at(path) is not None:
        return not any(
            _is_unasked(row.at(".".join(map(str, names[:end]))), str(names[end - 1]), str(names[end]), each)
            for end in range(1, len(names))
        )
    if operation is None:
        return any(path in str(value).split(",") for value in each.params.values())
    return any(
        path in part.split(",") and (known := operation.parameter(name)) and path in (known[1].items or known[1]).enum
        for name, value in each.params.items()
        for part in _wire(each, value)
    )


def _is_unasked(holder: Shape | None, holder_name: str, name: str, each: Declared) -> bool:
    """Whether a field of a map is not among those that the request lists under the map's name."""
    if holder is None or not holder.is_map:
        return False
    asked = each.params.get(holder_name) or (each.json or {}).get(holder_name)
    listed = asked if isinstance(asked, list) else str(asked or name).split(",")
    return name not in listed

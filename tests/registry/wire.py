"""What is sent to a vendor, held against its description: queries, bodies, and where the credential is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from dango.conversions import instant
from tests.registry.declared import REFERENCE, START
from tests.registry.description import Operation, Shape

Difference = tuple[str, str, str]
"""A rule, the name it is about, and what is wrong."""


def credential_place(auth: Mapping[str, Any]) -> tuple[str, str] | None:
    """Where a credential is sent: `header`, `query` or `cookie`, and the name in lower case."""
    if not auth:
        return None
    if auth["type"] == "api_key":
        location = auth.get("location", "header")
        return "query" if location == "param" else location, auth.get("name", "Authorization").lower()
    return "header", "authorization"


def query_differences(
    operation: Operation, sent: Mapping[str, Sequence[str]], credential: tuple[str, str] | None
) -> Iterator[Difference]:
    """What is wrong with a query, each parameter with its values as they are sent; a parameter without any is known
    to be sent, and its value is not."""
    for name, values in sent.items():
        if credential == ("query", name.lower()):
            continue
        known = operation.parameter(name)
        if known is None:
            yield "param", name, "the description has no such parameter"
            continue
        for value in values:
            yield from value_differences(name, value, known[1])
    for name, parameter in operation.query.items():
        if parameter.required and not any(sending.partition("[")[0] == name or sending == name for sending in sent):
            yield "required_param", name, "it is required, and is not sent"


def value_differences(name: str, value: str, shape: Shape) -> Iterator[Difference]:
    """What is wrong with one value, as it is sent."""
    if shape.items and not shape.items.is_silent:
        # Many vendors take a list as one text, and say so in prose only.
        for part in value.split(","):
            yield from value_differences(name, part, shape.items)
        return
    if shape.enum and value not in [written(allowed) for allowed in shape.enum]:
        yield "enum", name, f"`{value}` is none of {', '.join(map(written, shape.enum[:8]))}"
    if not _readable(value, shape):
        yield "type", name, f"`{value}` is no {' or '.join(sorted(shape.types))} {shape.format}".rstrip()
        return
    for key, is_beyond in (("maximum", lambda a, b: a > b), ("minimum", lambda a, b: a < b)):
        limit = shape.limit(key)
        if limit is not None and shape.types & {"integer", "number"} and is_beyond(float(value), limit):
            yield key, name, f"{value} is beyond {limit:g}"


def written(value: Any) -> str:
    """A scalar as vendors write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _readable(text: str, shape: Shape) -> bool:
    """Whether the text can be read as what the shape says."""
    if not shape.types or shape.types - {"integer", "number", "boolean", "string"}:
        return True
    if shape.types == {"string"}:
        return shape.format not in ("date-time", "date") or _parses(instant, text)
    return (
        "string" in shape.types
        or ("boolean" in shape.types and text in ("true", "false"))
        or ("integer" in shape.types and _parses(int, text))
        or ("number" in shape.types and _parses(float, text))
    )


def _parses(read: Callable[[str], Any], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def body_differences(
    shape: Shape, value: Any, given: Iterable[Any] = (), started: Callable[[str], str] = str, where: str = ""
) -> Iterator[Difference]:
    """What is wrong with a body of JSON; the keys that are `given` come from elsewhere."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            inner = shape.step(key)
            path = f"{where}.{key}".lstrip(".")
            if inner is None:
                yield "body", path, "the description has no such key"
            else:
                yield from body_differences(inner, item, (), started, path)
        for key in sorted(shape.required - set(value) - set(given)):
            yield "required_body", f"{where}.{key}".lstrip("."), "it is required, and is not sent"
    elif isinstance(value, list):
        if shape.items is None and not shape.is_silent:
            yield "type", where, "the description has no list here"
        for item in value if shape.items else ():
            yield from body_differences(shape.items, item, (), started, f"{where}[]")
    elif shape.items is not None:
        if "string" not in shape.types:
            yield "type", where, "the description has a list here"
    elif isinstance(value, str) and REFERENCE.search(value):
        return
    elif shape.types and not (_kinds(value) & shape.types or (isinstance(value, str) and START.search(value))):
        yield "type", where, f"{value!r} is no {' or '.join(sorted(shape.types))}"
    else:
        yield from value_differences(where, started(value) if isinstance(value, str) else written(value), shape)


def _kinds(value: Any) -> set[str]:
    """What JSON calls a scalar."""
    if isinstance(value, bool):
        return {"boolean"}
    return {"integer", "number"} if isinstance(value, int) else {"number"} if isinstance(value, float) else {"string"}

"""Data as Python that a person would have written: the file of a source that is ejected from the registry."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from dango.connectors.extensions import uses_extensions
from dango.registry.entry import Entry
from dango.registry.field import FieldSpec
from dango.registry.template import PLACEHOLDER, SECRETS, placeholders

_WIDTH = 100
_ANNOTATIONS = {"int": "int", "float": "float", "bool": "bool", "list": "list[Any]", "json": "Any"}


def rest_file(entry: Entry, name: str, config: Mapping[str, Any], parameters: Sequence[FieldSpec]) -> str:
    """A module with one function, named like the source, that makes it of a `rest_api` configuration.

    Args:
        entry: what it is made of.
        name: the source's, which is also the module's and the function's.
        config: the configuration, in which placeholders stand for the parameters.
        parameters: the fields that have a value, or need one.
    """
    rate = entry.rate_limit.requests_per_second
    own = rate is not None or uses_extensions(config)
    lines = [
        f'"""{entry.title}, as the registry entry `{entry.id}` had it: a source of your own from here on."""',
        "",
        *_imports(own, {found.filter for found in placeholders(config)}, any(spec.secret for spec in parameters)),
        "",
        "",
        *_head(name, list(_parameters(parameters))),
        *([f'    """{entry.summary}."""'] if entry.summary else []),
        f"    config: dict[str, Any] = {literal(config, 4, 24)}",
        f"    return rest_api(config, name={json.dumps(name)}{f', requests_per_second={rate:g}' if rate else ''})"
        if own
        else f"    return rest_api_source(config, name={json.dumps(name)}, section={json.dumps(name)})",
    ]
    return "\n".join(lines) + "\n"


def _imports(own: bool, filters: Collection[str], secrets: bool) -> list[str]:
    ours = [
        *(["from dango.connectors.rest import rest_api"] if own else []),
        *(["from dango.conversions import convert"] if set(filters) - {"", "int", "json"} else []),
    ]
    return [
        *(["import json"] if "json" in filters else []),
        "from typing import Any",
        "",
        *(["import dlt"] if secrets else []),
        "from dlt.sources import DltSource",
        *([] if own else ["from dlt.sources.rest_api import rest_api_source"]),
        *(["", *ours] if ours else []),
    ]


def _head(name: str, parameters: Sequence[str]) -> list[str]:
    flat = f"def {name}({', '.join(parameters)}) -> DltSource:"
    if len(flat) <= _WIDTH:
        return [flat]
    return [f"def {name}(", *(f"    {parameter}," for parameter in parameters), ") -> DltSource:"]


def _parameters(specs: Sequence[FieldSpec]) -> Iterator[str]:
    """The function's parameters; those without a default come first, as Python wants it."""
    for spec in sorted(specs, key=lambda spec: spec.secret or spec.default is not None):
        annotation = _ANNOTATIONS.get(spec.kind, "str")
        if spec.secret:
            yield f"{spec.name}: {annotation} = dlt.secrets.value"
        elif spec.default is not None:
            default = spec.default.isoformat() if hasattr(spec.default, "isoformat") else spec.default
            yield f"{spec.name}: {annotation} = {literal(default, 0)}"
        else:
            yield f"{spec.name}: {annotation}"


def literal(value: Any, indent: int, before: int = 0) -> str:
    """A value as Python; what is too long for its line is broken into one line an item.

    Args:
        value: plain data; in texts, placeholders become the names of parameters.
        indent: how far the line is indented on which the value begins.
        before: how much stands on that line before it.
    """
    flat = _flat(value)
    if indent + before + len(flat) < _WIDTH or not isinstance(value, Mapping | list | tuple) or not value:
        return flat
    inner = indent + 4
    if isinstance(value, Mapping):
        names = {key: f"{_flat(key)}: " for key in value}
        items = [names[key] + literal(item, inner, len(names[key])) for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        items = [literal(item, inner) for item in value]
        opening, closing = "[", "]"
    body = "".join(f"{' ' * inner}{item},\n" for item in items)
    return f"{opening}\n{body}{' ' * indent}{closing}"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_flat(key)}: {_flat(item)}' for key, item in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_flat, value))}]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(text: str) -> str:
    if whole := PLACEHOLDER.fullmatch(text):
        return _expression(whole, quote='"')
    if not PLACEHOLDER.search(text):
        return json.dumps(text, ensure_ascii=False)
    parts, done = [], 0
    for found in PLACEHOLDER.finditer(text):
        parts += [_escaped(text[done : found.start()]), f"{{{_expression(found)}}}"]
        done = found.end()
    return f'f"{"".join([*parts, _escaped(text[done:])])}"'


def _escaped(text: str) -> str:
    """A part of an f-string: what is a brace to dlt stays one."""
    return json.dumps(text, ensure_ascii=False)[1:-1].replace("{", "{{").replace("}", "}}")


def _expression(found: re.Match[str], quote: str = "'") -> str:
    """The parameter, through its filter. Inside an f-string the other quote is the only one that Python 3.10 takes."""
    name, form = found.group(1).removeprefix(SECRETS), found.group(2)
    match form:
        case None:
            return name
        case "int":
            return f"int({name})"
        case "json":
            return f"json.dumps({name})"
        case _:
            return f"convert({name}, {quote}{form}{quote})"

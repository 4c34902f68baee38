"""What was asked against what an entry says, and what dlt put in place of its own placeholders."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.registry.declared import REFERENCE, START, Declared


def pattern(template: str, *, greedy: bool = False) -> str:
    """A template as a regular expression: what dlt fills in is captured."""
    literal = template.replace("{{", "\0").replace("}}", "\1")
    parts = re.split(r"\{(?:resources|incremental)\.[^{}]+\}", literal)
    escaped = [re.escape(part.replace("\0", "{").replace("\1", "}")) for part in parts]
    return ("(.*)" if greedy else "([^/]+)").join(escaped)


def unlike(each: Declared, sent: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """What of the query that an entry wants is missing or different; what its paginator sends is left out."""
    for name, value in each.params.items():
        if name in paging_params(each):
            continue
        if name not in sent:
            yield f"the parameter {name} is missing"
            continue
        texts = [str(item) for item in (value if isinstance(value, list | tuple) else [value])]
        if len(texts) != len(sent[name]) or not all(
            re.fullmatch(pattern(text, greedy=True), given) for text, given in zip(texts, sent[name], strict=True)
        ):
            yield f"the parameter {name} is {','.join(sent[name])}"


def unlike_body(each: Declared, body: Any) -> list[str]:
    """What of the body that an entry wants is missing or different; what its paginator puts there is left out."""
    if each.json is None:
        return []
    return list(_unlike_value(each.json, body, "", {p for k, p in each.paginator.items() if k.endswith("_body_path")}))


def _unlike_value(wanted: Any, sent: Any, where: str, paged: set[Any]) -> Iterator[str]:
    if where in paged:
        return
    if isinstance(wanted, Mapping) and isinstance(sent, Mapping):
        for name, item in wanted.items():
            yield from _unlike_value(item, sent.get(name), f"{where}.{name}".lstrip("."), paged)
    elif isinstance(wanted, list) and isinstance(sent, list) and len(wanted) == len(sent):
        for number, (item, given) in enumerate(zip(wanted, sent, strict=True)):
            yield from _unlike_value(item, given, f"{where}[{number}]", paged)
    elif isinstance(wanted, str):
        if not re.fullmatch(pattern(wanted, greedy=True), str(sent), re.DOTALL):
            yield f"{where} is missing or different in the body"
    elif wanted != sent:
        yield f"{where} is missing or different in the body"


def _pairs(template: Any, sent: Any) -> Iterator[tuple[str, str]]:
    """Each text of a template, with what was sent in its place."""
    if isinstance(template, Mapping) and isinstance(sent, Mapping):
        for name in template.keys() & sent.keys():
            yield from _pairs(template[name], sent[name])
    elif isinstance(template, list | tuple) and isinstance(sent, list):
        for item, given in zip(template, sent, strict=False):
            yield from _pairs(item, given)
    elif isinstance(template, str):
        given = sent[0] if isinstance(sent, list) and sent else sent
        yield template, str(given)


def _filled_in(template: Any, sent: Any, what: re.Pattern[str]) -> Iterator[str]:
    """What dlt put in place of some placeholders."""
    for text, given in _pairs(template, sent):
        if not what.search(text):
            continue
        names = re.findall(r"\{(?:resources|incremental)\.[^{}]+\}", text.replace("{{", "").replace("}}", ""))
        found = re.fullmatch(pattern(text, greedy=True), given, re.DOTALL)
        for name, value in zip(names, found.groups() if found else (), strict=False):
            if what.search(name):
                yield value


def parents_of(each: Declared, query: Mapping[str, Sequence[str]], body: Any) -> tuple[str, ...]:
    """The parents' fields that a request was made of, those in its path left out."""
    return (*_filled_in(each.params, query, REFERENCE), *_filled_in(each.json, body, REFERENCE))


def starts(each: Declared, query: Mapping[str, Sequence[str]], body: Any) -> Iterator[str]:
    """What came in place of `{incremental.start_value}`."""
    yield from _filled_in(each.params, query, START)
    yield from _filled_in(each.json, body, START)


def paging_params(each: Declared) -> set[str]:
    """The parameters that the paginator sends."""
    return {value for key, value in each.paginator.items() if key.endswith("_param") and value}

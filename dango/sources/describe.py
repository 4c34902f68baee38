"""Any dlt source's function as the fields that a wizard asks: read from its signature, its types and its docstring."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import inspect
import re
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dango.dlt_internals import names as dlt_names
from dango.project import NATIVE
from dango.registry.entry import Entry, Function
from dango.registry.field import FieldSpec
from dango.sources.arguments import annotations_of, hints_of, signature_of, types_in
from dango.sources.imports import Located

_KINDS: Mapping[type, str] = {
    bool: "bool", int: "int", float: "float", decimal.Decimal: "float", dt.datetime: "datetime", dt.date: "date",
    list: "list", tuple: "list", set: "list", dict: "json", str: "string", Path: "path",
}  # fmt: skip


def described(located: Located, module: str, kind: str = NATIVE) -> Entry:
    """The source's function as an entry of its own, which the wizard asks as it asks any other.

    Args:
        located: the function.
        module: as it is to be written in `source_module`.
        kind: what is to be written under `type:`.
    """
    fields = tuple(_fields(located.function))
    arguments = {
        spec.name: f"${{secrets.{spec.name}}}" if spec.secret else f"${{{spec.name}}}"
        for spec in fields
        if "__" not in spec.name
    }
    text = inspect.getdoc(inspect.unwrap(located.function)) or ""
    return Entry(
        registry=1,
        id=kind,
        title=f"{module}.{located.name}",
        category="generic",
        summary=text.split("\n\n")[0].replace("\n", " ").strip(),
        fields=fields,
        build=Function(kind="function", function=f"{module}:{located.name}", args=arguments),
    )


def _fields(function: Any) -> Iterator[FieldSpec]:
    signature = signature_of(function)
    hints, annotated = hints_of(function), annotations_of(function)
    said = arguments_said(inspect.getdoc(inspect.unwrap(function)) or "")
    for name, parameter in (signature.parameters if signature else {}).items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY):
            continue
        hint = hints.get(name, parameter.annotation)
        if not (dlt_names.is_secret(hint) or dlt_names.is_configuration(hint)):
            # dlt leaves out of a type what it cannot read itself; what is written as text may not be known.
            written = annotated.get(name)
            hint = hint if written is None or isinstance(written, str) else written
        if dlt_names.is_configuration(hint) and not dlt_names.is_connection_string(hint):
            yield from _embedded(name, hint, parameter.default, said.get(name, ""))
        elif (spec := _field(name, hint, parameter.default, said.get(name, ""))) is not None:
            yield spec


def _field(name: str, hint: Any, default: Any, help_: str) -> FieldSpec | None:
    """The field of one parameter; None for one that no text and no YAML can give."""
    needed = dlt_names.is_open(default)
    secret = dlt_names.is_secret(hint) if hint is not inspect.Parameter.empty else False
    optional = dlt_names.is_optional(hint)
    if secret:
        return FieldSpec(name=name, kind="secret", required=needed and not optional, help=help_)
    options = _options(hint)
    kind = "enum" if options else _kind(hint)
    if kind is None:
        return FieldSpec(name=name, kind="json", required=True, help=help_) if needed and not optional else None
    plain = default.value if isinstance(default, enum.Enum) else default
    spec: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "options": options,
        "help": help_,
        "required": needed and not optional,
    }
    if not needed and _is_plain(plain):
        spec["default"] = list(plain) if isinstance(plain, tuple | set | frozenset) else plain
    return FieldSpec(**spec)


def _embedded(name: str, hint: Any, default: Any, help_: str) -> Iterator[FieldSpec]:
    """The fields of a parameter that is a configuration itself: dlt reads them from a section of its name.

    None is needed for sure: which of them are depends on the others, and a cloud may know who one is. They are folded
    away where there may be none at all, or others: of several kinds of credentials these are the first's.
    """
    spared = not dlt_names.is_open(default) or len([*types_in(hint)]) > 1
    for field, inner in dlt_names.embedded_fields(hint).items():
        spec = _field(f"{name}__{field}", inner, None, help_)
        if spec is not None:
            title = f"{name}: {field.replace('_', ' ')}"
            yield spec.model_copy(update={"title": title, "advanced": spared})


def _kind(hint: Any) -> str | None:
    if hint is inspect.Parameter.empty or hint is Any:
        return "string"
    kinds = [kind for kind in types_in(hint) if kind is not type(None)]
    if any(issubclass(kind, dlt_names.Incremental) for kind in kinds):
        return "json"
    if str in kinds or Any in kinds:
        return "string"
    for kind in kinds:
        for known, name in _KINDS.items():
            if issubclass(kind, known):
                return name
        if issubclass(kind, typing.get_origin(typing.Sequence[Any]) or list):
            return "list"
        if issubclass(kind, Mapping):
            return "json"
    return None if kinds else "string"


def _options(hint: Any) -> tuple[Any, ...]:
    if typing.get_origin(hint) is typing.Literal:
        return typing.get_args(hint)
    for argument in typing.get_args(hint):
        if found := _options(argument):
            return found
    return tuple(each.value for each in hint) if isinstance(hint, type) and issubclass(hint, enum.Enum) else ()


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(_is_plain, value))
    # Not every mapping: an incremental is one too.
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(item) for key, item in value.items())
    return isinstance(value, str | int | float | bool | dt.date) or value is None


def arguments_said(docstring: str) -> dict[str, str]:
    """What a docstring says of each argument: in Google's, NumPy's or Sphinx's manner, on one line each."""
    return {**_google(docstring), **_numpy(docstring), **_sphinx(docstring)}


def _google(docstring: str) -> dict[str, str]:
    section = re.search(r"^Arg(?:ument)?s:[ \t]*\n((?:(?:[ \t]+.*)?\n?)*)", docstring, re.MULTILINE)
    found: dict[str, str] = {}
    name = ""
    for line in section.group(1).splitlines() if section else ():
        if entry := re.match(r"[ \t]{1,8}\*{0,2}(\w+)[ \t]*(?:\([^)]*\))?:(?:[ \t]*\([^)]*\):)?[ \t]*(.*)", line):
            name, found[entry.group(1)] = entry.group(1), entry.group(2).strip()
        elif name and line.strip():
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found


def _numpy(docstring: str) -> dict[str, str]:
    section = re.search(r"^Parameters\n-{3,}\n(.*?)(?:\n\n\w+\n-{3,}|\Z)", docstring, re.MULTILINE | re.DOTALL)
    entries = re.findall(r"^(\w+)[ \t]*(?::.*)?\n((?:[ \t]+.*\n?)+)", section.group(1) if section else "", re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}


def _sphinx(docstring: str) -> dict[str, str]:
    entries = re.findall(r"^:param[ \t](?:[\w.\[\], |]+[ \t])?(\w+):[ \t]*(.*(?:\n[ \t]+.*)*)", docstring, re.MULTILINE)
    return {name: " ".join(text.split()) for name, text in entries}

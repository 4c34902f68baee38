"""From the values in `sources.yml` to the arguments of a function: checked, `env:` expanded, converted."""

from __future__ import annotations

import datetime as dt
import enum
import inspect
import json
import os
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import dlt
from dlt.sources import DltResource, DltSource

from dango.conversions import instant
from dango.dlt_internals import names as dlt_names
from dango.dlt_internals.names import BaseConfiguration, Incremental
from dango.errors import ArgumentError, near
from dango.project import ENV_REFERENCE
from dango.sources.imports import Located

KWARGS = ("dlt_native", "function_kwargs")


def checked(located: Located, arguments: Mapping[str, Any], loc: tuple[str, ...] = KWARGS) -> dict[str, Any]:
    """The configured arguments as the function takes them.

    Args:
        located: the function.
        arguments: by name.
        loc: the keys under which they stand in the source's block as they are, `env:` in them; empty where they do not.

    Raises:
        ArgumentError: where they do not fit.
    """
    signature = signature_of(located.function)
    if signature is None:
        if arguments:
            hint = f"remove {loc[-1]}" if loc else ""
            raise ArgumentError(f"`{located.name}` takes no arguments", hint, loc=loc)
        return {}
    accepted = signature.parameters
    names = [name for name, p in accepted.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL, p.POSITIONAL_ONLY)]
    anything = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for name in arguments:
        if name not in names and not anything:
            raise ArgumentError(
                f"`{located.name}` has no parameter `{name}`{near(name, names)}",
                f"it takes: {', '.join(names)}" if names else "it takes none",
                loc=(*loc, name) if loc else (),
            )
    hints = annotations_of(located.function)
    expanded = {
        name: expand(value, hints.get(name), (*loc, name)) if loc else value for name, value in arguments.items()
    }
    return {name: fitted(value, hints.get(name)) for name, value in expanded.items()}


def expand(value: Any, annotation: Any = None, loc: tuple[str | int, ...] = ()) -> Any:
    """The value with `env:NAME` replaced at any depth, converted by the parameter's annotation.

    Raises:
        ArgumentError: when a variable is not set, or its value does not convert (the value is not shown).
    """
    if isinstance(value, Mapping):
        return {key: expand(item, None, (*loc, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [expand(item, None, (*loc, position)) for position, item in enumerate(value)]
    if not isinstance(value, str) or not value.startswith("env:"):
        return value
    if value.startswith("env::"):
        return "env:" + value[len("env::") :]
    found = ENV_REFERENCE.fullmatch(value)
    if found is None:
        raise ArgumentError(
            "after `env:` comes the name of an environment variable (letters, digits and `_`)",
            "a text that begins with `env:` is written `env::…`", loc=loc,
        )  # fmt: skip
    name, optional = found.groups()
    text = os.environ.get(name)
    if text is None or (not text and not optional):
        raise ArgumentError(f"the environment variable {name} is {'empty' if text == '' else 'not set'}", loc=loc)
    try:
        return converted(text, annotation)
    except ValueError as error:
        # The value may be a secret; only its intended type is shown.
        wanted = inspect.formatannotation(annotation)
        raise ArgumentError(f"the environment variable {name} does not hold a valid {wanted}", loc=loc) from error


_TRUTH = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def converted(text: str, annotation: Any) -> Any:
    """A text as a value of the annotated type; text where nothing is annotated. Raises `ValueError`."""
    kinds = list(types_in(annotation))
    # `Any` is a class from Python 3.11.
    if not kinds or str in kinds or Any in kinds:
        return text
    if not text:
        return None
    failure: ValueError = ValueError(text)
    for kind in kinds:
        try:
            return _as_type(text, kind)
        except ValueError as error:
            failure = error
    raise failure


def _as_type(text: str, kind: type) -> Any:
    if kind is bool:
        if text.strip().lower() not in _TRUTH:
            raise ValueError(text)
        return _TRUTH[text.strip().lower()]
    if kind in (int, float):
        return kind(text)
    # datetime is a date; it has to be asked for first.
    if issubclass(kind, dt.datetime):
        return instant(text)
    if issubclass(kind, dt.date):
        return dt.date.fromisoformat(text)
    if issubclass(kind, BaseConfiguration):
        # Credentials are mappings to Python, and a connection string to people: dlt reads both.
        return text
    if kind in (list, tuple, set, dict) or issubclass(kind, Sequence | Mapping):
        value = json.loads(text)
        wanted = Mapping if issubclass(kind, Mapping) else list
        if not isinstance(value, wanted):
            raise ValueError(text)
        return kind(value) if kind in (tuple, set) else value
    return text


def fitted(value: Any, annotation: Any) -> Any:
    """What YAML made of a value, as the function wants it: a date where text is annotated becomes text."""
    kinds = list(types_in(annotation))
    if isinstance(value, Mapping) and any(issubclass(kind, Incremental) for kind in kinds):
        try:
            return dlt.sources.incremental(**{key: as_instant(item) for key, item in value.items()})
        except TypeError as error:
            wrong = str(error).rpartition("argument ")[2]
            raise ArgumentError(
                f"an incremental takes no {wrong}", "for example {cursor_path: updated_at, initial_value: 2024-01-01}"
            ) from error
    for kind in kinds:
        if issubclass(kind, enum.Enum) and value in [each.value for each in kind]:
            return kind(value)
    if isinstance(value, dt.date) and kinds:
        if str in kinds and not any(issubclass(kind, dt.date) for kind in kinds):
            return value.isoformat()
        if dt.datetime in kinds and not isinstance(value, dt.datetime):
            return as_instant(value)
    return value


def as_instant(value: Any) -> Any:
    """A date without a time as its beginning in UTC, since cursors are compared as instants; else the value itself."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return dt.datetime(value.year, value.month, value.day, tzinfo=dt.timezone.utc)
    return value


def types_in(annotation: Any) -> Iterator[type]:
    """The plain types that an annotation allows, unions and generics taken apart; None is left out."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from types_in(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from types_in(argument)
    elif isinstance(origin, type):
        yield origin
    elif isinstance(annotation, Incremental):
        yield Incremental
    elif hasattr(annotation, "__supertype__"):
        yield from types_in(annotation.__supertype__)
    elif isinstance(annotation, type) and annotation is not type(None) and annotation is not inspect.Parameter.empty:
        yield annotation


def annotations_of(function: Any) -> dict[str, Any]:
    """The annotations of a function's parameters, with text (`from __future__ import annotations`) evaluated."""
    wrapped = inspect.unwrap(function)
    try:
        return typing.get_type_hints(wrapped, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError):
        # Written as text and meant for type checkers alone; what it is cannot be known here.
        return dict(getattr(wrapped, "__annotations__", {}))


def hints_of(function: Any) -> dict[str, Any]:
    """The types of a function's parameters as dlt has them: what is secret is marked in the type.

    dlt itself leaves out a parameter without a default, because it never fills it in; dango does.
    """
    signature = signature_of(function)
    if signature is None:
        return {}
    annotated = annotations_of(function)
    required = {
        name: annotated[name]
        for name, parameter in signature.parameters.items()
        if parameter.default is parameter.empty and name in annotated
    }
    return {**required, **dlt_names.injectable(function)}


def signature_of(function: Any) -> inspect.Signature | None:
    """None for what is not called: a source or resource that the module has made already."""
    if isinstance(function, DltSource) or (isinstance(function, DltResource) and function.args_bound):
        return None
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    if isinstance(function, DltResource) and function.is_transformer:
        # The first is the item that dlt hands it.
        return signature.replace(parameters=list(signature.parameters.values())[1:])
    return signature

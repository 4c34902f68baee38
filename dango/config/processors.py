"""What `processors:` says: what the records of a resource go through on their way, in order.

processors:
  - rename: {created: created_at}        # a built-in by its name, and its settings
  - shop_rules:clean                     # a function of custom_sources/ or of a package
  - shop_rules:totals: {by: day}         # with arguments; it takes the whole iterator
    stream: true
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, WithJsonSchema
from pydantic_core import PydanticCustomError

from dango.config.text.values import kind
from dango.errors import near

STREAM = "stream"
TYPES = ("text", "bigint", "double", "decimal", "bool", "timestamp", "date")
"""What `cast` makes of values, by dlt's names."""
Loc = tuple[str | int, ...]
Fault = tuple[Loc, str, str]
"""Where in the settings something is wrong, what, and what would be right."""


class Processor(BaseModel):
    """One step of a resource's records: a built-in, or `module:function`, with its settings."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: str
    settings: Any = None
    stream: bool = False

    @property
    def written(self) -> Any:
        """As it stands in `sources.yml`."""
        if self.settings is None and not self.stream:
            return self.name
        return {self.name: self.settings, **({STREAM: True} if self.stream else {})}

    @property
    def is_function(self) -> bool:
        """Whether it names a function by its module."""
        return ":" in self.name


def _processor(value: Any) -> Any:
    if isinstance(value, Processor):
        return value
    written = {value: None} if isinstance(value, str) else value
    if not isinstance(written, Mapping):
        raise _wrong(f"this is {kind(value)}")
    names = [name for name in written if name != STREAM]
    if len(names) != 1 or not isinstance(names[0], str) or not names[0]:
        raise _wrong(f"this has {len(names)} names" if len(names) != 1 else "its name is no text")
    stream = written.get(STREAM, False)
    if not isinstance(stream, bool):
        raise PydanticCustomError("processor", "`stream` is true or false, not {kind}", {"kind": kind(stream)})
    return Processor(name=names[0], settings=written[names[0]], stream=stream)


def _wrong(why: str) -> PydanticCustomError:
    return PydanticCustomError(
        "processor",
        "a processor is a name, or a mapping from one name to its settings (and `stream`); {why}",
        {"why": why},
    )


# --- the built-ins, and what is wrong with what is said of them ---------------------------------------


def columns_of(settings: Any) -> tuple[str, ...]:
    """The columns that settings name, whichever way they do: one, a list, or a list under `columns`."""
    named = settings.get("columns") if isinstance(settings, Mapping) else settings
    return () if named is None else (named,) if isinstance(named, str) else tuple(named)


def faults(processor: Processor) -> Iterator[Fault]:
    """What is wrong with the settings of a built-in, as far as they alone tell."""
    check = BUILT_IN.get(processor.name)
    if check is None:
        return
    yield from check(processor.settings)
    if processor.stream:
        yield (STREAM,), f"`{processor.name}` takes records, no iterator", "`stream` is for functions"


def _mapping(example: str, values: Callable[[Any], str]) -> Callable[[Any], Iterator[Fault]]:
    """Settings that are a mapping from columns to what `values` finds nothing wrong with."""

    def check(settings: Any) -> Iterator[Fault]:
        if not isinstance(settings, Mapping) or not settings:
            yield (), f"should be a mapping from columns, not {kind(settings)}", f"for example {example}"
            return
        for column, value in settings.items():
            if why := values(value):
                yield (column,), f"`{column}`: {why}", f"for example {example}"

    return check


def _new_name(value: Any) -> str:
    return "" if isinstance(value, str) and value else f"the new name should be text, not {kind(value)}"


def _type(value: Any) -> str:
    if isinstance(value, str) and value in TYPES:
        return ""
    said = f"`{value}`{near(value, TYPES)}" if isinstance(value, str) else kind(value)
    return f"should be one of {', '.join(TYPES)}, not {said}"


def _named(example: str, *, needed: bool = True) -> Callable[[Any], Iterator[Fault]]:
    """Settings that are a column, or a list of some."""

    def check(settings: Any) -> Iterator[Fault]:
        if settings is None and not needed:
            return
        if isinstance(settings, Mapping) or not _are_columns(settings):
            yield (), f"should be a column or a list of columns, not {kind(settings)}", f"for example {example}"

    return check


def _are_columns(value: Any) -> bool:
    listed = [value] if isinstance(value, str) else value
    return isinstance(listed, list | tuple) and bool(listed) and all(isinstance(each, str) for each in listed)


def _mask(settings: Any) -> Iterator[Fault]:
    example = "for example `mask: [phone]`, or `mask: {columns: [phone], keep: 4}`"
    yield from _with_options(settings, ("keep",), example)
    keep = settings.get("keep", 0) if isinstance(settings, Mapping) else 0
    if isinstance(keep, bool) or not isinstance(keep, int) or keep < 0:
        yield ("keep",), f"`keep`: should be how many characters stay at the end, not {kind(keep)}", example


def _hash(settings: Any) -> Iterator[Fault]:
    example = "for example `hash: {columns: [email], salt: env:SALT}`"
    options = settings if isinstance(settings, Mapping) else {}
    if options:
        yield from _with_options(options, ("salt",), example)
    salt = options.get("salt")
    if not isinstance(salt, str) or not salt:
        place = ("salt",) if "salt" in options else ()
        yield place, "`hash` needs a `salt`: without one, whoever knows an address finds its hash", example


def _with_options(settings: Any, options: tuple[str, ...], example: str) -> Iterator[Fault]:
    if not isinstance(settings, Mapping):
        if not _are_columns(settings):
            yield (), f"should be columns, or a mapping with `columns`, not {kind(settings)}", example
        return
    known = ("columns", *options)
    for key in settings:
        if key not in known:
            yield (key,), f"unknown key `{key}`{near(str(key), known)}", f"valid keys: {', '.join(known)}"
    if not _are_columns(settings.get("columns")):
        yield ("columns",), "`columns`: should be a column or a list of columns", example


def _filter(settings: Any) -> Iterator[Fault]:
    example = "for example `filter: \"amount > 0 AND country = 'DE'\"`"
    if not isinstance(settings, str) or not settings.strip():
        yield (), f"should be a condition in SQL, not {kind(settings)}", example
        return
    # Most projects have no condition to read.
    from dango.config.conditions import fault

    if why := fault(settings):
        yield (), f"this is no condition in SQL: {why}", example


BUILT_IN: Mapping[str, Callable[[Any], Iterator[Fault]]] = {
    "rename": _mapping("`rename: {created: created_at}`", _new_name),
    "drop": _named("`drop: [notes, tags]`"),
    "mask": _mask,
    "hash": _hash,
    "filter": _filter,
    "cast": _mapping("`cast: {price: decimal}`", _type),
    "flatten": _named("`flatten: [address]`", needed=False),
}
"""The processors that dango has itself, by name."""

# --- in JSON Schema -----------------------------------------------------------------------------------

_COLUMNS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}


def _options(**options: Any) -> dict[str, Any]:
    known = {"columns": _COLUMNS, **options}
    return {"type": "object", "properties": known, "required": ["columns"], "additionalProperties": False}


_SETTINGS = {
    "rename": {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1},
    "drop": _COLUMNS,
    "mask": {"anyOf": [*_COLUMNS["anyOf"], _options(keep={"type": "integer", "minimum": 0})]},
    "hash": {**_options(salt={"type": "string", "minLength": 1}), "required": ["columns", "salt"]},
    "filter": {"type": "string", "minLength": 1},
    "cast": {"type": "object", "additionalProperties": {"enum": list(TYPES)}, "minProperties": 1},
    "flatten": {"anyOf": [*_COLUMNS["anyOf"], {"type": "null"}]},
}
_SCHEMA = {
    "anyOf": [
        {"type": "string", "minLength": 1},
        {
            "type": "object",
            "properties": {**_SETTINGS, STREAM: {"type": "boolean"}},
            "additionalProperties": {"anyOf": [{"type": "object"}, {"type": "null"}]},
            "minProperties": 1,
            "maxProperties": 2,
        },
    ]
}

Processors = Annotated[
    tuple[
        Annotated[
            Processor,
            BeforeValidator(_processor),
            PlainSerializer(lambda processor: processor.written),
            WithJsonSchema(_SCHEMA),
        ],
        ...,
    ]
    | None,
    Field(
        description="what records go through before they are loaded: rename, drop, mask, hash, filter, cast, flatten,"
        " or `module:function`",
        examples=[[{"drop": ["notes"]}, {"filter": "amount > 0"}, "shop_rules:clean"]],
    ),
]

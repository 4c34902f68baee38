"""From a document to a configuration, or to every problem that it has, each at its line and column."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from dango.config.document import Document
from dango.config.models import EMBEDDED, Config, Destination, Source
from dango.config.resource import Column
from dango.config.text.values import kind
from dango.errors import ConfigError, Problem, near, nearest
from dango.registry.checks import (
    at,
    blocks,
    extensions,
    named_destinations,
    processors,
    unknown_types,
    used_twice,
    without_wrong_keys,
)
from dango.registry.entry import Entry


def parse(
    document: Document,
    known_types: Iterable[str],
    entry_of: Callable[[str], Entry | None] = lambda kind: None,
    meant: Callable[[str], Iterable[str]] = lambda kind: (),
) -> Config:
    """The configuration that the document holds.

    Args:
        document: `sources.yml`.
        known_types: what may stand under `type:`.
        entry_of: the registry entry of a type; None for a type that has none.
        meant: lines for people about what a type that is not known might have been.

    Raises:
        ConfigError: with every problem of the file, each at its line and column.
    """
    types_known = set(known_types)
    problems = [
        *unknown_types(document, types_known, meant),
        *used_twice(document),
        *named_destinations(document),
        *extensions(document),
    ]
    try:
        config = Config.model_validate(document.data)
    except ValidationError as error:
        extending = {index for index, source in enumerate(blocks(document)) if source.get("extends") is not None}
        problems += problems_in(document, error, Config, extending, types_known)
        sources = without_wrong_keys(document, error)
    else:
        problems += [*_conflicts(document, config), *processors(document, config)]
        sources = dict(enumerate(config.sources))
    problems += _registered(document, sources, types_known, entry_of)
    if problems:
        raise ConfigError(sorted(problems, key=lambda problem: (problem.line, problem.column)))
    return config


def problems_in(
    document: Document,
    error: ValidationError,
    model: type[BaseModel],
    extending: Container[int] = (),
    types: Container[str] = (),
) -> list[Problem]:
    """What pydantic found, in the user's words, each at its line and column.

    Args:
        document: what was read.
        error: what pydantic says of it.
        model: of the document.
        extending: the sources, by their numbers, in which keys of others are missing or wrong; it is told there.
        types: the types of sources; of a source whose own is none of them, its block has no other mistake.
    """
    details = error.errors(include_url=False, include_context=True)
    details = [
        each
        for each in details
        if not (
            _is_elsewhere(document, each["loc"], extending)
            or (each["type"] == "extra_forbidden" and _is_block(document, each["loc"], types))
        )
    ]
    meant = {
        (*each["loc"][:-1], nearest(str(each["loc"][-1]), _keys_at(document.data, each["loc"][:-1], model)))
        for each in details
        if each["type"] == "extra_forbidden"
    }
    # A key that is there, misspelt, is told once.
    details = [each for each in details if each["type"] != "missing" or each["loc"] not in meant]
    found: dict[tuple[str, str], Problem] = {}
    for detail in reversed(details):
        problem = _problem(document, detail, model)
        # Of a union's branches each reports its own error; one at a place is enough. What is missing has no place.
        found[problem.place, problem.message if detail["type"] == "missing" else ""] = problem
    return sorted(found.values(), key=lambda problem: (problem.line, problem.column))


def _is_elsewhere(document: Document, loc: tuple[int | str, ...], extending: Container[int]) -> bool:
    """Whether what is wrong in a source is said by the one that it extends."""
    if loc[:1] != ("sources",) or len(loc) < 3 or loc[1] not in extending:
        return False
    source = document.value(loc[:2])
    key = source["type"] if loc[2] == "block" and isinstance(source.get("type"), str) else loc[2]
    inner = source.get(key)
    return key not in source or (len(loc) > 3 and isinstance(inner, dict) and loc[3] not in inner)


def _is_block(document: Document, loc: tuple[int | str, ...], types: Container[str]) -> bool:
    """Whether a key is the block of a type that the source's `type:` should name; that is told there."""
    if loc[:1] != ("sources",) or len(loc) != 3 or loc[2] not in types:
        return False
    source = document.value(loc[:2])
    return source.get("extends") is None and str(source.get("type")) not in types


def _conflicts(document: Document, config: Config) -> Iterator[Problem]:
    """What no single block shows: datasets written by two, destinations that are not there."""
    written: dict[tuple[str, str], str] = {}
    if config.destination != EMBEDDED and config.destination not in config.destinations:
        yield _no_destination(document, ("destination",), config.destination, config)
    default = config.defaults.destination or EMBEDDED
    if default != EMBEDDED and default not in config.destinations:
        yield _no_destination(document, ("defaults", "destination"), default, config)
    for index, source in enumerate(config.sources):
        loc = ("sources", index)
        try:
            destination = config.destination_of(source)
        except KeyError as missing:
            if "destination" in source.model_fields_set:
                yield _no_destination(document, (*loc, "destination"), missing.args[0], config)
            continue
        for dataset in datasets_touched(source.dataset):
            other = written.setdefault((destination.name, dataset), source.name)
            if other != source.name:
                key = ("dlt_native", "dataset_name") if source.dlt_native else ("name",)
                yield at(
                    document, (*loc, *key),
                    f"`{source.name}` and `{other}` would both write the dataset `{dataset}`",
                    "give one of them another name or `dataset_name`",
                )  # fmt: skip
                break


def _registered(
    document: Document, sources: Mapping[int, Source], types: Container[str], entry_of: Callable[[str], Entry | None]
) -> Iterator[Problem]:
    """What is wrong with the blocks of sources whose type is not `dlt_native`."""
    for index, source in sources.items():
        if source.type not in types:
            continue
        if source.type != "dlt_native" and source.dlt_native is not None:
            yield at(
                document, ("sources", index, "dlt_native"),
                f"`dlt_native:` is the block of `type: dlt_native`; that of `type: {source.type}` is `{source.type}:`",
            )  # fmt: skip
        try:
            entry = entry_of(source.type)
        except ConfigError:
            # A broken entry is told by whoever needs it: it stops its own sources, and nobody else.
            continue
        if entry is not None:
            yield from _block(document, ("sources", index), source, entry)


def _block(document: Document, loc: tuple[str | int, ...], source: Source, entry: Entry) -> Iterator[Problem]:
    names = [field.name for field in entry.fields]
    for key, value in source.block.items():
        place = (*loc, source.type, key)
        if source.extends and document.value(place) is None:
            # Of the source that it extends, where it is told.
            continue
        field = entry.field(key)
        if field is None:
            yield at(
                document, place, f"`{source.type}` has no field `{key}`{near(str(key), names)}",
                f"its fields: {', '.join(names)}" if names else "it has no fields: remove the block",
            )  # fmt: skip
        elif not (isinstance(value, str) and value.startswith("env:")):
            try:
                field.checked(value)
            except ValueError as error:
                yield at(document, place, f"`{key}` {error}", field.help)
    if not entry.select.live and entry.resources:
        own = source.block.get(entry.select.more) if entry.select.more else None
        known = [*entry.resources, *(own if isinstance(own, Mapping) else ())]
        yield from _unknown_resources(document, loc, source, known)


def _unknown_resources(
    document: Document, loc: tuple[str | int, ...], source: Source, known: Sequence[str]
) -> Iterator[Problem]:
    written = list(source.resources or ()) if "resources" in source.model_fields_set else []
    for position, name in enumerate(written):
        if name not in known:
            as_list = isinstance(document.data["sources"][loc[-1]]["resources"], list)
            yield at(
                document, (*loc, "resources", position if as_list else name),
                f"`{source.type}` has no resource `{name}`{near(name, known)}",
                f"its resources: {', '.join(known)}",
            )  # fmt: skip


def datasets_touched(dataset: str) -> tuple[str, ...]:
    """Every dataset that syncing into `dataset` may write: dlt's staging and dango's trial come with it."""
    return dataset, f"{dataset}_staging", f"{dataset}__trial", f"{dataset}__trial_staging"


def _no_destination(document: Document, loc: tuple[str | int, ...], name: str, config: Config) -> Problem:
    known = [EMBEDDED, *config.destinations]
    return at(
        document, loc, f"no destination `{name}`{near(name, known)}",
        f"add it under `destinations:`; known: {', '.join(known)}",
    )  # fmt: skip


def _problem(document: Document, detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    loc = _document_loc(document, detail["loc"], model)
    key = loc[-1] if loc else ""
    message, hint = detail["msg"], ""
    match detail["type"]:
        case "extra_forbidden":
            valid = _keys_at(document.data, loc[:-1], model)
            message = f"unknown key `{key}`{near(str(key), valid)}"
            hint = f"valid keys: {', '.join(valid)}"
        case "missing":
            message = f"the key `{key}` is missing"
        case "union_tag_not_found":
            message = f"the key {_quoted(detail, 'discriminator')} is missing"
        case "union_tag_invalid":
            loc = (*loc, detail["ctx"]["discriminator"].strip("'"))
            known = detail["ctx"]["expected_tags"]
            message = f"{_quoted(detail, 'discriminator')}: should be one of {known}, not {_quoted(detail, 'tag')}"
        case "literal_error" | "max_errors" | "host" if isinstance(detail["input"], str):
            message = f"`{key}`: {_said(message)}, not `{detail['input'][:40]}`"
        case "contract" | "schedule" | "split" | "split_size":
            message = f"`{key}`: {message}"
        case "name" | "version" | "resources" | "missing_block" | "entry" | "requirement" | "processor":
            pass
        case _:
            message = f"`{key}`: {_said(message)}, not {kind(detail['input'])}"
    return at(document, loc, message, hint)


def _quoted(detail: ErrorDetails, name: str) -> str:
    """A name of the error's context, which pydantic writes in quotes."""
    return f"`{detail['ctx'][name].strip(chr(39))}`"


def _said(message: str) -> str:
    """pydantic's words in those of the file: what it calls a dictionary, the user calls a mapping."""
    said = re.sub(r" or instance of \w+", "", message.replace("Input should be", "should be"))
    for theirs, ours in _WORDS.items():
        said = said.replace(theirs, ours)
    return said


def _document_loc(document: Document, loc: tuple[int | str, ...], model: type[BaseModel]) -> tuple[str | int, ...]:
    """pydantic's path without the parts that are its own (branches of a union), and with `block` named as written."""
    kept: list[str | int] = []
    node: Any = document.data
    for position, part in enumerate(loc):
        last = position == len(loc) - 1
        if isinstance(node, dict):
            if part == "block" and part not in node:
                part = str(node.get("type", part))
            if part not in node and not last:
                continue
            if part not in node and part not in _keys_at(document.data, tuple(kept), model):
                continue
        elif not isinstance(node, list):
            break
        kept.append(part)
        node = node[part] if _holds(node, part) else None
    return tuple(kept)


def _holds(node: Any, part: Any) -> bool:
    if isinstance(node, list):
        return isinstance(part, int) and part < len(node)
    return isinstance(node, dict) and part in node


def _keys_at(data: Any, loc: tuple[str | int, ...], model: Any) -> list[str]:
    """The keys that the block at `loc` may hold."""
    node, mapping = data, None
    for part in loc:
        node = node[part] if _holds(node, part) else None
        fields = getattr(model, "model_fields", {})
        if mapping is not None:
            # A name of the user's, which may be that of a key.
            model, mapping = _model_in(mapping, node), None
        elif part in fields:
            annotation = fields[part].annotation
            model = _model_in(annotation, node)
            mapping = annotation if _is_mapping(annotation) else None
    keys = [key for key in getattr(model, "model_fields", {}) if key != _HIDDEN.get(model)]
    block = node.get("type") if model is Source and isinstance(node, dict) else None
    return [*keys, block] if isinstance(block, str) and block not in keys else keys


_HIDDEN: Mapping[Any, str] = {Source: "block", Destination: "name", Column: "adapted"}
"""Fields for which the file has no key of their name."""


def _model_in(annotation: Any, node: Any) -> Any:
    """The model that describes the node; of several the one of the node's `kind`."""
    models = list(_models_in(annotation))
    kind = node.get("kind") if isinstance(node, dict) else None
    named = [model for model in models if kind in typing.get_args(_annotation(model, "kind"))]
    return next(iter(named or models), None)


def _is_mapping(annotation: Any) -> bool:
    return typing.get_origin(annotation) is dict or any(map(_is_mapping, typing.get_args(annotation)))


def _annotation(model: type[BaseModel], field: str) -> Any:
    return model.model_fields[field].annotation if field in model.model_fields else None


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    elif typing.get_origin(annotation) is not None or isinstance(annotation, types.UnionType):
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


_WORDS = {
    "a valid string": "text",
    "a valid boolean": "true or false",
    "a valid integer": "a whole number",
    "a valid dictionary": "a mapping",
    "a valid tuple": "a list",
    "a valid ": "a ",
}

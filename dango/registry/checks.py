"""What is wrong in `sources.yml` between its blocks, and with processors: what no model of one block can see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from dango.config.document import Document
from dango.config.extending import lineage
from dango.config.models import Config, Source
from dango.config.processors import BUILT_IN, STREAM, Processor, faults
from dango.errors import Problem, located, near
from dango.registry.plugins import PROCESSORS, named


def at(document: Document, loc: tuple[str | int, ...], message: str, hint: str = "") -> Problem:
    """A problem at the place of a key."""
    return located(Problem(message, hint), document.name, document.where(loc))


def blocks(document: Document) -> list[Any]:
    """The sources as they are written; nothing for those that are no mapping."""
    sources = document.data.get("sources")
    return [source if isinstance(source, dict) else {} for source in (sources if isinstance(sources, list) else [])]


def without_wrong_keys(document: Document, error: ValidationError) -> Mapping[int, Source]:
    """The sources without the keys of which an error tells, by their numbers; none that is nothing without them."""
    sources: dict[int, Source] = {}
    told = [each["loc"] for each in error.errors(include_url=False)]
    for index, block in enumerate(blocks(document)):
        wrong = {loc[2] for loc in told if len(loc) > 2 and loc[:2] == ("sources", index)}
        with suppress(ValidationError):
            sources[index] = Source.model_validate({key: block[key] for key in block.keys() - wrong})
    return sources


def unknown_types(document: Document, known: Iterable[str], meant: Callable[[str], Iterable[str]]) -> Iterator[Problem]:
    """Types that are neither `dlt_native`, nor in the registry, nor a package's; `meant` says what may be meant."""
    types_known = sorted(known)
    more = "dango registry list shows the types; `type: dlt_native` runs any dlt source"
    for index, source in enumerate(blocks(document)):
        kind = source.get("type")
        if isinstance(kind, str) and kind not in types_known:
            yield at(
                document, ("sources", index, "type"),
                f"unknown type `{kind}`{near(kind, types_known)}",
                "\n".join([*meant(kind), more]),
            )  # fmt: skip


def used_twice(document: Document) -> Iterator[Problem]:
    """Names that another source has already."""
    first: dict[str, int] = {}
    for index, source in enumerate(blocks(document)):
        name = source.get("name")
        if not isinstance(name, str):
            continue
        if name in first:
            line = document.where(("sources", first[name], "name"))[0]
            message = f"`{name}` is already the name of the source in line {line}"
            yield at(document, ("sources", index, "name"), message)
        first.setdefault(name, index)


def named_destinations(document: Document) -> Iterator[Problem]:
    """Destinations that say their name, which is their key."""
    destinations = document.data.get("destinations")
    for key, destination in (destinations if isinstance(destinations, dict) else {}).items():
        if isinstance(destination, dict) and "name" in destination:
            message, hint = "unknown key `name`", f"the destination's name is its key: `{key}`"
            yield at(document, ("destinations", key, "name"), message, hint)


def extensions(document: Document) -> Iterator[Problem]:
    """Sources that extend what is not there, themselves, or one of another type."""
    named = {str(source.get("name")): source for source in blocks(document)}
    extends = {name: source.get("extends") for name, source in named.items()}
    for index, source in enumerate(blocks(document)):
        above, loc = source.get("extends"), ("sources", index, "extends")
        if not isinstance(above, str):
            continue
        if above not in named:
            message = f"there is no source `{above}`{near(above, set(named) - {str(source.get('name'))})}"
            yield at(document, loc, message, f"sources: {', '.join(named)}")
            continue
        line = lineage(str(source.get("name")), extends)
        last = line[-1] if line else above
        if extends[last] in (source.get("name"), *line):
            circle = " extends ".join(f"`{name}`" for name in (source.get("name"), *line, extends[last]))
            yield at(document, loc, f"these go in a circle: {circle}")
            continue
        kind = next((named[name]["type"] for name in line if named[name].get("type")), None)
        if source.get("type") not in (None, kind) and kind is not None:
            yield at(
                document, ("sources", index, "type"), f"`{above}`, which this extends, is of the type `{kind}`",
                "remove `type`, or `extends`",
            )  # fmt: skip


def processors(document: Document, config: Config) -> Iterator[Problem]:
    """Processors that are not there, and settings that do not fit, each told once, where it stands."""
    for loc, processor in _steps(document, config):
        if not (processor.is_function or processor.name in BUILT_IN):
            known = named(PROCESSORS)
            if processor.name not in known:
                yield at(
                    document, loc, f"there is no processor `{processor.name}`{near(processor.name, known)}",
                    f"there are: {', '.join(known)}; a function is named with its module, `module:function`",
                )  # fmt: skip
        for inner, message, hint in faults(processor):
            key = inner if inner == (STREAM,) else (processor.name, *inner)
            said = message if inner or message.startswith("`") else f"`{processor.name}`: {message}"
            yield at(document, (*loc, *key), said, hint)


def _steps(document: Document, config: Config) -> Iterator[tuple[tuple[str | int, ...], Processor]]:
    """Every processor that is written, with its place; those that are taken over stand where they are written."""
    above = Source.model_construct(processors=config.defaults.processors, resources=config.defaults.resources)
    blocks: list[tuple[tuple[str | int, ...], Source]] = [(("defaults",), above)]
    blocks += [(("sources", index), source) for index, source in enumerate(config.sources)]
    for base, block in blocks:
        for loc, processor in block.steps:
            if document.value((*base, *loc)) is not None:
                yield (*base, *loc), processor

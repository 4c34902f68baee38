"""A `rest_api` configuration as the rules read it: each resource with what it inherits, each value with its place."""

from __future__ import annotations

import re
import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dango.registry.entry import Entry, RestApi
from dango.registry.lint.finding import Loc
from dango.registry.template import FORMATTED

CONFIG: Loc = ("build", "config")
_OURS = re.compile(r"\$\{[^{}]*\}")


@dataclass(frozen=True)
class Setting:
    """A value and where it is written; where it is not, the place of what should hold it."""

    value: Any
    loc: Loc
    given: bool = True


@dataclass(frozen=True)
class Reference:
    """A field of a parent that a child's request holds."""

    parent: str
    field: str
    loc: Loc


def mapping(value: Any) -> Mapping[Any, Any]:
    """The value if it is a mapping, else an empty one."""
    return value if isinstance(value, Mapping) else {}


def listed(value: Any) -> list[Any]:
    """The value as a list: keys are written as one or as several."""
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def words(value: Any) -> list[str]:
    """The texts of a value that is one or a list of them."""
    return [word for word in listed(value) if isinstance(word, str)]


def named(block: Any, default: str) -> tuple[str, Mapping[Any, Any]]:
    """The type and the options of a paginator or an auth, which is written as a name or as a mapping with `type`."""
    if isinstance(block, Mapping):
        return str(block.get("type", default)), {key: value for key, value in block.items() if key != "type"}
    return str(block), {}


def braced(text: str) -> list[str] | None:
    """The names in single braces, which dlt fills in; None where the braces do not pair.

    `${…}` is gone before dlt sees the text.
    """
    try:
        return [name for _, name, _, _ in string.Formatter().parse(_OURS.sub("", text)) if name is not None]
    except ValueError:
        return None


@dataclass(frozen=True)
class Resource:
    """One resource with the defaults that dlt merges into it."""

    position: int
    own: Mapping[Any, Any]
    defaults: Mapping[Any, Any]

    @property
    def name(self) -> str:
        return str(self.own["name"])

    @property
    def loc(self) -> Loc:
        return (*CONFIG, "resources", self.position)

    def hint(self, key: str) -> Setting:
        """A hint: the resource's own, else the default."""
        return _first(key, (self.own, self.loc), (self.defaults, (*CONFIG, "resource_defaults")))

    def endpoint(self, key: str) -> Setting:
        """A key of the endpoint: the resource's own, else the default."""
        return _first(key, *self._endpoints)

    def merged(self, key: str) -> dict[Any, Setting]:
        """What `params` (or `json`) hold: dlt merges these two key by key."""
        return {
            name: Setting(value, (*loc, key, name))
            for endpoint, loc in reversed(self._endpoints)
            for name, value in mapping(endpoint.get(key)).items()
        }

    def formatted(self) -> Iterator[tuple[str, str, Loc]]:
        """Every text in which dlt fills in `{…}`: the part of the request, the text, its place."""
        for part in FORMATTED:
            for setting in self._parts(part):
                yield from ((part, text, loc) for loc, text in texts(setting.value, setting.loc))

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """The parents' fields that its requests hold."""
        return (*self._written(), *self._resolved())

    @property
    def incremental(self) -> Setting:
        """The block that makes it incremental; not given where it is not."""
        return self.endpoint("incremental")

    @property
    def _endpoints(self) -> tuple[tuple[Mapping[Any, Any], Loc], ...]:
        return (
            (mapping(self.own.get("endpoint")), (*self.loc, "endpoint")),
            (mapping(self.defaults.get("endpoint")), (*CONFIG, "resource_defaults", "endpoint")),
        )

    def _parts(self, part: str) -> Iterator[Setting]:
        if part not in ("params", "json"):
            yield self.endpoint(part)
            return
        for key, setting in self.merged(part).items():
            yield Setting(key, setting.loc)
            yield setting

    def _written(self) -> Iterator[Reference]:
        for _, text, loc in self.formatted():
            for name in braced(text) or ():
                context, _, rest = name.partition(".")
                parent, _, field = rest.partition(".")
                if context == "resources":
                    yield Reference(parent, field, loc)

    def _resolved(self) -> Iterator[Reference]:
        for setting in self.merged("params").values():
            block = mapping(setting.value)
            if block.get("type") == "resolve":
                yield Reference(str(block.get("resource")), str(block.get("field")), setting.loc)


@dataclass(frozen=True)
class Api:
    """The configuration of an entry of kind `rest_api`."""

    entry: Entry
    build: RestApi

    @property
    def config(self) -> Mapping[str, Any]:
        return self.build.config

    @property
    def client(self) -> Mapping[Any, Any]:
        return mapping(self.config.get("client"))

    @cached_property
    def resources(self) -> tuple[Resource, ...]:
        defaults = mapping(self.config.get("resource_defaults"))
        return tuple(Resource(n, own, defaults) for n, own in enumerate(self.config["resources"]))

    def paginator(self, resource: Resource) -> Setting:
        """The paginator that walks a resource: its endpoint's, else the client's."""
        own = resource.endpoint("paginator")
        if own.value is not None and named(own.value, "auto")[0] != "auto":
            return own
        return Setting(self.client.get("paginator"), (*CONFIG, "client", "paginator"), "paginator" in self.client)

    def paginators(self) -> Iterator[Setting]:
        """Every paginator that is written."""
        return self._written("paginator")

    def auths(self) -> Iterator[Setting]:
        """Every auth that is written."""
        return self._written("auth")

    def _written(self, key: str) -> Iterator[Setting]:
        places = [Setting(self.client.get(key), (*CONFIG, "client", key)), *(r.endpoint(key) for r in self.resources)]
        yield from {setting.loc: setting for setting in places if setting.value is not None}.values()


def texts(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    """Every text in a value, keys of mappings too, with its place."""
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str):
                yield (*loc, key), key
            yield from texts(item, (*loc, key))
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            yield from texts(item, (*loc, position))


def _first(key: str, *places: tuple[Mapping[Any, Any], Loc]) -> Setting:
    for holder, loc in places:
        if key in holder:
            return Setting(holder[key], (*loc, key))
    return Setting(None, places[0][1], given=False)

"""Rules about the requests of a `rest_api` entry: paths, braces, parents and children, what makes them incremental."""

from __future__ import annotations

import graphlib
from collections.abc import Iterator

from dango.errors import near
from dango.registry.lint.api import Api, Resource, braced, mapping
from dango.registry.lint.finding import Finding, Loc, error, warning
from dango.registry.lint.placeholders import may_be_empty
from dango.registry.template import placeholders
from dango.registry.vocabulary import METHODS

_START = "{incremental.start_value}"
_VALUES = ("start_value", "initial_value", "last_value", "end_value")


def start_param(api: Api) -> Iterator[Finding]:
    """dlt reads the last value anew for each page of parents: with `start_param` the second parent is asked only for
    what is newer than the first one's rows, and the rest is never loaded."""
    for child in _children(api):
        for key in ("start_param", "end_param"):
            if key in mapping(child.incremental.value):
                value = _START if key == "start_param" else "{incremental.end_value}"
                yield error(
                    (*child.incremental.loc, key),
                    f"`{key}` on `{child.name}`, which has a parent, loses rows",
                    f'write it into the request: params: {{…: "{value}"}}',
                )
        for setting in child.merged("params").values():
            if mapping(setting.value).get("type") == "incremental":
                message = f"an incremental parameter of `{child.name}`, which has a parent, loses rows"
                yield error(setting.loc, message, f'give the endpoint `incremental`, and write: "{_START}"')


def stray_brace(api: Api) -> Iterator[Finding]:
    """dlt fills in `{…}` in every text of a request; a GraphQL query is full of braces that are its own."""
    for resource in api.resources:
        for part, text, loc in resource.formatted():
            names = braced(text)
            if names is None:
                yield error(loc, f"single braces in `{part}` of `{resource.name}` do not pair", "write {{ and }}")
            elif part != "path" and any(not _has_context(name) for name in names):
                hint = "write {{ and }} for braces that are the text's own"
                yield error(loc, f"dlt takes braces in `{part}` of `{resource.name}` for its own", hint)


def unbound(api: Api) -> Iterator[Finding]:
    """A `{name}` in a path is filled from `params`, from a parent or from `incremental`, and from nothing else."""
    for resource in api.resources:
        params = resource.merged("params")
        for part, text, loc in resource.formatted():
            for name in braced(text) or ():
                if name.startswith("incremental."):
                    yield from _incremental_value(resource, name, loc)
                elif part == "path" and not name.startswith("resources.") and name not in params:
                    hint = "{resources.<parent>.<field>} for a parent's field, ${<field>} for what the user says"
                    yield error(loc, f"nothing fills in `{{{name}}}` in the path of `{resource.name}`", hint)


def parents(api: Api) -> Iterator[Finding]:
    """A child has one parent, which is there and is not its own child."""
    names = [resource.name for resource in api.resources]
    for resource in api.resources:
        found = {reference.parent: reference for reference in resource.references}
        for name, reference in found.items():
            if name not in names:
                message = f"the parent `{name}` of `{resource.name}` does not exist{near(name, names)}"
                yield error(reference.loc, message, f"resources: {', '.join(names)}")
            elif not reference.field:
                hint = f"{{resources.{name}.<field>}}"
                yield error(reference.loc, f"`{{resources.{name}}}` names no field of the parent", hint)
        if len(found) > 1:
            message = f"`{resource.name}` has two parents: {', '.join(found)}"
            yield error(resource.loc, message, "let one of them hand down the other's field: include_from_parent")


def circle(api: Api) -> Iterator[Finding]:
    """Parents that need their own children first are never loaded."""
    known = {resource.name: resource for resource in api.resources}
    graph = {name: {r.parent for r in resource.references} & set(known) for name, resource in known.items()}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as found:
        names = found.args[1]
        yield error(known[names[0]].loc, f"resources are each other's parents: {' → '.join(names)}")


def single_entity(api: Api) -> Iterator[Finding]:
    """dlt takes a path that ends in a placeholder for one record, and asks for one page, unless the endpoint itself
    says how to go on; the client's paginator does not count."""
    for resource in api.resources:
        path = resource.endpoint("path")
        last = path.value.rstrip("/").rpartition("/")[2] if isinstance(path.value, str) else ""
        if braced(last) and resource.endpoint("paginator").value is None:
            message = f"the path of `{resource.name}` ends in a placeholder: dlt asks for one page only"
            yield error(path.loc, message, "give the endpoint its own `paginator`; single_page if it is one record")


def include_from_parent(api: Api) -> Iterator[Finding]:
    """There is nothing to include without a parent."""
    for resource in api.resources:
        included = resource.hint("include_from_parent")
        if included.value and not resource.references:
            yield error(included.loc, f"`{resource.name}` has no parent to include anything from")


def method(api: Api) -> Iterator[Finding]:
    """dlt asks by GET or POST."""
    for resource in api.resources:
        written = resource.endpoint("method")
        if written.value is not None and written.value not in METHODS:
            yield error(written.loc, f"`{written.value}` is no method of dlt's", "GET or POST")


def duplicate(api: Api) -> Iterator[Finding]:
    """Two resources of one name would load into one table."""
    seen: set[str] = set()
    for resource in api.resources:
        if resource.name in seen:
            yield error((*resource.loc, "name"), f"the resource `{resource.name}` is there twice")
        seen.add(resource.name)


def incremental_parent(api: Api) -> Iterator[Finding]:
    """Children are asked for only for the parents that this run loaded: those of an unchanged parent are missed.

    That may be what is wanted; `describe` then tells whoever chooses the child.
    """
    incremental = {parent.name: parent for parent in api.resources if isinstance(parent.incremental.value, dict)}
    for child in _children(api):
        for reference in child.references if child.name not in api.entry.describe else ():
            if parent := incremental.get(reference.parent):
                message = f"`{parent.name}` is incremental: only for what is new of it `{child.name}` is asked for"
                hint = f"a parent of its own that loads all, or a line in `describe` that says so of `{child.name}`"
                yield warning(parent.incremental.loc, message, hint)


def initial_value(api: Api) -> Iterator[Finding]:
    """Without one the first run asks for everything since `None`."""
    for resource in api.resources:
        block = mapping(resource.incremental.value)
        used = any("incremental." in text and braced(text) for _, text, _ in resource.formatted())
        if used and block and block.get("initial_value") is None:
            message = f"`{resource.name}` sends its start, and has no `initial_value` to start from"
            yield error(resource.incremental.loc, message, 'initial_value: "${start_date}"')
            continue
        for found in placeholders(block.get("initial_value")) if used else ():
            field = api.entry.field(found.name)
            if field and may_be_empty(api.entry, field):
                message = f"`{field.name}` may be empty: the first run of `{resource.name}` then starts from `None`"
                yield error((*resource.incremental.loc, "initial_value"), message, f"give `{field.name}` a default")


def _children(api: Api) -> Iterator[Resource]:
    yield from (resource for resource in api.resources if resource.references)


def _has_context(name: str) -> bool:
    return name.startswith(("resources.", "incremental."))


def _incremental_value(resource: Resource, name: str, loc: Loc) -> Iterator[Finding]:
    value = name.removeprefix("incremental.")
    if not mapping(resource.incremental.value):
        yield error(
            loc, f"`{resource.name}` sends `{{{name}}}` and is not incremental", "incremental: {cursor_path: …}"
        )
    elif value not in _VALUES:
        yield error(loc, f"`{{{name}}}` is no value of an incremental{near(value, _VALUES)}", ", ".join(_VALUES))


RULES = (
    start_param, stray_brace, unbound, parents, circle, single_entity, include_from_parent, method, duplicate,
    incremental_parent, initial_value,
)  # fmt: skip

"""Rules about the rows of a `rest_api` entry: where they are in a response, what tells them apart, what is new."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from dango.errors import near
from dango.registry.lint.api import CONFIG, Api, Resource, Setting, listed, mapping, words
from dango.registry.lint.finding import Finding, error
from dango.registry.lint.pages import unknown_keys
from dango.registry.template import PLACEHOLDER
from dango.registry.vocabulary import ACTIONS, CLIENT, CONVERTS, DISPOSITIONS, ENDPOINT, INCREMENTAL, RESOURCE, STEPS
from dango.registry.vocabulary import CONFIG as CONFIG_KEYS

# By what a vendor calls its list of wanted fields: where they stand in a row, and what is sent unasked.
_LISTS = {"opt_fields": ("", ("gid",)), "fields": ("fields.", ()), "properties": ("properties.", ())}


def words_known(api: Api) -> Iterator[Finding]:
    """A key that dlt does not know; it says so in a listing of everything it does know."""
    yield from unknown_keys(api.config, CONFIG_KEYS, CONFIG, "`config`")
    yield from unknown_keys(api.client, CLIENT, (*CONFIG, "client"), "`client`")
    defaults = mapping(api.config.get("resource_defaults"))
    blocks = [(defaults, (*CONFIG, "resource_defaults")), *((r.own, r.loc) for r in api.resources)]
    for block, loc in blocks:
        yield from unknown_keys(block, RESOURCE, loc, "a resource")
        yield from unknown_keys(mapping(block.get("endpoint")), ENDPOINT, (*loc, "endpoint"), "an endpoint")


def dotted_key(api: Api) -> Iterator[Finding]:
    """A key of a nested field is named as its column is: with a dot, normalising fails after everything was asked."""
    for resource in api.resources:
        for key in ("primary_key", "merge_key"):
            setting = resource.hint(key)
            for name in words(setting.value):
                if "." in PLACEHOLDER.sub("", name):
                    yield error(setting.loc, f"`{name}` is no column", f"{key}: {name.replace('.', '__')}")


def merge_without_key(api: Api) -> Iterator[Finding]:
    """Without a key dlt appends, and each run doubles what is there."""
    for resource in api.resources:
        setting = resource.hint("write_disposition")
        written = setting.value
        kind = mapping(written).get("disposition") if isinstance(written, dict) else written
        if kind is not None and kind not in DISPOSITIONS and "${" not in str(kind):
            yield error(setting.loc, f"`{kind}` is no write disposition", ", ".join(DISPOSITIONS))
        if kind == "merge" and not (resource.hint("primary_key").value or resource.hint("merge_key").value):
            yield error(resource.loc, f"`{resource.name}` merges and has no `primary_key`", "primary_key: …")


def data_selector(api: Api) -> Iterator[Finding]:
    """Without one dlt takes the first list that it finds on the first page, whichever that is."""
    for resource in api.resources:
        setting = resource.endpoint("data_selector")
        if not isinstance(setting.value, str) or not setting.value:
            hint = 'data_selector: data, or "$" for the whole response'
            yield error(setting.loc, f"nothing says where the rows of `{resource.name}` are in a response", hint)


def cursor_path(api: Api) -> Iterator[Finding]:
    """What is incremental says by which field; without it dlt loads everything each time, or fails at the first row."""
    for resource in api.resources:
        setting = resource.incremental
        if setting.value is None:
            continue
        if not mapping(setting.value).get("cursor_path"):
            yield error(setting.loc, f"`{resource.name}` is incremental and has no `cursor_path`", "cursor_path: …")
        yield from unknown_keys(mapping(setting.value), INCREMENTAL, setting.loc, "`incremental`")


def convert(api: Api) -> Iterator[Finding]:
    """In YAML a conversion is one of dango's, by name."""
    for resource in api.resources:
        name = mapping(resource.incremental.value).get("convert")
        if name is not None and (not isinstance(name, str) or name not in CONVERTS):
            message = f"`{name}` is no conversion{near(str(name), CONVERTS)}"
            yield error((*resource.incremental.loc, "convert"), message, ", ".join(sorted(CONVERTS)))


def steps(api: Api) -> Iterator[Finding]:
    """In YAML a step is one of dango's, by name; dlt's own are functions."""
    for resource in api.resources:
        setting = resource.hint("processing_steps")
        for position, step in enumerate(listed(setting.value)):
            for name in mapping(step) or [step]:
                if name not in STEPS or not isinstance(step, Mapping):
                    message = f"`{name}` is no step{near(str(name), STEPS)}"
                    yield error((*setting.loc, position), message, "{pick: […]}, {rename: {…}} or {lift: …}")


def actions(api: Api) -> Iterator[Finding]:
    """dlt takes any word for an action, and does nothing when it is one that it does not know."""
    for resource in api.resources:
        setting = resource.endpoint("response_actions")
        for position, action in enumerate(listed(setting.value)):
            keys, word = ACTIONS["json_path" in mapping(action)]
            loc = (*setting.loc, position)
            yield from unknown_keys(mapping(action), keys, loc, "a response action")
            if mapping(action).get("action", word) != word or not isinstance(action, Mapping):
                yield error(loc, f"the response action does nothing: its `action` is not `{word}`", f"action: {word}")


def key_listed(api: Api) -> Iterator[Finding]:
    """Where the wanted fields are listed, the vendor sends no others: a key or cursor that is not listed is missing
    from every row."""
    for resource in api.resources:
        for part in ("params", "json"):
            for name, setting in resource.merged(part).items():
                if name in _LISTS:
                    yield from _not_listed(api, resource, name, setting)


def _not_listed(api: Api, resource: Resource, name: str, setting: Setting) -> Iterator[Finding]:
    before, unasked = _LISTS[name]
    text = ",".join(words(setting.value))
    given = {part.strip() for part in text.split(",")}
    if any(part.startswith("*") for part in given):
        return
    for needed in _needed(api, resource):
        field = needed.removeprefix(before)
        # What is not among a vendor's `properties` is beside them in each row, asked or not.
        if needed in unasked or (name == "properties" and field == needed):
            continue
        if not {needed, field, re.split(r"[.\[]", field)[0]} & given:
            message = f"`{name}` of `{resource.name}` leaves out `{field}`, its key or cursor"
            yield error(setting.loc, message, f"{name}: {field},{text}")


def _needed(api: Api, resource: Resource) -> list[str]:
    """The fields of a row that the entry relies on, as paths with dots."""
    keys = [word for key in ("primary_key", "merge_key") for word in words(resource.hint(key).value)]
    cursor = words(mapping(resource.incremental.value).get("cursor_path"))
    children = [child for child in api.resources if any(r.parent == resource.name for r in child.references)]
    handed = [r.field for child in children for r in child.references if r.parent == resource.name]
    included = [word for child in children for word in words(listed(child.hint("include_from_parent").value))]
    # A child's keys may be what it has from its parent: those are no fields of its own response.
    own = [key for key in keys if not any(key.startswith(f"_{r.parent}_") for r in resource.references)]
    paths = (path.removeprefix("$.").replace("__", ".") for path in (*own, *cursor, *handed, *included))
    return list(dict.fromkeys(path for path in paths if "${" not in path and path))


RULES = (
    words_known, dotted_key, merge_without_key, data_selector, cursor_path, convert, steps, actions, key_listed,
)  # fmt: skip

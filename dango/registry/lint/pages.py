"""Rules about how a `rest_api` entry logs in and turns pages: the paginators and auths that it names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dango.errors import near
from dango.registry.lint.api import Api, Setting, mapping, named
from dango.registry.lint.finding import Finding, Loc, error
from dango.registry.vocabulary import AUTHS, PAGINATORS, Keys

_LINKS = ("json_link", "header_link")
_COUNTED = ("offset", "page_number")
_SIZES = (
    "limit", "per_page", "page_size", "pageSize", "page[size]", "page_limit", "pagelen", "count", "maxResults",
    "max_results", "PageSize", "perPage", "first", "results_per_page",
)  # fmt: skip


def paginator_words(api: Api) -> Iterator[Finding]:
    """A paginator or a key of it that does not exist; dlt answers with thirty lines about all of them."""
    for setting in api.paginators():
        yield from _words(setting, PAGINATORS, "paginator", "auto")


def auth_words(api: Api) -> Iterator[Finding]:
    """An auth or a key of it that does not exist."""
    for setting in api.auths():
        yield from _words(setting, AUTHS, "auth", "bearer")


def next_link(api: Api) -> Iterator[Finding]:
    """Some vendors send the link to a next page for ever, on the last page too; these two follow it for ever."""
    if (ends := api.entry.verify.ends_pages) and "https://" in ends:
        return
    for setting in api.paginators():
        kind = named(setting.value, "auto")[0]
        if kind in _LINKS:
            hint = "verify: {ends_pages: how the last page is told, https://… where the vendor says so}"
            yield error(setting.loc, f"nothing says that the vendor's links end, which `{kind}` relies on", hint)


def guessed_paginator(api: Api) -> Iterator[Finding]:
    """Where none is named dlt guesses from the first page, and may guess one that never ends, or that ends at once."""
    for resource in api.resources:
        setting = api.paginator(resource)
        if setting.value is None or named(setting.value, "auto")[0] == "auto":
            yield error(setting.loc, f"dlt would guess how `{resource.name}` turns its pages", "paginator: single_page")


def offset_limit(api: Api) -> Iterator[Finding]:
    """dlt cannot make an offset paginator without knowing by how much to go on."""
    for setting in api.paginators():
        kind, options = named(setting.value, "auto")
        if kind == "offset" and options.get("limit") is None:
            yield error(setting.loc, "an `offset` paginator needs a `limit`", "limit: the size of a page")


def total_path(api: Api) -> Iterator[Finding]:
    """Left out it means `total`, and a response without one is an error; `null` says that there is none."""
    for setting in api.paginators():
        kind, options = named(setting.value, "auto")
        if kind in _COUNTED and "total_path" not in options:
            hint = "total_path: null, or where the vendor says how many there are"
            yield error(setting.loc, f"`{kind}` without `total_path` expects a `total` in each response", hint)


def endless_count(api: Api) -> Iterator[Finding]:
    """Something must end the pages: a total, a maximum, a flag or an empty page."""
    for setting in api.paginators():
        kind, options = named(setting.value, "auto")
        ends = ("total_path", "maximum_offset", "maximum_page", "has_more_path")
        if kind in _COUNTED and options.get("stop_after_empty_page") is False and not any(map(options.get, ends)):
            yield error(setting.loc, f"nothing ends the pages of `{kind}`", "stop_after_empty_page: true")


def page_size(api: Api) -> Iterator[Finding]:
    """Vendors refuse a page that is too large, or send a smaller one, which a counting paginator takes for the last."""
    largest = api.entry.rate_limit.page_size
    if largest is None:
        return
    for setting in _sizes(api):
        number = int(setting.value) if str(setting.value).isdecimal() else 0
        if number > largest:
            message = f"a page of {number} is larger than the vendor's {largest} (rate_limit.page_size)"
            yield error(setting.loc, message)


def _sizes(api: Api) -> Iterator[Setting]:
    for resource in api.resources:
        for part in ("params", "json"):
            yield from (setting for name, setting in resource.merged(part).items() if name in _SIZES)
    for setting in api.paginators():
        if "limit" in (options := mapping(setting.value)):
            yield Setting(options["limit"], (*setting.loc, "limit"))


def _words(setting: Setting, known: Mapping[str, Keys], what: str, default: str) -> Iterator[Finding]:
    if not isinstance(setting.value, str | Mapping):
        yield error(setting.loc, f"`{what}` is a name or a mapping with `type`")
        return
    kind, options = named(setting.value, default)
    if "${" in kind:
        return
    if kind not in known:
        message = f"`{kind}` is no {what}{near(kind, known)}"
        yield error(setting.loc, message, f"{what}s: {', '.join(sorted(known))}")
        return
    yield from unknown_keys(options, known[kind], setting.loc, f"`{kind}`")


def unknown_keys(block: Mapping[Any, Any], known: Keys, loc: Loc, what: str) -> Iterator[Finding]:
    """The keys of a block that nothing reads."""
    for key in block:
        if key not in known:
            message = f"`{key}` is no key of {what}{near(str(key), known)}"
            yield error((*loc, key), message, f"keys: {', '.join(sorted(known))}")


RULES = (
    paginator_words, auth_words, next_link, guessed_paginator, offset_limit, total_path, endless_count, page_size,
)  # fmt: skip

"""Which hosts a registry entry sends its secrets to."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from dango.registry.entry import Entry, Function, RestApi, Verified, strings
from dango.registry.template import PLACEHOLDER

_HOST = re.compile(r"^[a-z][a-z0-9+.-]*://(?:[^/@\s]*@)?(\[[^\]]+\]|[^/:?#\s]+)", re.IGNORECASE)


def hosts(entry: Entry) -> list[str]:
    """The hosts to which the entry's secrets go, each once; one that a field decides is written `${field}`.

    Empty where there is no secret, and where the code of the source alone knows.
    """
    if not entry.secrets:
        return []
    named = (host for text in _addresses(entry) for host in _host(entry, text))
    return list(dict.fromkeys((*named, *entry.allowed_hosts)))


def _addresses(entry: Entry) -> Iterator[str]:
    build = entry.build
    if isinstance(build, RestApi):
        yield from (text for _, text in strings(build.config) if "://" in text or _is_field(entry, text, "url"))
        yield str(build.config["client"]["base_url"])
    elif isinstance(build, Function | Verified):
        yield from _named(build.args)
        yield from (text for _, text in strings(build.args) if "://" in text or _is_field(entry, text, "url"))


def _named(args: Mapping[str, Any]) -> Iterator[str]:
    """What stands under `host:`, at any depth."""
    yield from (f"any://{text}" for loc, text in strings(args) if loc[-1] == "host")


def _is_field(entry: Entry, text: str, kind: str) -> bool:
    found = PLACEHOLDER.fullmatch(text)
    spec = entry.field(found.group(1)) if found else None
    return spec is not None and spec.kind == kind


def _host(entry: Entry, address: str) -> Iterator[str]:
    """The host in an address, with the defaults of its fields filled in."""

    def default(found: re.Match[str]) -> str:
        spec = entry.field(found.group(1))
        return found.group() if spec is None or spec.default is None else str(spec.default)

    text = PLACEHOLDER.sub(default, address)
    if found := _HOST.match(text):
        yield found.group(1)
    elif found := PLACEHOLDER.match(text):
        yield found.group()

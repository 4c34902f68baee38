"""Rules about `${…}`: what may be named where, and what becomes of a request when a value is empty."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from dango.errors import near
from dango.registry.entry import Entry, RestApi
from dango.registry.field import FieldSpec
from dango.registry.lint.api import texts
from dango.registry.lint.fields import template
from dango.registry.lint.finding import Finding, Loc, error, warning
from dango.registry.template import FILTERS, PLACEHOLDER, SECRETS, Placeholder, placeholders

SPECIAL = ("environment", "on_error", "resources", "source")
_ANY = re.compile(r"\$\{[^{}]*\}?")
# What dlt does without only by doing something else: without `path` it asks for the resource's name.
_NEEDED = (
    "name", "base_url", "path", "type", "limit", "data_selector", "cursor_path", "primary_key", "merge_key",
    "next_url_path", "write_disposition",
)  # fmt: skip
_REQUEST = ("params", "headers", "json", "data")
_URLS = ("base_url", "access_token_url", "token_url", "path")
_SECRET_KEYS = ("token", "password", "api_key", "client_secret", "access_token", "refresh_token", "credentials")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_MARKED = re.compile(
    r"(?:[srp]k_(?:live|test)_|gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|AKIA|AIza|SG\.|shpat_|pat-|eyJ)"
    r"[A-Za-z0-9_.+/=-]{12,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_RUN = re.compile(r"[A-Za-z0-9]{24,}")


def unknown_name(entry: Entry) -> Iterator[Finding]:
    """A placeholder that is no field is always empty, and what is empty is left out without a word."""
    names = [*SPECIAL, *(f"{SECRETS if field.secret else ''}{field.name}" for field in entry.fields)]
    for found in _placeholders(entry):
        if found.name not in SPECIAL and _field(entry, found) is None:
            yield error(found.loc, f"`${{{found.name}}}` is no field of this entry{near(found.name, names)}")


def malformed(entry: Entry) -> Iterator[Finding]:
    """What is not written exactly as a placeholder is sent as it stands."""
    for loc, text in texts(*template(entry)):
        for found in _ANY.finditer(text):
            if not PLACEHOLDER.fullmatch(found.group()):
                hint = "${field}, ${secrets.field} or ${field|filter}, in lower case and without blanks"
                yield error(loc, f"`{found.group()}` is no placeholder", hint)


def unknown_filter(entry: Entry) -> Iterator[Finding]:
    """A filter that does not exist fails when the source runs, not when the entry is read."""
    for found in _placeholders(entry):
        if found.filter and found.filter not in FILTERS:
            message = f"`{found.filter}` is no filter{near(found.filter, FILTERS)}"
            yield error(found.loc, message, f"filters: {', '.join(sorted(FILTERS))}")


def secret_prefix(entry: Entry) -> Iterator[Finding]:
    """`${secrets.x}` and `${x}` say in the entry itself what is secret; each must be true."""
    for found in _placeholders(entry):
        field = _field(entry, found)
        if field and field.secret != found.name.startswith(SECRETS):
            right = f"${{{SECRETS if field.secret else ''}{field.name}}}"
            is_one = "is a secret" if field.secret else "is no secret"
            yield error(found.loc, f"`{field.name}` {is_one}", f"write {right}, or change the field's kind")


def secret_is_secret(entry: Entry) -> Iterator[Finding]:
    """What logs in must come from a field of kind secret: all else is written into `sources.yml`."""
    for found in _placeholders(entry):
        field = _field(entry, found)
        if field and not field.secret and found.loc and found.loc[-1] in _SECRET_KEYS and "auth" in found.loc:
            yield error(found.loc, f"`{field.name}` logs in and is not of kind secret", "kind: secret")


def literal_secret(entry: Entry) -> Iterator[Finding]:
    """A token in an entry is published with it. The message does not repeat it."""
    said = [{"default": field.default, "example": field.example} for field in entry.fields]
    places = (template(entry), (said, ("fields",)), (entry.verify.sample, ("verify", "sample")))
    for loc, text in (found for place in places for found in texts(*place)):
        if looks_secret(text):
            yield error(loc, "a text that looks like a token stands here", "make it a field of kind secret")


def secret_in_url(entry: Entry) -> Iterator[Finding]:
    """Addresses are logged by servers, proxies and dlt itself, and go along in redirects."""
    if not isinstance(entry.build, RestApi):
        return
    for found in _placeholders(entry):
        field = _field(entry, found)
        if field and field.secret and _in_url(entry, found.loc):
            hint = "send it in a header (`auth`) if the vendor takes it there"
            yield warning(found.loc, f"the secret `{field.name}` is sent in the address, which logs keep", hint)


def needed_key(entry: Entry) -> Iterator[Finding]:
    """Where a value is empty its key is left out; of these keys dlt then guesses, or asks for something else."""
    if not isinstance(entry.build, RestApi):
        return
    for found in _placeholders(entry):
        field = _field(entry, found)
        outside = not {"auth", *_REQUEST} & set(found.loc)
        if field and outside and found.loc[-1] in _NEEDED and may_be_empty(entry, field):
            message = f"`{field.name}` may be empty, and `{found.loc[-1]}` is then left out"
            yield error(found.loc, message, f"make `{field.name}` required, or give it a default")


def dropped_auth(entry: Entry) -> Iterator[Finding]:
    """An `auth` in which anything is empty is left out whole: a secret that was given would not be sent either."""
    by_block: dict[Loc, list[tuple[FieldSpec, Loc]]] = {}
    for found in _placeholders(entry):
        field = _field(entry, found)
        if field and "auth" in found.loc:
            by_block.setdefault(found.loc[: found.loc.index("auth") + 1], []).append((field, found.loc))
    for fields in by_block.values():
        if any(field.secret and not may_be_empty(entry, field) for field, _ in fields):
            for field, loc in fields:
                if may_be_empty(entry, field) and not field.when:
                    message = f"where `{field.name}` is empty, the whole `auth` is left out, the required secret too"
                    yield error(loc, message, f"make `{field.name}` required, or give it a default")


def optional_secret(entry: Entry) -> Iterator[Finding]:
    """Only `auth` is left out whole; elsewhere an empty secret leaves a request that is half of one."""
    if not isinstance(entry.build, RestApi):
        return
    for found in _placeholders(entry):
        field = _field(entry, found)
        if field and field.secret and "auth" not in found.loc and may_be_empty(entry, field):
            message = f"`{field.name}` is optional: where it is empty, `{found.loc[-1]}` is left out"
            yield warning(found.loc, message, "put it into an `auth`, or make it required")


def https(entry: Entry) -> Iterator[Finding]:
    """Over http everyone on the way reads the token."""
    for loc, text in texts(*template(entry)):
        if loc[-1] in _URLS and _unsafe(text):
            yield error(loc, f"`{loc[-1]}` is not https", "https://…")
    for position, field in enumerate(entry.fields):
        if field.name in _URLS and isinstance(field.default, str) and _unsafe(field.default):
            yield error(("fields", position, "default"), f"the default of `{field.name}` is not https", "https://…")


def host_field(entry: Entry) -> Iterator[Finding]:
    """A field inside the host's name can name another host, such as `evil.example/`, and the token goes there."""
    for loc, text in texts(*template(entry)):
        if loc[-1] not in _URLS or not text.lower().startswith("http"):
            continue
        host = re.split(r"[/?#]", text.partition("://")[2])[0]
        for found in placeholders(host):
            field = _field(entry, found)
            if field and not field.pattern and not field.options and field.kind not in ("int", "float", "bool"):
                message = f"`{field.name}` is a part of the host and may hold anything"
                yield warning(loc, message, f"give `{field.name}` a pattern, such as '^[a-z0-9-]+$'")


def looks_secret(text: str) -> bool:
    """Whether a text holds something long and random, or something marked as a token by whoever issues it."""
    if any(len(set(found.group())) > 10 for found in _MARKED.finditer(text)):
        return True
    return any(_turns(found.group()) >= 6 for found in _RUN.finditer(text))


def may_be_empty(entry: Entry, field: FieldSpec) -> bool:
    """Whether the field may end up without a value."""
    if field.default not in (None, "", []):
        return bool(field.when)
    in_the_one_group = len(entry.groups) == 1 and field.name in entry.groups[0]
    return bool(field.when) or not (field.required or in_the_one_group)


def _placeholders(entry: Entry) -> Iterator[Placeholder]:
    yield from placeholders(*template(entry))


def _field(entry: Entry, found: Placeholder) -> FieldSpec | None:
    return entry.field(found.name.removeprefix(SECRETS))


def _in_url(entry: Entry, loc: Loc) -> bool:
    if loc[-1] in ("base_url", "path") or "params" in loc:
        return True
    block = template(entry)[0]
    for part in loc[2:-1]:
        block = block[part]
    return "auth" in loc and isinstance(block, dict) and block.get("location") in ("query", "param")


def _turns(text: str) -> int:
    """How often letters and digits change places: often in what is random, seldom in what has a meaning."""
    return sum(a.isdigit() != b.isdigit() for a, b in itertools.pairwise(text))


def _unsafe(text: str) -> bool:
    if not text.lower().startswith("http://"):
        return False
    try:
        return urlsplit(text).hostname not in _LOOPBACK
    except ValueError:
        return True


RULES = (
    unknown_name, malformed, unknown_filter, secret_prefix, secret_is_secret, literal_secret, secret_in_url,
    needed_key, dropped_auth, optional_secret, https, host_field,
)  # fmt: skip

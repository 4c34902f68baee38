"""Rules about what an entry says of itself: its fields, and the names that it uses twice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dango.errors import near
from dango.registry.entry import Entry, RestApi
from dango.registry.field import FieldSpec
from dango.registry.lint.finding import Finding, Loc, error, warning
from dango.registry.template import SECRETS, placeholders

_SOUNDS_SECRET = re.compile(r"(.*_)?(token|password|passwd|passphrase|secret|api_?key|private_key|secret_key)")


def template(entry: Entry) -> tuple[Any, Loc]:
    """What placeholders are filled into, with its place."""
    if isinstance(entry.build, RestApi):
        return entry.build.config, ("build", "config")
    return entry.build.args, ("build", "args")


def default_fits(entry: Entry) -> Iterator[Finding]:
    """A default that the field itself refuses fails only at the user's, who never typed it."""
    for loc, field in _fields(entry):
        if field.secret and field.default is not None:
            yield error((*loc, "default"), f"the secret `{field.name}` has a default", "remove it: a secret is asked")
            continue
        if why := _refused(field.checked, field.default):
            yield error((*loc, "default"), f"the default of `{field.name}` {why}")
        if why := _refused(field.read if isinstance(field.example, str) else field.checked, field.example):
            yield error((*loc, "example"), f"the example of `{field.name}` {why}")


def secret_kind(entry: Entry) -> Iterator[Finding]:
    """Only what is of kind secret is kept out of `sources.yml`, of logs and of the screen."""
    for loc, field in _fields(entry):
        if not field.secret and field.kind in ("string", "json", "list") and _SOUNDS_SECRET.fullmatch(field.name):
            yield error((*loc, "kind"), f"`{field.name}` is not of kind secret", "kind: secret")


def when_names(entry: Entry) -> Iterator[Finding]:
    """A condition on a field or a value that is not there is never met: its field is never asked."""
    names = [field.name for field in entry.fields]
    for position, (loc, field) in enumerate(_fields(entry)):
        for name, wanted in field.when.items():
            place = (*loc, "when", name)
            if name not in names[:position]:
                where = "comes later" if name in names[position + 1 :] else "is itself" if name in names else ""
                message = f"`when` of `{field.name}` names `{name}`, which {where or 'is no field'}"
                yield error(place, message + ("" if where else near(name, names)), "name a field above it")
                continue
            other = entry.field(name)
            for value in wanted if isinstance(wanted, list | tuple) else [wanted]:
                if other and (_refused(other.checked, value) or value is None):
                    yield error(place, f"`{name}` never has the value that `when` of `{field.name}` asks for")


def group_names(entry: Entry) -> Iterator[Finding]:
    """A group with a name that is no field can never be filled in whole."""
    for position, group in enumerate(entry.groups):
        for place, name in enumerate(group):
            yield from _known(name, (f.name for f in entry.fields), ("groups", position, place), "field")


def resource_names(entry: Entry) -> Iterator[Finding]:
    """A resource that does not exist is offered to nobody, or asked for in vain."""
    if entry.select.more:
        yield from _known(entry.select.more, (field.name for field in entry.fields), ("select", "more"), "field")
    if not (known := entry.resources) or entry.select.live:
        return
    yield from _all_known(entry.select.default, known, ("select", "default"))
    for name in entry.describe:
        yield from _known(name, known, ("describe", name), "resource")
    for name in entry.loads:
        yield from _known(name, (*known, "*"), ("loads", name), "resource")
    if entry.check.resource:
        yield from _known(entry.check.resource, known, ("check", "resource"), "resource")
    for position, waiver in enumerate(entry.verify.waive):
        # A waiver may be about what all resources share.
        yield from _known(waiver.resource, (*known, "client"), ("verify", "waive", position, "resource"), "resource")


def sample_names(entry: Entry) -> Iterator[Finding]:
    """A test with a value that no field takes tests something else."""
    for name, value in entry.verify.sample.items():
        place: Loc = ("verify", "sample", name)
        yield from _known(name, (field.name for field in entry.fields), place, "field")
        field = entry.field(name)
        if field and (why := _refused(field.checked, value)):
            yield error(place, f"the sample of `{name}` {why}")


def unused_field(entry: Entry) -> Iterator[Finding]:
    """A question whose answer goes nowhere."""
    used = {found.name.removeprefix(SECRETS) for found in placeholders(template(entry)[0])}
    used |= {name for field in entry.fields for name in field.when}
    for loc, field in _fields(entry):
        if field.name not in used:
            written = f"${{{SECRETS if field.secret else ''}{field.name}}}"
            yield error(loc, f"nothing uses the field `{field.name}`", f"write {written} under `build`, or remove it")


def credentials_explained(entry: Entry) -> Iterator[Finding]:
    """Getting the credentials is the hard part of a source; the wizard shows how before it asks."""
    if not entry.secrets:
        return
    if not entry.setup.strip():
        yield error(("setup",), "nothing says how to get the credentials", "setup: where to click, which rights")
    if not entry.links.get("docs"):
        yield error(("links",), "there is no link to the vendor's documentation", "links: {docs: https://…}")
    for loc, field in _fields(entry):
        if field.secret and not field.title.strip():
            yield warning(loc, f"the secret `{field.name}` has no title", "title: what the vendor calls it")


def links(entry: Entry) -> Iterator[Finding]:
    """Links are opened by people who are about to paste a credential."""
    for name, link in entry.links.items():
        if not link.startswith("https://"):
            yield error(("links", name), f"the link `{name}` is no https address")


def _fields(entry: Entry) -> Iterator[tuple[Loc, FieldSpec]]:
    for position, field in enumerate(entry.fields):
        yield ("fields", position), field


def _refused(check: Callable[[Any], Any], value: Any) -> str:
    """Why the field does not take the value; nothing if it does."""
    try:
        check(value)
    except (ValueError, TypeError) as why:
        return str(why) if isinstance(why, ValueError) else "is of the wrong kind"
    return ""


def _known(name: str, known: Iterable[str], loc: Loc, what: str) -> Iterator[Finding]:
    names = tuple(known)
    if name not in names:
        yield error(loc, f"`{name}` is no {what} of this entry{near(name, names)}", f"{what}s: {', '.join(names)}")


def _all_known(names: Iterable[str], known: Iterable[str], loc: Loc) -> Iterator[Finding]:
    names_known = tuple(known)
    for position, name in enumerate(names):
        yield from _known(name, names_known, (*loc, position), "resource")


RULES = (
    default_fits, secret_kind, when_names, group_names, resource_names, sample_names,
    unused_field, credentials_explained, links,
)  # fmt: skip

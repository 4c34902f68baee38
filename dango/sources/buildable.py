"""Whether an entry can be built: dlt and the function that is called say it themselves, with stand-ins for all values.

No secret is filled in, so that none can be in what they say.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from inspect import Parameter
from pathlib import Path
from typing import Any

from dango.dlt_internals.names import ConfigFieldMissingException
from dango.errors import MissingPackage, ResolveError, near
from dango.registry.entry import Entry, Function, RestApi
from dango.registry.field import FieldSpec
from dango.registry.lint import Finding
from dango.registry.lint.finding import Loc, warning
from dango.registry.lint.finding import error as broken
from dango.registry.template import SECRETS, filled
from dango.sources.arguments import signature_of
from dango.sources.calls import STAND_IN
from dango.sources.imports import find

RULE = "builds"

_STAND_INS: Mapping[str, Any] = {
    "int": 1, "float": 1.0, "bool": True, "list": [STAND_IN], "date": dt.date(2024, 1, 31),
    "datetime": dt.datetime(2024, 1, 31, tzinfo=dt.timezone.utc), "path": "stand-in", "url": "https://stand-in.example",
    "json": {STAND_IN: 1}, "secret_file": "{}",
}  # fmt: skip


def lint_built(entry: Entry, folder: Path | None = None) -> list[Finding]:
    """What keeps the entry from being built; nothing is asked of the vendor.

    Args:
        entry: one that `lint` finds no error in.
        folder: the `custom_sources/` in which its function may be, which `imports.install` has made a package; none
            where there is no project.
    """
    if isinstance(entry.build, RestApi):
        found = list(_unbuilt(entry, entry.build))
    else:
        found = list(_uncallable(entry, folder or Path("custom_sources")))
    return [Finding(RULE, each.loc, each.message, each.hint, each.severity) for each in dict.fromkeys(found)]


def _unbuilt(entry: Entry, build: RestApi) -> Iterator[Finding]:
    from dango.connectors.rest import rest_api

    loc: Loc = ("build", "config")
    for values in _answers(entry):
        try:
            config = filled(build.config, _named(entry, values), rest_api=True)
            rest_api(config, entry.id, entry.rate_limit.requests_per_second)
        except ResolveError as error:
            yield broken(loc, error.message, error.hint)
        except ConfigFieldMissingException as error:
            yield broken(loc, f"dlt looks in vain for: {', '.join(error.fields)}", "an `auth` says all that it needs")
        except ValueError as error:
            yield broken(loc, str(error), "verify: {sample: {a field: a value that fits}}")


def _uncallable(entry: Entry, folder: Path) -> Iterator[Finding]:
    build = entry.build
    assert not isinstance(build, RestApi)
    if not isinstance(build, Function):
        # Its code comes when it is fetched.
        if (folder / build.source).is_dir():
            yield from _fits(build.source, build.function, build.args, folder, ("build", "function"))
        return
    for key, reference in (("function", build.function), ("inspect", build.inspect)):
        if reference:
            module, _, function = reference.partition(":")
            yield from _fits(module, function, build.args, folder, ("build", key))


def _fits(module: str, function: str, args: Mapping[str, Any], folder: Path, loc: Loc) -> Iterator[Finding]:
    """Whether there is such a function, and takes these arguments."""
    try:
        located = find(module, function, folder)
    except MissingPackage as error:
        yield warning(loc, error.message, error.hint)
        return
    except ResolveError as error:
        yield broken(loc, error.message, error.hint)
        return
    signature = signature_of(located.function)
    parameters = dict(signature.parameters) if signature else {}
    kinds = {parameter.kind for parameter in parameters.values()}
    names = [name for name, parameter in parameters.items() if parameter.kind in _BY_NAME]
    for name in args if Parameter.VAR_KEYWORD not in kinds else ():
        if name not in names:
            message = f"`{function}` has no parameter `{name}`{near(name, names)}"
            yield broken(
                ("build", "args", name), message, f"it takes: {', '.join(names)}" if names else "it takes none"
            )
    for name in names:
        if parameters[name].default is Parameter.empty and name not in args:
            yield broken(loc, f"`{function}` needs `{name}`, which `args` does not give")


_BY_NAME = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def _answers(entry: Entry) -> Iterator[dict[str, Any]]:
    """What users may answer: everything, only what they must, and each choice that other questions depend on."""
    yield _answered(entry, {}, optional=True)
    yield _answered(entry, {}, optional=False)
    choices = {
        (name, value): None
        for field in entry.fields
        for name, wanted in field.when.items()
        for value in (wanted if isinstance(wanted, list | tuple) else [wanted])
        if isinstance(value, str | int)
    }
    for name, value in choices:
        yield _answered(entry, {name: value}, optional=True)


def _answered(entry: Entry, chosen: Mapping[str, Any], *, optional: bool) -> dict[str, Any]:
    known: dict[str, Any] = {}
    grouped = set(entry.groups[0]) if entry.groups else set()
    for field in entry.fields:
        if not field.applies(known):
            continue
        if field.name in chosen:
            known[field.name] = chosen[field.name]
        elif optional or field.required or field.name in grouped:
            known[field.name] = _stand_in(entry, field)
        else:
            known[field.name] = field.default
    return known


def _stand_in(entry: Entry, field: FieldSpec) -> Any:
    """A value that fits the field: the entry's own where it has one, which it has of no secret."""
    if field.secret:
        return _STAND_INS.get(field.kind, STAND_IN)
    if field.name in entry.verify.sample:
        return field.checked(entry.verify.sample[field.name])
    if field.default is not None:
        return field.checked(field.default)
    if field.example is not None:
        return field.read(field.example) if isinstance(field.example, str) else field.checked(field.example)
    if field.options:
        return [field.options[0]] if field.kind == "list" else field.options[0]
    return _STAND_INS.get(field.kind, STAND_IN)


def _named(entry: Entry, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by the names of their placeholders."""
    secret = {field.name for field in entry.secrets}
    named = {f"{SECRETS}{name}" if name in secret else name: value for name, value in values.items()}
    return {**named, "source": entry.id, "resources": list(entry.select.default), "on_error": "fail"}

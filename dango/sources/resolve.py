"""A source's configuration becomes a dlt source.

Every kind of source takes this path: a function is found, its arguments are checked against its signature and
filled in, it is called, and what it gives is made a `DltSource` with the configured resources and hints.
"""

from __future__ import annotations

import faulthandler
import inspect
import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import dlt
from dlt.sources import DltResource, DltSource

from dango import packages
from dango.config.resource import Resource
from dango.dlt_internals import alike as dlt_alike
from dango.dlt_internals import names as dlt_names
from dango.dlt_internals import providers, rest_client
from dango.errors import MissingPackage, MissingSecret, NotASource, ResolveError, near
from dango.job import Job
from dango.project import Project
from dango.sources import imports
from dango.sources.arguments import checked, converted, hints_of, signature_of
from dango.sources.calls import Call, call_of
from dango.sources.hints import apply, limit


@dataclass(frozen=True)
class Resolved:
    """A source's function, with the arguments that `sources.yml` gives it, `env:` expanded."""

    function: Any
    module: str
    arguments: Mapping[str, Any] = field(repr=False)
    own: providers.OwnSection
    call: Call

    @cached_property
    def secrets(self) -> Mapping[str, str]:
        """What is secret of what was given, as text; of credentials a line for each field."""
        hints = hints_of(self.function)
        found = dict(self.call.secrets)
        for name, value in self.arguments.items():
            if isinstance(value, str | int) and dlt_names.is_secret(hints.get(name)):
                found[name] = str(value)
            elif isinstance(value, Mapping) and name in hints:
                fields = dlt_names.embedded_fields(hints[name])
                inner = [str(item) for key, item in value.items() if dlt_names.is_secret(fields.get(key))]
                found |= {name: "\n".join(inner)} if inner else {}
        return found


def resolve(job: Job, secrets: Mapping[str, Any] = MappingProxyType({})) -> Resolved:
    """Finds the function of the job's source, and its arguments.

    Args:
        job: whose source it is.
        secrets: what is to be found under the source's name before all else: answers that are not stored yet.

    Raises:
        ResolveError: a subclass for each way in which this can fail.
    """
    folder = Project(job.root).custom_sources
    own = providers.isolate(job.source.name, job.neighbours, secrets, job.extends)
    call = call_of(job, own)
    require_packages(job)
    with _bounded(float(os.environ.get("DANGO_IMPORT_SECONDS", "inf"))):
        imports.install(folder)
        located = imports.of_plugin(call.plugin) if call.plugin else imports.find(call.module, call.function, folder)
    rest_client.keep_to(job.allowed_hosts)
    arguments = checked(located, call.arguments, call.arguments_at)
    return Resolved(located.function, located.module, arguments, own, call)


def require_packages(job: Job) -> None:
    """Checks that what the source's registry entry needs is installed. Raises `MissingPackage`."""
    if job.entry and (missing := packages.missing(job.entry.requires)):
        raise MissingPackage(
            f"`{job.entry.id}` needs packages that are not installed: {', '.join(missing)}", packages.install(missing)
        )


def build(resolved: Resolved, job: Job) -> DltSource:
    """Calls the function and gives what it returns as a source, with the job's resources, hints and limit.

    What a template makes is tried with stand-ins for its secrets first, so that no message about it can hold one.

    Raises:
        MissingSecret: when a parameter that is left to dlt is found nowhere.
        NotASource: when what comes back cannot be loaded.
        ResolveError: when a resource is named that the source does not have.
    """
    try:
        if resolved.call.rehearsal is not None:
            _call(replace(resolved, arguments=resolved.call.rehearsal), job.source.name)
        given = _call(resolved, job.source.name)
        source = _as_source(given, resolved, job.source.name)
    except dlt_names.ConfigFieldMissingException as error:
        raise missing_secret(error, job.source.name) from error
    except dlt_names.ValueNotSecretException as error:
        raise secret_in_git(error) from error
    source = _selected(source, job)
    if job.limit is not None:
        limit(source, job.limit)
    for name, resource in source.selected_resources.items():
        apply(resource, _hints(job, name))
        dlt_alike.alike(resource)
    return source


def _hints(job: Job, name: str) -> Resource:
    """What is said of a resource, and what the registry entry says of all of them.

    The latter only where nothing makes it incremental: to replace a table by what is new would lose the rest.
    """
    # Nothing is to be checked where nothing is said, and what checks it takes 8 ms to be built.
    own = (job.source.resources or {}).get(name) or Resource.model_construct()
    usual = job.entry.select.hints if job.entry and own.cursor is None else None
    return own.over(usual)


def missing_secret(error: dlt_names.ConfigFieldMissingException, source: str) -> MissingSecret:
    """dlt's error in the words of this project: the section to add."""
    fields: list[str] = []
    section = f"sources.{source}"
    for name in error.fields:
        if inner := dlt_names.missing_inside(error, name):
            section = f"sources.{source}.{name}"
            fields += inner
        else:
            fields.append(name)
    names = ", ".join(f"`{name}`" for name in fields)
    lines = "\n".join(f'{name} = "…"' for name in fields)
    variable = "__".join([*section.split("."), fields[0] if fields else "key"]).upper()
    return MissingSecret(
        f"no value for {names}: neither in sources.yml, nor in the environment, nor in .dlt/secrets.toml",
        f"add to .dlt/secrets.toml:\n[{section}]\n{lines}\nor set the environment variable {variable}",
    )


def secret_in_git(error: dlt_names.ValueNotSecretException) -> ResolveError:
    """dlt's error in the words of this project."""
    return ResolveError(
        f"a secret stands in config.toml, which is in git: {error.key}",
        "move it to .dlt/secrets.toml, under the same section",
    )


def missing_parameters(names: Sequence[str], source: str, block: tuple[str, ...]) -> MissingSecret:
    """The error for parameters that nothing gives a value: what to add, and where.

    Args:
        names: of the parameters.
        source: its name.
        block: the keys of the arguments inside the source's block.
    """
    lines = "\n".join(f'{name} = "…"' for name in names)
    where = block[-1] if block else "its block"
    return MissingSecret(
        f"no value for {', '.join(f'`{name}`' for name in names)}",
        f"add to {where} in sources.yml, or to .dlt/secrets.toml:\n[sources.{source}]\n{lines}",
        loc=block,
    )


def find_value(
    resolved: Resolved, key: str, hint: Any, path: Sequence[str], tail: tuple[str, ...]
) -> providers.Found | None:
    own = resolved.own.find(key, hint, (*path[2:], *tail))
    return own or providers.others_find(key, hint, (*path, *tail))


_DATABASES = "dlt.sources.sql_database"


def _call(resolved: Resolved, source: str) -> Any:
    function = resolved.function
    if isinstance(function, DltSource):
        return function
    if isinstance(function, DltResource) and function.args_bound:
        return function
    if not callable(function):
        named_at = resolved.call.named_at
        raise NotASource(f"it is {_article(function)}, not a function, source or resource", loc=named_at)
    if inspect.isclass(function):
        raise NotASource("it is a class; name a function that makes the source", loc=resolved.call.named_at)
    arguments = {**_required(resolved, source), **resolved.arguments, **_reader(resolved)}
    if dlt_names.factory_of(function) is not None:
        return function(**arguments)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        # By position where it can be: dlt has parameters of its own that are called `name` and `f`.
        bound = inspect.signature(function).bind_partial(**arguments)
        resource = dlt.resource(dlt_names.with_configuration(function), name=function.__name__)
        return resource(*bound.args, **bound.kwargs)
    return dlt_names.with_configuration(function)(**arguments)


def _required(resolved: Resolved, source: str) -> dict[str, Any]:
    """Parameters without a default that `sources.yml` does not give: dlt leaves them, so they are looked up here."""
    signature = signature_of(resolved.function)
    assert signature is not None
    path = dlt_names.section_of(resolved.function)
    found, missing = {}, []
    hints = hints_of(resolved.function)
    for name, parameter in signature.parameters.items():
        if parameter.default is not parameter.empty or name in resolved.arguments:
            continue
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        hit = find_value(resolved, name, hints.get(name, str), path, ())
        if hit is None:
            missing.append(name)
        else:
            found[name] = converted(hit.value, hints.get(name)) if isinstance(hit.value, str) else hit.value
    if missing:
        raise missing_parameters(missing, source, resolved.call.arguments_at)
    return found


def _reader(resolved: Resolved) -> dict[str, Any]:
    """Tables of dlt's own `sql_database` come the quickest way that is exact, where nobody has chosen another."""
    path = dlt_names.section_of(resolved.function)
    if resolved.module != _DATABASES or not path[2:] or path[2] not in ("sql_database", "sql_table"):
        return {}
    chosen = {"backend", "table_loader_class", "table_adapter_callback", "type_adapter_callback"}
    if chosen & {*resolved.arguments} or find_value(resolved, "backend", str, path, ()) is not None:
        return {}
    # SQLAlchemy is an extra; here it is there.
    from dango.databases.loader import Exact, known_type, loader

    return {"table_loader_class": loader(Exact), "type_adapter_callback": known_type}


def _as_source(given: Any, resolved: Resolved, name: str) -> DltSource:
    """What the function gave, as a source."""
    if isinstance(given, DltSource):
        return given
    function = getattr(resolved.function, "__name__", name)
    # What dlt's own layout calls the module, as for a source that the module makes itself.
    called = signature_of(resolved.function) is not None
    section = dlt_names.section_of(resolved.function)[1] if called else resolved.module.rpartition(".")[2]
    if inspect.iscoroutine(given):
        given.close()
        raise NotASource(f"`{function}` is async and returns once; make it a generator (`yield`)")
    if isinstance(given, DltResource):
        if dlt_names.lacks_data(given):
            raise NotASource(f"`{function}` is a transformer: it needs a resource to take its data from")
        return _source_of(given, name, section)
    resources = list(given) if isinstance(given, list | tuple) else None
    if resources and all(isinstance(item, DltResource | DltSource) for item in resources):
        flat = [r for item in resources for r in (item.resources.values() if isinstance(item, DltSource) else [item])]
        return _source_of(flat, name, section)
    if given is None:
        raise NotASource(
            f"`{function}` returned None",
            "return (or yield) resources or rows; was a `return` or `yield` forgotten?",
        )
    # A table (Arrow, a frame) has a shape; Arrow's cannot be iterated, and a frame gives its columns' names.
    whole = isinstance(given, Mapping) or hasattr(given, "shape")
    if isinstance(given, str | bytes | int | float | bool) or not (whole or hasattr(given, "__iter__")):
        raise NotASource(
            f"`{function}` returned {_article(given)}",
            "return a dlt source, a resource, or rows (dicts, Arrow, frames)",
        )
    return _source_of(dlt.resource([given] if whole else given, name=function), name, section)


def _source_of(resources: Any, name: str, section: str) -> DltSource:
    return dlt.source(lambda: resources, name=name, section=section)()


def _selected(source: DltSource, job: Job) -> DltSource:
    chosen = job.selected
    unknown = [name for name in chosen if name not in source.resources]
    if unknown:
        names = list(source.resources)
        raise ResolveError(
            f"source `{job.source.name}` has no resource `{unknown[0]}`{near(unknown[0], names)}",
            f"its resources: {', '.join(names)}",
            loc=("resources", unknown[0]) if not job.resources else (),
        )
    return source.with_resources(*chosen) if chosen else source


def _article(value: Any) -> str:
    kind = type(value).__name__
    return f"an {kind}" if kind[0].lower() in "aeiou" else f"a {kind}"


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Ends this process, with its stack on stderr, when the block takes longer; also where Python cannot be asked."""
    if seconds < threading.TIMEOUT_MAX:
        faulthandler.dump_traceback_later(seconds, exit=True)
    try:
        yield
    finally:
        faulthandler.cancel_dump_traceback_later()

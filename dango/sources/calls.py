"""A source's configuration as the call that it stands for: a function, and its arguments.

`dlt_native` says both, a package's source brings the function, and a registry entry makes both of its fields. From here
on every source takes one path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from dango import environments
from dango.conversions import convert
from dango.dlt_internals.names import TSecretStrValue
from dango.dlt_internals.providers import Found, OwnSection
from dango.errors import ArgumentError, MissingSecret, ResolveError
from dango.job import Job
from dango.registry.entry import Entry, Function, RestApi, Verified
from dango.registry.field import EMPTY, FieldSpec
from dango.registry.plugins import Plugin
from dango.registry.template import SECRETS, filled
from dango.sources.arguments import KWARGS, expand
from dango.sources.imports import TYPE

REST = ("dango.connectors.rest", "rest_api")
STAND_IN = "stand-in"


@dataclass(frozen=True, slots=True)
class Call:
    """A function by name, and what it is called with."""

    module: str
    function: str
    arguments: Mapping[str, Any] = field(repr=False)
    inspect: str | None = None
    """`module:function` that says what there is to load, called with the same arguments."""
    plugin: Plugin | None = None
    """The package's source that the function is; None where it is looked for by its names."""
    named_at: tuple[str, ...] = ("dlt_native", "source_function")
    """The keys inside the source's block that name the function."""
    arguments_at: tuple[str, ...] = KWARGS
    """The keys under which the arguments stand there, with `env:` in them; none where they are made of fields."""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    check: str | None = None
    """`module:function` that says whether the source reaches what it reads, called with the same arguments."""
    about: str | None = None
    """`module:function` that says what the source may be told and what it has, called with the same arguments."""
    rehearsal: Mapping[str, Any] | None = None
    """The same arguments with a stand-in for each secret, by which a template is tried before it holds one."""


@dataclass(frozen=True, slots=True)
class Given:
    """A field of an entry, its value, and where that comes from."""

    spec: FieldSpec
    value: Any = field(repr=False)
    written: Any = None
    """As it stands in `sources.yml`; None where it does not."""
    found: Found | None = field(default=None, repr=False)
    """Where the environment, `secrets.toml` or `config.toml` has it."""


def call_of(job: Job, own: OwnSection) -> Call:
    """The call that the job's source stands for.

    Raises:
        ResolveError: when the registry entry is broken.
        ArgumentError: when a field's value does not fit, or a field that is needed has none.
        MissingSecret: when a secret that is needed is found nowhere.
    """
    if plugin := job.plugin:
        return Call(
            plugin.module,
            plugin.function,
            job.source.block,
            plugin=plugin,
            named_at=TYPE,
            arguments_at=(job.source.type,),
        )
    block = job.source.dlt_native
    if block is not None:
        return Call(block.source_module, block.source_function, block.function_kwargs)
    entry = job.entry
    if entry is None:
        raise ResolveError(
            f"the registry entry `{job.source.type}` is broken:\n{job.broken}",
            f"dango registry lint {job.source.type}",
            loc=TYPE,
        )
    return _of_entry(job, entry, list(given(job, entry, own)))


def given(job: Job, entry: Entry, own: OwnSection) -> Iterator[Given]:
    """Each field that applies, with its value: of the block, else found under the source's name, else the default.

    Raises:
        ArgumentError: when a value does not fit its field; a secret's value is not shown.
    """
    known: dict[str, Any] = {}
    for spec in entry.fields:
        if spec.applies(known):
            each = _given(spec, job, own)
            known[spec.name] = each.value
            yield each


def _given(spec: FieldSpec, job: Job, own: OwnSection) -> Given:
    block = job.source.block
    loc = (job.source.type, spec.name)
    if block.get(spec.name) is not None:
        written = block[spec.name]
        value = expand(written, loc=loc)
        return Given(spec, _fitted(spec, value, loc, is_text=value is not written), written)
    found = own.find(spec.name, TSecretStrValue if spec.secret else str)
    if found is not None:
        where = f" (found as {found.key})"
        return Given(spec, _fitted(spec, found.value, (), where, is_text=isinstance(found.value, str)), found=found)
    return Given(spec, spec.default)


def _fitted(spec: FieldSpec, value: Any, loc: tuple[str | int, ...], where: str = "", *, is_text: bool) -> Any:
    try:
        return spec.read(value) if is_text and isinstance(value, str) else spec.checked(value)
    except ValueError as error:
        raise ArgumentError(f"`{spec.name}` {error}{where}", spec.help, loc=loc) from error


def _of_entry(job: Job, entry: Entry, fields: list[Given]) -> Call:
    _require(job, entry, fields)
    values = {
        **{placeholder(each.spec): written_as(each.spec, each.value) for each in fields},
        "source": job.source.name,
        "resources": list(job.selected),
        "environment": _environment(job),
        "on_error": job.source.on_error or "fail",
    }
    stand_ins = {
        name: STAND_IN if name.startswith(SECRETS) and value is not None else value for name, value in values.items()
    }
    secrets = {each.spec.name: str(each.value) for each in fields if each.spec.secret and each.value is not None}
    build = entry.build
    if isinstance(build, RestApi):
        return Call(
            *REST,
            arguments=_rest(entry, build, job, values),
            secrets=secrets,
            named_at=TYPE,
            arguments_at=(),
            rehearsal=_rest(entry, build, job, stand_ins),
        )
    module, function = _reference(build.function) if isinstance(build, Function) else (build.source, build.function)
    made = Call(module, function, _arguments(build.args, values), named_at=TYPE, arguments_at=(), secrets=secrets)
    if isinstance(build, Verified):
        return made
    return replace(made, inspect=build.inspect, about=build.about, check=build.check)


def _environment(job: Job) -> str | None:
    """Where the programs of the source's own environment are; None where none of them runs."""
    # A worker that runs there itself knows less of it: dango is no package of that environment.
    asked = environments.wanted(job) if environments.has_child(job) else None
    return str(environments.scripts(asked.folder)) if asked else None


def placeholder(spec: FieldSpec) -> str:
    """The name under which a template asks for the field."""
    return f"{SECRETS}{spec.name}" if spec.secret else spec.name


def written_as(spec: FieldSpec, value: Any) -> Any:
    """The field's value as templates get it: a time as the ISO text that vendors and cursors have."""
    if value is None or spec.kind not in ("date", "datetime"):
        return value
    return convert(value, "date" if spec.kind == "date" else "iso")


def _rest(entry: Entry, build: RestApi, job: Job, values: Mapping[str, Any]) -> dict[str, Any]:
    made = {"config": _arguments(build.config, values, rest_api=True), "name": job.source.name}
    limit = entry.rate_limit.requests_per_second
    return {**made, "requests_per_second": limit} if limit else made


def _arguments(template: Mapping[str, Any], values: Mapping[str, Any], *, rest_api: bool = False) -> dict[str, Any]:
    try:
        return filled(template, values, rest_api=rest_api)
    except ValueError as error:
        raise ArgumentError(str(error)) from error


def _reference(written: str) -> tuple[str, str]:
    module, _, function = written.partition(":")
    return module, function


def _require(job: Job, entry: Entry, fields: list[Given]) -> None:
    """Everything that is missing, at once."""
    values = {each.spec.name: each.value for each in fields}
    missing = entry.missing(values)
    if not missing and entry.groups and not any(_complete(group, values) for group in entry.groups):
        sets = "; or ".join(", ".join(f"`{name}`" for name in group) for group in entry.groups)
        raise ArgumentError(
            f"`{job.source.name}` needs {sets}", f"dango source edit {job.source.name}", loc=(job.source.type,)
        )
    if not missing:
        return
    secrets = [field.name for field in missing if field.secret]
    plain = [field.name for field in missing if not field.secret]
    message = f"no value for {', '.join(f'`{field.name}`' for field in missing)}"
    hints = []
    if plain:
        hints.append(f"add to `{job.source.type}:` in sources.yml: {', '.join(f'{name}: …' for name in plain)}")
    if secrets:
        lines = "\n".join(f'{name} = "…"' for name in secrets)
        hints.append(f"add to .dlt/secrets.toml:\n[sources.{job.source.name}]\n{lines}")
    kind = MissingSecret if secrets else ArgumentError
    raise kind(message, "\n".join([*hints, f"or: dango source edit {job.source.name}"]), loc=(job.source.type,))


def _complete(group: tuple[str, ...], values: Mapping[str, Any]) -> bool:
    return all(values.get(name) not in EMPTY for name in group)

"""Where each parameter of a source gets its value, before anything runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dango.dlt_internals import names as dlt_names
from dango.dlt_internals import providers
from dango.job import Job
from dango.probe import Parameter
from dango.project import Project
from dango.registry.entry import Entry
from dango.registry.field import EMPTY
from dango.secrets import MASK, SECRETS_FILE, hidden, is_plain_key, line_of
from dango.sources.arguments import hints_of, signature_of
from dango.sources.calls import Given, given
from dango.sources.resolve import Resolved, find_value


def parameters(resolved: Resolved, job: Job) -> Iterator[Parameter]:
    """Where each parameter of the source gets its value: of its function, or of its registry entry's fields."""
    if job.entry is not None:
        yield from _fields(job, job.entry, resolved.own)
        return
    signature = signature_of(resolved.function)
    hints = hints_of(resolved.function)
    open_ = dlt_names.unresolved(resolved.function, resolved.arguments) if signature else set()
    keys, written = job.source.expandable()
    project = Project(job.root)
    for name, parameter in (signature.parameters if signature else {}).items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        hint = hints.get(name)
        secret = dlt_names.is_secret(hint)
        shown = _shown_annotation(parameter)
        if name in written:
            place = project.place(job.source.name, (*keys, name))
            yield Parameter(name, shown, _written(written[name]), place, _masked(name, written[name], secret), secret)
        else:
            yield from _left_to_dlt(resolved, name, hint, parameter, shown, job, missing=name in open_)


def fields(job: Job) -> list[Parameter]:
    """Where each field of the source's registry entry gets its value; what is missing is told, and no error."""
    assert job.entry is not None
    return list(_fields(job, job.entry, providers.isolate(job.source.name, job.neighbours, extends=job.extends)))


def _fields(job: Job, entry: Entry, own: providers.OwnSection) -> Iterator[Parameter]:
    return (_of_field(each, job) for each in given(job, entry, own))


def _of_field(each: Given, job: Job) -> Parameter:
    name, kind, secret = each.spec.name, each.spec.kind, each.spec.secret
    if each.value in EMPTY:
        missing = each.spec.required
        return Parameter(name, kind, "missing" if missing else "not given", missing=missing, secret=secret)
    if each.written is not None:
        place = Project(job.root).place(job.source.name, (job.source.type, name))
        return Parameter(name, kind, _written(each.written), place, _masked(name, each.written, secret), secret)
    if each.found is not None:
        return _located_parameter(name, kind, each.found, secret, job)
    return Parameter(name, kind, "default", value=_masked(name, each.value, secret), secret=secret)


def _left_to_dlt(
    resolved: Resolved,
    name: str,
    hint: Any,
    parameter: inspect.Parameter,
    shown: str,
    job: Job,
    *,
    missing: bool,
) -> Iterator[Parameter]:
    secret = dlt_names.is_secret(hint)
    path = dlt_names.section_of(resolved.function)
    fields = dlt_names.embedded_fields(hint) if hint is not None else {}
    found = find_value(resolved, name, hint if hint is not None else str, path, ())
    if found is not None and not (fields and isinstance(found.value, Mapping)):
        yield _located_parameter(name, shown, found, secret, job)
        return
    inner = {
        field: hit
        for field, kind in fields.items()
        if (hit := find_value(resolved, field, kind, path, (name,))) is not None
    }
    if inner:
        for field, hit in inner.items():
            hidden = dlt_names.is_secret(fields[field])
            yield _located_parameter(f"{name}.{field}", shown, hit, hidden, job)
        if missing:
            yield Parameter(name, shown, "missing in part", missing=True, secret=secret)
    elif dlt_names.is_open(parameter.default):
        missing = missing or parameter.default is parameter.empty
        # Some are found by dlt's own means (a cloud's default credentials), or are not needed (a local folder).
        yield Parameter(name, shown, "missing" if missing else "dlt", missing=missing, secret=secret)
    else:
        yield Parameter(name, shown, "default", value=_masked(name, parameter.default, secret), secret=secret)


def _located_parameter(name: str, shown: str, found: providers.Found, secret: bool, job: Job) -> Parameter:
    name_of_field = name.rpartition(".")[2]
    value = _masked(name_of_field, found.value, secret)
    if not found.files:
        return Parameter(name, shown, "environment", found.key, value, secret)
    section, _, key = found.key.rpartition(".")
    lines = ((file, line_of(Path(file), section, key)) for file in found.files)
    # The user's own settings in the home folder come after the project's.
    file, line = next((place for place in lines if place[1]), (found.files[0], 0))
    shown_file = _short(file, job.root)
    if Path(file).name == Path(SECRETS_FILE).name and not is_plain_key(key):
        value = _masked(name_of_field, found.value, True)
    place = f"{shown_file}:{line}" if line else shown_file
    return Parameter(name, shown, shown_file, f"{place} [{section}]", value, secret)


def _written(value: Any) -> str:
    """A reference says where its value is; the value itself is not shown."""
    return value if isinstance(value, str) and value.startswith("env:") else "sources.yml"


def _masked(name: str, value: Any, secret: bool) -> str:
    if isinstance(value, str) and value.startswith("env:") and not value.startswith("env::"):
        return repr(value)
    shown = hidden(value, name)
    return MASK if shown == MASK or (secret and value not in (None, "")) else repr(shown)


def _shown_annotation(parameter: inspect.Parameter) -> str:
    if parameter.annotation is parameter.empty:
        return ""
    text = inspect.formatannotation(parameter.annotation)
    text = re.sub(r"[\w.]+\.(\w+)", r"\1", text)
    return text if len(text) <= 40 else text[:39] + "…"


def _short(location: str, root: Path) -> str:
    """A file of the project by its path in the project, any other by its whole path."""
    path = Path(location)
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else location

"""Where each parameter of a source gets its value, before anything runs."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

from dango import dlt_adapter
from dango.arguments import signature_of
from dango.job import Job, Parameter
from dango.resolve import Resolved, find_value
from dango.secrets import MASK, line_of


def parameters(resolved: Resolved, job: Job) -> Iterator[Parameter]:
    """Where each parameter of the source's function gets its value."""
    signature = signature_of(resolved.function)
    hints = dlt_adapter.injectable(resolved.function) if signature else {}
    open_ = dlt_adapter.unresolved(resolved.function, resolved.arguments) if signature else set()
    written = job.source.expandable()[1]
    for name, parameter in (signature.parameters if signature else {}).items():
        if parameter.kind in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL):
            continue
        hint = hints.get(name)
        secret = dlt_adapter.is_secret(hint)
        shown = _shown_annotation(parameter)
        if name in written:
            origin, value = _written(written[name]), resolved.arguments.get(name)
            yield Parameter(name, shown, origin, "", _masked(value, secret), secret)
        else:
            yield from _left_to_dlt(resolved, name, hint, parameter, shown, job, missing=name in open_ or hint is None)


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
    secret = dlt_adapter.is_secret(hint)
    path = dlt_adapter.section_of(resolved.function)
    fields = dlt_adapter.embedded_fields(hint) if hint is not None else {}
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
            hidden = dlt_adapter.is_secret(fields[field])
            yield _located_parameter(f"{name}.{field}", shown, hit, hidden, job)
    elif dlt_adapter.is_open(parameter.default):
        # Some are found by dlt's own means (a cloud's default credentials), or are not needed (a local folder).
        yield Parameter(name, shown, "missing" if missing else "dlt", missing=missing, secret=secret)
    else:
        yield Parameter(name, shown, "default", value=_masked(parameter.default, secret), secret=secret)


def _located_parameter(name: str, shown: str, found: dlt_adapter.Found, secret: bool, job: Job) -> Parameter:
    if not found.location:
        return Parameter(name, shown, "environment", found.key, _masked(found.value, secret), secret)
    section, _, key = found.key.rpartition(".")
    file = dlt_adapter.short(found.location, job.root)
    line = line_of(job.root / file, section, key)
    place = f"{file}:{line} [{section}]" if line else f"{file} [{section}]"
    return Parameter(name, shown, file, place, _masked(found.value, secret), secret)


def _written(value: Any) -> str:
    return f"sources.yml ({value})" if isinstance(value, str) and value.startswith("env:") else "sources.yml"


def _masked(value: Any, secret: bool) -> str:
    return MASK if secret and value not in (None, "") else repr(value)


def _shown_annotation(parameter: inspect.Parameter) -> str:
    if parameter.annotation is parameter.empty:
        return ""
    text = inspect.formatannotation(parameter.annotation)
    return re.sub(r"[\w.]+\.(\w+)", r"\1", text)

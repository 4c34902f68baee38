"""Names of dlt that are not its documented public API, of no subject that has a file of its own here."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Any

from dlt.common import jsonpath
from dlt.common.configuration.exceptions import (
    ConfigFieldMissingException,
    LookupTraces,
    ValueNotSecretException,
)
from dlt.common.configuration.inject import get_fun_spec, with_config
from dlt.common.configuration.resolve import resolve_configuration
from dlt.common.configuration.specs import (
    BaseConfiguration,
    ConnectionStringCredentials,
    CredentialsConfiguration,
)
from dlt.common.configuration.specs.base_configuration import (
    extract_inner_hint,
    is_hint_not_resolvable,
    is_secret_hint,
)
from dlt.common.exceptions import DictValidationException, MissingDependencyException, TerminalException
from dlt.common.runtime.collector_base import Collector
from dlt.common.typing import ConfigValueSentinel, TSecretStrValue, is_optional_type
from dlt.extract.exceptions import ResourceExtractionError
from dlt.extract.incremental import Incremental
from dlt.extract.incremental.exceptions import IncrementalCursorInvalidCoercion
from dlt.extract.reference import SourceFactory
from dlt.extract.resource import DltResource
from dlt.pipeline.trace import TRACE_FILE_NAME

from dango.dlt_internals.providers import SOURCES

__all__ = [
    "TRACE_FILE_NAME",
    "BaseConfiguration",
    "Collector",
    "ConfigFieldMissingException",
    "DictValidationException",
    "Incremental",
    "IncrementalCursorInvalidCoercion",
    "MissingDependencyException",
    "ResourceExtractionError",
    "SourceFactory",
    "TSecretStrValue",
    "TerminalException",
    "ValueNotSecretException",
    "jsonpath",
]


def factory_of(function: Any) -> SourceFactory[Any, Any] | None:
    """The factory behind a `@dlt.source` or `@dlt.resource`; None for anything else."""
    if isinstance(function, SourceFactory):
        return function
    factory = getattr(function, "_factory", None) if isinstance(function, DltResource) else None
    return factory if isinstance(factory, SourceFactory) else None


def section_of(function: Callable[..., Any]) -> tuple[str, ...]:
    """The sections under which dlt itself looks for the function's parameters."""
    factory = factory_of(function)
    name = getattr(function, "__name__", "")
    if factory is not None and factory.ref is not None:
        return SOURCES, factory.ref.section, factory.ref.name
    return SOURCES, function.__module__.rpartition(".")[2], name


def injectable(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameters that dlt may fill in, with their types as dlt has them (secrets are marked in the type)."""
    spec = _spec(function)
    fields = dict(spec.get_resolvable_fields()) if spec else {}
    return {name: fields[name] for name in inspect.signature(function).parameters if name in fields}


def _spec(function: Callable[..., Any]) -> type[BaseConfiguration] | None:
    """The configuration that dlt made of the function's parameters."""
    factory = factory_of(function)
    if factory is not None and factory.ref is not None:
        return factory.ref.SPEC
    return _made(function) if isinstance(function, FunctionType) else get_fun_spec(with_configuration(function))


@functools.lru_cache(maxsize=64)
def _made(function: FunctionType) -> type[BaseConfiguration] | None:
    # Once for all sources of a type: dlt compiles a class for it.
    return get_fun_spec(with_configuration(function))


def with_configuration(function: Callable[..., Any]) -> Callable[..., Any]:
    """A plain function whose open parameters dlt fills in, as it does for a decorated one."""
    return with_config(function, sections=section_of(function))


def is_secret(hint: Any) -> bool:
    """Whether dlt takes a value of this type for a secret."""
    inner = extract_inner_hint(hint) if hint is not None else None
    embedded = isinstance(inner, type) and issubclass(inner, CredentialsConfiguration)
    return embedded or (hint is not None and is_secret_hint(hint))


def embedded_fields(hint: Any) -> dict[str, Any]:
    """The fields of a parameter that is itself a configuration (credentials); empty for a plain value."""
    inner = extract_inner_hint(hint)
    if isinstance(inner, type) and issubclass(inner, BaseConfiguration):
        return dict(inner.get_resolvable_fields())
    return {}


def is_configuration(hint: Any) -> bool:
    """Whether a parameter is itself a configuration, such as credentials, of which dlt finds each field."""
    inner = extract_inner_hint(hint)
    return isinstance(inner, type) and issubclass(inner, BaseConfiguration) and not issubclass(inner, Incremental)


def is_connection_string(hint: Any) -> bool:
    """Whether a parameter takes credentials that people write as one line: `postgresql://user:password@host/db`."""
    inner = extract_inner_hint(hint)
    return isinstance(inner, type) and issubclass(inner, ConnectionStringCredentials)


def is_optional(hint: Any) -> bool:
    """Whether the type allows None."""
    return hint is not inspect.Parameter.empty and bool(is_optional_type(hint))


def settable(spec: type[BaseConfiguration]) -> list[str]:
    """The fields of a destination's configuration that a user may set; the others dlt fills in itself."""
    fields = spec.get_resolvable_fields()
    return [
        name
        for name, hint in fields.items()
        if not is_hint_not_resolvable(hint) and not name.startswith(("destination_", "default_schema"))
    ]


def missing_inside(error: ConfigFieldMissingException, field: str) -> list[str]:
    """The fields that are missing of a parameter which is itself a configuration (credentials); else empty."""
    for trace in error.traces.get(field, ()):
        # A union of credentials has a trace for each kind; the first is the one that most people have.
        if isinstance(trace, LookupTraces):
            return list(trace.traces)
    return []


def unresolved(function: Callable[..., Any], arguments: Mapping[str, Any]) -> set[str]:
    """The parameters for which dlt, asked as it is when the function is called, would find nothing."""
    spec = _spec(function)
    if spec is None:
        return set()
    try:
        resolve_configuration(spec(), sections=section_of(function), explicit_value=dict(arguments))
    except ConfigFieldMissingException as error:
        return set(error.fields)
    return set()


def is_open(default: Any) -> bool:
    """Whether a parameter's default says that dlt is to find the value, or there is no default at all."""
    return default is inspect.Parameter.empty or isinstance(default, ConfigValueSentinel)


def lacks_data(resource: DltResource) -> bool:
    """Whether it is a transformer that nobody gave a resource to."""
    return resource.is_transformer and resource._pipe.parent.is_empty

"""A `rest_api` configuration in plain data becomes one that dlt takes: checked, with the extensions put in.

dlt's own validation tries every shape there is and tells how each of them failed; here it is one sentence with the
place. The extensions become objects and functions, which dlt takes wherever it takes a name, and not entries in its
tables of names: those are the whole process's, and allow a paginator no options but those of dlt's own.
"""

from __future__ import annotations

import copy
import datetime as dt
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from dlt.sources import DltResource
from dlt.sources.rest_api import typing as shapes
from dlt.sources.rest_api.config_setup import get_auth_class, get_paginator_class
from jsonpath_ng.exceptions import JSONPathError

from dango.connectors.extensions import AUTHS, PAGINATORS, STEPS, FailWhen
from dango.conversions import CONVERSIONS, convert
from dango.dlt_internals.names import BaseConfiguration, jsonpath
from dango.errors import RestConfigError, near

_FAIL_KEYS = ("json_path", "equals", "exists", "action", "message_path")


def read(config: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The configuration as dlt takes it; the argument stays as it is.

    Args:
        config: dlt's `rest_api` configuration with the extensions of `dango.connectors.extensions`, in plain data.
            Times in it become ISO text, since JSON, with which they are compared, has no others.
        source: the source's name; what it is given by vendors is kept under it.

    Raises:
        RestConfigError: what is unknown or missing, and where.
    """
    whole: dict[str, Any] = _plain(config)
    _keys(whole, shapes.RESTAPIConfig, "", required=("client", "resources"))
    _keys(whole["client"], shapes.ClientConfig, "client", required=("base_url",))
    _connection(whole["client"], "client", source)
    defaults = whole.get("resource_defaults") or {}
    _resource(defaults, "resource_defaults", source, required=())
    if not isinstance(whole["resources"], list):
        raise RestConfigError("resources: it is a list")
    for position, resource in enumerate(whole["resources"]):
        if not isinstance(resource, str | DltResource):
            name = resource.get("name", position) if isinstance(resource, Mapping) else position
            _resource(resource, f"resources[{name}]", source, required=("name",))
    whole["resources"] = list(_with_own_paginators(whole["resources"], defaults))
    return whole


def _plain(value: Any) -> Any:
    """A copy of the data; of what is no data, the thing itself."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()} if _is_data(value) else value
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dt.datetime):
        return convert(value, "iso")
    return value.isoformat() if isinstance(value, dt.date) else value


def _is_data(value: Mapping[str, Any]) -> bool:
    """Authentication of dlt's own is a mapping too, and more than that."""
    return not isinstance(value, BaseConfiguration)


def _resource(resource: Any, where: str, source: str, required: Iterable[str]) -> None:
    _keys(resource, shapes.EndpointResource, where, required)
    _put(resource, "processing_steps", where, _steps)
    endpoint = resource.get("endpoint")
    if endpoint is not None and not isinstance(endpoint, str):
        _endpoint(endpoint, f"{where}.endpoint", source)


def _endpoint(endpoint: Any, where: str, source: str) -> None:
    _keys(endpoint, shapes.Endpoint, where)
    _connection(endpoint, where, source)
    _put(endpoint, "incremental", where, _incremental)
    _put(endpoint, "response_actions", where, _actions)
    _put(endpoint, "data_selector", where, _json_path)
    params = endpoint.get("params")
    for name, value in params.items() if isinstance(params, Mapping) else ():
        if isinstance(value, Mapping) and value.get("type") == "incremental":
            params[name] = _incremental(value, f"{where}.params.{name}", shapes.IncrementalParamConfig)


def _connection(block: dict[str, Any], where: str, source: str) -> None:
    _put(block, "paginator", where, _paginator)
    _put(block, "auth", where, lambda value, place: _auth(value, place, source))


def _paginator(value: Any, where: str) -> Any:
    if not isinstance(value, str | Mapping):
        return value
    options = {"type": value} if isinstance(value, str) else value
    name = options.get("type", "auto")
    _named(name, [*get_args(shapes.PaginatorType), *PAGINATORS], "paginator", where)
    kind = PAGINATORS.get(name) or get_paginator_class(name)
    given = _options(options, kind, where)
    return _made(PAGINATORS[name], where, **given) if name in PAGINATORS else value


def _auth(value: Any, where: str, source: str) -> Any:
    if not isinstance(value, str | Mapping) or (isinstance(value, Mapping) and not _is_data(value)):
        return value
    options = {"type": value} if isinstance(value, str) else value
    name = options.get("type", "bearer")
    _named(name, [*get_args(shapes.AuthType), *AUTHS], "authentication", where)
    if name not in AUTHS:
        _options(options, get_auth_class(name), where)
        return value
    return _made(AUTHS[name], where, source=source, **_options(options, AUTHS[name], where, ours=("source",)))


def _incremental(value: Any, where: str, shape: Any = shapes.IncrementalConfig) -> Any:
    if isinstance(value, Mapping) and not _is_data(value):
        return value
    _keys(value, shape, where, required=("cursor_path",))
    _put(value, "cursor_path", where, _json_path)
    _put(value, "convert", where, _conversion)
    return value


def _conversion(name: Any, where: str) -> Any:
    if callable(name):
        return name
    _named(name, CONVERSIONS, "conversion", where)
    return lambda value: convert(value, name)


_STEP_WANTS: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "pick": ("a list of keys", lambda value: _texts(value, list)),
    "rename": ("a mapping of old keys to new ones", lambda value: _texts(value, dict) and _texts(value.values())),
    "lift": ("the key of a nested mapping", lambda value: isinstance(value, str)),
}


def _steps(steps: Any, where: str) -> list[Any]:
    return [_step(step, f"{where}[{position}]") for position, step in enumerate(_list(steps, where))]


def _step(step: Any, where: str) -> Any:
    if not isinstance(step, Mapping) or not step:
        raise RestConfigError(f"{where}: a step is a mapping, for example {{pick: [id, name]}}")
    own = shapes.ProcessingSteps.__optional_keys__ | shapes.ProcessingSteps.__required_keys__
    for key, value in step.items():
        _named(key, [*STEPS, *sorted(own)], "step", where)
        if key in own and not callable(value):
            raise RestConfigError(f"{where}.{key}: it is a Python function", f"without one: {', '.join(STEPS)}")
    name, value = next(iter(step.items()))
    if not step.keys() & STEPS.keys():
        return step
    if len(step) > 1:
        raise RestConfigError(f"{where}: one step does one thing", "write each as an item of its own")
    wants, fits = _STEP_WANTS[name]
    if not fits(value):
        raise RestConfigError(f"{where}.{name}: it takes {wants}")
    return {"map": STEPS[name](value)}


def _actions(actions: Any, where: str) -> list[Any]:
    return [_action(action, f"{where}[{position}]") for position, action in enumerate(_list(actions, where))]


def _action(action: Any, where: str) -> Any:
    if callable(action):
        return action
    if isinstance(action, Mapping) and "json_path" in action:
        _known(action, _FAIL_KEYS, where)
        return _made(FailWhen, where, **action)
    _keys(action, shapes.ResponseActionDict, where)
    if isinstance(action.get("action"), str):
        _named(action["action"], ["ignore"], "action", where)
    return action


def _json_path(path: Any, where: str) -> Any:
    _made(jsonpath.compile_path, where, s=path)
    return path


def _with_own_paginators(resources: Iterable[Any], defaults: dict[str, Any]) -> Iterable[Any]:
    """dlt would hand one paginator of `resource_defaults` to all resources, and they are read in turns."""
    endpoint = defaults.get("endpoint")
    shared = endpoint.get("paginator") if isinstance(endpoint, dict) else None
    if not isinstance(endpoint, dict) or not isinstance(shared, tuple(PAGINATORS.values())):
        yield from resources
        return
    del endpoint["paginator"]
    for resource in resources:
        if isinstance(resource, DltResource):
            yield resource
            continue
        whole = {"name": resource} if isinstance(resource, str) else resource
        own = whole.get("endpoint") or {}
        own = {"path": own} if isinstance(own, str) else own
        yield {**whole, "endpoint": {"paginator": copy.deepcopy(shared), **own}}


def _put(block: dict[str, Any], key: str, where: str, reading: Callable[[Any, str], Any]) -> None:
    if block.get(key) is not None:
        block[key] = reading(block[key], f"{where}.{key}")


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise RestConfigError(f"{where}: it is a list")
    return value


def _texts(value: Any, kind: Any = object) -> bool:
    return isinstance(value, kind) and all(isinstance(item, str) for item in value)


def _keys(block: Any, shape: Any, where: str, required: Iterable[str] = ()) -> None:
    if not isinstance(block, Mapping):
        raise RestConfigError(f"{where or 'the configuration'}: it is a mapping")
    _known(block, shape.__required_keys__ | shape.__optional_keys__, where, required)


def _options(options: Mapping[str, Any], kind: Any, where: str, ours: tuple[str, ...] = ()) -> dict[str, Any]:
    """What is given to a class beside its `type`."""
    signature = inspect.signature(kind).parameters if kind is not None else {}
    required = [name for name, p in signature.items() if p.default is p.empty and name not in ours]
    given = {key: value for key, value in options.items() if key != "type"}
    _known(given, [name for name in signature if name not in ours], where, required)
    return given


def _known(block: Mapping[str, Any], known: Iterable[str], where: str, required: Iterable[str] = ()) -> None:
    names = sorted(known)
    for key in block:
        if key not in names:
            place = f"{where}.{key}" if where else str(key)
            hint = f"known here: {', '.join(names)}" if names else "nothing is known here"
            raise RestConfigError(f"{place}: unknown key{near(str(key), names)}", hint)
    for key in required:
        if block.get(key) is None:
            raise RestConfigError(f"{f'{where}.' if where else ''}{key}: it is missing")


def _named(name: Any, known: Iterable[str], what: str, where: str) -> None:
    names = list(known)
    if name not in names:
        raise RestConfigError(f"{where}: no {what} `{name}`{near(str(name), names)}", f"there are: {', '.join(names)}")


def _made(kind: Callable[..., Any], where: str, **arguments: Any) -> Any:
    try:
        return kind(**arguments)
    except (ValueError, JSONPathError) as error:
        raise RestConfigError(f"{where}: {error}") from error

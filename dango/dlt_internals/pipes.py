"""What dango asks of dlt's pipes, the chains of steps behind resources. They are not dlt's documented public API."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dlt.common.exceptions import ResourceNameNotAvailable
from dlt.extract.incremental import Incremental, IncrementalResourceWrapper
from dlt.extract.items_transform import ItemTransform
from dlt.extract.pipe import Pipe
from dlt.extract.resource import DltResource
from dlt.extract.source import DltSource
from dlt.extract.state import get_current_pipe_name

Step = Callable[..., Any]
"""`step(item, meta=None)`: what becomes of an item; None takes it out."""


def extracted(source: DltSource) -> Iterator[Pipe]:
    """The pipes that an extraction of the source runs, each once: those of its selected resources and their parents,
    also of parents that are not among its resources."""
    pipes = {id(pipe): pipe for pipe in source.resources.extracted_pipes if not pipe.is_empty}
    yield from pipes.values()


@contextmanager
def room_for_all(source: DltSource) -> Iterator[None]:
    """While the block lasts, all pipes of the source may end one after the other: dlt calls itself at each end."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + 2 * len([*extracted(source)]))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def insert_behind_generator(pipe: Pipe, step: Step) -> None:
    """The step sees what the source's own code yields, before every other step does."""
    pipe.insert_step(step, pipe._gen_idx + 1)


def append_behind_maps(pipe: Pipe, step: Step) -> None:
    """The step sees what the resource's maps and filters make, before validation, cursor and limit do."""
    pipe.append_step(step)


class BehindCursor(ItemTransform[Any, dict[str, Any]]):
    """A step that sees what the cursor lets pass."""

    # Before the limit, which cuts nothing off an item.
    placement_affinity = 1.05

    def __call__(self, item: Any, meta: Any = None) -> Any:
        """A page at once."""
        return self._f_meta(item, meta)


def append_behind_cursor(pipe: Pipe, step: Step) -> None:
    """The step sees what is new: what the cursor lets pass, a page or a table at once."""
    pipe.append_step(BehindCursor(step))


def deduplicate_by(pipe: Pipe, key: Any) -> None:
    """Lets the pipe's cursor tell rows that are loaded already by other columns than the table's key.

    dlt sets the latter with every hint that is given, also when an extraction begins.
    """
    step: Any = pipe.get_by_type(Incremental, IncrementalResourceWrapper)
    if step is not None:
        step.set_deduplication_key(key, from_hints=True)


def has_maps(pipe: Pipe) -> bool:
    """Whether there are steps behind the generator that make something of its items."""
    return any(getattr(step, "placement_affinity", 0) <= 0 for step in pipe.steps[pipe._gen_idx + 1 :])


def current_resource() -> str:
    """The resource whose code runs here; empty in threads that the source starts itself."""
    try:
        return str(get_current_pipe_name())
    except ResourceNameNotAvailable:
        return ""


def cursor_of(resource: DltResource) -> Any:
    """The cursor that a resource's function takes by one of its parameters, before it runs; None where there is none.

    dlt joins what it is called with to the default when it runs.
    """
    function = resource._pipe.gen
    wraps = getattr(resource.incremental, "get_incremental_arg", None)
    if wraps is None or not callable(function):
        return None
    given = resource.explicit_args.values() if resource.args_bound else ()
    explicit = next((value for value in given if isinstance(value, Incremental)), None)
    parameter = wraps(inspect.signature(inspect.unwrap(function)))
    default = parameter.default if parameter is not None and isinstance(parameter.default, Incremental) else None
    if default is not None and explicit is not None:
        return default.merge(explicit)
    return explicit or default


class _Steady(Incremental[Any]):
    """A cursor that begins once in a run. dlt begins anew with each page of parents, at the newest row so far: later
    parents would be asked only for what is newer than the rows of earlier ones."""

    def bind(self, pipe: Any) -> Incremental[Any]:
        """Called before the run, and again with each page of parents. Each run has pipes of its own."""
        return self if pipe is self._bound_pipe else super().bind(pipe)


def begin_once(resource: DltResource) -> None:
    """Makes the cursor of a resource that is asked for parents begin where it began for the first of them."""
    cursor = cursor_of(resource) if resource.is_transformer else None
    if cursor is not None:
        # In the words of dlt's own copies.
        known = {"last_value_func": cursor.last_value_func, "primary_key": cursor._primary_key, "lag": cursor.lag}
        resource.set_incremental(_Steady(**{**dict(cursor), **known}))

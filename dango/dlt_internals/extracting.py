"""What dlt's extraction takes out of its pipes, between them and what writes it down.

A step of a pipe would hand what it makes to the transformers behind the resource, too, and is not told when the
resource has ended. dlt's documented API has no such place.
"""

from __future__ import annotations

import contextvars
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from dlt.common.configuration.container import Container
from dlt.extract import extract
from dlt.extract.exceptions import ResourceExtractionError
from dlt.extract.extractors import ImportFileMeta
from dlt.extract.items import PipeItem, ResolvablePipeItem
from dlt.extract.pipe import Pipe
from dlt.extract.pipe_iterator import PipeIterator
from dlt.extract.state import pipe_context
from dlt.extract.utils import get_data_item_format

Given = Iterator[tuple[Any, Any]]
"""Items, each with what dlt is told of it."""


class Through(Protocol):
    """What the items of one resource go through."""

    def begin(self, pipe: Pipe) -> None:
        """They come out of the pipe from the beginning, perhaps once more."""

    def push(self, item: Any, meta: Any = None) -> Given:
        """What becomes of one."""

    def end(self) -> Given:
        """What is left when no more come."""


_active: contextvars.ContextVar[Mapping[str, Through] | None] = contextvars.ContextVar("through", default=None)


@contextmanager
def through(ways: Mapping[str, Through]) -> Iterator[None]:
    """While the block lasts, what is extracted in this thread goes these ways.

    Args:
        ways: by the resource's pipe, as `identity` tells it.
    """
    # dlt has no hook. Whoever sets no ways finds it to be dlt's own.
    extract.__dict__["PipeIterator"] = _PipeIterator
    before = _active.set(ways)
    try:
        yield
    finally:
        _active.reset(before)


def identity(pipe: Pipe) -> str:
    """What tells a pipe and its copies from others."""
    return str(pipe.instance_id)


def thread_name() -> str:
    """The name of a thread in which dlt's context is that of this one."""
    return f"{Container.thread_pool_prefix()}processor"


def goes_through(pipe: Pipe) -> bool:
    """Whether what comes out of a pipe, or of a copy of it, goes a way before it is written down."""
    return identity(pipe) in (_active.get() or {})


def is_opaque(item: Any, meta: Any) -> bool:
    """Whether an item has rows that nobody has read: a whole file, or a query."""
    return isinstance(meta, ImportFileMeta) or get_data_item_format(item) == "model"


def taken_out(pipe: Pipe, kinds: tuple[type, ...]) -> list[Any]:
    """Takes the steps of these kinds out of a pipe, which see what is written down."""
    steps = [step for step in pipe.steps if isinstance(step, kinds)]
    for step in steps:
        pipe.remove_step(pipe.steps.index(step))
    return steps


class _PipeIterator(PipeIterator):
    """dlt's own, with what is in between."""

    _ways: Sequence[tuple[Pipe, Through]] = ()
    _items: Iterator[PipeItem] | None = None

    @classmethod
    def from_pipes(cls, pipes: Sequence[Pipe], *args: Any, **kwargs: Any) -> PipeIterator:
        """As dlt has it; the ways of these pipes begin."""
        made: Any = super().from_pipes(pipes, *args, **kwargs)
        ways = _active.get() or {}
        made._ways = [(pipe, ways[identity(pipe)]) for pipe in pipes if identity(pipe) in ways]
        for pipe, way in made._ways:
            with _of(pipe):
                way.begin(pipe)
        return made  # type: ignore[no-any-return]

    def __next__(self) -> PipeItem:
        if not self._ways:
            return super().__next__()
        if self._items is None:
            self._items = self._all()
        return next(self._items)

    def _all(self) -> Iterator[Any]:
        ways = {identity(pipe): way for pipe, way in self._ways}
        for found in self._own():
            way = ways.get(identity(found.pipe))
            yield from [found] if way is None else self._made(found.pipe, way.push(found.item, found.meta))
        for pipe, way in self._ways:
            yield from self._made(pipe, way.end())

    def _own(self) -> Iterator[Any]:
        while True:
            try:
                found = super().__next__()
            except StopIteration:
                return
            yield found

    def _made(self, pipe: Pipe, given: Given) -> Iterator[Any]:
        while True:
            with _of(pipe):
                made = next(given, None)
            if made is None:
                return
            yield ResolvablePipeItem(made[0], len(pipe) - 1, pipe, made[1])


@contextmanager
def _of(pipe: Pipe) -> Iterator[None]:
    """The code of a resource runs in the block; what it raises is told as its resource's."""
    with pipe_context(pipe):
        try:
            yield
        except Exception as error:
            raise ResourceExtractionError(pipe.name, pipe.gen, str(error), "transform") from error

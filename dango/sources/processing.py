"""`processors:` of a source as the chains that its resources' records go through."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, cast

from dlt.extract.pipe import Pipe
from dlt.sources import DltResource, DltSource

from dango.config.processors import Processor
from dango.dlt_internals import alike as dlt_alike
from dango.dlt_internals import contracts as dlt_contracts
from dango.dlt_internals import extracting as dlt_extracting
from dango.dlt_internals import pipes as dlt_pipes
from dango.errors import ArgumentError, DangoError, NoSuchModule, Problem, ProcessorFailed, ResolveError, near
from dango.failed import Failed
from dango.job import Job, ProcessorResult
from dango.processors.builtin import BuiltIn
from dango.processors.chain import Chain, Make
from dango.processors.members import ByBatch, ByRecord, Member, Streaming
from dango.processors.pages import Page
from dango.project import Project
from dango.registry.plugins import PROCESSORS, named
from dango.sources import imports, record_text
from dango.sources.arguments import annotations_of, expand, fitted
from dango.sources.hints import every_column

Loc = tuple[str | int, ...]
Fail = Callable[[str, Failed], None]


class Way:
    """What the items of one resource go through: its processors, then what dlt's own steps do with what is written.

    Args:
        resource: whose items they are; the steps at the end of its pipe that see what is written come behind.
        chain: its processors.
        is_keyed: whether its table's key is said in `sources.yml`.
    """

    def __init__(self, resource: DltResource, chain: Chain, *, is_keyed: bool) -> None:
        self.chain = chain
        self._is_keyed = is_keyed
        self._name = resource.name
        self._pipe = resource._pipe
        self._behind = dlt_extracting.taken_out(self._pipe, (dlt_alike.Alike, dlt_contracts.Extracted))

    def begin(self, pipe: Pipe | None = None) -> None:
        """The resource is read from its beginning; out of this pipe, or its own."""
        if self._is_keyed:
            # The table's key speaks of columns that processors make, and dlt would ask the source's own rows for them.
            dlt_pipes.deduplicate_by(pipe or self._pipe, every_column)
        self.chain.begin()
        for step in self._behind:
            step.bind(self._pipe)

    def push(self, item: Any, meta: Any = None) -> Iterator[tuple[Any, Any]]:
        """What becomes of an item. Raises `ProcessorFailed` where nobody can look into it."""
        if dlt_extracting.is_opaque(item, meta):
            raise ProcessorFailed(
                f"`{self._name}` hands on whole files, or a query, whose rows no processor sees",
                "load it without processors, or let it yield rows",
            )
        if isinstance(item, list) and not item:
            # Says that there is a table, and what dlt is to know of it.
            yield item, meta
            return
        yield from self._written(self.chain.push(item, meta))

    def end(self) -> Iterator[tuple[Any, Any]]:
        """What is left when no more items come."""
        return self._written(self.chain.end())

    def all(self, items: Iterable[Any]) -> Iterator[Page]:
        """What becomes of all items, from the beginning to the end; nothing is written."""
        self.begin()
        for item in items:
            yield from (page for page, _ in self.chain.push(item))
        yield from (page for page, _ in self.chain.end())

    def results(self) -> Iterator[ProcessorResult]:
        """What became of the records of each processor."""
        for member in self.chain.members:
            count = member.count
            counts = (count.taken, count.given, count.dropped, count.failed)
            yield ProcessorResult(self._name, member.name, *counts, member.missing)

    def _written(self, pages: Iterator[tuple[Page, Any]]) -> Iterator[tuple[Any, Any]]:
        for page, meta in pages:
            for step in self._behind:
                page = step(page, meta)
            yield page, meta


@contextmanager
def processed(source: DltSource, job: Job, fail: Fail) -> Iterator[Mapping[str, Way]]:
    """While the block lasts, what is extracted goes through the job's processors; see `ways`."""
    with ways(source, job, fail) as found:
        by_pipe = {dlt_extracting.identity(source.resources[name]._pipe): way for name, way in found.items()}
        with dlt_extracting.through(by_pipe):
            yield found


@contextmanager
def ways(source: DltSource, job: Job, fail: Fail) -> Iterator[Mapping[str, Way]]:
    """The way of each resource that has processors. Where the block ends, however it does, each is closed.

    Args:
        source: with everything else that is set on it.
        job: whose processors they are.
        fail: takes the records that fail, with their resource.

    Raises:
        ResolveError: where a processor is not there, or its arguments do not fit.
    """
    found = {}
    with ExitStack() as stack:
        for name, resource in source.selected_resources.items():
            steps = list(job.source.processors_of(name))
            if steps:
                makers = [maker(job, loc, processor) for loc, processor in steps]
                chain = Chain(makers, partial(fail, name), partial(_wrong, job, steps))
                stack.callback(chain.close)
                hints = (job.source.resources or {}).get(name)
                found[name] = Way(resource, chain, is_keyed=hints is not None and hints.primary_key is not None)
        yield found


def problems(job: Job, project: Project) -> Iterator[Problem]:
    """What is wrong with the job's processors, as far as nothing runs."""
    for loc, processor in job.source.steps:
        try:
            maker(job, loc, processor)
        except ResolveError as error:
            place = error.place or project.place(job.source.name, error.loc)
            yield Problem.at(place, error.message, error.hint, docs=error.docs)
        salt = processor.settings.get("salt") if processor.name == "hash" else None
        if isinstance(salt, str) and not salt.startswith("env:"):
            place = project.place(job.source.name, (*loc, processor.name, "salt"))
            yield Problem.at(place, "`salt` is a secret, and sources.yml is in git", "write env:NAME", "warning")


def _wrong(job: Job, steps: list[tuple[Loc, Processor]], position: int, error: Exception) -> DangoError:
    """A processor's error as the user is told it: which one, and where it stands."""
    loc, processor = steps[position]
    if isinstance(error, ProcessorFailed):
        error.loc = error.loc or loc
    if isinstance(error, DangoError):
        return error
    failed = Failed(None, error)
    where = record_text.place(failed.lines, job.root)
    within = f" ({where})" if where and "custom_sources" in Path(where).parts else ""
    hint = f"the whole traceback: dango --debug history {job.run}" if job.run else ""
    return ProcessorFailed(f"`{processor.name}` failed: {failed.message}{within}", hint, loc=loc)


# --- from what is written to what is called -----------------------------------------------------------


def maker(job: Job, loc: Loc, processor: Processor) -> Make:
    """What makes a processor anew.

    Raises:
        ResolveError: where there is no such function, or its arguments do not fit.
    """
    inner = (*loc, processor.name)
    function = _function(job, loc, processor)
    if inspect.isclass(function) and issubclass(function, BuiltIn):
        own, make = expand(processor.settings, None, inner), cast("Callable[[Any], Member]", function)
        return lambda: make(own)
    settings = processor.settings or {}
    if not isinstance(settings, Mapping):
        raise ArgumentError(
            f"the arguments of `{processor.name}` are a mapping", f"- {processor.name}: {{name: value}}", loc=inner
        )
    if not inspect.isclass(function):
        if not callable(function):
            raise ArgumentError(f"`{processor.name}` is no function", "name one that takes a record", loc=loc)
        arguments = _arguments(function, settings, inner, skipped=1)
        return lambda: _member(processor, function, arguments)
    if callable(getattr(function, "create", None)):
        config = expand(dict(settings), None, inner)
        return lambda: _of_instance(processor, _created(function, config))
    arguments = _arguments(function, settings, inner)
    return lambda: _of_instance(processor, function(**arguments))


def _function(job: Job, loc: Loc, processor: Processor) -> Any:
    written = processor.name
    if not processor.is_function and (plugin := named(PROCESSORS).get(processor.name)):
        written = plugin.value
    module, _, name = written.replace(" ", "").partition(":")
    folder = Project(job.root).custom_sources
    try:
        return imports.find(module, name, folder).function
    except NoSuchModule as error:
        hint = f"write custom_sources/{module.replace('.', '/')}.py, or install the package that has it"
        raise NoSuchModule(error.message, hint, loc=loc) from error
    except ResolveError as error:
        error.loc = loc
        raise


def _arguments(function: Any, settings: Mapping[str, Any], loc: Loc, skipped: int = 0) -> dict[str, Any]:
    """The arguments of a function besides the first, checked against its signature."""
    parameters = list(inspect.signature(function).parameters.values())[skipped:]
    named = {p.name: p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    anything = any(p.kind is p.VAR_KEYWORD for p in parameters)
    takes = f"it takes: {', '.join(named)}" if named else "it takes none"
    name = function.__qualname__ if hasattr(function, "__qualname__") else type(function).__name__
    for key in settings:
        if key not in named and not anything:
            raise ArgumentError(f"`{name}` has no parameter `{key}`{near(str(key), named)}", takes, loc=(*loc, key))
    for key, parameter in named.items():
        if parameter.default is parameter.empty and key not in settings:
            raise ArgumentError(f"`{name}` needs `{key}`", takes, loc=loc)
    hints = annotations_of(function.__init__ if inspect.isclass(function) else function)
    return {key: fitted(expand(value, hints.get(key), (*loc, key)), hints.get(key)) for key, value in settings.items()}


def _created(kind: Any, config: dict[str, Any]) -> Any:
    """An instance of a class that is made by `create(config)`: of the class, or of an instance without arguments."""
    if isinstance(inspect.getattr_static(kind, "create"), classmethod | staticmethod):
        return kind.create(config)
    instance = kind()
    made = instance.create(config)
    return instance if made is None else made


def _of_instance(processor: Processor, instance: Any) -> Member:
    function = getattr(instance, "process", None) or instance
    if not callable(function):
        raise ProcessorFailed(f"`{processor.name}` has neither `process` nor `__call__`")
    return _member(processor, function, {}, getattr(instance, "close", None))


def _member(
    processor: Processor,
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    close: Callable[[], None] | None = None,
) -> Member:
    called = partial(function, **arguments) if arguments else function
    takes = _takes(function)
    if processor.stream:
        return Streaming(processor.name, called, dlt_extracting.thread_name(), tables=takes != "record", close=close)
    if takes == "record":
        return ByRecord(processor.name, called, close)
    return ByBatch(processor.name, called, batches=takes == "batch", close=close)


def _takes(function: Any) -> str:
    """What the first parameter's annotation says: `table`, `batch`, or else `record`."""
    target = function if inspect.isroutine(function) else type(function).__call__
    first = list(inspect.signature(function).parameters)[:1]
    annotation = annotations_of(target).get(first[0], "") if first else ""
    said = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    found = re.search(r"\b(?:(Table)|(RecordBatch))\b", said)
    return "record" if found is None else "table" if found[1] else "batch"

"""Every error that a user may see.

Each says what and where (`message`), the next command (`hint`) and, where it concerns `sources.yml`, the
place: `loc` is the path of keys inside the source's own block, from which `project.py` finds line and column.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


Severity = Literal["error", "warning"]
DOCS = "docs/TROUBLESHOOTING.md"
"""The page with a section for each kind of error."""


def page_of(kind: str) -> str:
    """Where the documentation speaks of a kind of error: of `MissingSecret` at `#missing-secret` of its page."""
    return f"{DOCS}#{re.sub(r'(?<!^)(?=[A-Z])', '-', kind).lower()}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong in a project, at its place. Lines and columns count from 1; 0 is unknown."""

    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    column: int = 0
    severity: Severity = "error"
    docs: str = page_of("ConfigError")

    @classmethod
    def at(
        cls, place: str, message: str, hint: str = "", severity: Severity = "error", docs: str = page_of("ConfigError")
    ) -> Problem:
        """A problem at `file:line:column`, as far as that is known."""
        found = re.fullmatch(r"(.*?)(?::(\d+))?(?::(\d+))?", place, re.DOTALL)
        assert found
        file, line, column = found.groups()
        return cls(message, hint, file, int(line or 0), int(column or 0), severity, docs)

    @property
    def place(self) -> str:
        """`file:line:column`, as far as it is known."""
        return ":".join(str(part) for part in (self.file, self.line, self.column) if part)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class DangoError(Exception):
    """A fault that the user can mend. `exit_code` is the command's, `loc` the keys inside the source's block."""

    exit_code = 1

    def __init__(self, message: str, hint: str = "", *, loc: tuple[str | int, ...] = (), place: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.loc = loc
        self.place = place

    @property
    def docs(self) -> str:
        """Where the documentation speaks of errors of this kind; nowhere of one that is of no kind."""
        return "" if type(self) is DangoError else page_of(type(self).__name__)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong, each thing at its place; most errors are one."""
        return (Problem.at(self.place, self.message, self.hint, docs=self.docs),)

    def __str__(self) -> str:
        return f"{self.place}: {self.message}" if self.place else self.message


class UsageError(DangoError):
    """The command line asks for something that cannot be."""

    exit_code = 2


class ProjectNotFound(UsageError):
    """There is no project at or above the folder."""


class ConfigError(DangoError):
    """`sources.yml` (or what it names) is wrong; holds every problem found, not only the first."""

    exit_code = 2

    def __init__(self, problems: Iterable[Problem]) -> None:
        self._problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self._problems))

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Every problem that was found."""
        return self._problems


class SourceNotFound(UsageError):
    """No source of that name in this project."""


class EntryNotFound(UsageError):
    """No registry entry of that id."""


class PluginNotFound(UsageError):
    """No installed package brings a processor, or an executor, of that name."""


class DestinationNotFound(UsageError):
    """No destination of that name in this project."""


class MissingEnvironment(UsageError):
    """`env:` names that are not set, all of them at once."""


class ResolveError(DangoError):
    """A source's configuration does not lead to a dlt source; nothing was started."""

    exit_code = 2


class NoSuchModule(ResolveError):
    """`source_module` is found nowhere."""


class ImportFailed(ResolveError):
    """The module is there, but importing it failed."""


class MissingPackage(ImportFailed):
    """The module is there, but a package that it imports is not installed."""


class NoSuchFunction(ResolveError):
    """The module is there and has no such function."""


class NotASource(ResolveError):
    """The function is there, but what it is or gives cannot be loaded."""


class BrokenPlugin(ResolveError):
    """A package says that it brings something, and it cannot be had, or is not what it should be."""


class ArgumentError(ResolveError):
    """A source's arguments do not fit its function."""


class EnvironmentFailed(ResolveError):
    """An environment of a source's own cannot be built; nothing was started in it."""


class RestConfigError(ResolveError):
    """A `rest_api` configuration is not one that can be run; the message begins with the place inside it."""


class ProcessorFailed(DangoError):
    """A processor failed as a whole, or gave what is no record; its resource fails."""


class MissingSecret(ResolveError):
    """A parameter that is left to dlt is found nowhere; the hint is the section to add."""


class SourceError(DangoError):
    """A source's database or files cannot be reached or read; says what they said themselves."""


class ConnectorFailed(DangoError):
    """A connector's own program failed, or says what cannot be; has what it said last."""


class DestinationError(DangoError):
    """The destination cannot be reached or written to."""


class OutOfMemory(DangoError):
    """A source or its destination needs more memory than there is. Says what the database said of it, if it did."""

    def __init__(self, said: str = "", *, place: str = "") -> None:
        super().__init__(
            f"there is not enough memory{': ' if said else ''}{said}",
            "what is yielded at once has to fit into it about fifteen times: make pages smaller, send the parts of a"
            " large document as rows, or read one source at a time (--jobs 1)",
            place=place,
        )


class NothingLoaded(UsageError):
    """There is no database yet that could be asked."""


class QueryError(DangoError):
    """The database refuses a statement (exit 2), or fails while it runs it (exit 1); says what it said itself."""

    def __init__(self, message: str, hint: str = "", *, refused: bool = False) -> None:
        super().__init__(message, hint)
        self.exit_code = 2 if refused else 1


class FetchFailed(DangoError):
    """A source cannot be copied from its repository."""


class TooManyErrors(DangoError):
    """More records of a source failed than `max_errors` allows; the good ones are not loaded."""


class ClusterRefused(UsageError):
    """There is no cluster, or one that cannot run what this machine would send it; nothing was started."""


class WorkerLost(DangoError):
    """A machine was lost with a job on it, and so were those on which it was begun again."""

    def __init__(self, source: str, what: str) -> None:
        super().__init__(
            f"{what}; nothing of it is half loaded",
            f"what the cluster knows of its machines: ray status; when it is well: dango sync {source}",
        )


class VendorError(DangoError):
    """The vendor answers, and what it answers is that the request failed, or is of no use."""


class TokenError(DangoError):
    """A token cannot be had. Says what the token endpoint said, and no token."""


class NoTokenStore(UsageError):
    """A rotated refresh token would be lost with this machine; nothing was asked for."""


class StateCorrupt(DangoError):
    """The local state of a source cannot be read, and its destination keeps none."""

    def __init__(self, source: str, folder: object, error: BaseException) -> None:
        super().__init__(
            f"the local state in {folder} cannot be read ({type(error).__name__}: {error}), and this destination keeps"
            " no other; nothing was begun",
            f"put a copy of the folder back, or load everything again: dango sync {source} --full-refresh",
        )


class WouldEmpty(DangoError):
    """Tables that hold rows would hold none, as nothing came for them."""


class RefusedByContract(DangoError):
    """The tables would change, and they are not to; nothing was loaded."""

    exit_code = 5


class Held(DangoError):
    """Another process has the source (or the database) in its hands."""

    exit_code = 4


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those of which it came, the nearest first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def root_cause(error: BaseException) -> BaseException:
    """What happened, without the wrappers that dlt puts around it."""
    while type(error).__module__.startswith("dlt.") and (inner := error.__cause__ or error.__context__):
        error = inner
    return error


def causes(error: BaseException) -> list[BaseException]:
    """The error and what led to it, the root last."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    # A cause may be set by hand, to one that is in the chain already.
    while cause is not None and cause not in chain:
        chain.append(cause)
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return chain


def near(name: str, names: Iterable[str]) -> str:
    """A clause such as ` (did you mean `x`?)`, or nothing: for the end of a message."""
    found = nearest(name, names)
    return f" (did you mean `{found}`?)" if found else ""


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant; empty where none is near."""
    return next(iter(get_close_matches(name, list(names), n=1, cutoff=0.6)), "")


def located(problem: Problem, file: str, where: tuple[int, int]) -> Problem:
    """The problem with its place filled in."""
    return replace(problem, file=file, line=where[0], column=where[1])

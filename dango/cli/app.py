"""What the commands share: the application, the options before the command, and how a word is said."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dango.errors import DangoError, Problem, ProjectNotFound, UsageError

if TYPE_CHECKING:
    from dango.project import Project
    from dango.registry.entries import Registry

app = typer.Typer(
    name="dango",
    help="Data from anywhere into a warehouse, from a project that fits in git.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
source_app = typer.Typer(
    help="List, show and change the sources of the project.", no_args_is_help=True, rich_markup_mode=None
)


ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""The signals besides Ctrl-C that end a command: whoever stops it, and a terminal that is closed."""


class Settings:
    """What the options before the command say; read by the commands, set once."""

    folder: Path | None = None
    debug = False
    verbose = False
    log_format = "text"


class Format(str, Enum):
    """How rows are written."""

    table = "table"
    csv = "csv"
    json = "json"


def chosen(named: Format | None, as_json: bool) -> Format:
    """The format that the options say; `--json` is short for one of them. Raises `UsageError` where they differ."""
    if as_json and named not in (None, Format.json):
        raise UsageError(f"--json and --format {named and named.value} exclude each other")
    return Format.json if as_json else named or Format.table


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"dango {version('dango')}")
        except PackageNotFoundError:
            # A checkout that is run as it is.
            typer.echo("dango 0 (not installed)")
        raise typer.Exit


@app.callback()
def _options(
    project: Annotated[
        Path | None,
        typer.Option(metavar="DIR", envvar="DANGO_PROJECT", help="The project's folder; default: here or above."),
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show what sources and dlt log.")] = False,
    log_format: Annotated[str, typer.Option(metavar="FORMAT", help="Of progress and logs: text or json.")] = "text",
    debug: Annotated[bool, typer.Option("--debug", help="Show the whole traceback of an error.")] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    if log_format not in ("text", "json"):
        raise typer.BadParameter("should be text or json", param_hint="--log-format")
    Settings.folder, Settings.debug, Settings.verbose, Settings.log_format = (
        project,
        debug,
        verbose,
        log_format,
    )


def open_project() -> Project:
    """The project that the command works on; its `.env` is in the environment afterwards, behind what was there."""
    project = _project()
    for name, value in project.dotenv.items():
        os.environ.setdefault(name, value)
    return project


def open_registry() -> Registry:
    """What the project sees; outside of any, what is shipped and what packages bring."""
    from dango.registry.entries import Registry

    try:
        return _project().registry
    except ProjectNotFound:
        if Settings.folder:
            raise
        return Registry()


def _project() -> Project:
    from dango.project import Project

    return Project.at(Settings.folder) if Settings.folder else Project.find()


def stop_once() -> None:
    """From here on one Ctrl-C ends the command, and another does not disturb the ending, which takes a second."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        undisturbed()
        raise KeyboardInterrupt

    # Where it is ignored, in a job of a shell's background, it stays so.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, stop)


def undisturbed() -> None:
    """The command is ending; nobody needs to tell it again."""
    for number in (signal.SIGINT, *ENDING):
        signal.signal(number, signal.SIG_IGN)


_TOLD: set[str] = set()
"""Where this command has pointed to already."""


def fail(error: DangoError) -> None:
    """The error as people see it: each problem at its place, the next command, and where more is said of its kind."""
    tell(error.problems)


def tell(problems: Iterable[Problem]) -> None:
    """What is wrong, each at its place with its hint; then where more is said of errors of these kinds."""
    kinds = []
    for problem in problems:
        line(str(problem), problem.hint, problem.severity)
        if problem.severity == "error":
            kinds.append(problem.docs)
    for docs in kinds:
        more(docs)


def more(docs: str) -> None:
    """How to read on about an error whose kind has its section at `docs`; once in a command for each kind."""
    if docs and docs not in _TOLD:
        _TOLD.add(docs)
        typer.echo(f"  more: dango docs {docs.rpartition('#')[2]}", err=True)


@contextmanager
def until_nobody_reads() -> Iterator[None]:
    """Whoever reads what the block writes may have seen enough (`| head`): the command ends well then."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        silence()
        raise typer.Exit(0) from None


@contextmanager
def whoever_reads() -> Iterator[None]:
    """The block only shows what was done: whether anybody reads that changes nothing of how the command ends."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        silence()


def silence() -> None:
    """Nobody reads stdout any more; Python would complain when it flushes at the end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def line(message: str, hint: str, kind: str = "error") -> None:
    """A message and its hint on stderr."""
    typer.echo(f"{kind}: {message}", err=True)
    if hint:
        typer.echo("  hint: " + hint.replace("\n", "\n        "), err=True)


def emit(value: Any) -> None:
    """The one JSON document of a command with `--json`."""
    import json

    from dango.job import as_json

    typer.echo(json.dumps(as_json(value), indent=2))


Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

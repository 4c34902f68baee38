"""The command line: parse, call, show. One file a command; what is dear to import is imported in its body."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any, NoReturn

import typer

from dango.cli import (
    add,
    check,
    cursor,
    docs,
    doctor,
    env,
    explain,
    export,
    fetch,
    history,
    import_,
    init,
    new,
    preview,
    query,
    registry,
    remove,
    source,
    status,
    sync,
    tables,
)
from dango.cli.app import ENDING, Settings, app, emit, fail, silence, undisturbed
from dango.errors import DangoError

__all__ = [
    "add",
    "app",
    "check",
    "cursor",
    "docs",
    "doctor",
    "env",
    "explain",
    "export",
    "fetch",
    "history",
    "import_",
    "init",
    "main",
    "new",
    "preview",
    "query",
    "registry",
    "remove",
    "source",
    "status",
    "sync",
    "tables",
]


class Terminated(KeyboardInterrupt):
    """A signal that ends a sync as Ctrl-C does, with an exit code of its own."""

    exit_code = 130
    """That of Ctrl-C, until another signal has come."""


def main() -> NoReturn:
    """Runs the command line; every error that a user can cause ends here as one message and an exit code."""
    for number in ENDING:
        # With `nohup` the end of a terminal is ignored, and stays so.
        if number == signal.SIGTERM or signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _terminated)
    _open_closed_streams()
    _bear_closed_terminals()
    if "_DANGO_COMPLETE" not in os.environ:
        _spare(app, sys.argv[1:])
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
        if code == 130:
            # What typer makes of a KeyboardInterrupt, whichever signal it stands for.
            code = _stopped()
    except DangoError as error:
        code = _refused(error)
    except KeyboardInterrupt:
        code = _stopped()
    except BrokenPipeError:
        silence()
        code = 0
    except Exception as error:  # noqa: BLE001 - the last boundary: a defect of ours, told as one
        code = _refused(error)
    sys.exit(code if isinstance(code, int) else 0)


def _spare(commands: typer.Typer, words: Collection[str]) -> None:
    """Takes the parameters from commands that are not named: typer reads those of all before it runs one.

    A list of commands shows their names and their first lines alone.
    """
    for command in commands.registered_commands:
        called = command.callback
        if called is not None and (command.name or called.__name__.replace("_", "-")) not in words:
            command.callback = _without_parameters(called)
    for group in commands.registered_groups:
        if group.typer_instance is not None:
            _spare(group.typer_instance, words if group.name in words else ())


def _without_parameters(command: Callable[..., Any]) -> Callable[[], None]:
    def spared() -> None:
        raise AssertionError("it was not named, and is called")

    spared.__name__, spared.__doc__ = command.__name__, command.__doc__
    return spared


def _refused(error: Exception) -> int:
    if Settings.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, DangoError):
        fail(error)
        if "--json" in sys.argv:
            emit({"problems": error.problems, "exit_code": error.exit_code, "docs": error.docs})
        return error.exit_code
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        # typer's own usage errors know how to show themselves.
        error.show()
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        # What older typers make of a KeyboardInterrupt.
        return _stopped()
    typer.echo(f"error: {type(error).__name__}: {error}", err=True)
    typer.echo("  hint: this is a defect of dango; `dango --debug …` shows where, and belongs in a report", err=True)
    return 1


def _stopped() -> int:
    typer.echo("stopped", err=True)
    return Terminated.exit_code


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    undisturbed()
    # As a shell tells of a process that a signal has ended.
    Terminated.exit_code = 128 + number
    raise Terminated


def _open_closed_streams() -> None:
    """A daemon may have closed them: what is opened next would get their numbers, and take what is said to people."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))


class _Terminal(io.FileIO):
    """A terminal. When it is closed nobody reads any more, which changes nothing of how a command goes on or ends."""

    def write(self, said: Any, /) -> int:
        """Writes to whoever is there."""
        try:
            return super().write(said)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(said)


def _bear_closed_terminals() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if os.name == "posix" and stream.isatty():
            raw = _Terminal(stream.fileno(), "w", closefd=False)
            heard = io.TextIOWrapper(io.BufferedWriter(raw), stream.encoding, stream.errors, line_buffering=True)
            setattr(sys, name, heard)

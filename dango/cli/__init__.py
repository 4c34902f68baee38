"""The command line: parse, call, show. One file a command; what is dear to import is imported in its body."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from dango.errors import DangoError

if TYPE_CHECKING:
    from dango.project import Project

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


class Settings:
    """What the options before the command say; read by the commands, set once."""

    folder: Path | None = None
    debug = False
    verbose = False
    log_format = "text"


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a sync as Ctrl-C does, with an exit code of its own."""

    exit_code = 143


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"dango {version('dango')}")
        raise typer.Exit


@app.callback()
def _options(
    project: Annotated[
        Path | None,
        typer.Option(envvar="DANGO_PROJECT", help="The project's folder; default: here or above."),
    ] = None,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show what sources and dlt log.")] = False,
    log_format: Annotated[str, typer.Option(help="Of progress and logs: text or json.")] = "text",
    debug: Annotated[bool, typer.Option(help="Show the whole traceback of an error.")] = False,
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
    from dango.project import Project

    project = Project.at(Settings.folder) if Settings.folder else Project.find()
    for name, value in project.dotenv.items():
        os.environ.setdefault(name, value)
    return project


def main() -> NoReturn:
    """Runs the command line; every error that a user can cause ends here as one message and an exit code."""
    from dango.cli import check, explain, history, init, source, status, sync

    del check, explain, history, init, source, status, sync
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = app(standalone_mode=False)
        sys.stdout.flush()
    except DangoError as error:
        code = _refused(error)
    except KeyboardInterrupt as stop:
        code = getattr(stop, "exit_code", 130)
        typer.echo("stopped", err=True)
    except BrokenPipeError:
        # Whoever read our output has seen enough (`| head`); Python would complain when it flushes at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    except Exception as error:  # noqa: BLE001 - the last boundary: a defect of ours, told as one
        code = _refused(error)
    sys.exit(code if isinstance(code, int) else 0)


def _refused(error: Exception) -> int:
    if Settings.debug:
        import traceback

        traceback.print_exception(error)
    if isinstance(error, DangoError):
        fail(error)
        return error.exit_code
    if hasattr(error, "show") and hasattr(error, "exit_code"):
        # typer's own usage errors know how to show themselves.
        error.show()
        return int(error.exit_code)
    if type(error).__name__ == "Abort":
        return 130
    typer.echo(f"error: {type(error).__name__}: {error}", err=True)
    typer.echo("  hint: this is a defect of dango; `dango --debug …` shows where, and belongs in a report", err=True)
    return 1


def fail(error: DangoError) -> None:
    """The error as people see it: each problem at its place, then the next command."""
    from dango.errors import ConfigError

    if isinstance(error, ConfigError):
        for problem in error.problems:
            line(str(problem), problem.hint)
    else:
        line(str(error), error.hint)


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


def _terminated(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated


Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]

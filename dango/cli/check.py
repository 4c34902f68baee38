"""`dango check`"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from dango.cli import complete
from dango.cli.app import Json, app, emit, fail, open_project, tell
from dango.errors import ConfigError

if TYPE_CHECKING:
    from dango.project import Project


@app.command()
def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="SOURCE", help="Default: all.", autocompletion=complete.sources)
    ] = None,
    json: Json = False,
) -> None:
    """Find every mistake in files, keys, imports and arguments. Touches no network."""
    raise typer.Exit(report(open_project(), names or [], json))


def report(project: Project, names: list[str], json: bool, *, rehearse: bool = False) -> int:
    """Checks and shows; returns the exit code."""
    from dango.inspection import check as inspect
    from dango.inspection import project_problems

    problems = list(project_problems(project))
    try:
        findings = list(inspect(project, names, rehearse=rehearse))
    except ConfigError as error:
        raise ConfigError(dict.fromkeys((*problems, *error.problems))) from error
    problems += [problem for finding in findings for problem in finding.problems]
    code = 2 if any(problem.severity == "error" for problem in problems) else 0
    if json:
        emit(
            {
                "problems": tuple(problems),
                "checked": [finding.source for finding in findings],
                "exit_code": code,
            }
        )
        return code
    tell(problems)
    well = sum(not any(p.severity == "error" for p in finding.problems) for finding in findings)
    typer.echo(f"{well} of {len(findings)} sources are well" if findings else "no source to check")
    return code


__all__ = ["check", "fail", "report"]

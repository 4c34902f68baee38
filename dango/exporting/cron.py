"""A project as lines of a crontab, for the machine on which it stands."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from dango.errors import UsageError
from dango.exporting import needs
from dango.exporting.tasks import HOURS, Export, Task, in_one_line, retried, tasks
from dango.project import Project

FILE = "dango.crontab"
LOG = ".dango/cron.log"
_LONGEST = 998
"""Debian's cron takes no longer command."""


def export(project: Project, program: Sequence[str], otherwise: str) -> Export:
    """The crontab of a project.

    Args:
        project: whose sources run.
        program: how dango is called on this machine.
        otherwise: the schedule of sources that have none.

    Raises:
        UsageError: where there is nothing to run, or a line would be too long.
    """
    made = tasks(project, otherwise)
    first, last = (f"# dango {needs.name(project)}: {end}" for end in ("begin", "end"))
    lines = [first, *_head(), *(line for task in made for line in _line(project, program, task)), "", last]
    secrets = {secret.name: secret.name for task in made for secret in task.secrets}
    return Export(
        {FILE: "\n".join(lines) + "\n"},
        made,
        secrets,
        # The user's other lines stay, and those of an earlier export go.
        (f"(crontab -l 2>/dev/null | sed '/^{first}$/,/^{last}$/d'; cat {FILE}) | crontab -", "crontab -l"),
        ("where they are set: .env or .dlt/secrets.toml in the project's folder; cron knows no shell's variables",),
    )


def _head() -> Iterator[str]:
    yield "# Written by `dango export cron`; with `--force` once more when sources.yml changes."
    yield "#"
    yield "# Times are in UTC. cronie (Fedora, RHEL, Arch, SUSE) goes by CRON_TZ; the cron of Debian and Ubuntu, that"
    yield "# of busybox and others go by the machine's time zone: there it has to be UTC."
    yield "CRON_TZ=UTC"
    yield "SHELL=/bin/sh"
    yield "#"
    yield "# dango locks a source itself: a run that meets another waits, and ends with 4. 2 is a mistake in the"
    yield "# configuration, 5 a contract that refuses: neither is tried again."


def _line(project: Project, program: Sequence[str], task: Task) -> Iterator[str]:
    limited = shlex.join(["timeout", f"{HOURS}h", *program, *task.arguments])
    loop = in_one_line(retried(limited))
    command = f"umask 077; cd {shlex.quote(str(project.root))} && {{ {loop}; }} >>{LOG} 2>&1"
    # cron takes a bare % for the end of the line, also between quotes.
    command = command.replace("%", r"\%")
    if len(command.encode()) > _LONGEST:
        raise UsageError(
            f"`{task.source}`: its line would have more than {_LONGEST} bytes, and cron takes no longer one",
            "a shorter path of the project, or of the environment that dango is in",
        )
    yield ""
    needed = ", ".join(secret.name for secret in task.secrets)
    yield f"# {task.source}" + (f": {needed}" if needed else "")
    yield f"{task.schedule.text} {command}"

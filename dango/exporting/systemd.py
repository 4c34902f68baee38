"""A project as units of systemd, for the machine on which it stands: one service for all sources, a timer for each."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from dango.config.cron import Cron
from dango.errors import UsageError
from dango.exporting import needs
from dango.exporting.tasks import HOURS, NEVER_AGAIN, RETRIES, WAIT, Export, Task, local_files, tasks
from dango.project import Project

_WEEKDAYS = ("Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat")


def export(project: Project, program: Sequence[str], user: str, otherwise: str) -> Export:
    """The units of a project.

    Args:
        project: whose sources run.
        program: how dango is called on this machine.
        user: whom the project belongs to.
        otherwise: the schedule of sources that have none.

    Raises:
        UsageError: where there is nothing to run, or systemd could not name the folder.
    """
    made = tasks(project, otherwise)
    if str(project.root).endswith(("\\", " ")):
        raise UsageError(f"`{project.root}` ends with what systemd takes for its own", "another name for the folder")
    name = f"dango-{needs.name(project)}"
    secrets_folder = f"/etc/{name}"
    files = {f"{name}@.service": _service(project, program, user, secrets_folder, made)}
    files |= {f"{name}@{task.source}.timer": _timer(task) for task in made}
    timers = " ".join(f"{name}@{task.source}.timer" for task in made)
    asking = [task for task in made if task.secrets]
    places = shlex.join(f"{secrets_folder}/{task.source}.env" for task in asking)
    commands = [f"sudo install -d -m 700 {secrets_folder}", f"sudo install -m 600 /dev/null {places}"] if asking else []
    if any(source.environment for source in project.config.sources):
        # Where only state and data can be written, a tool that builds one has no place for its cache.
        commands.append(shlex.join(["dango", "--project", str(project.root), "env", "build"]))
    if local_files(project, made):
        commands.append(shlex.join(["mkdir", "-p", str(project.warehouse.parent)]))
    commands += [f"sudo cp systemd/{name}@* /etc/systemd/system/", "sudo systemctl daemon-reload"]
    commands.append(f"sudo systemctl enable --now {timers}")
    return Export(
        {f"systemd/{file}": text for file, text in files.items()},
        made,
        {secret.name: secret.name for task in made for secret in task.secrets},
        tuple(commands),
        tuple(
            f"{secrets_folder}/{task.source}.env: {' '.join(f'{secret.name}=…' for secret in task.secrets)}"
            for task in asking
        ),
    )


def owner(root: Path) -> str:
    """Whom the project's folder belongs to: who runs its syncs."""
    try:
        return root.owner()
    except KeyError:
        # A user of another machine, as in a container.
        return str(root.stat().st_uid)


def _service(project: Project, program: Sequence[str], user: str, secrets: str, made: tuple[Task, ...]) -> str:
    return _SERVICE.format(
        name=needs.name(project),
        # A timer's own starts count, too: those of the source that starts most often.
        most=RETRIES + 1 + max(60 // task.schedule.shortest for task in made),
        user=user,
        root=str(project.root).replace("%", "%%"),
        secrets=secrets,
        program=" ".join(map(_quoted, program)),
        wait=WAIT,
        hours=HOURS,
        never_again=" ".join(map(str, NEVER_AGAIN)),
        retries=RETRIES,
        written=" ".join(_quoted(f"-{folder}") for folder in _written(project, made)),
    )


def _written(project: Project, made: tuple[Task, ...]) -> list[Path]:
    """The folders that a sync writes to: where destinations are files of other names, the project as a whole."""
    others = [each for each in local_files(project, made).values() if not each.embedded]
    return [project.root] if others else [project.root / ".dango", project.warehouse.parent]


def _timer(task: Task) -> str:
    return _TIMER.format(
        source=task.source,
        schedule=task.schedule.text,
        times="\n".join(f"OnCalendar={each}" for each in calendar(task.schedule)),
        delay=min(300, 6 * task.schedule.shortest),
    )


def calendar(cron: Cron) -> list[str]:
    """The schedule in systemd's words: two of them where a day counts by its date or by its weekday."""
    clock = f"{_numbers(cron.hours, 0, 23)}:{_numbers(cron.minutes, 0, 59)}:00 UTC"
    months, days = _numbers(cron.months, 1, 12), _numbers(cron.days, 1, 31)
    weekdays = "" if len(cron.weekdays) == 7 else ",".join(_WEEKDAYS[day] for day in cron.weekdays) + " "
    if cron.either:
        return [f"*-{months}-{days} {clock}", f"{weekdays}*-{months}-* {clock}"]
    return [f"{weekdays}*-{months}-{days} {clock}"]


def _numbers(numbers: tuple[int, ...], low: int, high: int) -> str:
    """Numbers of a field as systemd writes them: all, in steps from the first, or one by one.

    Steps are written only where they divide the field evenly: systemd (252) counts on past its end, 42, 63
    of `00/21`, takes 23:63 for three past midnight, and so never starts at midnight.
    """
    size = high - low + 1
    if len(numbers) == size:
        return "*"
    step = numbers[1] - numbers[0] if len(numbers) > 2 else 0
    if step and size % step == 0 and numbers == tuple(range(numbers[0], high + 1, step)):
        return f"{numbers[0]}/{step}"
    return ",".join(map(str, numbers))


def _quoted(word: str) -> str:
    """A word of a command or of a list of paths, in which nothing stands for anything else."""
    plain = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{plain}"'


_SERVICE = """\
# Written by `dango export systemd`; with `--force` once more when sources.yml changes.
[Unit]
Description=dango sync %i ({name})
Wants=network-online.target
After=network-online.target
# What failed is started again, but no more than so often in an hour.
StartLimitIntervalSec=1h
StartLimitBurst={most}

[Service]
Type=oneshot
User={user}
WorkingDirectory={root}
# The secrets of this source alone: systemd reads the file as root, and nobody else needs to (0600).
EnvironmentFile=-{secrets}/%i.env
ExecStart={program} sync %i --wait {wait}
TimeoutStartSec={hours}h
# 4, held by another, is tried again; 2, a mistake in the configuration, and 5, a contract that refuses, are not.
Restart=on-failure
RestartPreventExitStatus={never_again}
RestartSec=1min
# Longer and longer pauses: by systemd 254 and newer; others say that they do not know these two.
RestartSteps={retries}
RestartMaxDelaySec=20min

# A sync writes its state and its data, and nothing else. A file elsewhere has to be added here.
ProtectSystem=strict
ReadWritePaths={written}
PrivateTmp=true
PrivateDevices=true
ProtectKernelTunables=true
ProtectControlGroups=true
NoNewPrivileges=true
UMask=0077
"""
_TIMER = """\
# Written by `dango export systemd`; with `--force` once more when sources.yml changes.
[Unit]
Description=dango sync {source}: {schedule}

[Timer]
{times}
# What the machine slept through is made up for.
Persistent=true
# Sources of the same schedule do not all begin at the same second; each keeps its own delay.
RandomizedDelaySec={delay}s
FixedRandomDelay=true
AccuracySec=1s

[Install]
WantedBy=timers.target
"""

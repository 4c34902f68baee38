"""A project as a workflow of GitHub's: a job for each source, and each sees its own secrets alone."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from dango.errors import UsageError
from dango.exporting import needs
from dango.exporting.tasks import HOURS, Export, Task, require_servers, retried, tasks
from dango.project import Project

FILE = ".github/workflows/dango.yml"
EVERY = "every source"
"""What one chooses by hand for all of them; no source has a name with a space."""
_SHORTEST = 5
_YAML_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def export(project: Project, folder: Path, otherwise: str) -> Export:
    """The workflow of a project.

    Args:
        project: whose sources run.
        folder: the root of the repository; the project is in it, or it is the project.
        otherwise: the schedule of sources that have none.

    Raises:
        UsageError: where what is loaded would be lost with the runner, or GitHub starts nothing so often.
    """
    made = tasks(project, otherwise)
    require_servers(project, made, "GitHub's runner")
    for task in made:
        if task.schedule.shortest < _SHORTEST:
            raise UsageError(
                f"`{task.source}`: `{task.schedule.text}` starts {task.schedule.shortest} min after it last did, and"
                f" GitHub starts nothing more often than every {_SHORTEST} min",
                f'schedule: "*/{_SHORTEST} * * * *"',
            )
    secrets = _names(made)
    keys = {name: key for key, name in secrets.items()}
    text = _head(made, _working_folder(project, folder)) + "".join(_job(project, task, keys) for task in made)
    commands = [shlex.join(["gh", "secret", "set", key]) for key in secrets]
    commands += [f"git add {FILE} && git commit", f'gh workflow run dango.yml -f source="{made[0].source}"']
    return Export({FILE: text}, made, secrets, tuple(commands))


def repository(project: Project) -> Path:
    """The root of the repository that the project is in: GitHub looks for workflows nowhere else."""
    above = (project.root, *project.root.parents)
    return next((folder for folder in above if (folder / ".git").exists()), project.root)


def _head(made: tuple[Task, ...], working_folder: str) -> str:
    where = f"defaults:\n  run:\n    working-directory: {_quoted(working_folder)}\n\n" if working_folder else ""
    return _HEAD.format(
        times="".join(f"\n    - cron: {json.dumps(text)}" for text in dict.fromkeys(t.schedule.text for t in made)),
        every=EVERY,
        sources="".join(f"\n          - {json.dumps(task.source)}" for task in made),
        defaults=where,
    )


def _job(project: Project, task: Task, secrets: Mapping[str, str]) -> str:
    asked = " || ".join((
        f"github.event.schedule == '{task.schedule.text}'",
        f"inputs.source == '{EVERY}'",
        f"inputs.source == '{task.source}'",
    ))  # fmt: skip
    names = [f"\n          {_key(each.name)}: ${{{{ secrets.{secrets[each.name]} }}}}" for each in task.secrets]
    return _JOB.format(
        source=_key(task.source),
        asked=asked,
        minutes=HOURS * 60,
        group=f"dango-{needs.name(project)}-{task.source}",
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        install=_install(project),
        sync="".join(f"\n          {line}" for line in retried(shlex.join(["dango", *task.arguments]))),
        environment=f"        env:{''.join(names)}\n" if names else "",
    )


def _install(project: Project) -> str:
    words = [*needs.packages(project)]
    if any(source.environment and source.environment.python for source in project.config.sources):
        words.append("uv")
    if (project.root / needs.REQUIREMENTS_FILE).is_file():
        words += ["-r", needs.REQUIREMENTS_FILE]
    return _quoted(shlex.join(["pip", "install", *words]))


def _names(made: tuple[Task, ...]) -> dict[str, str]:
    """What each variable is called among GitHub's secrets, which know no lower case and keep GITHUB_ to themselves."""
    found: dict[str, str] = {}
    for name in dict.fromkeys(secret.name for task in made for secret in task.secrets):
        key = re.sub(r"[^A-Z0-9_]", "_", name.upper())
        key = f"DANGO_{key}" if re.match("GITHUB_|[0-9]", key) else key
        while key in found:
            key += "_"
        found[key] = name
    return found


def _working_folder(project: Project, folder: Path) -> str:
    inside = project.root != folder and project.root.is_relative_to(folder)
    return project.root.relative_to(folder).as_posix() if inside else ""


def _key(name: str) -> str:
    return name if re.fullmatch(r"[A-Za-z_][\w-]*", name, re.ASCII) and name not in _YAML_WORDS else json.dumps(name)


def _quoted(text: str) -> str:
    """In YAML, with nothing in it that GitHub would take for an expression."""
    return json.dumps(text.replace("${{", "${{ '${{' }}"), ensure_ascii=False)


_HEAD = """\
# Written by `dango export github-actions`; with `--force` once more when sources.yml changes.
name: dango

on:
  # In UTC.
  schedule:{times}
  workflow_dispatch:
    inputs:
      source:
        description: What to sync
        type: choice
        default: {every}
        options:
          - {every}{sources}

permissions:
  contents: read

{defaults}# What was read so far is kept in the destination, too: nothing of `.dango/` has to outlive a runner.
jobs:
"""
_JOB = """\
  {source}:
    if: {asked}
    runs-on: ubuntu-latest
    timeout-minutes: {minutes}
    # A second run of the source waits for the first.
    concurrency:
      group: {group}
      cancel-in-progress: false
    steps:
      - uses: actions/checkout@v6
        with:
          persist-credentials: false
      - uses: actions/setup-python@v6
        with:
          python-version: "{python}"
      - run: {install}
      # 2 is a mistake in the configuration, 5 a contract that refuses: neither is tried again.
      - run: |{sync}
{environment}"""

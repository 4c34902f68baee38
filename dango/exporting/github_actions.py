"""A project as a workflow of GitHub's: a job for each source, and each sees its own secrets alone."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Iterator, Mapping
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
                f"`{task.source}`: `{task.schedule.text}` is every {task.schedule.shortest} minutes at times, and GitHub"
                f" starts nothing more often than every {_SHORTEST}",
                f"schedule: */{_SHORTEST} * * * *",
            )
    secrets = _names(made)
    lines = [*_head(made, _working_folder(project, folder))]
    for task in made:
        lines += _job(project, task, {name: key for key, name in secrets.items()})
    commands = [shlex.join(["gh", "secret", "set", key]) for key in secrets]
    commands += [f"git add {FILE} && git commit", f'gh workflow run dango.yml -f source="{made[0].source}"']
    return Export({FILE: "\n".join(lines) + "\n"}, made, secrets, tuple(commands))


def repository(project: Project) -> Path:
    """The root of the repository that the project is in: GitHub looks for workflows nowhere else."""
    above = (project.root, *project.root.parents)
    return next((folder for folder in above if (folder / ".git").exists()), project.root)


def _head(made: tuple[Task, ...], working_folder: str) -> Iterator[str]:
    yield "# Written by `dango export github-actions`; with `--force` once more when sources.yml changes. Times are in UTC."
    yield "name: dango"
    yield ""
    yield "on:"
    yield "  schedule:"
    yield from (f"    - cron: {json.dumps(text)}" for text in dict.fromkeys(task.schedule.text for task in made))
    yield "  workflow_dispatch:"
    yield "    inputs:"
    yield "      source:"
    yield "        description: What to sync"
    yield "        type: choice"
    yield f"        default: {EVERY}"
    yield "        options:"
    yield f"          - {EVERY}"
    yield from (f"          - {json.dumps(task.source)}" for task in made)
    yield ""
    yield "permissions:"
    yield "  contents: read"
    if working_folder:
        yield ""
        yield "defaults:"
        yield "  run:"
        yield f"    working-directory: {_quoted(working_folder)}"
    yield ""
    yield "# What was read so far is kept in the destination, too: nothing of `.dango/` has to outlive a runner."
    yield "jobs:"


def _job(project: Project, task: Task, secrets: Mapping[str, str]) -> Iterator[str]:
    asked = " || ".join(
        f"{left} == {_text(right)}"
        for left, right in (
            ("github.event.schedule", task.schedule.text), ("inputs.source", EVERY), ("inputs.source", task.source)
        )
    )  # fmt: skip
    yield f"  {_key(task.source)}:"
    yield f"    if: {asked}"
    yield "    runs-on: ubuntu-latest"
    yield f"    timeout-minutes: {HOURS * 60}"
    yield "    # A second run of the source waits for the first."
    yield "    concurrency:"
    yield f"      group: dango-{needs.name(project)}-{task.source}"
    yield "      cancel-in-progress: false"
    yield "    steps:"
    yield "      - uses: actions/checkout@v6"
    yield "        with:"
    yield "          persist-credentials: false"
    yield "      - uses: actions/setup-python@v6"
    yield "        with:"
    yield f'          python-version: "{sys.version_info.major}.{sys.version_info.minor}"'
    yield f"      - run: {_install(project)}"
    yield "      # 2 is a mistake in the configuration, 5 a contract that refuses: neither is tried again."
    yield "      - run: |"
    yield from (f"          {line}" for line in retried(shlex.join(["dango", *task.arguments])))
    if task.secrets:
        yield "        env:"
        for secret in task.secrets:
            yield f"          {_key(secret.name)}: ${{{{ secrets.{secrets[secret.name]} }}}}"


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


def _text(value: str) -> str:
    """A text in an expression of GitHub's."""
    return "'" + value.replace("'", "''") + "'"

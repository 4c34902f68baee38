"""A project as a file of DAGs for Airflow 3 and 2.10.

Each source is a DAG of its own: it has its own schedule, a slow one does not hold up the next run of another, and one
that is paused, or tried again, is no matter of the others.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from dango.exporting import needs
from dango.exporting.tasks import HOURS, NEVER_AGAIN, RETRIES, Export, tasks
from dango.project import Project


def export(project: Project, program: Sequence[str], otherwise: str) -> Export:
    """The DAGs of a project.

    Args:
        project: whose sources run.
        program: how dango is called on the workers.
        otherwise: the schedule of sources that have none.

    Raises:
        UsageError: where there is nothing to run.
    """
    made = tasks(project, otherwise)
    name = f"dango_{needs.name(project).replace('-', '_')}"
    # Airflow masks what a variable holds, in its pages and logs, where the name says that it is secret.
    prefix = f"{name}_secret_"
    variables = dict.fromkeys(secret.name for task in made for secret in task.secrets)
    head = _HEAD.format(
        name=name,
        project=json.dumps(str(project.root), ensure_ascii=False),
        program=json.dumps([*program], ensure_ascii=False),
        prefix=prefix,
    )
    body = _BODY.format(
        name=name,
        never_again=NEVER_AGAIN,
        retries=RETRIES,
        hours=HOURS,
        arguments='"sync", source, "--wait", ' + json.dumps(made[0].arguments[-1]),
    )
    told = {
        task.source: {"schedule": task.schedule.text, "secrets": [secret.name for secret in task.secrets]}
        for task in made
    }
    text = f"{head}SOURCES = {json.dumps(told, indent=4)}\n{body}"
    commands = [f'airflow variables set {prefix}{variable} "${variable}"' for variable in variables]
    return Export({f"dags/{name}.py": text}, made, {f"{prefix}{each}": each for each in variables}, tuple(commands))


_HEAD = '''\
"""Written by `dango export airflow`; with `--force` once more when sources.yml changes.

A DAG for each source, in UTC. Secrets are Variables of Airflow's, or of its secrets backend: the name of the
environment variable with {prefix} before it. Each task asks for its own when it runs.
"""

import os
import subprocess
from datetime import datetime, timedelta, timezone

try:
    from airflow.sdk import Variable, dag, task
    from airflow.sdk.exceptions import AirflowFailException
except ImportError:  # Where they were before Airflow 3.2.
    from airflow.decorators import dag, task
    from airflow.exceptions import AirflowFailException
    from airflow.models import Variable

# Where they are on the workers.
PROJECT = {project}
DANGO = {program}

SECRET = "{prefix}"

# By source: when, and the environment variables that it needs.
'''
_BODY = '''

def sync(source, secrets):
    """Loads a source; the task ends as the command does."""
    given = {{name: Variable.get(SECRET + name) for name in secrets}}
    process = subprocess.Popen(
        [*DANGO, {arguments}],
        cwd=PROJECT,
        env={{**os.environ, **given}},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    try:
        for line in process.stdout:
            print(line, end="")
        code = process.wait()
    finally:
        # Of a task that is stopped, or takes too long, dango stops, too.
        process.terminate()
    if code in {never_again}:
        # A mistake in the configuration, or a contract that refuses: another try would end alike.
        raise AirflowFailException(f"dango ended with exit code {{code}}")
    if code:
        raise RuntimeError(f"dango ended with exit code {{code}}")


def scheduled(source, schedule, secrets):
    @dag(
        dag_id=f"{name}_{{source}}",
        schedule=schedule,
        start_date=datetime(2024, 1, 1, tzinfo=timezone.utc),
        catchup=False,
        max_active_runs=1,
        tags=["dango"],
    )
    def load():
        task(
            task_id="sync",
            retries={retries},
            retry_delay=timedelta(minutes=1),
            retry_exponential_backoff=True,
            max_retry_delay=timedelta(minutes=30),
            execution_timeout=timedelta(hours={hours}),
        )(sync)(source, secrets)

    return load()


for name, told in SOURCES.items():
    scheduled(name, **told)
'''

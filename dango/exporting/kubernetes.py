"""A project as a manifest for Kubernetes: a CronJob for each source, in the image that `dango export docker` makes."""

from __future__ import annotations

import hashlib
import json
import shlex

from dango.exporting import needs
from dango.exporting.docker import STATE, USER
from dango.exporting.tasks import HOURS, NEVER_AGAIN, RETRIES, Export, Task, require_servers, tasks
from dango.project import Project

FILE = "kubernetes/dango.yaml"
_LONGEST = 52
"""A CronJob adds eleven characters of its own to the names of its jobs, which have 63."""


def export(project: Project, image: str, otherwise: str) -> Export:
    """The manifest of a project.

    Args:
        project: whose sources run.
        image: where the cluster has it from; empty for the name that `dango export docker` gives it.
        otherwise: the schedule of sources that have none.

    Raises:
        UsageError: where there is nothing to run, or what is loaded would be lost with the container.
    """
    made = tasks(project, otherwise)
    require_servers(project, made, "a pod")
    name = needs.name(project)
    secret = f"dango-{name}"[:200].rstrip("-")
    documents = [_cron_job(name, image or name, secret, task) for task in made]
    head = "# Written by `dango export kubernetes`; with `--force` once more when sources.yml changes.\n"
    variables = dict.fromkeys(each.name for task in made for each in task.secrets)
    commands = [f"kubectl apply -f {FILE}"]
    if variables:
        # A name without a value stands for that of the environment, so that no value stands in a command.
        names = shlex.join(variables)
        commands.insert(
            0, f"printf '%s\\n' {names} | kubectl create secret generic {secret} --from-env-file=/dev/stdin"
        )
    first = job_name(name, made[0].source)
    commands.append(f"kubectl create job --from=cronjob/{first} {first[:40].rstrip('-')}-by-hand")
    return Export({FILE: head + "---\n".join(documents)}, made, {each: each for each in variables}, tuple(commands))


def job_name(project: str, source: str) -> str:
    """A name that Kubernetes takes, and that no other source of the project has."""
    name = f"{project}-{source.replace('_', '-')}"
    if len(name) <= _LONGEST and name[0].isalpha() and not name.endswith("-"):
        return name
    fingerprint = hashlib.sha256(f"{project}/{source}".encode()).hexdigest()[:8]
    return f"dango-{source.replace('_', '-')[:30].strip('-')}-{fingerprint}"


def _cron_job(project: str, image: str, secret: str, task: Task) -> str:
    return _CRON_JOB.format(
        name=json.dumps(job_name(project, task.source)),
        schedule=json.dumps(task.schedule.text),
        image=json.dumps(image, ensure_ascii=False),
        arguments=json.dumps([*task.arguments]),
        environment="".join(_VARIABLE.format(name=json.dumps(each.name), secret=secret) for each in task.secrets)
        or " []",
        retries=RETRIES,
        seconds=HOURS * 3600,
        never_again=list(NEVER_AGAIN),
        user=USER,
        state=STATE,
    )


_VARIABLE = """
                - name: {name}
                  valueFrom: {{secretKeyRef: {{name: {secret}, key: {name}}}}}"""
_CRON_JOB = """\
apiVersion: batch/v1
kind: CronJob
metadata:
  name: {name}
  labels: {{app.kubernetes.io/name: dango, app.kubernetes.io/instance: {name}}}
spec:
  schedule: {schedule}
  timeZone: Etc/UTC
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 600
  jobTemplate:
    spec:
      # The pauses between them grow: 10, 20, 40 seconds and so on.
      backoffLimit: {retries}
      activeDeadlineSeconds: {seconds}
      ttlSecondsAfterFinished: 604800
      podFailurePolicy:
        rules:
          # 2 is a mistake in the configuration, 5 a contract that refuses: another try would end alike.
          - action: FailJob
            onExitCodes: {{containerName: sync, operator: In, values: {never_again}}}
          # That a node is drained is no failure of the sync's.
          - action: Ignore
            onPodConditions: [{{type: DisruptionTarget, status: "True"}}]
      template:
        metadata:
          labels: {{app.kubernetes.io/name: dango, app.kubernetes.io/instance: {name}}}
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false
          securityContext:
            runAsNonRoot: true
            runAsUser: {user}
            runAsGroup: {user}
            fsGroup: {user}
            seccompProfile: {{type: RuntimeDefault}}
          containers:
            - name: sync
              image: {image}
              args: {arguments}
              env:{environment}
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities: {{drop: [ALL]}}
              volumeMounts:
                - {{name: state, mountPath: {state}}}
                - {{name: tmp, mountPath: /tmp}}
          volumes:
            # What was read so far is kept in the destination, too, and restored from there.
            - {{name: state, emptyDir: {{}}}}
            - {{name: tmp, emptyDir: {{}}}}
"""

"""A project as a manifest for Kubernetes: a CronJob for each source, in the image that `dango export docker` makes."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterator

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
    documents = ["\n".join(_cron_job(name, image or name, secret, task)) for task in made]
    head = "# Written by `dango export kubernetes`; with `--force` once more when sources.yml changes.\n"
    variables = dict.fromkeys(each.name for task in made for each in task.secrets)
    commands = [f"kubectl apply -f {FILE}"]
    if variables:
        # A name without a value stands for that of the environment, so that no value stands in a command.
        names = shlex.join(variables)
        commands.insert(0, f"printf '%s\\n' {names} | kubectl create secret generic {secret} --from-env-file=/dev/stdin")
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


def _cron_job(project: str, image: str, secret: str, task: Task) -> Iterator[str]:
    yield "apiVersion: batch/v1"
    yield "kind: CronJob"
    yield "metadata:"
    yield f"  name: {json.dumps(job_name(project, task.source))}"
    yield "  labels:"
    yield "    app.kubernetes.io/name: dango"
    yield f"    app.kubernetes.io/instance: {json.dumps(job_name(project, task.source))}"
    yield "spec:"
    yield f"  schedule: {json.dumps(task.schedule.text)}"
    yield "  timeZone: Etc/UTC"
    yield "  concurrencyPolicy: Forbid"
    yield "  startingDeadlineSeconds: 600"
    yield "  jobTemplate:"
    yield "    spec:"
    yield "      # Longer and longer pauses are Kubernetes' own: 10, 20, 40 seconds and so on."
    yield f"      backoffLimit: {RETRIES}"
    yield f"      activeDeadlineSeconds: {HOURS * 3600}"
    yield "      ttlSecondsAfterFinished: 604800"
    yield "      podFailurePolicy:"
    yield "        rules:"
    yield "          # 2 is a mistake in the configuration, 5 a contract that refuses: another try would end alike."
    yield "          - action: FailJob"
    yield "            onExitCodes:"
    yield "              containerName: sync"
    yield "              operator: In"
    yield f"              values: [{', '.join(map(str, NEVER_AGAIN))}]"
    yield "          # A node that is drained is no failure of the sync's."
    yield "          - action: Ignore"
    yield "            onPodConditions:"
    yield "              - type: DisruptionTarget"
    yield '                status: "True"'
    yield "      template:"
    yield "        metadata:"
    yield "          labels:"
    yield "            app.kubernetes.io/name: dango"
    yield f"            app.kubernetes.io/instance: {json.dumps(job_name(project, task.source))}"
    yield "        spec:"
    yield "          restartPolicy: Never"
    yield "          automountServiceAccountToken: false"
    yield "          securityContext:"
    yield "            runAsNonRoot: true"
    yield f"            runAsUser: {USER}"
    yield f"            runAsGroup: {USER}"
    yield f"            fsGroup: {USER}"
    yield "            seccompProfile:"
    yield "              type: RuntimeDefault"
    yield "          containers:"
    yield "            - name: sync"
    yield f"              image: {json.dumps(image)}"
    yield f"              args: {json.dumps([*task.arguments])}"
    if task.secrets:
        yield "              env:"
        for each in task.secrets:
            yield f"                - name: {json.dumps(each.name)}"
            yield "                  valueFrom:"
            yield "                    secretKeyRef:"
            yield f"                      name: {secret}"
            yield f"                      key: {json.dumps(each.name)}"
    yield "              securityContext:"
    yield "                allowPrivilegeEscalation: false"
    yield "                readOnlyRootFilesystem: true"
    yield "                capabilities:"
    yield '                  drop: ["ALL"]'
    yield "              volumeMounts:"
    yield "                - name: state"
    yield f"                  mountPath: {STATE}"
    yield "                - name: tmp"
    yield "                  mountPath: /tmp"
    yield "          volumes:"
    yield "            # What was read so far is kept in the destination, too, and restored from there."
    yield "            - name: state"
    yield "              emptyDir: {}"
    yield "            - name: tmp"
    yield "              emptyDir: {}"
    yield ""

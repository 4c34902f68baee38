"""`dango export kubernetes`: the published schemas take the manifest, and a pod is given its source's secrets alone."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from dango.exporting.kubernetes import job_name
from tests.conftest import Said
from tests.exporting.programs import run
from tests.exporting.world import FILES, NEEDED, TIMES, many

Write = Callable[[Mapping[str, str]], None]


def jobs(folder: Path) -> list[Any]:
    return list(yaml.safe_load_all((folder / "kubernetes" / "dango.yaml").read_text(encoding="utf-8")))


def pod(job: Any) -> Any:
    return job["spec"]["jobTemplate"]["spec"]["template"]["spec"]


def test_a_cron_job_for_each_source_with_its_own_secrets(dango: Callable[..., Said], root: Path, write: Write) -> None:
    write(FILES)
    said = dango("export", "kubernetes", "--image", "registry.example.com/shop:1")
    assert said.code == 0, said.err
    for source, job in zip(TIMES, jobs(root), strict=True):
        spec, (container,) = job["spec"], pod(job)["containers"]
        assert (spec["schedule"], spec["timeZone"], spec["concurrencyPolicy"]) == (TIMES[source], "Etc/UTC", "Forbid")
        assert (container["image"], container["args"][:2]) == ("registry.example.com/shop:1", ["sync", source])
        assert [each["name"] for each in container["env"]] == NEEDED[source]
        references = [each["valueFrom"]["secretKeyRef"] for each in container["env"]]
        assert references == [{"name": "dango-project", "key": name} for name in NEEDED[source]]
        codes = {"containerName": container["name"], "operator": "In", "values": [2, 5]}
        assert spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"] == [
            {"action": "FailJob", "onExitCodes": codes},
            {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
        ]


def test_the_pod_writes_where_the_image_lets_it_and_nowhere_else(
    dango: Callable[..., Said], root: Path, write: Write
) -> None:
    write(FILES)
    assert dango("export", "kubernetes").code == 0
    assert dango("export", "docker").code == 0
    image = (root / "Dockerfile").read_text()
    for job in jobs(root):
        (container,) = pod(job)["containers"]
        mounts = [each["mountPath"] for each in container["volumeMounts"]]
        assert mounts[0] in image and mounts[1:] == ["/tmp"]
        assert f"\nUSER {pod(job)['securityContext']['runAsUser']}\n" in image
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["image"] == "project"


@pytest.mark.parametrize(
    ("project", "source"),
    [("shop", "orders"), ("shop", "a__b"), ("shop", "a_"), ("9", "a"), ("p" * 60, "a"), ("shop", "s" * 48)],
)
def test_names_are_names_of_kubernetes(project: str, source: str) -> None:
    name = job_name(project, source)
    assert re.fullmatch(r"[a-z]([a-z0-9-]*[a-z0-9])?", name) and len(name) <= 52
    assert name != job_name(project, f"{source}_"[-48:])
    assert name != job_name(f"{project}x", source)


@pytest.mark.slow
def test_the_published_schemas_take_it(dango: Callable[..., Said], hostile: Callable[..., Path], schemas: Path) -> None:
    check = (schemas / "kubernetes-validate", "--strict")
    for folder in (hostile(FILES), hostile({"sources": many(200)}, "9 many")):
        assert dango("export", "kubernetes", cwd=folder).code == 0
        file = folder / "kubernetes" / "dango.yaml"
        # The oldest that has a policy for failures without a gate, and the newest.
        for version in ("1.31", "1.37"):
            done = run(*check, "--version", version, file)
            assert done.returncode == 0, done.stdout + done.stderr
    file.write_text(file.read_text().replace("timeZone:", "timezone:"))
    assert run(*check, file).returncode != 0


@pytest.mark.slow
def test_the_command_for_the_secret_takes_values_from_the_environment(
    dango: Callable[..., Said], root: Path, write: Write
) -> None:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no kubectl here: the command was not tried")
    write(FILES)
    command = dango("export", "kubernetes", "--json").json["commands"][0]
    names = sorted({name for needed in NEEDED.values() for name in needed})
    # kubectl itself, which makes it and asks no cluster.
    done = run(
        "sh", "-c", f"{command} --dry-run=client -o yaml", cwd=root,
        env={"PATH": f"{Path(kubectl).parent}:/usr/bin:/bin", **{name: f"of {name}" for name in names}},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = yaml.safe_load(done.stdout)
    assert (made["metadata"]["name"], sorted(made["data"])) == ("dango-project", names)
    assert all(made["data"].values())

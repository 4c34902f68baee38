"""Programs that judge what is exported: those of the machine, and those of an environment that tests build."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from dango import environments

VALIDATORS = ("check-jsonschema==0.39.0", "kubernetes-validate==1.37.0")
"""They bring the schemas that GitHub and Kubernetes publish."""


def required(name: str, package: str) -> str:
    """The path of a program; where it is not, the test is skipped, and fails in CI."""
    found = shutil.which(name)
    if found is None:
        reason = f"no {name} here: apt-get install {package}"
        pytest.fail(reason, pytrace=False) if os.environ.get("CI") else pytest.skip(reason)
    return str(found)


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """How it ends, with what it says."""
    return subprocess.run([str(word) for word in command], capture_output=True, text=True, **options)  # type: ignore[call-overload, no-any-return]


def validators(folder: Path) -> Path:
    """The programs of the environment with the published schemas."""
    asked = environments.Wanted(folder / "validators", VALIDATORS, "", VALIDATORS, (), of_worker=False)
    environments.build(asked, print)
    return environments.scripts(asked.folder)

"""Secrets that stand in `sources.yml`, which is in git."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dango.errors import Problem
from dango.job import Job
from dango.project import Project
from dango.sources.resolve import Resolved


def literal_secrets(resolved: Resolved, job: Job, project: Project) -> list[Problem]:
    """A warning for each secret of the source that stands in `sources.yml` itself."""
    keys, written = job.source.expandable()
    return [
        Problem.at(
            project.place(job.source.name, (*keys, name)),
            f"`{name}` is a secret, and sources.yml is in git",
            f"move it to .dlt/secrets.toml under [sources.{job.source.name}], or write env:NAME",
            "warning",
        )
        for name, secret in resolved.secrets.items()
        if name in written and _literal(written[name], secret)
    ]


def _literal(written: Any, secret: str) -> bool:
    """Whether a secret stands there itself, and not a reference to it."""
    leaves = written.values() if isinstance(written, Mapping) else [written]
    return any(str(leaf) in (secret, *secret.splitlines()) for leaf in leaves)

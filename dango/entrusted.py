"""What a source may know of a project's secrets where the project's files are not: on a node of a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Entrusted:
    """The secrets of one source, in place of `.env` and `.dlt/secrets.toml`. A value, never written.

    Attributes:
        variables: of the environment.
        secrets: what `secrets.toml` would hold, with what its references stand for.
    """

    variables: Mapping[str, str] = field(repr=False)
    secrets: Mapping[str, Any] = field(repr=False)

"""Durations that the environment may set."""

from __future__ import annotations

import math
from collections.abc import Mapping

from dango.errors import UsageError


def seconds(environment: Mapping[str, str], name: str, usual: float, most: float = math.inf) -> float:
    """How many seconds a variable says, else as many as usual. Raises `UsageError` where it says nonsense."""
    written = environment.get(name, str(usual))
    try:
        found = float(written)
    except ValueError:
        found = 0.0
    if not 0 < found <= most:
        raise UsageError(f"{name} is no number of seconds: {written}")
    return found

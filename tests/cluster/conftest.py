"""A real Ray cluster, for all tests of this folder that one process runs."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator

import pytest

from tests.cluster.running import Cluster, started


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """Skipped where there is no Ray; with CI set that is a failure."""
    if importlib.util.find_spec("ray") is None:
        reason = "no Ray here: pip install 'dango[ray]'"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with started() as cluster:
        yield cluster

"""The loads see what they are there for: who leaves loopback, a secret that shows, rows that are lost or doubled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.conftest import native, sources
from tests.registry.loads import Project, load_twice
from tests.registry.test_paging_mock import entry, resource
from tests.registry.trial import GUARD, leaks, planted


@pytest.mark.parametrize(
    "leaving",
    [
        "import socket; socket.create_connection(('192.0.2.1', 80), 1)",
        "import socket; socket.getaddrinfo('vendor.example.com', 443)",
    ],
)
def test_the_guard_ends_a_process_that_leaves_loopback(tmp_path: Path, leaving: str) -> None:
    file = tmp_path / "left"
    code = f"try:\n  {leaving}\nexcept Exception:\n  pass"
    environment = {**os.environ, "PYTHONPATH": str(GUARD), "GUARD_FILE": str(file)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert file.read_text().strip() in ("192.0.2.1", "vendor.example.com")


GOES_OUT = """
import dlt

@dlt.resource
def rows():
    from dlt.sources.helpers import requests
    yield requests.get("https://vendor.example.com/rows").json()
"""


def test_the_guard_holds_in_the_processes_that_sync_starts(
    write: Callable[[Mapping[str, str]], None], dango: Callable[..., Any], tmp_path: Path
) -> None:
    write({"sources": sources(native("out", module="out")), "custom_sources/out.py": GOES_OUT})
    left = tmp_path / "left"
    assert dango("sync", env={"PYTHONPATH": str(GUARD), "GUARD_FILE": str(left)}).code != 0
    assert left.read_text().strip() == "vendor.example.com"


SECRET = "a+b/&c0123456789"


@pytest.mark.parametrize(
    "shown",
    [
        f"token {SECRET}.",
        f"GET /orders?key={quote(SECRET, safe='')}&limit=3",
        json.dumps({"token": SECRET}),
        f"Basic {b64encode(f'{SECRET}:'.encode()).decode()}",
        f"Basic {b64encode(f'me:{SECRET}'.encode()).decode()}",
        f"Basic {b64encode(f'me@shop:{SECRET}'.encode()).decode()}",
    ],
)
def test_a_secret_is_recognized_however_it_is_spelt(shown: str) -> None:
    assert leaks({"stdout": shown, "stderr": "nothing of it"}, [SECRET]) == ["stdout"]


def test_a_planted_secret_fits_the_fields_pattern() -> None:
    made = entry(
        resource(), fields=({"name": "token", "kind": "secret", "required": True, "pattern": "ghp_[A-Za-z0-9]+"},)
    )
    assert planted(made.fields[0], "ghp_sample", "Q7mark") == "ghp_sampleQ7mark"


@pytest.mark.slow
def test_the_loads_see_a_child_whose_later_parents_are_asked_from_a_later_start(project: Project) -> None:
    child = {
        **resource(
            "tasks", paginator="header_link", params={"project": "{resources.projects.id}"},
            incremental={"cursor_path": "modified", "initial_value": "2024-01-01T00:00:00Z", "start_param": "since"},
        ),
        "write_disposition": "merge",
    }  # fmt: skip
    parent = {**resource("projects", paginator="header_link"), "write_disposition": "replace"}
    with pytest.raises(AssertionError, match="tasks"):
        load_twice(entry(parent, child), [], project)


@pytest.mark.slow
def test_the_loads_see_rows_that_are_there_twice(project: Project) -> None:
    with pytest.raises(AssertionError, match="orders"):
        load_twice(entry(resource(paginator="header_link")), [], project)

"""Executors by their names: dango's own is loaded as anybody's is, and what is none is told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dango import runner
from dango.errors import BrokenPlugin
from dango.project import Project
from dango.workers import executors
from dango.workers.processes import PRELOADED, Workers
from tests.conftest import native, sources


def test_dangos_own_runs_the_jobs_of_a_sync(root: Path, write: Callable[..., None]) -> None:
    rows = "def rows():\n    yield {'id': 1}\n"
    write({"sources": sources(native("one"), native("two")), "custom_sources/shop.py": rows})
    project = Project(root)
    planned = runner.plan(project, [], runner.Request())
    results = list(runner.run(project, planned, lambda event: None, on="local"))
    assert {(result.source, result.status, result.rows) for result in results} == {("one", "ok", 1), ("two", "ok", 1)}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package that brings things which are no executors."""
    info = tmp_path / "far-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: far\nVersion: 1.0\n")
    names = ("HALF", "half", "none", "needs", "raises")
    (info / "entry_points.txt").write_text("[dango.executors]\n" + "".join(f"{n}_ = far_p:{n}\n" for n in names))
    (tmp_path / "far_p.py").write_text(
        "class Half:\n    def run(self, jobs, on_event): ...\n"
        "HALF = 0.5\n"
        "def half(supervise, workers, at_once): return Half()\n"
        "def none(*given): return None\n"
        "def needs(cluster): ...\n"
        "def raises(*given): raise OSError('no cluster') from KeyError('address')\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    sys.modules.pop("far_p", None)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("HALF_", "`far_p:HALF` is a float, and is to be called"),
        ("half_", "what `far_p:half` makes is no executor: it has no method `close`"),
        ("none_", "what `far_p:none` makes is no executor: it has no method `run`, `close`"),
        ("needs_", "needs() takes 1 positional argument but 3 were given"),
        ("raises_", "`far_p:raises` cannot be called: OSError: no cluster <- KeyError: 'address'"),
    ],
)
def test_what_is_no_executor_is_told_with_what_it_lacks(site: None, name: str, why: str) -> None:
    with pytest.raises(BrokenPlugin) as refused:
        executors.load(name, lambda job: iter(()), Workers(PRELOADED), 1)  # type: ignore[arg-type,return-value]
    assert f"the executor `{name}` of package far is broken: " in refused.value.message
    assert why in refused.value.message

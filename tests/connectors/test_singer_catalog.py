"""What a tap has said of its streams is kept, and what a small tap costs by dango."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.conftest import Said

SHOP = """\
version: 1
sources:
  - name: shop
    type: singer
    singer: {tap: "python taps/tap.py", config: {account: 7}}
"""
TAP = """\
import json, os, sys

schema = {"type": "object", "properties": {"id": {"type": "integer"}}}
if "--discover" in sys.argv:
    open("discovered", "a").write("once ")
    print(json.dumps({"streams": [{"tap_stream_id": "orders", "stream": "orders", "schema": schema}]}))
    sys.exit()
if os.environ.get("FAULT"):
    sys.exit("refused")
print(json.dumps({"type": "SCHEMA", "stream": "orders", "schema": schema, "key_properties": []}))
for n in range(10):
    print(json.dumps({"type": "RECORD", "stream": "orders", "record": {"id": n}}))
"""


@pytest.fixture(autouse=True)
def _shop(write: Callable[[Mapping[str, str]], None]) -> None:
    write({"sources": SHOP, "taps/tap.py": TAP})


@pytest.mark.slow
def test_a_tap_is_asked_for_its_streams_once_until_something_changes(
    dango: Callable[..., Said], root: Path, write: Callable[[Mapping[str, str]], None]
) -> None:
    def discovered(*arguments: str, code: int = 0, **env: str) -> int:
        (root / "discovered").write_text("")
        said = dango(*arguments, env=env)
        assert said.code == code, said.err
        return len((root / "discovered").read_text().split())

    assert [discovered("sync") for _ in range(2)] == [1, 0]
    # A run that fails forgets it: what the tap was asked for may not be there any more.
    assert discovered("sync", code=1, FAULT="1") == 0
    assert [discovered("sync") for _ in range(2)] == [1, 0]
    write({"sources": SHOP.replace("7", "8")})
    assert [discovered("sync") for _ in range(2)] == [1, 0]
    write({"taps/tap.py": TAP + "# another version\n"})
    assert [discovered("sync") for _ in range(2)] == [1, 0]
    assert discovered("source", "describe", "shop") == 1
    assert discovered("sync") == 0


@pytest.mark.slow
def test_a_small_tap_costs_little_more_than_by_itself(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def seconds(*command: str) -> float:
        before = os.times()
        subprocess.run([sys.executable, *command], cwd=root, capture_output=True, check=True)
        after = os.times()
        return after.children_user + after.children_system - before.children_user - before.children_system

    commands = {
        "the tap": ("taps/tap.py",),
        "dango sync": ("-m", "dango", "sync"),
        "importing dlt and DuckDB": ("-c", "import dlt, duckdb"),
    }
    seconds(*commands["dango sync"])
    costs: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(5):
        for name, command in commands.items():
            costs[name].append(seconds(*command))
    tap, sync, imports = (statistics.median(costs[name]) for name in commands)
    with capsys.disabled():
        print(f"\nseconds of processors: tap {tap:.2f}, dango sync {sync:.2f}, imports alone {imports:.2f}")
    # Processors that others use, too, need longer for all of it: of a busy machine the imports are the measure.
    busy = os.getloadavg()[0] > (os.cpu_count() or 1)
    assert sync - tap <= (3.5 * imports if busy else 1.5)

"""What a tap has said of its streams is kept."""

from __future__ import annotations

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

"""Which line of a stack trace people are shown, and what a record is called, without a source."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dango.sources.record_text import LONGEST_PAYLOAD, as_json, entity, place, within_limit

ROOT = Path("/home/ada/shop")


@pytest.mark.parametrize(
    ("files", "shown"),
    [
        (["/usr/lib/dlt.py", "/home/ada/shop/custom_sources/a.py", "/usr/lib/json.py"], "custom_sources/a.py:2"),
        (["/home/ada/shop/a.py", "/home/ada/shop/.venv/lib/site-packages/vendor/sdk.py"], "a.py:1"),
        (["/usr/lib/dlt.py", "/usr/lib/vendor.py"], "/usr/lib/vendor.py:2"),
        (["/home/ada/shopping/a.py"], "/home/ada/shopping/a.py:1"),
        (["<string>"], "<string>:1"),
        ([], ""),
    ],
)
def test_the_place_is_the_innermost_line_of_the_project_s_own_code(files: list[str], shown: str) -> None:
    lines = tuple((file, number) for number, file in enumerate(files, 1))
    assert place(lines, ROOT) == shown


def test_without_a_project_it_is_the_innermost_line_of_all() -> None:
    assert place((("/home/ada/shop/a.py", 1), ("/usr/lib/json.py", 2)), None) == "/usr/lib/json.py:2"


@pytest.mark.parametrize(
    ("record", "key", "called"),
    [
        ({"a": 1, "b": 2, "id": 3}, ("a", "b"), "1, 2"),
        ({"a": 1, "id": 3}, ("a", "b"), "3"),
        ({"name": "", "key": "k"}, (), "k"),
        ({"id": 0}, (), "0"),
        ([("id", 1)], (), ""),
    ],
)
def test_a_record_is_called_by_its_key_or_by_what_usually_is_a_name(
    record: Any, key: tuple[str, ...], called: str
) -> None:
    assert entity(record, key) == called


@pytest.mark.parametrize("size", [LONGEST_PAYLOAD - 2, LONGEST_PAYLOAD - 1])
def test_a_payload_is_cut_from_one_byte_too_many_on(size: int) -> None:
    payload = within_limit(as_json("x" * size))
    assert ("only the first" in payload) is (size > LONGEST_PAYLOAD - 2)

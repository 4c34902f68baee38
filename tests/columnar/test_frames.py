"""A frame gives the documents back as they were, or there is none."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from dlt.common.json import json

from dango.columnar.frames import Frame, Unfit, is_line, restored
from tests.columnar.corpus import documents, page


def pages(number: int) -> list[list[dict[str, Any]]]:
    random = Random(number)
    draw = documents(random, 3)
    return [page(random, draw, 0, size) for size in (1, 2, 30)]


def test_thousands_of_documents_come_back_as_they_were() -> None:
    framed = 0
    for number in range(150):
        for made in pages(number):
            try:
                line = Frame.of(made).line()
            except Unfit:
                continue
            framed += len(made)
            frame = Frame.read(json.loadb(line))
            assert frame is not None
            assert json.typed_dumpb(frame.rows()) == json.typed_dumpb(made)
            some = sorted({0, len(made) - 1})
            assert json.typed_dumpb(frame.rows(some)) == json.typed_dumpb([made[number] for number in some])
    assert framed > 2000


@pytest.mark.parametrize(
    ("documents", "why"),
    [
        ([], "no plain dicts"),
        ([{"a": 1}, "b"], "no plain dicts"),
        ([{1: 1}], "keys that are no text"),
        ([{"a": 1}, {"a": "1"}], "int and str"),
        ([{"a": 2**63}], "Arrow cannot hold"),
        ([{"a": "\ud800"}], "Arrow cannot hold"),
        ([{"a": object()}], "object"),
        ([{f"k{n}": n} for n in range(300)], "hardly a key in common"),
    ],
)
def test_what_fits_no_frame_is_told(documents: list[Any], why: str) -> None:
    with pytest.raises(Unfit, match=why):
        Frame.of(documents)


def test_a_document_that_is_nested_without_end_fits_no_frame() -> None:
    deep: dict[str, Any] = {}
    for _ in range(1000):
        deep = {"a": deep}
    with pytest.raises(Unfit, match="very deep"):
        Frame.of([deep])


def test_lines_that_are_no_frames_stay_as_they_are() -> None:
    documents = [{"a": 1}, {"a": 2}]
    own, frame = b'[{"a":3}]\n', Frame.of(documents).line()
    assert [is_line(line) for line in (own, frame)] == [False, True]
    assert list(restored(iter([own, frame, own]), json.typed_dumpb)) == [own, b'[{"a":1},{"a":2}]\n', own]


def test_a_document_that_looks_like_a_frame_is_none() -> None:
    (document,) = json.loadb(Frame.of([{"a": 1}]).line())
    frame = Frame.read(json.loadb(Frame.of([document]).line()))
    assert frame is not None
    assert frame.rows() == [document]

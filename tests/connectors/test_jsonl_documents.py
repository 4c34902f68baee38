"""Nested JSON Lines, read by Arrow: the tables are those that come of the same documents read one by one by dlt."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

import pytest
from dlt.pipeline.exceptions import PipelineStepFailed

from dango.columnar import hooks
from dango.columnar.frames import Frame
from dango.connectors import jsonl_documents
from dango.connectors.file_reading import DOCUMENTS
from dango.connectors.file_tables import Irregular
from tests.columnar import corpus
from tests.connectors.test_file_tables import Warehouse, put

Sync = Callable[..., Mapping[str, Mapping[str, int]]]

SHOP = '{"id": 1, "who": {"name": "Ada", "at": "2024-01-31T10:00:00Z"}, "items": [{"n": 1}, {"n": 2, "gift": true}]}\n'


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "CRITICAL")


class Refused(Exception):
    """dlt loads no such documents."""


def _refused(warehouse: Warehouse, tables: list[str]) -> bool:
    try:
        warehouse.sync(tables)
    except PipelineStepFailed:
        return True
    return False


@pytest.fixture
def synced(tmp_path: Path) -> Sync:
    """Syncs texts of JSON Lines, by the tables' names, run after run, in both ways, which must come to the same."""
    quick, slow = (Warehouse(tmp_path / way, {}) for way in ("quick", "slow"))

    def synced(*runs: Mapping[str, str]) -> Mapping[str, Mapping[str, int]]:
        ways = {}
        for run in runs:
            for table, text in run.items():
                put(tmp_path / table, {"a.jsonl": text})
            with hooks.switched_on(True, tmp_path):
                refused = _refused(quick, list(runs[0]))
            ways |= quick.ways
            assert _refused(slow, list(runs[0])) == refused
            if refused:
                raise Refused
            assert not any(DOCUMENTS in way for way in slow.ways.values())
        held, right = quick.held(), slow.held()
        assert held["columns"] == right["columns"]
        for table, rows in right["rows"].items():
            assert repr(held["rows"][table]) == repr(rows), table
        return ways

    return synced


QUICK: Mapping[str, str] = {
    "plain": SHOP,
    "keys_that_are_missing": SHOP + '{"id": 2}\n{"id": 3, "who": {}, "items": []}\n{"who": {"name": "Bo"}}\n',
    "nulls": SHOP + '{"id": null, "who": null, "items": null}\n{"who": {"name": null}, "items": [{}]}\n',
    "nulls_first": '{"who": null, "items": []}\n' + SHOP,
    "nothing_but_nulls": '{"a": [null, null], "b": {"c": null, "d": [{"e": null}]}, "f": [], "g": 1}\n' * 3,
    "a_list_of_values": '{"a": {"b": [1, null, 3]}, "c": ["x", "2024-01-31T10:00:00Z"]}\n',
    "lists_in_lists_of_documents": '{"a": [{"b": [{"c": 1}, {"c": 2}]}, {"b": []}]}\n',
    "deep": '{"a": {"b": {"c": {"d": {"e": [{"f": 1}]}}}}}\n',
    "fractions_and_whole_numbers": '{"a": {"b": 1.5}}\n{"a": {"b": 2}}\n{"a": {"b": -0.0}}\n',
    "texts": '{"a": {"b": "\\u00fc \\"q\\" \\\\ \\u0000", "c": "\\ud83c\\udf89\\n"}}\n{"a": {"b": "🎉", "c": "1"}}\n',
    "moments": '{"a": {"b": "2024-01-31T10:00:00Z"}}\n{"a": {"b": "2024-01-31T10:00:00.5+02:00"}}\n',
    "moments_and_other_texts": '{"a": {"b": "2024-01-31T10:00:00Z"}}\n{"a": {"b": "later"}}\n',
    "names": '{"Order Id": {"a.b": 1, "it\'s": [{"say \\"hi\\"": 2}]}}\n',
    "names_that_meet": '{"a b": {"c": 1}, "a_b": {"c": 2}}\n',
    "a_name_of_dlts": '{"_dlt_id": "x", "a": {"b": 1}}\n',
    "the_largest": '{"a": {"b": 9223372036854775807, "c": -9223372036854775808}}\n',
    "no_end_of_line": SHOP.rstrip(),
    "windows": SHOP.replace("\n", "\r\n") * 2,
}
"""What Arrow reads, whatever dlt's normaliser then makes of a frame."""

SLOW: Mapping[str, str] = {
    "several_types": '{"a": {"b": 1}}\n{"a": {"b": "x"}}\n',
    "whole_numbers_and_fractions": '{"a": {"b": 1}}\n{"a": {"b": 1.5}}\n',
    "a_document_and_a_value": '{"a": {"b": 1}}\n{"a": 2}\n',
    "lists_of_lists": '{"a": [[1, 2], [3]]}\n',
    "a_key_twice": '{"a": {"b": 1, "b": 2}}\n',
    "no_number": '{"a": {"b": 1.5}}\n{"a": {"b": NaN}}\n{"a": {"b": -Infinity}}\n',
    "blank_lines": SHOP + "\n  \n" + SHOP,
    "a_key_of_ours": '{"_file": "x", "a": {"b": 1}}\n',
    "dlts_marks": '{"a": {"b": "\uf0261.5"}}\n',
    "other_types_late": SHOP * 2_500 + '{"id": "x"}\n',
    "a_new_key_late": SHOP * 2_500 + '{"id": 2, "new": 1}\n',
    "a_text_late": '{"a": {"b": null, "c": 1}}\n' * 2_500 + '{"a": {"b": "x"}}\n',
    "a_value_late": '{"a": {"b": null, "c": 1}}\n' * 2_500 + '{"a": {"b": 1}}\n',
}


def test_documents_make_the_same_tables_read_by_arrow_and_one_by_one(synced: Sync) -> None:
    ways = synced({**QUICK, **SLOW})
    assert {name for name in QUICK if ways[name].keys() != {DOCUMENTS}} == set()
    assert {name for name in SLOW if DOCUMENTS in ways[name]} == set()


def test_files_that_change_make_the_same_tables_sync_after_sync(synced: Sync) -> None:
    more = '{"id": 7, "who": {"name": "Cy", "new": 1.5}, "other": [{"x": "y"}]}\n'
    flat = '{"id": 9}\n'
    runs = [{"same": SHOP, "grows": SHOP, "flat_then": flat, "then_flat": SHOP, "emptied": SHOP, "odd": SHOP}]
    runs += [{"grows": SHOP + more, "flat_then": SHOP, "then_flat": flat, "emptied": "", "odd": SLOW["several_types"]}]
    runs += [{"grows": more, "flat_then": flat, "then_flat": SHOP, "emptied": more, "odd": SHOP}]
    ways = synced(*runs)
    assert DOCUMENTS in ways["grows"]


@pytest.mark.parametrize("seed", [*range(4), *(pytest.param(n, marks=pytest.mark.slow) for n in range(4, 60))])
def test_any_documents_make_the_same_tables(synced: Sync, seed: int) -> None:
    random = Random(seed)
    draw = corpus.documents(random, 3)

    def text() -> str:
        rows = corpus.page(random, draw, 0, random.choice((1, 3, 30, 200)))
        # As JSON has them: what is no JSON becomes text, as it would in a file that somebody has written.
        return "".join(f"{json.dumps(row, default=str, ensure_ascii=random.random() < 0.5)}\n" for row in rows)

    for run in ({"t": text()} for _ in range(3)):
        try:
            synced(run)
        except Refused:
            return


@pytest.mark.parametrize(
    "text",
    [
        "null\n", f"{SHOP}null\n", f"{SHOP.rstrip()} null\n", "[1]\n", '{"a": {"b": 1}}{"a": {"b": 2}}\n',
        '{"a": {"b": 1}\n', '{"a": {"b":\n1}}\n', '{"a": {"b": 01}}\n', '{"a": {"b": "x\n"}}\n', '{"a": {"b": 1},}\n',
        f'{SHOP * 2_500}{{"who": {{"name": "\\ud800"}}}}\n', f"{SHOP * 2_500}null\n",
    ],
)  # fmt: skip
def test_what_is_no_document_in_a_line_is_left_to_who_reads_line_by_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.jsonl").write_text(text, encoding="utf-8")
    with pytest.raises(Irregular):
        jsonl_documents.write(tmp_path / "a.jsonl", {}, tmp_path / "frames")


def test_bytes_that_are_no_utf8_are_left_to_who_reads_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(SHOP.encode() * 2_500 + b'{"who": {"name": "\xff"}}\n')
    with pytest.raises(Irregular):
        jsonl_documents.write(tmp_path / "a.jsonl", {}, tmp_path / "frames")


def test_documents_keep_their_order_over_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl_documents, "_CHUNK", 100)
    given = [{"a": {"n": number, "text": "x" * (number % 150)}, "l": [number] * (number % 3)} for number in range(500)]
    (tmp_path / "a.jsonl").write_text("".join(f"{json.dumps(document)}\n" for document in given))
    assert jsonl_documents.write(tmp_path / "a.jsonl", {"_file": "a"}, tmp_path / "frames") == 500
    frames = [Frame.read(json.loads(line)) for line in (tmp_path / "frames").read_bytes().splitlines()]
    found: list[Any] = [row for frame in frames if frame is not None for row in frame.rows()]
    assert found == [{**document, "_file": "a"} for document in given]
    assert len(frames) > 100

"""What a file means is kept beside it: read again without a parser, and only if it is the very same text."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dango.config import parsed
from dango.config.document import Document
from dango.config.text.values import same
from dango.errors import ConfigError
from tests.conftest import Said, native, sources
from tests.test_startup import imported

NAME = "sources.yml"
PARSER = "dango.config.text.yaml_tree"
TEXT = "version: 1\nsources:\n  - name: shop # the first\n    at: 2024-01-01\n"


def read(text: str, cache: Path) -> Document:
    return Document(cache.with_name(NAME), NAME, text, cache=cache)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "a: [1, 1.0, true, null, '1', .nan, -.inf, 0o17, 0x1F, 1e3, 12345678901234567890123]",
        "a: [2024-01-01, 2024-01-01T10:00:00, 2024-01-01T10:00:00.123456+02:00, 2024-01-01T10:00:00Z]",
        "a: &x {k: 1}\nb: {<<: *x, l: 2}\nc: *x",
        "a: !unknown text\nb: !!str 5\nc: |\n  two\n  lines\n",
        'a: "\\ud83d\\ude00 \\x00 \\u2028"\nö: ü',
        # Not as JSON has it, or as the cache writes dates: these are parsed each time.
        "1: a\n'1': b\nnull: c\n2.5: d",
        "a: {$date: '2024-01-01'}\nb: {$datetime: x}",
        "a: !!set {x, y}\nb: !!binary aGFsbG8=",
    ],
)
def test_what_is_kept_is_what_the_parser_says(tmp_path: Path, text: str) -> None:
    plain = Document(tmp_path / NAME, NAME, text).data
    for _ in range(3):
        again = read(text, tmp_path / "cache").data
        assert same(again, plain)
        assert list(again) == list(plain)


def test_places_are_known_for_what_was_kept(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    read(TEXT, cache)
    kept = read(TEXT, cache)
    assert kept.place(("sources", 0, "at")) == "sources.yml:4:5"
    assert kept.set_value(("sources", 0), "name", "store").text == TEXT.replace("shop", "store")


def test_an_unchanged_file_is_not_parsed_again_and_a_changed_one_is(root: Path, write: Callable[..., None]) -> None:
    write({"sources": sources(native("shop"))})
    assert PARSER in imported(root, "status", "--json")
    assert PARSER not in imported(root, "status", "--json")
    write({"sources": sources(native("shop"), native("store"))})
    assert PARSER in imported(root, "status", "--json")


def test_the_cache_is_for_its_owner_alone_and_holds_one_file_a_document(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    for count in range(3):
        read(f"count: {count}", cache)
    (file,) = cache.iterdir()
    assert (file.stat().st_mode & 0o777, cache.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("broken", ["", "{", "[]", '{"of": 1}', '{"of": "x", "means": {}}', "\0\0", '{"$date": 5}'])
def test_a_broken_cache_is_made_again(tmp_path: Path, broken: str) -> None:
    cache = tmp_path / "cache"
    plain = read(TEXT, cache).data
    (file,) = cache.iterdir()
    sound = file.read_text()
    file.write_text(broken)
    assert read(TEXT, cache).data == plain
    assert file.read_text() == sound


def test_what_somebody_else_put_there_is_not_believed(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    read(TEXT, cache)
    (file,) = cache.iterdir()
    # As git would bring it: a clone must not mean something else than its sources.yml says.
    file.write_text(json.dumps({**json.loads(file.read_text()), "means": {"sources": "another"}}))
    file.chmod(0o644)
    assert parsed.read(cache, NAME, TEXT) is None
    assert read(TEXT, cache).data["version"] == 1


def test_a_text_that_is_not_yaml_is_told_each_time(tmp_path: Path) -> None:
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"sources\.yml:2:"):
            read("a: 1\na: 2", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    assert read(TEXT, tmp_path / "cache").data["version"] == 1


def test_entries_of_the_registry_are_kept_too(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": "version: 1\nsources: []\n"})
    first = dango("registry", "list", "--json").json
    assert PARSER not in imported(root, "registry", "list", "--json")
    assert dango("registry", "list", "--json").json == first
    write({"registry/shop.yml": "registry: 1\nid: shop\n"})
    (broken,) = [entry for entry in dango("registry", "list", "--json").json["entries"] if entry["id"] == "shop"]
    assert broken["problems"]

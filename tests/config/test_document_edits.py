"""Edits of sources.yml: the data afterwards are what was wanted, and no other line has changed."""

from __future__ import annotations

import copy
import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dango.config.document import Document
from dango.config.text.values import same
from dango.errors import ConfigError

NAME = ".dango/sources.yml"
SOURCES = ("sources",)
NEW = {"name": "new", "type": "t"}
ITEM = "- name: new\n    type: t\n"


def read(text: str) -> Document:
    return Document(Path(NAME), NAME, text)


def appended(text: str, value: dict[str, Any] | None = None) -> str:
    return read(text).append_item(SOURCES, value or NEW).text


def put(text: str, value: Any, key: str = "k", after: str | None = None) -> str:
    return read(text).set_value(("sources", 0), key, value, after).text


def test_a_new_source_is_written_as_a_person_would() -> None:
    source = {
        "name": "pg",
        "type": "postgres",
        "enabled": True,
        "description": "two\nlines\n",
        "resources": ["orders", "users"],
        "postgres": {
            "host": "db.example.com",
            "port": 5432,
            "password": "env:PG_PASSWORD",
            "since": dt.date(2024, 1, 2),
            "at": dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),
            "text": ["2024-01-02", "12", "yes", "", "a: b", "- c", "#d", " e", "it's", 'say "x"', "a\tb"],
            "tables": [{"name": "a", "key": ["u", "v"], "where": {}}, {"name": "b", "none": None}],
        },
    }
    assert appended("version: 1\nsources: []\n", source) == (
        "version: 1\n"
        "sources:\n"
        "  - name: pg\n"
        "    type: postgres\n"
        "    enabled: true\n"
        "    description: |\n"
        "      two\n"
        "      lines\n"
        "    resources: [orders, users]\n"
        "    postgres:\n"
        "      host: db.example.com\n"
        "      port: 5432\n"
        "      password: env:PG_PASSWORD\n"
        "      since: 2024-01-02\n"
        "      at: 2024-01-02T03:04:05+00:00\n"
        '      text: ["2024-01-02", "12", "yes", "", "a: b", "- c", "#d", " e", it\'s, say "x", "a\\tb"]\n'
        "      tables:\n"
        "        - name: a\n"
        "          key: [u, v]\n"
        "          where: {}\n"
        "        - name: b\n"
        "          none: null\n"
    )


def test_a_list_or_mapping_that_is_too_long_for_a_line_has_lines_of_its_own() -> None:
    long = [f"resource_number_{number}" for number in range(8)]
    text = appended(
        "sources: []\n", {"name": "n", "resources": long, "t": dict.fromkeys(long, 1), "u": [[1, 2], [[3]]]}
    )
    assert "    resources:\n      - resource_number_0\n" in text
    assert "    t:\n      resource_number_0: 1\n" in text
    assert text.endswith("    u:\n      - [1, 2]\n      - - [3]\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # No list yet, or an empty one.
        ("version: 1\n", f"version: 1\nsources:\n  {ITEM}"),
        ("version: 1", f"version: 1\nsources:\n  {ITEM}"),
        ("sources:\n", f"sources:\n  {ITEM}"),
        ("sources:   # mine\n# more\nversion: 1\n", f"sources:   # mine\n  {ITEM}# more\nversion: 1\n"),
        ("sources: []  # mine\nversion: 1\n", f"sources:  # mine\n  {ITEM}version: 1\n"),
        ("sources: [\n  # none\n]\nversion: 1\n", f"sources:\n  {ITEM}version: 1\n"),
        ("sources: null", "sources:\n  - name: new\n    type: t"),
        ("{version: 1, sources: []}\n", "{version: 1, sources: [{name: new, type: t}]}\n"),
        ("{version: 1}\n", "{version: 1, sources: [{name: new, type: t}]}\n"),
        # Dashes anywhere; the end of the list with and without comments.
        ("sources:\n- name: a\nversion: 1\n", "sources:\n- name: a\n- name: new\n  type: t\nversion: 1\n"),
        ("sources:\n    - name: a", "sources:\n    - name: a\n    - name: new\n      type: t\n"),
        ("sources:\n  - name: a  # x\n  # end\n", f"sources:\n  - name: a  # x\n  {ITEM}  # end\n"),
        ("sources:\n  - name: a\n    # k: 1\n\n# end\n", f"sources:\n  - name: a\n    # k: 1\n  {ITEM}\n# end\n"),
        ("sources:\n  - d: |\n      x\n\n\nv: 1\n", f"sources:\n  - d: |\n      x\n  {ITEM}\n\nv: 1\n"),
        ("sources:\n  - d: |+\n      x\n\nv: 1\n", f"sources:\n  - d: |+\n      x\n\n  {ITEM}v: 1\n"),
        ("sources:\n  -\n", f"sources:\n  -\n  {ITEM}"),
        ("sources:\n  - &a {name: a}\n  - *a\n", f"sources:\n  - &a {{name: a}}\n  - *a\n  {ITEM}"),
        # Empty lines between items stay the habit.
        ("sources:\n  - a: 1\n\n  - b: 2\n\nv: 1\n", f"sources:\n  - a: 1\n\n  - b: 2\n\n  {ITEM}\nv: 1\n"),
        # Flow style.
        ("sources: [{name: a}]  # x\n", "sources: [{name: a}, {name: new, type: t}]  # x\n"),
        ("sources: [\n    {name: a},  # x\n  ]\n", "sources: [\n    {name: a},  # x\n    {name: new, type: t},\n  ]\n"),
        ("sources: [\n    {name: a}  # x\n  ]\n", "sources: [\n    {name: a},  # x\n    {name: new, type: t}\n  ]\n"),
        ("sources: [\n    {name: a}]\n", "sources: [\n    {name: a}, {name: new, type: t}]\n"),
    ],
)
def test_however_the_list_is_written_an_item_is_added_at_its_end(before: str, after: str) -> None:
    assert appended(before) == after
    assert read(after).data["sources"][-1] == NEW
    assert appended(before.replace("\n", "\r\n")).replace("\r\n", "\n") == after


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        # A value in a line: the spaces before it and the comment behind it stay.
        ("k:   1   # why", 2, "k:   2   # why"),
        ("k:  # why", "a b", "k: a b  # why"),
        ("k: 'a\n      b'  # why", 2, "k: 2  # why"),
        ("k: |\n      a\n\n      b", 2, "k: 2"),
        ("k: &x [1,\n      2]  # why", [], "k: []  # why"),
        # One in lines of its own, and back.
        ("k: 1  # why", [{"a": 1}], "k:  # why\n      - a: 1"),
        ("k: 1  # why", "a\nb", "k: |-  # why\n      a\n      b"),
        ("k:  # why\n      a: 1  # one\n      b: 2", {"a": 1}, "k: {a: 1}  # why"),
        ("k:\n    - a\n    - b", "x", "k: x"),
        ("k:\n      - a", [[["b"]]], "k:\n      - - [b]"),
        # A key that is not there.
        ("j: 1  # one", 2, "j: 1  # one\n    k: 2"),
        ("j: |\n      x", {"a": [{}]}, "j: |\n      x\n    k:\n      a: [{}]"),
    ],
)
def test_a_key_gets_any_value_in_place_of_any_other(before: str, value: Any, after: str) -> None:
    text = "# head\nsources:\n  - name: a\n    {}\n    # below\n    z: 1\n"
    assert put(text.format(before), value, after="j") == text.format(after)
    assert put(text.format(after), value) == text.format(after)
    assert put(text.format(before).replace("\n", "\r\n"), value, after="j") == text.format(after).replace("\n", "\r\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("{name: a, k: 1, z: 2}", "{name: a, k: {x: [1, {v: z}]}, z: 2}"),
        ("{name: a, k, z: 2}", "{name: a, k: {x: [1, {v: z}]}, z: 2}"),
        ("{name: a, k: , z: 2}", "{name: a, k: {x: [1, {v: z}]} , z: 2}"),
        ("{name: a,\n     z: 2}", "{name: a,\n     z: 2, k: {x: [1, {v: z}]}}"),
    ],
)
def test_in_flow_style_a_value_stays_in_flow_style(before: str, after: str) -> None:
    assert put(f"sources:\n  - {before}\n", {"x": [1, {"v": "z"}]}) == f"sources:\n  - {after}\n"


def test_a_text_of_lines_does_not_take_in_the_comment_below_it() -> None:
    text = "sources:\n  - k: 1\n        # further in\n"
    assert put(text, "a\nb") == text.replace("k: 1", 'k: "a\\nb"')
    assert put(text, "a\nb", key="new") == text.replace("k: 1\n", 'k: 1\n    new: "a\\nb"\n')
    empty = "sources: []\n        # further in\n"
    assert appended(empty, {"d": "a\nb"}) == empty.replace("[]", '[{d: "a\\nb"}]')


def test_an_alias_is_replaced_and_what_it_stands_for_stays() -> None:
    text = "d: &d\n  a: 1\nsources:\n  - name: a\n    k: *d  # why\n"
    assert put(text, {"a": 2}) == text.replace("*d", "{a: 2}")


def test_a_key_can_be_set_where_its_mapping_is_empty_or_missing() -> None:
    for body in ("", " {}", "\n    gh:", "\n    gh: {}"):
        text = f"sources:\n  - name: a{body if body.startswith(chr(10)) else ''}\n"
        assert read(text).set_value(("sources", 0, "gh"), "owner", "x").data["sources"][0]["gh"] == {"owner": "x"}
    assert read("a: 1\n").set_value((), "b", 2, after="a").text == "a: 1\nb: 2\n"
    assert read("{}\n").set_value((), "b", 2).text == "{b: 2}\n"
    with pytest.raises(ConfigError, match="cannot be changed"):
        read("a: 1\n").set_value(("a",), "b", 2)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "- name: a\n    # above\n    k: 1  # k\n    # below\n    z: 2\n",
            "- name: a\n    # above\n    # below\n    z: 2\n",
        ),
        ("- k: 1  # k\n    z: 2\n", "- z: 2\n"),
        ("- k:\n      - 1\n    # z\n    z: 2\n", "-\n    # z\n    z: 2\n"),
        ("- name: a\n    k: |\n      x\n\n      y", "- name: a\n"),
        ("- k: 1  # k\n", "- {}  # k\n"),
        ("- {name: a, k: 1}\n", "- {name: a}\n"),
        ("- {k: 1, name: a}\n", "- {name: a}\n"),
        ("- {k: 1}\n", "- {}\n"),
    ],
)
def test_a_key_goes_and_the_comments_around_it_stay(before: str, after: str) -> None:
    assert read(f"sources:\n  {before}").remove_key(("sources", 0), "k").text == f"sources:\n  {after}"
    assert read(f"sources:\n  {after}").remove_key(("sources", 0), "k").text == f"sources:\n  {after}"


def test_the_only_key_of_a_block_leaves_an_empty_mapping() -> None:
    text = "sources:\n  - name: a\n    gh:  # mine\n      # what\n      k: 1\n    z: 1\n"
    left = read(text).remove_key(("sources", 0, "gh"), "k").text
    assert left == "sources:\n  - name: a\n    gh: {}  # mine\n      # what\n    z: 1\n"


def test_replacing_an_item_changes_only_what_differs() -> None:
    text = (
        "sources:\n"
        "  # above\n"
        "  - name: gh   # its name\n"
        "    type: 'github'\n"
        "    resources: [a,   b]\n"
        "    github:\n"
        '      owner: "x"  # quoted\n'
        "      old: 1\n"
        "      auth: {kind: token, n: 1}\n"
        "    enabled: true\n"
        "  - name: other\n"
    )
    new = {
        "name": "gh",
        "description": "d",
        "type": "github",
        "resources": ["a", "b"],
        "enabled": False,
        "github": {"owner": "x", "repo": "r", "auth": {"kind": "token", "n": 2}},
    }
    document = read(text)
    edited = document.replace_item(("sources", 0), new)
    assert edited.text == (
        text.replace("# its name\n", "# its name\n    description: d\n")
        .replace("# quoted\n", "# quoted\n      repo: r\n")
        .replace("      old: 1\n", "")
        .replace("n: 1", "n: 2")
        .replace("enabled: true", "enabled: false")
    )
    assert edited.replace_item(("sources", 0), new) is edited
    assert document.diff(document) == ""
    assert document.diff(read(text.replace("n: 1", "n: 2"))).splitlines()[:2] == [f"--- {NAME}", f"+++ {NAME}"]
    assert {"-      old: 1", "+      repo: r"} <= set(document.diff(edited).splitlines())


def test_one_and_true_are_not_the_same_value() -> None:
    assert put("sources:\n  - k: 1\n", True) == "sources:\n  - k: true\n"
    assert put("sources:\n  - k: true\n", 1.0) == "sources:\n  - k: 1.0\n"


@pytest.mark.parametrize(
    "edit",
    [
        lambda document: document.set_value(("sources", 0), "k", 2),
        lambda document: document.replace_item(("sources", 0), {"name": "a", "k": 2}),
        lambda document: document.remove_key(("sources", 0), "k"),
        lambda document: document.set_value(("sources", 1, "k"), "x", 1),
        lambda document: document.remove_key(("sources", 2), "inherited"),
        lambda document: document.append_item(("more",), NEW),
    ],
)
def test_what_an_alias_ties_to_another_place_is_refused(edit: Any) -> None:
    text = (
        "base: &b {inherited: 1}\nall: &all [1]\nmore: *all\n"
        "sources:\n  - name: a\n    k: &k {y: 1}\n  - {name: b, k: *k}\n  - {<<: *b, name: c}\n"
    )
    with pytest.raises(ConfigError) as caught:
        edit(read(text))
    assert caught.value.problems[0].hint == "edit it by hand"


words = st.text("abcxyz", min_size=1, max_size=5)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [
        "yes",
        "12:30",
        "2024-01-01",
        "env:X",
        "a\nb\n",
        "a\n\n b",
        "x\n\n",
        "- a",
        "a: b",
        "a #b",
        "*a",
        "{{ x }}",
        "~",
        "=",
        "<<",
    ]
)
scalars = (
    texts
    | st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False)
    | st.dates()
    | st.datetimes()
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words | texts, inner, max_size=3), max_leaves=6
)
comments = st.lists(st.sampled_from(["# c", "# - name: x", "", "# 'a: [", "    # deep"]), max_size=2)
tails = st.sampled_from(["", "", "   # why", " # - name: x"])
written = st.sampled_from(
    [
        *("t", "'q #x'", '"d: \\" ,"', "2024-01-01", "[1, 'a, b']", "{k: v}", "é ü", "", "&anchor v", "!!str 1"),
        *("|\nI  line\n\nI  - name: no", ">-\nI  folded\nI  # no comment", "'multi\n\nI  line'", "plain\nI  more"),
        *(
            "[1,\nI   2]",
            "\nI- 1\nI-   x: 2\nI    # c\nI    y: 3",
            "\nI  a: 1  # one\nI  b: {c: d}",
            "\nI  - - 1\nI    - 2\nI  -",
        ),
    ]
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A sources.yml as people write them, each source with other keys, styles, comments and indentation."""
    indent = draw(st.sampled_from(["", "  ", "    "]))
    gap = draw(st.sampled_from([[], [], [""]]))
    lines = [*draw(comments), "version: 1" + draw(tails), "sources:" + draw(tails)]
    for number in range(draw(st.integers(1, 3))):
        lines += gap if number else []
        if draw(st.integers(0, 4)) == 0:
            lines.append(f"{indent}- {{name: s{number}, k: [1, 2], 'z': q}}{draw(tails)}")
            continue
        dash = draw(st.sampled_from(["- ", "-   "]))
        inner = indent + " " * len(dash)
        lines.append(f"{indent}{dash}name: s{number}{draw(tails)}")
        for key in draw(st.lists(words, unique=True, max_size=3)):
            lines += [f"{inner}{line}".rstrip() for line in draw(comments)]
            value = draw(written).replace("\nI", f"\n{inner}").replace("&anchor", f"&a{number}{key}")
            lines.append(f"{inner}k_{key}: {value}" + ("" if "\n" in value or not value else draw(tails)))
    lines += [*draw(comments), *draw(st.sampled_from([[], ["destination: duckdb # d"]]))]
    text = "\n".join(lines)
    # Whether the last line of a `|` ends with a line break is a part of its text.
    text += "\n" if ": |\n" in text else draw(st.sampled_from(["", "\n"]))
    return text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"])))


def is_part(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(line in rest for line in part)


def split(text: str) -> list[str]:
    return text.replace("\r\n", "\n").removesuffix("\n").split("\n")


def takes_a_comment(text: str) -> bool:
    """Whether a `|` or `>` may come to stand above a comment that is further in, and would be its text."""
    return "# deep" in text or any(sign in text for sign in (": |", ": >"))


def check_outside(before: str, after: str, first: int, last: int) -> None:
    """Every line above `first` and below `last`, from 0, is as it was."""
    old, new = split(before), split(after)
    assert new[:first] == old[:first]
    assert new[len(new) - (len(old) - last - 1) :] == old[last + 1 :]
    assert after.count("\r\n") in (0, after.count("\n"))


@settings(max_examples=60, deadline=None)
@given(text=files(), value=st.dictionaries(words, values, min_size=1, max_size=4))
def test_an_appended_item_is_what_was_wanted_and_no_line_of_any_file_changes(text: str, value: dict[str, Any]) -> None:
    document = read(text)
    edited = document.append_item(SOURCES, value)
    assert same(edited.data, {**document.data, "sources": [*document.data["sources"], value]})
    assert is_part(split(text), split(edited.text))
    assert edited.text.count("\r\n") in (0, edited.text.count("\n"))
    assert document.text == text


@settings(max_examples=60, deadline=None)
@given(text=files(), value=values, data=st.data())
def test_any_value_can_be_set_anywhere_and_the_lines_of_other_keys_stay(
    text: str, value: Any, data: st.DataObject
) -> None:
    document = read(text)
    wanted = copy.deepcopy(document.data)
    index = data.draw(st.integers(0, len(wanted["sources"]) - 1))
    source = wanted["sources"][index]
    key = data.draw(st.sampled_from([*source, "new"]))
    source[key] = value
    edited = document.set_value(("sources", index), key, value, after="name")
    assert same(edited.data, wanted)
    assert edited.set_value(("sources", index), key, value) is edited
    if key == "new":
        assert is_part(split(text), split(edited.text)) or len(split(text)) == len(split(edited.text))
        return
    first = document.where(("sources", index, key))[0] - 1
    following = [*list(source)[list(source).index(key) + 1 :]]
    places = [document.where(("sources", index, name)) for name in following]
    places += [document.where(("sources", later)) for later in range(index + 1, len(wanted["sources"]))]
    last = (places[0][0] - 2) if places else len(split(text)) - 1
    check_outside(text, edited.text, first, max(first, last))


@settings(max_examples=60, deadline=None)
@given(text=files(), data=st.data())
def test_any_key_can_be_removed_and_only_its_lines_go(text: str, data: st.DataObject) -> None:
    document = read(text)
    wanted = copy.deepcopy(document.data)
    index = data.draw(st.integers(0, len(wanted["sources"]) - 1))
    key = data.draw(st.sampled_from(list(wanted["sources"][index])))
    del wanted["sources"][index][key]
    try:
        edited = document.remove_key(("sources", index), key)
    except ConfigError:
        assert takes_a_comment(text)
        return
    assert same(edited.data, wanted)
    if key != "name" and "{" not in split(text)[document.where(("sources", index))[0] - 1]:
        assert is_part(split(edited.text), split(text))


@settings(max_examples=60, deadline=None)
@given(text=files(), data=st.data())
def test_an_item_can_become_any_other_and_comments_of_other_sources_stay(text: str, data: st.DataObject) -> None:
    document = read(text)
    wanted = copy.deepcopy(document.data)
    index = data.draw(st.integers(0, len(wanted["sources"]) - 1))
    kept = data.draw(st.lists(st.sampled_from(list(wanted["sources"][index].items())), unique_by=lambda kv: kv[0]))
    new = {**dict(kept), **data.draw(st.dictionaries(st.sampled_from(["name", "new", "k_a"]), values, min_size=1))}
    wanted["sources"][index] = new
    try:
        edited = document.replace_item(("sources", index), new)
    except ConfigError:
        assert takes_a_comment(text)
        return
    assert same(edited.data, wanted)
    assert edited.replace_item(("sources", index), new) is edited
    first = document.where(("sources", index))[0] - 1
    assert split(edited.text)[:first] == split(text)[:first]


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ("'a'", "b", "'b'"),
        ('"a"', "b", '"b"'),
        ("'a'", "it's", "'it''s'"),
        ("'a'", "two\nlines", '"two\\nlines"'),
        ('"a"', 7, "7"),
        ("a", "b", "b"),
    ],
)
def test_a_text_that_is_changed_keeps_its_quotes(tmp_path: Path, old: str, value: object, new: str) -> None:
    for text in ("s:\n  k: {} # why\n  m: 1\n", "s: {{k: {}, m: 1}} # why\n"):
        document = Document(tmp_path / "x.yml", "x.yml", text.format(old))
        assert document.set_value(("s",), "k", value).text == text.format(new)


def test_the_first_key_of_an_item_can_go_where_a_comment_follows_it() -> None:
    document = read("version: 1\nsources:\n- name: s1\n\n- name: s2\n  # c\n  k_a: t\n")
    edited = document.remove_key(("sources", 1), "name")
    assert edited.text == "version: 1\nsources:\n- name: s1\n\n-\n  # c\n  k_a: t\n"
    assert edited.data["sources"][1] == {"k_a": "t"}


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nsources: []  # none\n",
        "version: 1\n",
        "sources:\n  - {name: a}  # the first\n# below\n",
        "sources:\n\n  - name: a\n\n  - name: b\n    type: t\n\ndestination: x\n",
        "sources: [{name: a}, {name: b}]\n",
    ],
)
def test_many_items_at_once_are_what_they_are_one_by_one(text: str) -> None:
    items = [{**NEW, "name": f"new_{n}"} for n in range(3)]
    one_by_one = read(text)
    for item in items:
        one_by_one = one_by_one.append_item(SOURCES, item)
    assert read(text).append_items(SOURCES, items).text == one_by_one.text
    assert read(text).append_items(SOURCES, []).text == text

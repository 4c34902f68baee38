"""sources.yml as text: every key knows its place, and an edit changes only the lines it must."""

from __future__ import annotations

import datetime as dt
import pickle
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from dango.config.document import Document
from dango.errors import ConfigError

NAME = ".dango/sources.yml"


def read(text: str) -> Document:
    return Document(Path(NAME), NAME, text)


def switched(text: str, value: str = "false", index: int = 0) -> str:
    return read(text).set_value(("sources", index), "enabled", value == "true", after="type").text


def removed(text: str, index: int = 0) -> str:
    return read(text).remove_item(("sources", index)).text


def fault(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read(text)
    return str(caught.value)


def test_every_key_and_item_knows_its_line_and_column() -> None:
    document = read(
        "version: 1\n"
        "# a comment\n"
        "sources:\n"
        "  - name: a\n"
        "    dlt_native:\n"
        "      function_kwargs: {keys: [x, y], since: 2024-01-01}\n"
        "  - {name: b, type: t}\n"
    )
    assert document.place(("version",)) == f"{NAME}:1:1"
    assert document.place(("sources", 0)) == f"{NAME}:4:5"
    kwargs = ("sources", 0, "dlt_native", "function_kwargs")
    assert document.place(kwargs) == f"{NAME}:6:7"
    assert document.place((*kwargs, "since")) == f"{NAME}:6:39"
    assert document.place((*kwargs, "keys", 1)) == f"{NAME}:6:35"
    assert document.place(("sources", 1, "type")) == f"{NAME}:7:15"


def test_the_place_of_what_is_not_there_is_that_of_its_nearest_parent() -> None:
    document = read("version: 1\nsources:\n  - name: a\n")
    assert document.where(("sources", 0, "type")) == (3, 5)
    assert document.where(("sources", 7, "type")) == (2, 1)
    assert document.where(("nothing", "at", "all")) == (1, 1)


def test_tags_of_ones_own_are_known_by_their_places_and_what_they_tag_is_text() -> None:
    document = read("a: !ENV X\nb: [1, {c: !secret Y}]\nd: !!str 3\ne: &e !ENV Z\nf: *e\n")
    assert document.data == {"a": "X", "b": [1, {"c": "Y"}], "d": "3", "e": "Z", "f": "Z"}
    assert document.tags == {("a",): "!ENV", ("b", 1, "c"): "!secret", ("e",): "!ENV", ("f",): "!ENV"}


def test_the_data_are_plain_values_that_pickle() -> None:
    document = read(
        "text: 'quoted'\nblock: |\n  lines\nhex: 0x10\nfloat: 1.50\ntruth: &t yes\ntrue: &u true\n"
        "day: 2024-01-02\ninstant: 2024-01-02T03:04:05Z\nlist: [1, {a: b}]\nsame: *u\n"
    )
    assert document.data == {
        "text": "quoted", "block": "lines\n", "hex": 16, "float": 1.5, "truth": "yes", True: True,
        "day": dt.date(2024, 1, 2), "instant": document.data["instant"], "list": [1, {"a": "b"}], "same": True,
    }  # fmt: skip
    assert document.data["instant"].isoformat().startswith("2024-01-02T03:04:05")

    def kinds(value: Any) -> set[str]:
        inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
        return {type(value).__module__}.union(*(kinds(item) for item in inner))

    assert kinds(document.data) <= {"builtins", "datetime"}
    assert pickle.loads(pickle.dumps(document.data)) == document.data


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", f"{NAME}:1:1: the file is empty"),
        ("# only a comment\n", f"{NAME}:1:1: the file is empty"),
        ("version: 0x_\n", f"{NAME}:1:1: not YAML: a number without digits"),
        ("a: &it\n  b:\n    - <<: *it\n      c: 1\n", f"{NAME}:1:1: not YAML: "),
        ("version: 1\nsources:\n\t- name: a\n", f"{NAME}:3:1: a tab: YAML is indented with spaces"),
        ("version: 1\nsources:\n  - name: a\n  \ttype: b\n", f"{NAME}:4:3: a tab: YAML is indented with spaces"),
        ("version: 1\nversion: 2\n", f'{NAME}:2:1: found duplicate key "version"'),
        ("sources:\n  - {name: a, name: b}\n", f'{NAME}:2:15: found duplicate key "name"'),
        ("- a\n- b\n", f"{NAME}:1:1: this should be a mapping: `version:`, `sources:` …"),
        ("just text\n", f"{NAME}:1:1: this should be a mapping: `version:`, `sources:` …"),
        ("sources: [a\n", f"{NAME}:2:1: "),
        ("a: b: c\n", f"{NAME}:1:5: mapping values are not allowed here"),
        ("a: *nowhere\n", f"{NAME}:1:4: found undefined alias"),
        ("a: 1\n---\nb: 2\n", f"{NAME}:2:1: "),
        ("a: \x01\n", f"{NAME}:1:"),
    ],
)
def test_what_is_not_yaml_is_named_with_its_place(text: str, said: str) -> None:
    assert fault(text).startswith(said)


@pytest.mark.parametrize(
    "text",
    [
        "version: 1\nsources:\n  - name: a\n    token: {{ token }}\n",  # a template's braces: a mapping as a key
        "a: " + "[" * 5000 + "\n",
        # A billion values, and so many keys.
        "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{k: *a{n - 1}, l: *a{n - 1}}}\n" for n in range(1, 40)),
    ],
)
def test_yaml_that_no_configuration_can_hold_is_refused_with_a_place(text: str) -> None:
    assert fault(text).startswith(f"{NAME}:")


def test_a_tab_inside_a_value_or_a_comment_is_no_fault() -> None:
    assert read("a: 'x\ty'\n# \tcomment\nb: |\n  \tx\nc: 1\n").data == {"a": "x\ty", "b": "\tx\n", "c": 1}


def test_a_file_that_is_too_large_is_not_parsed(tmp_path: Path) -> None:
    file = tmp_path / "sources.yml"
    file.write_text("# " + "x" * 5_000_000)
    with pytest.raises(ConfigError, match=r"sources\.yml: larger than 5 MB"):
        Document(file, "sources.yml")


BLOCK = """\
# the head
version: 1   # one

sources:
  # above a
  - name: a        # its name
    type: 'dlt_native'   # quoted
    description: "a, b: # no comment"

  # above b
  - name: b
    enabled: yes
    type: dlt_native
  # the end
"""


def test_a_new_key_goes_below_the_given_one_and_leaves_all_else_alone() -> None:
    assert switched(BLOCK) == BLOCK.replace("# quoted\n", "# quoted\n    enabled: false\n")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("enabled: true", "enabled: false"),
        ("enabled:    true   # why", "enabled:    false   # why"),
        ("enabled: 'true'", "enabled: false"),
        ('"enabled": "tr\\"ue"  # why', '"enabled": false  # why'),
    ],
)
def test_a_value_that_is_there_is_replaced_in_its_place(before: str, after: str) -> None:
    text = "sources:\n  - name: a\n    {}\n    type: t\n"
    assert switched(text.format(before)) == text.format(after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # `type` first; the list at zero indent; nothing at the end of the last line.
        ("sources:\n- type: t\n  name: a\n", "sources:\n- type: t\n  enabled: false\n  name: a\n"),
        ("sources:\n- name: a\n  type: t", "sources:\n- name: a\n  type: t\n  enabled: false\n"),
        ("sources:\n  - name: a\n    enabled: true", "sources:\n  - name: a\n    enabled: false"),
        ("sources:\n  -   name: a\n      type: t\n", "sources:\n  -   name: a\n      type: t\n      enabled: false\n"),
        ("sources:\n  -\n    name: a\n    type: t\n", "sources:\n  -\n    name: a\n    type: t\n    enabled: false\n"),
        # Values of many lines before and behind.
        (
            "sources:\n  - description: |\n      type: x\n      enabled: true\n    type: t\n    name: a\n",
            (
                "sources:\n  - description: |\n      type: x\n      enabled: true\n    type: t\n    enabled: false\n"
                "    name: a\n"
            ),
        ),
        # Flow style, of one line and of several.
        ("sources:\n  - {name: a, type: t}\n", "sources:\n  - {name: a, type: t, enabled: false}\n"),
        ("sources:\n  - {type: t, name: a}  # why\n", "sources:\n  - {type: t, enabled: false, name: a}  # why\n"),
        ("sources: [{name: a, enabled: true, type: t}]\n", "sources: [{name: a, enabled: false, type: t}]\n"),
        (
            "sources:\n  - {name: a,\n     type: t,\n     x: 1}\n",
            "sources:\n  - {name: a,\n     type: t, enabled: false,\n     x: 1}\n",
        ),
        # Anchors: on the item, and on the value itself.
        (
            "sources:\n  - &one\n    name: a\n    type: t\n",
            "sources:\n  - &one\n    name: a\n    type: t\n    enabled: false\n",
        ),
    ],
)
def test_however_the_item_is_written_only_the_key_is_added_or_changed(before: str, after: str) -> None:
    assert switched(before) == after
    assert read(after).data["sources"][0]["enabled"] is False


@pytest.mark.parametrize(
    "text",
    [
        "on: &on true\nsources:\n  - name: a\n    enabled: *on\n    type: t\n",
        "base: &base {enabled: true, x: 1}\nsources:\n  - <<: *base\n    name: a\n    type: t\n",
        "sources:\n  - name: a\n    enabled: &on true\n    type: t\n",
        "sources:\n  - name: a\n    type: >-\n      t\n    x: 1\n",
        "sources:\n  - name: a\n    type: 't\n      u'\n    x: 1\n",
        "sources:\n  - name: a\n    enabled: !!bool true\n    type: t\n",
    ],
)
def test_in_odd_yaml_too_the_switch_changes_that_source_and_nothing_else(text: str) -> None:
    expected = read(text).data
    expected["sources"][0] = {**expected["sources"][0], "enabled": False}
    assert read(switched(text)).data == expected


@pytest.mark.parametrize("breaks", ["\r\n", "\n"])
def test_line_ends_stay_as_they_are(tmp_path: Path, breaks: str) -> None:
    file = tmp_path / "sources.yml"
    text = BLOCK.replace("\n", breaks)
    file.write_bytes(text.encode())
    document = Document(file, "sources.yml")
    assert document.place(("sources", 1, "enabled")) == "sources.yml:12:5"
    document.set_value(("sources", 0), "enabled", False, after="type").save()
    assert file.read_bytes().decode() == text.replace(
        f"# quoted{breaks}", f"# quoted{breaks}    enabled: false{breaks}"
    )
    Document(file, "sources.yml").remove_item(("sources", 0)).remove_item(("sources", 0)).save()
    assert file.read_bytes().decode() == breaks.join(
        ["# the head", "version: 1   # one", "", "sources: []", "  # above a", "", "  # above b", "  # the end", ""]
    )


def test_an_item_goes_and_the_comments_around_it_stay() -> None:
    gone = "  - name: a        # its name\n    type: 'dlt_native'   # quoted\n    description: \"a, b: # no comment\"\n"
    assert removed(BLOCK) == BLOCK.replace(gone, "")
    assert removed(BLOCK, 1) == BLOCK.replace("  - name: b\n    enabled: yes\n    type: dlt_native\n", "")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sources:\n- name: a\n- name: b\n  x:\n  - 1\n  - 2\n- name: c\n", "sources:\n- name: a\n- name: c\n"),
        ("sources:\n- name: a\n-\n  # inner\n  name: b\ndefaults: {}\n", "sources:\n- name: a\ndefaults: {}\n"),
        ("sources:\n  - name: a\n  - name: b", "sources:\n  - name: a\n"),
        ("sources:\n  - name: a\n  - {name: b,\n     x: 1}\n# end\n", "sources:\n  - name: a\n# end\n"),
        (
            "sources:\n  - name: a\n  - name: b\n    d: |\n      x\n\n      # y\n      z\nv: 1\n",
            "sources:\n  - name: a\nv: 1\n",
        ),
        ("sources: [{name: a}, {name: b}]   # why\nv:   1\n", "sources: [{name: a}]   # why\nv:   1\n"),
    ],
)
def test_however_the_list_is_written_only_the_item_goes(before: str, after: str) -> None:
    assert removed(before, 1) == after


def test_removing_an_item_of_a_flow_list_leaves_the_other_lines_alone() -> None:
    text = "destinations:\n    lake:   {type: 'postgres'}\nsources: [\n    {name: a},  # first\n    {name: b},\n  ]\n"
    left = removed(text)
    assert read(left).data == {"destinations": {"lake": {"type": "postgres"}}, "sources": [{"name": "b"}]}
    assert left.startswith("destinations:\n    lake:   {type: 'postgres'}\nsources: ")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("sources:\n  - name: a\n", "sources: []\n"),
        ("sources:   # mine\n- name: a\nversion: 1\n", "sources: []   # mine\nversion: 1\n"),
        ("sources: [{name: a}]\n", "sources: []\n"),
    ],
)
def test_the_last_item_leaves_an_empty_list(before: str, after: str) -> None:
    assert read(removed(before)).data["sources"] == []
    assert removed(before).split() == after.split()


@pytest.mark.parametrize(
    "text",
    [
        "sources:\n  - name: a\n    d: 'x\n  y'\n  - name: b\n",
        "sources:\n  - {name: a,\nx: 1\n}\n  - name: b\n",
        "sources:\n  - name: a\n    d: |\n      x\n      # not a comment\n  - name: b\n",
    ],
)
def test_odd_yaml_loses_the_item_and_nothing_else(text: str) -> None:
    assert read(removed(text)).data == {"sources": [{"name": "b"}]}


@pytest.mark.parametrize(
    ("edit", "text"),
    [
        (switched, "sources:\n  - name: a\n    enabled: &on true\n    type: t\n  - {name: b, enabled: *on}\n"),
        (removed, "sources:\n  - &a {name: a, x: 1}\n  - {<<: *a, name: b}\n"),
    ],
)
def test_what_an_alias_elsewhere_needs_is_not_changed_but_refused(edit: Callable[[str], str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        edit(text)
    (problem,) = caught.value.problems
    assert str(problem).endswith(": this cannot be changed without changing more than it")
    assert (problem.line, problem.hint) == (2, "edit it by hand")


def test_saving_replaces_the_file_at_once_and_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / "sources.yml"
    file.write_text("sources: []\n")
    file.chmod(0o640)
    before = file.stat().st_ino
    Document(file, "sources.yml", "sources: [1]\n").save()
    assert file.read_text() == "sources: [1]\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert file.stat().st_ino != before
    assert list(tmp_path.iterdir()) == [file]


def test_saving_through_a_symbolic_link_keeps_the_link(tmp_path: Path) -> None:
    (tmp_path / "shared.yml").write_text("sources: []\n")
    link = tmp_path / "sources.yml"
    link.symlink_to("shared.yml")
    Document(link, "sources.yml", "sources: [1]\n").save()
    assert link.is_symlink()
    assert (tmp_path / "shared.yml").read_text() == "sources: [1]\n"


words = st.text("abcxyz", min_size=1, max_size=6)
comments = st.lists(
    st.text("abc #:-'\"{}[],&*é", max_size=12).map(lambda text: f"# {text}".rstrip()) | st.just(""), max_size=2
)
scalars = st.sampled_from(["t", "'q #x'", '"d: \\" ,"', "2024-01-01", "[1, 'a, b']", "{k: v}", "é ü", "a#b"])
tails = st.sampled_from(["", "   # why", " # - name: x"])


@st.composite
def files(draw: st.DrawFn) -> str:
    """A sources.yml as people write them: comments anywhere, keys in any order, block and flow style mixed."""
    indent = draw(st.sampled_from(["", "  ", "    "]))
    lines = [*draw(comments), "version: 1" + draw(tails), "sources:" + draw(tails)]
    for number in range(draw(st.integers(1, 4))):
        keys = {"name": f"s{number}{draw(words)}", "type": draw(st.sampled_from(["t", "'t'", '"t"']))}
        keys |= {f"k_{word}": draw(scalars) for word in draw(st.lists(words, max_size=3))}
        if draw(st.booleans()):
            keys["enabled"] = draw(st.sampled_from(["true", "false"]))
        order = draw(st.permutations(list(keys.items())))
        lines += [f"{indent}{line}".rstrip() for line in draw(comments)]
        if draw(st.integers(0, 3)) == 0:
            lines.append(indent + "- {" + ", ".join(f"{k}: {v}" for k, v in order) + "}" + draw(tails))
            continue
        for position, (key, value) in enumerate(order):
            if position:
                lines += [f"{indent}  {line}".rstrip() for line in draw(comments)]
            start = f"{indent}- " if position == 0 else f"{indent}  "
            if value == "t" and key.startswith("k_"):
                lines += [f"{start}{key}: |", f"{indent}    - name: no", f"{indent}    enabled: no"]
            else:
                lines.append(f"{start}{key}: {value}{draw(tails)}")
    lines += [*draw(comments), *draw(st.sampled_from([[], ["destination: duckdb # d"]]))]
    breaks = draw(st.sampled_from(["\n", "\n", "\r\n"]))
    return breaks.join(lines) + draw(st.sampled_from(["", breaks]))


def parsed(text: str) -> Any:
    return YAML(typ="safe", pure=True).load(text)


def is_part(part: list[str], whole: list[str]) -> bool:
    rest = iter(whole)
    return all(line in rest for line in part)


@settings(max_examples=150, deadline=None)
@given(text=files(), value=st.sampled_from(["true", "false"]), data=st.data())
def test_a_switch_changes_one_line_of_any_file(text: str, value: str, data: st.DataObject) -> None:
    expected = parsed(text)
    index = data.draw(st.integers(0, len(expected["sources"]) - 1))
    expected["sources"][index]["enabled"] = value == "true"
    edited = switched(text, value, index)
    assert parsed(edited) == expected
    old, new = text.splitlines(), edited.splitlines()
    if len(new) == len(old):
        assert sum(before != after for before, after in zip(old, new, strict=True)) <= 1
    else:
        assert len(new) == len(old) + 1
        assert is_part(old, new)
    assert ("\r\n" in edited) == ("\r\n" in text)
    assert edited.count("\r") in (0, edited.count("\n"))


@settings(max_examples=150, deadline=None)
@given(text=files(), data=st.data())
def test_a_removal_takes_whole_lines_of_any_file_and_leaves_the_rest_byte_for_byte(
    text: str, data: st.DataObject
) -> None:
    expected = parsed(text)
    index = data.draw(st.integers(0, len(expected["sources"]) - 1))
    del expected["sources"][index]
    edited = removed(text, index)
    assert parsed(edited) == expected
    old, new = text.splitlines(keepends=True), edited.splitlines(keepends=True)
    if not expected["sources"]:
        old = [line.replace("sources:", "sources: []") if line.startswith("sources:") else line for line in old]
    assert is_part(new, old)

"""secrets.toml: values go in and out exactly, everything else stays as it was, and nobody else may read it."""

from __future__ import annotations

import copy
import datetime as dt
import stat
from pathlib import Path
from typing import Any

import pytest
import tomlkit
from hypothesis import given, settings
from hypothesis import strategies as st

from dango.config.text.values import same
from dango.errors import ConfigError, DangoError
from dango.project import Project
from dango.references import References
from dango.secret_store import secrets_of, store, with_values, without

GH = ("sources", "gh")
PEM = "-----BEGIN PRIVATE KEY-----\nMIIE/+vQ==\nabc\\n\n-----END PRIVATE KEY-----\n"
NESTED = {"host": "h", "credentials": {"password": "x", "ssl": {"key": "k"}}}


def parsed(text: str) -> Any:
    return tomlkit.parse(text.replace("\r\n", "\n")).unwrap()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_holds_the_values_and_is_its_owners_alone(tmp_path: Path) -> None:
    file = tmp_path / ".dlt" / "secrets.toml"
    store(file, ("sources", "pg"), NESTED)
    assert file.read_text() == (
        '[sources.pg]\nhost = "h"\n\n[sources.pg.credentials]\npassword = "x"\n\n'
        '[sources.pg.credentials.ssl]\nkey = "k"\n'
    )
    assert mode(file) == 0o600
    assert secrets_of(file, ("sources", "pg")) == NESTED
    assert list(file.parent.iterdir()) == [file]


def test_a_file_that_others_could_read_is_theirs_no_more_and_a_link_stays_one(tmp_path: Path) -> None:
    (tmp_path / "shared.toml").write_text("# mine\n")
    (tmp_path / "shared.toml").chmod(0o644)
    link = tmp_path / "secrets.toml"
    link.symlink_to("shared.toml")
    store(link, GH, {"token": "x"})
    assert link.is_symlink()
    assert (tmp_path / "shared.toml").read_text() == '# mine\n\n[sources.gh]\ntoken = "x"\n'
    assert mode(tmp_path / "shared.toml") == 0o600


def test_a_read_only_file_is_refused_and_stays_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text("a = 1\n")
    file.chmod(0o400)
    with pytest.raises(DangoError, match="read-only") as caught:
        store(file, GH, {"token": "x"})
    assert caught.value.hint == f"chmod u+w {file}"
    assert (file.read_text(), mode(file), list(tmp_path.iterdir())) == ("a = 1\n", 0o400, [file])


def test_where_no_file_can_be_the_error_says_so(tmp_path: Path) -> None:
    (tmp_path / ".dlt").write_text("a file where the folder should be")
    with pytest.raises(DangoError, match=r"cannot be (written|read)"):
        store(tmp_path / ".dlt" / "secrets.toml", GH, {"token": "x"})


@pytest.mark.parametrize("text", ['[sources.gh]\ntoken = "hunter2\n', '[a]\nx = "hunter2"\n[a]\nx = "hunter2"\n'])
def test_a_broken_file_is_named_with_its_line_never_quoted_and_left_alone(tmp_path: Path, text: str) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        store(file, GH, {"token": "x"})
    (problem,) = caught.value.problems
    assert problem.place.startswith(".dlt/secrets.toml:")
    assert problem.line >= 2
    assert "hunter2" not in str(caught.value) + repr(caught.value.__cause__)
    assert file.read_text() == text


@pytest.mark.parametrize("breaks", ["\n", "\r\n"])
def test_a_pasted_key_is_written_in_its_lines_and_reads_back_exactly(tmp_path: Path, breaks: str) -> None:
    file = tmp_path / "secrets.toml"
    file.write_bytes(f"# head{breaks}".encode())
    store(file, GH, {"private_key": PEM})
    body = PEM.replace("\n", breaks)
    assert (
        file.read_bytes().decode()
        == f"# head{breaks}{breaks}[sources.gh]{breaks}private_key = '''{breaks}{body}'''{breaks}"
    )
    assert secrets_of(file, GH) == {"private_key": PEM}


HEAD = "# the head\n[sources.gh]  # mine\n# placeholder\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # A placeholder, and a key that is not there: below the last, not below the next section's comment.
        (HEAD + 'token = "<configure me>"  # why\n', HEAD + 'token = "T"  # why\n'),
        (HEAD + "a = 1 # t\n\n# b\n[b]\nx=1\n", HEAD + 'a = 1 # t\ntoken = "T"\n\n# b\n[b]\nx=1\n'),
        ("[sources.gh]", '[sources.gh]\ntoken = "T"\n'),
        ("[sources.gh]\n[b]\n", '[sources.gh]\ntoken = "T"\n[b]\n'),
        ("[ sources . 'gh' ]\n", "[ sources . 'gh' ]\ntoken = \"T\"\n"),
        ('[sources.gh]\na = [\n  1, # "]\n  2,\n]\n', '[sources.gh]\na = [\n  1, # "]\n  2,\n]\ntoken = "T"\n'),
        ('[sources.gh]\na = """\n[b]\ntoken = 1"""\n', '[sources.gh]\na = """\n[b]\ntoken = 1"""\ntoken = "T"\n'),
        # Dotted keys, at the root and in a section.
        ('sources.gh.token = "x" # c\nz = 1\n', 'sources.gh.token = "T" # c\nz = 1\n'),
        ("sources.gh.a = 1 # c\nz = 1\n", 'sources.gh.a = 1 # c\nsources.gh.token = "T"\nz = 1\n'),
        ("[sources]\ngh.a.b = 1\ny.token = 2\n", '[sources]\ngh.a.b = 1\ngh.token = "T"\ny.token = 2\n'),
        ("sources.x.token = 1\nz = 1\n", 'sources.x.token = 1\nz = 1\n\n[sources.gh]\ntoken = "T"\n'),
        # Inline tables.
        ('[sources]\ngh = {token = "x"} # c\n', '[sources]\ngh = {token = "T"} # c\n'),
        ("sources = {gh = { a = 1 }}\n", 'sources = {gh = { a = 1, token = "T" }}\n'),
        ("sources = {x = {token = 1}}\n", 'sources = {x = {token = 1}, gh.token = "T"}\n'),
        ("sources.gh = {}\n", 'sources.gh = {token = "T"}\n'),
        # A section above its own below, and beside its relatives.
        (
            "[z]\nq = 1\n\n# c\n[sources.gh.credentials]\na = 1\n",
            '[z]\nq = 1\n\n[sources.gh]\ntoken = "T"\n\n# c\n[sources.gh.credentials]\na = 1\n',
        ),
        (
            "[sources.a]\nx = 1\n# y = 2\n\n# z\n[z]\nq = 1\n",
            '[sources.a]\nx = 1\n# y = 2\n\n[sources.gh]\ntoken = "T"\n\n# z\n[z]\nq = 1\n',
        ),
        (
            "[sources.a]\nx=1\n[z]\nq=1\n[sources.b]\ny=1\n",
            '[sources.a]\nx=1\n[z]\nq=1\n[sources.b]\ny=1\n\n[sources.gh]\ntoken = "T"\n',
        ),
        # A section that the value takes the place of.
        ("[sources.gh.token]\nx = 1\n", '[sources.gh]\ntoken = "T"\n'),
    ],
)
def test_however_the_file_is_written_only_the_value_is_added_or_changed(before: str, after: str) -> None:
    assert with_values(before, GH, {"token": "T"}) == after
    assert with_values(after, GH, {"token": "T"}) == after
    assert with_values(before.replace("\n", "\r\n"), GH, {"token": "T"}).replace("\r\n", "\n") == after


def test_a_section_takes_the_place_of_a_single_value() -> None:
    text = '[sources.gh]\ncredentials = "postgres://u:p@h/d"\na = 1\n'
    assert with_values(text, GH, {"credentials": {"password": "x"}}) == (
        '[sources.gh]\na = 1\n\n[sources.gh.credentials]\npassword = "x"\n'
    )


@pytest.mark.parametrize("text", ["sources = 1\n", "[[sources.gh]]\na = 1\n", 'sources.gh = "hunter2"\n'])
def test_what_is_no_section_is_refused_without_a_word_of_what_it_holds(text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_values(text, GH, {"token": "T"})
    assert str(caught.value) == ".dlt/secrets.toml: [sources.gh] cannot be changed without changing more than it"
    assert caught.value.problems[0].hint == "edit it by hand"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("[sources.gh]\na = 1\ntoken = 2 # c\n", "[sources.gh]\na = 1\n"),
        ("# head\n\n[sources.gh]\ntoken = 2\n\n# z\n[z]\n", "# head\n\n# z\n[z]\n"),
        ("[sources.gh]\n# how to get it\ntoken = 2\n", "[sources.gh]\n# how to get it\n"),
        ("[sources.gh]  # mine\ntoken = 2\n", "[sources.gh]  # mine\n"),
        ("sources.gh.token = 1\nz = 1\n", "z = 1\n"),
        ("sources.gh = {token = 1, a = 2}\n", "sources.gh = {a = 2}\n"),
        ("[sources.gh.token]\nx = 1\n[z]\n", "[z]\n"),
        ("[sources.gh]\n\n[z]\n", "[sources.gh]\n\n[z]\n"),
        ("", ""),
    ],
)
def test_a_key_goes_and_with_it_a_section_that_would_be_empty(before: str, after: str) -> None:
    assert without(before, GH, ["token"]) == after


def test_none_takes_a_secret_out_where_others_are_set(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    store(file, GH, {"token": "a", "credentials": {"password": "b"}})
    store(file, GH, {"token": "c", "credentials": {"password": None}, "key": None})
    assert file.read_text() == '[sources.gh]\ntoken = "c"\n'


names = st.sampled_from(["a", "b", "token", "x-y", "with space", 'q"uo', "é"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.sampled_from(
    [PEM, "a'''b\n'", '"""', "\\", '{"a": "b\\n"}\n', "a\r\nb", "\x00\x7f", " # x = 1", "\n", "'"]
)
scalars: st.SearchStrategy[Any] = (
    texts
    | st.integers(-(2**60), 2**60)
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.dates()
    | st.datetimes(timezones=st.sampled_from([None, dt.timezone.utc]))
)
values = st.dictionaries(
    names, scalars | st.lists(scalars, max_size=2) | st.dictionaries(names, scalars, min_size=1, max_size=2), max_size=3
)
written = st.sampled_from(
    [
        '"x"',
        "'l'",
        "[1, 2]",
        "[\n  1, # ]\n]",
        '"""\n[z]\nk = "v" \\"\n"""',
        "{p = 1, q = {r = '}'}}",
        "1979-05-27",
        "0x1f",
    ]
)


@st.composite
def files(draw: st.DrawFn) -> str:
    """A secrets.toml as people write them: sections in any order, dotted keys, inline tables, comments anywhere."""
    comments = st.sampled_from(["", "\n", "# c\n", "# [sources.gh]\n", "\n# a = 'b\n"])
    heads = ["sources.gh", "sources.pg", "destination.lake", "sources.gh.credentials", "runtime", 'sources."x y"']
    text = draw(comments)
    if draw(st.booleans()):
        text += f"sources.dotted.token = {draw(written)} # [x]\n"
    for head in draw(st.lists(st.sampled_from(heads), unique=True)):
        text += f"{draw(comments)}[{head}]{draw(st.sampled_from(['', '  # why']))}\n{draw(comments)}"
        for key in draw(st.lists(st.sampled_from(["a", "b.c", "token", "'q\"uo'"]), unique=True, max_size=3)):
            text += f"{key} = {draw(written)}{draw(st.sampled_from(['', ' # t']))}\n{draw(comments)}"
    if draw(st.booleans()):
        text = text.removesuffix("\n")
    return text.replace("\n", draw(st.sampled_from(["\n", "\n", "\r\n"])))


def put(data: dict[str, Any], section: tuple[str, ...], added: dict[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(data)
    target = merged
    for part in section:
        target = target.setdefault(part, {})
    for key, value in added.items():
        if isinstance(value, dict) and isinstance(target.get(key), dict):
            target[key].update(value)
        else:
            target[key] = value
    return merged


def lines_outside(text: str, section: str) -> list[str]:
    kept, inside = [], False
    for line in text.replace("\r\n", "\n").split("\n"):
        if line.startswith("[") and not line.startswith("[z]"):
            inside = line.startswith((f"[{section}]", f"[{section}."))
        if line.startswith("#") or not inside:
            kept.append(line)
    return [line for line in kept if line]


@settings(max_examples=60, deadline=None)
@given(
    text=files(), section=st.sampled_from([("sources", "gh"), ("sources", "new"), ("sources", "dotted")]), new=values
)
def test_any_values_read_back_exactly_from_any_file_and_all_else_stays(
    text: str, section: tuple[str, ...], new: dict[str, Any]
) -> None:
    try:
        old = parsed(text)
    except tomlkit.exceptions.TOMLKitError:
        return
    edited = with_values(text, section, new)
    expected = put(old, section, new) if new else old
    assert same(parsed(edited), expected)
    assert with_values(edited, section, new) == edited
    if section[-1] == "gh":
        assert lines_outside(edited, "sources.gh") == lines_outside(text, "sources.gh")
    assert edited.count("\r\n") in (0, edited.count("\n"))


@settings(max_examples=60, deadline=None)
@given(text=files(), new=values)
def test_what_was_put_into_a_section_of_its_own_leaves_no_trace_when_taken_out(text: str, new: dict[str, Any]) -> None:
    try:
        parsed(text)
    except tomlkit.exceptions.TOMLKitError:
        return
    text += "" if not text or text.endswith("\n") else "\n" if "\r\n" not in text else "\r\n"
    section = ("sources", "new")
    out = dict.fromkeys(new)
    nested = {key: dict.fromkeys(value) for key, value in new.items() if isinstance(value, dict)}
    edited = with_values(text, section, new)
    left = with_values(with_values(edited, section, nested), section, out)
    assert [line for line in left.split("\n") if line.strip()] == [line for line in text.split("\n") if line.strip()]


def test_a_secret_that_looks_like_a_reference_is_none_and_a_reference_stays_one(tmp_path: Path) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text("[sources.shop]\nhost = 'env:HOST'\n")
    store(
        file,
        ("sources", "shop"),
        {"token": "command:x", "odd": "env::y", "host": "env:HOST", "in": {"key": "keyring:z"}},
    )
    found = secrets_of(file, ("sources", "shop"))
    assert found == {"host": "env:HOST", "token": "command::x", "odd": "env:::y", "in": {"key": "keyring::z"}}
    told: list[str] = []
    follow = References(Project(tmp_path), told.append)
    assert [follow(found[key], key) for key in ("token", "odd")] == ["command:x", "env::y"] == told

"""How placeholders are filled: types, what falls out, and what arrives at a vendor through dlt."""

from __future__ import annotations

import copy
import datetime as dt
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dango.connectors.rest import rest_api
from dango.registry.template import Placeholder, filled, placeholders, pruned
from tests.connectors.vendor import Vendor, vendor

VALUES: dict[str, Any] = {
    "owner": "dlt-hub", "size": 100, "rate": 0.5, "yes": True, "no": False, "zero": 0, "keys": ["a", "b"],
    "more": {"a": {"b": [1]}}, "day": dt.date(2024, 1, 31), "since": "2024-01-31T12:30:00Z", "secrets.token": "t0ken",
    "none": None, "blank": "", "bare": [], "Mixed_Case": "m",
}  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${owner}", "dlt-hub"),
        ("${size}", 100),
        ("${rate}", 0.5),
        ("${yes}", True),
        ("${no}", False),
        ("${zero}", 0),
        ("${keys}", ["a", "b"]),
        ("${more}", {"a": {"b": [1]}}),
        ("${day}", dt.date(2024, 1, 31)),
        ("${Mixed_Case}", "m"),
        ("${secrets.token}", "t0ken"),
        ("repos/${owner}/${size}", "repos/dlt-hub/100"),
        ("${owner}${owner}", "dlt-hubdlt-hub"),
        (" ${size} ", " 100 "),
        ("state=${yes}&x=${no}", "state=true&x=false"),
        ("fields=${keys}", "fields=a,b"),
        ("at ${day}", "at 2024-01-31"),
        ("${since|epoch}", 1706704200),
        ("${since|epoch_ms}", 1706704200000),
        ("${since|date}", "2024-01-31"),
        ("${since|ms_date}", "/Date(1706704200000)/"),
        ('updated >= "${since|jql}"', 'updated >= "2024-01-31 12:30"'),
        ("${size|json}", "100"),
        ("${owner|json}", '"dlt-hub"'),
        ("x=${more|json}", 'x={"a": {"b": [1]}}'),
        ("${rate|int}", 0),
        # What is no placeholder is left to dlt, to GraphQL and to whoever reads it.
        ("{incremental.start_value}", "{incremental.start_value}"),
        ("$owner {owner} ${} ${ owner} ${owner|} $${", "$owner {owner} ${} ${ owner} ${owner|} $${"),
        ("$${owner}", "$dlt-hub"),
        ("", ""),
    ],
)
def test_a_text_that_is_one_placeholder_keeps_the_type_and_a_longer_one_holds_it_as_text(text: str, value: Any) -> None:
    made = filled({"x": text}, VALUES)["x"]
    assert (made, type(made)) == (value, type(value))


def test_what_is_no_text_stays_and_neither_template_nor_values_are_changed() -> None:
    template = {
        "a": [1, None, True, 2.5, dt.date(2024, 1, 1), {"b": "${keys}"}],
        3: "${size}",
        "${owner}": ("x", "${no}"),
    }
    before, values = copy.deepcopy(template), copy.deepcopy(VALUES)
    made = filled(template, VALUES)
    assert made == {
        "a": [1, None, True, 2.5, dt.date(2024, 1, 1), {"b": ["a", "b"]}], 3: 100, "dlt-hub": ["x", False],
    }  # fmt: skip
    assert (template, VALUES) == (before, values)


@pytest.mark.parametrize("name", ["none", "blank", "bare", "nowhere", "secrets.nothing"])
def test_a_key_or_an_item_without_a_value_falls_out_and_an_auth_block_whole(name: str) -> None:
    hole = f"${{{name}}}"
    template = {
        "params": {"a": hole, "b": f"x{hole}", "c": "kept", "d": f"{hole}${{owner}}", "e": f"${{{name}|epoch}}"},
        "list": [hole, "kept", f"${{owner}}{hole}", {"x": hole}, [hole]],
        hole: "kept",
        "auth": {"type": "api_key", "name": "X", "nested": [{"api_key": hole}]},
        "client": {"auth": hole, "paginator": {"limit": hole}},
        "other": {"auth": {"type": "bearer", "token": "${secrets.token}"}},
    }
    assert filled(template, VALUES) == {
        "params": {"c": "kept"},
        "list": ["kept", {}, []],
        "client": {"paginator": {}},
        "other": {"auth": {"type": "bearer", "token": "t0ken"}},
    }


def test_what_falls_out_and_what_stays_can_be_told_before_there_are_values() -> None:
    template = {"a": "${owner}", "b": "${token} x", "auth": {"t": "${token}"}, "c": ["${size|int}", "${x}"], "d": 1}
    assert pruned(template, {"owner", "size"}) == {"a": "${owner}", "c": ["${size|int}"], "d": 1}
    assert pruned(template, {"owner", "size", "token", "x"}) == template
    assert pruned(template, ()) == {"c": [], "d": 1}


def test_every_placeholder_is_found_at_its_place() -> None:
    template = {"a": ["x", "${b|epoch} ${secrets.c}"], "${d}": {"auth": "${e}"}, "f": 3}
    assert list(placeholders(template)) == [
        Placeholder("b", "epoch", ("a", 1)),
        Placeholder("secrets.c", "", ("a", 1)),
        Placeholder("d", "", ("${d}",)),
        Placeholder("e", "", ("${d}", "auth")),
    ]


@pytest.mark.parametrize(
    ("text", "value", "said"),
    [
        ("${secrets.x|int}", "hunter22", "`secrets.x` cannot be made int"),
        ("${secrets.x|int}", float("inf"), "`secrets.x` cannot be made int"),
        ("${secrets.x|int}", {"a": "hunter22"}, "`secrets.x` cannot be made int"),
        ("a ${secrets.x|epoch}", "hunter22", "`secrets.x` cannot be made epoch"),
        ("${secrets.x|date}", 1e300, "`secrets.x` cannot be made date"),
        ("${secrets.x|date}", float("nan"), "`secrets.x` cannot be made date"),
        ("${secrets.x|json}", {"hunter22"}, "`secrets.x` cannot be made json"),
        ("${secrets.x|upper}", "hunter22", "`${secrets.x|upper}`: there is no filter `upper`: int, json, "),
    ],
)  # fmt: skip
def test_a_value_that_does_not_go_through_a_filter_is_refused_and_not_shown(text: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        filled({"deep": [{"x": text}]}, {"secrets.x": value})
    assert str(caught.value).startswith(said)
    assert "hunter22" not in repr(caught.value)
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("value", [["a"], {"a": 1}, ("a",)])
def test_a_list_or_a_mapping_is_no_name_of_a_key(value: Any) -> None:
    with pytest.raises(ValueError, match=r"^`\$\{x\}` is the name of a key, and is filled with a "):
        filled({"${x}": 1}, {"x": value})


# --- braces ---------------------------------------------------------------------------------------

BRACES = "{a} }{ {{b}} ${owner}"
ENCODED = "%7Ba%7D %7D%7B %7B%7Bb%7D%7D $%7Bowner%7D"
DOUBLED = "{{a}} }}{{ {{{{b}}}} ${{owner}}"


def spread(text: str) -> dict[str, Any]:
    """A configuration with the text wherever a vendor's entry may have one."""
    every = {"path": text, "params": {"p": [text]}, "headers": {text: "x"}, "json": {"j": {"k": text}}, "data": text}
    rest = {
        "data_selector": text, "paginator": {"type": "cursor", "cursor_path": text},
        "incremental": {"cursor_path": text}, "auth": {"token": text}, "response_actions": [{"content": text}],
    }  # fmt: skip
    return {
        "client": {"base_url": text, "headers": {"h": text}, "auth": {"token": text}, "endpoint": {"path": text}},
        "endpoint": {"path": text},
        "resource_defaults": {"primary_key": text, "endpoint": {**every, **rest}},
        "resources": [{"name": text, "columns": {"endpoint": {"path": text}}, "endpoint": {**every, **rest}}],
        "headers": text,
    }  # fmt: skip


def test_braces_are_doubled_where_dlt_formats_and_nowhere_else() -> None:
    made = filled(spread("${x}"), {"x": BRACES}, rest_api=True)
    wanted = spread(BRACES)
    for endpoint in (wanted["resource_defaults"]["endpoint"], wanted["resources"][0]["endpoint"]):
        endpoint |= {
            "path": ENCODED, "params": {"p": [DOUBLED]}, "headers": {DOUBLED: "x"}, "json": {"j": {"k": DOUBLED}},
            "data": DOUBLED,
        }  # fmt: skip
    assert made == wanted
    assert filled(spread("${x}"), {"x": BRACES}) == spread(BRACES)


def test_braces_are_doubled_at_any_depth_of_a_value_and_not_those_of_the_template() -> None:
    endpoint = {"json": {"all": "${x}", "q": "{incremental.start_value} {{ ${y} }}"}, "path": "{resources.a.id}/${y}"}
    template = {"resources": [{"name": "r", "endpoint": endpoint}]}
    made = filled(template, {"x": {"{k}": ["{v}", 1, None]}, "y": "{z}"}, rest_api=True)
    assert made["resources"][0]["endpoint"] == {
        "json": {"all": {"{{k}}": ["{{v}}", 1, None]}, "q": "{incremental.start_value} {{ {{z}} }}"},
        "path": "{resources.a.id}/%7Bz%7D",
    }


# --- laws -----------------------------------------------------------------------------------------

NAMES = ("a", "b", "secrets.c", "long_name")
TEXTS = st.one_of(
    st.text(max_size=20),
    st.lists(
        st.one_of(
            st.sampled_from([f"${{{name}}}" for name in NAMES]),
            st.sampled_from([f"${{{name}|{by}}}" for name in NAMES for by in ("int", "epoch", "json", "date", "nope")]),
            st.sampled_from(["${", "}", "{", "|", "$", "x", "{{", "${nowhere}"]),
        ),
        max_size=4,
    ).map("".join),
)
PLAIN = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=10), st.dates(), st.datetimes()
)
DATA = st.recursive(
    st.one_of(PLAIN, TEXTS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXTS, inner, max_size=4)),
    max_leaves=12,
)
KEYS = st.one_of(TEXTS, st.sampled_from(["auth", "endpoint", "params", "resources", "resource_defaults"]))


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    template=st.dictionaries(KEYS, DATA, max_size=5),
    values=st.dictionaries(st.sampled_from(NAMES), DATA),
    rest_api=st.booleans(),
)
def test_filling_raises_nothing_but_a_refusal(template: dict[str, Any], values: dict[str, Any], rest_api: bool) -> None:
    try:
        filled(template, values, rest_api=rest_api)
    except ValueError as error:
        assert "\n" not in str(error)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    template=st.dictionaries(KEYS, DATA, max_size=5),
    values=st.dictionaries(st.sampled_from(NAMES), st.one_of(st.none(), st.integers(), st.just("plain"))),
)
def test_no_placeholder_is_left(template: dict[str, Any], values: dict[str, Any]) -> None:
    try:
        made = filled(template, values)
    except ValueError:
        return
    left = [found.name for found in placeholders(made) if found.filter in ("", "int", "json")]
    # `$${a}` next to a brace may make one of what was none before.
    assert left == [] or "$" in str(template).replace("${", "")


# --- through dlt, to a vendor ---------------------------------------------------------------------

EVERYWHERE = {
    "client": {"base_url": "${url}", "headers": {"X-Client": "${header}"}, "paginator": "single_page"},
    "resource_defaults": {"endpoint": {"params": {"default": "${text}"}}},
    "resources": [
        {
            "name": "rows",
            "endpoint": {
                "path": "rows", "method": "POST", "data_selector": "$",
                "params": {"q": "${text}", "in": "<${text}>"},
                "headers": {"X-Own": "${header}"},
                "json": {"whole": "${text}", "in": "a ${text} b", "all": "${nested}", "n": "${number}"},
            },
        },
        {
            "name": "children",
            "endpoint": {
                "path": "rows/{resources.rows.id}", "method": "POST", "data_selector": "$",
                "params": {"q": "${text}"}, "json": {"whole": "${text}", "id": "{resources.rows.id}"},
            },
        },
    ],
}  # fmt: skip


def arrives(values: Mapping[str, Any], served: Vendor) -> None:
    """What a vendor gets of the values is what they were."""
    served.asked.clear()
    config = filled(EVERYWHERE, {**values, "url": served.url}, rest_api=True)
    assert list(rest_api(config, "shop").with_resources("rows", "children"))
    (rows,) = served.to("/rows")
    text, nested = values["text"], values["nested"]
    assert rows.query["q"] == rows.query["default"] == text
    assert rows.query["in"] == f"<{text}>"
    assert (rows.headers["X-Client"], rows.headers["X-Own"]) == (values["header"], values["header"])
    assert rows.json == {"whole": text, "in": f"a {text} b", "all": nested, "n": values["number"]}
    (child,) = served.to("/rows/7")
    assert child.query["q"] == text
    assert child.json == {"whole": text, "id": 7}


# A header cannot hold a line's end, nor what is beyond Latin-1, whoever sends it.
HEADERS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1)
NESTED = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
).filter(lambda value: value not in (None, "", []))


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(
    text=st.text(st.characters(exclude_categories=["Cs"]), min_size=1),
    header=HEADERS,
    nested=NESTED,
    number=st.integers(-(2**53), 2**53),
)
def test_any_value_arrives_as_it_was(text: str, header: str, nested: Any, number: int) -> None:
    with vendor(lambda asked: [{"id": 7}]) as served:
        arrives({"text": text, "header": header, "nested": nested, "number": number}, served)


@pytest.mark.parametrize(
    "text",
    [
        "{", "}", "{}", "{0}", "{{x}}", "{incremental.start_value}", "{resources.rows.id}", "%7B%s",
        "a&b=c#d?é漢\n\t\0", "${x}",
    ],
)  # fmt: skip
def test_what_looks_like_a_placeholder_arrives_as_it_was(text: str) -> None:
    header = "".join(sign for sign in text if " " < sign < "\x7f")
    with vendor(lambda asked: [{"id": 7}]) as served:
        arrives({"text": text, "header": header, "nested": {text: [text]}, "number": 3}, served)


@pytest.mark.parametrize("owner", ["dlt-hub", "a b", "{x}", "{{x}}", "{resources.rows.id}", "}{"])
def test_a_value_in_a_path_arrives_as_it_was(owner: str) -> None:
    resource = {"name": "rows", "endpoint": {"path": "repos/${owner}/rows", "data_selector": "$"}}
    template = {"client": {"base_url": "${url}", "paginator": "single_page"}, "resources": [resource]}
    with vendor(lambda asked: [{"id": 7}]) as served:
        config = filled(template, {"owner": owner, "url": served.url}, rest_api=True)
        assert list(rest_api(config, "shop")) == [{"id": 7}]
        assert [unquote(asked.path) for asked in served.asked] == [f"/repos/{owner}/rows"]

"""What an entry may say, what its fields take, and that the JSON Schema says the same as the model."""

from __future__ import annotations

import copy
import datetime as dt
import pickle
import random
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dango.config.document import Document
from dango.errors import ConfigError
from dango.registry.entries import entry_document, entry_in
from dango.registry.entry import Entry, json_schema, strings
from dango.registry.field import FieldSpec
from dango.resources import shipped

UTC = dt.timezone.utc
NAME = "registry/shop.yml"
SHOP: dict[str, Any] = {
    "registry": 1,
    "id": "shop",
    "title": "Shop",
    "category": "commerce",
    "fields": [{"name": "token", "kind": "secret", "required": True}],
    "build": {
        "kind": "rest_api",
        "config": {
            "client": {"base_url": "https://shop.example", "auth": {"type": "bearer", "token": "${secrets.token}"}},
            "resources": [{"name": "orders", "endpoint": {"path": "orders"}}],
        },
    },
}
TEXT = """\
registry: 1
id: shop
title: Shop
category: commerce
fields:
  - {name: token, kind: secret}
  - {name: region}
build:
  kind: rest_api
  config:
    client: {base_url: https://shop.example}
    resources:
      - name: orders
        endpoint: {path: orders}
"""


def spec(kind: str = "string", **said: Any) -> FieldSpec:
    return FieldSpec(name="x", kind=kind, **said)  # type: ignore[arg-type]


def entry(**said: Any) -> Entry:
    return Entry.model_validate({**SHOP, **said})


def problems(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        entry_in(Document(Path(NAME), NAME, text))
    assert caught.value.exit_code == 2
    return [str(problem) for problem in caught.value.problems]


# --- what a person types, and what YAML gives -----------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("string", " acme \n", "acme"),
        ("string", "1.10", "1.10"),
        ("string", "naïve {x} ${y} 漢", "naïve {x} ${y} 漢"),
        ("secret", "\tab c=/+\n", "ab c=/+"),
        ("secret_file", '{"a":\n 1}\n', '{"a":\n 1}'),
        ("path", " ./data/*.csv", "./data/*.csv"),
        ("int", " -7 ", -7),
        ("float", "1e-3", 0.001),
        ("float", "3", 3.0),
        *((("bool"), word, True) for word in ("true", "YES", "y", "on", "1")),
        *((("bool"), word, False) for word in ("false", "No", "n", "off", " 0 ")),
        ("list", "a, b,, c ", ["a", "b", "c"]),
        ("list", '["a,b", 3]', ["a,b", 3]),
        ("list", "a", ["a"]),
        ("date", "2024-01-31", dt.date(2024, 1, 31)),
        ("datetime", "2024-01-31", dt.datetime(2024, 1, 31, tzinfo=UTC)),
        ("datetime", "2024-01-31T10:00:00Z", dt.datetime(2024, 1, 31, 10, tzinfo=UTC)),
        ("url", "https://example.com/x?y", "https://example.com/x?y"),
        ("url", "postgresql+psycopg2://u:p@h/d", "postgresql+psycopg2://u:p@h/d"),
        ("url", "HTTP://127.0.0.1:8000", "HTTP://127.0.0.1:8000"),
        ("json", '{"a": [1, null]}', {"a": [1, None]}),
        ("json", "3", 3),
    ],
)
def test_what_a_person_types_becomes_a_value_of_the_fields_kind(kind: str, text: str, value: Any) -> None:
    read = spec(kind).read(text)
    assert (read, type(read)) == (value, type(value))


@pytest.mark.parametrize("kind", ["string", "secret", "int", "bool", "list", "date", "url", "json", "secret_file"])
@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_nothing_typed_is_no_value(kind: str, text: str) -> None:
    assert spec(kind).read(text) is None
    assert spec(kind).checked(None) is None


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("int", "1.0", "is a whole number"),
        ("int", "ten", "is a whole number"),
        ("float", "1,5", "is a number"),
        ("bool", "maybe", "is true or false"),
        ("bool", "2", "is true or false"),
        ("list", "[1", "is JSON (Expecting ',' delimiter)"),
        ("date", "31.01.2024", "is a date, such as 2024-01-31"),
        ("date", "2024-02-30", "is a date, such as 2024-01-31"),
        ("datetime", "yesterday", "is a time, such as 2024-01-31T00:00:00Z"),
        ("url", "example.com", "is a URL, such as https://example.com"),
        ("url", "https://", "is a URL, such as https://example.com"),
        ("url", "https:///path", "is a URL, such as https://example.com"),
        ("url", "https://a b", "is a URL, such as https://example.com"),
        ("json", "{a: 1}", "is JSON (Expecting property name enclosed in double quotes)"),
    ],
)
def test_what_does_not_fit_says_what_would(kind: str, text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        spec(kind).read(text)
    assert str(caught.value) == said


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("string", 7, "7"),
        ("string", 1.5, "1.5"),
        ("secret", 123456, "123456"),
        ("int", 0, 0),
        ("float", 2, 2),
        ("bool", False, False),
        ("list", ("a", 1), ["a", 1]),
        ("list", [], []),
        ("date", dt.datetime(2024, 1, 31, 5, tzinfo=UTC), dt.date(2024, 1, 31)),
        ("date", dt.date(2024, 1, 31), dt.date(2024, 1, 31)),
        ("datetime", dt.date(2024, 1, 31), dt.date(2024, 1, 31)),
        ("json", [{"a": None}], [{"a": None}]),
    ],
)
def test_what_yaml_gives_is_kept_where_it_fits(kind: str, value: Any, kept: Any) -> None:
    assert spec(kind).checked(value) == kept


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        ("string", True, "is text"),
        ("string", ["a"], "is text"),
        ("string", {"a": 1}, "is text"),
        ("string", dt.date(2024, 1, 1), "is text"),
        ("secret", ["hunter22"], "is text"),
        ("secret_file", {"private_key": "hunter22"}, "is text"),
        ("int", True, "is a whole number"),
        ("int", 1.0, "is a whole number"),
        ("int", "1", "is a whole number"),
        ("float", "1", "is a number"),
        ("float", False, "is a number"),
        ("bool", 1, "is true or false"),
        ("bool", "true", "is true or false"),
        ("list", "a", "is a list"),
        ("list", {"a": 1}, "is a list"),
        ("date", 20240101, "is a date, such as 2024-01-31"),
        ("date", "soon", "is a date, such as 2024-01-31"),
        ("datetime", 1704067200, "is a time, such as 2024-01-31T00:00:00Z"),
        ("datetime", "soon", "is a time, such as 2024-01-31T00:00:00Z"),
        ("datetime", [], "is a time, such as 2024-01-31T00:00:00Z"),
        ("url", 3, "is a URL, such as https://example.com"),
        ("url", "", "is a URL, such as https://example.com"),
    ],
)
def test_what_yaml_gives_of_another_kind_is_refused(kind: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        spec(kind).checked(value)
    assert str(caught.value) == said


def test_bounds_and_options_hold_at_their_edges() -> None:
    bounded = spec("int", min=1, max=100)
    assert [bounded.checked(1), bounded.checked(100)] == [1, 100]
    with pytest.raises(ValueError, match=r"^is at least 1$"):
        bounded.checked(0)
    with pytest.raises(ValueError, match=r"^is at most 100$"):
        bounded.read("101")
    half = spec("float", min=0.01)
    with pytest.raises(ValueError, match=r"^is at least 0.01$"):
        half.checked(0)
    choice = spec("enum", options=["eu", "us"])
    assert choice.read("us ") == "us"
    with pytest.raises(ValueError, match=r"^is one of: eu, us$"):
        choice.checked("EU")
    several = spec("list", options=["a", "b"])
    assert several.read("b,a") == ["b", "a"]
    with pytest.raises(ValueError, match=r"^is one of: a, b$"):
        several.checked(["a", "c"])


def test_a_pattern_is_of_the_whole_text_and_an_example_says_what_it_means() -> None:
    plain = spec(pattern="[a-z]+")
    assert plain.checked("abc") == "abc"
    with pytest.raises(ValueError, match=r"^does not look like one: it matches \[a-z\]\+$"):
        plain.checked("abc1")
    with pytest.raises(ValueError, match=r"^does not look like one, such as acme$"):
        spec(pattern="[a-z]+", example="acme").checked("abc\n")


@settings(max_examples=200, deadline=None)
@given(
    value=st.one_of(
        st.text(min_size=6), st.lists(st.text(min_size=6), min_size=1), st.dictionaries(st.text(), st.text())
    ),
    kind=st.sampled_from(["secret", "secret_file"]),
)
def test_no_error_about_a_secret_shows_it(value: Any, kind: str) -> None:
    for picky in (spec(kind), spec(kind, pattern="z{50}"), spec(kind, pattern="z{50}", example="zz")):
        try:
            picky.checked(value)
        except ValueError as error:
            assert str(error) in (
                "is text",
                "does not look like one: it matches z{50}",
                "does not look like one, such as zz",
            )
            assert error.__context__ is None


@settings(max_examples=300, deadline=None)
@given(
    kind=st.sampled_from([
        "string", "secret", "int", "float", "bool", "list", "date", "datetime", "path", "url", "json", "secret_file",
    ]),
    text=st.text(),
)  # fmt: skip
def test_whatever_is_typed_is_read_or_refused_and_what_was_read_fits(kind: str, text: str) -> None:
    try:
        value = spec(kind).read(text)
    except ValueError as error:
        assert "\n" not in str(error)
    else:
        assert spec(kind).checked(value) == value or value != value


# --- which fields apply, and which are missing ----------------------------------------------------

SIGN_IN = [
    {"name": "auth", "kind": "enum", "options": ["none", "key", "oauth"], "default": "none"},
    {"name": "key", "kind": "secret", "required": True, "when": {"auth": "key"}},
    {"name": "flow", "kind": "enum", "options": ["client", "refresh"], "default": "client", "when": {"auth": "oauth"}},
    {"name": "scopes", "kind": "list", "required": True, "when": {"flow": ["client", "refresh"]}},
    {"name": "refresh_token", "kind": "secret", "required": True, "when": {"auth": "oauth", "flow": "refresh"}},
]


@pytest.mark.parametrize(
    ("values", "missing"),
    [
        # `flow` has a default that `scopes` waits for, but is itself not asked.
        ({}, []),
        ({"auth": "none", "flow": "refresh"}, []),
        ({"auth": "key"}, ["key"]),
        ({"auth": "key", "key": ""}, ["key"]),
        ({"auth": "key", "key": "k"}, []),
        ({"auth": "oauth"}, ["scopes"]),
        ({"auth": "oauth", "flow": None, "scopes": []}, ["scopes"]),
        ({"auth": "oauth", "flow": "refresh", "scopes": ["a"]}, ["refresh_token"]),
        ({"auth": "oauth", "flow": "refresh"}, ["scopes", "refresh_token"]),
    ],
)
def test_a_field_is_missing_only_where_every_field_that_leads_to_it_applies(
    values: dict[str, Any], missing: list[str]
) -> None:
    assert [field.name for field in entry(fields=SIGN_IN).missing(values)] == missing


def test_an_entry_is_a_plain_value_that_travels() -> None:
    shop = entry()
    assert pickle.loads(pickle.dumps(shop)) == shop
    assert (shop.resources, [field.name for field in shop.secrets]) == (("orders",), ["token"])
    assert shop.field("token") == shop.fields[0]
    assert shop.field("tokem") is None
    assert FieldSpec(name="api_url").label == "Api url"
    assert list(strings({"a": ["x", {"b": "y"}], "c": 3})) == [(("a", 0), "x"), (("a", 1, "b"), "y")]


# --- what is wrong with an entry, at its place ----------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("registry: 1", "registry: 2", "1:1: version 2 is newer than this dango knows (1): upgrade dango"),
        ("registry: 1", "registry: true", "1:1: should be the number 1"),
        ("registry: 1\n", "", "1:1: the key `registry` is missing"),
        ("id: shop", "id: Shop", "2:1: `id`: String should match pattern '^[a-z][a-z0-9_]{1,40}$', not text"),
        ("id: shop", "id: store", "2:1: the entry's id is `store`, and its file is named `shop.yml`"),
        ("title: Shop", "title:", "3:1: `title`: should be text, not empty"),
        ("title: Shop", "titel: Shop", "3:1: unknown key `titel` (did you mean `title`?)"),
        ("title: Shop\n", "", "1:1: the key `title` is missing"),
        ("title: Shop", "title: Shop\naliases: shop", "4:1: `aliases`: should be a list, not text"),
        ("kind: secret", "kind: password", "6:19: `kind`: should be 'string', 'secret', 'int'"),
        ("kind: secret", "secret: true", "6:19: unknown key `secret`"),
        ("name: region", "name: token", "1:1: the field `token` is there twice"),
        ("name: region", "name: region, pattern: '['", "7:20: `pattern` is no regular expression: "),
        ("name: region", "name: region, pattern: '(?=a)b'", "7:20: `pattern` takes an unknown time: look-around"),
        ("name: region", "name: region, pattern: '(a)\\1'", "7:20: `pattern` takes an unknown time: backreferences"),
        ("name: region", "name: region, pattern: 'a{9999}{9999}'", "7:20: `pattern` "),
        ("name: region", "name: region, kind: enum", "7:5: `region` is an enum and needs `options`"),
        ("name: region", "kind: int", "7:5: the key `name` is missing"),
        ("  - {name: region}", "  - region", "7:5: `1`: should be a mapping, not text"),
        ("kind: rest_api", "kind: rest", "9:3: `kind`: should be one of 'rest_api', 'function', 'verified', not `"),
        ("  kind: rest_api\n", "", "8:1: the key `kind` is missing"),
        ("kind: rest_api", "kind: function", "8:1: the key `function` is missing"),
        ("base_url: https://shop.example", "", "10:3: `config` needs `client:` with a `base_url`"),
        ("      - name: orders\n        endpoint", "      - endpoint", "10:3: resource 1 needs a `name`"),
        ("{path: orders}", "{}", "10:3: the resource `orders` needs an `endpoint` with a `path`"),
        ("name: region", "name: region, min: '5'", "7:20: `min`: should be a number, not text"),
        ("name: region", "name: region, max: true", "7:20: `max`: should be a number, not the truth value true"),
        ("title: Shop", "title: Shop\nselect: {defaults: [orders]}", "4:10: unknown key `defaults` (did you mean"),
        ("title: Shop", "title: Shop\nrate_limit: {requests_per_second: 0}", "4:14: `requests_per_second`: "),
        ("title: Shop", "title: Shop\nid: shop", "4:1: found duplicate key \"id\""),
    ],
)  # fmt: skip
def test_a_mistake_in_an_entry_is_named_at_its_place(old: str, new: str, said: str) -> None:
    assert TEXT.count(old) == 1
    found = problems(TEXT.replace(old, new))
    assert any(each.startswith(f"{NAME}:{said}") for each in found), found


def test_every_mistake_of_an_entry_is_told_at_once() -> None:
    found = problems(TEXT.replace("Shop", "3").replace("secret", "sekret").replace("path", "paht"))
    assert [each.split(":")[1] for each in found] == ["3", "6", "10"]


@pytest.mark.parametrize("identity", ["name", "type", "resources", "enabled", "dlt_native", "destination"])
def test_an_id_that_is_a_key_of_every_source_is_refused(identity: str) -> None:
    path = Path(f"{identity}.yml")
    with pytest.raises(ConfigError, match=f"`{identity}` is a key of every source in sources.yml"):
        entry_in(Document(path, path.name, TEXT.replace("id: shop", f"id: {identity}")))


# --- the JSON Schema ------------------------------------------------------------------------------

SHIPPED = sorted(shipped("registry").glob("*.yml"))
CHECK = jsonschema.Draft202012Validator(json_schema())


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(json_schema())
    assert json_schema()["additionalProperties"] is False
    assert list(json_schema()["properties"]) == list(Entry.model_fields)


@pytest.mark.parametrize("file", SHIPPED, ids=lambda file: file.stem)
def test_the_schema_accepts_what_is_shipped(file: Path) -> None:
    assert [error.message for error in CHECK.iter_errors(plain(entry_document(file, file.name).data))] == []


def plain(value: Any) -> Any:
    """As an editor reads it: dates are text to it."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return value.isoformat() if isinstance(value, dt.date) else value


def broken(data: Any, turn: random.Random) -> None:
    """Changes one thing at one place, at any depth."""
    while isinstance(data, dict | list) and data:
        key = turn.choice(list(data) if isinstance(data, dict) else range(len(data)))
        if not isinstance(data[key], dict | list) or not data[key] or turn.random() < 0.3:
            break
        data = data[key]
    change = turn.randrange(3)
    if change == 0 and isinstance(data, dict):
        data[turn.choice(["nmae", "kinds", "x", "default"])] = 1
    elif change == 1 and isinstance(data, dict):
        data.pop(key)
    else:
        data[key] = turn.choice([None, True, 0, -1, 1.5, "", "text", "a b", [], [1], ["a"], {}, {"a": 1}])


# What only code can tell: whether a pattern is one, names that are there twice, dlt's own shape.
SEEDS = 1500
ONLY_CODE = {"entry", "version"}


def test_the_schema_agrees_with_the_model_on_entries_with_a_mistake() -> None:
    entries = [plain(entry_document(file, file.name).data) for file in SHIPPED]
    for seed in range(SEEDS):
        turn = random.Random(seed)
        data = copy.deepcopy(turn.choice(entries))
        broken(data, turn)
        complaints = [f"{list(error.absolute_path)}: {error.message[:80]}" for error in CHECK.iter_errors(data)]
        try:
            Entry.model_validate(data)
        except ValidationError as error:
            kinds = {detail["type"] for detail in error.errors()}
            assert complaints or kinds <= ONLY_CODE, (seed, error)
        else:
            assert not complaints, seed

"""Which question comes next, and what is an answer."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from dango.probe import Inspection, Table
from dango.question import NAME, Question, checked_name, field_key, free_name
from dango.registry.entry import Entry, Function, RestApi, Selection
from dango.registry.field import FieldSpec
from dango.wizard import (
    ADVANCED,
    AS_NOW,
    AS_PROPOSED,
    EVERYTHING,
    LOADING,
    ONE_BY_ONE,
    RESOURCES,
    Answers,
    Subject,
    back,
    next_question,
    questions,
    reminded,
    table_key,
    without_secrets,
)

CONFIG = {
    "client": {"base_url": "https://x.example"},
    "resources": [{"name": name, "endpoint": {"path": name}} for name in ("orders", "users")],
}
AUTH = FieldSpec(name="auth", kind="enum", options=("token", "basic"), required=True)
FIELDS = (
    FieldSpec(name="site", required=True),
    AUTH,
    FieldSpec(name="token", kind="secret", required=True, when={"auth": "token"}),
    FieldSpec(name="user", required=True, when={"auth": "basic"}),
    FieldSpec(name="password", kind="secret", required=True, when={"auth": ["basic"]}),
    FieldSpec(name="start_date", kind="date", default="2024-01-01", title="Since"),
    FieldSpec(name="size", kind="int", default=50, advanced=True, min=1, max=100),
)
ENTRY = Entry(
    registry=1, id="shop", title="Shop", category="commerce", fields=FIELDS, describe={"orders": "All orders"},
    build=RestApi(kind="rest_api", config=CONFIG), select=Selection(default=("orders",)),
)  # fmt: skip
DATABASE = Entry(
    registry=1, id="base", title="Base", category="database", select=Selection(live=True),
    fields=(
        FieldSpec(name="host", default="localhost"),
        FieldSpec(name="schema", default="public", discover="schemas"),
    ),
    build=Function(kind="function", function="a:b"),
)  # fmt: skip
ORDERS = Table("orders", ("id",), ("updated_at", "id"))
TABLES = Inspection(
    tables=(ORDERS, Table("log"), Table("closed", readable=False)), choices={"schemas": ("public", "x")}
)


def said(subject: Subject, given: Answers) -> list[str]:
    """The keys of all questions, when each open one gets an answer from `given`, else its default."""
    answers: Answers = {}
    while question := next_question(subject, answers):
        answers[question.key] = given.get(question.key, question.default)
    return [question.key for question in questions(subject, answers)]


def question(subject: Subject, key: str, answers: Answers | None = None) -> Question:
    return next(each for each in questions(subject, answers or {}) if each.key == key)


def test_fields_are_asked_in_order_and_only_those_that_apply() -> None:
    shop = Subject(ENTRY)
    token = ["name", "field.site", "field.auth", "field.token", "advanced", "resources"]
    assert said(shop, {"field.auth": "token"}) == token
    basic = ["name", "field.site", "field.auth", "field.user", "field.password", "advanced", "resources"]
    assert said(shop, {"field.auth": "basic"}) == basic


def test_optional_and_advanced_fields_are_folded_away() -> None:
    shop = Subject(ENTRY)
    asked = question(shop, ADVANCED)
    assert (asked.spec.label, asked.spec.help) == ("Change any of 2 more settings?", "Since, Size")
    assert asked.default is False
    opened = said(shop, {"field.auth": "token", ADVANCED: True})
    assert opened[4:] == ["advanced", "field.start_date", "field.size", "resources"]


def test_fields_of_which_one_is_needed_are_not_folded_away() -> None:
    entry = ENTRY.model_copy(update={"groups": (("start_date",), ("site",))})
    assert "field.start_date" in said(Subject(entry), {"field.auth": "token"})


def test_settings_that_were_changed_are_unfolded_the_next_time() -> None:
    assert question(Subject(ENTRY, earlier={"field.size": 10}), ADVANCED).default is True
    assert question(Subject(ENTRY, earlier={"field.size": 10, ADVANCED: False}), ADVANCED).default is False


def test_going_back_takes_away_the_last_answer_and_offers_it_again() -> None:
    answers: Answers = {NAME: "a", "field.site": "s", "field.token": "t0ken"}
    assert list(back(answers)) == [NAME, "field.site"]
    assert back(back(back(back(answers)))) == {}
    assert back({NAME: "a"}, {NAME}) == {NAME: "a"}
    assert back({NAME: "a", "field.site": "s"}, {NAME}) == {NAME: "a"}
    again = reminded(Subject(ENTRY), {**answers, ADVANCED: True})
    assert question(again, "field.site").default == "s"
    token = question(again, "field.token", {"field.auth": "token"})
    assert (token.default, token.kept, token.read("")) == (None, True, None)
    assert question(again, ADVANCED).default is True


def test_secrets_are_in_no_draft_but_references_to_them_are() -> None:
    answers = {NAME: "a", "field.token": "t0ken", "field.password": "env:PASSWORD", "field.user": None}
    assert without_secrets(Subject(ENTRY), answers) == {NAME: "a", "field.password": "env:PASSWORD"}


def test_resources_are_offered_with_their_descriptions_and_the_usual_ones_chosen() -> None:
    asked = question(Subject(ENTRY), RESOURCES)
    assert [choice.label for choice in asked.choices] == ["orders  All orders", "users"]
    assert (asked.many, asked.default) == (True, ["orders"])
    assert question(Subject(ENTRY, earlier={RESOURCES: ["users", "gone"]}), RESOURCES).default == ["users"]


def test_tables_are_offered_as_they_were_found() -> None:
    base = Subject(DATABASE, inspection=TABLES)
    asked = question(base, RESOURCES)
    assert [choice.label for choice in asked.choices] == [
        "orders  key id",
        "log     no key",
        "closed  (not readable by this user)",
    ]
    assert (asked.default, asked.live) == (["orders", "log"], True)
    loading = question(base, LOADING, {RESOURCES: ["orders", "log"]})
    assert loading.spec.help == (
        "Proposed:\n  orders: what changed, by updated_at, merged on id\n  log: everything, every time"
    )
    assert [choice.value for choice in loading.choices] == [AS_PROPOSED, ONE_BY_ONE, EVERYTHING]
    each = question(base, table_key("orders"), {RESOURCES: ["orders", "log"], LOADING: ONE_BY_ONE})
    assert [choice.label for choice in each.choices] == [
        "what changed, by updated_at, merged on id",
        "everything, every time",
        "only new rows, by updated_at",
        "only new rows, by id",
    ]


def test_tables_of_a_source_that_is_there_stay_as_they_are_unless_said() -> None:
    present = {"name": "b", "type": "base", "resources": {"orders": None}}
    base = Subject(DATABASE, inspection=TABLES, present=present, earlier={RESOURCES: ["orders"]})
    assert question(base, RESOURCES).default == ["orders"]
    loading = question(base, LOADING, {RESOURCES: ["orders", "log"]})
    assert (loading.choices[0].value, loading.default) == (AS_NOW, AS_NOW)


def test_how_tables_are_loaded_is_offered_again() -> None:
    base = Subject(DATABASE, inspection=TABLES, earlier={LOADING: ONE_BY_ONE, table_key("orders"): 2})
    chosen = {RESOURCES: ["orders"], LOADING: ONE_BY_ONE}
    assert question(base, LOADING, chosen).default == ONE_BY_ONE
    assert question(base, table_key("orders"), chosen).default == 2
    gone = Subject(DATABASE, inspection=TABLES, earlier={table_key("log"): 3})
    assert question(gone, table_key("log"), {RESOURCES: ["log"], LOADING: ONE_BY_ONE}).default == 0


def test_without_an_inspection_names_are_typed() -> None:
    asked = question(Subject(DATABASE), RESOURCES)
    assert (asked.choices, asked.many, asked.read("a, b")) == ((), False, ["a", "b"])
    with pytest.raises(ValueError, match="is needed"):
        asked.read(" ")


def test_live_choices_are_those_found_and_what_was_there_before() -> None:
    schema = question(Subject(DATABASE, inspection=TABLES), "field.schema", {ADVANCED: True})
    assert ([choice.value for choice in schema.choices], schema.default) == (["public", "x"], "public")
    earlier = Subject(DATABASE, inspection=TABLES, earlier={"field.schema": "env:SCHEMA"})
    schema = question(earlier, "field.schema", {ADVANCED: True})
    assert ([choice.value for choice in schema.choices], schema.default) == (
        ["env:SCHEMA", "public", "x"],
        "env:SCHEMA",
    )
    assert question(Subject(DATABASE), "field.schema", {ADVANCED: True}).choices == ()


def test_an_enum_that_may_be_left_out_offers_that() -> None:
    size = FieldSpec(name="size", kind="enum", options=(1, 2))
    entry = ENTRY.model_copy(update={"fields": (size,)})
    asked = question(Subject(entry), "field.size", {ADVANCED: True})
    assert [choice.label for choice in asked.choices] == ["none of these", "1", "2"]
    assert [choice.label for choice in question(Subject(ENTRY), "field.auth").choices] == ["token", "basic"]


def test_a_list_is_chosen_from_its_options_unless_it_is_a_reference() -> None:
    spec = FieldSpec(name="kinds", kind="list", options=("a", "b"), required=True)
    entry = ENTRY.model_copy(update={"fields": (spec,)})
    assert question(Subject(entry), "field.kinds").many
    referred = question(Subject(entry, earlier={"field.kinds": "env:KINDS"}), "field.kinds")
    assert (referred.many, referred.choices, referred.typed) == (False, (), "env:KINDS")


def asked(**spec: Any) -> Question:
    field = FieldSpec(name="x", **spec)
    return Question(field_key(field), field, default=field.default)


@pytest.mark.parametrize(
    ("spec", "typed", "read"),
    [
        ({}, " a b ", "a b"),
        ({}, "", None),
        ({"kind": "int"}, "5", 5),
        ({"kind": "float"}, "1.5", 1.5),
        ({"kind": "bool"}, "yes", True),
        ({"kind": "bool"}, "off", False),
        ({"kind": "list"}, "a, b,,c", ["a", "b", "c"]),
        ({"kind": "list"}, '[1, "a"]', [1, "a"]),
        ({"kind": "json"}, '{"a": 1}', {"a": 1}),
        ({"kind": "date"}, "2024-01-31", dt.date(2024, 1, 31)),
        ({"kind": "enum", "options": (1, 2)}, "2", 2),
        ({"kind": "enum", "options": ("a",)}, "a", "a"),
        ({"kind": "secret"}, " line one\nline two \n", "line one\nline two"),
    ],
)
def test_what_is_typed_becomes_a_value(spec: dict[str, Any], typed: str, read: Any) -> None:
    value = asked(**spec).read(typed)
    assert (value, type(value)) == (read, type(read))


@pytest.mark.parametrize(
    ("spec", "typed", "message"),
    [
        ({"required": True}, " ", "is needed"),
        ({"kind": "secret", "required": True}, "", "is needed"),
        ({"kind": "int"}, "five", "is a whole number"),
        ({"kind": "int", "min": 1}, "0", "is at least 1"),
        ({"kind": "int", "max": 9}, "10", "is at most 9"),
        ({"kind": "float"}, "x", "is a number"),
        ({"kind": "bool"}, "perhaps", "is true or false"),
        ({"kind": "date"}, "yesterday", "is a date, such as 2024-01-31"),
        ({"kind": "datetime"}, "noon", "is a time, such as 2024-01-31T00:00:00Z"),
        ({"kind": "url"}, "example.com", "is a URL, such as https://example.com"),
        ({"kind": "json"}, "{", "is JSON"),
        ({"kind": "enum", "options": ("a", "b")}, "c", "is one of: a, b"),
        ({"pattern": "[a-z]+", "example": "abc"}, "A1", "does not look like one, such as abc"),
        ({"kind": "secret", "pattern": "[a-z]+"}, "S3CR3T", r"does not look like one: it matches \[a-z\]\+$"),
        ({}, "env:not a name", "after `env:` comes the name of an environment variable"),
    ],
)
def test_what_does_not_fit_says_what_is_wanted(spec: dict[str, Any], typed: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        asked(**spec).read(typed)
    assert "S3CR3T" not in str(refused.value)


KINDS = ["string", "secret", "int", "float", "bool", "enum", "list", "date", "datetime", "path", "url", "json"]


@pytest.mark.parametrize("kind", [*KINDS, "secret_file"])
def test_a_reference_answers_a_question_of_any_kind(kind: str) -> None:
    spec = {"kind": kind, "options": ("a",) if kind == "enum" else ()}
    assert asked(**spec).read(" env:NAME ") == "env:NAME"
    assert asked(**spec).read("env:NAME?") == "env:NAME?"


def test_a_text_that_begins_like_a_reference_is_one_only_with_one_colon() -> None:
    assert asked().read("env::NAME") == "env::NAME"


@pytest.mark.parametrize(
    ("spec", "typed"),
    [
        ({"default": "a"}, "a"),
        ({"kind": "int", "default": 5}, "5"),
        ({"kind": "bool", "default": True}, "true"),
        ({"kind": "list", "default": ["a", "b"]}, "a, b"),
        ({"kind": "list", "default": ["a, b"]}, '["a, b"]'),
        ({"kind": "list", "default": [1, 2]}, "[1, 2]"),
        ({"kind": "list", "default": ["[x"]}, '["[x"]'),
        ({"kind": "json", "default": {"a": 1}}, '{"a": 1}'),
        ({"kind": "json", "default": "append"}, '"append"'),
        ({"kind": "json", "default": "env:X"}, "env:X"),
        ({"kind": "datetime", "default": "2024-01-01T00:00:00Z"}, "2024-01-01T00:00:00Z"),
        ({"kind": "datetime", "default": dt.date(2024, 1, 1)}, "2024-01-01"),
        ({"kind": "date", "default": dt.date(2024, 1, 1)}, "2024-01-01"),
    ],
)
def test_enter_gives_the_default_as_it_was_written(spec: dict[str, Any], typed: str) -> None:
    question = asked(**spec)
    assert question.typed == typed
    assert question.read(typed) == spec["default"]
    assert type(question.read(typed)) is type(spec["default"])


@pytest.mark.parametrize("name", ["", "Shop", "9a", "a-b", "a" * 49, "env:NAME", "ü"])
def test_names_that_no_source_can_have(name: str) -> None:
    with pytest.raises(ValueError, match=r"is needed|is no valid name"):
        question(Subject(ENTRY), NAME).read(name)


def test_a_name_is_free_or_is_made_so() -> None:
    with pytest.raises(ValueError, match="is the name of another source"):
        checked_name("shop", ["shop"])
    assert free_name("shop", ["shop", "shop_2"]) == "shop_3"
    assert len(free_name("a" * 60, ["a" * 48])) <= 48
    assert question(Subject(ENTRY, names=("shop",)), NAME).default == "shop_2"
    taken = Subject(ENTRY, names=("gh",), earlier={NAME: "gh"})
    assert question(taken, NAME).default == "gh_2"

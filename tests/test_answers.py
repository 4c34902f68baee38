"""What answers come to, and what options and a present source answer."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from dango.answers import made, of_options, of_present, of_stdin, placed_after, unanswered
from dango.errors import UsageError
from dango.question import NAME
from dango.registry.entry import Entry, Function
from dango.registry.field import FieldSpec
from dango.wizard import ADVANCED, EVERYTHING, LOADING, ONE_BY_ONE, RESOURCES, Answers, Subject, table_key
from tests.test_wizard import DATABASE, ENTRY, FIELDS, TABLES

TOKEN: Answers = {NAME: "a", "field.site": "s", "field.auth": "token", "field.token": "t0ken"}
NATIVE = Entry(
    registry=1, id="dlt_native", title="shop.rows", category="generic",
    fields=(
        FieldSpec(name="site", required=True),
        FieldSpec(name="size", kind="int", default=5),
        FieldSpec(name="token", kind="secret", required=True),
        FieldSpec(name="credentials__host"),
        FieldSpec(name="credentials__password", kind="secret"),
    ),
    build=Function(
        kind="function", function="shop:rows",
        args={"site": "${site}", "size": "${size}", "token": "${secrets.token}"},
    ),
)  # fmt: skip


def test_a_source_is_its_item_and_its_secrets() -> None:
    found = made(Subject(ENTRY), {**TOKEN, RESOURCES: ["users"]})
    assert found.item == {
        "name": "a",
        "type": "shop",
        "resources": ["users"],
        "shop": {"site": "s", "auth": "token"},
    }
    assert found.secrets == {"token": "t0ken"}
    assert "t0ken" not in repr(found)


def test_a_reference_to_a_secret_stands_in_the_block() -> None:
    found = made(Subject(ENTRY), {**TOKEN, "field.token": "env:TOKEN"})
    assert (found.item["shop"]["token"], found.secrets) == ("env:TOKEN", {})


def test_defaults_are_not_written_however_they_were_read() -> None:
    folded = {ADVANCED: True, "field.start_date": dt.date(2024, 1, 1), "field.size": 50}
    assert made(Subject(ENTRY), {**TOKEN, **folded}).item["shop"] == {"site": "s", "auth": "token"}
    changed = {**folded, "field.start_date": dt.date(2025, 1, 1)}
    assert made(Subject(ENTRY), {**TOKEN, **changed}).item["shop"]["start_date"] == dt.date(2025, 1, 1)


def test_a_field_that_does_not_apply_is_not_written() -> None:
    answers = {**TOKEN, "field.user": "u", "field.password": "p"}
    assert "user" not in made(Subject(ENTRY), answers).item["shop"]
    assert made(Subject(ENTRY), answers).secrets == {"token": "t0ken"}


def test_of_any_dlt_source_the_parts_of_credentials_go_into_a_section_of_their_own() -> None:
    answers = {
        NAME: "n",
        "field.site": "s",
        "field.token": "t0ken",
        "field.credentials__host": "h",
        "field.credentials__password": "pw",
    }
    found = made(Subject(NATIVE), answers)
    block = {"source_module": "shop", "source_function": "rows", "function_kwargs": {"site": "s"}}
    assert found.item["dlt_native"] == block
    assert found.secrets == {"token": "t0ken", "credentials": {"host": "h", "password": "pw"}}
    referred = made(Subject(NATIVE), {**answers, "field.credentials__password": "env:PW", "field.token": "env:T"})
    kwargs = {"site": "s", "token": "env:T", "credentials": {"password": "env:PW"}}
    assert referred.item["dlt_native"]["function_kwargs"] == kwargs
    assert referred.secrets == {"credentials": {"host": "h"}}


PRESENT: dict[str, Any] = {
    "name": "a",
    "type": "shop",
    "description": "Kept",
    "resources": {"orders": {"table": "bought"}, "users": None},
    "shop": {"site": "s", "auth": "token", "token": "env:TOKEN", "size": 50, "unknown": 1},
}


def test_of_a_present_source_everything_stays_that_is_not_changed() -> None:
    subject = of_present(ENTRY, PRESENT, {})
    assert subject.earlier["field.size"] == 50
    assert made(subject, {NAME: "a"}).item == PRESENT
    confirmed = {key: value for key, value in subject.earlier.items() if key != "field.token"}
    assert made(subject, {**confirmed, "field.token": None}).item == PRESENT
    assert made(subject, {NAME: "a"}).secrets == {}
    changed = made(subject, {NAME: "a", "field.site": "t", RESOURCES: ["orders"]})
    assert changed.item == {
        **PRESENT,
        "resources": {"orders": {"table": "bought"}},
        "shop": {**PRESENT["shop"], "site": "t"},
    }
    cleared = made(subject, {NAME: "a", "field.size": None})
    assert "size" not in cleared.item["shop"]


def test_a_present_source_that_is_authorised_otherwise_loses_what_no_longer_applies() -> None:
    answers: Answers = {NAME: "a", "field.auth": "basic", "field.user": "u", "field.password": "pw"}
    found = made(of_present(ENTRY, PRESENT, {}), answers)
    assert found.item["shop"] == {"site": "s", "auth": "basic", "user": "u", "size": 50, "unknown": 1}
    assert found.secrets == {"password": "pw"}


def test_a_new_secret_takes_the_place_of_a_reference() -> None:
    found = made(of_present(ENTRY, PRESENT, {}), {NAME: "a", "field.token": "t0ken"})
    assert ("token" in found.item["shop"], found.secrets) == (False, {"token": "t0ken"})


def test_resources_that_are_not_written_stay_unwritten() -> None:
    item = {key: value for key, value in PRESENT.items() if key != "resources"}
    subject = of_present(ENTRY, item, {})
    assert "resources" not in made(subject, {NAME: "a", RESOURCES: ["orders"]}).item
    assert made(subject, {NAME: "a", RESOURCES: ["users"]}).item["resources"] == ["users"]


def test_a_present_native_source_keeps_what_the_wizard_does_not_know() -> None:
    kwargs = {"site": "s", "extra": 1, "credentials": {"host": "h", "query": {"a": 1}, "password": "env:PW"}}
    block = {"source_module": "shop", "source_function": "rows", "function_kwargs": kwargs, "pipeline_name": "p"}
    item = {"name": "n", "type": "dlt_native", "enabled": False, "dlt_native": block}
    subject = of_present(NATIVE, item, {"token": "t0ken"})
    assert subject.stored == {"token", "credentials__password"}
    assert subject.earlier["field.credentials__host"] == "h"
    found = made(subject, {NAME: "n"})
    assert (found.item, found.secrets) == (item, {})
    found = made(subject, {NAME: "n", "field.credentials__host": "i", "field.site": "t"})
    assert found.secrets == {}
    assert found.item["dlt_native"]["function_kwargs"] == {
        **kwargs,
        "site": "t",
        "credentials": {**kwargs["credentials"], "host": "i"},  # type: ignore[dict-item]
    }
    assert item["dlt_native"] is block
    assert kwargs["site"] == "s", "what is there is not changed in passing"


def test_what_secrets_toml_has_counts_as_answered() -> None:
    item = {"name": "a", "type": "shop", "shop": {"site": "s", "auth": "token"}}
    assert [spec.name for spec in unanswered(of_present(ENTRY, item, {}), {NAME: "a"})] == ["token"]
    assert unanswered(of_present(ENTRY, item, {"token": "t"}), {NAME: "a"}) == []
    assert [spec.name for spec in unanswered(Subject(ENTRY), {})] == ["site", "auth"]


def tables(answers: Answers, **present: Any) -> Any:
    subject = Subject(DATABASE, inspection=TABLES)
    if present:
        subject = replace(subject, present={"name": "b", "type": "base", **present})
    return made(subject, {NAME: "b", **answers}).item.get("resources")


def test_tables_are_loaded_as_was_chosen() -> None:
    both: Answers = {RESOURCES: ["orders", "log"]}
    merge = {"write_disposition": "merge", "primary_key": "id", "cursor": {"field": "updated_at"}}
    replaced = {"write_disposition": "replace"}
    assert tables(both) == {"orders": merge, "log": replaced}
    assert tables({**both, LOADING: EVERYTHING}) == {"orders": replaced, "log": replaced}
    append = {"write_disposition": "append", "cursor": {"field": "updated_at"}}
    assert tables({**both, LOADING: ONE_BY_ONE, table_key("orders"): 2}) == {"orders": append, "log": replaced}
    assert made(Subject(DATABASE), {NAME: "b", RESOURCES: ["x", "y"]}).item["resources"] == ["x", "y"]


def test_tables_of_a_present_source_are_loaded_as_before_unless_said() -> None:
    hints = {"orders": None, "log": {"table": "events"}}
    assert tables({}, resources=hints) == hints
    assert tables({RESOURCES: ["orders"]}, resources=hints) == {"orders": None}
    assert tables({}, resources=["orders"]) == ["orders"]
    assert tables({RESOURCES: ["orders", "log"]}, resources=["orders"]) == {
        "orders": None,
        "log": {"write_disposition": "replace"},
    }
    assert tables({RESOURCES: ["log"], LOADING: EVERYTHING}, resources=hints) == {
        "log": {"write_disposition": "replace"}
    }


def test_options_are_answers() -> None:
    found = of_options(
        Subject(ENTRY), "x", ["site=a=b", "auth=token", "size=7", "start_date=env:SINCE"], ["token=env:T"], ["users"]
    )
    assert found == {
        NAME: "x",
        "field.site": "a=b",
        "field.auth": "token",
        "field.size": 7,
        "field.start_date": "env:SINCE",
        "field.token": "env:T",
        RESOURCES: ["users"],
    }


LITERAL = (
    "`token` is a secret, which does not belong on a command line, where others can read it:"
    " --secret token=env:NAME refers to the environment; --secret token reads the value from stdin"
)


def test_every_fault_of_the_options_is_told_at_once_and_no_secret_is() -> None:
    with pytest.raises(UsageError) as refused:
        of_options(
            Subject(ENTRY, names=("x",)), "x",
            ["sitee=a", "size=many", "auth", "auth=tokn", "token=S3CR3T", "start_date=env:"],
            ["token=S3CR3T", "S3CR3T", "site=env:X", "password", "token"],
            ["userz"],
        )  # fmt: skip
    assert str(refused.value).splitlines() == [
        "--name x: it is the name of another source",
        f"`shop` has no field `sitee` (did you mean `site`?); its fields: {', '.join(spec.name for spec in FIELDS)}",
        "`size` is a whole number",
        "`auth` is not KEY=VALUE",
        "`auth` is one of: token, basic",
        LITERAL,
        "`start_date` after `env:` comes the name of an environment variable",
        LITERAL,
        "--secret: `shop` has no secret of that name; it has: token, password",
        "--secret: `shop` has no secret of that name; it has: token, password",
        "only one secret can come on stdin: give the others as KEY=env:NAME",
        "`shop` has no resource `userz` (did you mean `users`?); its resources: orders, users",
    ]


def test_stdin_is_an_answer_unless_it_is_empty() -> None:
    assert of_stdin(Subject(ENTRY), "token", "t0ken\n") == {"field.token": "t0ken"}
    with pytest.raises(UsageError, match="`token` is needed"):
        of_stdin(Subject(ENTRY), "token", "\n")


def test_a_key_is_placed_behind_another() -> None:
    assert list(placed_after({"name": 1, "type": 2, "x": 3}, "type", "destination", 4)) == [
        "name", "type", "destination", "x",
    ]  # fmt: skip

"""An entry's page: what it says of any entry, whoever wrote it."""

from __future__ import annotations

from typing import Any

import pytest

from dango.registry.entry import Entry
from dango.registry.page import page, prose
from tests.registry.test_paging_mock import entry, resource

ALL = "`changed`, picked out of all"


def made(*resources: dict[str, Any], fields: tuple[dict[str, Any], ...] = (), **said: Any) -> Entry:
    """An entry that says this, too."""
    plain = entry(*resources, fields=fields).model_dump(mode="json", exclude_defaults=True)
    return Entry.model_validate({**plain, "registry": 1, **said})


def row(text: str, first: str) -> list[str]:
    """The cells of a table's row that begins so."""
    found = next(line for line in text.splitlines() if line.startswith(f"| {first} |"))
    return [cell.strip() for cell in found.strip("|").split("|")]


@pytest.mark.parametrize(
    ("said", "cell"),
    [
        ({"endpoint": {"params": {"since": "{incremental.start_value}"}}}, "`changed`, asked with `since`"),
        ({"endpoint": {"json": {"if": [{"from": "{incremental.start_value}"}]}}}, "`changed`, asked with `if.from`"),
        ({"incremental": {"start_param": "since"}}, "`changed`, asked with `since`"),
        ({"incremental": {"row_order": "desc"}}, "`changed`, newest first, until what is known"),
        ({}, ALL),
        ({"incremental": {"lag": 7200}}, f"{ALL}; the last 2 hours again"),
        ({"incremental": {"lag": 86400, "initial_value": "${start|epoch}"}}, f"{ALL}; the last day again"),
        ({"incremental": {"lag": 86400000, "initial_value": "${start|epoch_ms}"}}, f"{ALL}; the last day again"),
        ({"incremental": {"lag": 3, "initial_value": "${start|date}"}}, f"{ALL}; the last 3 days again"),
    ],
)  # fmt: skip
def test_a_page_says_how_little_is_asked_for(said: dict[str, Any], cell: str) -> None:
    incremental = {"cursor_path": "changed", "initial_value": "2024-01-01T00:00:00Z", **said.get("incremental", {})}
    orders = resource("orders", incremental=incremental, **said.get("endpoint", {}))
    fields = ({"name": "start", "kind": "datetime", "default": "2024-01-01T00:00:00Z"},)
    text = page(made({**orders, "write_disposition": "merge"}, fields=fields))
    assert row(text, "`orders`")[-2:] == [cell, "merge"]
    assert "in full, then what is new" in page(made(orders, maturity="mock_run"))


def test_a_page_says_which_tables_are_loaded_and_of_what_they_are_made() -> None:
    child = resource("lines", path="orders/{resources.orders.id}/lines")
    shop = made(
        {**resource("orders"), "write_disposition": "replace"}, {**child, "primary_key": ["order", "line"]},
        select={"default": ["orders"]}, describe={"orders": "What was sold", "lines": "Its parts"},
    )  # fmt: skip
    text = page(shop)
    assert row(text, "**`orders`**") == ["**`orders`**", "What was sold", "`id`", "replace"]
    assert row(text, "`lines`") == ["`lines`", "Its parts – for each of `orders`", "`order` and `line`", "append"]


def test_a_page_says_when_a_setting_is_asked_and_shows_no_more_of_a_value_than_fits() -> None:
    fields = (
        {"name": "auth", "kind": "enum", "options": ["key", "none"], "default": "key"},
        {"name": "key", "kind": "secret", "required": True, "when": {"auth": "key"}, "help": "Not *yours*"},
        {"name": "columns", "default": "abc," * 40},
    )  # fmt: skip
    text = page(made(resource(), fields=fields))
    assert row(text, "`auth`")[1] == "`key`, `none`; default `key`"
    assert row(text, "`key`") == ["`key`", "secret; required", r"Key, with `auth: key`. Not \*yours\*."]
    assert row(text, "`columns`")[1] == f"text; default `{'abc,' * 15}…`"
    assert '# .dlt/secrets.toml\n[sources.shop]\nkey = "..."' in text


def test_nothing_is_said_of_what_an_entry_does_not_say() -> None:
    text = page(made(resource()))
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "# Shop", "## How to use it", "# .dango/sources.yml", "# .dlt/secrets.toml", "## Tables", "## Settings",
        "## How far it is tested",
    ]  # fmt: skip
    assert "None" not in text
    assert "It is built with stand-ins for what it asks, and no more." in text


def test_a_guide_in_plain_text_becomes_paragraphs_steps_and_blocks() -> None:
    guide = """Two lines of
a paragraph, with `a*b` and a*b:
  GRANT SELECT ON shop.*
    TO dango;
1. First, and
   more of it.
2. Then.
Not a step."""
    assert prose(guide) == (
        "Two lines of a paragraph, with `a*b` and a\\*b:\n\n```\nGRANT SELECT ON shop.*\n  TO dango;\n```\n\n"
        "1. First, and more of it.\n2. Then.\n\nNot a step."
    )

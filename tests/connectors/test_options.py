"""What connectors say they may be told, and the questions that become of it."""

from __future__ import annotations

from typing import Any

import pytest

from dango import specification
from dango.connectors.bridge.options import options
from dango.probe import About
from dango.registry.entries import Registry


def asked(**properties: Any) -> dict[str, Any]:
    """Of each question its kind, its options, and when it is asked."""
    required = properties.pop("required", [])
    about = About(options({"properties": properties, "required": required}))
    entry = specification.specified(specification.unasked(Registry().entry("singer")), about)
    fields = [spec for spec in entry.fields if specification.is_option(spec.name)]
    return {spec.title: (spec.kind, spec.options, spec.required, spec.when) for spec in fields}


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ({"type": "string"}, "string"),
        ({"type": ["null", "integer"]}, "int"),
        ({"anyOf": [{"type": "number"}, {"type": "null"}]}, "float"),
        ({"type": "boolean"}, "bool"),
        ({"type": "array", "items": {"type": "string"}}, "list"),
        ({"type": "array", "items": {"type": "integer"}}, "json"),
        ({"type": "object"}, "json"),
        ({"type": ["string", "integer"]}, "string"),
        ({"type": ["integer", "boolean"]}, "json"),
        ({}, "json"),
        ({"type": "string", "enum": ["a", "b"]}, "enum"),
        ({"type": "string", "airbyte_secret": True}, "secret"),
        ({"type": "string", "format": "password"}, "secret"),
    ],
)
def test_a_setting_is_asked_for_as_its_type_says(said: dict[str, Any], kind: str) -> None:
    assert asked(x=said)["x"][0] == kind


def test_settings_in_a_block_are_asked_one_by_one_and_are_needed_where_the_block_is() -> None:
    block = {"properties": {"host": {"type": "string"}, "port": {"type": "integer"}}, "required": ["host"]}
    assert asked(proxy=block) == {
        "proxy.host": ("string", (), False, {}),
        "proxy.port": ("int", (), False, {}),
    }
    assert asked(proxy=block, required=["proxy"])["proxy.host"][2]


def test_of_blocks_of_which_one_is_chosen_only_its_settings_are_asked() -> None:
    secret = {"type": "string", "airbyte_secret": True}
    login = {"oneOf": [
        {"properties": {"by": {"const": "key"}, "key": secret}, "required": ["by", "key"]},
        {"properties": {"by": {"const": "oauth"}, "id": {"type": "string"}, "refresh": secret}},
        {"properties": {"by": {"const": "app"}, "id": {"type": "string"}}},
    ]}  # fmt: skip
    assert asked(login=login, required=["login"]) == {
        "login.by": ("enum", ("key", "oauth", "app"), True, {}),
        "login.key": ("secret", (), True, {"config.login.by": ["key"]}),
        "login.id": ("string", (), False, {"config.login.by": ["oauth", "app"]}),
        "login.refresh": ("secret", (), False, {"config.login.by": ["oauth"]}),
    }


def test_blocks_that_nothing_tells_apart_are_asked_for_together_and_none_of_it_is_needed() -> None:
    either = {"anyOf": [
        {"properties": {"a": {"type": "string"}}, "required": ["a"]},
        {"properties": {"b": {"type": "string", "writeOnly": True}}},
    ]}  # fmt: skip
    assert asked(x=either, required=["x"]) == {
        "x.a": ("string", (), False, {}),
        "x.b": ("secret", (), False, {}),
    }

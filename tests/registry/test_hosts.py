"""To which hosts an entry's secrets go, as far as the entry says."""

from __future__ import annotations

from typing import Any

import pytest

from dango.registry.entry import Entry
from dango.registry.hosts import hosts

SECRET = {"name": "token", "kind": "secret"}


def entry(build: dict[str, Any], *fields: dict[str, Any]) -> Entry:
    return Entry.model_validate({
        "registry": 1, "id": "shop", "title": "Shop", "category": "generic", "fields": fields, "build": build,
    })  # fmt: skip


def rest(base_url: str, **endpoint: Any) -> dict[str, Any]:
    resources = [{"name": "rows", "endpoint": {"path": "rows", **endpoint}}]
    return {"kind": "rest_api", "config": {"client": {"base_url": base_url}, "resources": resources}}


def function(**args: Any) -> dict[str, Any]:
    return {"kind": "function", "function": "shop:rows", "args": args}


@pytest.mark.parametrize(
    ("base_url", "found"),
    [
        ("https://api.shop.example", ["api.shop.example"]),
        ("https://api.shop.example/v1/?x", ["api.shop.example"]),
        ("HTTPS://Api.shop.example:8443/v1", ["Api.shop.example"]),
        ("http://127.0.0.1:8000", ["127.0.0.1"]),
        ("http://[::1]:8000/x", ["[::1]"]),
        ("https://me:pw@api.shop.example", ["api.shop.example"]),
        ("https://${subdomain}.shop.example/api", ["${subdomain}.shop.example"]),
        ("https://${region}.shop.example", ["eu.shop.example"]),
        ("${address}", ["${address}"]),
        ("${address}/api/v2", ["${address}"]),
        ("${known}", ["known.example"]),
        ("${known}/api", ["known.example"]),
    ],
)
def test_the_host_is_that_of_the_address_with_what_is_known_filled_in(base_url: str, found: list[str]) -> None:
    fields = [
        SECRET, {"name": "subdomain"}, {"name": "region", "default": "eu"}, {"name": "address", "kind": "url"},
        {"name": "known", "kind": "url", "default": "https://known.example/x"},
    ]  # fmt: skip
    assert hosts(entry(rest(base_url), *fields)) == found


def test_every_address_counts_once_wherever_it_stands() -> None:
    made = rest("https://api.shop.example", path="https://files.shop.example/rows", auth={"token_url": "${login}"})
    made["config"]["client"]["auth"] = {"access_token_url": "https://login.shop.example/token"}
    made["config"]["resources"] *= 2
    login = {"name": "login", "kind": "url"}
    assert sorted(hosts(entry(made, SECRET, login))) == [
        "${login}", "api.shop.example", "files.shop.example", "login.shop.example",
    ]  # fmt: skip


def test_without_a_secret_nothing_is_sent_anywhere() -> None:
    assert hosts(entry(rest("https://api.shop.example"), {"name": "owner"})) == []


def test_of_a_function_it_is_what_stands_under_host_and_every_address() -> None:
    address = {"name": "host", "default": "localhost"}
    made = function(credentials={"host": "${host}", "database": "d"}, options=[{"host": "10.0.0.1"}])
    assert hosts(entry(made, SECRET, address)) == ["localhost", "10.0.0.1"]
    made = function(host="${host}", url="${url}", docs="see https://not.an.address")
    assert hosts(entry(made, SECRET, {"name": "host"}, {"name": "url", "kind": "url"})) == ["${host}", "${url}"]


def test_where_only_the_code_knows_nothing_is_said() -> None:
    made = {
        "kind": "verified",
        "source": "x",
        "function": "f",
        "commit": "0" * 40,
        "args": {"token": "${secrets.token}"},
    }
    assert hosts(entry(made, SECRET)) == []
    assert hosts(entry(function(token="${secrets.token}"), SECRET)) == []

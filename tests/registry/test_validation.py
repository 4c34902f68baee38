"""What is wrong with the blocks of sources whose type is a registry entry, each thing at its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from dango.config.document import Document
from dango.errors import ConfigError
from dango.registry.entries import entry_in
from dango.registry.entry import Entry
from dango.registry.validation import parse

FILE = ".dango/sources.yml"

SHOP = """\
registry: 1
id: shop
title: Shop
category: generic
fields:
  - {name: owner, pattern: "[a-z]+", example: acme, help: Whose shop it is}
  - {name: size, kind: int, min: 1, max: 100}
  - {name: deep, kind: bool}
  - {name: region, kind: enum, options: [eu, us]}
  - {name: keys, kind: list, options: [a, b]}
  - {name: since, kind: date}
  - {name: token, kind: secret, pattern: "sk_.*"}
build:
  kind: rest_api
  config: {client: {base_url: "https://x.example"}, resources: [{name: orders, endpoint: {path: orders}}]}
"""
LIVE = SHOP.replace("id: shop", "id: live").replace("build:", "select: {live: true}\nbuild:")
BARE = 'registry: 1\nid: bare\ntitle: Bare\ncategory: generic\nbuild: {kind: function, function: "m:f"}\n'
ENTRIES = {"shop": SHOP, "live": LIVE, "bare": BARE, "broken": "registry: 1\n"}


def registered(text: str) -> list[str]:
    """What is wrong with a `sources.yml` in a project with these entries."""

    def entry_of(kind: str) -> Entry | None:
        return None if kind == "dlt_native" else entry_in(Document(Path(f"{kind}.yml"), f"{kind}.yml", ENTRIES[kind]))

    try:
        parse(Document(Path(FILE), FILE, text), ("dlt_native", *ENTRIES), entry_of)
    except ConfigError as error:
        return [f"{problem.line}:{problem.column}: {problem.message} | {problem.hint}" for problem in error.problems]
    return []


def shop(block: str, more: str = "", kind: str = "shop") -> str:
    return f"sources:\n  - name: a\n    type: {kind}\n    {kind}: {block}\n{more}"


@pytest.mark.parametrize(
    "text",
    [
        shop("{owner: acme, size: 1, deep: false, region: eu, keys: [b], since: 2024-01-31, token: sk_1}"),
        shop("{owner: env:OWNER, size: env:SIZE, since: env:DAY?, keys: env:KEYS, token: env:TOKEN}"),
        shop("{owner: , size: null}"),
        shop("{}", "    resources: [orders]\n"),
        shop("{}", "    resources: {orders: {table: o}}\n"),
        shop(""),
        "sources:\n  - {name: a, type: shop}\n",
        shop("{}", "    resources: [whatever]\n", "live"),
        shop("{anything: 1}", kind="broken"),
        "sources:\n  - {name: a, type: bare, resources: [r]}\n",
    ],
)
def test_a_block_that_fits_its_entry_is_well(text: str) -> None:
    assert registered(text) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (shop("{ownr: acme}"), "4:12: `shop` has no field `ownr` (did you mean `owner`?) | its fields: owner, si"),
        (shop("{owner: Acme}"), "4:12: `owner` does not look like one, such as acme | Whose shop it is"),
        (shop("{size: 0}"), "4:12: `size` is at least 1 | "),
        (shop("{size: 101}"), "4:12: `size` is at most 100 | "),
        (shop("{size: '5'}"), "4:12: `size` is a whole number | "),
        (shop("{deep: maybe}"), "4:12: `deep` is true or false | "),
        (shop("{region: asia}"), "4:12: `region` is one of: eu, us | "),
        (shop("{keys: [a, c]}"), "4:12: `keys` is one of: a, b | "),
        (shop("{since: soon}"), "4:12: `since` is a date, such as 2024-01-31 | "),
        (shop("{token: hush-hush}"), "4:12: `token` does not look like one: it matches sk_.* | "),
        (shop("{x: 1}", kind="bare"), "4:12: `bare` has no field `x` | it has no fields: remove the block"),
        (shop("[owner]"), "4:5: `shop`: should be a mapping, not a list | "),
        (shop("acme"), "4:5: `shop`: should be a mapping, not text | "),
        (shop("{}", "    resources: [ordes]\n"), "5:17: `shop` has no resource `ordes` (did you mean `orders`?) | i"),
        (shop("{}", "    resources:\n      ordes: {}\n"), "6:7: `shop` has no resource `ordes` (did you mean `orders`"),
        (shop("{}", "    shpo: {}\n"), "5:5: unknown key `shpo` (did you mean `shop`?) | valid keys: "),
        (
            "sources:\n  - {name: a, type: shop, dlt_native: {source_module: m, source_function: f}}\n",
            "2:27: `dlt_native:` is the block of `type: dlt_native`; that of `type: shop` is `shop:` | ",
        ),
        (
            "sources:\n  - {name: a, type: shpo, shpo: {}}\n",
            "2:15: unknown type `shpo` (did you mean `shop`?) | dango registry list shows the types;",
        ),
    ],
)  # fmt: skip
def test_a_block_that_does_not_fit_its_entry_is_told_at_its_place(text: str, said: str) -> None:
    (found,) = registered(text)
    assert found.startswith(said)
    assert "hush" not in found


def test_everything_that_is_wrong_with_the_blocks_is_told_at_once() -> None:
    text = shop("{size: 0, ownr: x}", "    resources: [ordes]\n  - {name: b, type: shop, shop: {deep: 1}}\n")
    assert [each.split(": ")[0] for each in registered(text)] == ["4:12", "4:21", "5:17", "6:34"]


def test_blocks_are_looked_at_where_something_else_is_wrong() -> None:
    wrong = "  - {name: b, type: shop, enabeld: true, shop: {ownr: x}}\n  - {type: shop, shop: {ownr: x}}\n  - 5\n"
    places = [each.split(": ")[0] for each in registered(shop("{size: 0}", wrong))]
    assert places == ["4:12", "5:27", "5:49", "6:5", "7:5"], "of what has no name nothing else is told"

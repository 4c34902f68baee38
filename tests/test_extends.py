"""A source that extends another, in real syncs: its own data and cursor, and secrets of its own or of the other."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

SHOP = """
import dlt

@dlt.source
def shop(country: str, token: str = dlt.secrets.value, size: int = dlt.config.value):
    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders(id=dlt.sources.incremental("id", initial_value=0)):
        yield {"id": 1, "country": country, "token": token, "size": size, "mail": "a@example.com"}

    return orders
"""
SOURCES = """\
version: 1
sources:
  - name: shop
    type: dlt_native
    processors: [{mask: mail}]
    dlt_native:
      source_module: shop
      source_function: shop
      function_kwargs: {country: env:COUNTRY}
  - name: shop_fr
    extends: shop
    dlt_native: {function_kwargs: {country: fr}}
  - {name: shop_nice, extends: shop_fr}
  - name: other
    type: dlt_native
    dlt_native: {source_module: shop, source_function: shop, function_kwargs: {country: xx}}
"""
SECRETS = """\
[sources.shop]
token = "of-the-shop"
size = 3
[sources.shop_fr]
token = "of-the-french"
"""


@pytest.mark.slow
def test_it_has_its_own_data_and_finds_its_own_secrets_then_those_of_the_other(
    write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": SOURCES, "custom_sources/shop.py": SHOP, ".dlt/secrets.toml": SECRETS})
    said = dango("sync", "shop", "shop_fr", "shop_nice", env={"COUNTRY": "de"})
    assert said.code == 0, said.err
    for name, country, token in (("shop", "de", "of-the-shop"), ("shop_fr", "fr", "of-the-french"),
                                 ("shop_nice", "fr", "of-the-french")):  # fmt: skip
        assert rows(f"SELECT country, token, size, mail FROM raw_{name}.orders") == [(country, token, 3, "***")]
    said = dango("explain", "shop_nice", "--json")
    places = {each["name"]: each["place"] for each in said.json["parameters"]}
    assert places["token"] == ".dlt/secrets.toml:5 [sources.shop_fr]"
    assert places["size"] == ".dlt/secrets.toml:3 [sources.shop]"
    assert places["country"].startswith(".dango/sources.yml:12:")
    assert "of-the" not in said.out
    # Nobody else's: `other` extends nothing.
    assert dango("sync", "other").code != 0


@pytest.mark.slow
def test_the_commands_say_what_a_source_extends_and_keep_what_is_extended(
    root: Path, write: Write, dango: Dango
) -> None:
    write({"sources": SOURCES, "custom_sources/shop.py": SHOP, ".dlt/secrets.toml": SECRETS})
    listed = dango("source", "list")
    assert "dlt_native (as shop_fr)" in listed.out
    assert dango("source", "show", "shop_fr", "--json").json["extends"] == "shop"
    said = dango("check")
    assert said.code == 2
    assert said.err.startswith("error: .dango/sources.yml:9:25: the environment variable COUNTRY is not set")
    assert said.err.count("COUNTRY is not set") == 1
    for arguments in (("source", "remove", "shop", "--yes"), ("source", "remove", "shop", "--drop-data", "--yes")):
        refused = dango(*arguments)
        assert refused.code == 2 and "`shop` is what `shop_fr` extends" in refused.err
    assert (
        "extends `shop`, and says itself only what is otherwise there" in dango("source", "edit", "shop_fr", "-y").err
    )
    assert (root / ".dango" / "sources.yml").read_text() == SOURCES
    assert dango("source", "remove", "shop_nice", "--yes").code == 0

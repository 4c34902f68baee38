"""A tap that is built on Meltano's SDK, as most are today, in an environment of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said
from tests.test_environments import package

pytestmark = pytest.mark.slow

TAP = """\
import os

from singer_sdk import Stream, Tap
from singer_sdk import typing as th


class Orders(Stream):
    name = "orders"
    primary_keys = ("id",)
    replication_key = "id"
    is_sorted = True
    schema = th.PropertiesList(
        th.Property("id", th.IntegerType), th.Property("at", th.DateTimeType), th.Property("price", th.NumberType),
    ).to_dict()

    def get_records(self, context):
        begin = self.get_starting_replication_key_value(context) or 0
        for n in range(begin + 1, int(os.environ.get("ROWS", 5)) + 1):
            yield {"id": n, "at": "2024-01-01T00:00:00+00:00", "price": n / 2}
            if os.environ.get("FAULT") == str(n):
                raise RuntimeError(f"refused {self.config['token']}")


class TapShop(Tap):
    name = "tap-shop"
    config_jsonschema = th.PropertiesList(
        th.Property("token", th.StringType(nullable=False), required=True, secret=True, description="Of the shop"),
        th.Property("pages", th.IntegerType, default=3, description="How many to read"),
    ).to_dict()

    def discover_streams(self):
        return [Orders(self)]


cli = TapShop.cli
"""
SOURCES = """\
version: 1
sources:
  - name: shop
    type: singer
    environment: {requirements: [./tap, "singer-sdk==0.54.9"]}
    singer: {tap: tap-shop}
"""


@pytest.fixture
def shop(write: Callable[[Mapping[str, str]], None]) -> None:
    write({
        "sources": SOURCES,
        ".dlt/secrets.toml": '[sources.shop.secrets]\ntoken = "Q7secretQ7"\n',
        "tap/entry_points.txt": "[console_scripts]\ntap-shop = tap_shop:cli\n",
        **package("tap", "tap_shop", "1.0", TAP),
    })  # fmt: skip


@pytest.mark.usefixtures("shop")
def test_a_tap_of_the_sdk_loads_goes_on_and_recovers(
    dango: Callable[..., Said], rows: Callable[[str], list[Any]], root: Path
) -> None:
    said = dango("sync", timeout=600)
    assert said.code == 0, said.err
    assert rows("select count(*), sum(price), min(\"at\")::varchar from raw_shop.orders") == [
        (5, 7.5, "2024-01-01 00:00:00+00")
    ]  # fmt: skip
    told = dango("source", "describe", "shop", "--json").json
    assert told["streams"] == ["orders"]
    options = {each["name"]: each for each in told["options"]}
    assert (options["token"]["required"], options["token"]["secret"]) == (True, True)
    assert (options["pages"]["default"], options["pages"]["help"]) == (3, "How many to read")
    said = dango("sync", env={"ROWS": "9", "FAULT": "8"})
    assert said.code == 1
    assert "RuntimeError: refused ***" in said.err
    said = dango("sync", env={"ROWS": "9"})
    assert said.code == 0, said.err
    assert "9 rows" not in said.err
    assert rows("select count(*), max(id) from raw_shop.orders") == [(9, 9)]
    (root / ".dlt/secrets.toml").write_text("")
    said = dango("sync")
    assert said.code == 1
    assert "'token' is a required property" in said.err

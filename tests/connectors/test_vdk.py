"""VDK's data sources, unmodified, in an environment of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said

pytestmark = pytest.mark.slow

SHOP = '''\
"""A data source of one's own, whose streams go on from their states."""
import os

from vdk.plugin.data_sources.config import config_class, config_field
from vdk.plugin.data_sources.data_source import (
    DataSourcePayload, IDataSource, IDataSourceConfiguration, IDataSourceStream,
)
from vdk.plugin.data_sources.factory import data_source


@config_class(name="shop", description="A shop")
class Configuration(IDataSourceConfiguration):
    last: int = config_field(description="The number of the last row", default=4)
    token: str = config_field(description="Of the shop", default="", is_sensitive=True)


class Rows(IDataSourceStream):
    def __init__(self, name, begin, last):
        self._name, self._begin, self._last = name, begin, last

    def name(self):
        return self._name

    def read(self):
        for n in range(self._begin + 1, self._last + 1):
            yield DataSourcePayload(data={"id": n}, metadata={"read": "now"}, state={"at": n})
            if os.environ.get("FAULT") == f"{self._name} {n}":
                raise RuntimeError("locked")


@data_source(name="shop", config_class=Configuration)
class Shop(IDataSource):
    def configure(self, config):
        self._last = int(os.environ.get("ROWS", config.last))

    def connect(self, state):
        self._streams = [Rows(name, state.read_stream(name).get("at", 0), self._last) for name in ("orders", "people")]

    def streams(self):
        return self._streams

    def disconnect(self):
        open("disconnected", "a").write("once ")
'''
TAP = """\
#!/bin/sh
case "$*" in
*--discover*) echo '{"streams": [{"tap_stream_id": "a", "stream": "a", "schema": {"type": "object"}}]}' ;;
*) echo refused >&2; exit 3 ;;
esac
"""
SOURCES = """\
version: 1
defaults:
  environment:
    requirements: [vdk-data-sources, vdk-singer, "setuptools<80"]
    build_constraints: ["setuptools<80"]
sources:
  - name: auto
    type: vdk
    vdk: {connector: auto-generated-data, config: {num_records: 3, num_streams: 2}}
  - {name: shop, type: vdk, on_error: skip, vdk: {connector: custom_sources.shop.Shop}}
  - {name: apart, type: vdk, vdk: {connector: custom_sources.shop.Shop, metadata: table, streams: [orders]}}
  - {name: typo, type: vdk, vdk: {connector: auto-generated}}
  - {name: option, type: vdk, vdk: {connector: auto-generated-data, config: {nm_records: 3}}}
  - {name: tap, type: vdk, vdk: {connector: singer-tap, config: {tap_name: ROOT/tap, tap_config: {}}}}
"""


def test_data_sources_are_read_stream_by_stream_and_go_on_from_their_states(
    dango: Callable[..., Said],
    rows: Callable[[str], list[Any]],
    root: Path,
    write: Callable[[Mapping[str, str]], None],
) -> None:
    write({"sources": SOURCES.replace("ROOT", str(root)), "custom_sources/shop.py": SHOP, "tap": TAP})
    (root / "tap").chmod(0o700)
    said = dango("sync", timeout=600)
    assert said.code == 3, said.err
    assert rows("select count(*), max(id) from raw_auto.stream_1") == [(3, 3)]
    assert rows("select count(*), min(vdk_metadata__read) from raw_shop.orders") == [(4, "now")]
    assert rows(
        "select count(*), min(read) from raw_apart.orders join raw_apart.orders_metadata using (vdk_payload)"
    ) == [(4, "now")]
    assert "VDK has no data source `auto-generated` here; it has auto-generated-data" in said.err
    assert "`auto-generated-data` has no option `nm_records`; it has num_records" in said.err
    # VDK itself takes a tap that crashes for one that has come to its end.
    assert "ended with exit code 3" in said.err
    assert (root / "disconnected").read_text() == "once once "

    assert dango("sync", "auto").code == 0
    assert rows("select count(*), max(id) from raw_auto.stream_1") == [(6, 6)]
    # One stream fails: it keeps what it had confirmed, and the other is whole.
    said = dango("sync", "shop", env={"ROWS": "9", "FAULT": "people 7"})
    assert said.code == 3, said.err
    assert rows("select count(*) from raw_shop.orders") == [(9,)]
    said = dango("sync", "shop", env={"ROWS": "9"})
    assert said.code == 0, said.err
    for table in ("orders", "people"):
        assert rows(f"select count(*), count(distinct id), max(id) from raw_shop.{table}") == [(9, 9, 9)]
    said = dango("source", "test", "shop")
    assert (said.code, "its own check: well" in said.out) == (0, True), said.err
    said = dango("source", "test", "option")
    assert (said.code, "has no option `nm_records`" in said.out + said.err) == (1, True)
    told = {each["name"]: each for each in dango("source", "describe", "shop", "--json").json["options"]}
    assert (told["last"]["kind"], told["token"]["secret"]) == ("integer", True)

"""`dango source list|show|enable|disable|remove`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Said

TEXT = """\
# yaml-language-server: $schema=sources.schema.json
version: 1
sources:
  # The shop's orders.
  - name: orders      # since 2023
    type: dlt_native
    description: "orders: all"
    dlt_native:
      source_module: shop
      source_function: rows
      function_kwargs: {api_token: s3cr3t-value, url: "https://me:hunter22@x.example/", key: env:SHOP_KEY}
  - name: pages
    enabled: false   # too slow
    type: dlt_native
    dlt_native: {source_module: shop, source_function: rows, dataset_name: web}
# The end.
"""


@pytest.fixture(autouse=True)
def _project(write: Callable[..., None]) -> None:
    write({"sources": TEXT})


def text(root: Path) -> str:
    return (root / ".dango" / "sources.yml").read_text()


def test_list_shows_every_source(dango: Callable[..., Said]) -> None:
    said = dango("source", "list")
    assert (said.code, said.err) == (0, "")
    header, orders, pages = said.out.splitlines()
    assert header.split() == ["name", "type", "enabled", "destination", "dataset", "description"]
    assert orders.split() == ["orders", "dlt_native", "yes", "duckdb", "raw_orders", "orders:", "all"]
    assert pages.split() == ["pages", "dlt_native", "no", "duckdb", "web"]
    listed = dango("source", "list", "--json").json["sources"]
    assert [(s["name"], s["enabled"], s["dataset"], s["place"]) for s in listed] == [
        ("orders", True, "raw_orders", ".dango/sources.yml:5:5"),
        ("pages", False, "web", ".dango/sources.yml:12:5"),
    ]


def test_list_of_none_says_what_to_do(write: Callable[..., None], dango: Callable[..., Said]) -> None:
    write({"sources": "version: 1\nsources: []\n"})
    said = dango("source", "list")
    assert (said.code, said.out) == (0, "no source yet: dango source add\n")
    assert dango("source", "list", "--json").json == {"sources": []}


def test_show_masks_what_is_secret(dango: Callable[..., Said]) -> None:
    for said in (dango("source", "show", "orders"), dango("source", "show", "orders", "--json")):
        assert said.code == 0
        assert "s3cr3t-value" not in said.out + said.err
        assert "hunter22" not in said.out + said.err
        assert "env:SHOP_KEY" in said.out
        assert ".dango/sources.yml:5:5" in said.out
    assert said.json["dlt_native"]["function_kwargs"]["api_token"] == "***"


@pytest.mark.parametrize("command", ["show", "enable", "disable", "remove"])
def test_an_unknown_source_changes_nothing(root: Path, dango: Callable[..., Said], command: str) -> None:
    said = dango("source", command, "order")
    assert (said.code, said.out) == (2, "")
    assert said.told == (
        "error: no source `order` in this project (did you mean `orders`?)\n  hint: sources: orders, pages\n"
    )
    assert text(root) == TEXT


def test_disable_and_enable_change_one_line_each(root: Path, dango: Callable[..., Said]) -> None:
    said = dango("source", "disable", "orders")
    assert (said.code, said.out, said.err) == (0, "`orders` is disabled\n", "")
    off = TEXT.replace(
        "    type: dlt_native\n    description", "    type: dlt_native\n    enabled: false\n    description"
    )
    assert text(root) == off
    assert dango("source", "disable", "orders").out == "`orders` is disabled already\n"
    assert dango("source", "enable", "orders").out == "`orders` is enabled\n"
    assert text(root) == off.replace("enabled: false\n    description", "enabled: true\n    description")
    assert dango("source", "enable", "pages").out == "`pages` is enabled\n"
    assert "    enabled: true   # too slow\n" in text(root)


def test_a_source_that_its_defaults_disable_can_be_enabled(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": TEXT.replace("version: 1\n", "version: 1\ndefaults: {enabled: false}\n")})
    assert dango("source", "enable", "orders").out == "`orders` is enabled\n"
    assert [s["enabled"] for s in dango("source", "list", "--json").json["sources"]] == [True, False]


def test_remove_keeps_comments_data_and_state_and_says_so(root: Path, dango: Callable[..., Said]) -> None:
    state = root / ".dango" / "pipelines" / "orders--duckdb--raw_orders" / "state.json"
    state.parent.mkdir(parents=True)
    state.write_text("{}")
    said = dango("source", "remove", "orders")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "`orders` is no longer in sources.yml; the dataset raw_orders in duckdb and the sync state in .dango/ stay\n"
    )
    start, end = TEXT.index("  - name: orders"), TEXT.index("  - name: pages")
    assert text(root) == TEXT[:start] + TEXT[end:]
    assert state.exists()
    assert dango("source", "remove", "pages", "--yes").code == 0
    assert text(root) == (
        "# yaml-language-server: $schema=sources.schema.json\nversion: 1\nsources: []\n"
        "  # The shop's orders.\n# The end.\n"
    )
    assert dango("source", "list").code == 0


def test_a_broken_file_is_not_edited(root: Path, write: Callable[..., None], dango: Callable[..., Said]) -> None:
    broken = TEXT.replace("version: 1", "version: 1\nnope: 1")
    write({"sources": broken})
    for command in ("enable", "disable", "remove", "show"):
        said = dango("source", command, "orders")
        assert said.code == 2
        assert said.err.startswith("error: .dango/sources.yml:3:1: unknown key `nope`\n")
    assert text(root) == broken

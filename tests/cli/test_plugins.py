"""A source that an installed package brings, as a type of its own: added, checked, explained, loaded, ejected."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources
from tests.test_startup import ENGINE, imported

Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]

ENTRY_POINTS = """\
[dango.sources]
acme = acme_p.sources:orders
acme_late = acme_p.late:orders
acme_gone = acme_p.gone:orders
acme_lacks = acme_p.sources:order
acme_limit = acme_p.sources:LIMIT
files = acme_p.sources:orders
"""
SOURCES = """\
import dlt
from dlt.sources.credentials import ConnectionStringCredentials

LIMIT = 3


def orders(region: str, key: str = dlt.secrets.value, pages: int = 1, crm: ConnectionStringCredentials = None):
    \"\"\"Orders of a shop.

    Args:
        region: Where the shop is.
    \"\"\"
    yield [{"id": number, "region": region, "key": len(key)} for number in range(pages)]
"""
LATE = "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ImportError('no rate') from error\n"
GONE = "the source `acme_gone` of package acme-sources is broken: its module `acme_p.gone` is not installed"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages, with one whose sources are whole and broken."""
    folder = tmp_path / "site"
    for file, text in {
        "acme_sources-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: acme-sources\nVersion: 1.0\n",
        "acme_sources-1.0.dist-info/entry_points.txt": ENTRY_POINTS,
        "acme_p/__init__.py": "",
        "acme_p/sources.py": SOURCES,
        "acme_p/late.py": LATE,
    }.items():
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(text)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(Path(__file__).parents[2]), str(folder))))
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_it_is_added_checked_explained_and_loaded_as_any_other_type(
    root: Path, write: Write, dango: Dango, site: Path, rows: Callable[[str], list[Any]]
) -> None:
    write({"sources": sources(), "custom_sources/acme_p/sources.py": "raise SystemExit('not this one')\n"})
    missing = dango("source", "add", "acme", "--yes")
    assert missing.code == 2
    assert "`region`: Region (Where the shop is.)" in missing.err
    added = dango("source", "add", "acme", "--set", "region=eu", "--secret", "key=env:ACME_KEY", "--yes")
    assert (added.code, added.err) == (0, "")
    written = (root / ".dango" / "sources.yml").read_text()
    assert written == sources() + ("  - name: acme\n    type: acme\n    acme: {region: eu, key: env:ACME_KEY}\n"), (
        written
    )
    assert dango("source", "edit", "acme", "--set", "pages=2", "--yes").code == 0
    checked = dango("check", env={"ACME_KEY": "hush"})
    assert (checked.code, checked.out, checked.err) == (0, "1 of 1 sources are well\n", f"warning: {GONE}\n")
    explained = {
        each["name"]: each for each in dango("explain", "acme", "--json", env={"ACME_KEY": "h"}).json["parameters"]
    }
    assert (explained["region"]["place"], explained["key"]["secret"]) == (".dango/sources.yml:5:12", True)
    assert dango("sync", env={"ACME_KEY": "hush"}).code == 0
    assert rows("SELECT id, region, key FROM raw_acme.orders ORDER BY id") == [(0, "eu", 4), (1, "eu", 4)]


def test_its_secrets_are_looked_for_under_the_sources_name_and_its_arguments_are_found_at_their_place(
    write: Write, dango: Dango, site: Path, rows: Callable[[str], list[Any]]
) -> None:
    items = (
        "  - {name: one, type: acme, acme: {region: eu}}\n"
        "  - {name: two, type: acme, acme: {regio: eu}}\n"
        "  - {name: three, type: acme}\n"
        "  - {name: four, type: acme, acme: {region: eu, key: hush}}\n"
        "  - {name: five, type: acme, acme: {region: eu}, dlt_native: {source_module: a, source_function: b}}\n"
    )
    write({"sources": sources(items)})
    assert "error: .dango/sources.yml:7:" in (misplaced := dango("check")).err
    assert "that of `type: acme` is `acme:`" in misplaced.err
    write({"sources": sources(*items.splitlines(True)[:4]), ".dlt/secrets.toml": "[sources.one]\nkey = 'hushed'\n"})
    assert dango("sync", "one").code == 0
    assert rows("SELECT key FROM raw_one.orders") == [(6,)]
    found = dango("check", "two", "four")
    assert ".dango/sources.yml:4:36: `orders` has no parameter `regio` (did you mean `region`?)" in found.err
    assert "warning: .dango/sources.yml:6:49: `key` is a secret, and sources.yml is in git" in found.err
    missing = dango("sync", "three")
    assert "no value for `region`" in missing.err
    assert "add to acme in sources.yml, or to .dlt/secrets.toml:\n        [sources.three]" in missing.err


def test_a_broken_one_harms_its_own_sources_and_is_told_down_to_the_root(
    write: Write, dango: Dango, site: Path
) -> None:
    kinds = ("acme_late", "acme_gone", "acme_lacks", "acme_limit")
    items = [f"  - {{name: {kind}, type: {kind}}}\n" for kind in kinds]
    write({"sources": sources(native("good"), *items), "custom_sources/shop.py": "def rows():\n    yield {'id': 1}\n"})
    found = dango("check", "--json").json["problems"]
    told = {(each["line"], each["column"]): each for each in found if each["severity"] == "error"}
    why = "ImportError: no rate <- ZeroDivisionError: division by zero"
    assert list(told) == [(4, 23), (5, 23), (6, 24), (7, 24)]
    assert [each["message"].rpartition(" is broken: ")[2] for each in told.values()] == [
        f"importing `acme_p.late` failed: {why} ({site}/acme_p/late.py:2)",
        "importing `acme_p.gone` failed: ModuleNotFoundError: No module named 'acme_p.gone'",
        "`acme_p.sources` has no `order` (did you mean `orders`?)",
        "`acme_p.sources:LIMIT` is of type int, and no function, source or resource",
    ]
    assert {each["docs"].rpartition("#")[2] for each in told.values()} == {"broken-plugin"}
    assert [each["message"] for each in found if each["severity"] == "warning"] == [GONE]
    synced = dango("sync")
    assert synced.code == 3
    assert "good: ok" in synced.err
    write({"sources": sources("  - {name: one, type: acme_gon}\n")})
    unknown = dango("status")
    assert ".dango/sources.yml:3:17: unknown type `acme_gon` (did you mean `acme_gone`?)" in unknown.err
    assert f"hint: {GONE}\n" in unknown.err
    assert "did you mean `acme_gone`?" in dango("source", "add", "acme_gon", "--yes").err


def test_list_shows_them_and_no_command_that_only_reads_imports_them(
    root: Path, write: Write, dango: Dango, site: Path
) -> None:
    (site / "acme_p" / "sources.py").write_text("raise SystemExit('imported')\n")
    write({"sources": sources("  - {name: one, type: acme, acme: {region: eu}}\n")})
    listed = dango("registry", "list", "acme")
    assert listed.err == f"warning: {GONE}\n"
    assert [" ".join(line.split()) for line in listed.out.splitlines() if line] == [
        "name is a names from",
        "acme source acme_p.sources:orders package acme-sources",
        "acme_gone source broken package acme-sources",
        "acme_lacks source acme_p.sources:order package acme-sources",
        "acme_late source acme_p.late:orders package acme-sources",
        "acme_limit source acme_p.sources:LIMIT package acme-sources",
    ]
    assert "hides the one of: package acme-sources" in dango("registry", "list", "files").out
    brought = {each["name"]: each for each in dango("registry", "list", "acme_g", "--json").json["plugins"]}
    assert brought == {
        "acme_gone": {
            "group": "dango.sources", "name": "acme_gone", "value": "acme_p.gone:orders", "shadows": [],
            "origin": "package acme-sources", "problem": "its module `acme_p.gone` is not installed",
        },
    }  # fmt: skip
    shown = dango("registry", "show", "acme")
    assert "`acme` is no registry entry, but the source `acme` of package acme-sources" in shown.err
    for command in (["status"], ["source", "list"], ["source", "show", "one"], ["registry", "list"]):
        assert imported(root, *command) & {*ENGINE, "acme_p"} == set()


def test_it_can_be_ejected_and_become_an_entry(root: Path, write: Write, dango: Dango, site: Path) -> None:
    write({"sources": sources("  - name: one\n    type: acme\n    acme: {region: eu, key: env:KEY}\n")})
    assert dango("registry", "new", "--from-source", "one", "--id", "own").code == 0
    shown = dango("registry", "show", "own", "--json").json
    assert shown["build"]["function"] == "acme_p.sources:orders"
    assert [field["name"] for field in shown["fields"]][:3] == ["region", "key", "pages"]
    assert dango("source", "eject", "one", "--yes").code == 0
    assert dango("source", "show", "one", "--json").json["dlt_native"] == {
        "source_module": "acme_p.sources", "source_function": "orders",
        "function_kwargs": {"region": "eu", "key": "env:KEY"},
    }  # fmt: skip
    assert dango("check", env={"KEY": "hush"}).out == "1 of 1 sources are well\n"

"""`docs/TROUBLESHOOTING.md` has a section for each kind of error, and its examples are what is really said."""

from __future__ import annotations

import importlib
import os
import pkgutil
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import dango
from dango.errors import DOCS, DangoError, PluginNotFound, QueryError, StateCorrupt, WorkerLost, page_of
from dango.history import History
from dango.lock import lock
from dango.registry.entries import Registry
from dango.workers import executors
from tests.conftest import Said
from tests.connectors.vendor import Answer, Asked, vendor

PAGE = Path(__file__).parent.parent / DOCS
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.M | re.S))
# What a run may end with and is no exception of ours: `RunError` has these as its kind.
OTHERS = {"Crashed", "ErrorOfASource", "Failed", "Interrupted", "Timeout"}


def errors() -> list[type[DangoError]]:
    """All kinds of errors of dango's, wherever they are defined."""
    for module in pkgutil.walk_packages(dango.__path__, "dango."):
        if module.name != "dango.__main__":
            importlib.import_module(module.name)
    found: list[type[DangoError]] = [DangoError]
    for error in found:
        found += error.__subclasses__()
    # Tests have some of their own.
    return [error for error in found[1:] if error.__module__.startswith("dango.")]


def title(kind: str) -> str:
    """`MissingSecret` as the heading of its section."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", kind).capitalize()


def examples(section: str) -> list[str]:
    return re.findall(r"^```text\n(.*?)^```$", section, re.M | re.S)


def test_every_kind_of_error_has_a_section_and_no_section_is_of_none() -> None:
    assert {title(kind) for kind in {*(error.__name__ for error in errors()), *OTHERS}} == set(SECTIONS)


def test_sections_are_in_the_order_of_the_alphabet() -> None:
    assert list(SECTIONS) == sorted(SECTIONS)


@pytest.mark.parametrize("heading", SECTIONS)
def test_a_section_has_an_example_and_says_why_and_what_to_do(heading: str) -> None:
    assert examples(SECTIONS[heading]) or heading == "Interrupted"
    for part in ("**Why.**", "**What to do.**"):
        assert part in SECTIONS[heading]


@pytest.mark.parametrize("error", errors(), ids=lambda error: error.__name__)
def test_a_section_says_the_exit_code(error: type[DangoError]) -> None:
    assert f"*Exit {error.exit_code}" in SECTIONS[title(error.__name__)] or error is QueryError


def test_the_address_of_a_section_is_that_of_its_heading() -> None:
    assert page_of("MissingSecret") == f"{DOCS}#missing-secret"
    assert page_of("ErrorOfASource") == f"{DOCS}#{title('ErrorOfASource').lower().replace(' ', '-')}"


def test_an_error_leads_to_its_section(dango: Callable[..., Said]) -> None:
    assert dango("status", "--json").json["docs"] == f"{DOCS}#project-not-found"
    assert dango("status").err.endswith("  more: dango docs project-not-found\n")
    assert (
        dango("docs", "project-not-found").out.strip()
        == f"## Project not found\n{SECTIONS['Project not found']}".strip()
    )


def test_a_kind_of_error_is_pointed_to_once(root: Path, write: Callable[..., None], dango: Callable[..., Said]) -> None:
    blocks = (
        f"  - {{name: s{n}, type: dlt_native, dlt_native: {{source_module: nix, source_function: f}}}}\n"
        for n in range(2)
    )
    write(
        {"sources": f"sources:\n{''.join(blocks)}  - {{name: third, type: files, files: {{location: 'no/*.csv'}}}}\n"}
    )
    checked = dango("check", "s0", "s1")
    assert (checked.err.count("error: "), checked.err.count("more: dango docs no-such-module\n")) == (2, 1)
    found = dango("check", "s0", "s1", "--json").json["problems"]
    assert [problem["docs"] for problem in found] == [f"{DOCS}#no-such-module"] * 2
    synced = dango("sync", "s0", "s1", "third").err
    assert synced.count("more: dango docs no-such-module\n") == synced.count("more: dango docs source-error\n") == 1


def test_so_does_what_is_asked_before_anything_is_loaded(
    write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    block = "{name: shop, type: dlt_native, dlt_native: {source_module: shop, source_function: rows}}"
    write({"sources": f"sources:\n  - {block}\n"})
    write({"custom_sources/shop.py": "def rows():\n    raise KeyError('price')\n    yield\n"})
    for command in (("source", "test", "shop"), ("preview", "shop")):
        assert dango(*command).err.count("more: dango docs error-of-a-source\n") == 1, command


def test_every_page_and_every_kind_of_error_can_be_read_and_completed(dango: Callable[..., Said]) -> None:
    listed = dango("docs").out.splitlines()
    pages = {page.stem.lower() for page in PAGE.parent.glob("*.md")}
    kinds = {heading.lower().replace(" ", "-") for heading in SECTIONS}
    assert {*pages, *kinds, *Registry().ids} == {*listed} - {"pages", "kinds of errors", "sources", ""}
    assert (
        dango("docs", "RELIABILITY").out.strip() == (PAGE.parent / "RELIABILITY.md").read_text(encoding="utf-8").strip()
    )
    told = dango("docs", "--json").json
    assert told == {"pages": sorted(pages), "kinds_of_errors": sorted(kinds), "sources": [*Registry().ids]}
    assert dango("docs", "held", "--json").json["markdown"].startswith("## Held\n")
    misspelt = dango("docs", "helt")
    assert (misspelt.code, misspelt.out) == (2, "") and "did you mean `held`?" in misspelt.err


SHOP = """
import os

import dlt
import dango

LIMIT = 3
AGAIN = "AGAIN" in os.environ


@dlt.resource(primary_key="id", write_disposition="merge")
def orders(pages: int = 1, token: str = "none"):
    yield {"id": 1}


@dlt.resource
def private(token: str = dlt.secrets.value):
    yield {"id": 1}


def records():
    for n in range(10):
        yield {"id": n} if n else dango.Failed({"id": n}, ValueError("no price"))


def none_good():
    yield dango.Failed({"id": 1}, ValueError("no price"))


@dlt.resource(write_disposition="replace")
def stock():
    if not AGAIN:
        yield {"id": 1}


def grows():
    yield {"id": 1, **({"colour": "red"} if AGAIN else {})}


def wrong():
    raise KeyError("price")


def stops():
    os.abort()


def overtaken():
    import duckdb

    if AGAIN:
        # As another machine would.
        with duckdb.connect("data/warehouse.duckdb") as other:
            loads = "raw_overtaken._dlt_loads"
            other.sql(f"INSERT INTO {loads} SELECT '9999999999.5', * EXCLUDE load_id FROM {loads}")
    yield {"id": 1}


def slow():
    import time

    yield {"id": 1}
    time.sleep(60)


def taxed(batch: "pa.Table"):
    return batch.append_column("tax", batch["total"])


def huge():
    yield {"text": "x" * 10**17}
"""
OAUTH = (
    "auth: oauth2_refresh, token_url: VENDOR/token, client_id: me, client_secret: a-key-of-mine,"
    " refresh_token: a-key-of-mine"
)
SOURCES = f"""
version: 1
sources:
  - {{name: orders, type: dlt_native, dlt_native: {{source_module: shop, source_function: orders}}}}
  - {{name: no_module, type: dlt_native, dlt_native: {{source_module: shopp, source_function: orders}}}}
  - {{name: broken, type: dlt_native, dlt_native: {{source_module: divides, source_function: orders}}}}
  - {{name: needs, type: dlt_native, dlt_native: {{source_module: needs, source_function: orders}}}}
  - {{name: no_function, type: dlt_native, dlt_native: {{source_module: shop, source_function: order}}}}
  - {{name: limit, type: dlt_native, dlt_native: {{source_module: shop, source_function: LIMIT}}}}
  - name: argument
    type: dlt_native
    dlt_native: {{source_module: shop, source_function: orders, function_kwargs: {{page: 3}}}}
  - name: unset
    type: dlt_native
    dlt_native: {{source_module: shop, source_function: orders, function_kwargs: {{token: env:SHOP_TOKEN}}}}
  - {{name: some, type: dlt_native, resources: [order], dlt_native: {{source_module: shop, source_function: orders}}}}
  - {{name: private, type: dlt_native, dlt_native: {{source_module: shop, source_function: private}}}}
  - name: records
    type: dlt_native
    max_errors: 0
    dlt_native: {{source_module: shop, source_function: records}}
  - {{name: none_good, type: dlt_native, dlt_native: {{source_module: shop, source_function: none_good}}}}
  - {{name: stock, type: dlt_native, dlt_native: {{source_module: shop, source_function: stock}}}}
  - name: grows
    type: dlt_native
    schema_contract: {{columns: freeze}}
    dlt_native: {{source_module: shop, source_function: grows}}
  - {{name: wrong, type: dlt_native, dlt_native: {{source_module: shop, source_function: wrong}}}}
  - {{name: stops, type: dlt_native, dlt_native: {{source_module: shop, source_function: stops}}}}
  - {{name: overtaken, type: dlt_native, dlt_native: {{source_module: shop, source_function: overtaken}}}}
  - {{name: slow, type: dlt_native, dlt_native: {{source_module: shop, source_function: slow}}}}
  - {{name: lines, type: files, files: {{location: "samples/*.jsonl"}}}}
  - {{name: missing, type: files, files: {{location: "nowhere/*.csv"}}}}
  - name: api
    type: rest_api
    rest_api:
      base_url: "http://127.0.0.1:1"
      endpoints: [{{name: lines, endpoint: {{path: lines, paginator: pages}}}}]
  - name: graph
    type: graphql
    graphql:
      url: VENDOR
      query: "query ($after: String) {{shops(after: $after) {{id}}}}"
      data_selector: data.shops
      cursor_path: data.next
  - {{name: tickets, type: singer, singer: {{tap: python taps/tickets.py}}}}
  - name: apart
    type: dlt_native
    environment: {{requirements: [./nowhere]}}
    dlt_native: {{source_module: shop, source_function: orders}}
  - {{name: leads, type: rest_api, rest_api: {{base_url: VENDOR, path: leads, paginator: header_link}}}}
  - {{name: books, type: rest_api, rest_api: {{base_url: VENDOR, path: books, {OAUTH}}}}}
  - {{name: rates, type: acme}}
  - name: taxed
    type: dlt_native
    dlt_native: {{source_module: shop, source_function: orders}}
    processors:
      - shop:taxed
  - {{name: huge, type: dlt_native, dlt_native: {{source_module: shop, source_function: huge}}}}
"""


def vendors_answer(asked: Asked) -> Any:
    """A vendor that answers queries with errors and status 200, and gives no tokens."""
    if asked.path == "/leads":
        return Answer([{"id": 1}], headers={"Link": '<http://localhost:1/more>; rel="next"'})
    if asked.path == "/token":
        return Answer({"error": "invalid_grant", "error_description": "was used before"}, status=400)
    return {"errors": [{"message": "Cannot query field 'shops'"}]}


@pytest.fixture
def acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installed package whose source is broken."""
    site = tmp_path / "site"
    info = site / "acme_sources-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-sources\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[dango.sources]\nacme = acme_p:rates\n")
    (site / "acme_p.py").write_text(
        "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ImportError('no rate') from e\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(PAGE.parents[1]), str(site))))
    return site


@pytest.fixture
def said(root: Path, write: Callable[..., None], dango: Callable[..., Said], acme: Path) -> str:
    """What is said on stderr in a project in which everything goes wrong once, as it would be in /home/me/shop."""
    told = [dango("status").err, dango("docs", "mising-secret").err]
    assert dango("init", ".", "--yes", "--no-example").code == 0
    write({"sources": "sources:\n  - {name: orders, type: dlt_native, dlt_nativ: {source_module: shop}}\n"})
    told.append(dango("sync").err)
    lines = '{"id": 1}\n{"id": \n'
    write({"custom_sources/shop.py": SHOP, "custom_sources/divides.py": "RATE = 1 / 0\n"})
    write({"custom_sources/needs.py": "import pandaz\n", "samples/orders.jsonl": lines})
    write({"taps/tickets.py": "import sys\n\nsys.exit('401: the token has expired')\n"})

    def run(line: str, **env: str) -> None:
        told.append(dango(*line.split(), env={**env, "CI": env.get("CI", "")}).err)

    no_network = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "url.http://127.0.0.1:1/.insteadOf"}
    with vendor(vendors_answer) as server:
        write({"sources": SOURCES.replace("VENDOR", server.url)})
        run("check")
        for line in (
            "query SELECT",
            "sync private limit some api wrong stops huge records lines missing tickets apart taxed",
        ):
            run(line)
        for line in ("sync unset", "sync order", "sync orders --limit 0", "sync orders --destination lak"):
            run(line)
        run("sync orders --on auto", RAY_ADDRESS="127.0.0.1:1")
        run("registry show githb")
        run("sync stock grows overtaken")
        run("sync stock grows overtaken", AGAIN="yes")
        run("query SELEC")
        run("source fetch zendesk", **no_network, GIT_CONFIG_VALUE_0="https://github.com/")
        run("source test none_good")
        run("preview slow --limit 2", DANGO_TEST_SECONDS="1")
        run("sync graph leads books", DANGO_TOKENS=str(root / "tokens"))
        run("sync books", CI="true")
        write({".dlt/secrets.toml": "[sources.private]\ntoken = 'env:SHOP_TOKEN'\n"})
        run("sync private")
        with lock(History(root / ".dango").lock_file("orders"), "source `orders`"):
            run("sync orders")
    (root / "data" / "warehouse.duckdb").write_text("no database\n" * 1000)
    run("sync orders")
    with pytest.raises(PluginNotFound) as missing:
        executors.named("lokal")
    told.append(f"error: {missing.value}\n  hint: {missing.value.hint}\n")
    corrupt = StateCorrupt("orders", root / ".dango/pipelines/orders", ValueError("Expecting value"))
    lost = WorkerLost("orders", "its machine was lost 3 times, at last by NodeDiedError")
    told.append(f"error: {lost}\n  hint: {lost.hint}\n")
    all_told = "\n".join([*told, f"error: {corrupt}\n  hint: {corrupt.hint}\n"])
    return same(all_told.replace(str(root), "/home/me/shop").replace(str(acme), "/home/me/site"))


def same(text: str) -> str:
    """The text with what differs from run to run as it is on the page."""
    for changing, fixed in (
        (r"\d{8}-\d{6}-[0-9a-f]{4}", "20260102-030405-0a1b"),
        (r"process \d+ since [^\s]+", "process 4711 since 2026-01-02T03:04:05+00:00"),
        (re.escape(sys.executable), "python"),
        (
            r"(unable to access) .*",
            r"\1 'https://github.com/dlt-hub/verified-sources/': Could not resolve host: github.com",
        ),
        (r"http://127.0.0.1:\d+", "https://api.example.com"),
        (r"(http://)?localhost:1", lambda found: f"{'https://' if found[1] else ''}files.example.com"),
    ):
        text = re.sub(changing, fixed, text)
    return text


@pytest.mark.slow
def test_the_examples_are_what_is_said(said: str) -> None:
    wrong = [text for section in SECTIONS.values() for text in examples(section) if text not in said]
    assert not wrong, f"{wrong}\nare not in:\n{said}"

"""A source leaves the registry and loads what it loaded; a `dlt_native` source becomes an entry."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from dango.project import Project
from dango.python_text import literal, rest_file
from dango.registry.template import pruned
from tests.conftest import Said, native, one_of
from tests.connectors.vendor import Answer, Asked, Vendor, vendor

Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]
Rows = Callable[[str], list[Any]]

ACME = """\
registry: 1
id: acme
title: Acme
category: commerce
summary: Orders of a shop
fields:
  - {name: shop, required: true, pattern: '[a-z]+'}
  - {name: token, kind: secret, required: true}
  - {name: spare, kind: secret}
  - {name: since, kind: datetime, default: '2024-01-01T00:00:00Z'}
  - {name: note, help: never given}
  - {name: base_url, kind: url, required: true}
build:
  kind: rest_api
  config:
    client:
      base_url: ${base_url}
      auth: {type: bearer, token: "${secrets.token}"}
      paginator: single_page
    resources:
      - name: orders
        primary_key: id
        write_disposition: merge
        endpoint:
          path: ${shop}/orders
          data_selector: rows
          params: {since: "{incremental.start_value}", spare: "${secrets.spare}", note: "a ${note}", kind: "{{all}}"}
          incremental: {cursor_path: updated, initial_value: "${since|epoch}"}
      - name: lines
        endpoint: {path: "${shop}/orders/{resources.orders.id}/lines", data_selector: "$"}
select: {default: [orders]}
"""

SOURCES = """\
# what the shop sells
version: 1
sources:
  - name: shop   # the first one
    type: acme
    description: "quoted: as it was"
    acme: {shop: north, base_url: URL}   # its fields
  # the last word
"""


def answer(asked: Asked) -> Any:
    """Two orders in the first load; one changed and one new in the next, which asks from the newest on."""
    if asked.headers.get("Authorization") != "Bearer hush-hush-token":
        return Answer({"error": "who are you?"}, 401)
    if asked.path.endswith("/lines"):
        return [{"sku": "a"}]
    first = [{"id": 1, "updated": 1704067300}, {"id": 2, "updated": 1704067400}]
    later = [{"id": 2, "updated": 1704067500}, {"id": 3, "updated": 1704067600}]
    return {"rows": first if int(asked.query["since"]) == 1704067200 else later}


def acme(write: Write, shop: Vendor) -> None:
    write({
        "registry/acme.yml": ACME,
        "sources": SOURCES.replace("URL", shop.url),
        ".dlt/secrets.toml": '# kept\n[sources.shop]\ntoken = "hush-hush-token"\n',
    })  # fmt: skip


def test_an_ejected_source_goes_on_where_the_entry_stopped(write: Write, dango: Dango, rows: Rows, root: Path) -> None:
    with vendor(answer) as shop:
        acme(write, shop)
        assert dango("sync").code == 0
        ejected = dango("source", "eject", "shop")
        assert ejected.code == 0, ejected.err
        assert dango("check").code == 0
        again = dango("sync")
    assert again.code == 0, again.err
    assert rows("select id, updated from raw_shop.orders order by id") == [
        (1, 1704067300), (2, 1704067500), (3, 1704067600),
    ]  # fmt: skip
    first, second = shop.to("/north/orders")
    assert first.query == {"since": "1704067200", "kind": "{all}"}
    assert second.query == {"since": "1704067400", "kind": "{all}"}


def test_the_file_says_what_the_entry_said_and_no_secret(write: Write, dango: Dango, root: Path) -> None:
    with vendor(answer) as shop:
        acme(write, shop)
        assert dango("source", "eject", "shop").code == 0
    text = (root / "custom_sources" / "shop.py").read_text()
    assert (
        text
        == '''\
"""Acme, as the registry entry `acme` had it: a source of your own from here on."""

from typing import Any

import dlt
from dlt.sources import DltSource
from dlt.sources.rest_api import rest_api_source

from dango.conversions import convert


def shop(
    shop: str,
    base_url: str,
    token: str = dlt.secrets.value,
    since: str = "2024-01-01T00:00:00Z",
) -> DltSource:
    """Orders of a shop."""
    config: dict[str, Any] = {
        "client": {
            "base_url": base_url,
            "auth": {"type": "bearer", "token": token},
            "paginator": "single_page",
        },
        "resources": [
            {
                "name": "orders",
                "primary_key": "id",
                "write_disposition": "merge",
                "endpoint": {
                    "path": f"{shop}/orders",
                    "data_selector": "rows",
                    "params": {"since": "{incremental.start_value}", "kind": "{{all}}"},
                    "incremental": {
                        "cursor_path": "updated",
                        "initial_value": convert(since, "epoch"),
                    },
                },
            },
            {
                "name": "lines",
                "endpoint": {
                    "path": f"{shop}/orders/{{resources.orders.id}}/lines",
                    "data_selector": "$",
                },
            },
        ],
    }
    return rest_api_source(config, name="shop", section="shop")
'''
    )
    sources = (root / ".dango" / "sources.yml").read_text()
    assert (
        sources
        == f"""\
# what the shop sells
version: 1
sources:
  - name: shop   # the first one
    type: dlt_native
    description: "quoted: as it was"
    resources: [orders]
    dlt_native:
      source_module: shop
      source_function: shop
      function_kwargs: {{shop: north, base_url: "{shop.url}"}}
  # the last word
""".replace(f'"{shop.url}"', shop.url)
    )
    assert (root / ".dlt" / "secrets.toml").read_text() == '# kept\n[sources.shop]\ntoken = "hush-hush-token"\n'


def test_a_database_source_becomes_the_call_that_it_was(write: Write, dango: Dango, rows: Rows, root: Path) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.execute("create table orders (id integer primary key, total real)")
        database.execute("insert into orders values (1, 2.5)")
    source = "{name: shop, type: sqlite, resources: [orders], sqlite: {path: shop.db}}"
    write({"sources": f"version: 1\nsources:\n  - {source}\n"})
    assert dango("sync").code == 0
    assert dango("source", "eject", "shop").code == 0
    block = YAML(typ="safe").load((root / ".dango" / "sources.yml").read_text())["sources"][0]
    assert block["dlt_native"] == {
        "source_module": "dango.connectors.sql",
        "source_function": "tables",
        "function_kwargs": {"credentials": {"drivername": "sqlite", "database": "shop.db"}, "table_names": ["orders"]},
    }
    assert dango("sync").code == 0
    assert rows("select count(*) from raw_shop.orders") == [(1,)]


CALLED = """\
registry: 1
id: called
title: Called
category: generic
fields:
  - {name: host, required: true}
  - {name: password, kind: secret, required: true}
  - {name: day, kind: date, default: 2024-01-31}
  - {name: other}
build:
  kind: function
  function: crm:rows
  args:
    credentials: {drivername: crm, host: "${host}", username: me, password: "${secrets.password}"}
    day: ${day}
    other: ${other}
"""

CRM = """\
from dlt.sources.credentials import ConnectionStringCredentials
import dlt


def rows(credentials: ConnectionStringCredentials = dlt.secrets.value, day: str = "", other: str = "none"):
    yield {"host": credentials.host, "password": credentials.password, "day": day, "other": other}
"""


@pytest.mark.parametrize("stored", ["secrets.toml", "environment"])
def test_a_secret_of_a_call_is_found_afterwards(
    write: Write, dango: Dango, rows: Rows, root: Path, stored: str
) -> None:
    reference = ", password: env:CRM_PASSWORD" if stored == "environment" else ""
    write({
        "registry/called.yml": CALLED,
        "custom_sources/crm.py": CRM,
        "sources": f"version: 1\nsources:\n  - {{name: crm, type: called, called: {{host: here{reference}}}}}\n",
        ".dlt/secrets.toml": "" if reference else '[sources.crm]\npassword = "hush-hush-1"\n',
    })  # fmt: skip
    environment = {"CRM_PASSWORD": "hush-hush-1"}
    assert dango("sync", env=environment).code == 0
    ejected = dango("source", "eject", "crm", "--json", env=environment)
    assert ejected.code == 0, ejected.err
    assert ejected.json["secrets"] == ([] if reference else ["credentials.password"])
    assert "hush-hush" not in ejected.out + (root / ".dango" / "sources.yml").read_text()
    assert "called" not in (root / ".dango" / "sources.yml").read_text()
    assert dango("sync", env=environment).code == 0
    expected = ("here", "hush-hush-1", "2024-01-31", "none")
    assert rows("select host, password, day, other from raw_crm.rows") == [expected, expected]


def test_nothing_is_written_through_a_link_that_leads_out_of_the_project(
    write: Write, dango: Dango, root: Path, tmp_path: Path
) -> None:
    with vendor(answer) as shop:
        acme(write, shop)
    (tmp_path / "elsewhere").mkdir()
    (root / "custom_sources").symlink_to(tmp_path / "elsewhere")
    before = (root / ".dango" / "sources.yml").read_bytes()
    said = dango("source", "eject", "shop")
    assert said.code == 2
    assert f"leads out of the project, to {tmp_path / 'elsewhere'}" in said.err
    assert [*(tmp_path / "elsewhere").iterdir()] == []
    assert (root / ".dango" / "sources.yml").read_bytes() == before


def test_nothing_is_written_where_a_file_is_in_the_way(write: Write, dango: Dango, root: Path) -> None:
    with vendor(answer) as shop:
        acme(write, shop)
    write({"custom_sources/shop.py": "mine = 1\n"})
    before = (root / ".dango" / "sources.yml").read_bytes()
    said = dango("source", "eject", "shop")
    assert said.code == 2
    assert "custom_sources/shop.py is there already" in said.err
    assert (root / ".dango" / "sources.yml").read_bytes() == before
    assert (root / "custom_sources" / "shop.py").read_text() == "mine = 1\n"


def test_a_dlt_native_source_has_nothing_to_eject(write: Write, dango: Dango) -> None:
    write({
        "custom_sources/crm.py": CRM,
        "sources": f"version: 1\nsources:\n{native('crm', module='crm')}",
    })  # fmt: skip
    said = dango("source", "eject", "crm")
    assert (said.code, said.out) == (2, "")
    assert "`crm` is dlt_native already" in said.err


@pytest.mark.parametrize("name", one_of("github", "stripe", "hubspot", "asana", "pagerduty", "intercom"))
def test_every_shipped_declarative_entry_is_python_that_builds(write: Write, dango: Dango, name: str) -> None:
    entry = Project(Path()).registry.entry(name)
    sample = {spec.name: entry.verify.sample.get(spec.name, spec.example) for spec in entry.fields if spec.required}
    plain = {key: value for key, value in sample.items() if value is not None and not entry.field(key).secret}  # type: ignore[union-attr]
    secrets = "".join(f'{spec.name} = "hush-hush-token"\n' for spec in entry.secrets)
    write({
        "sources": f"version: 1\nsources:\n  - {{name: it, type: {name}, {name}: {plain}}}\n",
        ".dlt/secrets.toml": f"[sources.it]\n{secrets}",
    })  # fmt: skip
    ejected = dango("source", "eject", "it")
    assert ejected.code == 0, ejected.err
    checked = dango("check")
    assert checked.code == 0, checked.err


SHOP = '''\
import dlt


@dlt.source
def orders(api_key: str = dlt.secrets.value, region: str = "eu", pages: int = 2, **more):
    """Orders of a shop.

    Args:
        api_key: from Settings.
        pages: how many at most.
    """
    assert api_key == "hush-hush-1"
    return dlt.resource([{"id": page, "region": region, "more": str(more)} for page in range(pages)], name="order")
'''


def test_a_native_source_becomes_an_entry_that_loads_the_same(
    write: Write, dango: Dango, rows: Rows, root: Path
) -> None:
    write({
        "custom_sources/shop.py": SHOP,
        "sources": "version: 1\nsources:\n  - name: orders\n    type: dlt_native\n    resources: [order]\n"
        "    dlt_native:\n      source_module: shop\n      source_function: orders\n"
        "      function_kwargs: {pages: 3, api_key: env:KEY, size: 7}\n",
    })  # fmt: skip
    made = dango("registry", "new", "--from-source", "orders", "--id", "shop_orders", "--json")
    assert made.code == 0, made.err
    written = YAML(typ="safe").load((root / "registry" / "shop_orders.yml").read_text())
    assert written["fields"] == [
        {"name": "api_key", "kind": "secret", "help": "from Settings.", "required": True},
        {"name": "region", "default": "eu"},
        {"name": "pages", "kind": "int", "help": "how many at most.", "default": 2, "example": 3},
    ]
    assert written["build"] == {
        "kind": "function",
        "function": "shop:orders",
        "args": {"api_key": "${secrets.api_key}", "region": "${region}", "pages": "${pages}", "size": 7},
    }
    assert written["select"] == {"default": ["order"]}
    said = " ".join(problem["message"] for problem in made.json["problems"])
    assert "how to get the credentials" in said
    added = dango("source", "add", "shop_orders", "--name", "again", "--set", "pages=1", "--secret", "api_key=env:KEY")
    assert added.code == 0, added.err
    assert dango("sync", "again", env={"KEY": "hush-hush-1"}).code == 0
    assert rows("select id, region, more from raw_again.order") == [(0, "eu", "{'size': 7}")]


def test_an_entry_that_is_there_stays(write: Write, dango: Dango, root: Path) -> None:
    write({
        "custom_sources/shop.py": SHOP,
        "registry/orders.yml": "mine: 1\n",
        "sources": f"version: 1\nsources:\n{native('orders', 'orders')}",
    })  # fmt: skip
    said = dango("registry", "new", "--from-source", "orders")
    assert said.code == 2
    assert "registry/orders.yml is there already" in said.err
    assert (root / "registry" / "orders.yml").read_text() == "mine: 1\n"
    assert dango("registry", "new", "--from-source", "orders", "--id", "No").code == 2


def test_a_text_is_python_whatever_stands_in_it() -> None:
    scope = {"x": "a{b}", "convert": lambda value, name: f"{name}:{value}"}
    for text, value in {
        'plain "quotes" \\ {braces}\n': 'plain "quotes" \\ {braces}\n',
        "${x}": "a{b}",
        "${x}/{y}": "a{b}/{y}",
        "${x|epoch}": "epoch:a{b}",
        'say "${x|epoch}" {{z}}': 'say "epoch:a{b}" {{z}}',
        "ü ${secrets.x}\\": "ü a{b}\\",
    }.items():
        assert eval(literal(text, 0), dict(scope)) == value, text


def test_data_is_python_again_at_any_width() -> None:
    value = {"a": [1, 2.5, None, True, {"b": "c" * 60}], "d" * 50: {"e": []}, "f": datetime(2024, 1, 1).isoformat()}
    for indent in (0, 40, 90):
        assert eval(literal(value, indent)) == value


def test_pruning_and_filling_drop_the_same() -> None:
    template = {"auth": {"a": "${x}", "b": "${y}"}, "k": ["${x}", "${y}"], "t": "${x} ${y}", "u": "${x}"}
    assert pruned(template, {"x"}) == {"k": ["${x}"], "u": "${x}"}


def test_a_function_without_secrets_needs_no_dlt() -> None:
    entry = Project(Path()).registry.entry("github")
    text = rest_file(entry, "it", {"client": {"base_url": "https://a.example"}, "resources": []}, [])
    compile(text, "it.py", "exec")
    assert "import dlt\n" not in text


def test_what_is_loaded_whole_by_the_entry_alone_is_not_ejected_into_something_else(
    write: Write, dango: Dango, root: Path
) -> None:
    with sqlite3.connect(root / "shop.db") as database:
        database.execute("create table orders (id integer primary key)")
    write({"sources": "version: 1\nsources:\n  - {name: shop, type: sqlite, sqlite: {path: shop.db}}\n"})
    said = dango("source", "eject", "shop")
    assert said.code == 2
    assert "`shop` loads all that is there" in said.err
    assert "dango source edit shop" in said.err

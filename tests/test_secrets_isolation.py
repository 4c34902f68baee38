"""Each source finds its own secrets, wherever and whenever it asks, and never another's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources

Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]
Rows = Callable[[str], list[Any]]

SHOP = """
import threading
from concurrent.futures import ThreadPoolExecutor

import dlt


@dlt.resource(parallelized=True, name="side")
def side(key: str = dlt.secrets.value):
    def page(number):
        return {"key": key, "thread": threading.current_thread() is not threading.main_thread(), "n": number}
    for number in range(3):
        yield lambda number=number: page(number)


@dlt.resource
def lazy(key: str = dlt.secrets.value, depth: str = dlt.config.value):
    yield {"key": key, "depth": depth, "asked": dlt.secrets["sources.shop.key"]}

    def ask(_):
        @dlt.resource
        def inner(key: str = dlt.secrets.value):
            yield key
        return [*inner(), dlt.secrets["sources.shop.key"], dlt.secrets.get("sources.eu.key"),
                str(dlt.secrets.get("sources.eu")), str(dlt.secrets.get("sources.us")), str(dlt.secrets.get("sources"))]

    with ThreadPoolExecutor(4) as pool:
        for first, second, other, *whole in pool.map(ask, range(8)):
            yield {"key": first, "asked": second, "other": other, "depth": " ".join(whole)}


@dlt.source
def crm(key: str = dlt.secrets.value):
    return dlt.resource([{"key": key}], name="eager"), lazy, side


def plain(key: str = dlt.secrets.value, region=dlt.config.value):
    yield {"key": key, "region": region}
    yield {"key": dlt.secrets["sources.shop.key"], "region": region}


def required(key: dlt.TSecretStrValue, size: int):
    return [{"key": key, "region": f"{size + 1}"}]
"""


def test_two_sources_of_one_module_never_see_each_others_secrets(write: Write, dango: Dango, rows: Rows) -> None:
    # One of them is named like the module itself: `[sources.shop]` is then its own section, and no one else's.
    names = {"eu": "crm", "us": "crm", "shop": "plain", "eu_plain": "plain", "need": "required"}
    write({
        "custom_sources/shop.py": SHOP,
        "sources": sources(*[native(name, function) for name, function in names.items()]),
        ".dlt/secrets.toml": "".join(f'[sources.{name}]\nkey = "key-of-{name}"\n' for name in names if name != "need"),
        ".dlt/config.toml": (
            "".join(f'[sources.{name}]\ndepth = "{name}"\nregion = "{name}"\n' for name in names)
            + "[sources.need]\nsize = 7\n".replace("[sources.need]\n", "")
        ),
    })  # fmt: skip
    said = dango("sync", env={"SOURCES__NEED__KEY": "key-of-need"})
    assert said.code == 0, said.err
    for name in ("eu", "us"):
        assert rows(f"select distinct key from raw_{name}.eager") == [(f"key-of-{name}",)]
        assert rows(f"select count(*), min(key), max(key), bool_or(thread) from raw_{name}.side") == [
            (3, f"key-of-{name}", f"key-of-{name}", True)
        ]
        found = rows(f"select key, asked, depth, other from raw_{name}.lazy")
        assert len(found) == 9
        assert {(key, asked) for key, asked, _, _ in found} == {(f"key-of-{name}", f"key-of-{name}")}
        text = " ".join(str(value) for row in found for value in row)
        assert {other for other in names if f"key-of-{other}" in text} == {name}
    assert rows("select distinct key, region from raw_shop.plain") == [("key-of-shop", "shop")]
    assert rows("select distinct key, region from raw_eu_plain.plain") == [("key-of-eu_plain", "eu_plain")]
    assert rows("select key, region from raw_need.required") == [("key-of-need", "8")]


PLACES = """
import dlt
from dlt.sources.credentials import ConnectionStringCredentials


@dlt.resource
def rows(
    a: str = dlt.secrets.value, b: str = dlt.secrets.value, c: str = dlt.secrets.value, d: str = dlt.secrets.value,
    e: str = dlt.secrets.value, f: str = dlt.secrets.value, g: str = dlt.secrets.value, h: str = dlt.config.value,
    i: int = dlt.config.value,
):
    yield {"all": " ".join([a, b, c, d, e, f, g, h, str(i)])}


@dlt.resource
def database(credentials: ConnectionStringCredentials = dlt.secrets.value):
    yield {"all": credentials.to_native_representation()}


def plain_database(credentials: ConnectionStringCredentials = dlt.secrets.value):
    yield {"all": credentials.to_native_representation()}


def given(credentials: ConnectionStringCredentials):
    yield {"all": str(credentials)}
"""


@pytest.mark.slow
def test_the_places_of_a_value_are_asked_in_order(write: Write, dango: Dango, rows: Rows) -> None:
    # Each key stands in its own place and in all that come after it.
    layers = {
        "sources.eu.rows": "c", "sources.eu": "cd", "sources.eu.credentials": "cde", "sources.places.rows": "abcdef",
        "sources.places": "abcdefg",
    }  # fmt: skip
    secrets = "".join(
        f"[{section}]\n" + "".join(f'{key} = "{key}-{section}"\n' for key in keys) for section, keys in layers.items()
    )
    connection = 'drivername = "postgresql"\nhost = "h"\ndatabase = "d"\nusername = "u"\npassword = "{}"\n'
    write({
        "custom_sources/places.py": PLACES,
        "sources": sources(
            native("eu", module="places"),
            native("us", "database", "places"),
            native("uk", "plain_database", "places"),
            native("de", "database", "places"),
            native("given", "given", "places", function_kwargs={"credentials": "env:DB_URL"}),
        ),
        ".dlt/secrets.toml": (
            f"{secrets}[sources.us.credentials]\n{connection.format('of-us')}"
            f"[sources.uk.credentials]\n{connection.format('of-uk')}"
            f"[sources.places.database.credentials]\n{connection.format('of-module')}"
        ),
        ".dlt/config.toml": '[sources.eu]\nh = "h-own"\n[sources.places]\nh = "h-module"\n',
        ".env": "SOURCES__EU__I=7\nSOURCES__EU__B=from-dotenv\n",
    })  # fmt: skip
    env = {
        "SOURCES__EU__A": "a-env", "SOURCES__PLACES__A": "no", "SOURCES__EU__CREDENTIALS__B": "b-env",
        "SOURCES__EU__CREDENTIALS__A": "no", "DB_URL": "postgresql://u:of-env@h/d",
    }  # fmt: skip
    said = dango("sync", env=env)
    assert said.code == 0, said.err
    assert rows('select "all" from raw_eu.rows')[0][0].split() == [
        "a-env", "from-dotenv", "c-sources.eu.rows", "d-sources.eu", "e-sources.eu.credentials",
        "f-sources.places.rows", "g-sources.places", "h-own", "7",
    ]  # fmt: skip
    assert rows('select "all" from raw_us.database') == [("postgresql://u:of-us@h/d",)]
    assert rows('select "all" from raw_uk.plain_database') == [("postgresql://u:of-uk@h/d",)]
    # Nothing under its own name: dlt's own layout is next.
    assert rows('select "all" from raw_de.database') == [("postgresql://u:of-module@h/d",)]
    assert rows('select "all" from raw_given.given') == [("postgresql://u:of-env@h/d",)]


FAULTS = """
import dlt
from dlt.sources.credentials import ConnectionStringCredentials

@dlt.resource
def decorated(key: str = dlt.secrets.value, other: str = dlt.secrets.value):
    yield {}

def plain(key: str = dlt.secrets.value):
    yield {}

def required(key: dlt.TSecretStrValue):
    yield {}

def database(credentials: ConnectionStringCredentials = dlt.secrets.value):
    yield {}
"""


@pytest.mark.slow
def test_a_secret_that_is_missing_or_stands_in_the_wrong_file_says_what_to_do(write: Write, dango: Dango) -> None:
    names = ["decorated", "plain", "required", "database", "in_git", "in_git_required", "one", "faults"]
    functions = {"in_git": "plain", "in_git_required": "required", "one": "plain", "faults": "plain"}
    write({
        "custom_sources/faults.py": FAULTS,
        "sources": sources(*[native(name, functions.get(name, name), "faults") for name in names]),
        # `faults` is the module's name and another source's: for `one` it does not exist.
        ".dlt/secrets.toml": '[sources.faults]\nkey = "hush-hush"\n',
        ".dlt/config.toml": '[sources.in_git]\nkey = "hush-git"\n[sources.in_git_required]\nkey = "hush-git"\n',
    })  # fmt: skip
    said = dango("sync", "--json")
    assert said.code == 3
    assert "hush" not in said.out + said.err
    results = {result["source"]: result for result in said.json["results"]}
    assert results.pop("faults")["status"] == "ok"
    assert {result["error"]["exit_code"] for result in results.values()} == {2}
    for name, keys in {"decorated": ["key", "other"], "plain": ["key"], "required": ["key"], "one": ["key"]}.items():
        error = results[name]["error"]
        assert error["kind"] == "MissingSecret"
        assert error["message"].startswith(f"no value for {', '.join(f'`{key}`' for key in keys)}")
        lines = "\n".join(f'{key} = "…"' for key in keys)
        assert f".dlt/secrets.toml:\n[sources.{name}]\n{lines}" in error["hint"]
    assert "or set the environment variable SOURCES__PLAIN__KEY" in results["plain"]["error"]["hint"]
    assert '[sources.database.credentials]\ndrivername = "…"\n' in results["database"]["error"]["hint"]
    for name in ("in_git", "in_git_required"):
        error = results[name]["error"]
        assert error["message"] == f"a secret stands in config.toml, which is in git: sources.{name}.key"
        assert error["hint"] == "move it to .dlt/secrets.toml, under the same section"


@pytest.mark.slow
def test_a_literal_for_a_secret_parameter_is_a_warning_and_masked_everywhere(write: Write, dango: Dango) -> None:
    text = (
        "import dlt\nfrom dlt.sources.credentials import ConnectionStringCredentials\n"
        "def rows(pin: dlt.TSecretStrValue, size: int = 1, code: str = dlt.secrets.value):\n"
        "    yield 1\n    raise ValueError(f'refused {pin} {code}')\n"
        "def database(credentials: ConnectionStringCredentials = dlt.secrets.value):\n    yield {}\n"
    )
    kwargs = {"pin": "hush-hush-1", "size": 3, "code": "hush-hush-2"}
    connection = {"drivername": "postgresql", "host": "h", "database": "d", "username": "u", "password": "hush-hush-3"}
    write({
        "custom_sources/shop.py": text,
        "sources": sources(
            native("eu", function_kwargs=kwargs),
            native("us", function_kwargs={"pin": "env:PIN", "code": "env:CODE"}),
            native("db", "database", function_kwargs={"credentials": connection}),
        ),
        ".env": "PIN=hush-hush-4\nCODE=hush-hush-5\n",
    })  # fmt: skip
    checked = dango("check", "--json")
    assert checked.code == 0
    found = [(p["severity"], p["message"], p["line"], p["hint"]) for p in checked.json["problems"]]
    hint = "move it to .dlt/secrets.toml under [sources.{}], or write env:NAME"
    assert found == [
        ("warning", "`pin` is a secret, and sources.yml is in git", 3, hint.format("eu")),
        ("warning", "`code` is a secret, and sources.yml is in git", 3, hint.format("eu")),
        ("warning", "`credentials` is a secret, and sources.yml is in git", 5, hint.format("db")),
    ]
    synced = dango("sync", "eu", "us", "--json")
    assert synced.code == 1
    for result in synced.json["results"]:
        assert result["error"]["message"] == "ValueError: refused *** ***"
    told = [checked, synced, dango("--debug", "sync", "us"), dango("history"), dango("explain", "eu")]
    told += [dango("explain", "db"), dango("explain", "us", "--json"), dango("source", "show", "db")]
    assert "hush" not in "".join(said.out + said.err for said in told)


ENTRY = """\
registry: 1
id: store
title: Store
category: generic
fields:
  - {name: word, kind: secret}
  - {name: letter, kind: secret_file}
  - {name: end}
build:
  kind: function
  function: "store:rows"
  args: {word: "${secrets.word}", letter: "${secrets.letter}", end: "${end}"}
"""

STORE = """
def rows(word=None, letter=None, end=None):
    print("asked with", word, repr(letter))
    yield {"id": 1}
    if end:
        raise ValueError(f"refused: {word} {letter} {end}")
"""


@pytest.mark.slow
def test_what_an_entry_calls_secret_is_nowhere_to_be_seen_whatever_its_name(
    write: Write, dango: Dango, root: Path
) -> None:
    write({
        "registry/store.yml": ENTRY,
        "custom_sources/store.py": STORE,
        "sources": "sources:\n  - {name: one, type: store, store: {word: hush-hush-1, end: early}}\n"
        "  - {name: two, type: store, store: {word: env:STORE_SIGN}}\n",
        ".dlt/secrets.toml": '[sources.two]\nletter = """-----BEGIN-----\nhush-hush-2\nhush-hush-3\n-----END-----"""\n',
    })  # fmt: skip
    sign = {"STORE_SIGN": "hush-hush-4"}
    commands = [
        ["-v", "sync"], ["--debug", "sync", "one"], ["history"], ["history", "--json"], ["check"], ["explain", "one"],
        ["explain", "two", "--json"], ["source", "show", "one"], ["source", "show", "two", "--json"],
    ]  # fmt: skip
    said = [dango(*command, env=sign) for command in commands]
    assert [each.code for each in said] == [3, 1, 0, 0, 0, 0, 0, 0, 0]
    assert "asked with *** " in said[0].err
    assert "ValueError: refused: *** None early" in said[0].err
    assert ".dango/sources.yml:2:38: `word` is a secret, and sources.yml is in git" in said[4].err
    assert "hush" not in "".join(each.out + each.err for each in said)
    # Besides sources.yml, which is in git, and what is kept of its meaning.
    kept = [f for f in (root / ".dango").rglob("*") if f.is_file() and f.name != "sources.yml"]
    kept = [file for file in kept if file.parent.name != "cache"]
    assert kept
    assert [str(file) for file in kept if b"hush" in file.read_bytes()] == []


# It asks nobody, and its function says nothing of secrets: only who knows the project knows what to hide.
PEEPING = """
import os
import sys
from pathlib import Path


def rows():
    seen = [Path(".dlt/secrets.toml").read_text(), os.environ["WAREHOUSE_PASSWORD"], "us-spelled-out"]
    print(*seen, file=sys.stderr)
    raise LookupError(" ".join(seen))
"""


def test_what_a_source_says_of_anothers_secrets_is_hidden_in_its_own_process(
    root: Path, write: Write, dango: Dango
) -> None:
    written = native("shop") + native("us", function_kwargs={"token": "us-spelled-out"})
    secrets = ("key-of-another", "hunter2-hunter2", "us-spelled-out")
    write({
        "sources": sources(written),
        "custom_sources/shop.py": PEEPING,
        ".dlt/secrets.toml": f'[sources.eu]\nkey = "{secrets[0]}"\n',
        ".env": f"WAREHOUSE_PASSWORD={secrets[1]}\n",
    })  # fmt: skip
    said = dango("--debug", "-v", "sync", "shop")
    assert said.code == 1 and said.err.count("***") >= 2 * len(secrets), said.err
    kept = b"".join(path.read_bytes() for path in (root / ".dango").rglob("*") if path.is_file())
    for secret in secrets:
        assert secret not in said.out + said.err + dango("history", "--json").out
    # The last of them stands in `sources.yml`, which is there.
    assert not any(secret.encode() in kept for secret in secrets[:2])

"""Connectors of other frameworks in the wizard: the connector itself says what is to be asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_wizard_terminal import CLEAR, DOWN, EMPTY, ENTER, Terminal, files
from tests.cli.test_wizard_terminal import terminal as _terminal
from tests.conftest import Said
from tests.test_environments import package

terminal = _terminal

# Its settings are as a tap of Meltano's SDK tells them; one record says what it was told.
TAP = """\
import argparse, json, sys

parser = argparse.ArgumentParser()
for option in ("--config", "--catalog", "--state", "--format"):
    parser.add_argument(option)
for option in ("--about", "--discover"):
    parser.add_argument(option, action="store_true")


def main():
    asked = parser.parse_args()
    if asked.about:
        if "silent" in sys.argv[0]:
            sys.exit("unrecognized arguments: --about")
        print(json.dumps({"settings": SETTINGS}))
        return
    config = json.load(open(asked.config))
    schema = {"type": "object", "properties": {"id": {"type": "integer"}, "told": {"type": "string"}}}
    if asked.discover:
        if "token" not in config:
            sys.exit("'token' is a required property")
        stream = {"tap_stream_id": "orders", "stream": "orders", "schema": schema, "key_properties": ["id"]}
        print(json.dumps({"streams": [stream]}))
        return
    print(json.dumps({"type": "SCHEMA", "stream": "orders", "schema": schema, "key_properties": ["id"]}))
    told = json.dumps({**config, "token": len(config["token"])}, sort_keys=True)
    print(json.dumps({"type": "RECORD", "stream": "orders", "record": {"id": 1, "told": told}}))


SETTINGS = {
    "type": "object",
    "required": ["token", "region", "pages"],
    "properties": {
        "token": {"type": "string", "secret": True, "description": "Of the shop"},
        "region": {"type": "string", "enum": ["eu", "us"], "description": "Where the shop is"},
        "pages": {"type": "integer", "default": 3},
        "live": {"type": ["boolean", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "proxy": {"type": "object", "properties": {
            "host": {"type": "string"}, "password": {"type": "string", "secret": True},
        }},
        "login": {"oneOf": [
            {"properties": {"by": {"const": "key"}, "key": {"type": "string", "secret": True}}, "required": ["key"]},
            {"properties": {"by": {"const": "name"}, "user": {"type": "string"}}},
        ]},
    },
}
if __name__ == "__main__":
    main()
"""
SHOP = """
  - name: shop
    type: singer
    singer:
      tap: python taps/tap.py
      config:
        region: us
        pages: 3
        tags: [a, b]
        of_its_own: 1
"""
OPTIONS = ("--set", "tap=python taps/tap.py", "--set", "config.region=us", "--yes")


def piped(root: Path, secret: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`dango source add …`, with a secret on its stdin."""
    command = [sys.executable, "-m", "dango", "source", "add", *arguments]
    return subprocess.run(command, cwd=root, input=secret, capture_output=True, text=True, timeout=120)


@pytest.fixture(autouse=True)
def _shop(write: Callable[[Mapping[str, str]], None]) -> None:
    write({
        "sources": EMPTY, ".dlt/secrets.toml": "# mine\n", "taps/tap.py": TAP, "taps/silent.py": TAP,
        "tap/entry_points.txt": "[console_scripts]\ntap-shop = tap_shop:main\n",
        **package("tap", "tap_shop", "1.0", TAP),
    })  # fmt: skip


@pytest.mark.slow
def test_a_person_is_asked_setting_by_setting_as_the_connector_says(
    root: Path, terminal: Callable[..., Terminal], rows: Callable[[str], list[Any]]
) -> None:
    it = terminal("source", "add", "singer")
    it.answer(
        ("Name of the source", CLEAR + "shop" + ENTER),
        ("Program", "tap-shop" + ENTER),
        ("Packages that bring it", "--index-url=x" + ENTER),
        ("cannot be that", CLEAR + "./tap" + ENTER),
        ("building an environment: ./tap", ""),
        ("token", ENTER),
        ("token is needed", "Q7secretQ7" + ENTER),
        ("Where the shop is", DOWN + ENTER),
        ("pages", CLEAR + "many" + ENTER),
        ("pages is a whole number", CLEAR + "3" + ENTER),
        ("proxy.password", ENTER),
        ("Set any of 5 more?", DOWN + " " + DOWN * 2 + " " + ENTER),
        ("tags", "a, b" + ENTER),
        ("login.by", DOWN * 2 + ENTER),
        ("Test it now?", "y"),
        ("orders: a row", ""),
        ("and in .dlt/secrets.toml: secrets.token", ""),
        ("Write this?", ENTER),
        ("Load it now?", "y"),
        ("raw_shop.orders", ""),
    )
    assert it.ends() == 0
    sources, secrets = files(root)
    assert sources == (
        "version: 1\nsources:\n  - name: shop\n    type: singer\n    environment:\n      requirements: [./tap]\n"
        "    singer:\n      tap: tap-shop\n      config:\n        region: us\n        pages: 3\n        tags: [a, b]\n"
        "        login: {by: name}\n"
    )
    assert secrets == '# mine\n\n[sources.shop.secrets]\ntoken = "Q7secretQ7"\n'
    assert "Q7secretQ7" not in it.shown
    told = '{"login": {"by": "name"}, "pages": 3, "region": "us", "tags": ["a", "b"], "token": 10}'
    assert rows("select told from raw_shop.orders") == [(told,)]


@pytest.mark.slow
def test_of_a_connector_that_tells_nothing_the_settings_are_typed_and_the_secret_ones_unseen(
    root: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("source", "add", "singer")
    it.answer(
        ("Name of the source", CLEAR + "shop" + ENTER),
        ("Program", "python taps/silent.py" + ENTER),
        ("Packages that bring it", ENTER),
        ("unrecognized arguments: --about", ""),
        ("its settings are typed as JSON", ""),
        ("Settings", '{"pages": 5}' + ENTER),
        ("Secret settings", '{"token": "Q7secretQ7"}' + ENTER),
        ("more settings?", "n"),
        ("Test it now?", "y"),
        ("orders: a row", ""),
        ("Write this?", ENTER),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    sources, secrets = files(root)
    assert "config: {pages: 5}" in sources
    assert '[sources.shop.secrets]\ntoken = "Q7secretQ7"\n' in secrets
    assert "Q7secretQ7" not in it.shown


@pytest.mark.slow
def test_a_connector_that_is_not_there_is_told_and_what_names_it_asked_again(
    root: Path, terminal: Callable[..., Terminal]
) -> None:
    it = terminal("source", "add", "singer", "--no-test")
    it.answer(
        ("Name of the source", CLEAR + "shop" + ENTER),
        ("Program", "tap-nowhere" + ENTER),
        ("Packages that bring it", ENTER),
        ("tap-nowhere`", ""),
        ("It cannot be asked what it may be told.", ENTER),
        ("Packages that bring it", "\x1b[Z"),
        ("Program", CLEAR + "python taps/tap.py" + ENTER),
        ("Packages that bring it", ENTER),
        ("token", "env:TOKEN" + ENTER),
        ("region", ENTER),
        ("pages", ENTER),
        ("proxy.password", ENTER),
        ("Set any of", ENTER),
        ("Write this?", ENTER),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    assert files(root)[0].endswith("      config: {token: env:TOKEN, region: eu, pages: 3}\n")


@pytest.mark.slow
def test_a_connector_that_is_changed_is_asked_again_with_what_is_there(
    root: Path, terminal: Callable[..., Terminal], write: Callable[[Mapping[str, str]], None]
) -> None:
    write({
        "sources": EMPTY.replace(" []", SHOP),
        ".dlt/secrets.toml": '[sources.shop.secrets]\ntoken = "Q7secretQ7"\n',
    })  # fmt: skip
    it = terminal("source", "edit", "shop", "--no-test")
    it.answer(
        ("python taps/tap.py", ENTER),
        ("Packages that bring it", ENTER),
        ("token (Enter keeps the present one)", ENTER),
        ("region", ENTER),
        ("pages", CLEAR + "5" + ENTER),
        ("proxy.password", ENTER),
        ("Set any of", ENTER),
        ("a, b", CLEAR + "c" + ENTER),
        ("-        pages: 3", ""),
        ("Write this?", ENTER),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    after = SHOP.replace("pages: 3", "pages: 5").replace("[a, b]", "[c]")
    assert files(root) == (EMPTY.replace(" []", after), '[sources.shop.secrets]\ntoken = "Q7secretQ7"\n')


def test_options_say_single_settings_and_what_the_connector_needs_is_named(
    dango: Callable[..., Said], root: Path
) -> None:
    said = dango("source", "add", "singer", *OPTIONS)
    assert said.code == 2
    assert "`config.token`: token (Of the shop)" in said.err
    said = dango("source", "add", "singer", *OPTIONS, "--set", "config.pages=many", "--set", "config.colour=red")
    assert "`config.pages` is a whole number" in said.err
    assert "`singer` has no field `config.colour`" in said.err
    done = piped(root, "Q7secretQ7", "singer", *OPTIONS, "--secret", "config.token")
    assert done.returncode == 0, done.stderr
    assert "config: {region: us, pages: 3}" in files(root)[0]
    assert '[sources.singer.secrets]\ntoken = "Q7secretQ7"\n' in files(root)[1]
    said = dango("source", "edit", "singer", "--set", "config.login.by=name", "--requirement", "./tap", "--yes")
    assert said.code == 0, said.err
    assert "requirements: [./tap]" in files(root)[0]
    assert "login: {by: name}" in files(root)[0]
    assert files(root)[1].count("token") == 1


def test_secret_settings_do_not_belong_on_a_command_line(dango: Callable[..., Said], root: Path) -> None:
    said = dango("source", "add", "singer", "--set", "tap=tap-x", "--set", 'secrets={"token": "x"}', "--yes")
    assert said.code == 2
    assert "`secrets` is a secret, which does not belong on a command line" in said.err
    done = piped(root, '{"token": "x"}', "singer", "--set", "tap=tap-x", "--secret", "secrets", "--yes")
    assert done.returncode == 0, done.stderr
    assert files(root)[1] == '# mine\n\n[sources.singer.secrets]\ntoken = "x"\n'
    said = dango("source", "add", "singer", "--set", "tap=tap-x", "--requirement", "--index-url=x", "--yes")
    assert said.code == 2
    assert "--requirement cannot be that: `--index-url=x` is an option of a tool" in said.err


@pytest.mark.slow
def test_streams_are_offered_as_a_list_once_the_connector_can_say_them(
    root: Path, terminal: Callable[..., Terminal], write: Callable[[Mapping[str, str]], None]
) -> None:
    three = 'print(json.dumps({"streams": [{**stream, "stream": n, "tap_stream_id": n} for n in ("a", "b", "c")]}))'
    write({"taps/tap.py": TAP.replace('print(json.dumps({"streams": [stream]}))', three)})
    settings = (
        ("Program", "python taps/tap.py" + ENTER),
        ("Packages that bring it", ENTER),
        ("token", "Q7secretQ7" + ENTER),
        ("region", ENTER),
        ("pages", ENTER),
        ("proxy.password", ENTER),
        ("Set any of", ENTER),
        ("asking the connector for its streams", ""),
    )
    it = terminal("source", "add", "singer", "--no-test")
    it.answer(
        ("Name of the source", CLEAR + "all" + ENTER),
        *settings,
        ("Which streams?", ENTER),
        ("Write this?", ENTER),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    assert "resources" not in files(root)[0]

    it = terminal("source", "add", "singer", "--no-test")
    it.answer(
        ("Name of the source", CLEAR + "two" + ENTER),
        *settings,
        ("Which streams?", DOWN + " " + ENTER),
        ("Write this?", ENTER),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    assert "resources: [a, c]" in files(root)[0]

    it = terminal("source", "edit", "two", "--no-test")
    it.answer(
        ("Program", ENTER),
        ("Packages that bring it", ENTER),
        ("token", ENTER),
        ("region", ENTER),
        ("pages", ENTER),
        ("proxy.password", ENTER),
        ("Set any of", ENTER),
        ("Which streams?", DOWN + " " + ENTER),
        ("Write this?", ENTER),
        ("Load it now?", "n"),
    )
    assert it.ends() == 0
    assert "resources: [a, b, c]" in files(root)[0]

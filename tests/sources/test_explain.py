"""`dango explain`: where each parameter will come from, and nothing that is secret."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources

Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]

SHOP = """
import pathlib
import dlt
from dlt.sources.credentials import ConnectionStringCredentials

@dlt.source
def crm(
    region: str,
    token: dlt.TSecretStrValue,
    api_key: str = dlt.secrets.value,
    session_key: str = dlt.secrets.value,
    shared: str = dlt.config.value,
    depth: int = dlt.config.value,
    absent: str = dlt.secrets.value,
    credentials: ConnectionStringCredentials = dlt.secrets.value,
    start: str = "2024-01-01",
    secret_word: str = "hush-default",
    pages: int = 3,
    *others, **more,
):
    pathlib.Path("called").touch()
    return []

def nothing():
    yield {}

def well(a: int = 1):
    yield {}
"""

SECRETS = """\
# the secrets of the shop
[sources.eu]
other = "x"
api_key = "hush-hush-1"

[sources.shop]
session_key = "hush-hush-2"

[sources.eu.credentials]
drivername = "postgresql"
host = "a.example"
database = "d"
username = "u"
password = "hush-hush-3"

[sources.us]
absent = "hush-hush-4"
"""


@pytest.mark.slow
def test_each_origin_is_told_with_its_place_and_no_secret(write: Write, dango: Dango, root: Path) -> None:
    kwargs = {"region": "env:SHOP_REGION", "pages": 5}
    write({
        "custom_sources/shop.py": SHOP,
        "sources": sources(
            native("us", "crm"), native("eu", "crm", function_kwargs=kwargs), native("nothing", "nothing"),
            native("well", "well"),
        ),
        ".dlt/secrets.toml": SECRETS,
        ".dlt/config.toml": '[sources.eu]\ndepth = 4\n\n[sources]\nshared = "for all"\n',
        ".env": "SOURCES__EU__TOKEN=hush-hush-5\nSHOP_REGION=north\n",
    })  # fmt: skip
    said = dango("explain", "eu", "--json")
    assert said.code == 2, said.err
    assert said.json["source"] == "eu"
    found = {p["name"]: p for p in said.json["parameters"]}

    def where(name: str) -> tuple[Any, ...]:
        return tuple(found[name][key] for key in ("origin", "place", "value", "secret", "missing"))

    kwargs_line = ".dango/sources.yml:4:"
    assert where("region")[0] == "env:SHOP_REGION"
    assert where("region")[1].startswith(kwargs_line)
    assert where("region")[3:] == (False, False)
    assert where("pages")[0] == "sources.yml"
    assert where("pages")[1].startswith(kwargs_line)
    assert where("pages")[2:] == ("5", False, False)
    assert where("token") == ("environment", "SOURCES__EU__TOKEN", "***", True, False)
    secrets = ".dlt/secrets.toml"
    assert where("api_key") == (secrets, f"{secrets}:4 [sources.eu]", "***", True, False)
    assert where("session_key") == (secrets, f"{secrets}:7 [sources.shop]", "***", True, False)
    assert where("depth") == (".dlt/config.toml", ".dlt/config.toml:2 [sources.eu]", "4", False, False)
    assert where("shared") == (".dlt/config.toml", ".dlt/config.toml:5 [sources]", "'for all'", False, False)
    assert where("absent") == ("missing", "", "", True, True)
    host = (secrets, f"{secrets}:11 [sources.eu.credentials]", "'a.example'", False, False)
    assert where("credentials.host") == host
    assert where("credentials.password") == (secrets, f"{secrets}:14 [sources.eu.credentials]", "***", True, False)
    assert where("start") == ("default", "", "'2024-01-01'", False, False)
    assert where("secret_word")[:3] == ("default", "", "***")
    assert "others" not in found
    assert "more" not in found
    assert [p["name"] for p in said.json["parameters"] if p["missing"]] == ["absent"]

    shown = dango("explain", "eu", env={"SOURCES__EU__ABSENT": "hush-hush-6"})
    assert shown.code == 0
    header, *lines = shown.out.splitlines()
    assert header.split() == ["parameter", "type", "from", "where", "value"]
    assert [line.split()[0] for line in lines][:4] == ["region", "token", "api_key", "session_key"]
    assert "hush" not in shown.out + shown.err + said.out + said.err

    # The other source of the module has another's nothing: neither region nor token is there for it.
    other = {p["name"]: p for p in dango("explain", "us", "--json").json["parameters"]}
    missing = {name for name, p in other.items() if p["missing"]}
    assert missing == {"region", "token", "api_key", "credentials", "depth"}
    assert other["absent"]["place"] == f"{secrets}:17 [sources.us]"

    assert dango("explain", "nothing").out == "`nothing` takes no parameters\n"
    assert dango("explain", "well").code == 0
    # What is explained is not run.
    assert not (root / "called").exists()


def test_what_cannot_be_imported_cannot_be_explained(write: Write, dango: Dango) -> None:
    write({
        "custom_sources/shop.py": "def rows(:\n",
        "custom_sources/ends.py": "import os\nos._exit(0)\n",
        "sources": sources(native("eu"), native("ends", module="ends")),
    })  # fmt: skip
    said = dango("explain", "eu")
    assert said.code == 2
    assert (
        said.told == "error: custom_sources/shop.py:1:10: `custom_sources.shop` is not valid Python: invalid syntax\n"
    )
    said = dango("explain", "ends")
    assert said.code == 2
    assert said.err == "error: importing `ends` ended the process: its process ended with exit code 0\n"
    said = dango("explain", "euu")
    assert said.code == 2
    assert "error: no source `euu` in this project (did you mean `eu`?)" in said.err


ENTRY = """\
registry: 1
id: store
title: Store
category: generic
fields:
  - {name: region, required: true}
  - {name: owner, required: true}
  - {name: mode, kind: enum, options: [fast, slow], default: fast}
  - {name: depth, kind: int, when: {mode: slow}}
  - {name: size, kind: int}
  - {name: since, kind: datetime}
  - {name: token, kind: secret, required: true}
  - {name: second, kind: secret}
  - {name: third, kind: secret}
build: {kind: function, function: "nowhere:rows", args: {region: "${region}", token: "${secrets.token}"}}
"""


def test_each_field_of_an_entry_is_told_with_its_place_and_no_secret(write: Write, dango: Dango) -> None:
    write({
        "registry/store.yml": ENTRY,
        "sources": "sources:\n  - name: eu\n    type: store\n    store:\n      region: env:STORE_REGION\n"
        "      third: hush-hush-1\n  - {name: us, type: store}\n",
        ".dlt/secrets.toml": '[sources.us]\ntoken = "hush-hush-2"\n\n[sources.eu]\nsecond = "hush-hush-3"\n',
        ".dlt/config.toml": "[sources.eu]\nsize = 3\n",
    })  # fmt: skip
    environment = {"STORE_REGION": "north", "SOURCES__EU__SINCE": "2024-01-31"}
    said = dango("explain", "eu", "--json", env=environment)
    assert said.code == 2, said.err
    found = {
        each["name"]: (each["origin"], each["place"], each["value"], each["missing"])
        for each in said.json["parameters"]
    }
    assert found == {
        "region": ("env:STORE_REGION", ".dango/sources.yml:5:7", "'env:STORE_REGION'", False),
        "owner": ("missing", "", "", True),
        "mode": ("default", "", "'fast'", False),
        "size": (".dlt/config.toml", ".dlt/config.toml:2 [sources.eu]", "3", False),
        "since": ("environment", "SOURCES__EU__SINCE", found["since"][2], False),
        "token": ("missing", "", "", True),
        "second": (".dlt/secrets.toml", ".dlt/secrets.toml:5 [sources.eu]", "***", False),
        "third": ("sources.yml", ".dango/sources.yml:6:7", "***", False),
    }
    other = dango("explain", "us")
    assert other.code == 2
    assert "hush" not in said.out + said.err + other.out + other.err


def test_what_is_wrong_with_a_field_is_told_where_it_was_found(write: Write, dango: Dango) -> None:
    write({
        "registry/store.yml": ENTRY,
        "sources": "sources:\n  - {name: eu, type: store, store: {region: x, owner: y}}\n",
        ".dlt/config.toml": '[sources.eu]\nsize = "many"\n',
        ".dlt/secrets.toml": '[sources.eu]\ntoken = "hush-hush-1"\n',
    })  # fmt: skip
    said = dango("explain", "eu")
    assert (said.code, said.out) == (2, "")
    assert said.told == "error: `size` is a whole number (found as sources.eu.size)\n"

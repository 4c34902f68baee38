"""Secrets never leak: one is planted in every place that a secret may come from, and everything fails.

Afterwards nothing of them is to be found in what any command said, in what it wrote into `.dango/`, or in the arguments
of any process that ran meanwhile. LEAKS=7,8 tries other secrets, in all places, by all commands; so does `make leaks`.
"""

from __future__ import annotations

import base64
import json
import os
import random
import re
import string
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, readable_by_others
from tests.connectors.vendor import Answer, Asked, vendor

pytestmark = pytest.mark.slow

# In every place of a secret, every way to fail in which it might be said.
LEAKY = """
import base64, json, logging, os, sys, threading, urllib.parse, warnings

import dlt
import dango
from dlt.sources.helpers import requests
from dlt.sources.helpers.rest_client import RESTClient

PORT = os.environ["VENDOR"]


def _raise(secret):
    raise ValueError(f"refused: {secret}, {secret!r}, {secret.encode()}")


def _encoded(secret):
    quoted = urllib.parse.quote(secret, safe="")
    raise RuntimeError(f"{quoted} {json.dumps(secret)} {base64.b64encode(('user:' + secret).encode()).decode()}")


def _chained(secret):
    try:
        {}[secret]
    except KeyError as error:
        raise OSError(5, secret, secret) from error


def _prints(secret):
    print("out:", secret, flush=True)
    print("err:", secret, file=sys.stderr, flush=True)
    os.write(2, f"raw: {secret}\\n".encode())
    logging.getLogger("dlt").error("logged %s", secret)
    logging.getLogger("mine").critical("logged %s", secret)
    warnings.warn(secret)
    raise ValueError("after saying it")


def _exits(secret):
    sys.exit(f"ends: {secret}")


def _aborts(secret):
    print(f"last words: {secret}", file=sys.stderr, flush=True)
    os.abort()


def _thread(secret):
    thread = threading.Thread(target=_raise, args=(secret,))
    thread.start()
    thread.join()
    raise ValueError("the thread has failed")


def _echoed(secret):
    headers = {"X-Key": base64.b64encode(secret.encode())}
    requests.post(f"{PORT}/echo?key={secret}", headers=headers, json={"key": secret})


def _refused(secret):
    requests.get(f"http://127.0.0.1:1/echo?key={secret}", headers={"Authorization": "Bearer x"})


def _client(secret):
    yield from RESTClient(f"{PORT}/", params_of(secret)).paginate("echo", params={"key": secret}, json={"k": secret})


def params_of(secret):
    return {"X-Key": base64.b64encode(secret.encode()).decode()}


def _database(secret):
    import sqlalchemy

    password = urllib.parse.quote(secret, safe="")
    sqlalchemy.create_engine(f"postgresql+psycopg2://me:{password}@127.0.0.1:1/db").connect()


WAYS = {name[1:]: way for name, way in list(globals().items()) if name.startswith("_") and not name.startswith("__")}


@dlt.resource
def leaky(way: str, token: str = dlt.secrets.value):
    yield {"id": 1}
    failing = WAYS[way](token)
    yield from failing or ()


@dlt.resource
def plain(way: str, token: str):
    # Nothing says that it is a secret, but its name and where it comes from.
    yield {"id": 1}
    failing = WAYS[way](token)
    yield from failing or ()


@dlt.resource
def connected(url: str):
    import sqlalchemy

    yield {"id": 1}
    sqlalchemy.create_engine(url).connect()


@dlt.resource
def records(token: str = dlt.secrets.value):
    for n in range(3):
        yield dango.Failed({"id": n}, ValueError(f"record {n} with {token}"))
    yield {"id": 9}


def at_call(token: str = dlt.secrets.value):
    raise ValueError(f"cannot begin with {token}")
"""
WHOLE = "LEAKS" in os.environ
"""Whether each secret is planted in each place, and each source is asked by each command."""
WAYS = (
    *("raise", "encoded", "chained", "prints", "exits", "aborts", "thread", "echoed", "refused", "client", "database"),
)
PLACES = ("environment", "variable", "dotenv", "toml", "literal", "plain")
COMMANDS = (
    "check --json", "-v --debug --log-format json sync", "sync --dry-run", "history", "history --json",
    "--debug history {run}", "history {run} --json", "status --json", "tables --json", "doctor --json",
)  # fmt: skip
EACH = ("--debug preview {name}", "--debug explain {name} --json", "--debug source test {name}", "source show {name}")


class Planted:
    """A project whose secrets are all known."""

    def __init__(self, root: Path, seed: int, url: str) -> None:
        self._random = random.Random(seed)
        self.secrets: dict[str, str] = {}
        self.environment = {"VENDOR": url, "RUNTIME__REQUEST_MAX_ATTEMPTS": "1"}
        dotenv, toml, blocks = [], [], []
        self.names: list[str] = []
        for nth, way in enumerate(WAYS):
            for place in PLACES if WHOLE else PLACES[nth % 3 :: 3]:
                name = f"{way}_{place}"
                blocks.append(self._block(name, way, place, dotenv, toml))
        for name, block in self._others(toml):
            blocks.append(block)
            self.names.append(name)
        text = f"version: 1\nsources:\n{''.join(blocks)}"
        files = {
            ".dango/sources.yml": text,
            "custom_sources/leaks.py": LEAKY,
            ".env": "".join(dotenv),
            ".dlt/secrets.toml": "\n".join(toml),
        }
        for path, content in files.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content, encoding="utf-8")
            (root / path).chmod(0o600)

    def secret(self, place: str) -> str:
        """A new one, with all that makes trouble in URLs, JSON and regular expressions."""
        letters = "".join(self._random.choices(string.ascii_letters + string.digits, k=14))
        trouble = "".join(self._random.sample("+/&=%?#:;@ $(){}[]*.^|~üß", k=5))
        self.secrets[place] = f"{letters[:7]}{trouble}{letters[7:]}"
        return self.secrets[place]

    def _block(self, name: str, way: str, place: str, dotenv: list[str], toml: list[str]) -> str:
        self.names.append(name)
        secret = self.secret(name)
        arguments = {"way": way}
        if place == "environment":
            self.environment[f"KEY_{name.upper()}"] = secret
            arguments["token"] = f"env:KEY_{name.upper()}"
        elif place == "variable":
            self.environment[f"SOURCES__{name.upper()}__TOKEN"] = secret
        elif place == "dotenv":
            dotenv.append(f"KEY_{name.upper()}='{secret}'\n")
            arguments["token"] = f"env:KEY_{name.upper()}"
        elif place == "toml":
            toml.append(f"[sources.{name}]\ntoken = {json.dumps(secret, ensure_ascii=False)}")
        else:
            arguments["token"] = secret
        function = "plain" if place == "plain" else "leaky"
        return _native(name, function, arguments)

    def _others(self, toml: list[str]) -> Iterator[tuple[str, str]]:
        quoted = urllib.parse.quote(self.secret("url"), safe="")
        yield "url", _native("url", "connected", {"url": f"postgresql+psycopg2://me:{quoted}@127.0.0.1:1/db"})
        for function in ("records", "at_call"):
            toml.append(f"[sources.{function}]\ntoken = {json.dumps(self.secret(function), ensure_ascii=False)}")
            yield function, _native(function, function, {})
        self.environment["API_TOKEN"] = self.secret("rest")
        url = self.environment["VENDOR"]
        for name, auth in (
            ("rest_bearer", "auth: bearer, token: 'env:API_TOKEN'"),
            ("rest_query", "auth: api_key, api_key: 'env:API_TOKEN', api_key_name: key, api_key_location: query"),
            ("rest_basic", "auth: http_basic, username: me, password: 'env:API_TOKEN'"),
        ):
            yield name, f"  - {{name: {name}, type: rest_api, rest_api: {{base_url: '{url}', path: echo, {auth}}}}}\n"
        database = "host: 127.0.0.1, port: 1, database: db, user: me"
        self.environment["DATABASE_PASSWORD"] = self.secret("database")
        block = f"postgres: {{{database}, password: 'env:DATABASE_PASSWORD'}}"
        yield "sql", f"  - {{name: sql, type: postgres, {block}}}\n"

    def forms(self) -> dict[bytes, str]:
        """What must be nowhere, and of which secret it would be."""
        found = {}
        for place, secret in self.secrets.items():
            for form in (
                secret,
                *(urllib.parse.quote(secret, safe=safe) for safe in ("", "/", "!#$%&'()*+,/:;=?@[]~")),
                urllib.parse.quote_plus(secret),
                json.dumps(secret)[1:-1],
                ascii(secret)[1:-1],
                *(_inside(secret, offset) for offset in range(3)),
            ):
                found[form.encode()] = place
        return found


def _native(name: str, function: str, arguments: dict[str, str]) -> str:
    block = {"source_module": "leaks", "source_function": function, "function_kwargs": arguments}
    return f"  - {{name: {name}, type: dlt_native, dlt_native: {json.dumps(block, ensure_ascii=False)}}}\n"


def _inside(secret: str, offset: int) -> str:
    """What is sure of a secret's base64 inside a longer text; of its ends a neighbour may be a part."""
    return base64.b64encode(b"\0" * offset + secret.encode()).decode().rstrip("=")[offset + 1 : -1]


@contextmanager
def watched() -> Iterator[set[bytes]]:
    """The arguments of all processes that run meanwhile."""
    seen: set[bytes] = set()
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.01):
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(process.read_bytes())
                except OSError:
                    continue

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield seen
    finally:
        done.set()
        thread.join()


def answer(asked: Asked) -> Any:
    """A vendor that refuses everything, and says what it was given."""
    return Answer({"error": "who are you?", "got": [asked.query, dict(asked.headers), asked.body]}, status=403)


@pytest.mark.parametrize("seed", [int(seed) for seed in os.environ.get("LEAKS", "1").split(",")])
def test_nothing_of_a_secret_is_said_or_kept(
    root: Path, seed: int, record_property: Callable[[str, object], None]
) -> None:
    said: dict[str, bytes] = {}
    with vendor(answer) as server, watched() as arguments:
        planted = Planted(root, seed, server.url)

        def run(line: str) -> Said:
            done = subprocess.run(
                [sys.executable, "-m", "dango", *line.split()], cwd=root, env={**os.environ, **planted.environment},
                stdin=subprocess.DEVNULL, capture_output=True, timeout=600,
            )  # fmt: skip
            said[line] = done.stdout + done.stderr
            return Said(done.returncode, done.stdout.decode(), done.stderr.decode())

        run("sync")
        number = run("sync --json").json["run"]
        for line in COMMANDS:
            run(line.format(run=number))
        for nth, name in enumerate(planted.names):
            for line in EACH if WHOLE else EACH[nth % len(EACH) :][:1]:
                run(line.format(name=name))
    forms = planted.forms()
    files = [file for file in root.rglob("*") if file.is_file() and file not in _written(root)]
    leaks = [
        f"{place}: {form.decode()!r} in {where}"
        for where, text in [
            *((f"`dango {line}`", text) for line, text in said.items()),
            *((str(file.relative_to(root)), file.read_bytes()) for file in files),
            *((f"the arguments {argument[:60]!r}", argument) for argument in arguments),
        ]
        for form, place in forms.items()
        if form in text
    ]
    assert not leaks, "\n".join(leaks[:40])
    # Everything has failed, as far as it was asked, so that there was something to say.
    assert said["sync"].count(b"error: ") >= len(planted.names) - 1
    # Of a process that was killed, what dlt wrote stands behind a folder that nobody else may open.
    assert [path for path in readable_by_others(root) if not re.match(r"\.dango/pipelines/[^/]+/", path)] == []
    record_property(
        "figure",
        f"{len(planted.secrets)} secrets, none of them in what {len(said)} commands said, in {len(files)} files,"
        f" or in the arguments of {len(arguments)} processes",
    )


def _written(root: Path) -> list[Path]:
    """Where the user has put them; and what `sources.yml` means, which is the owner's alone."""
    return [root / ".env", root / ".dlt/secrets.toml", root / ".dango/sources.yml", *(root / ".dango/cache").glob("*")]

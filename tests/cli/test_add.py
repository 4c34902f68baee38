"""`dango source add|edit` without a terminal: every answer is an option."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import Said
from tests.fixtures_postgres import Postgres

EMPTY = "version: 1\nsources: []\n"
GITHUB = ("source", "add", "github", "--name", "gh", "--set", "owner=dlt-hub", "--set", "repo=dlt")


@pytest.fixture(autouse=True)
def _project(write: Callable[..., None]) -> None:
    write({"sources": EMPTY})


def text(root: Path) -> str:
    return (root / ".dango" / "sources.yml").read_text()


def item(root: Path) -> Any:
    """The first source."""
    return YAML(typ="safe").load(text(root))["sources"][0]


def secrets(root: Path) -> str:
    file = root / ".dlt" / "secrets.toml"
    return file.read_text() if file.exists() else ""


def piped(root: Path, given: str, *arguments: str) -> Said:
    done = subprocess.run(
        [sys.executable, "-m", "dango", *arguments], cwd=root, input=given, capture_output=True, text=True, timeout=60
    )
    return Said(done.returncode, done.stdout, done.stderr)


def test_the_whole_of_it_by_options(root: Path, dango: Callable[..., Said]) -> None:
    said = dango(*GITHUB, "--secret", "token=env:GITHUB_TOKEN", "--yes")
    assert (said.code, said.err) == (0, "")
    assert said.out == "`gh` is in .dango/sources.yml\n\nnext:\n  dango sync gh\n"
    assert text(root) == (
        "version: 1\nsources:\n  - name: gh\n    type: github\n"
        "    github: {owner: dlt-hub, repo: dlt, token: env:GITHUB_TOKEN}\n"
    )
    assert secrets(root) == ""


def test_without_a_terminal_yes_is_not_needed_and_the_name_is_made(root: Path, dango: Callable[..., Said]) -> None:
    for _ in range(2):
        assert dango("source", "add", "gh", "--set", "owner=a", "--set", "repo=b").code == 0
    assert "name: github\n" in text(root)
    assert "name: github_2\n" in text(root)


def test_a_secret_on_stdin_goes_to_secrets_toml_alone(root: Path) -> None:
    said = piped(root, "ghp_s3cr3t\n", *GITHUB, "--secret", "token", "--yes")
    assert said.code == 0
    assert "secrets in .dlt/secrets.toml [sources.gh]: token" in said.out
    assert secrets(root) == '[sources.gh]\ntoken = "ghp_s3cr3t"\n'
    assert (root / ".dlt/secrets.toml").stat().st_mode & 0o777 == 0o600
    assert "s3cr3t" not in text(root) + said.out + said.err


def test_an_empty_stdin_is_no_secret(root: Path) -> None:
    said = piped(root, "\n", *GITHUB, "--secret", "token", "--yes")
    assert (said.code, "--secret token: nothing came on stdin" in said.err) == (2, True)
    assert text(root) == EMPTY


@pytest.mark.parametrize("option", ["--secret", "--set"])
def test_a_literal_secret_is_refused_and_not_said_again(option: str, root: Path, dango: Callable[..., Said]) -> None:
    said = dango(*GITHUB, option, "token=ghp_s3cr3t", "--yes")
    assert said.code == 2
    assert "does not belong on a command line" in said.err
    assert "s3cr3t" not in said.out + said.err
    assert text(root) == EMPTY


def test_every_fault_is_told_at_once(root: Path, dango: Callable[..., Said]) -> None:
    said = dango(
        "source", "add", "postgres", "--name", "Shop", "--set", "hots=h", "--set", "port=many", "--set", "user",
        "--secret", "password", "--secret", "passwort", "--yes",
    )  # fmt: skip
    assert said.code == 2
    for fault in (
        "--name Shop: it is no valid name (lower-case letters",
        "has no field `hots` (did you mean `host`?)",
        "`port` is a whole number",
        "`user` is not KEY=VALUE",
        "has no secret of that name (did you mean `password`?)",
        "only one secret can come on stdin",
    ):
        assert fault in said.err
    assert text(root) == EMPTY


def test_missing_answers_are_listed_all_at_once(root: Path, dango: Callable[..., Said]) -> None:
    said = dango("source", "add", "github", "--json")
    assert said.code == 2
    assert "`owner`: Owner" in said.err
    assert "`repo`: Repository" in said.err
    assert "--set owner=… --set repo=…" in said.err
    assert said.json["exit_code"] == 2
    assert text(root) == EMPTY


def test_an_entry_that_needs_one_of_several_answers_says_so(root: Path, dango: Callable[..., Said]) -> None:
    said = dango("source", "add", "rest_api", "--set", "base_url=https://x.example")
    assert (said.code, "`rest_api` needs answers to" in said.err) == (2, True)
    assert text(root) == EMPTY


def test_what_a_person_answered_before_is_no_answer_here(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({".dango/draft/github.json": '{"name": "mine", "field.owner": "a", "field.repo": "b"}'})
    assert dango("source", "add", "github", "--set", "repo=b").code == 2
    assert dango("source", "add", "github", "--set", "repo=b", "--set", "owner=a").code == 0
    assert "name: github\n" in text(root)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("source", "add"), "which type?"),
        (("source", "add", "githup"), "did you mean `github`?"),
        (("source", "add", "github", "--module", "x"), "--module and --function are for dlt_native"),
        (("source", "add", "dlt_native"), "dlt_native needs --module"),
        ((*GITHUB, "--resource", "isues"), "has no resource `isues` (did you mean `issues`?)"),
        ((*GITHUB, "--destination", "lakes"), "no destination `lakes`"),
        ((*GITHUB, "--sync", "--json"), "--json shows one document"),
        (("source", "edit", "gh"), "no source `gh`"),
    ],
)
def test_what_cannot_be_is_refused(
    arguments: tuple[str, ...], message: str, root: Path, dango: Callable[..., Said]
) -> None:
    said = dango(*arguments)
    assert (said.code, message in said.err) == (2, True), said
    assert text(root) == EMPTY


def test_a_name_that_is_taken_and_a_file_that_is_broken(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    dango(*GITHUB)
    before = text(root)
    said = dango(*GITHUB)
    assert (said.code, "--name gh: it is the name of another source" in said.err) == (2, True)
    write({"sources": before + "  - {name: gh, tpye: x}\n"})
    broken = text(root)
    said = dango("source", "add", "github", "--name", "two", "--set", "owner=a", "--set", "repo=b")
    assert (said.code, "sources.yml:6" in said.err) == (2, True)
    assert text(root) == broken


def test_json_says_what_was_stored(dango: Callable[..., Said], root: Path) -> None:
    said = dango(*GITHUB, "--resource", "labels", "--secret", "token=env:T", "--json")
    assert said.code == 0
    assert {**said.json, "diff": ""} == {"source": "gh", "changed": True, "secrets": [], "diff": "", "found": []}
    assert "+    resources: [labels]" in said.json["diff"]
    same = dango("source", "edit", "gh", "--json")
    assert (same.code, same.json["changed"], same.json["diff"]) == (0, False, "")


def test_a_destination_stands_behind_the_type(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": "version: 1\ndestinations: {lake: {type: duckdb}}\nsources: []\n"})
    assert dango(*GITHUB, "--destination", "lake").code == 0
    assert "    type: github\n    destination: lake\n" in text(root)


class Handler(BaseHTTPRequestHandler):
    """An API of labels, for whoever has the token."""

    def do_GET(self) -> None:
        allowed = self.headers.get("Authorization") == "Bearer right-token"
        self.send_response(200 if allowed else 401)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'[{"id": 1}]' if allowed else b'{"message": "Bad credentials"}')

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()


def test_a_test_that_fails_stores_nothing(server: str, root: Path) -> None:
    given = (*GITHUB, "--set", f"base_url={server}", "--resource", "labels", "--secret", "token", "--test")
    said = piped(root, "wrong-token", *given)
    assert said.code == 1
    assert "the test failed, and nothing was stored" in said.err
    assert "401" in said.err
    assert "wrong-token" not in said.out + said.err
    assert (text(root), secrets(root)) == (EMPTY, "")
    said = piped(root, "right-token", *given, "--json")
    assert (said.code, said.json["found"][0]["rows"]) == (0, 1)
    assert secrets(root) == '[sources.gh]\ntoken = "right-token"\n'


def test_it_is_loaded_at_once_if_wanted(server: str, root: Path, rows: Callable[[str], list[object]]) -> None:
    given = (*GITHUB, "--set", f"base_url={server}", "--resource", "labels", "--secret", "token", "--sync")
    said = piped(root, "right-token", *given)
    assert said.code == 0, said
    assert rows("select count(*) from raw_gh.labels") == [(1,)]


SHOP = """\
import dlt

@dlt.source
def shop(site: str, size: int = 5, token: str = dlt.secrets.value):
    '''A shop.

    Args:
        site: Its address.
    '''
    return dlt.resource([{"site": site, "size": size, "ok": token == "t0ken-of-shop"}], name="orders")

def other():
    yield {"a": 1}
"""


def test_any_dlt_source_is_asked_for_exactly_its_parameters(
    root: Path, write: Callable[..., None], dango: Callable[..., Said], rows: Callable[[str], list[object]]
) -> None:
    write({"custom_sources/shop.py": SHOP})
    missing = dango("source", "add", "dlt_native", "--module", "shop")
    assert (missing.code, "`site`: Site (Its address.)" in missing.err, "`token`: Token" in missing.err) == (
        2,
        True,
        True,
    )
    said = piped(
        root, "t0ken-of-shop", "source", "add", "dlt_native", "--module", "custom_sources/shop.py",
        "--function", "shop", "--set", "site=x", "--set", "size=7", "--secret", "token", "--sync",
    )  # fmt: skip
    assert said.code == 0, said
    assert text(root) == (
        "version: 1\nsources:\n  - name: shop\n    type: dlt_native\n    dlt_native:\n      source_module: shop\n"
        "      source_function: shop\n      function_kwargs: {site: x, size: 7}\n"
    )
    assert secrets(root) == '[sources.shop]\ntoken = "t0ken-of-shop"\n'
    assert rows("select site, size, ok from raw_shop.orders") == [("x", 7, True)]


CREDENTIALS = """\
import dlt
from dlt.common.typing import TSecretStrValue
from dlt.sources.credentials import CredentialsConfiguration
from dlt.common.configuration import configspec

@configspec
class Login(CredentialsConfiguration):
    user: str = None
    password: TSecretStrValue = None

@dlt.source
def shop(login: Login = dlt.secrets.value):
    return dlt.resource([{"user": login.user, "ok": login.password == "pw-of-shop"}], name="orders")
"""


@pytest.mark.parametrize("reference", [True, False])
def test_credentials_are_found_part_by_part(
    reference: bool, root: Path, write: Callable[..., None], rows: Callable[[str], list[object]]
) -> None:
    write({"custom_sources/shop.py": CREDENTIALS, ".env": "SHOP_PW=pw-of-shop\n"})
    secret = "login__password=env:SHOP_PW" if reference else "login__password"
    add = ("source", "add", "dlt_native", "--module", "shop", "--set", "login__user=me", "--secret", secret, "--sync")
    said = piped(root, "pw-of-shop", *add)
    assert said.code == 0, said
    assert rows("select user, ok from raw_shop.orders") == [("me", True)]
    password = "" if reference else 'password = "pw-of-shop"\n'
    assert secrets(root) == f'[sources.shop.login]\nuser = "me"\n{password}'
    assert ("function_kwargs:" in text(root)) is reference
    assert "pw-of-shop" not in text(root) + said.out + said.err


def test_a_module_with_several_functions_says_which(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"custom_sources/two.py": "def a():\n    yield {}\ndef b():\n    yield {}\n"})
    said = dango("source", "add", "dlt_native", "--module", "two")
    assert (said.code, "dlt_native needs --function" in said.err, "there is: a, b" in said.err) == (2, True, True)
    said = dango("source", "add", "dlt_native", "--module", "nosuch")
    assert (said.code, "No module named 'nosuch'" in said.err) == (2, True)
    assert text(root) == EMPTY


PRESENT = """\
version: 1
sources:
  # Our code.
  - name: gh           # mine
    type: github
    description: 'kept'
    resources: {issues: {table: tickets}, labels: {}}
    github:
      owner: dlt-hub     # whose
      repo: &repo dlt
      start_date: 2024-01-01
      base_url: "https://api.github.com"
      token: env:GITHUB_TOKEN
  - name: other
    type: github
    github: {owner: a, repo: *repo}
"""


def test_edit_changes_what_is_said_and_nothing_else(
    root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"sources": PRESENT})
    said = dango("source", "edit", "gh", "--set", "owner=octo", "--yes")
    assert said.code == 0, said
    assert text(root) == PRESENT.replace("owner: dlt-hub", "owner: octo")
    assert dango("source", "edit", "gh", "--resource", "issues").code == 0
    assert "resources: {issues: {table: tickets}}" in text(root)
    same = text(root)
    said = dango("source", "edit", "gh")
    assert (said.code, "as it was" in said.out, text(root)) == (0, True, same)


def test_edit_stores_a_secret_in_place_of_a_reference(root: Path, write: Callable[..., None]) -> None:
    write({"sources": PRESENT})
    said = piped(root, "ghp_new", "source", "edit", "gh", "--secret", "token", "--yes")
    assert said.code == 0
    assert text(root) == PRESENT.replace("      token: env:GITHUB_TOKEN\n", "")
    assert secrets(root) == '[sources.gh]\ntoken = "ghp_new"\n'


@pytest.mark.parametrize("where", ["environment", "secrets.toml"])
def test_edit_does_not_ask_for_a_secret_that_is_found(
    where: str, root: Path, write: Callable[..., None], dango: Callable[..., Said]
) -> None:
    write({"custom_sources/shop.py": SHOP})
    block = "dlt_native: {source_module: shop, source_function: shop, function_kwargs: {site: x}, pipeline_name: p}"
    write({"sources": f"version: 1\nsources:\n  - name: s\n    type: dlt_native\n    {block}\n"})
    env = {"SOURCES__S__TOKEN": "t0ken-of-shop"} if where == "environment" else {}
    if not env:
        assert dango("source", "edit", "s", "--set", "site=z").code == 2
        write({".dlt/secrets.toml": '[sources.s]\ntoken = "t0ken-of-shop"\n'})
    said = dango("source", "edit", "s", "--set", "site=z", env=env)
    assert said.code == 0, said
    assert "function_kwargs: {site: z}, pipeline_name: p}" in text(root)


def test_a_database_is_asked_what_it_has(postgres: Postgres, root: Path, dango: Callable[..., Said]) -> None:
    with postgres.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id int PRIMARY KEY, updated_at timestamptz)")
        cursor.execute("CREATE TABLE log (line text)")
    fields = {"host": postgres.host, "port": postgres.port, "database": postgres.database, "user": postgres.user}
    given = [word for name, value in fields.items() for word in ("--set", f"{name}={value}")]
    add = ("source", "add", "postgres", "--name", "shop", *given)
    env = {"PGPW": postgres.password}
    refused = dango(*add, "--secret", "password=env:PGPW", env={"PGPW": "wrong-password"})
    assert (refused.code, "password authentication failed" in refused.err) == (1, True)
    assert "wrong-password" not in refused.err
    refused = dango(*add, "--secret", "password=env:PGPW", "--resource", "order", env=env)
    assert (refused.code, "no table `order` (did you mean `orders`?)" in refused.err) == (2, True)
    assert text(root) == EMPTY
    assert dango(*add, "--secret", "password=env:PGPW", env=env).code == 0
    hints = {"write_disposition": "merge", "primary_key": "id", "cursor": {"field": "updated_at"}}
    assert item(root)["resources"] == {"log": {"write_disposition": "replace"}, "orders": hints}
    before = text(root)
    assert dango("source", "edit", "shop", "--set", "sslmode=allow", env=env).code == 0
    assert text(root) == before + "      sslmode: allow\n"
    assert secrets(root) == ""

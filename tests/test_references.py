"""Values of `secrets.toml` that stand for others: variables, items of a keyring, the output of commands."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

SECRET = "s3cret/of+the=machine"
SHOP = """\
import hashlib
import dlt

@dlt.resource
def rows(token: str = dlt.secrets.value):
    print("given:", token)
    yield {"is": hashlib.sha256(token.encode()).hexdigest()}

@dlt.resource
def failing(token: str = dlt.secrets.value):
    yield {"id": 1}
    raise ValueError(f"refused {token}")
"""
# A keyring that keeps its items in a file: the desktop's needs a desktop.
KEYRING = """\
import json, os
from keyring.backend import KeyringBackend

class Filed(KeyringBackend):
    priority = 1

    def get_password(self, service, username):
        if service == "locked":
            from keyring.errors import KeyringLocked
            raise KeyringLocked("nobody has unlocked it")
        return json.loads(os.environ["ITEMS"]).get(f"{service}/{username}")

    def set_password(self, service, username, password):
        raise NotImplementedError
"""
ITEMS = '{"dango/shop": "s3cret/of+the=machine", "team/shop": "s3cret/of+the=machine"}'


@pytest.fixture
def shop(root: Path, write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts `token = …` into the project's `secrets.toml`."""
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "filed_keyring.py").write_text(KEYRING)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "modules"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "filed_keyring.Filed")
    monkeypatch.setenv("ITEMS", ITEMS)

    def shop(token: str, function: str = "rows") -> None:
        write({
            "sources": sources(native("shop", function)),
            "custom_sources/shop.py": SHOP,
            ".dlt/secrets.toml": f"[sources.shop]\ntoken = '{token}'\n",
        })  # fmt: skip

    return shop


def allow(*roots: Path) -> Path:
    file = Path(os.environ["HOME"]) / ".config/dango/config.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"[secrets]\ncommands = {[str(root) for root in roots]}\n")
    file.chmod(0o600)
    return file


@pytest.mark.parametrize(
    "reference",
    [
        "env:SHOP_TOKEN",
        "keyring:shop",
        "keyring:team/shop",
        "command:cat token.txt",
        "command:printf %s 's3cret/of+the=machine'",
    ],
)
def test_a_reference_is_followed_and_what_it_leads_to_is_masked(
    root: Path, shop: Callable[..., None], dango: Dango, rows: Rows, reference: str
) -> None:
    allow(root)
    (root / "token.txt").write_text(f"{SECRET}\n")
    env = {"SHOP_TOKEN": SECRET}
    shop(reference.replace("'", '"'))
    said = dango("-v", "sync", env=env)
    assert said.code == 0, said.err
    assert "given: ***" in said.err and SECRET not in said.out + said.err
    assert rows("SELECT \"is\" = sha256('s3cret/of+the=machine') FROM raw_shop.rows") == [(True,)]
    shop(reference.replace("'", '"'), "failing")
    said = dango("--debug", "sync", env=env)
    assert "ValueError: refused ***" in said.err and SECRET not in said.out + said.err
    kept = b"".join(file.read_bytes() for file in (root / ".dango").rglob("*") if file.is_file())
    assert SECRET.encode() not in kept
    explained = dango("explain", "shop", env=env)
    assert explained.code == 0 and SECRET not in explained.out


def test_credentials_of_a_destination_may_be_references(
    root: Path, write: Write, dango: Dango, tmp_path: Path, shop: Callable[..., None]
) -> None:
    shop("a-token")
    write({
        "sources": sources(native("shop")) + "destination: lake\ndestinations: {lake: {type: duckdb}}\n",
        ".dlt/secrets.toml": "sources.shop.token = 'a-token'\n[destination.lake]\ncredentials = 'env:LAKE'\n",
    })  # fmt: skip
    said = dango("sync", env={"LAKE": str(tmp_path / "lake.duckdb")})
    assert said.code == 0, said.err
    assert (tmp_path / "lake.duckdb").exists()


def test_a_text_that_begins_so_and_is_none_is_written_with_two_colons(
    shop: Callable[..., None], dango: Dango, rows: Rows
) -> None:
    shop("command::rm")
    assert dango("sync").code == 0
    assert rows("SELECT \"is\" = sha256('command:rm') FROM raw_shop.rows") == [(True,)]


@pytest.mark.parametrize(
    ("reference", "message", "hint"),
    [
        ("env:NOT_THERE", "is the environment variable NOT_THERE, which is not set", "NOT_THERE=…"),
        ("env:EMPTY", "is the environment variable EMPTY, which is empty", "EMPTY=…"),
        (
            "keyring:nobody",
            "is the item `nobody` of `dango` in the keyring, which has none",
            "keyring set dango nobody",
        ),
        ("keyring:locked/x", "the keyring cannot be asked: nobody has unlocked it", "keyring diagnose"),
        ("command:no-such-program", "its command cannot be run: ", "try it: no-such-program"),
        ('command:sh -c "echo sorry >&2; exit 3"', "its command ends with 3: sorry", "try it: sh -c"),
        ("command:true", "its command has no output", "try it: true"),
        ('command:sh "', "its command cannot be run: No closing quotation", "try it: sh"),
    ],
)
def test_a_reference_that_leads_nowhere_says_where_it_stands(
    root: Path, shop: Callable[..., None], dango: Dango, reference: str, message: str, hint: str
) -> None:
    allow(root)
    shop(reference)
    said = dango("sync", env={"EMPTY": ""})
    assert said.code == 2, said.err
    assert "error: shop: .dlt/secrets.toml: `sources.shop.token`" in said.err
    assert message in said.err and hint in said.err
    assert "more: dango docs secret-not-found" in said.err


def test_a_command_runs_only_where_the_users_own_settings_allow_it(
    root: Path, write: Write, shop: Callable[..., None], dango: Dango, tmp_path: Path
) -> None:
    shop("command:touch ran")

    def refused() -> str:
        said = dango("sync")
        assert (said.code, (root / "ran").exists()) == (2, False), said.err
        return said.err

    assert "this project may run none" in refused()
    # Nor for another project, nor for all below a folder.
    allow(tmp_path, root / "inner")
    assert f"commands = ['{root}']" in refused()
    # Nor by what a project says of itself.
    write(
        {
            ".dlt/config.toml": f"[secrets]\ncommands = ['{root}']\n",
            ".config/dango/config.toml": f"[secrets]\ncommands = ['{root}']\n",
        }
    )
    refused()
    file = allow(root)
    write({".env": f"HOME={root}\n"})
    refused()
    (root / ".env").unlink()
    file.chmod(0o666)
    assert f"{file} can be written by others: it is not listened to" in refused()
    file.chmod(0o600)
    assert "its command has no output" in dango("sync").err
    assert (root / "ran").exists()


def test_only_the_references_of_the_source_that_runs_are_followed(
    root: Path, write: Write, shop: Callable[..., None], dango: Dango
) -> None:
    allow(root)
    shop("env:SHOP_TOKEN")
    write({
        "sources": sources(native("shop"), native("other")),
        ".dlt/secrets.toml": "[sources.shop]\ntoken = 'env:SHOP_TOKEN'\n[sources.other]\ntoken = 'command:touch ran'\n",
    })  # fmt: skip
    assert dango("sync", "shop", env={"SHOP_TOKEN": SECRET}).code == 0
    assert not (root / "ran").exists()

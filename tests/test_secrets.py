"""The mask finds a secret in every form; the readers of TOML never quote a line."""

from __future__ import annotations

import base64
import json
import string
import time
import urllib.parse
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dango.errors import ConfigError
from dango.project import Project
from dango.secrets import MASK, Mask, hidden, is_secret_key, line_of, project_mask, read_toml

SECRET = "p4ss/w&rd+\"x\\y' z=%ü"

# How a secret comes to stand in a message. A URL leaves unquoted what its library thinks safe there.
FORMS: dict[str, Callable[[str], str]] = {
    "raw": str,
    "quote": urllib.parse.quote,
    "quote all": lambda secret: urllib.parse.quote(secret, safe=""),
    "quote_plus": urllib.parse.quote_plus,
    "quote as SQLAlchemy does": lambda secret: urllib.parse.quote(secret, safe=" +"),
    "quote as requests does": lambda secret: urllib.parse.quote(secret, safe="!#$%&'()*+,/:;=?@[]~"),
    "quote in lower case": lambda secret: _lower(urllib.parse.quote(secret, safe="")),
    "json": lambda secret: json.dumps(secret)[1:-1],
    "json unescaped": lambda secret: json.dumps(secret, ensure_ascii=False)[1:-1],
    "repr": lambda secret: repr(secret)[1:-1],
    "repr of bytes": lambda secret: repr(secret.encode())[2:-1],
    "ascii": lambda secret: ascii(secret)[1:-1],
}


def _lower(quoted: str) -> str:
    """`%2F` as `%2f`: both are right, and letters outside are not touched."""
    parts = quoted.split("%")
    return "%".join([parts[0], *(part[:2].lower() + part[2:] for part in parts[1:])])


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_is_masked_in_every_form(form: str) -> None:
    assert Mask([SECRET])(f"GET {FORMS[form](SECRET)} failed") == f"GET {MASK} failed"


@pytest.mark.parametrize("prefix", ["", "u", "us", "use", "user:", "Bearer "])
def test_a_secret_inside_base64_is_masked_at_any_offset(prefix: str) -> None:
    text = base64.b64encode(f"{prefix}{SECRET}, and more".encode()).decode()
    said = Mask([SECRET])(f"Authorization: Basic {text}")
    assert MASK in said
    # The first and last character of the middle belong to a neighbour as well; no more than these may stay.
    bare = base64.b64encode(SECRET.encode()).decode().rstrip("=")
    assert not any(bare[i : i + 6] in said for i in range(len(bare) - 5))


def test_a_secret_inside_url_safe_base64_is_masked() -> None:
    secret = "ÿþ>?ÿÿ~~~ab"
    text = base64.urlsafe_b64encode(secret.encode()).decode()
    assert "-" in text or "_" in text
    assert text.rstrip("=")[:-2] not in Mask([secret])(text)


letters = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp", "Zs"]), min_size=8, max_size=40)
space = st.text(string.whitespace, max_size=5)


@given(secret=letters, before=space, after=space, form=st.sampled_from(sorted(FORMS)))
def test_nothing_of_a_planted_secret_is_left(secret: str, before: str, after: str, form: str) -> None:
    assert Mask([secret])(f"{before}{FORMS[form](secret)}{after}") == f"{before}{MASK}{after}"


@given(secret=letters, before=st.binary(max_size=7), after=st.binary(max_size=7))
def test_nothing_of_a_secret_is_left_in_base64(secret: str, before: bytes, after: bytes) -> None:
    encoded = base64.b64encode(before + secret.encode() + after).decode()
    said = Mask([secret])(encoded)
    start = -(-len(before) * 8 // 6) + 1
    end = (len(before) + len(secret.encode())) * 8 // 6 - 1
    assert encoded[start:end] not in said
    assert MASK in said


def test_short_values_are_left_alone() -> None:
    # `abc12` would be found in ordinary words; its key alone hides it.
    assert Mask(["abc12", "", " "])("abc12 is fine") == "abc12 is fine"
    assert hidden({"password": "abc12", "url": "abc12"}) == {"password": MASK, "url": "abc12"}


def test_the_longest_secret_is_masked_first() -> None:
    assert Mask(["secret-1", "secret-1-and-more"])("x secret-1-and-more y secret-1 z") == f"x {MASK} y {MASK} z"
    assert Mask(["secret-1-and-more", "secret-1"])("x secret-1-and-more y secret-1 z") == f"x {MASK} y {MASK} z"


def test_secrets_that_overlap_leave_nothing_of_either() -> None:
    assert Mask(["abcdefgh", "efghijkl"])("x abcdefghijkl y") == f"x {MASK} y"


def test_each_line_of_a_secret_is_masked() -> None:
    key = "-----BEGIN KEY-----\nMIIEvgIBADAN\nBgkqhkiG9w0B\n-----END KEY-----\n"
    said = Mask([key])("at MIIEvgIBADAN and BgkqhkiG9w0B; " + json.dumps({"key": key}))
    assert "MIIEv" not in said
    assert "Bgkqh" not in said


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://me:pw@host/db", "postgresql://me:***@host/db"),
        ("redis://:s3@host:1", "redis://:***@host:1"),
        ("mysql+pymysql://me:p%40ss@host", "mysql+pymysql://me:***@host"),
        ("postgresql://me:p@ss@host/db", "postgresql://me:***@host/db"),
        ("http://a:1@h/x and ftp://b:2@h", "http://a:***@h/x and ftp://b:***@h"),
        ("a:a@host http://aa:a@host", "a:a@host http://aa:***@host"),
        ("https://host:8080/path?mail=me@x.org", "https://host:8080/path?mail=me@x.org"),
        ("https://me@host/path", "https://me@host/path"),
    ],
)
def test_a_password_in_a_url_is_masked_though_nobody_said_it_is_one(text: str, masked: str) -> None:
    assert Mask()(text) == masked


def test_a_long_line_is_masked_quickly() -> None:
    mask = Mask([f"secret-number-{number}" for number in range(100)])
    begun = time.monotonic()
    for line in ("x" * 64_000, "://" * 20_000, "secret-" * 9_000, "a:b@" * 16_000):
        assert mask(line) == line
    assert time.monotonic() - begun < 1


def test_a_mask_may_learn_more() -> None:
    mask = Mask()
    assert mask("tok-123456") == "tok-123456"
    mask.add("tok-123456")
    assert mask("tok-123456") == MASK


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("password", True), ("DB_PASSWD", True), ("api_key", True), ("apiKey", True), ("client_secret", True),
        ("access_token", True), ("private_key", True), ("dsn", True), ("owner", False), ("start_date", False),
    ],
)  # fmt: skip
def test_a_key_tells_whether_its_value_is_likely_a_secret(key: str, secret: bool) -> None:
    assert is_secret_key(key) is secret


def test_a_block_is_shown_without_its_secrets() -> None:
    block = {"token": "abc", "owner": "me", "inner": [{"password": "x"}], "ref": "env:TOKEN", "url": "a://b:c@d"}
    assert hidden(block) == {
        "token": MASK, "owner": "me", "inner": [{"password": MASK}], "ref": "env:TOKEN", "url": "a://b:***@d",
    }  # fmt: skip


def test_everything_that_may_be_a_secret_of_a_project_is_masked(
    root: Path, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        {
            "sources": (
                "version: 1\n"
                "destinations: {lake: {type: postgres, credentials: {password: literal-destination}}}\n"
                "sources:\n"
                "  - {name: a, type: dlt_native, dlt_native: {source_module: m, source_function: f,"
                " function_kwargs: {token: literal-token, where: 'env:PLAIN_NAME', since: 'env:SINCE',"
                " deep: [{x: 'env:DEEP_NAME?'}]}}}\n"
            ),
            ".env": "FROM_DOTENV=dotenv-value\n",
            ".dlt/secrets.toml": (
                '[sources.a]\nkey = "toml-value"\nnumber = 12345678\nflag = true\n'
                '[destination.lake.credentials]\nhost = "db.example"\nusername = "ada-lovelace"\n'
                'password = "toml-pass"\n'
                'url = "postgresql://me:url-password@host/db"\nlist = ["in-a-list"]\n'
            ),
        }
    )
    monkeypatch.setenv("PLAIN_NAME", "value-of-plain")
    monkeypatch.setenv("DEEP_NAME", "value-of-deep")
    monkeypatch.setenv("SINCE", "2024-01-01")
    monkeypatch.setenv("SOURCES__A__ANY", "value-of-dlt")
    monkeypatch.setenv("SOME_TOKEN", "value-of-token")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/socket-1")
    mask = project_mask(Project(root))
    secrets = (
        "literal-destination literal-token dotenv-value toml-value 12345678 toml-pass url-password in-a-list"
        " value-of-plain value-of-deep value-of-dlt value-of-token"
    )
    assert mask(secrets) == " ".join([MASK] * 12)
    # What every message needs, or what would spoil it.
    for word in ("db.example", "ada-lovelace", "2024-01-01", "/run/socket-1", str(root)):
        assert mask(word) == word


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[a]\nkey = "tiger-secret\n', "secrets.toml:2:"),
        ("[a]\nx = 1\ntiger-secret\n", "secrets.toml:3:"),
        ('key = tiger-secret "x"\n', "secrets.toml:1:"),
        ('[a]\nkey = "tiger-secret"\nkey = "tiger-secret2"\n', "secrets.toml"),
        ('[a]\nx = "tiger-secret"\n[a]\n', "secrets.toml"),
    ],
)
def test_a_broken_toml_file_is_named_with_its_line_and_never_quoted(tmp_path: Path, text: str, place: str) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_toml(file, "secrets.toml")
    (problem,) = caught.value.problems
    assert str(problem).startswith(place)
    assert "tiger" not in repr(caught.value) + str(caught.value) + problem.hint
    assert caught.value.__cause__ is None and caught.value.__suppress_context__


def test_a_toml_file_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert read_toml(tmp_path / "secrets.toml", "secrets.toml") == {}


def test_a_toml_file_that_is_not_utf8_or_not_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "latin.toml").write_bytes(b'x = "\xe9"\n')
    with pytest.raises(ConfigError, match=r"^latin.toml: cannot be read: it is not UTF-8$"):
        read_toml(tmp_path / "latin.toml", "latin.toml")
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(ConfigError, match=r"^folder.toml: cannot be read: Is a directory$"):
        read_toml(tmp_path / "folder.toml", "folder.toml")


@pytest.mark.parametrize(
    ("section", "key", "line"),
    [
        ("sources.a", "token", 3),
        ("sources.b", "token", 5),
        ("sources.b", "tok", 0),
        ("sources.a.credentials", "password", 7),
        ("sources.c", "password", 10),
        ("sources.c.credentials", "user", 9),
        ("sources.d", "token", 0),
        ("sources.q", "quoted-key", 12),
    ],
)
def test_the_line_of_a_key_is_found(tmp_path: Path, section: str, key: str, line: int) -> None:
    file = tmp_path / "secrets.toml"
    file.write_text(
        "# sources.d.token\n"
        "[sources.a]\n"
        'token = "1"\n'
        "[sources.b]\n"
        'token="2"\n'
        "[ sources.a . credentials ]\n"
        '  password = "3"\n'
        "[sources.c]\n"
        'credentials.user = "4"\n'
        '"password" = "5"\n'
        "[sources.q]\n"
        '"quoted-key" = 6\n'
    )
    assert line_of(file, section, key) == line


def test_the_line_of_a_key_in_no_file_is_zero(tmp_path: Path) -> None:
    assert line_of(tmp_path / "secrets.toml", "sources.a", "token") == 0


def test_tokens_that_a_vendor_renewed_are_masked(tmp_path: Path) -> None:
    (tmp_path / ".dango" / "tokens").mkdir(parents=True)
    (tmp_path / ".dango" / "sources.yml").write_text("version: 1\nsources: []\n")
    (tmp_path / ".dango" / "tokens" / "books.json").write_text('{"0f3a": "renewed-token-2"}')
    (tmp_path / ".dango" / "tokens" / "broken.json").write_text("{")
    elsewhere = tmp_path / "lasting"
    elsewhere.mkdir()
    (elsewhere / "books.json").write_text('{"0f3a": "renewed-token-3"}')
    said = "renewed-token-2 renewed-token-3"
    assert project_mask(Project(tmp_path))(said) == "*** renewed-token-3"
    assert project_mask(Project(tmp_path), {"DANGO_TOKENS": str(elsewhere)})(said) == "renewed-token-2 ***"

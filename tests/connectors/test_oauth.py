"""Tokens that are obtained anew, against a token endpoint on the loopback that takes each refresh token once."""

from __future__ import annotations

import base64
import json
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from dango.connectors.oauth import token_folder
from dango.connectors.rest import rest_api
from dango.errors import NoTokenStore, TokenError, root_cause
from tests.connectors.vendor import Answer, vendor


class Accounting:
    """A vendor that rotates: a refresh token is good for one use, an access token until it is revoked."""

    def __init__(self, refresh_token="configured-0", expires_in=3600, rotates=True):
        self.refresh_token = refresh_token
        self.expires_in = expires_in
        self.rotates = rotates
        self.access_tokens = set()
        self.refreshes = 0
        self.before_answer = lambda: None
        self.seconds = 0.0
        self.turn = threading.Lock()

    def __call__(self, asked):
        if asked.path == "/token":
            time.sleep(self.seconds)
        with self.turn:
            return self.token(asked) if asked.path == "/token" else self.rows(asked)

    def token(self, asked):
        if asked.form.get("refresh_token") != self.refresh_token:
            said = f"{asked.form.get('refresh_token')} was used before"
            return Answer({"error": "invalid_grant", "error_description": said, "hint": "s3cret"}, status=400)
        self.refreshes += 1
        access = f"access-{self.refreshes}"
        self.access_tokens.add(access)
        answer = {"access_token": access, "expires_in": self.expires_in}
        if self.rotates:
            self.refresh_token = answer["refresh_token"] = f"rotated-{self.refreshes}"
        return answer

    def rows(self, asked):
        if asked.headers.get("Authorization", "").removeprefix("Bearer ") not in self.access_tokens:
            return Answer({"message": "who are you"}, status=401)
        self.before_answer()
        return [{"id": asked.path}]


def source(url, name="books", resources=("a", "b", "c"), token="configured-0", **auth):
    return rest_api(
        {
            "client": {
                "base_url": url,
                "paginator": "single_page",
                "auth": {
                    "type": "oauth2_refresh",
                    "token_url": f"{url}/token?key=s3cret",
                    "client_id": "the-client",
                    "client_secret": "the client's secret",
                    "refresh_token": token,
                    **auth,
                },
            },
            "resource_defaults": {"endpoint": {"data_selector": "$"}},
            "resources": list(resources),
        },
        name,
    )


def read(given):
    return sorted(row["id"] for row in given)


def failure(given):
    with pytest.raises(Exception) as caught:
        list(given)
    return root_cause(caught.value)


@pytest.fixture
def store(tmp_path, monkeypatch):
    folder = tmp_path / "state" / "tokens"
    monkeypatch.setenv("DANGO_TOKENS", str(folder))
    return folder


def test_one_access_token_serves_all_requests_until_it_expires(store):
    books = Accounting()
    with vendor(books) as server:
        assert read(source(server.url)) == ["/a", "/b", "/c"]
    assert books.refreshes == 1


def test_an_expired_access_token_is_renewed_with_the_rotated_refresh_token(store):
    books = Accounting(expires_in="0")
    with vendor(books) as server:
        assert read(source(server.url)) == ["/a", "/b", "/c"]
        assert [asked.form["refresh_token"] for asked in server.to("/token")] == [
            "configured-0",
            "rotated-1",
            "rotated-2",
        ]


def test_the_next_run_goes_on_with_the_rotated_token(store):
    books = Accounting()
    with vendor(books) as server:
        read(source(server.url))
        assert read(source(server.url)) == ["/a", "/b", "/c"]
        assert server.to("/token")[-1].form["refresh_token"] == "rotated-1"


def test_a_newly_configured_token_wins_over_the_stored_one(store):
    books = Accounting()
    with vendor(books) as server:
        read(source(server.url))
        books.refresh_token = "configured-1"
        assert read(source(server.url, token="configured-1")) == ["/a", "/b", "/c"]
        assert read(source(server.url, token="configured-1")) == ["/a", "/b", "/c"]
    assert books.refreshes == 3


def test_the_rotated_token_is_on_the_disk_before_the_access_token_is_used(store):
    books, seen = Accounting(), []
    with vendor(books) as server:
        books.before_answer = lambda: seen.append((store / "books.json").read_text())
        read(source(server.url, resources=["a"]))
    assert "rotated-1" in seen[0]


def test_only_the_owner_reads_the_stored_tokens_and_the_configured_one_is_not_among_them(store):
    with vendor(Accounting()) as server:
        read(source(server.url))
    assert stat.S_IMODE(store.stat().st_mode) == 0o700
    assert stat.S_IMODE((store / "books.json").stat().st_mode) == 0o600
    assert list(json.loads((store / "books.json").read_text()).values()) == ["rotated-1"]
    assert "configured-0" not in (store / "books.json").read_text()
    assert not [file for file in store.iterdir() if file.name.startswith(".")]


def test_two_authentications_of_one_source_keep_their_tokens_apart(store):
    books = Accounting()
    with vendor(books) as server:
        for token in ("configured-a", "configured-b"):
            books.refresh_token = token
            read(source(server.url, token=token))
    assert sorted(json.loads((store / "books.json").read_text()).values()) == ["rotated-1", "rotated-2"]


def test_a_refused_access_token_is_renewed_once_and_the_request_repeated(store):
    books = Accounting()
    with vendor(books) as server:
        given = source(server.url, resources=["a", "b"])
        read(given)
        books.access_tokens.clear()
        assert read(given) == ["/a", "/b"]
        assert books.refreshes == 2


def test_who_is_refused_again_is_told_so_and_not_renewed_for_ever(store):
    books = Accounting()
    books.rows = lambda asked: Answer({"message": "no such permission"}, status=401)
    with vendor(books) as server:
        error = failure(source(server.url, resources=["a"]))
        assert error.response.status_code == 401
        assert len(server.to("/a")) == 2
        assert books.refreshes == 2


def test_threads_that_are_refused_at_once_renew_once(store):
    books = Accounting()
    with vendor(books) as server:
        given = source(server.url, resources=[{"name": f"r{n}", "parallelized": True} for n in range(8)])
        read(given)
        books.access_tokens.clear()
        assert len(read(given)) == 8
        assert books.refreshes == 2


@pytest.mark.slow
def test_processes_that_refresh_at_once_never_use_one_token_twice(store):
    books = Accounting()
    books.seconds = 0.5
    script = (
        "import sys; from tests.connectors.test_oauth import read, source; print('ready', flush=True); input();"
        "sys.exit(read(source(sys.argv[1])) != ['/a', '/b', '/c'])"
    )
    with vendor(books) as server:
        running = [
            subprocess.Popen(
                [sys.executable, "-c", script, server.url],
                cwd=Path(__file__).parents[2], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            )
            for _ in range(3)
        ]  # fmt: skip
        assert [process.stdout.readline() for process in running] == ["ready\n"] * 3
        for process in running:
            process.stdin.write("go\n")
            process.stdin.close()
        assert [process.wait(60) for process in running] == [0, 0, 0]
        for process in running:
            process.stdout.close()
    assert books.refreshes == 3


def test_a_token_that_is_refused_is_told_with_the_vendors_reason_and_no_token(store):
    with vendor(Accounting(refresh_token="another")) as server:
        error = failure(source(server.url, resources=["a"]))
        assert isinstance(error, TokenError)
        assert str(error) == (
            f"no access token from {server.url}/token: status 400: invalid_grant: *** was used before"
        )
        assert len(server.to("/token")) == 1
        assert not server.to("/a")


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer("<html>", status=503 - 100), "status 403"),
        (Answer({"ok": False, "error": "invalid_client"}), "status 200: invalid_client"),
        (Answer(["access_token"]), "status 200"),
        (Answer({"access_token": None}), "status 200"),
        (Answer({"error": {"access_token": "s3cret"}}, status=400), "status 400"),
        (Answer("", status=307, headers={"Location": "/elsewhere"}), "status 307"),
    ],
)
def test_an_answer_without_an_access_token_is_an_error(store, answer, said):
    with vendor(lambda asked: answer) as server:
        error = failure(source(server.url, resources=["a"]))
        assert isinstance(error, TokenError)
        assert str(error).endswith(f"/token: {said}")
        assert [asked.path for asked in server.asked] == ["/token"]


def test_the_client_is_named_in_the_body_or_in_a_header(store):
    books = Accounting(rotates=False)
    with vendor(books) as server:
        read(source(server.url, scope="read", resources=["a"]))
        read(source(server.url, send="basic", resources=["a"]))
        body, basic = server.to("/token")
    assert body.form == {
        "grant_type": "refresh_token", "refresh_token": "configured-0", "scope": "read",
        "client_id": "the-client", "client_secret": "the client's secret",
    }  # fmt: skip
    assert "Authorization" not in body.headers
    assert basic.form == {"grant_type": "refresh_token", "refresh_token": "configured-0"}
    assert base64.b64decode(basic.headers["Authorization"].split()[1]) == b"the-client:the client's secret"


def test_an_id_that_yaml_takes_for_a_number_is_text(store):
    with vendor(Accounting(refresh_token="another")) as server:
        error = failure(source(server.url, client_id=4711, client_secret=123456, token=987654, resources=["a"]))
        assert str(error).endswith("status 400: invalid_grant: *** was used before")
        assert server.to("/token")[0].form["client_id"] == "4711"


def test_a_vendor_that_does_not_rotate_needs_no_store(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with vendor(Accounting(rotates=False)) as server:
        assert read(source(server.url, rotates=False)) == ["/a", "/b", "/c"]


def test_where_the_folder_does_not_last_nothing_is_asked_for(monkeypatch):
    monkeypatch.setenv("CI", "true")
    with vendor(Accounting()) as server:
        error = failure(source(server.url, resources=["a"]))
        assert isinstance(error, NoTokenStore)
        assert "DANGO_TOKENS" in error.hint
        assert server.asked == []


@pytest.mark.parametrize(
    ("environment", "in_container", "folder"),
    [
        ({"DLT_PROJECT_DIR": "/shop"}, False, "/shop/.dango/tokens"),
        ({}, False, str(Path.cwd() / ".dango/tokens")),
        ({"CI": "false", "DLT_PROJECT_DIR": "/shop"}, False, "/shop/.dango/tokens"),
        ({"CI": "true", "DANGO_TOKENS": "/mnt/tokens"}, True, "/mnt/tokens"),
        ({"DANGO_STATE": "/mnt/state", "DLT_PROJECT_DIR": "/shop"}, True, "/mnt/state/tokens"),
        ({"CI": "true", "DLT_PROJECT_DIR": "/shop"}, False, None),
        ({"KUBERNETES_SERVICE_HOST": "10.0.0.1", "DLT_PROJECT_DIR": "/shop"}, False, None),
        ({"DLT_PROJECT_DIR": "/shop"}, True, None),
        ({"DANGO_NODE": "/tmp/dango-0", "DLT_PROJECT_DIR": "/tmp/dango-0/7-a"}, False, None),
        ({"DANGO_NODE": "/tmp/dango-0", "DANGO_TOKENS": "/mnt/tokens"}, False, "/mnt/tokens"),
    ],
)
def test_where_tokens_are_kept(environment, in_container, folder):
    if folder:
        assert token_folder(environment, in_container) == Path(folder)
    else:
        with pytest.raises(NoTokenStore, match="its successor would be lost"):
            token_folder(environment, in_container)


@pytest.mark.parametrize("text", ["", "[]", "{", '"x"'])
def test_stored_tokens_that_cannot_be_read_are_not_taken_for_none(store, text):
    store.mkdir(parents=True)
    (store / "books.json").write_text(text)
    with vendor(Accounting()) as server:
        error = failure(source(server.url, resources=["a"]))
        assert isinstance(error, TokenError)
        assert "books.json" in str(error)
        assert server.asked == []


def test_a_token_is_not_given_to_whom_a_request_is_redirected(store):
    books = Accounting()
    with vendor(lambda asked: Answer(status=401)) as stranger, vendor(books) as server:
        books.rows = lambda asked: Answer(
            status=302, headers={"Location": stranger.url.replace("127.0.0.1", "localhost")}
        )
        assert failure(source(server.url, resources=["a"])).response.status_code == 401
        assert ["Authorization" in asked.headers for asked in stranger.asked] == [False]
        assert books.refreshes == 1

"""Tokens stay home: what dlt's REST client asks under dango, against vendors on the loopback that lead elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources
from tests.connectors import vendor as vendors
from tests.connectors.vendor import Answer, Asked, Vendor, vendor

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

TOKEN = "a-token-that-stays-home"
SHOP = """\
import dlt
from dlt.sources.helpers.rest_client import RESTClient
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import HeaderLinkPaginator, JSONLinkPaginator


def _client(url, token, **options):
    return RESTClient(url, auth=BearerTokenAuth(token), headers={"X-Key": token}, **options)


@dlt.resource
def links(url: str, token: str = dlt.secrets.value):
    yield from _client(url, token, paginator=JSONLinkPaginator("next"), data_selector="rows").paginate("links")


@dlt.resource
def headers(url: str, token: str = dlt.secrets.value):
    yield from _client(url, token, paginator=HeaderLinkPaginator(), data_selector="rows").paginate("headers")


@dlt.resource
def redirects(url: str, token: str = dlt.secrets.value):
    yield _client(url, token).get("redirects").json()["rows"]


@dlt.resource
def without_base(url: str, token: str = dlt.secrets.value):
    client = _client("", token, paginator=JSONLinkPaginator("next"), data_selector="rows")
    yield from client.paginate(f"{url}/links")


@dlt.resource
def at_once(url: str, token: str = dlt.secrets.value):
    # Threads that share one session: each is led somewhere of its own.
    client = _client(url, token)
    yield [{"id": n} for n in range(20)]

    @dlt.defer
    def one(path):
        return client.get(path).json()["rows"]

    for n in range(20):
        yield one("redirects" if n == 19 else "home")
"""
REST = """\
  - name: shop
    type: rest_api
    allowed_hosts: ALLOWED
    rest_api:
      base_url: URL
      auth: bearer
      token: env:TOKEN
      endpoints: [{name: links, endpoint: {path: links, data_selector: rows, paginator: PAGINATOR}}]
"""
WAYS = ("links", "headers", "redirects", "without_base", "at_once", "configured")


@pytest.fixture
def elsewhere() -> Iterator[Vendor]:
    with vendor(lambda asked: {"rows": [{"id": 2}]}) as server:
        yield server


def leading(target: str) -> Callable[[Asked], Any]:
    """A vendor of one row a page, whose next page is at `target`."""

    def answer(asked: Asked) -> Any:
        page: dict[str, Any] = {"rows": [{"id": 1}]}
        if asked.path == "/redirects":
            return Answer(status=307, headers={"Location": target})
        if asked.path == "/headers":
            return Answer(page, headers={"Link": f'<{target}>; rel="next"'})
        return {**page, "next": target} if asked.path == "/links" else page

    return answer


def project(way: str, url: str, allowed: str = "[]") -> dict[str, str]:
    if way == "configured":
        body = "{type: json_link, next_url_path: next}"
        rest = REST.replace("URL", url).replace("ALLOWED", allowed).replace("PAGINATOR", body)
        return {"sources": sources(rest)}
    block = native("shop", way, function_kwargs={"url": url}).replace("type:", f"allowed_hosts: {allowed}, type:")
    return {
        "sources": sources(block),
        "custom_sources/shop.py": SHOP,
        ".dlt/secrets.toml": f'[sources.shop]\ntoken = "{TOKEN}"\n',
    }


def place(url: str) -> str:
    return url.partition("//")[2]


@pytest.mark.parametrize("way", WAYS)
def test_another_host_is_not_asked_unless_that_is_said(
    root: Path, write: Write, dango: Dango, rows: Rows, elsewhere: Vendor, way: str
) -> None:
    with vendor(leading(f"{elsewhere.url}/next")) as home:
        write(project(way, home.url))
        said = dango("sync", env={"TOKEN": TOKEN})
        assert said.code == 1, said.err
        assert f"{home.url} leads to another host, {elsewhere.url}; nothing was sent there" in said.err
        assert f"allowed_hosts: [{place(elsewhere.url)}]" in said.err
        assert elsewhere.asked == []
        assert not (root / "data" / "warehouse.duckdb").exists()
        assert all(TOKEN in asked.headers["Authorization"] for asked in home.asked) and home.asked

        write(project(way, home.url, allowed=f"['{place(elsewhere.url)}']"))
        assert dango("sync", env={"TOKEN": TOKEN}).code == 0
    table = "links" if way == "configured" else way
    assert (2,) in rows(f"SELECT id FROM raw_shop.{table}")
    assert elsewhere.asked


@pytest.mark.parametrize("command", [["preview", "shop"], ["source", "test", "shop"]])
def test_nor_is_it_asked_for_a_look(write: Write, dango: Dango, elsewhere: Vendor, command: list[str]) -> None:
    with vendor(leading(f"{elsewhere.url}/next")) as home:
        write(project("redirects", home.url))
        said = dango(*command)
    assert (said.code, elsewhere.asked) == (1, [])
    assert "leads to another host" in said.out + said.err


def test_pages_and_redirects_of_the_same_host_go_on(write: Write, dango: Dango, rows: Rows) -> None:
    def answer(asked: Asked) -> Any:
        if asked.path == "/links" and "page" not in asked.query:
            return Answer(status=302, headers={"Location": "/links?page=1"})
        return {
            "rows": [{"id": int(asked.query.get("page", 9))}],
            "next": None if "more" in asked.query else "?page=2&more=1",
        }

    with vendor(answer) as home:
        write(project("links", home.url))
        assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.links ORDER BY id") == [(1,), (2,)]


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return vendors.certificate(tmp_path_factory.mktemp("tls"))


@pytest.mark.parametrize("allowed", [False, True], ids=["", "allowed"])
@pytest.mark.parametrize("way", ["links", "redirects"])
def test_https_never_leads_down_to_http(
    write: Write, dango: Dango, elsewhere: Vendor, certificate: Path, way: str, allowed: bool
) -> None:
    with vendor(leading(f"{elsewhere.url}/next"), tls=certificate) as home:
        write(project(way, home.url, allowed=json.dumps([place(elsewhere.url)] if allowed else [])))
        said = dango("sync", env={"REQUESTS_CA_BUNDLE": str(certificate)})
    assert (said.code, elsewhere.asked) == (1, [])
    assert f"{home.url} leads down to {elsewhere.url}; nothing was sent there" in said.err


@pytest.mark.parametrize("host", ["https://files.example.com", "files.example.com/path", "*", "", "a b", "*.*.com"])
def test_what_is_no_host_is_told_with_its_place(write: Write, dango: Dango, host: str) -> None:
    write({"sources": f"sources:\n  - {{name: s, type: files, allowed_hosts: ['{host}'], files: {{location: 'x'}}}}\n"})
    said = dango("check")
    assert said.code == 2
    assert "error: .dango/sources.yml:2:44: `0`: should be a host without scheme and path" in said.err


@pytest.mark.parametrize(
    "target",
    ["http://{there}\\@{home}/", "http://{home}@{there}/", "http://{home}.{there}/", "http://[::1/", "//{there}/x"],
)
def test_an_address_that_can_be_read_in_two_ways_is_nobodys(
    write: Write, dango: Dango, elsewhere: Vendor, target: str
) -> None:
    asked: list[Asked] = []

    def answer(given: Asked) -> Any:
        asked.append(given)
        host = given.headers["Host"]
        led = target.format(home=host, there=place(elsewhere.url))
        return {"rows": [{"id": 1}], "next": led} if given.path == "/links" else {"rows": []}

    with vendor(answer) as home:
        write(project("links", home.url))
        said = dango("sync")
    assert (said.code, elsewhere.asked, len(asked)) == (1, [], 1), said.err

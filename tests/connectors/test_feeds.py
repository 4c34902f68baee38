"""Feeds from a server on the loopback: what is new, what is not even sent, and what is no feed."""

from __future__ import annotations

import hashlib
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dango.connectors.clients import feeds
from dango.errors import SourceError
from tests.connectors.loading import Dango, Rows, Write, closed_port, loaded, source

ITEM = """<item><guid isPermaLink="false">{0}</guid><title>Title {0} &amp; more</title><link>https://x.example/{0}</link>
<pubDate>Tue, 02 Jan 2024 03:04:05 +0200</pubDate><category>news</category><category>art</category>
<description>Text of {0}</description>
<enclosure url="https://x.example/{0}.mp3" type="audio/mpeg" length="7"/></item>"""
ATOM = """<?xml version="1.0"?><feed xmlns="http://www.w3.org/2005/Atom"><title>Notes</title>
<entry><id>urn:a</id><title>A</title><link href="/a"/><updated>2024-05-06T07:08:09Z</updated>
<author><name>Ann</name></author><content type="html">&lt;p&gt;Hi&lt;/p&gt;</content></entry></feed>"""


def rss(*names: str) -> str:
    items = "".join(ITEM.format(name) for name in names)
    return f'<?xml version="1.0"?><rss version="2.0"><channel><title>News</title>{items}</channel></rss>'


class Site:
    """Pages by their paths, and how each request was answered."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.pages: dict[str, str] = {}
        self.answered: list[tuple[str, int]] = []
        self.login = ""
        self.etags = True

    def answer(self, path: str, tag: str | None, login: str | None) -> tuple[int, str, str]:
        page = self.pages.get(path)
        if page is None:
            return 404, "", ""
        if self.login and login != f"Basic {b64encode(self.login.encode()).decode()}":
            return 401, "", ""
        fresh = f'"{hashlib.sha256(page.encode()).hexdigest()}"' if self.etags else ""
        return (304, "", fresh) if fresh and fresh == tag else (200, page, fresh)


@contextmanager
def serving(**pages: str) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.strip("/")
            code, page, tag = site.answer(path, self.headers["If-None-Match"], self.headers["Authorization"])
            site.answered.append((path, code))
            self.send_response(code)
            self.send_header("Content-Type", "text/html" if "<html" in page else "application/xml")
            self.send_header("Content-Length", str(len(page.encode())))
            if tag:
                self.send_header("ETag", tag)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site = Site(f"http://127.0.0.1:{server.server_port}")
        site.pages.update(pages)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield site
        server.shutdown()


@pytest.mark.slow
def test_a_second_sync_loads_new_and_changed_entries_and_is_sent_no_unchanged_feed(
    write: Write, dango: Dango, rows: Rows
) -> None:
    with serving(news=rss("a", "b"), notes=ATOM) as site:
        write({"sources": source("rss", {"urls": [f"{site.url}/news", f"{site.url}/notes"]})})
        assert loaded(dango("sync", "--json")) == {"entries": 3}
        assert loaded(dango("sync", "--json")) == {}
        assert site.answered[-2:] == [("news", 304), ("notes", 304)]

        site.pages["news"] = rss("b", "c").replace("Text of b", "Other text of b")
        assert loaded(dango("sync", "--json")) == {"entries": 2}
        assert site.answered[-2:] == [("news", 200), ("notes", 304)]
    assert rows("SELECT id, summary FROM raw_shop.entries WHERE feed LIKE '%news' ORDER BY id") == [
        ("a", "Text of a"), ("b", "Other text of b"), ("c", "Text of c")
    ]  # fmt: skip
    assert rows("SELECT title, link, epoch(published), tags, enclosures FROM raw_shop.entries WHERE id = 'a'") == [
        (
            "Title a & more", "https://x.example/a", 1704157445.0, '["news","art"]',
            '[{"href":"https://x.example/a.mp3","type":"audio/mpeg","length":"7"}]',
        )
    ]  # fmt: skip
    assert rows("SELECT author, content, epoch(updated) FROM raw_shop.entries WHERE id = 'urn:a'") == [
        ("Ann", "<p>Hi</p>", 1714979289.0)
    ]


@pytest.mark.slow
def test_after_a_feed_that_failed_the_next_sync_loads_all_of_them(write: Write, dango: Dango, rows: Rows) -> None:
    with serving(news=rss("a", "b")) as site:
        write({"sources": source("rss", {"urls": [f"{site.url}/news", f"{site.url}/notes"]})})
        failed = dango("sync")
        assert failed.code == 1
        assert f"the feed {site.url}/notes answers 404" in failed.err

        site.pages["notes"] = ATOM
        assert loaded(dango("sync", "--json")) == {"entries": 3}
    assert rows("SELECT count(*) FROM raw_shop.entries") == [(3,)]


@pytest.mark.slow
def test_a_login_that_is_wrong_is_told_and_one_that_is_right_is_not_shown(write: Write, dango: Dango) -> None:
    with serving(news=rss("a")) as site:
        site.login = "ann:right-password"
        write({"sources": source("rss", {"urls": [f"{site.url}/news"], "user": "ann"})})
        wrong = dango("source", "test", "shop", env={"SOURCES__SHOP__PASSWORD": "wrong-password"})
        assert wrong.code != 0
        assert "refuses: 401" in wrong.err + wrong.out
        assert "wrong-password" not in wrong.err + wrong.out
        assert dango("source", "test", "shop", env={"SOURCES__SHOP__PASSWORD": "right-password"}).code == 0


def test_a_feed_without_signs_of_change_gives_its_entries_and_ones_without_guid_go_by_link() -> None:
    page = rss("a").replace('<guid isPermaLink="false">a</guid>', "")
    with serving(news=page) as site:
        site.etags = False
        (row,) = feeds.feeds([f"{site.url}/news"])
    assert (row["id"], row["feed"]) == ("https://x.example/a", f"{site.url}/news")


def test_what_is_not_well_formed_is_told_with_its_line_and_read_where_that_is_wanted() -> None:
    with serving(news=rss("a", "b").replace("&amp;", "&")) as site:
        with pytest.raises(Exception, match=r"news is not well-formed: .*\(line 1\)"):
            list(feeds.feeds([f"{site.url}/news"]))
        assert [row["id"] for row in feeds.feeds([f"{site.url}/news"], lenient=True)] == ["a", "b"]


def test_a_page_that_is_no_feed_is_told_as_such() -> None:
    told = pytest.raises(Exception, match="news is no RSS or Atom feed, but text/html")
    with serving(news="<html><body>Hello</body></html>") as site, told:
        list(feeds.feeds([f"{site.url}/news"]))


def test_a_host_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "ATTEMPTS", 1)
    with pytest.raises(SourceError, match=r"cannot be reached: .*refused"):
        feeds.inspect([f"http://127.0.0.1:{closed_port()}/news"])


def test_feeds_say_their_titles() -> None:
    with serving(news=rss("a"), notes=ATOM) as site:
        assert feeds.inspect([f"{site.url}/news", f"{site.url}/notes"]).server == "News, Notes"

"""RSS and Atom feeds: their entries, each once, anew only where it changed; an unchanged feed is not even sent."""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from xml.sax import SAXException

import dlt
import feedparser
from dlt.sources import DltResource
from dlt.sources.helpers.requests import Client
from requests import RequestException, Response

from dango.errors import SourceError
from dango.probe import Inspection

SECONDS = 30
ATTEMPTS = 3
KEY = ("feed", "id")
_ACCEPTED = "application/atom+xml, application/rss+xml, application/xml;q=0.9, */*;q=0.1"
# Of an answer, and in the request what it is compared with.
_SIGNS = {"ETag": "If-None-Match", "Last-Modified": "If-Modified-Since"}


class Login(NamedTuple):
    """What a feed may ask for."""

    user: str
    password: str


def feeds(
    urls: list[str],
    lenient: bool = False,
    user: str | None = None,
    password: str | None = None,
) -> DltResource:
    """A resource with the entries of all feeds, by feed and id.

    Args:
        urls: of the feeds.
        lenient: a feed that is not well-formed is read as far as it can be, and is no error.
        user: for feeds that ask for a login.
        password: of the user.

    Raises:
        SourceError: when a feed cannot be had, or is none; the others are not loaded without it.
    """
    login = Login(user, password or "") if user else None
    return dlt.resource(
        _entries,
        name="entries",
        primary_key=KEY,
        write_disposition="merge",
        columns={"tags": {"data_type": "json"}, "enclosures": {"data_type": "json"}},
    )(urls, lenient, login)


def _entries(urls: list[str], lenient: bool, login: Login | None) -> Iterator[list[dict[str, Any]]]:
    states: dict[str, dict[str, Any]] = dlt.current.resource_state().setdefault("feeds", {})
    # A table that is written anew wants all entries, loaded before or not.
    anew = dlt.current.resource().write_disposition == "replace"
    for url in urls:
        known = {} if anew else states.get(url, {})
        answer = _answer(url, login, known.get("signs", {}))
        if answer.status_code == 304:
            continue
        rows = {row["id"]: row for row in map(_row, _parsed(url, answer, lenient).entries)}
        digests = {key: _digest(row) for key, row in rows.items()}
        loaded = known.get("entries", {})
        if new := [{"feed": url, **row} for key, row in rows.items() if loaded.get(key) != digests[key]]:
            yield new
        signs = {asked: answer.headers[said] for said, asked in _SIGNS.items() if said in answer.headers}
        states[url] = {"signs": signs, "entries": digests}


def _answer(url: str, login: Login | None, signs: Mapping[str, str]) -> Response:
    client = Client(request_timeout=SECONDS, request_max_attempts=ATTEMPTS, raise_for_status=False)
    try:
        answer = client.get(url, auth=login, headers={"Accept": _ACCEPTED, **signs})
    except (RequestException, ValueError) as error:
        raise SourceError(
            f"the feed {url} cannot be reached: {error}", "does its address open in a browser?"
        ) from error
    if answer.status_code in (401, 403):
        raise SourceError(
            f"the feed {url} refuses: {answer.status_code} {answer.reason}", "it wants a `user` and a `password`"
        )
    if answer.status_code >= 400:
        raise SourceError(
            f"the feed {url} answers {answer.status_code} {answer.reason}",
            "take it out of `urls` if it is gone; what was loaded of it stays",
        )
    return answer


def _parsed(url: str, answer: Response, lenient: bool) -> Any:
    kind = answer.headers.get("Content-Type", "")
    feed = feedparser.parse(
        io.BytesIO(answer.content), response_headers={"content-type": kind, "content-location": answer.url}
    )
    error = feed.get("bozo_exception")
    if not feed.get("version"):
        raise SourceError(
            f"{url} is no RSS or Atom feed{f', but {kind}' if kind else ''}",
            'the page of a site names its feeds in <link rel="alternate">',
        )
    if isinstance(error, SAXException) and not lenient:
        raise SourceError(
            f"the feed {url} is not well-formed: {_said(error)}", "`lenient: true` reads it as far as it can be"
        )
    return feed


def _said(error: SAXException) -> str:
    line = getattr(error, "getLineNumber", lambda: None)()
    return f"{error.getMessage()}{f' (line {line})' if line else ''}"


def _row(entry: Any) -> dict[str, Any]:
    contents = entry.get("content") or [{}]
    row = {
        "title": entry.get("title"),
        "link": entry.get("link"),
        "author": entry.get("author"),
        "published": _moment(entry, "published_parsed"),
        # What feedparser answers for an `updated` that is not there is `published`.
        "updated": _moment(entry, "updated_parsed"),
        "summary": entry.get("summary"),
        "content": contents[0].get("value"),
        "tags": [tag.get("term") for tag in entry.get("tags") or ()],
        "enclosures": [
            {name: enclosure.get(name) for name in ("href", "type", "length")}
            for enclosure in entry.get("enclosures", ())
        ],
    }
    return {"id": entry.get("id") or entry.get("link") or _digest(row), **row}


def _moment(entry: Any, name: str) -> dt.datetime | None:
    parsed = dict.get(entry, name)
    return dt.datetime.fromtimestamp(calendar.timegm(parsed), dt.timezone.utc) if parsed else None


def _digest(row: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(row, default=str, sort_keys=True).encode()).hexdigest()[:16]


def inspect(
    urls: list[str], lenient: bool = False, user: str | None = None, password: str | None = None, **_: Any
) -> Inspection:
    """Reads each feed, and says their titles. Raises `SourceError`."""
    login = Login(user, password or "") if user else None
    titles = [str(_parsed(url, _answer(url, login, {}), lenient).feed.get("title") or url) for url in urls]
    return Inspection(server=", ".join(titles))

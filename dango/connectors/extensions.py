"""What a `rest_api` configuration may name beyond dlt's own: paginators, conversions, steps, authentication, failures.

    paginator: link_results
    paginator: {type: json_link_until, next_url_path: next_page, has_more_path: meta.has_more}
    incremental: {cursor_path: updated_at, convert: epoch}
    processing_steps: [{lift: attributes}, {rename: {id: key}}, {pick: [key, name]}]
    auth: {type: oauth2_refresh, token_url: …, client_id: …, client_secret: …, refresh_token: …}
    auth: {type: google_service_account, credentials: …, scopes: […]}
    response_actions: [{json_path: ok, equals: false, action: fail, message_path: error}]

`dango.connectors.reading` puts dlt's own objects and plain functions in their place.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

from dlt.sources.helpers.rest_client.paginators import BaseNextUrlPaginator
from requests import Request, Response

from dango.connectors.oauth import GoogleServiceAccount, OAuth2Refresh, Renewed, without_query
from dango.dlt_internals.names import jsonpath
from dango.errors import VendorError

_LONGEST_MESSAGE = 500


class _Onward(BaseNextUrlPaginator):
    """Follows links for as long as they lead to what was not asked for yet."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: set[str] = set()
        self._last = ""

    def init_request(self, request: Request) -> None:
        """Begins anew: a resource may be read more than once."""
        self._asked = set()
        self._last = ""
        self._next_reference = None
        self._has_next_page = True

    def _follow(self, response: Response, link: Any) -> None:
        """Makes the link the next request, or ends: where there is none, or only the one that was just asked for.

        Raises:
            VendorError: when the link was asked for before that: the pages go in circles, and never end.
        """
        if not isinstance(link, str) or not link:
            self._next_reference = None
            return
        # A link is compared as the vendor writes it, and as it looks once it has been sent.
        url, sent = urljoin(response.url, link), response.url
        if url in (self._last, sent):
            self._next_reference = None
            return
        if url in self._asked:
            raise VendorError(
                f"the pages of {without_query(url)} go in circles: a later one links to an earlier one",
                "another paginator fits this endpoint",
            )
        self._asked |= {self._last, sent}
        self._last = url
        self._next_reference = url


class LinkResults(_Onward):
    """The `Link` header's `next`, until it says `results="false"`: such vendors always send one (Sentry)."""

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Reads the header."""
        link = response.links.get("next", {})
        self._follow(response, None if link.get("results") == "false" else link.get("url"))


class JsonLinkUntil(_Onward):
    """A link in the body, until the body says that there is no more, or a page is empty (Paddle, Zendesk).

    Args:
        next_url_path: JSONPath of the link; it may be relative.
        has_more_path: JSONPath of what is false on the last page. Where it is absent, the link decides.
        stop_after_empty_page: whether an empty page is the last.
    """

    def __init__(
        self, *, next_url_path: str, has_more_path: str | None = None, stop_after_empty_page: bool = True
    ) -> None:
        super().__init__()
        self._next_url_path = jsonpath.compile_path(next_url_path)
        self._has_more_path = jsonpath.compile_path(has_more_path) if has_more_path else None
        self._stop_after_empty_page = stop_after_empty_page

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Reads the body."""
        body = response.json()
        links = jsonpath.find_values(self._next_url_path, body)
        more = jsonpath.find_values(self._has_more_path, body) if self._has_more_path else []
        ended = bool(more) and (not more[0] or str(more[0]).lower() == "false")
        ended = ended or (self._stop_after_empty_page and not data)
        self._follow(response, None if ended or not links else links[0])


Step = Callable[[Any], Any]


def pick(names: Sequence[str]) -> Step:
    """Keeps of a row what is named, as far as it is there."""
    return _of_rows(lambda row: {name: row[name] for name in names if name in row})


def rename(names: Mapping[str, str]) -> Step:
    """Renames keys, all at once, so that two can change places; a renamed key replaces one of its new name."""

    def renamed(row: Mapping[str, Any]) -> dict[str, Any]:
        new = {names[name] for name in row if name in names}
        return {names.get(name, name): value for name, value in row.items() if name in names or name not in new}

    return _of_rows(renamed)


def lift(name: str) -> Step:
    """Moves the keys of a nested mapping up beside it. What is there already wins, and its namesake stays nested."""

    def lifted(row: Mapping[str, Any]) -> Mapping[str, Any]:
        nested = row.get(name)
        if not isinstance(nested, Mapping):
            return row
        outer = {key: value for key, value in row.items() if key != name}
        stays = {key: value for key, value in nested.items() if key in outer}
        rises = {key: value for key, value in nested.items() if key not in outer}
        return {**outer, **({name: stays} if stays else {}), **rises}

    return _of_rows(lifted)


def _of_rows(change: Step) -> Step:
    return lambda row: change(row) if isinstance(row, Mapping) else row


class FailWhen:
    """A hook that fails where a vendor answers 200 and says in the body that the request failed.

    Args:
        json_path: JSONPath into the body.
        equals: the value that means failure; or
        exists: whether something being there (and not null, not empty) means failure, or its absence.
        message_path: JSONPath of the vendor's words.
        action: `fail`.
    """

    def __init__(self, json_path: str, *, message_path: str = "", action: str = "fail", **condition: Any) -> None:
        if len(condition) != 1 or not condition.keys() <= {"equals", "exists"}:
            raise ValueError("with `json_path` goes either `equals` or `exists`")
        if action != "fail":
            raise ValueError("the `action` of a `json_path` is `fail`")
        self._path = jsonpath.compile_path(json_path)
        self._message_path = jsonpath.compile_path(message_path) if message_path else None
        self._condition = condition

    def __call__(self, response: Response, *_: Any, **__: Any) -> None:
        """Looks at an answer. Raises `VendorError`."""
        if not response.ok:
            return  # dlt says that
        try:
            body = response.json()
        except ValueError:
            return
        if self._met(jsonpath.find_values(self._path, body)):
            said = jsonpath.find_values(self._message_path, body) if self._message_path else []
            text = said[0] if said and isinstance(said[0], str) else json.dumps(said[0]) if said else "no reason given"
            raise VendorError(f"{without_query(response.url)} answers that it failed: {text[:_LONGEST_MESSAGE]}")

    def _met(self, found: list[Any]) -> bool:
        if "exists" in self._condition:
            return any(value not in (None, "", [], {}) for value in found) is bool(self._condition["exists"])
        wanted = self._condition["equals"]
        # To Python, false is 0.
        return any(value == wanted and isinstance(value, bool) is isinstance(wanted, bool) for value in found)


PAGINATORS: Mapping[str, type[_Onward]] = {"link_results": LinkResults, "json_link_until": JsonLinkUntil}
AUTHS: Mapping[str, type[Renewed]] = {
    "oauth2_refresh": OAuth2Refresh,
    "google_service_account": GoogleServiceAccount,
}
STEPS: Mapping[str, Callable[[Any], Step]] = {"pick": pick, "rename": rename, "lift": lift}


def uses_extensions(config: Any) -> bool:
    """Whether a configuration (or a template of one) names anything that dlt does not know itself."""
    return any(_is_extension(key, value) for key, value in _entries(config))


def _entries(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every key and its value, at any depth."""
    if isinstance(value, Mapping):
        yield from value.items()
    for inner in value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ():
        yield from _entries(inner)


def _is_extension(key: Any, value: Any) -> bool:
    kind = str(value.get("type") if isinstance(value, Mapping) else value)
    items = [item for item in value if isinstance(item, Mapping)] if isinstance(value, list | tuple) else []
    return (
        (key == "paginator" and kind in PAGINATORS)
        or (key == "auth" and kind in AUTHS)
        or (key == "convert" and isinstance(value, str))
        or (key == "processing_steps" and any(item.keys() & STEPS.keys() for item in items))
        or (key == "response_actions" and any("json_path" in item for item in items))
    )

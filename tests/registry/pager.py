"""One page of a list, as the entry's paginator expects pages to come and to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from tests.registry.declared import Declared
from tests.registry.rows import Row, get, put

PAGE = 3
PAGES = 2
NEXT = "page_of_the_mock"


@dataclass(frozen=True)
class Answer:
    """What is sent back."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    """A request that no vendor would answer: the status, and why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


def row_cursor(each: Declared) -> str:
    """The field of a page's last row that asks for the next page; empty where pages go on otherwise."""
    outer, bracket, inner = str(each.paginator.get("cursor_path", "")).partition("[")
    return inner.partition("]")[2].lstrip(".") if bracket and outer.rstrip(".") == (each.selector or "$") else ""


class Pager:
    """One page of a list, as the entry's paginator expects pages to come and to end."""

    def __init__(
        self,
        each: Declared,
        size: int,
        url: str,
        query: Mapping[str, Sequence[str]],
        body: Any,
        *,
        is_single: bool = False,
    ) -> None:
        """
        Args:
            each: the resource.
            size: rows on a page.
            url: what was asked for, without its query.
            query: that query.
            body: the body that was sent.
            is_single: whether the answer is one thing, and no list.
        """
        self._each = each
        self._said = each.paginator
        self._size = size
        self._url = url
        self._query = query
        self._body = body or {}
        self._is_single = is_single

    @property
    def _kind(self) -> str:
        return str(self._said["type"])

    def _sent(self, word: str) -> Any:
        """What came in place of a cursor, page or offset."""
        if path := self._said.get(f"{word}_body_path"):
            return get(self._body, path)
        return (self._query.get(self._said.get(f"{word}_param") or "") or [None])[0]

    def page(self, rows: Sequence[Row]) -> int:
        """Which page is asked for, from 0."""
        if self._kind == "offset":
            return int(self._sent("offset") or 0) // int(self._sent("limit") or self._size)
        if self._kind == "page_number":
            base = int(self._said.get("base_page") or 0)
            return int(self._sent("page") or base) - base
        if self._kind in ("cursor", "header_cursor"):
            return self._after(self._sent("cursor"), rows)
        return int((self._query.get(NEXT) or ["0"])[0])

    def _after(self, cursor: Any, rows: Sequence[Row]) -> int:
        if cursor in (None, ""):
            return 0
        if not self._is_of_rows:
            return int(str(cursor).removeprefix("cursor-"))
        found = [place for place, row in enumerate(rows) if str(get(row, self._row_path)) == str(cursor)]
        if not found:
            raise Refused(400, f"no such cursor: {cursor}")
        return (found[0] + 1 + self._size - 1) // self._size

    @property
    def _is_of_rows(self) -> bool:
        """Whether the cursor is a field of the last row, and of no other list."""
        outer, bracket, _ = str(self._said.get("cursor_path", "")).partition("[")
        return bool(bracket) and outer.rstrip(".") == (self._each.selector or "$")

    @property
    def _row_path(self) -> str:
        return row_cursor(self._each)

    def rows(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows of the page."""
        if self._kind == "single_page":
            return rows
        start = self.page(rows) * self._size
        return rows[start : start + self._size]

    def answer(self, rows: Sequence[Row], shown: Sequence[Row]) -> Answer:
        """The page, with what leads to the next one."""
        selector = self._each.selector or "$"
        content: Any = shown[0] if self._is_single else list(shown)
        body = content if selector == "$" else _wrapped(selector, content)
        number = self.page(rows)
        more = self._kind != "single_page" and (number + 1) * self._size < len(rows)
        for failure in self._each.failures:
            if isinstance(failure.get("equals"), bool):
                put(body, failure["json_path"], not failure["equals"])
            elif failure.get("exists") is False:
                put(body, failure["json_path"], "here")
        headers = self._lead(body, rows, number, more)
        return Answer(200, body, headers)

    def _lead(self, body: Any, rows: Sequence[Row], number: int, more: bool) -> dict[str, str]:
        pages = -(-len(rows) // self._size)
        if path := self._said.get("has_more_path"):
            put(body, path, more)
        if path := self._said.get("total_path"):
            put(body, path, pages if self._kind == "page_number" else len(rows))
        link = f"{self._url}?{urlencode({**self._query, NEXT: [number + 1]}, doseq=True)}"
        match self._kind:
            case "header_link" if more:
                return {"Link": f'<{link}>; rel="{self._said["links_next_key"]}"'}
            case "auto" if more:
                return {"Link": f'<{link}>; rel="next"'}
            case "link_results":
                return {"Link": f'<{link}>; rel="next"; results="{str(more).lower()}"'}
            case "header_cursor" if more:
                return {self._said["cursor_key"]: f"cursor-{number + 1}"}
            case "json_link":
                put(body, self._said["next_url_path"], link if more else None)
            case "json_link_until":
                # These vendors always send one.
                put(body, self._said["next_url_path"], link)
            case "cursor" if not self._is_of_rows and (more or self._ends_empty):
                put(body, self._said["cursor_path"], f"cursor-{number + 1}")
        return {}

    @property
    def _ends_empty(self) -> bool:
        return bool(self._said.get("stop_after_empty_page")) and not self._said.get("has_more_path")


def _wrapped(selector: str, content: Any) -> dict[str, Any]:
    """An answer in which the selector leads to the content, or to each of its rows."""
    body: dict[str, Any] = {}
    outer, is_each, inner = selector.partition("[*]")
    if is_each and inner:
        holders: list[dict[str, Any]] = [{} for _ in content]
        for holder, row in zip(holders, content, strict=True):
            put(holder, inner, row)
        content = holders
    put(body, outer, content)
    return body

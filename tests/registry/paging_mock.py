"""A vendor on loopback, made of an entry and its vendor's description: it pages, filters, and is strict."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote, urlsplit

from dango.conversions import moment
from dango.registry.entry import Entry
from tests.registry.asking import paging_params, parents_of, pattern, starts, unlike, unlike_body
from tests.registry.declared import START, Declared
from tests.registry.description import Description, Operation, Shape
from tests.registry.pager import NEXT, PAGE, PAGES, Answer, Pager, Refused, row_cursor
from tests.registry.rows import Row, Rows, get, put, renew, written_at
from tests.registry.static_check import operation_of, row_of
from tests.registry.wire import body_differences, credential_place, query_differences

SLACK = 20


@dataclass(frozen=True)
class Asked:
    """A request that was answered with rows."""

    resource: str
    page: int
    starts: tuple[str, ...]
    """What came in place of `{incremental.start_value}`."""


class Vendor:
    """The server: `with Vendor(entry, descriptions) as vendor: vendor.open(resources)`, then requests to `vendor.url`.

    After `advance()` a load finds one more row in each list, and one that has changed.
    """

    def __init__(self, entry: Entry, descriptions: Sequence[Description]) -> None:
        self._entry = entry
        self._descriptions = descriptions
        self._lock = threading.Lock()
        self._rows = Rows()
        self._lists: dict[tuple[str, tuple[str, ...]], list[Row]] = {}
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.token = "minted-4f1c9a7e2b8d"
        self.asked: list[Asked] = []
        self.refused: list[str] = []
        self.served: dict[str, dict[tuple[Any, ...], Row]] = {}
        self.budget = 0
        self.spent = 0

    def __enter__(self) -> Vendor:
        self._thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def open(self, resources: Sequence[Declared]) -> None:
        """Serves these resources."""
        self._resources = {each.name: each for each in resources}
        self._operations = {each.name: operation_of(each, self._entry, self._descriptions) for each in resources}
        self.begin()

    def begin(self) -> None:
        """Before a load: nothing has been asked yet, and a budget of requests is there to be spent."""
        self.asked, self.refused, self.served = [], [], {name: {} for name in self._resources}
        self.spent = 0
        self.budget = 2 * sum(self._expected(each) for each in self._resources.values()) + SLACK

    def advance(self) -> None:
        """Time goes by: every list gets a row, and where rows may change one of them does."""
        for (name, _), rows in self._lists.items():
            each = self._resources[name]
            if self._is_single(each):
                continue
            if each.write_disposition != "append" and each.cursor:
                renew(each, rows[0], self._shape(each), len(rows) + 1)
            rows.append(self._row(each, len(rows) + 2))

    def cursors(self, each: Declared) -> list[Any]:
        """The cursors of the rows that a load was served."""
        if not each.cursor or each.cursor in each.columns_from_parent:
            return []
        return [get(row, self._written_at(each, each.cursor)) for row in self.served[each.name].values()]

    # --- what there is ------------------------------------------------------------------------------------------------

    def _shape(self, each: Declared) -> Shape | None:
        operation = self._operations[each.name]
        return row_of(replace(each, processing=()), operation)

    def _written_at(self, each: Declared, field: str) -> str:
        return written_at(each, field, self._shape(each))

    def _row(self, each: Declared, age: float) -> Row:
        children = [other for other in self._resources.values() if other.parent == each.name]
        needed = [name for child in children for name in (*(name for _, name in child.parents), *child.from_parent)]
        # A page goes on behind its last row, which must be told from the others.
        needed += [name for name in [row_cursor(each)] if name]
        return self._rows.row(each, self._shape(each), needed, age)

    def size(self, each: Declared) -> int:
        """Rows on a page: fewer where there are children of children, which would need too many requests."""
        if each.paginator["type"] == "offset":
            return int(each.paginator["limit"])
        depth, below = 0, {each.name}
        while below := {other.name for other in self._resources.values() if other.parent in below}:
            depth += 1
        return PAGE if depth + (each.parent is not None) <= 1 else 1

    def _expected(self, each: Declared) -> int:
        parents = self._resources[each.parent] if each.parent else None
        lists = self._total(parents) if parents else 1
        return lists * (PAGES + 2)

    def _total(self, each: Declared) -> int:
        outer = self._total(self._resources[each.parent]) if each.parent else 1
        return outer * (self.size(each) * PAGES + 1)

    def _list(self, each: Declared, place: tuple[str, ...]) -> list[Row]:
        key = (each.name, place)
        if key not in self._lists:
            number = 1 if self._is_single(each) else self.size(each) * PAGES
            self._lists[key] = [self._row(each, age + 1) for age in range(number)]
        return self._lists[key]

    def _is_single(self, each: Declared) -> bool:
        """Whether the vendor answers with one thing, and no list."""
        operation = self._operations[each.name]
        if each.paginator["type"] != "single_page" or not operation or not each.selector:
            return False
        answer = operation.response.at(each.selector)
        return answer is not None and bool(answer.properties) and answer.items is None

    # --- a request ----------------------------------------------------------------------------------------------------

    def answer(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """What a request is answered with."""
        url = urlsplit(target)
        query = dict(parse_qs(url.query, keep_blank_values=True))
        with self._lock:
            self.spent += 1
            try:
                if self.spent > self.budget:
                    raise Refused(410, f"more than {self.budget} requests: the pages do not end")
                if method == "POST" and url.path in self._token_paths():
                    return self._minted(headers, body)
                sent = read_body(body, headers.get("Content-Type") or "")
                return self._page(
                    self._asked_for(method, unquote(url.path), query, sent), url.path, query, headers, sent
                )
            except Refused as refusal:
                self.refused.append(f"{refusal.status} {method} {target}: {refusal}")
                return self._refusal(refusal)

    def _refusal(self, refusal: Refused) -> Answer:
        failures = [failure for each in self._resources.values() for failure in each.failures]
        if refusal.status == 401 and failures and "equals" in failures[0]:
            # Such vendors answer 200 to everything.
            said: dict[str, Any] = {}
            put(said, failures[0]["json_path"], failures[0]["equals"])
            if failures[0].get("message_path"):
                put(said, failures[0]["message_path"], "invalid_auth")
            return Answer(200, said)
        return Answer(refusal.status, {"error": str(refusal)})

    def _asked_for(
        self, method: str, path: str, query: Mapping[str, Sequence[str]], body: Any
    ) -> tuple[Declared, tuple[str, ...]]:
        """The resource, and which parent's rows of it. Several may share a path: the one that wants most is meant."""
        reasons: list[str] = []
        fitting: list[tuple[Declared, tuple[str, ...]]] = []
        for each in self._resources.values():
            found = re.fullmatch(pattern(each.path), path)
            if not found or each.method != method:
                continue
            wrong = [*unlike(each, query), *unlike_body(each, body)]
            reasons += wrong
            if not wrong:
                fitting.append((each, (*found.groups(), *parents_of(each, query, body))))
        if fitting:
            return max(fitting, key=lambda found: len(found[0].params) + len(found[0].json or ()))
        if not reasons:
            raise Refused(404, f"no such path: {method} {path}")
        raise Refused(400 if method == "POST" else 422, "; ".join(dict.fromkeys(reasons)))

    def _page(
        self,
        asked_for: tuple[Declared, tuple[str, ...]],
        path: str,
        query: Mapping[str, Sequence[str]],
        headers: Mapping[str, str],
        body: Any,
    ) -> Answer:
        each, place = asked_for
        self._authorize(each, query, headers)
        self._check(each, query, headers, body)
        begun = tuple(starts(each, query, body))
        rows = [row for row in self._list(each, place) if self._is_new(each, row, begun)]
        if each.incremental.get("row_order") == "desc":
            rows.sort(key=lambda row: moment(get(row, self._written_at(each, each.cursor))), reverse=True)
        pager = Pager(each, self.size(each), f"{self.url}{path}", query, body, is_single=self._is_single(each))
        self.asked.append(Asked(each.name, pager.page(rows), begun))
        shown = pager.rows(rows)
        for row in shown:
            self.served[each.name][self._key(each, row, place)] = row
        return pager.answer(rows, shown)

    def _key(self, each: Declared, row: Row, place: tuple[str, ...]) -> tuple[Any, ...]:
        own = tuple(str(get(row, self._written_at(each, key.replace("__", ".")))) for key in each.key_columns)
        return (*own, *(place if each.columns_from_parent else ())) if own else (id(row),)

    def _is_new(self, each: Declared, row: Row, starts: Sequence[str]) -> bool:
        if not starts or each.cursor in each.columns_from_parent:
            return True
        value = get(row, self._written_at(each, each.cursor))
        return moment(value) >= max(moment(start) for start in starts)

    def _check(self, each: Declared, query: Mapping[str, Sequence[str]], headers: Mapping[str, str], body: Any) -> None:
        """Raises `Refused` for what the vendor's description, or else the entry, has no place for."""
        for name, value in each.headers.items():
            if not START.search(value) and headers.get(name) != value.replace("{{", "{").replace("}}", "}"):
                raise Refused(400, f"the header {name} is {headers.get(name)!r}")
        operation = self._operations[each.name]
        sent = {name: values for name, values in query.items() if name != NEXT}
        if pythonic := [name for name, values in sent.items() if {"True", "False", "None"} & set(values)]:
            raise Refused(422, f"{pythonic[0]} is {sent[pythonic[0]][0]}, which is Python's")
        if operation is None:
            for name in sent.keys() - each.params.keys() - paging_params(each):
                if ("query", name.lower()) != credential_place(each.auth):
                    raise Refused(422, f"unknown parameter {name}")
            return
        wrong = [*query_differences(operation, sent, credential_place(each.auth)), *_body_faults(operation, body)]
        for rule, name, message in wrong:
            if not self._is_waived(each, rule, name):
                raise Refused(422, f"{rule} {name}: {message}")

    def _is_waived(self, each: Declared, rule: str, name: str) -> bool:
        return any(
            waiver.resource == each.name and waiver.rule == rule and waiver.name in ("", name)
            for waiver in self._entry.verify.waive
        )

    # --- who asks -----------------------------------------------------------------------------------------------------

    def _authorize(self, each: Declared, query: Mapping[str, Sequence[str]], headers: Mapping[str, str]) -> None:
        place = credential_place(each.auth)
        if place is None:
            return
        location, name = place
        in_query = {sent.lower(): values[0] for sent, values in query.items()}
        cookies = dict(part.strip().partition("=")[::2] for part in (headers.get("Cookie") or "").split(";"))
        shown = {"header": headers.get(name), "query": in_query.get(name), "cookie": cookies.get(name)}
        if shown[location] != self._credential(each.auth):
            raise Refused(401, "who are you?")

    def _credential(self, auth: Mapping[str, Any]) -> str:
        if auth["type"] == "bearer":
            return f"Bearer {auth['token']}"
        if auth["type"] == "http_basic":
            return basic(auth["username"], auth["password"])
        return str(auth["api_key"]) if auth["type"] == "api_key" else f"Bearer {self.token}"

    def _token_paths(self) -> set[str]:
        urls = [each.auth.get(key) for each in self._resources.values() for key in ("access_token_url", "token_url")]
        return {urlsplit(url).path for url in urls if url}

    def _minted(self, headers: Mapping[str, str], body: bytes) -> Answer:
        form = dict(parse_qsl(body.decode()))
        auth = next(each.auth for each in self._resources.values() if "client_secret" in each.auth)
        client = (auth["client_id"], auth["client_secret"])
        is_known = client == (form.get("client_id"), form.get("client_secret"))
        if not (is_known or headers.get("Authorization") == basic(*client)) or (
            "refresh_token" in auth and form.get("refresh_token") != auth["refresh_token"]
        ):
            raise Refused(401, "who are you?")
        return Answer(200, {"access_token": self.token, "token_type": "Bearer", "expires_in": 3600})


def basic(user: str, password: str) -> str:
    """The header of basic authentication."""
    return "Basic " + b64encode(f"{user}:{password}".encode()).decode()


def read_body(body: bytes, kind: str) -> Any:
    """A body of JSON, or of a form; None where there is none."""
    if not body:
        return None
    if "form" in kind:
        return dict(parse_qsl(body.decode(), keep_blank_values=True))
    try:
        return json.loads(body)
    except ValueError:
        raise Refused(400, "the body is no JSON") from None


def _body_faults(operation: Operation, body: Any) -> Iterator[tuple[str, str, str]]:
    if body is not None and operation.body is not None:
        yield from body_differences(operation.body, body)


def _handler(vendor: Vendor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply()

        def do_POST(self) -> None:
            self._reply()

        def _reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            answer = vendor.answer(self.command, self.path, self.headers, body)  # type: ignore[arg-type]
            data = json.dumps(answer.body).encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    return Handler

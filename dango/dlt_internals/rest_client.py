"""Requests of dlt's REST client, kept to the hosts that a source may ask.

Its one name that is not documented is `RESTClient._send_request`, through which every request passes: the first one,
those of paginators, and those that code of a source makes. Redirects are followed by `requests`, which asks
`Session.get_redirect_target` for each where it leads.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

from dlt.sources.helpers.rest_client.client import RESTClient
from requests import Request, Response, Session
from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from dango.errors import DangoError

_PORTS = {"http": 80, "https": 443}


class ForeignHost(DangoError):
    """A page or a redirect leads to another host than the source's, or from https down to http."""


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int | None

    def __str__(self) -> str:
        port = "" if self.port == _PORTS.get(self.scheme) else f":{self.port}"
        return f"{self.scheme}://{self.host}{port}"


def keep_to(allowed: Sequence[str]) -> None:
    """From here on the REST clients of this process ask the host of their `base_url`, and these.

    Args:
        allowed: further hosts: `files.example.com`, `*.example.com`, with a port where it is not the usual one.

    Raises:
        ForeignHost: not here, but by what asks another host; nothing was sent there.
    """
    send = functools.partialmethod(_send, _SEND, tuple(allowed))
    # Every client of the process, also those that code of a source makes: there is no setting for all of them.
    RESTClient._send_request = send  # type: ignore[method-assign,assignment]


_SEND = RESTClient._send_request


def _send(
    self: RESTClient,
    send: Callable[..., Response],
    allowed: Sequence[str],
    request: Request,
    **options: Any,
) -> Response:
    home = _home(self, str(request.url))
    _require(home, str(request.url), allowed)
    with _redirects(self.session, lambda target: _require(home, target, allowed)):
        return send(self, request, **options)


def _home(client: RESTClient, url: str) -> _Origin:
    """Where the client belongs: a client without a base belongs where it asked first."""
    base = client.base_url or ""
    if not urlsplit(base).hostname:
        base = vars(client).setdefault("_dango_first", url)
    return _origin(base)


def _origin(address: str) -> _Origin:
    """Whom an address asks. `requests` reads it in two ways, and where they differ it is nobody's own host."""
    try:
        url, other = urlsplit(address), parse_url(address)
        scheme, host, port = url.scheme.lower(), (url.hostname or "").lower(), url.port
    except (ValueError, LocationParseError):
        return _Origin("", address, None)
    theirs = (other.host or "").strip("[]").lower()
    if (host, port) != (theirs, other.port):
        return _Origin(scheme, f"{host}:{port} or {theirs}:{other.port}", None)
    return _Origin(scheme, host, port or _PORTS.get(scheme))


def _require(home: _Origin, url: str, allowed: Sequence[str]) -> None:
    there = _origin(url)
    if there == home:
        return
    if there.scheme != "https" and home.scheme == "https":
        raise ForeignHost(
            f"{home} leads down to {there}; nothing was sent there",
            "what is sent over http can be read on its way; ask the vendor for a link that begins with https",
        )
    if there.host == home.host and (home.port, there.port) == (_PORTS["http"], _PORTS["https"]):
        return
    if not any(_allows(pattern.lower(), there) for pattern in allowed):
        named = there.host if there.port == _PORTS.get(there.scheme) else f"{there.host}:{there.port}"
        raise ForeignHost(
            f"{home} leads to another host, {there}; nothing was sent there",
            "it would get what this source is allowed to see; where it is the vendor's, too, write in sources.yml, in"
            f" the source's block: allowed_hosts: [{named}]",
        )


def _allows(pattern: str, there: _Origin) -> bool:
    host, _, port = pattern.partition(":")
    return fnmatchcase(there.host, host) and there.port == (int(port) if port else _PORTS.get(there.scheme))


@contextmanager
def _redirects(session: Session, require: Callable[[str], None]) -> Iterator[None]:
    """Looks at each redirect that a request of the block meets, before it is followed."""
    if "get_redirect_target" not in vars(session):
        # The session may be the author's own, of any class: it is this one object that asks here.
        session.get_redirect_target = functools.partial(_target, session)  # type: ignore[method-assign]
    before = getattr(_asking, "require", None)
    _asking.require = require
    try:
        yield
    finally:
        _asking.require = before


def _target(session: Session, response: Response) -> str | None:
    found = type(session).get_redirect_target(session, response)
    require = getattr(_asking, "require", None)
    if found is not None and require is not None:
        require(urljoin(response.url, found))
    return found


_asking = threading.local()
"""What each thread requires of where it is led: clients may share a session, and threads a client."""

"""Messages of a mailbox by IMAP: those that came since the last sync. Nothing is marked as read, or changed."""

from __future__ import annotations

import base64
import datetime as dt
import imaplib
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Literal

import dlt
from dlt.sources import DltResource

from dango.connectors.clients import mail
from dango.connectors.places import existing
from dango.errors import SourceError, near
from dango.failed import Failed, guard
from dango.probe import Inspection

SECONDS = 30
UIDS_AT_ONCE = 50_000
MESSAGES_AT_ONCE = 200
BYTES_AT_ONCE = 8 << 20
KEY = ("folder", "uid_validity", "uid")
Security = Literal["tls", "starttls", "none"]
_LISTED = re.compile(rb'\((?P<flags>[^)]*)\) (?:"[^"]*"|NIL) (?P<name>.*)', re.DOTALL)
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


@dataclass(frozen=True, slots=True)
class Mailbox:
    """Where a mailbox is, and who may enter."""

    host: str
    user: str
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    port: int | None = None
    security: Security = "tls"
    ca_file: str | None = None

    @contextmanager
    def opened(self) -> Iterator[imaplib.IMAP4]:
        """A connection that is logged in. Raises `SourceError` for what goes wrong with it."""
        try:
            with self._connected() as connection:
                self._log_in(connection)
                yield connection
        except ssl.SSLError as error:
            raise SourceError(
                f"IMAP, {self.host}: {error.reason or error}", "does `security` fit the port? tls: 993, starttls: 143"
            ) from error
        except OSError as error:
            raise SourceError(
                f"IMAP, {self.host} does not answer: {error}", "are host and port right, and does `security` fit them?"
            ) from error
        except imaplib.IMAP4.error as error:
            raise SourceError(f"IMAP, {self.host}: {_said(error)}") from error

    def _connected(self) -> imaplib.IMAP4:
        context = ssl.create_default_context(
            cafile=str(existing(self.ca_file, "certificate")) if self.ca_file else None
        )
        if self.security == "tls":
            return imaplib.IMAP4_SSL(self.host, self.port or 993, ssl_context=context, timeout=SECONDS)
        connection = imaplib.IMAP4(self.host, self.port or 143, timeout=SECONDS)
        if self.security == "starttls":
            connection.starttls(context)
        return connection

    def _log_in(self, connection: imaplib.IMAP4) -> None:
        try:
            if self.token:
                bearer = f"user={self.user}\1auth=Bearer {self.token}\1\1"
                connection.authenticate("XOAUTH2", lambda _: bearer.encode())
            else:
                connection.login(self.user, self.password or "")
        except imaplib.IMAP4.abort:
            raise
        except imaplib.IMAP4.error as error:
            raise SourceError(
                f"IMAP, {self.host} refuses the login of {self.user}: {_said(error)}",
                "Gmail, iCloud and others want a password that is made for one program (an app password), or a token",
            ) from error


def _said(error: Exception) -> str:
    """imaplib hands on bytes."""
    said = error.args[0] if error.args else error
    return said.decode(errors="replace") if isinstance(said, bytes) else str(said)


def messages(
    host: str,
    user: str,
    password: str | None = None,
    folders: list[str] | None = None,
    token: str | None = None,
    port: int | None = None,
    security: Security = "tls",
    since: dt.date | None = None,
    body: bool = True,
    ca_file: str | None = None,
) -> DltResource:
    """A resource with the messages of folders, by folder and UID.

    Args:
        host: of the IMAP server.
        user: whose mailbox.
        password: of the user.
        folders: which; INBOX where none is said.
        token: an OAuth 2 access token in place of the password.
        port: 993, without TLS 143, where it is not given.
        security: TLS from the beginning, by STARTTLS, or none.
        since: messages that came before that day are left out.
        body: whether texts and the names of attachments are loaded, which needs all of a message.
        ca_file: the certificate authority of the server's certificate.

    Raises:
        SourceError: when the server cannot be reached or refuses, or there is no folder of a name.
    """
    mailbox = Mailbox(host, user, password, token, port, security, ca_file)
    return dlt.resource(
        _messages,
        name="messages",
        primary_key=KEY,
        write_disposition="merge",
        columns={name: {"data_type": "json"} for name in (*mail.JSON, "flags")},
    )(mailbox, folders or ["INBOX"], since, body)


def _messages(
    mailbox: Mailbox, folders: list[str], since: dt.date | None, body: bool
) -> Iterator[list[dict[str, Any] | Failed]]:
    positions: dict[str, dict[str, int]] = dlt.current.resource_state().setdefault("folders", {})
    # A table that is written anew wants all messages, loaded before or not.
    anew = dlt.current.resource().write_disposition == "replace"
    with mailbox.opened() as connection:
        for folder in folders:
            validity = _entered(connection, folder)
            known = positions.get(folder, {})
            # Where it differs, the server has numbered the folder anew.
            last = known["uid"] if known.get("uid_validity") == validity and not anew else 0
            place = {"folder": folder, "uid_validity": validity}
            for uids in _portions(connection, _newer(connection, last, since)):
                yield list(_rows(connection, place, uids, body))
                positions[folder] = {"uid_validity": validity, "uid": uids[-1]}


def _entered(connection: imaplib.IMAP4, folder: str) -> int:
    """Opens a folder without the right to change it. Its UIDs are valid as long as this number stays the same."""
    written = '"{}"'.format(_encoded(folder).replace("\\", "\\\\").replace('"', '\\"'))
    done, said = connection.select(written, readonly=True)
    if done != "OK":
        names = _folders(connection)
        raise SourceError(
            f"there is no folder `{folder}`{near(folder, names)}: {_text(said)}",
            f"its folders: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}",
        )
    _, [validity] = connection.response("UIDVALIDITY")
    return int(validity or 0)


def _folders(connection: imaplib.IMAP4) -> list[str]:
    """The folders that hold messages, as people read their names."""
    names = []
    for line in _ok(connection.list()):
        # A name with quotes in it comes by itself.
        head, literal = (line[0], line[1]) if isinstance(line, tuple) else (line, None)
        found = _LISTED.match(head or b"")
        if found and rb"\noselect" not in found["flags"].lower():
            name = literal if literal is not None else _unquoted(found["name"])
            names.append(_decoded(name.decode()))
    return names


def _unquoted(name: bytes) -> bytes:
    return re.sub(rb"\\(.)", rb"\1", name[1:-1]) if name.startswith(b'"') else name


def _ok(answer: tuple[str, list[Any]]) -> list[Any]:
    if answer[0] != "OK":
        raise imaplib.IMAP4.error(_text(answer[1]))
    return answer[1]


def _text(said: list[Any]) -> str:
    return b" ".join(part for part in said if isinstance(part, bytes)).decode(errors="replace")


def _newer(connection: imaplib.IMAP4, last: int, since: dt.date | None) -> Iterator[int]:
    """The UIDs of newer messages, in order; as many at once as fit into a line that imaplib takes."""
    _, [following] = connection.response("UIDNEXT")
    end = int(following or 0) - 1
    windows = [f"{first}:{min(first + UIDS_AT_ONCE - 1, end)}" for first in range(last + 1, end + 1, UIDS_AT_ONCE)]
    day = ["SINCE", f"{since.day}-{_MONTHS[since.month - 1]}-{since.year}"] if since else []
    for window in windows:
        found = b" ".join(part for part in _ok(connection.uid("SEARCH", "UID", window, *day)) if part)
        yield from sorted(map(int, found.split()))


def _portions(connection: imaplib.IMAP4, uids: Iterator[int]) -> Iterator[list[int]]:
    """UIDs of as many messages as fit into memory together, in order."""
    portion: list[int] = []
    size = 0
    while page := list(islice(uids, MESSAGES_AT_ONCE)):
        sizes = {
            _number("UID", head): _number("RFC822.SIZE", head) for head, _ in _fetched(connection, page, "RFC822.SIZE")
        }
        for uid in page:
            if portion and (size + sizes.get(uid, 0) > BYTES_AT_ONCE or len(portion) == MESSAGES_AT_ONCE):
                yield portion
                portion, size = [], 0
            portion.append(uid)
            size += sizes.get(uid, 0)
    if portion:
        yield portion


def _fetched(connection: imaplib.IMAP4, uids: list[int], what: str) -> Iterator[tuple[str, bytes]]:
    """What a server says of each message, and the message itself if it was asked for."""
    lines = _ok(connection.uid("FETCH", ",".join(map(str, uids)), f"(UID {what})"))
    for number, line in enumerate(lines):
        if isinstance(line, tuple):
            # Some say the UID before the message, some behind it.
            after = lines[number + 1] if number + 1 < len(lines) else b""
            yield (line[0] + (after if isinstance(after, bytes) else b"")).decode(errors="replace"), line[1]
        elif line and b"(" in line:
            yield line.decode(errors="replace"), b""


def _number(name: str, head: str) -> int:
    found = re.search(rf"\b{re.escape(name)} (\d+)", head)
    return int(found[1]) if found else 0


def _rows(
    connection: imaplib.IMAP4, place: Mapping[str, Any], uids: list[int], body: bool
) -> Iterator[dict[str, Any] | Failed]:
    part = "BODY.PEEK[]" if body else "BODY.PEEK[HEADER]"
    for head, raw in _fetched(connection, uids, f"INTERNALDATE FLAGS RFC822.SIZE {part}"):
        if not raw:
            continue  # a change of flags that the server tells unasked
        known = {
            **place,
            "uid": _number("UID", head),
            "received": _received(head),
            "flags": [flag.decode() for flag in imaplib.ParseFlags(head.encode())],
            "size": _number("RFC822.SIZE", head),
        }
        # Mail is written by all kinds of programs, and `email` stumbles over some of it.
        with guard(known, f"{place['folder']}/{known['uid']}"):
            message = mail.message(raw)
            yield {**known, **mail.headers(message), **(mail.contents(message) if body else {})}


def _received(head: str) -> dt.datetime | None:
    parsed = imaplib.Internaldate2tuple(head.encode())
    return dt.datetime.fromtimestamp(time.mktime(parsed), dt.timezone.utc) if parsed else None


def _decoded(name: str) -> str:
    """A folder's name as people write it; IMAP has a UTF-7 of its own."""
    return re.sub(r"&([^-]*)-", lambda found: _from_utf7(found[1]) if found[1] else "&", name)


def _from_utf7(text: str) -> str:
    return f"+{text.replace(',', '/')}-".encode().decode("utf-7")


def _encoded(name: str) -> str:
    return re.sub(r"[^\x20-\x7e]+", _to_utf7, name.replace("&", "&-"))


def _to_utf7(found: re.Match[str]) -> str:
    text = base64.b64encode(found[0].encode("utf-16-be")).decode().rstrip("=").replace("/", ",")
    return f"&{text}-"


def inspect(
    host: str,
    user: str,
    password: str | None = None,
    token: str | None = None,
    port: int | None = None,
    security: Security = "tls",
    ca_file: str | None = None,
    **_: Any,
) -> Inspection:
    """Asks a mailbox for its folders. Raises `SourceError`."""
    with Mailbox(host, user, password, token, port, security, ca_file).opened() as connection:
        return Inspection(server=f"IMAP, {host}", user=user, choices={"folders": tuple(_folders(connection))})

"""MongoDB's wire protocol on the loopback, for the real driver; mongomock answers what is asked.

No mongod can be installed from the registries that tests use. What stands here is the framing (OP_MSG), cursors with
their batches, SCRAM-SHA-256 and TLS; which documents a query finds, and in which form, is mongomock's.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socketserver
import ssl
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count, islice
from typing import Any

import bson
import mongomock
from pymongo.saslprep import saslprep

OP_MSG = 2013
ROUNDS = 4096
Document = dict[str, Any]


class Refused(Exception):
    """An answer with `ok: 0`."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.answer = {"ok": 0.0, "code": code, "errmsg": message}


class Server(socketserver.ThreadingTCPServer):
    """What is stored, who may enter, and what was asked."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, password: str = "", tls: ssl.SSLContext | None = None) -> None:
        super().__init__(("127.0.0.1", 0), Connection)
        self.stored: Any = mongomock.MongoClient()
        self.password = password
        self.tls = tls
        self.asked: list[Document] = []
        self.cursors: dict[int, Iterator[Document]] = {}
        self.numbers = count(1)
        self.batches_left: int | None = None
        """After so many further batches the server goes down; None: never."""

    @property
    def url(self) -> str:
        """The connection string, without user and password."""
        return f"mongodb://127.0.0.1:{self.server_address[1]}/"

    def finds(self, collection: str) -> list[Document]:
        """The queries that a collection was asked, the oldest first."""
        return [command["filter"] for command in self.asked if command.get("find") == collection]


class Connection(socketserver.StreamRequestHandler):
    """One connection: messages in, answers out."""

    server: Server
    proof: Any = None
    entered = False

    def setup(self) -> None:
        if self.server.tls:
            self.request = self.server.tls.wrap_socket(self.request, server_side=True)
        super().setup()

    def handle(self) -> None:
        while len(head := self.rfile.read(16)) == 16:
            length, number, _, kind = struct.unpack("<iiii", head)
            body = self.rfile.read(length - 16)
            command = bson.decode(body[5:] if kind == OP_MSG else body[body.index(b"\0", 4) + 9 :])
            try:
                answer = {"ok": 1.0, **self.answer(command)}
            except Refused as refused:
                answer = refused.answer
            self.wfile.write(_message(kind, number, bson.encode(answer)))

    def answer(self, command: Document) -> Document:
        name = next(iter(command))
        if name.lower() in ("hello", "ismaster"):
            return _hello(bool(self.server.password))
        if name in ("saslStart", "saslContinue"):
            return self._login(command)
        if self.server.password and not self.entered:
            raise Refused(13, f"command {name} requires authentication")
        self.server.asked.append(command)
        return getattr(self, f"_{name}", lambda _: {})(command)  # type: ignore[no-any-return]

    def _login(self, command: Document) -> Document:
        if self.proof is None:
            self.proof = _scram(self.server.password)
        said = self.proof.send(command["payload"].decode()) if next(iter(command)) == "saslContinue" else None
        if said is None:
            next(self.proof)
            said = self.proof.send(command["payload"].decode())
        self.entered = said.startswith("v=")
        return {"conversationId": 1, "done": self.entered, "payload": said.encode()}

    def _buildinfo(self, command: Document) -> Document:
        return {"version": "8.0.0"}

    def _listDatabases(self, command: Document) -> Document:  # noqa: N802 - the command's name
        return {"databases": [{"name": name} for name in self.server.stored.list_database_names()]}

    def _listCollections(self, command: Document) -> Document:  # noqa: N802
        names = self.server.stored[command["$db"]].list_collection_names()
        found = [{"name": name, "type": "collection"} for name in names]
        return {"cursor": {"id": 0, "ns": f"{command['$db']}.$cmd.listCollections", "firstBatch": found}}

    def _count(self, command: Document) -> Document:
        return {"n": self.server.stored[command["$db"]][command["count"]].estimated_document_count()}

    def _find(self, command: Document) -> Document:
        collection = self.server.stored[command["$db"]][command["find"]]
        found = collection.find(command.get("filter"), command.get("projection"), limit=command.get("limit", 0))
        number = next(self.server.numbers)
        self.server.cursors[number] = iter(found)
        return self._batch(number, command["find"], command, "firstBatch")

    def _getMore(self, command: Document) -> Document:  # noqa: N802
        return self._batch(command["getMore"], command["collection"], command, "nextBatch")

    def _batch(self, number: int, collection: str, command: Document, name: str) -> Document:
        if self.server.batches_left is not None:
            if not self.server.batches_left:
                raise Refused(11600, "interrupted at shutdown")
            self.server.batches_left -= 1
        size = command.get("batchSize", 101)
        batch = list(islice(self.server.cursors[number], size))
        more = len(batch) == size and not command.get("singleBatch")
        return {"cursor": {"id": number if more else 0, "ns": f"{command['$db']}.{collection}", name: batch}}


def _hello(asks_password: bool) -> Document:
    found: Document = {
        "isWritablePrimary": True, "ismaster": True, "helloOk": True, "minWireVersion": 0, "maxWireVersion": 21,
        "maxBsonObjectSize": 1 << 24, "maxMessageSizeBytes": 48_000_000, "maxWriteBatchSize": 100_000,
    }  # fmt: skip
    return found | ({"saslSupportedMechs": ["SCRAM-SHA-256"]} if asks_password else {})


def _message(kind: int, number: int, document: bytes) -> bytes:
    # The first question of a connection may be an OP_QUERY, whose answer is an OP_REPLY.
    body = b"\0\0\0\0\0" + document if kind == OP_MSG else struct.pack("<iqii", 8, 0, 0, 1) + document
    return struct.pack("<iiii", 16 + len(body), 0, number, OP_MSG if kind == OP_MSG else 1) + body


def _scram(password: str) -> Iterator[Any]:
    """The server's side of RFC 7677: takes what the client says, gives the answer."""
    first = yield
    bare = first.split(",", 2)[2]
    nonce, salt = bare.split("r=", 1)[1] + secrets.token_urlsafe(18), secrets.token_bytes(16)
    answer = f"r={nonce},s={base64.b64encode(salt).decode()},i={ROUNDS}"
    last = yield answer
    without, _, proof = last.rpartition(",p=")
    salted = hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, ROUNDS)
    key = _signed(salted, "Client Key")
    whole = f"{bare},{answer},{without}"
    signature = _signed(hashlib.sha256(key).digest(), whole)
    given = bytes(a ^ b for a, b in zip(base64.b64decode(proof), signature, strict=True))
    if not hmac.compare_digest(given, key):
        raise Refused(18, "Authentication failed.")
    yield "v=" + base64.b64encode(_signed(_signed(salted, "Server Key"), whole)).decode()


def _signed(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


@contextmanager
def serving(stored: Mapping[str, list[Document]] | None = None, **options: Any) -> Iterator[Server]:
    """A server whose database `shop` holds these collections."""
    with Server(**options) as server:
        for name, documents in (stored or {}).items():
            server.stored.shop[name].insert_many(documents)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield server
        finally:
            server.shutdown()

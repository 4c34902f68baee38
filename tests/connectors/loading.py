"""What the tests of single sources have in common: a `sources.yml` with one of them, and what a sync of it loaded."""

from __future__ import annotations

import datetime as dt
import ipaddress
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.conftest import Said

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]


def source(kind: str, fields: dict[str, Any], resources: Any = None) -> str:
    """The file with one source, `shop`, of an entry's type."""
    chosen = {"resources": resources} if resources else {}
    return json.dumps({"version": 1, "sources": [{"name": "shop", "type": kind, **chosen, kind: fields}]})


def loaded(said: Said) -> dict[str, int]:
    """How many rows a sync loaded into each table."""
    assert said.code == 0, said.err
    (result,) = said.json["results"]
    return {table["name"]: table["rows"] for table in result["tables"] if table["rows"]}


def closed_port() -> int:
    """A port of 127.0.0.1 at which nobody answers."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    folder.mkdir(parents=True, exist_ok=True)
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = dt.datetime.now(dt.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "server.crt", folder / "server.key"
    paths[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths

"""A Google service account of the tests', and the token endpoint that takes its signature."""

from __future__ import annotations

import functools
import json
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.connectors.vendor import Answer, Asked


@functools.cache
def _key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(url: str) -> str:
    """The JSON of a service account whose tokens are given out at this address."""
    private = _key().private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return json.dumps(
        {"client_email": "robot@shop.iam", "private_key": private.decode(), "token_uri": f"{url}/token"}
    )  # fmt: skip


def token(asked: Asked, scope: str) -> Any:
    """What the token endpoint answers to a statement that is signed with that key, and asks for this scope."""
    claims = jwt.decode(asked.form["assertion"], _key().public_key(), ["RS256"], options={"verify_aud": False})
    if claims["scope"] != scope:
        return Answer({"error": "invalid_scope"}, 400)
    return {"access_token": "granted", "expires_in": 3599}


def refused(message: str, status: int, reason: str) -> Answer:
    """An error as Google words it."""
    return Answer({"error": {"code": status, "message": message, "status": reason}}, status)

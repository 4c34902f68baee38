"""A Google service account, against a token endpoint on the loopback that checks the signature."""

from __future__ import annotations

import json

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dango.connectors.rest import rest_api
from dango.errors import TokenError
from tests.connectors.test_oauth import failure, read
from tests.connectors.vendor import vendor


@pytest.fixture(scope="module")
def key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def key_file(key, url):
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    return {
        "type": "service_account", "client_email": "robot@shop.iam", "private_key_id": "k1", "private_key": private,
        "token_uri": f"{url}/token",
    }  # fmt: skip


def google(url, credentials, scopes=("https://scope/a", "https://scope/b")):
    auth = {"type": "google_service_account", "credentials": credentials, "scopes": list(scopes)}
    return rest_api(
        {
            "client": {"base_url": url, "paginator": "single_page", "auth": auth},
            "resources": [{"name": "a", "endpoint": {"data_selector": "$"}}],
        },
        "sheets",
    )


@pytest.mark.parametrize("form", [json.dumps, dict])
def test_a_service_account_signs_for_its_token(key, form):
    claims = []

    def answer(asked):
        if asked.path == "/token":
            assert asked.form["grant_type"] == "urn:ietf:params:oauth:grant-type:jwt-bearer"
            signed = asked.form["assertion"]
            claims.append(jwt.decode(signed, key.public_key(), ["RS256"], audience=f"{server.url}/token"))
            claims.append(jwt.get_unverified_header(signed)["kid"])
            return {"access_token": "granted", "expires_in": 3599}
        return [{"id": asked.headers["Authorization"]}]

    with vendor(answer) as server:
        assert read(google(server.url, form(key_file(key, server.url)))) == ["Bearer granted"]
    assert claims[0]["iss"] == "robot@shop.iam"
    assert claims[0]["scope"] == "https://scope/a https://scope/b"
    assert claims[0]["exp"] - claims[0]["iat"] == 3600
    assert "sub" not in claims[0]
    assert claims[1] == "k1"


@pytest.mark.parametrize(
    ("credentials", "said"),
    [
        ("s3cret", "`credentials` is not JSON"),
        ("[]", "`credentials` is no mapping"),
        ('{"private_key": "s3cret"}', "`credentials` lacks client_email, token_uri"),
        ({"client_email": "x", "token_uri": "http://127.0.0.1:9", "private_key": "s3cret"}, "private key"),
    ],
)
def test_a_key_file_that_is_none_is_told_without_its_content(credentials, said):
    error = failure(google("http://127.0.0.1:9", credentials))
    assert isinstance(error, TokenError)
    assert said in str(error)
    assert "s3cret" not in f"{error} {error.hint}"

"""getdango's `rest_api` as dango's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dango.imports.ledger import Part
from dango.imports.settings import Reading

_AUTH = {"bearer": "bearer", "api_key": "api_key", "basic": "http_basic", "oauth2": "oauth2_client_credentials"}
_NAMES = {
    "auth_token": "token",
    "api_key_name": "api_key_name",
    "auth_header_name": "api_key_name",
    "api_key_location": "api_key_location",
    "basic_username": "username",
    "basic_password": "password",
    "access_token_url": "token_url",
    "client_id": "client_id",
    "client_secret": "client_secret",
}
_PAGINATORS = {"auto": "auto", "none": "single_page", "header_link": "header_link"}
_SECRET = ("token", "api_key", "password", "client_secret")


def block(
    body: Part, values: Mapping[str, Any], keys: Mapping[str, str], reading: Reading
) -> tuple[dict[str, Any], dict[str, Any]]:
    """dango's block, and its section of secrets.toml.

    Args:
        body: getdango's block.
        values: its parameters, by their names without `_env`.
        keys: by such a name the key in the file.
        reading: how its values are read.
    """
    made: dict[str, Any] = {"base_url": reading.text(body.needed("base_url"), body.at("base_url"))}
    secrets: dict[str, Any] = {}
    kind = body.text("auth_type") or ("bearer" if "auth_token" in values else "none")
    made["auth"] = _AUTH.get(kind.lower(), "none")
    if kind.lower() not in (*_AUTH, "none"):
        body.note(
            "auth_type",
            "this way of signing in has no name here",
            "`auth:` of the source: dango registry show rest_api",
        )
    for theirs, ours in _NAMES.items():
        if theirs not in values:
            continue
        body.take(keys[theirs])
        field = "api_key" if ours == "token" and made["auth"] == "api_key" else ours
        apart = field in _SECRET and keys[theirs] == theirs
        (secrets if apart else made)[field] = values[theirs]
    headers = reading.settings(body, "headers")
    if headers.plain:
        made["headers"] = headers.plain
    for key in headers.secrets:
        body.part("headers").note(key, "a secret, and `headers:` has no place for one", "`auth: api_key` of the source")
    made["endpoints"] = [_endpoint(each, reading) for each in body.parts("endpoints")]
    return made, secrets


def _endpoint(part: Part, reading: Reading) -> dict[str, Any]:
    """An endpoint as a resource of dlt's rest_api; getdango merges by `id` where nothing is said."""
    path = part.needed("path")
    endpoint: dict[str, Any] = {"path": path}
    if selector := part.text("data_selector"):
        endpoint["data_selector"] = selector
    params = reading.settings(part, "params")
    if params.plain:
        endpoint["params"] = params.plain
    for key in params.secrets:
        part.part("params").note(key, "a secret, and `params:` has no place for one", "`auth: api_key` of the source")
    paginator = part.part("paginator")
    if paginator.value:
        kind = paginator.text("type")
        if kind in _PAGINATORS:
            endpoint["paginator"] = _PAGINATORS[kind]
        else:
            paginator.refuse(
                "how the next page is asked for", "`paginator:` of the endpoint, as dlt's rest_api takes it"
            )
    key = part.take("primary_key") or "id"
    return {
        "name": part.text("name") or path.strip("/").rpartition("/")[2],
        "primary_key": key,
        "write_disposition": part.text("write_disposition") or "merge",
        "endpoint": endpoint,
    }

"""Authentication with tokens that are obtained anew: OAuth2 with a refresh token, Google service accounts.

A vendor that rotates refresh tokens takes each only once. The next one is therefore on the disk before anything is
done with the access token that came with it, and two processes never refresh at the same time.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from dlt.sources.helpers.requests import Client
from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from requests import PreparedRequest, Response

from dango.errors import DangoError, MissingPackage, NoTokenStore, TokenError
from dango.files import replace_text
from dango.lock import lock
from dango.project import NODE_VARIABLE, STATE_VARIABLE
from dango.secrets import Mask

SENDS = ("body", "basic")
STORE_VARIABLE = "DANGO_TOKENS"
_DEFAULT_LIFE = 3600.0
_LONGEST_MARGIN = 60.0
# A refresh is one request, which may be repeated for a while; who waits longer waits for a process that hangs.
_LOCK_SECONDS = 120.0


class Renewed(AuthConfigBase):
    """A bearer token that is obtained when it is first needed, and again when it expires or is refused (401)."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._token = ""
        self._until = 0.0
        # It has no fields; unresolved, dlt would look for some in its configuration.
        self.resolve()

    def __deepcopy__(self, memo: Any) -> Renewed:
        """Itself: dlt copies a whole configuration to validate it, and there is one token for all."""
        return self

    def obtain(self) -> Mapping[str, Any]:
        """Asks the vendor for a token: its answer, with `access_token` and perhaps `expires_in` in seconds."""
        raise NotImplementedError

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Puts the token into a request, and looks at what is answered."""
        request.headers["Authorization"] = f"Bearer {self._valid()}"
        request.register_hook("response", self._once_more)
        return request

    def _valid(self, refused: str = "") -> str:
        with self._turn:
            # Another thread may have renewed it while this one waited.
            if self._token == refused or time.monotonic() >= self._until:
                answer = self.obtain()
                life = _seconds(answer.get("expires_in"))
                self._token = answer["access_token"]
                self._until = time.monotonic() + life - min(_LONGEST_MARGIN, life / 10)
            return self._token

    def _once_more(self, response: Response, **sending: Any) -> Response:
        _, bearer, refused = str(response.request.headers.get("Authorization", "")).partition("Bearer ")
        # Redirected to another host, a request bears no token any more, and is to get none.
        if response.status_code != 401 or not bearer:
            return response
        again = response.request.copy()
        again.headers["Authorization"] = f"Bearer {self._valid(refused)}"
        response.content  # noqa: B018 - read to its end, so that the connection can be used again
        response.close()
        second: Response = response.connection.send(again, **sending)
        second.history.append(response)
        return second


class OAuth2Refresh(Renewed):
    """OAuth2 with a refresh token, which the vendor may replace with each use."""

    def __init__(
        self,
        source: str,
        *,
        token_url: str,
        client_id: str,
        client_secret: str,
        refresh_token: str,
        send: str = "body",
        scope: str | None = None,
        rotates: bool = True,
    ) -> None:
        if send not in SENDS:
            raise ValueError(f"`send` is one of {', '.join(SENDS)}")
        super().__init__()
        self._source = source
        self._url = token_url
        # YAML makes numbers of what looks like one.
        self._client = (str(client_id), str(client_secret))
        self._configured = str(refresh_token)
        self._basic = send == "basic"
        self._scope = scope
        self._rotates = rotates

    def obtain(self) -> Mapping[str, Any]:
        """Exchanges the refresh token; keeps the one that comes in its place.

        Raises:
            TokenError: when the vendor refuses, or the stored tokens cannot be read.
            NoTokenStore: where a rotated token would not last; nothing was asked for then.
            Held: when another process keeps refreshing.
        """
        if not self._rotates:
            return self._exchange(self._configured)
        folder = token_folder(os.environ, Path("/.dockerenv").exists())
        file = folder / f"{self._source}.json"
        with lock(folder / f"{self._source}.lock", f"the token of `{self._source}`", _LOCK_SECONDS):
            tokens = _stored(file)
            # By the configured token it descends from: one that is newly configured has no descendant yet.
            origin = hashlib.sha256(self._configured.encode()).hexdigest()
            answer = self._exchange(tokens.get(origin, self._configured))
            if isinstance(rotated := answer.get("refresh_token"), str):
                _store(file, {**tokens, origin: rotated})
        return answer

    def _exchange(self, refresh_token: str) -> Mapping[str, Any]:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        if self._scope:
            form["scope"] = self._scope
        if self._basic:
            return _ask(self._url, form, self._client)
        return _ask(self._url, {**form, "client_id": self._client[0], "client_secret": self._client[1]})


class OAuth2Client(Renewed):
    """OAuth2 without a person: the client's own id and secret are exchanged for an access token."""

    def __init__(self, token_url: str, client_id: str, client_secret: str, *, basic: bool = False) -> None:
        super().__init__()
        self._url = token_url
        self._client = (client_id, client_secret)
        self._basic = basic

    def obtain(self) -> Mapping[str, Any]:
        """Asks for a token. Raises `TokenError`."""
        form = {"grant_type": "client_credentials"}
        if self._basic:
            return _ask(self._url, form, self._client)
        return _ask(self._url, {**form, "client_id": self._client[0], "client_secret": self._client[1]})


class GoogleServiceAccount(Renewed):
    """A Google service account: a statement signed with its key is exchanged for an access token."""

    def __init__(self, source: str, *, credentials: str | Mapping[str, Any], scopes: Sequence[str]) -> None:
        super().__init__()
        self._credentials = credentials
        self._scopes = [scopes] if isinstance(scopes, str) else list(scopes)

    def obtain(self) -> Mapping[str, Any]:
        """Signs and exchanges. Raises `TokenError`, or `MissingPackage` where nothing can sign."""
        try:
            import jwt
        except ModuleNotFoundError as error:
            raise MissingPackage(
                "google_service_account needs a package that is not installed: pyjwt[crypto]",
                'pip install "pyjwt[crypto]"',
            ) from error
        key = self._key()
        now = int(time.time())
        claims = {
            "iss": key["client_email"],
            "scope": " ".join(self._scopes),
            "aud": key["token_uri"],
            "iat": now,
            "exp": now + 3600,
        }
        try:
            signed = jwt.encode(claims, key["private_key"], "RS256", {"kid": key.get("private_key_id", "")})
        except (ValueError, TypeError, jwt.PyJWTError):
            raise TokenError("the private key of the service account cannot be read", _KEY_HINT) from None
        return _ask(
            key["token_uri"], {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": signed}
        )

    def _key(self) -> Mapping[str, Any]:
        given = self._credentials
        try:
            key = json.loads(given) if isinstance(given, str) else given
        except ValueError:
            raise TokenError("`credentials` is not JSON", _KEY_HINT) from None
        if not isinstance(key, Mapping):
            raise TokenError("`credentials` is no mapping", _KEY_HINT)
        missing = [name for name in ("client_email", "private_key", "token_uri") if name not in key]
        if missing:
            raise TokenError(f"`credentials` lacks {', '.join(missing)}", _KEY_HINT)
        return key


_KEY_HINT = "it takes the whole text of the key file that Google gives: IAM > Service accounts > Keys > JSON"


def token_folder(environment: Mapping[str, str], in_container: bool) -> Path:
    """Where rotated tokens are kept: `DANGO_TOKENS`, or among what else the project keeps.

    Args:
        environment: the process's.
        in_container: whether the process runs in one whose files go with it.

    Raises:
        NoTokenStore: where the project's folder does not last (CI, a container) and no other is configured.
    """
    if configured := environment.get(STORE_VARIABLE):
        return Path(configured)
    if configured := environment.get(STATE_VARIABLE):
        return _root(environment) / configured / "tokens"
    on_node = NODE_VARIABLE in environment
    in_ci = environment.get("CI", "").lower() not in ("", "0", "false")
    if on_node or in_ci or in_container or "KUBERNETES_SERVICE_HOST" in environment:
        where = "a node of a cluster" if on_node else "CI" if in_ci else "a container"
        raise NoTokenStore(
            "the vendor replaces the refresh token with each use, and here its successor would be lost:"
            f" this is {where}",
            f"set {STORE_VARIABLE} to a folder that lasts, for example a mounted volume",
        )
    return _root(environment) / ".dango" / "tokens"


def _root(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("DLT_PROJECT_DIR") or Path.cwd())


def _stored(file: Path) -> dict[str, str]:
    """Refresh tokens by the fingerprint of the configured one that they descend from."""
    try:
        tokens = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        tokens = None
    if not isinstance(tokens, dict):
        raise TokenError(f"{file} cannot be read", "delete it, and configure a new refresh token")
    return tokens


def _store(file: Path, tokens: Mapping[str, str]) -> None:
    """Replaces the file in one step, as one that only its owner reads."""
    try:
        replace_text(file, json.dumps(dict(tokens)), 0o600)
    except DangoError as error:
        raise TokenError(error.message, "the refresh token is used up") from error


def _ask(url: str, form: Mapping[str, str], client: tuple[str, str] | None = None) -> Mapping[str, Any]:
    """The token endpoint's answer, which has an access token. Raises `TokenError`."""
    response = Client(raise_for_status=False).session.post(
        # A redirect would take the client's secret somewhere else.
        url, data=form, auth=client, headers={"Accept": "application/json"}, allow_redirects=False,
    )  # fmt: skip
    try:
        answer = response.json()
    except ValueError:
        answer = {}
    if response.ok and isinstance(answer, dict) and isinstance(answer.get("access_token"), str):
        return answer
    said = [answer.get(name) for name in ("error", "error_description")] if isinstance(answer, dict) else []
    mask = Mask([*form.values(), *(client or ())])
    reason = ": ".join([f"status {response.status_code}", *(mask(text) for text in said if isinstance(text, str))])
    raise TokenError(
        f"no access token from {without_query(url)}: {reason}",
        "where it is refused: authorise anew, and put the new credentials into .dlt/secrets.toml",
    )


def without_query(url: str) -> str:
    """What may be said of a URL: no user, no query; either may hold a secret."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def _seconds(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return _DEFAULT_LIFE

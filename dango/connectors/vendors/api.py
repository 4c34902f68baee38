"""A vendor's HTTP API that a source of dango's own asks: at a pace, repeated by dlt, kept to the vendor's hosts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from dlt.sources.helpers.rest_client.auth import AuthConfigBase
from dlt.sources.helpers.rest_client.client import RESTClient
from requests import RequestException, Response
from urllib3.exceptions import HTTPError

from dango.connectors.oauth import without_query
from dango.connectors.rest import paced_session
from dango.dlt_internals.names import jsonpath
from dango.errors import VendorError

_LONGEST_MESSAGE = 500
# Where vendors say what is wrong: Google and Meta, Intuit, Salesforce and PayPal, OAuth, and others.
_SAID = ("error.message", "Fault.Error[*].Detail", "fault.error[*].message", "message", "error_description", "error")


class Api:
    """Requests of one vendor's API; an answer that is none is an error in the vendor's own words.

    Args:
        base_url: what paths are appended to.
        per_second: at most so many requests a second.
        auth: how one signs in.
        headers: of every request.
        hints: by status, what a person should do where the vendor refuses.
        is_passing: whether an answer means that the same request may succeed later, where its status does not say so.
    """

    def __init__(
        self,
        base_url: str,
        per_second: float,
        auth: AuthConfigBase | None = None,
        headers: Mapping[str, str] | None = None,
        hints: Mapping[int, str] | None = None,
        is_passing: Callable[[Response], bool] | None = None,
    ) -> None:
        session = paced_session(per_second, is_passing)
        self._client = RESTClient(base_url, dict(headers or {}), auth, session=session)
        self._hints = hints or {}

    def get(
        self, path: str, params: Mapping[str, Any] | None = None, is_answer: Callable[[Response], bool] | None = None
    ) -> Any:
        """The JSON at a path.

        Args:
            path: what is asked for.
            params: of the query.
            is_answer: whether an error of the vendor's is none here.

        Raises:
            VendorError: when the vendor refuses.
        """
        response = self._client.get(path, dict(params or {}))
        return self._json(response if is_answer and is_answer(response) else self._accepted(response))

    def post(self, path: str, body: Mapping[str, Any]) -> Any:
        """The JSON that is answered to a body of JSON. Raises `VendorError`."""
        return self._json(self._accepted(self._client.post(path, dict(body))))

    def submit(self, path: str, form: Mapping[str, str]) -> Any:
        """The JSON that is answered to a form. Raises `VendorError`."""
        return self._json(self._accepted(self._client.post(path, data=dict(form))))

    @contextmanager
    def stream(self, path: str, params: Mapping[str, Any], *answers: int, **headers: str) -> Iterator[Response]:
        """An answer that is read while it arrives, and closed behind the block.

        Args:
            path: what is asked for.
            params: of the query.
            answers: statuses that are no errors here.
            headers: of this request.

        Raises:
            VendorError: when the vendor refuses, or breaks off.
        """
        with self._client.get(path, dict(params), headers=headers, stream=True) as response:
            try:
                yield response if response.status_code in answers else self._accepted(response)
            except (RequestException, HTTPError) as error:
                raise VendorError(f"{_place(response)} breaks off in the middle of its answer", "sync again") from error

    def _accepted(self, response: Response) -> Response:
        if response.ok:
            return response
        hint = self._hints.get(response.status_code, "")
        raise VendorError(f"{_place(response)} answers {response.status_code}: {_said(response)}", hint)

    def _json(self, response: Response) -> Any:
        try:
            return response.json()
        except ValueError as error:
            raise VendorError(f"{_place(response)} answers with what is no JSON") from error


def _place(response: Response) -> str:
    return without_query(response.url)


def _said(response: Response) -> str:
    """The vendor's reason, without what surrounds it."""
    try:
        body = response.json()
    except ValueError:
        return response.text[:_LONGEST_MESSAGE].strip() or response.reason or "no reason given"
    # Some send a list of what is wrong.
    first = body[0] if isinstance(body, list) and body else body
    found = (value for path in _SAID for value in jsonpath.find_values(path, first) if isinstance(value, str))
    return (next(found, None) or json.dumps(body))[:_LONGEST_MESSAGE]

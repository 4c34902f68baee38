"""dlt's declarative `rest_api`, with names for what it takes only as Python: see `dango.connectors.extensions`."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dlt.sources import DltSource
from dlt.sources.helpers.requests import Client
from dlt.sources.rest_api import rest_api_source
from jsonpath_ng.exceptions import JSONPathError
from requests import PreparedRequest, Response, Session
from requests.adapters import HTTPAdapter

from dango.connectors.reading import read
from dango.dlt_internals.names import ConfigFieldMissingException, DictValidationException
from dango.dlt_internals.pipes import begin_once
from dango.errors import RestConfigError


def rest_api(config: dict[str, Any], name: str, requests_per_second: float | None = None) -> DltSource:
    """A source from a `rest_api` configuration.

    Args:
        config: dlt's own, in plain data, with the extensions; it stays as it is.
        name: the source's.
        requests_per_second: at most so many, of all its resources together, repeated ones included.

    Raises:
        RestConfigError: what is wrong, and where in the configuration.
        ConfigFieldMissingException: dlt's, for a secret that is found nowhere.
    """
    whole = read(config, name)
    if requests_per_second is not None:
        if not requests_per_second > 0:
            raise RestConfigError("requests_per_second: it is more than 0")
        if whole["client"].get("session") is not None:
            raise RestConfigError("client.session: a session of one's own keeps its own pace, not requests_per_second")
        whole["client"]["session"] = paced_session(requests_per_second)
    try:
        source = rest_api_source(whole, name=name, section=name)  # type: ignore[arg-type]
    except ConfigFieldMissingException:
        raise
    except DictValidationException as error:
        # Its text quotes what it was given, secrets too.
        raise RestConfigError(_told(error, whole)) from None
    except (KeyError, TypeError, ValueError, JSONPathError) as error:
        raise RestConfigError(str(error)) from error
    for resource in source.resources.values():
        begin_once(resource)
    return source


class Pace:
    """Slots in time, one for each request; whichever thread asks gets the next."""

    def __init__(
        self,
        per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._gap = 1 / per_second
        self._clock = clock
        self._sleep = sleep
        self._turn = threading.Lock()
        self._next = 0.0

    def wait(self) -> None:
        """Returns when it is this caller's turn."""
        with self._turn:
            now = self._clock()
            slot = max(now, self._next)
            self._next = slot + self._gap
        if slot > now:
            self._sleep(slot - now)


class _Paced(HTTPAdapter):
    """Below retries, redirects and renewed tokens: what passes here goes to the vendor."""

    def __init__(self, pace: Pace) -> None:
        super().__init__(pool_maxsize=50)
        self._pace = pace

    def send(self, request: PreparedRequest, *arguments: Any, **options: Any) -> Response:
        self._pace.wait()
        return super().send(request, *arguments, **options)


def paced_session(per_second: float, is_passing: Callable[[Response], bool] | None = None) -> Session:
    """A session that sends at most so many requests a second, repeated ones included, and raises for no status.

    Args:
        per_second: how many.
        is_passing: which answers are asked for again, besides those of a status that dlt repeats by itself.
    """

    def again(response: Response | None, error: BaseException | None) -> bool:
        return response is not None and is_passing is not None and is_passing(response)

    session, pace = Client(raise_for_status=False, retry_condition=again).session, Pace(per_second)
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Paced(pace))
    return session


def _told(error: DictValidationException, config: Mapping[str, Any]) -> str:
    """The place of what does not fit, and its type; never its value."""
    found = max(_innermost(error), key=lambda inner: inner.path.count("/"))
    keys = [key for key in f"{found.path}/{found.field}".split("/") if key != "."]
    place = re.sub(r"^resources\[(\d+)\]", lambda match: _named(config, int(match[1])), ".".join(keys))
    return f"{place}: {type(found.value).__name__} is not a type that fits here"


def _innermost(error: DictValidationException) -> Iterator[DictValidationException]:
    """The errors that name a field. Of the shapes that a union allows, the one that was meant gets deepest."""
    for inner in error.nested_exceptions or ():
        yield from _innermost(inner)
    if error.field:
        yield error


def _named(config: Mapping[str, Any], position: int) -> str:
    resource = config["resources"][position]
    return f"resources[{resource['name'] if isinstance(resource, Mapping) else position}]"

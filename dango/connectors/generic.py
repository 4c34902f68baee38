"""Any REST or GraphQL API: what a person answers, put together to dlt's `rest_api` configuration.

A template cannot branch, and these answers do: on how one signs in, how pages follow, how a change is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from dlt.sources import DltSource

from dango.connectors import rest
from dango.conversions import convert
from dango.errors import ArgumentError
from dango.registry.template import escaped

START = "{incremental.start_value}"
AS_IT_IS = "as_it_is"
# With these dlt looks for a total in the answer unless it is told otherwise; most vendors have none.
_COUNTED = ("offset", "page_number")

Answers = Mapping[str, Any]


def rest_api(
    name: str,
    base_url: str,
    endpoint: Answers | None = None,
    endpoints: Sequence[Any] | None = None,
    credentials: Answers | None = None,
    headers: Mapping[str, str] | None = None,
    paging: Answers | None = None,
    changes: Answers | None = None,
    requests_per_second: float | None = None,
) -> DltSource:
    """A source of one endpoint that is described by answers, of some in dlt's own terms, or of both.

    Args:
        name: the source's.
        base_url: what the paths are appended to.
        endpoint: `path`, and perhaps `name`, `params`, `data_selector`, `primary_key`.
        endpoints: resources as dlt's `rest_api` takes them.
        credentials: an `auth` block with its `type` (or `none`); both kinds of OAuth2 know `token_url` and `scope`.
        headers: of every request.
        paging: a `paginator` block; `limit` and `limit_param` are the page's size for any type.
        changes: how only what is new is read: `cursor_path`, `form` (how rows write it: a conversion, or `number`),
            where to begin (`since` a time, or `above` a number), the `param` that sends it, `sent_as` (a conversion,
            or `as_it_is`), and `lag`: so many seconds are read again.
        requests_per_second: at most so many.

    Raises:
        ArgumentError: when the answers do not go together.
        RestConfigError: when what they give is no configuration that can be run.
    """
    resources = list(endpoints or [])
    if endpoint and endpoint.get("path"):
        resources.insert(0, _resource(endpoint, paging or {}, changes or {}))
    if not resources:
        raise ArgumentError("there is nothing to load", "give a `path`, or `endpoints`")
    client = {"base_url": base_url, "headers": headers, "auth": _auth(credentials), "paginator": _paginator(paging)}
    return rest.rest_api({"client": _said(client), "resources": resources}, name, requests_per_second)


def graphql(
    name: str,
    url: str,
    query: str,
    data_selector: str,
    resource: str = "records",
    variables: Mapping[str, Any] | None = None,
    credentials: Answers | None = None,
    headers: Mapping[str, str] | None = None,
    paging: Answers | None = None,
    primary_key: Sequence[str] | str | None = None,
    changes: Answers | None = None,
    requests_per_second: float | None = None,
) -> DltSource:
    """A source of one GraphQL query.

    Args:
        name: the source's.
        url: where queries are posted to.
        query: its text.
        data_selector: JSONPath of the list in the answer, for example `data.issues.nodes`.
        resource: what the rows are called.
        variables: of the query; the cursor's and the start's are put beside them.
        credentials: as for `rest_api`.
        headers: of every request.
        paging: `cursor_path` and `has_more_path` in the answer, and the `variable` that gets the cursor.
        primary_key: of the rows.
        changes: as for `rest_api`; `param` is the variable that gets the start.
        requests_per_second: at most so many.

    Raises:
        ArgumentError: when the answers do not go together.
        RestConfigError: when what they give is no configuration that can be run.
    """
    parts = urlsplit(url)
    pages, changed = dict(paging or {}), changes or {}
    cursor, start = pages.pop("variable", None), changed.get("param")
    _declared(query, cursor, start)
    endpoint = {
        "path": _literal(parts.path or "/"),
        "method": "POST",
        "params": escaped(dict(parse_qsl(parts.query, keep_blank_values=True))),
        "json": {
            "query": escaped(query),
            "variables": escaped(dict(variables or {})) | ({start: START} if start else {}),
        },
        "data_selector": data_selector,
        "paginator": {"type": "single_page"},
        "incremental": _incremental(changed),
        # What failed is answered with 200, too.
        "response_actions": [
            {"json_path": "errors", "exists": True, "action": "fail", "message_path": "errors[0].message"}
        ],
    }
    if cursor:
        endpoint["paginator"] = {"type": "cursor", **pages, "cursor_body_path": f"variables.{cursor}"}
    client = {"base_url": f"{parts.scheme}://{parts.netloc}", "headers": headers, "auth": _auth(credentials)}
    made = _hints(resource, primary_key, changed) | {"endpoint": _said(endpoint)}
    return rest.rest_api({"client": _said(client), "resources": [made]}, name, requests_per_second)


def _declared(query: str, *variables: str | None) -> None:
    # What is sent and not asked for changes nothing: every answer would be the same page.
    for variable in variables:
        if variable and not re.search(rf"\${re.escape(variable)}\b", query):
            raise ArgumentError(f"the query has no variable `${variable}`")


def _resource(endpoint: Answers, paging: Answers, changes: Answers) -> dict[str, Any]:
    path = endpoint["path"]
    params = escaped(dict(endpoint.get("params") or {}))
    if paging.get("type") != "offset" and paging.get("limit_param"):
        params[paging["limit_param"]] = paging.get("limit")
    if changes.get("param"):
        params[changes["param"]] = START
    made = {
        "path": _literal(path),
        "params": params,
        "data_selector": endpoint.get("data_selector"),
        "incremental": _incremental(changes),
    }
    last = urlsplit(path).path.rstrip("/").rpartition("/")[2]
    hints = _hints(endpoint.get("name") or last or "records", endpoint.get("primary_key"), changes)
    return {**hints, "endpoint": _said(made)}


def _hints(name: str, primary_key: Sequence[str] | str | None, changes: Answers) -> dict[str, Any]:
    """What becomes of the rows: all of them replace the table, what is new is merged where a key can tell."""
    if changes.get("lag") and not primary_key:
        raise ArgumentError("without a primary key, what is read again would be there twice", "leave out the lag")
    if not changes.get("cursor_path"):
        return _said({"name": name, "primary_key": primary_key, "write_disposition": "replace"})
    return _said({"name": name, "primary_key": primary_key, "write_disposition": "merge" if primary_key else "append"})


def _auth(credentials: Answers | None) -> dict[str, Any] | None:
    given = dict(credentials or {})
    kind = given.get("type", "none")
    if kind == "none":
        return None
    if kind == "http_basic":
        return {"password": "", **given}
    if kind == "oauth2_client_credentials":
        given["access_token_url"] = given.pop("token_url", None)
        scope = given.pop("scope", None)
        return {**given, "access_token_request_data": {"scope": scope}} if scope else given
    return given


def _paginator(paging: Answers | None) -> dict[str, Any]:
    given = dict(paging or {})
    kind = given.setdefault("type", "auto")
    if kind != "offset":
        given.pop("limit", None)
        given.pop("limit_param", None)
    return {"total_path": None, **given} if kind in _COUNTED else given


def _incremental(changes: Answers) -> dict[str, Any] | None:
    if not changes.get("cursor_path"):
        if changes.get("param"):
            raise ArgumentError("a start is sent, but no field of the rows says where the next one is")
        return None
    start, sent_as = _start(changes), changes.get("sent_as", AS_IT_IS)
    if changes.get("param") and start is None:
        raise ArgumentError("a start is sent, and for the first time there is none")
    made = {
        "cursor_path": changes["cursor_path"],
        "initial_value": start,
        "convert": None if sent_as == AS_IT_IS else sent_as,
        "lag": changes.get("lag"),
    }
    return _said(made)


def _start(changes: Answers) -> Any:
    """Where to begin, written as the rows write it, since dlt compares it with them."""
    form, since = changes.get("form", "iso"), changes.get("since")
    if form == "number" or since is None:
        return changes.get("above")
    try:
        return convert(since, form)
    except ValueError as error:
        raise ArgumentError(f"the start is no time that can be made {form}") from error


def _literal(path: str) -> str:
    # dlt formats a path twice, so doubled braces would not last; in a URL they are encoded anyway.
    return path.replace("{", "%7B").replace("}", "%7D")


def _said(block: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in block.items() if value is not None}

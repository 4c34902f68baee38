"""What is wrong in a `rest_api` configuration is said in one sentence, with its place and the nearest name."""

from __future__ import annotations

import copy

import dlt
import pytest
import requests

from dango.connectors.rest import rest_api
from dango.errors import RestConfigError

OAUTH = {"type": "oauth2_refresh", "token_url": "x", "client_id": "x", "client_secret": "x", "refresh_token": "x"}


def whole(endpoint=None, resource=None, client=None, **top):
    return {
        "client": {"base_url": "http://127.0.0.1:9", **(client or {})},
        "resources": [{"name": "issues", "endpoint": {"path": "issues", **(endpoint or {})}, **(resource or {})}],
        **top,
    }


WRONG = {
    # extensions
    "client.paginator: no paginator `link_result` (did you mean `link_results`?)": whole(
        client={"paginator": "link_result"}
    ),
    "resources[issues].endpoint.paginator: no paginator `json_link_untill` (did you mean `json_link_until`?)": whole(
        {"paginator": {"type": "json_link_untill", "next_url_path": "next"}}
    ),
    "resources[issues].endpoint.paginator.has_more: unknown key (did you mean `has_more_path`?)": whole(
        {"paginator": {"type": "json_link_until", "next_url_path": "next", "has_more": "x"}}
    ),
    "resources[issues].endpoint.paginator.next_url_path: it is missing": whole({"paginator": "json_link_until"}),
    "resource_defaults.endpoint.paginator: Parse error": whole(
        resource_defaults={"endpoint": {"paginator": {"type": "json_link_until", "next_url_path": "a[[["}}}
    ),
    "resources[issues].endpoint.incremental.convert: no conversion `epoc` (did you mean `epoch`?)": whole(
        {"incremental": {"cursor_path": "at", "convert": "epoc"}}
    ),
    "resources[issues].endpoint.params.since.convert: no conversion `7`": whole(
        {"params": {"since": {"type": "incremental", "cursor_path": "at", "convert": 7}}}
    ),
    "resources[issues].processing_steps[1]: no step `lifted` (did you mean `lift`?)": whole(
        resource={"processing_steps": [{"pick": ["a"]}, {"lifted": "x"}]}
    ),
    "resources[issues].processing_steps[0]: one step does one thing": whole(
        resource={"processing_steps": [{"pick": ["a"], "lift": "b"}]}
    ),
    "resources[issues].processing_steps[0].pick: it takes a list of keys": whole(
        resource={"processing_steps": [{"pick": "a"}]}
    ),
    "resources[issues].processing_steps[0].rename: it takes a mapping": whole(
        resource={"processing_steps": [{"rename": {"a": 1}}]}
    ),
    "resources[issues].processing_steps[0].lift: it takes the key": whole(resource={"processing_steps": [{"lift": 1}]}),
    "resources[issues].processing_steps[0].map: it is a Python function": whole(
        resource={"processing_steps": [{"map": "str.upper"}]}
    ),
    "resources[issues].processing_steps[0]: a step is a mapping": whole(resource={"processing_steps": ["pick"]}),
    "resources[issues].processing_steps: it is a list": whole(resource={"processing_steps": {"pick": ["a"]}}),
    "client.auth: no authentication `oauth2_refesh` (did you mean `oauth2_refresh`?)": whole(
        client={"auth": {"type": "oauth2_refesh"}}
    ),
    "client.auth.refresh_token: it is missing": whole(
        client={"auth": {key: value for key, value in OAUTH.items() if key != "refresh_token"}}
    ),
    "client.auth.source: unknown key": whole(client={"auth": {**OAUTH, "source": "x"}}),
    "resources[issues].endpoint.auth: `send` is one of body, basic": whole({"auth": {**OAUTH, "send": "header"}}),
    "resources[issues].endpoint.response_actions[0].equal: unknown key (did you mean `equals`?)": whole(
        {"response_actions": [{"json_path": "ok", "equal": False}]}
    ),
    "resources[issues].endpoint.response_actions[0]: no action `ignored` (did you mean `ignore`?)": whole(
        {"response_actions": [{"status_code": 404, "action": "ignored"}]}
    ),
    # dlt's own
    "client: it is missing": {"resources": ["a"]},
    "resources: it is missing": {"client": {"base_url": "x"}},
    "resources: it is a list": {"client": {"base_url": "x"}, "resources": {"name": "a"}},
    "resurces: unknown key (did you mean `resources`?)": {**whole(), "resurces": []},
    "client.base_url: it is missing": {"client": {}, "resources": ["a"]},
    "client: it is a mapping": {"client": "http://x", "resources": ["a"]},
    "client.header: unknown key (did you mean `headers`?)": whole(client={"header": {}}),
    "resources[0].name: it is missing": {"client": {"base_url": "x"}, "resources": [{"endpoint": "a"}]},
    "resources[0]: it is a mapping": {"client": {"base_url": "x"}, "resources": [7]},
    "resources[issues].primry_key: unknown key (did you mean `primary_key`?)": whole(resource={"primry_key": "id"}),
    "resources[issues].endpoint.pagnator: unknown key (did you mean `paginator`?)": whole({"pagnator": "auto"}),
    "resources[issues].endpoint.incremental.cursor_path: it is missing": whole({"incremental": {"initial_value": 1}}),
    "resources[issues].endpoint.paginator.limit: it is missing": whole({"paginator": "offset"}),
    "resources[issues].endpoint.paginator.limit: str is not a type that fits": whole(
        {"paginator": {"type": "offset", "limit": "100"}}
    ),
    "resources[issues].endpoint.method: str is not a type that fits here": whole({"method": "PUT"}),
    "resources[issues].endpoint.data_selector: Parse error": whole({"data_selector": "a[[["}),
    "resources[issues].table_name: int is not a type that fits here": whole(resource={"table_name": 7}),
    "client.auth.tokn: unknown key (did you mean `token`?)": whole(client={"auth": {"type": "bearer", "tokn": "x"}}),
    "resources[issues].endpoint.incremental.cursor_path: Parse error": whole({"incremental": {"cursor_path": "a[[["}}),
    "Resource `issues` is already defined": {**whole(), "resources": ["issues", "issues"]},
}


@pytest.mark.parametrize("said", WRONG)
def test_a_mistake_is_told_in_one_line_that_begins_with_its_place(said):
    with pytest.raises(RestConfigError) as caught:
        rest_api(copy.deepcopy(WRONG[said]), "shop")
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "client",
    [
        {"auth": {"type": "oauth2_client_credentials", "access_token_request_data": {"refresh_token": "s3cret-token"},
                  "client_id": 7}},
        {"headers": {"Authorization": ["s3cret-token"]}},
        {"auth": {**OAUTH, "refresh_token": "s3cret-token", "send": "nowhere"}},
        {"auth": {"type": "bearer", "token": "s3cret-token"}, "base_url": 7},
    ],
)  # fmt: skip
def test_a_mistake_is_told_without_the_secrets_beside_it(client):
    with pytest.raises(RestConfigError) as caught:
        rest_api(whole(client=client), "shop")
    assert "s3cret" not in f"{caught.value} {caught.value.hint}"


def test_a_secret_that_is_found_nowhere_stays_an_error_about_secrets():
    with pytest.raises(dlt.common.configuration.exceptions.ConfigFieldMissingException):
        rest_api(whole(client={"auth": {"type": "bearer"}}), "shop")


def test_objects_of_dlt_and_python_functions_pass_as_they_are():
    from dlt.sources.helpers.rest_client.auth import APIKeyAuth
    from dlt.sources.helpers.rest_client.paginators import SinglePagePaginator

    given = whole(
        {
            "incremental": {"cursor_path": "at", "initial_value": 1, "convert": str},
            "response_actions": [print, {"status_code": 404, "action": print}],
            "paginator": SinglePagePaginator(),
        },
        {"processing_steps": [{"map": lambda row: row, "filter": lambda row: True}]},
        {"auth": APIKeyAuth(name="key", api_key="x"), "session": requests.Session()},
    )
    given["resources"].append(dlt.resource([{"id": 1}], name="own"))
    assert list(rest_api(given, "shop").resources) == ["issues", "own"]

"""Each rule of `dango registry lint` sees its trap, and nothing else, and is silent about the entry that is mended."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_type_hints

import dlt.sources.rest_api.config_setup as dlt_words
import dlt.sources.rest_api.typing as dlt_types
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from dango.config.document import Document
from dango.connectors import extensions
from dango.registry import vocabulary
from dango.registry.entry import Entry
from dango.registry.lint import ENTRY_RULES, REST_RULES, Finding, lint

REGISTRY = Path(__file__).parents[2] / "registry"

SHOP = """
registry: 1
id: shop
title: Shop
category: commerce
links: {docs: https://shop.example/docs}
setup: Settings > API > New key, read only
rate_limit: {page_size: 100}
fields:
  - {name: region, kind: enum, options: [eu, us], default: eu}
  - {name: token, kind: secret, title: API key, required: true}
  - {name: since, kind: date, default: "2024-01-01"}
  - {name: state, help: only orders in this state}
groups: []
build:
  kind: rest_api
  config:
    client:
      base_url: https://${region}.shop.example/v1/
      auth: {type: bearer, token: "${secrets.token}"}
      paginator: {type: cursor, cursor_path: next, cursor_param: after}
    resource_defaults:
      primary_key: id
      endpoint: {data_selector: data, params: {limit: 100}}
    resources:
      - name: orders
        write_disposition: merge
        endpoint:
          path: orders
          params: {state: "${state}", updated: "{incremental.start_value}"}
          incremental: {cursor_path: updated_at, initial_value: "${since}"}
      - name: customers
        endpoint: {path: customers, params: {opt_fields: "id,number,name"}}
      - name: visits
        include_from_parent: [number]
        endpoint:
          path: customers/{resources.customers.id}/visits
          params: {since: "{incremental.start_value}"}
          incremental: {cursor_path: at, initial_value: "${since|iso}"}
      - {name: places, endpoint: {path: places}}
select: {default: [orders]}
describe: {orders: What was ordered}
check: {resource: customers}
verify: {sample: {region: us}}
"""

CALL = """
registry: 1
id: bank
title: Bank
category: accounting
fields:
  - {name: account, required: true}
build: {kind: function, function: "bank:load", args: {account: "${account}", only: "${resources}"}}
"""

ORDERS = "incremental: {cursor_path: updated_at, "
VISITS = "incremental: {cursor_path: at, "
CURSOR = "{type: cursor, cursor_path: next, cursor_param: after}"
PAGES = "{type: page_number, total_path: null}"
OFFSET = "{type: offset, limit: 100, total_path: null}"
QUERY = 'path: customers, json: {query: "{{ customers {{ id }} }}"}, '
PATH = "path: customers/{resources.customers.id}/visits"
STATE_FIELD = "{name: state, "

# What the mended twin says where the shop above says something else: (rule, what the shop says, mended, broken).
CASES: list[tuple[str, str, str, str]] = [
    ("default_fits", "default: eu", "default: us", "default: mars"),
    ("default_fits", '"2024-01-01"', '"2024-01-01"', "yesterday"),
    ("default_fits", STATE_FIELD, "{name: state, pattern: '[a-z]+', example: open, ",
     "{name: state, pattern: '[a-z]+', example: OPEN, "),
    ("default_fits", "required: true", "required: true", "default: abc"),
    ("when_names", STATE_FIELD, "{name: state, when: {region: [eu, us]}, ", "{name: state, when: {region: mars}, "),
    ("when_names", STATE_FIELD, "{name: state, when: {region: eu}, ", "{name: state, when: {regoin: eu}, "),
    ("when_names", STATE_FIELD, "{name: state, when: {region: eu}, ", "{name: state, when: {state: eu}, "),
    ("group_names", "groups: []", "groups: [[state], [since]]", "groups: [[state], [until]]"),
    ("resource_names", "default: [orders]", "default: [visits]", "default: [order]"),
    ("resource_names", "default: [orders]", "default: [orders], more: state", "default: [orders], more: stat"),
    ("resource_names", "describe: {orders", "describe: {visits", "describe: {visit"),
    ("resource_names", "resource: customers}", "resource: orders}", "resource: shops}"),
    ("resource_names", "verify: {", "verify: {waive: [{resource: visits, rule: param, why: not in the file}], ",
     "verify: {waive: [{resource: visit, rule: param, why: not in the file}], "),
    ("sample_names", "sample: {region: us}", "sample: {state: open}", "sample: {stat: open}"),
    ("sample_names", "sample: {region: us}", "sample: {region: eu}", "sample: {region: mars}"),
    ("unused_field", STATE_FIELD, STATE_FIELD, "{name: pet}\n  - {name: state, "),
    ("credentials_explained", "setup: Settings > API > New key, read only", "setup: Ask them", "setup: ''"),
    ("credentials_explained", "{docs: https://shop.example/docs}", "{docs: https://shop.example/d}", "{}"),
    ("credentials_explained", "title: API key", "title: Key", "title: ''"),
    ("links", "{docs: https://shop.example/docs}", "{docs: https://shop.example/d}", "{docs: shop.example/docs}"),
    ("unknown_name", '"${state}"', '"${state}"', '"${state}", of: "${stat}"'),
    ("malformed", "path: orders\n", "path: orders/$\n", "path: orders/${state }\n"),
    ("unknown_filter", "${since}", "${since|epoch}", "${since|epock}"),
    ("secret_prefix", '"${state}"', '"${state}"', '"${secrets.state}"'),
    ("secret_prefix", '"${secrets.token}"', '"${secrets.token}"', '"${token}"'),
    ("literal_secret", '"${state}"', '"${state}", version: "2024-10-01-preview"',
     '"${state}", key: a8Kd93jf02mCx81hQpz77Wer'),
    ("literal_secret", "sample: {region: us}", "sample: {state: open}", "sample: {state: a8Kd93jf02mCx81hQpz77Wer}"),
    ("literal_secret", STATE_FIELD, "{name: state, example: open, ", "{name: state, example: ghp_0a1b2c3d4e5f6g7h8, "),
    ("literal_secret", '"${state}"', '"${state}"', '"${state}", key: sk_live_abcdefGHIJKLmnop'),
    ("https", "https://${region}", "http://localhost:80${region}", "http://${region}"),
    ("needed_key", "path: orders\n", "path: orders/${region}\n", "path: orders/${state}\n"),
    ("start_param", VISITS, VISITS, VISITS + "start_param: since, "),
    ("start_param", VISITS, VISITS, VISITS + "end_param: until, "),
    ("start_param", 'params: {since: "', 'params: {since: "',
     'params: {from: {type: incremental, cursor_path: at, initial_value: "2024-01-01"}, since: "'),
    ("stray_brace", "path: customers, ", QUERY, QUERY.replace("{{ id }}", "{{ id }")),
    ("stray_brace", "path: customers, ", QUERY, QUERY.replace("{{", "{").replace("}}", "}")),
    ("stray_brace", "opt_fields: ", "opt_fields: ", "'a[{}]': 1, opt_fields: "),
    ("unbound", "path: orders\n", "path: orders/{state}/all\n", "path: orders/{status}/all\n"),
    ("unbound", "{incremental.start_value}", "{incremental.last_value}", "{incremental.start}"),
    ("unbound", "opt_fields: ", "opt_fields: ", 'since: "{incremental.start_value}", opt_fields: '),
    ("parents", PATH, PATH, PATH.replace("resources.customers", "resources.customer")),
    ("parents", PATH, PATH, PATH.replace("customers.id", "customers")),
    ("parents", PATH, PATH, PATH + "/{resources.places.id}/all"),
    ("circle", "path: customers, ", 'path: "places/{resources.places.id}/all", ',
     'path: "customers/{resources.customers.id}/all", '),
    ("single_entity", PATH, PATH.replace("/visits", "\n          paginator: single_page"), PATH.replace("/visits", "")),
    ("include_from_parent", "- name: orders", "- name: orders", "- name: orders\n        include_from_parent: [id]"),
    ("method", "path: orders\n", "path: orders\n          method: POST\n", "path: orders\n          method: PUT\n"),
    ("duplicate", "- name: orders", "- name: orders",
     "- {name: orders, endpoint: {path: all_orders}}\n      - name: orders"),
    ("incremental_parent", "path: customers, ", "path: customers, ",
     "path: customers, incremental: {cursor_path: number}, "),
    ("initial_value", 'initial_value: "${since}"', "initial_value: 2024-01-01", "lag: 1"),
    ("initial_value", 'initial_value: "${since}"', 'initial_value: "${since}"', 'initial_value: "${state}"'),
    ("paginator_words", CURSOR, CURSOR, CURSOR.replace("cursor,", "curser,")),
    ("paginator_words", CURSOR, CURSOR, CURSOR.replace("cursor_param", "cursor_parm")),
    ("paginator_words", CURSOR, CURSOR, "[1]"),
    ("paginator_words", CURSOR, "link_results", "links_result"),
    ("auth_words", "type: bearer", "type: bearer", "type: bear"),
    ("auth_words", "type: bearer", "type: bearer", "type: bearer, tokn: ''"),
    ("next_link", CURSOR, "{type: json_link_until, next_url_path: next}", "{type: json_link, next_url_path: next}"),
    ("guessed_paginator", CURSOR, "single_page", "auto"),
    ("guessed_paginator", CURSOR, "single_page", "null"),
    ("offset_limit", CURSOR, OFFSET, OFFSET.replace("limit: 100, ", "")),
    ("total_path", CURSOR, PAGES, "page_number"),
    ("endless_count", CURSOR, PAGES.replace("}", ", maximum_page: 9, stop_after_empty_page: false}"),
     PAGES.replace("}", ", stop_after_empty_page: false}")),
    ("page_size", "params: {limit: 100}", 'params: {limit: "100"}', "params: {limit: 101}"),
    ("page_size", CURSOR, OFFSET, OFFSET.replace("100", "250")),
    ("words_known", "write_disposition: merge", "max_table_nesting: 1", "max_table_nest: 1"),
    ("words_known", "path: orders\n", "path: orders\n          data: x\n", "path: orders\n          dat: x\n"),
    ("words_known", "      auth: ", "      auth: ", "      session: 1\n      auth: "),
    ("dotted_key", "- name: orders", "- name: orders\n        primary_key: [id, user__id]",
     "- name: orders\n        primary_key: [id, user.id]"),
    ("merge_without_key", "primary_key: id", "merge_key: id", "max_table_nesting: 1"),
    ("merge_without_key", "write_disposition: merge", "write_disposition: {disposition: merge, strategy: scd2}",
     "write_disposition: {disposition: upsert}"),
    ("data_selector", "data_selector: data, ", "data_selector: $, ", ""),
    ("cursor_path", ORDERS, ORDERS, "incremental: {"),
    ("cursor_path", ORDERS, ORDERS + "row_order: asc, ", ORDERS + "row_ordr: asc, "),
    ("convert", ORDERS, ORDERS + "convert: epoch, ", ORDERS + "convert: epoc, "),
    ("steps", "- name: orders", "- name: orders\n        processing_steps: [{lift: a}, {pick: [id]}]",
     "- name: orders\n        processing_steps: [{map: a}]"),
    ("actions", "path: orders\n", "path: orders\n          response_actions: [{status_code: 404, action: ignore}]\n",
     "path: orders\n          response_actions: [{status_code: 404, action: skip}]\n"),
    ("actions", "path: orders\n", "path: orders\n          response_actions: [{json_path: ok, equals: false}]\n",
     "path: orders\n          response_actions: [{json_path: ok, is: false}]\n"),
    ("key_listed", "id,number,name", "number,name,id", "id,name"),
    ("key_listed", 'opt_fields: "id,number,name"', "fields: '*all'", "fields: [id, name]"),
]  # fmt: skip

# Rules that need more than one change at once: (rule, changes to the mended twin, changes to the broken one).
WIDER: list[tuple[str, dict[str, str], dict[str, str]]] = [
    ("secret_kind",
     {STATE_FIELD: "{name: key_id}\n  - {name: state, ", "opt_fields: ": 'key: "${key_id}", opt_fields: '},
     {STATE_FIELD: "{name: api_key}\n  - {name: state, ", "opt_fields: ": 'key: "${api_key}", opt_fields: '}),
    ("secret_is_secret",
     {STATE_FIELD: "{name: key, kind: secret, title: Key, required: true}\n  - {name: state, ",
      "type: bearer, token: ": 'type: http_basic, username: "${secrets.key}", password: '},
     {STATE_FIELD: "{name: key, required: true}\n  - {name: state, ",
      "type: bearer, token: ": 'type: http_basic, password: "${key}", username: '}),
    ("secret_in_url",
     {"{type: bearer, token: ": "{type: api_key, name: X-Key, location: header, api_key: "},
     {"{type: bearer, token: ": "{type: api_key, name: key, location: query, api_key: "}),
    ("secret_in_url", {}, {'"${state}"': '"${state}", key: "${secrets.token}"'}),
    ("dropped_auth",
     {STATE_FIELD: "{name: user, required: true}\n  - {name: state, ",
      "type: bearer, token: ": 'type: http_basic, username: "${user}", password: '},
     {STATE_FIELD: "{name: user}\n  - {name: state, ",
      "type: bearer, token: ": 'type: http_basic, username: "${user}", password: '}),
    ("optional_secret",
     {", required: true": ""},
     {", required: true": "", "      auth: {type: bearer, token: ": "      headers: {X-Key: "}),
    ("https", {}, {"{name: region, kind: enum, options: [eu, us], default: eu}":
                   "{name: base_url, kind: url, default: http://shop.example}",
                   "https://${region}.shop.example/v1/": "${base_url}", "{region: us}": "{}"}),
    ("host_field",
     {"kind: enum, options: [eu, us], default: eu": "required: true, pattern: '[a-z]+'"},
     {"kind: enum, options: [eu, us], default: eu": "required: true"}),
    ("next_link",
     {CURSOR: "header_link", "verify: {": "verify: {ends_pages: 'no next link on the last, https://shop.example/p', "},
     {CURSOR: "header_link", "verify: {": "verify: {ends_pages: everybody knows, "}),
]  # fmt: skip


def written(text: str, *changes: tuple[str, str]) -> str:
    for old, new in changes:
        assert old in text, f"`{old}` is not in the entry"
        text = text.replace(old, new)
    return text


def entry(text: str) -> Entry:
    return Entry.model_validate(Document(Path("shop.yml"), "shop.yml", text).data)


def rules(text: str) -> set[str]:
    return {finding.rule for finding in lint(entry(text))}


@pytest.mark.parametrize(("rule", "old", "mended", "broken"), CASES)
def test_a_rule_sees_its_trap_and_only_that(rule: str, old: str, mended: str, broken: str) -> None:
    assert rules(written(SHOP, (old, mended))) == set()
    assert rules(written(SHOP, (old, broken))) == {rule}


@pytest.mark.parametrize(("rule", "mended", "broken"), WIDER)
def test_a_rule_sees_a_trap_of_several_parts(rule: str, mended: dict[str, str], broken: dict[str, str]) -> None:
    assert rules(written(SHOP, *mended.items())) == set()
    assert rules(written(SHOP, *broken.items())) == {rule}


def test_every_rule_has_a_case_and_says_why_it_is_there() -> None:
    known = {**ENTRY_RULES, **REST_RULES}
    assert {case[0] for case in (*CASES, *WIDER)} == set(known)
    assert [name for name, rule in known.items() if not (rule.__doc__ or "").strip()] == []


def test_a_finding_says_where_what_and_what_to_do() -> None:
    document = Document(Path("shop.yml"), "shop.yml", written(SHOP, (VISITS, VISITS + "start_param: since, ")))
    (finding,) = lint(Entry.model_validate(document.data))
    assert finding == Finding(
        "start_param",
        ("build", "config", "resources", 2, "endpoint", "incremental", "start_param"),
        "`start_param` on `visits`, which has a parent, loses rows",
        'write it into the request: params: {…: "{incremental.start_value}"}',
        "error",
    )
    assert document.place(finding.loc) == "shop.yml:39:42"


def test_what_is_inherited_is_reported_once_where_it_is_written() -> None:
    text = written(SHOP, ("params: {limit: 100}", "params: {limit: 100, q: '{'}"))
    found = [finding for finding in lint(entry(text)) if finding.rule == "stray_brace"]
    assert {finding.loc for finding in found} == {("build", "config", "resource_defaults", "endpoint", "params", "q")}


def test_a_default_reaches_the_children_that_inherit_it() -> None:
    shared = "endpoint: {data_selector: data, incremental: {cursor_path: at, start_param: since}, "
    text = written(
        SHOP, ("endpoint: {data_selector: data, ", shared), (VISITS + 'initial_value: "${since|iso}"}', "{}")
    )
    text = text.replace("          {}\n", "").replace('{since: "{incremental.start_value}"}', "{}")
    assert ("start_param", "resource_defaults") in {(finding.rule, finding.loc[2]) for finding in lint(entry(text))}


def test_a_function_is_called_with_fields_that_exist_and_are_used() -> None:
    assert rules(CALL) == set()
    assert rules(written(CALL, ("${account}", "${acount}"))) == {"unknown_name", "unused_field"}
    assert rules(written(CALL, ("${account}", "${secrets.account}"))) == {"secret_prefix"}
    assert rules(written(CALL, ("${account}", "${account|text}"))) == {"unknown_filter"}
    assert rules(written(CALL, ("${account}", "${account }"))) == {"malformed", "unused_field"}


def test_resources_that_only_the_vendor_knows_are_not_looked_for() -> None:
    some = "category: accounting\nselect: {default: [payments]}"
    assert rules(written(CALL, ("category: accounting", some))) == set()
    assert rules(written(CALL, ("category: accounting", f"{some}\ndescribe: {{accounts: All}}"))) == {"resource_names"}
    live = some.replace("select: {", "select: {live: true, ")
    assert rules(written(CALL, ("category: accounting", f"{live}\ndescribe: {{accounts: All}}"))) == set()


def test_a_verified_source_is_called_with_fields_that_exist() -> None:
    verified = written(
        CALL,
        (
            'kind: function, function: "bank:load"',
            f"kind: verified, source: slack, function: load, commit: {'ab' * 20}",
        ),
    )
    assert rules(verified) == set()
    assert rules(written(verified, ("${account}", "${acount}"))) == {"unknown_name", "unused_field"}


@pytest.mark.parametrize(
    "token",
    [
        "sk_live_abcdefGHIJKLmnop",
        "a8Kd93jf02mCx81hQpz77Wer",
        "ghp_0a1b2c3d4e5f6g7h8i9jKLMNOP",
        "xoxb-1234-abcdefghijkl",
    ],
)
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("opt_fields: ", "TOKEN: '{', opt_fields: "),
        ("type: cursor", "type: TOKEN"),
        ("type: bearer", "TOKEN: x"),
        ("path: orders\n", "path: orders/{TOKEN}/x\n"),
        ("path: orders\n", "path: orders\n          method: TOKEN\n"),
        ("default: [orders]", "default: [TOKEN]"),
        ("resource: customers}", "resource: TOKEN}"),
        ("primary_key: id", "primary_key: a.TOKEN"),
        ("${state}", "${TOKEN}"),
        ("merge\n", "TOKEN\n"),
    ],
)
def test_a_token_that_stands_in_the_entry_is_in_no_message(token: str, old: str, new: str) -> None:
    found = lint(entry(written(SHOP, (old, new.replace("TOKEN", token)))))
    assert found
    assert not any(token in finding.message or token in finding.hint for finding in found)


@pytest.mark.parametrize(
    "text",
    [
        "application/vnd.github+json",
        "2022-11-28",
        "hs_v2_date_entered_closedlost_12",
        "[REDACTED]",
        "customfield_10020",
        "fetchAllIssuesWithEverythingThatTheyHold",
        "3957506893",
        "xoxb-...",
        "ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ],
)
def test_a_text_that_means_something_is_no_token(text: str) -> None:
    assert rules(written(SHOP, ("opt_fields: ", f'version: "{text}", opt_fields: '))) == set()


def test_the_rules_need_no_dlt() -> None:
    code = "import sys, dango.registry.lint; sys.exit(any(name.split('.')[0] == 'dlt' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("pattern", ["(a+)+", "([a-z]+)*!", "((ab+)c*)+", "(.+-)+", "(.*)*x", "(a|aa)+", "(a{2,}){3,}"])
def test_no_pattern_takes_long(pattern: str) -> None:
    text = written(SHOP, (STATE_FIELD, f"{{name: state, pattern: '{pattern}', default: {'a' * 20_000}?, "))
    started = time.monotonic()
    assert rules(text) == {"default_fits"}
    assert time.monotonic() - started < 2


def test_the_words_are_those_of_dlt_and_of_the_extensions() -> None:
    deprecated = {"json_response"}
    assert set(vocabulary.PAGINATORS) == set(dlt_words.PAGINATOR_MAP) - deprecated | set(extensions.PAGINATORS)
    assert set(vocabulary.AUTHS) == set(dlt_words.AUTH_MAP) | set(extensions.AUTHS)
    assert set(vocabulary.STEPS) == set(extensions.STEPS)
    for known, typed, left_out in (
        (vocabulary.CLIENT, dlt_types.ClientConfig, {"session"}),
        (vocabulary.RESOURCE, dlt_types.EndpointResource, set()),
        (vocabulary.ENDPOINT, dlt_types.Endpoint, set()),
        (vocabulary.INCREMENTAL, dlt_types.IncrementalConfig, set()),
        (vocabulary.CONFIG, dlt_types.RESTAPIConfig, set()),
        (vocabulary.PAGINATORS["offset"], dlt_types.OffsetPaginatorConfig, {"type"}),
        (vocabulary.PAGINATORS["page_number"], dlt_types.PageNumberPaginatorConfig, {"type"}),
        (vocabulary.PAGINATORS["cursor"], dlt_types.JSONResponseCursorPaginatorConfig, {"type"}),
        (vocabulary.PAGINATORS["header_cursor"], dlt_types.HeaderCursorPaginatorConfig, {"type"}),
        (vocabulary.PAGINATORS["json_link"], dlt_types.JSONLinkPaginatorConfig, {"type"}),
        (vocabulary.PAGINATORS["header_link"], dlt_types.HeaderLinkPaginatorConfig, {"type"}),
        (vocabulary.AUTHS["bearer"], dlt_types.BearerTokenAuthConfig, {"type"}),
        (vocabulary.AUTHS["api_key"], dlt_types.ApiKeyAuthConfig, {"type"}),
        (vocabulary.AUTHS["http_basic"], dlt_types.HttpBasicAuthConfig, {"type"}),
        (vocabulary.AUTHS["oauth2_client_credentials"], dlt_types.OAuth2ClientCredentialsConfig, {"type", "session"}),
    ):
        assert known == set(get_type_hints(typed)) - left_out


@pytest.mark.parametrize("file", sorted(REGISTRY.glob("*.yml")), ids=lambda file: file.stem)
def test_a_shipped_entry_has_no_error(file: Path) -> None:
    document = Document(file, file.name)
    found = [f for f in lint(Entry.model_validate(document.data)) if f.severity == "error"]
    assert [f"{document.place(f.loc)}: {f.rule}: {f.message}" for f in found] == []


_words = st.sampled_from(
    ["client", "base_url", "auth", "type", "token", "paginator", "resources", "name", "endpoint", "path", "params",
     "json", "headers", "data", "incremental", "cursor_path", "initial_value", "primary_key", "merge_key", "convert",
     "write_disposition", "disposition", "processing_steps", "response_actions", "include_from_parent", "limit",
     "opt_fields", "properties", "method", "data_selector", "location", "start_param", "resource", "field"]
)  # fmt: skip


def _hashable(value: Any) -> bool:
    return isinstance(value, str | int | None)


_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=True), st.text(max_size=12), _words, st.dates(),
    st.sampled_from(
        ["{resources.a.id}", "{resources.}", "{incremental.start_value}", "{}", "{", "}}", "{{", "${x}", "${secrets.x}",
         "${x|iso}", "${", "${X}", "http://[", "https://${x}/", "offset", "page_number", "header_link", "resolve",
         "oauth2_refresh", "merge", "{a!r:>{b}}", "{0[a}", "a.b", "*", "id,name"]
    ),
)  # fmt: skip
_anything = st.recursive(
    _values,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_words | _values.filter(_hashable), inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(
    client=st.dictionaries(_words, _anything, max_size=5),
    defaults=_anything,
    resources=st.lists(
        st.tuples(st.dictionaries(_words, _anything, max_size=6), st.dictionaries(_words, _anything, max_size=8)),
        min_size=1,
        max_size=4,
    ),
    fields=st.lists(st.fixed_dictionaries({"default": _anything, "example": _anything, "when": st.dictionaries(
        st.sampled_from(["x", "y"]), _anything, max_size=2)}), max_size=2),
    size=st.none() | st.integers(),
)  # fmt: skip
def test_no_entry_makes_a_rule_fall_over(
    client: dict[str, Any], defaults: Any, resources: list[Any], fields: list[dict[str, Any]], size: int | None
) -> None:
    made = [
        {"name": "abc"[n % 3], **own, "endpoint": {"path": "a", **endpoint}}
        for n, (own, endpoint) in enumerate(resources)
    ]
    config = {"client": {"base_url": "https://a.example", **client}, "resource_defaults": defaults, "resources": made}
    kinds = ["secret", "date"]
    try:
        valid = Entry.model_validate({
            "registry": 1, "id": "any", "title": "Any", "category": "generic", "rate_limit": {"page_size": size},
            "fields": [{"name": "xy"[n], "kind": kinds[n], **field} for n, field in enumerate(fields)],
            "build": {"kind": "rest_api", "config": config},
        })  # fmt: skip
    except ValidationError:
        return
    assert all(isinstance(finding, Finding) and finding.rule for finding in lint(valid))


@settings(max_examples=100, deadline=None)
@given(args=st.dictionaries(_words, _anything, max_size=5), sample=st.dictionaries(st.text(max_size=5), _anything))
def test_no_arguments_make_a_rule_fall_over(args: dict[str, Any], sample: dict[str, Any]) -> None:
    called = entry(CALL).model_dump()
    called["build"]["args"], called["verify"]["sample"] = args, sample
    assert all(finding.rule for finding in lint(Entry.model_validate(called)))

"""The words of a `rest_api` configuration: dlt's own and those that `dango.connectors` adds, with the keys of each."""

from __future__ import annotations

from collections.abc import Mapping

from dango.conversions import CONVERSIONS

Keys = frozenset[str]


def _keys(text: str) -> Keys:
    return frozenset(text.split())


PAGINATORS: Mapping[str, Keys] = {
    "auto": _keys(""),
    "single_page": _keys(""),
    "json_link": _keys("next_url_path"),
    "header_link": _keys("links_next_key"),
    "header_cursor": _keys("cursor_key cursor_param"),
    "cursor": _keys("cursor_path cursor_param cursor_body_path stop_after_empty_page has_more_path"),
    "offset": _keys(
        "limit offset offset_param offset_body_path limit_param limit_body_path total_path maximum_offset"
        " stop_after_empty_page has_more_path"
    ),
    "page_number": _keys(
        "base_page page page_param page_body_path total_path maximum_page stop_after_empty_page has_more_path"
    ),
    "link_results": _keys(""),
    "json_link_until": _keys("next_url_path has_more_path stop_after_empty_page"),
}
AUTHS: Mapping[str, Keys] = {
    "bearer": _keys("token"),
    "api_key": _keys("name api_key location"),
    "http_basic": _keys("username password"),
    "oauth2_client_credentials": _keys(
        "access_token access_token_url client_id client_secret access_token_request_data default_token_expiration"
    ),
    "oauth2_refresh": _keys("token_url client_id client_secret refresh_token send scope rotates"),
    "google_service_account": _keys("credentials scopes"),
}
STEPS = ("pick", "rename", "lift")
ACTIONS: Mapping[bool, tuple[Keys, str]] = {
    False: (_keys("status_code content action"), "ignore"),
    True: (_keys("json_path equals exists message_path action"), "fail"),
}
"""The keys of a response action, and what it does; whether it has a `json_path` tells which."""
CONVERTS = frozenset(CONVERSIONS)
METHODS = ("GET", "POST")
DISPOSITIONS = ("append", "merge", "replace", "skip")
CONFIG = _keys("client resources resource_defaults")
CLIENT = _keys("base_url headers auth paginator")
RESOURCE = _keys(
    "name endpoint include_from_parent columns file_format max_table_nesting merge_key nested_hints parallelized"
    " parent_table_name primary_key processing_steps references schema_contract selected table_format table_name"
    " write_disposition"
)
ENDPOINT = _keys("path method params json data headers data_selector paginator incremental response_actions auth")
INCREMENTAL = _keys(
    "cursor_path initial_value end_value start_param end_param convert last_value_func primary_key row_order lag"
    " on_cursor_value_missing allow_external_schedulers range_start range_end"
)

"""Which tests load the entries that are no declarations of an API: those of each connector."""

from __future__ import annotations

from collections.abc import Mapping

HIDDEN = "tests/test_secrets_isolation.py::test_what_an_entry_calls_secret_is_nowhere_to_be_seen_whatever_its_name"


def _of(name: str, full: str, incremental: str = "", secrets: str = "") -> Mapping[str, str]:
    """The test that is each check, by the name of the connector's file of tests; what is left out is not checked."""
    tests = {"full": full, "incremental": incremental, "secrets": secrets}
    return {
        column: test if "::" in test else f"tests/connectors/test_{name}.py::test_{test}"
        for column, test in tests.items()
        if test
    }


ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    # Databases.
    "postgres": _of(
        "sql",
        "each_type_of_postgres_arrives_as_what_it_is",
        "the_next_sync_of_postgres_loads_what_changed_and_asks_for_no_more",
        "a_database_that_cannot_be_reached_says_why_in_its_own_words_without_the_password",
    ),
    "mysql": _of(
        "sql",
        "each_type_of_mariadb_arrives_as_what_it_is",
        "the_next_sync_of_mariadb_loads_what_changed",
        "mariadb_tells_its_version_tables_and_what_is_wrong",
    ),
    "sqlite": _of(
        "sql",
        "sqlite_is_read_whatever_its_columns_hold",
        "a_table_of_which_nothing_is_said_is_replaced_and_one_with_a_cursor_is_not",
    ),
    "sql": _of(
        "sql",
        "any_url_of_sqlalchemy_is_a_source_and_stays_secret",
        "a_table_of_which_nothing_is_said_is_replaced_and_one_with_a_cursor_is_not",
        "any_url_of_sqlalchemy_is_a_source_and_stays_secret",
    ),
    "duckdb": _of("sql", "duckdb_is_read_by_its_types_and_its_cursor", "duckdb_is_read_by_its_types_and_its_cursor"),
    "clickhouse": _of(
        "dialects",
        "clickhouses_own_engine_gives_each_type_as_what_it_is_and_then_what_is_new",
        "clickhouses_own_engine_gives_each_type_as_what_it_is_and_then_what_is_new",
        HIDDEN,
    ),
    "mongodb": _of(
        "mongodb",
        "values_that_only_bson_has_arrive_as_what_they_are",
        "a_second_sync_asks_for_what_is_new_and_keeps_one_row_a_document",
        "a_wrong_password_and_a_collection_that_is_not_there_are_told_without_the_password",
    ),
    # Files, feeds, mail and streams.
    "files": _of(
        "files",
        "every_format_is_read_by_its_ending_packed_or_not",
        "a_second_sync_reads_only_new_and_changed_files_and_doubles_no_row",
        HIDDEN,
    ),
    "rss": _of(
        "feeds",
        "a_feed_without_signs_of_change_gives_its_entries_and_ones_without_guid_go_by_link",
        "a_second_sync_loads_new_and_changed_entries_and_is_sent_no_unchanged_feed",
        "a_login_that_is_wrong_is_told_and_one_that_is_right_is_not_shown",
    ),
    "imap": _of(
        "imap",
        "texts_and_the_names_of_attachments_are_read_and_without_them_only_headers",
        "a_second_sync_loads_only_new_messages_and_none_is_marked_as_read",
        "a_wrong_password_is_told_and_not_shown",
    ),
    "kafka": _of(
        "kafka",
        "a_message_arrives_with_its_place_time_headers_and_a_tombstone_without_a_value",
        "a_second_sync_loads_only_new_messages_and_what_is_read_again_takes_its_place",
        "a_login_that_is_refused_is_told_without_the_password",
    ),
    "kinesis": _of(
        "kinesis",
        "more_records_than_a_page_holds_are_all_read",
        "a_second_sync_loads_only_new_records_also_of_shards_that_were_split",
        "a_key_that_is_refused_is_told_and_not_shown",
    ),
    # Any API.
    "rest_api": _of(
        "generic",
        "every_way_of_paging_reads_all_rows_and_ends",
        "the_second_load_asks_for_what_changed_since_the_first",
        "a_block_of_sources_yml_is_synced_like_any_other_source",
    ),
    "graphql": _of(
        "generic",
        "a_block_of_sources_yml_is_synced_like_any_other_source",
        "a_graphql_query_is_read_page_by_page_and_then_only_what_is_new",
        HIDDEN,
    ),
    # Reports and events.
    "amplitude": _of(
        "amplitude",
        "events_have_their_times_and_their_properties",
        "the_second_load_asks_from_the_newest_event_on_and_loads_none_twice",
        "a_key_that_is_refused_is_told_and_not_shown",
    ),
    "facebook_ads": _of(
        "facebook_ads",
        "results_are_rows_by_day_whose_numbers_are_numbers",
        "the_second_load_replaces_the_days_to_which_actions_may_be_added",
        "a_token_that_is_refused_is_told_and_not_shown",
    ),
    "google_ads": _of(
        "google_ads",
        "results_have_a_column_for_each_field_and_whole_numbers",
        "the_second_load_replaces_the_days_to_which_conversions_may_be_added",
        "a_developer_token_that_is_refused_is_told_and_not_shown",
    ),
    "google_analytics": _of(
        "google_analytics",
        "a_report_becomes_a_row_for_each_day_and_combination",
        "the_second_load_replaces_the_days_that_may_have_changed_and_no_others",
        HIDDEN,
    ),
    "google_sheets": _of(
        "google_sheets",
        "a_sheet_becomes_a_table_whose_cells_keep_their_types",
        "the_second_load_replaces_the_first",
        HIDDEN,
    ),
    "mixpanel": _of(
        "mixpanel",
        "events_have_what_all_have_as_columns_and_the_rest_as_json",
        "the_second_load_replaces_the_days_to_which_events_may_be_added",
        "a_secret_that_is_refused_is_told_and_not_shown",
    ),
    "paypal": _of(
        "paypal",
        "a_transaction_is_a_row_whose_amounts_are_exact",
        "the_second_load_replaces_the_days_whose_transactions_may_change",
        "a_secret_that_is_refused_is_told_and_not_shown",
    ),
    "plausible": _of(
        "plausible",
        "a_report_is_a_row_for_each_day_and_combination",
        "the_second_load_replaces_the_days_that_may_have_changed",
        "a_key_that_is_refused_is_told_and_not_shown",
    ),
    "quickbooks": _of(
        "quickbooks",
        "lines_are_rows_of_a_table_beside_it",
        "the_second_load_merges_what_has_changed_with_the_newest_token",
        "a_refresh_token_that_is_refused_is_told_and_not_shown",
    ),
    "salesforce_bulk": _of(
        "salesforce_bulk",
        "an_object_becomes_a_table_with_all_its_fields_in_their_types",
        "the_second_load_merges_what_has_changed_and_what_was_deleted",
        "a_secret_that_is_refused_is_told_and_not_shown",
    ),
    # Other frameworks.
    "singer": _of(
        "singer",
        "a_tap_loads_all_that_it_discovers_then_what_is_new",
        "a_tap_loads_all_that_it_discovers_then_what_is_new",
        "a_tap_that_fails_loads_nothing_and_the_next_sync_goes_on_where_the_last_good_one_ended",
    ),
    "airbyte": _of(
        "airbyte",
        "a_connector_loads_its_streams_then_what_is_new",
        "a_connector_loads_its_streams_then_what_is_new",
        "a_low_code_manifest_is_run_from_beside_sources_yml",
    ),
    "datahub": _of(
        "datahub",
        "a_source_of_datahubs_own_and_one_of_the_projects_are_loaded_a_table_for_each_aspect",
        "what_is_gone_is_flagged_by_a_source_that_keeps_state",
        "a_source_of_datahubs_own_and_one_of_the_projects_are_loaded_a_table_for_each_aspect",
    ),
    "openmetadata": _of(
        "openmetadata",
        "a_custom_connector_loads_a_table_for_each_kind_of_entity_and_tells_what_it_could_not_make",
    ),
    "vdk": _of(
        "vdk",
        "data_sources_are_read_stream_by_stream_and_go_on_from_their_states",
        "data_sources_are_read_stream_by_stream_and_go_on_from_their_states",
    ),
}
"""The test that is each check of an entry. One that is neither here nor a declaration nor dlt's has no load that is
known of, and its row says so."""

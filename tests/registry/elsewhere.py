"""Which tests load the entries that are no declarations of an API: those of each connector."""

from __future__ import annotations

from collections.abc import Mapping

SQL = "tests/connectors/test_sql.py::"
MONGODB = "tests/connectors/test_mongodb.py::"
KAFKA = "tests/connectors/test_kafka.py::"
KINESIS = "tests/connectors/test_kinesis.py::"
FEEDS = "tests/connectors/test_feeds.py::"
IMAP = "tests/connectors/test_imap.py::"
GENERIC = "tests/connectors/test_generic.py::"
HIDDEN = "tests/test_secrets_isolation.py::test_what_an_entry_calls_secret_is_nowhere_to_be_seen_whatever_its_name"

ELSEWHERE: Mapping[str, Mapping[str, str]] = {
    "postgres": {
        "full": f"{SQL}test_each_type_of_postgres_arrives_as_what_it_is",
        "incremental": f"{SQL}test_the_next_sync_of_postgres_loads_what_changed_and_asks_for_no_more",
        "secrets": f"{SQL}test_a_database_that_cannot_be_reached_says_why_in_its_own_words_without_the_password",
    },
    "mysql": {
        "full": f"{SQL}test_each_type_of_mariadb_arrives_as_what_it_is",
        "incremental": f"{SQL}test_the_next_sync_of_mariadb_loads_what_changed",
        "secrets": f"{SQL}test_mariadb_tells_its_version_tables_and_what_is_wrong",
    },
    "sqlite": {
        "full": f"{SQL}test_sqlite_is_read_whatever_its_columns_hold",
        "incremental": f"{SQL}test_a_table_of_which_nothing_is_said_is_replaced_and_one_with_a_cursor_is_not",
    },
    "sql": {
        "full": f"{SQL}test_any_url_of_sqlalchemy_is_a_source_and_stays_secret",
        "incremental": f"{SQL}test_a_table_of_which_nothing_is_said_is_replaced_and_one_with_a_cursor_is_not",
        "secrets": f"{SQL}test_any_url_of_sqlalchemy_is_a_source_and_stays_secret",
    },
    "duckdb": {
        "full": f"{SQL}test_duckdb_is_read_by_its_types_and_its_cursor",
        "incremental": f"{SQL}test_duckdb_is_read_by_its_types_and_its_cursor",
    },
    "files": {
        "full": "tests/connectors/test_files.py::test_every_format_is_read_by_its_ending_packed_or_not",
        "incremental": "tests/connectors/test_files.py::"
        "test_a_second_sync_reads_only_new_and_changed_files_and_doubles_no_row",
        "secrets": HIDDEN,
    },
    "rest_api": {
        "full": f"{GENERIC}test_every_way_of_paging_reads_all_rows_and_ends",
        "incremental": f"{GENERIC}test_the_second_load_asks_for_what_changed_since_the_first",
        "secrets": f"{GENERIC}test_a_block_of_sources_yml_is_synced_like_any_other_source",
    },
    "graphql": {
        "full": f"{GENERIC}test_a_block_of_sources_yml_is_synced_like_any_other_source",
        "incremental": f"{GENERIC}test_a_graphql_query_is_read_page_by_page_and_then_only_what_is_new",
        "secrets": HIDDEN,
    },
    "mongodb": {
        "full": f"{MONGODB}test_values_that_only_bson_has_arrive_as_what_they_are",
        "incremental": f"{MONGODB}test_a_second_sync_asks_for_what_is_new_and_keeps_one_row_a_document",
        "secrets": f"{MONGODB}test_a_wrong_password_and_a_collection_that_is_not_there_are_told_without_the_password",
    },
    "kafka": {
        "full": f"{KAFKA}test_a_message_arrives_with_its_place_time_headers_and_a_tombstone_without_a_value",
        "incremental": f"{KAFKA}test_a_second_sync_loads_only_new_messages_and_what_is_read_again_takes_its_place",
        "secrets": f"{KAFKA}test_a_login_that_is_refused_is_told_without_the_password",
    },
    "kinesis": {
        "full": f"{KINESIS}test_a_second_sync_loads_only_new_records_also_of_shards_that_were_split",
        "incremental": f"{KINESIS}test_a_second_sync_loads_only_new_records_also_of_shards_that_were_split",
        "secrets": f"{KINESIS}test_a_key_that_is_refused_is_told_and_not_shown",
    },
    "rss": {
        "full": f"{FEEDS}test_a_second_sync_loads_new_and_changed_entries_and_is_sent_no_unchanged_feed",
        "incremental": f"{FEEDS}test_a_second_sync_loads_new_and_changed_entries_and_is_sent_no_unchanged_feed",
        "secrets": f"{FEEDS}test_a_login_that_is_wrong_is_told_and_one_that_is_right_is_not_shown",
    },
    "imap": {
        "full": f"{IMAP}test_after_a_folder_that_failed_the_next_sync_loads_all_and_none_twice",
        "incremental": f"{IMAP}test_a_second_sync_loads_only_new_messages_and_none_is_marked_as_read",
        "secrets": f"{IMAP}test_a_wrong_password_is_told_and_not_shown",
    },
    "singer": {
        "full": "tests/connectors/test_singer.py::test_a_tap_loads_all_that_it_discovers_then_what_is_new",
        "incremental": "tests/connectors/test_singer.py::test_a_tap_loads_all_that_it_discovers_then_what_is_new",
        "secrets": "tests/connectors/test_singer.py::"
        "test_a_tap_that_fails_loads_nothing_and_the_next_sync_goes_on_where_the_last_good_one_ended",
    },
    "airbyte": {
        "full": "tests/connectors/test_airbyte.py::test_a_connector_loads_its_streams_then_what_is_new",
        "incremental": "tests/connectors/test_airbyte.py::test_a_connector_loads_its_streams_then_what_is_new",
        "secrets": "tests/connectors/test_airbyte.py::test_a_low_code_manifest_is_run_from_beside_sources_yml",
    },
    "datahub": {
        "full": "tests/connectors/test_datahub.py::"
        "test_a_source_of_datahubs_own_and_one_of_the_projects_are_loaded_a_table_for_each_aspect",
        "incremental": "tests/connectors/test_datahub.py::"
        "test_what_is_gone_is_flagged_by_a_source_that_keeps_state",
        "secrets": "tests/connectors/test_datahub.py::"
        "test_a_source_of_datahubs_own_and_one_of_the_projects_are_loaded_a_table_for_each_aspect",
    },
    "openmetadata": {
        "full": "tests/connectors/test_openmetadata.py::"
        "test_a_custom_connector_loads_a_table_for_each_kind_of_entity_and_tells_what_it_could_not_make",
    },
    "vdk": {
        "full": "tests/connectors/test_vdk.py::"
        "test_data_sources_are_read_stream_by_stream_and_go_on_from_their_states",
        "incremental": "tests/connectors/test_vdk.py::"
        "test_data_sources_are_read_stream_by_stream_and_go_on_from_their_states",
    },
}  # fmt: skip
"""The test that is each check of an entry. An entry that is neither here nor a declaration nor dlt's has no loads that
are known of, and its row says so."""

"""Airbyte's connectors, unmodified, in environments of their own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.conftest import Said
from tests.connectors.vendor import Answer, Asked, vendor

pytestmark = pytest.mark.slow

Write = Callable[[Mapping[str, str]], None]
Rows = Callable[[str], list[Any]]

FAKE = """\
version: 1
sources:
  - name: fake
    type: airbyte
    environment: {requirements: ["airbyte-source-faker==7.2.1"]}
    airbyte:
      connector: source-faker
      config: {count: 20, seed: 1, parallelism: 1, always_updated: false}
"""
MANIFEST = """\
version: 6.0.0
type: DeclarativeSource
check: {type: CheckStream, stream_names: [orders]}
spec:
  type: Spec
  connection_specification:
    type: object
    required: [api_key]
    properties:
      api_key: {type: string, airbyte_secret: true, description: Of the shop}
      start: {type: string, default: "2026-01-01"}
streams:
  - type: DeclarativeStream
    name: orders
    primary_key: [id]
    schema_loader:
      type: InlineSchemaLoader
      schema:
        type: object
        properties: {id: {type: integer}, updated: {type: string, format: date}, price: {type: number}}
    incremental_sync:
      type: DatetimeBasedCursor
      cursor_field: updated
      cursor_datetime_formats: ["%Y-%m-%d"]
      datetime_format: "%Y-%m-%d"
      start_datetime: {type: MinMaxDatetime, datetime: "{{ config['start'] }}", datetime_format: "%Y-%m-%d"}
      start_time_option: {type: RequestOption, inject_into: request_parameter, field_name: since}
    retriever:
      type: SimpleRetriever
      requester:
        type: HttpRequester
        url_base: URL
        path: /orders
        http_method: GET
        authenticator: {type: BearerAuthenticator, api_token: "{{ config['api_key'] }}"}
      record_selector: {type: RecordSelector, extractor: {type: DpathExtractor, field_path: [data]}}
"""
SHOP = """\
version: 1
sources:
  - name: shop
    type: airbyte
    environment: {requirements: ["airbyte-cdk==7.39.1"]}
    airbyte: {connector: manifest.yaml, config: {start: "2026-01-01"}}
"""


def test_a_connector_loads_its_streams_then_what_is_new(dango: Callable[..., Said], rows: Rows, write: Write) -> None:
    write({"sources": FAKE})
    said = dango("sync", timeout=600)
    assert said.code == 0, said.err
    assert rows("select count(*), count(distinct id) from raw_fake.users") == [(20, 20)]
    assert rows(
        "select data_type from information_schema.columns where table_schema = 'raw_fake'"
        " and table_name = 'users' and column_name = 'created_at'"
    ) == [("TIMESTAMP WITH TIME ZONE",)]
    said = dango("sync")
    assert said.code == 0, said.err
    assert "0 rows" in said.err
    write({"sources": FAKE + "    resources: [user]\n"})
    assert "`source-faker` has no stream `user` (did you mean `users`?)" in dango("sync").err


def test_a_low_code_manifest_is_run_from_beside_sources_yml(
    dango: Callable[..., Said], rows: Rows, write: Write
) -> None:
    asked: list[Asked] = []
    limited = 1  # the first request of the first sync; it is asked again

    def answer(request: Asked) -> Any:
        asked.append(request)
        if len(asked) == limited:
            return Answer({"error": "too many requests"}, status=429, headers={"Retry-After": "1"})
        if request.headers.get("Authorization") != "Bearer Q7secretQ7":
            return Answer({"error": "no such key"}, status=403)
        since = request.query.get("since", "2026-01-01")
        days = [f"2026-01-{day:02}" for day in range(1, 21) if f"2026-01-{day:02}" >= since]
        return {"data": [{"id": int(day[-2:]), "updated": day, "price": 1.5} for day in days]}

    with vendor(answer) as server:
        write({
            "sources": SHOP,
            ".dango/manifest.yaml": MANIFEST.replace("URL", server.url),
            ".dlt/secrets.toml": '[sources.shop.secrets]\napi_key = "Q7secretQ7"\n',
        })  # fmt: skip
        said = dango("sync", timeout=600)
        assert said.code == 0, said.err
        assert rows("select count(*), max(updated)::varchar from raw_shop.orders") == [(20, "2026-01-20")]
        assert len(asked) > 1
        limited = 0
        asked.clear()
        said = dango("sync")
        assert said.code == 0, said.err
        assert [request.query["since"] for request in asked] == ["2026-01-20"]
        assert rows("select count(*) from raw_shop.orders") == [(20,)]

        told = {each["name"]: each for each in dango("source", "describe", "shop", "--json").json["options"]}
        assert (told["api_key"]["secret"], told["start"]["default"]) == (True, "2026-01-01")

        write({".dlt/secrets.toml": '[sources.shop.secrets]\napi_key = "Q8secretQ8"\n'})
        said = dango("sync")
        assert said.code == 1
        assert "403" in said.err
        assert "Q8secretQ8" not in said.out + said.err
    write({"sources": SHOP.replace("manifest.yaml", "nowhere.yaml")})
    said = dango("sync")
    assert (said.code, "there is no manifest nowhere.yaml" in said.err) == (2, True)

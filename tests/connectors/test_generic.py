"""Any API, from the answers that the wizard asks for: the shipped entries and their functions against a real server."""

from __future__ import annotations

import base64

import dlt
import duckdb
import pytest

from dango.connectors import generic
from dango.errors import ArgumentError, RestConfigError
from tests.connectors.entries import made
from tests.connectors.vendor import Answer, vendor

ROWS = [{"id": number} for number in range(1, 8)]


@pytest.fixture
def load(tmp_path):
    """Loads a source into DuckDB, with the state of the loads before it."""

    def load(source):
        file = tmp_path / "warehouse.duckdb"
        pipeline = dlt.pipeline(
            "shop", destination=dlt.destinations.duckdb(str(file)), dataset_name="shop", pipelines_dir=str(tmp_path)
        )
        pipeline.run(source)
        pipeline.deactivate()
        return lambda query: duckdb.connect(str(file)).sql(query).fetchall()

    return load


def basic(user, password):
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize(
    ("answers", "header", "wanted"),
    [
        ({}, "Authorization", None),
        ({"auth": "bearer", "token": "t{0}p"}, "Authorization", "Bearer t{0}p"),
        ({"auth": "api_key", "api_key": "k3y"}, "Authorization", "k3y"),
        ({"auth": "api_key", "api_key": "k3y", "api_key_name": "X-Api-Key"}, "X-Api-Key", "k3y"),
        ({"auth": "http_basic", "username": "ann", "password": "p:w"}, "Authorization", basic("ann", "p:w")),
        ({"auth": "http_basic", "username": "k3y"}, "Authorization", basic("k3y", "")),
        ({"headers": {"X-Team": "{a}"}}, "X-Team", "{a}"),
    ],
)  # fmt: skip
def test_every_way_of_signing_in_reaches_the_api(answers, header, wanted):
    with vendor(lambda asked: ROWS) as api:
        rows = list(made("rest_api", base_url=api.url, path="orders", data_selector="$", **answers))
        graph = list(made("graphql", url=f"{api.url}/graphql", query="{ x }", data_selector="$",
                          paginator="single_page", **answers))  # fmt: skip
    assert rows == graph == ROWS
    assert [asked.headers.get(header) for asked in api.asked] == [wanted] * 2


def test_a_key_may_go_into_the_query():
    with vendor(lambda asked: ROWS) as api:
        list(made("rest_api", base_url=api.url, path="orders", auth="api_key", api_key="k&y", api_key_name="key",
                  api_key_location="query"))  # fmt: skip
    assert api.asked[0].query["key"] == "k&y"


@pytest.mark.parametrize(
    ("answers", "form", "authorization"),
    [
        (
            {"auth": "oauth2_client_credentials", "scope": "read"},
            {"grant_type": "client_credentials", "client_id": "me", "client_secret": "s3cret", "scope": "read"},
            None,
        ),
        (
            {"auth": "oauth2_refresh", "refresh_token": "old", "scope": "read"},
            {"grant_type": "refresh_token", "client_id": "me", "client_secret": "s3cret", "refresh_token": "old",
             "scope": "read"},
            None,
        ),
        (
            {"auth": "oauth2_refresh", "refresh_token": "old", "send": "basic"},
            {"grant_type": "refresh_token", "refresh_token": "old"},
            basic("me", "s3cret"),
        ),
    ],
)  # fmt: skip
def test_a_token_is_obtained_first_where_that_is_how_one_signs_in(answers, form, authorization, monkeypatch, tmp_path):
    monkeypatch.setenv("DANGO_TOKENS", str(tmp_path))

    def answer(asked):
        return {"access_token": "fresh", "expires_in": 3600} if asked.path == "/token" else ROWS

    with vendor(answer) as api:
        client = {"token_url": f"{api.url}/token", "client_id": "me", "client_secret": "s3cret"}
        assert list(made("rest_api", base_url=api.url, path="orders", **client, **answers)) == ROWS
    assert api.to("/token")[0].form == form
    assert api.to("/token")[0].headers.get("Authorization") == authorization
    assert api.to("/orders")[0].headers["Authorization"] == "Bearer fresh"


def page_of(rows, start, size):
    return rows[start : start + size]


def by_link(asked):
    start = int(asked.query.get("from", 0))
    onward = f"http://{asked.headers['Host']}/orders?from={start + 3}" if start + 3 < len(ROWS) else ""
    link = {"Link": f'<{onward}>; rel="next"'} if onward else {}
    return Answer({"data": page_of(ROWS, start, 3), "links": {"next": onward or None}}, headers=link)


def by_cursor(asked):
    after = int(asked.query.get("after", 0))
    return {"data": page_of(ROWS, after, int(asked.query["size"])), "more": after + 3 < len(ROWS)}


def by_offset(asked):
    return {"data": page_of(ROWS, int(asked.query["skip"]), int(asked.query["take"]))}


def by_page(asked):
    return {"data": page_of(ROWS, int(asked.query["p"]) * 3, int(asked.query["size"])), "pages": 3}


@pytest.mark.parametrize(
    ("answer", "answers", "requests"),
    [
        (lambda asked: {"data": ROWS}, {"paginator": "single_page"}, 1),
        (by_link, {"paginator": "header_link"}, 3),
        (by_link, {"paginator": "json_link", "next_url_path": "links.next"}, 3),
        (by_link, {"paginator": "auto"}, 3),
        (
            by_cursor,
            {"paginator": "cursor", "cursor_path": "data[-1].id", "cursor_param": "after", "has_more_path": "more",
             "page_size": 3, "page_size_param": "size"},
            3,
        ),
        (
            by_offset,
            {"paginator": "offset", "offset_param": "skip", "page_size": 3, "page_size_param": "take"},
            4,
        ),
        (
            by_page,
            {"paginator": "page_number", "page_param": "p", "base_page": 0, "page_size": 3, "page_size_param": "size"},
            4,
        ),
        (
            by_page,
            {"paginator": "page_number", "page_param": "p", "base_page": 0, "page_size": 3, "page_size_param": "size",
             "total_path": "pages"},
            3,
        ),
    ],
    ids=["single_page", "header_link", "json_link", "auto", "cursor", "offset", "page_number", "page_number_total"],
)  # fmt: skip
def test_every_way_of_paging_reads_all_rows_and_ends(answer, answers, requests):
    with vendor(answer) as api:
        assert list(made("rest_api", base_url=api.url, path="orders", data_selector="data", **answers)) == ROWS
    assert len(api.asked) == requests


def test_the_size_of_a_page_is_not_sent_where_no_parameter_is_named():
    with vendor(lambda asked: ROWS) as api:
        list(made("rest_api", base_url=api.url, path="orders", paginator="header_link", page_size=50))
    assert api.asked[0].query == {}


def test_what_did_not_ask_for_less_replaces_the_table(load):
    rows = [{"id": 1}, {"id": 2}]
    with vendor(lambda asked: rows) as api:
        source = {"base_url": api.url, "path": "v1/orders", "data_selector": "$", "primary_key": ["id"]}
        load(made("rest_api", **source))
        rows.pop()
        query = load(made("rest_api", **source))
    assert query("select id from shop.orders") == [(1,)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("answers", "times", "sent"),
    [
        ({}, ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"],
         ["2023-12-01T00:00:00Z", "2024-02-01T00:00:00Z"]),
        ({"since_form": "epoch"}, ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"],
         ["1701388800", "1706745600"]),
        ({"cursor_form": "date"}, ["2024-01-01", "2024-02-01", "2024-03-01"], ["2023-12-01", "2024-02-01"]),
        ({"cursor_form": "epoch"}, [1704067200, 1706745600, 1709251200], ["1701388800", "1706745600"]),
        ({"cursor_form": "epoch_ms", "since_form": "iso"}, [1704067200000, 1706745600000, 1709251200000],
         ["2023-12-01T00:00:00Z", "2024-02-01T00:00:00Z"]),
        ({"lag": 86400}, ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z", "2024-03-01T00:00:00Z"],
         ["2023-12-01T00:00:00Z", "2024-01-31T00:00:00Z"]),
    ],
)  # fmt: skip
def test_the_second_load_asks_for_what_changed_since_the_first(load, answers, times, sent):
    rows = [{"id": 1, "at": times[0], "n": 1}, {"id": 2, "at": times[1], "n": 1}]
    with vendor(lambda asked: rows) as api:
        source = {
            "base_url": api.url, "path": "orders", "data_selector": "$", "primary_key": ["id"], "incremental": True,
            "cursor_field": "at", "start_date": "2023-12-01T00:00:00Z", "since_param": "since", **answers,
        }  # fmt: skip
        load(made("rest_api", **source))
        rows[0] = {"id": 1, "at": times[2], "n": 2}
        query = load(made("rest_api", **source))
    assert [asked.query["since"] for asked in api.asked] == sent
    assert query("select id, n from shop.orders order by id") == [(1, 2), (2, 1)]


def test_a_number_that_grows_is_a_cursor_too(load):
    rows = [{"id": 4}, {"id": 5}]
    with vendor(lambda asked: rows) as api:
        source = {"base_url": api.url, "path": "orders", "incremental": True, "cursor_field": "id",
                  "cursor_form": "number", "start_number": 4, "since_param": "min_id"}  # fmt: skip
        load(made("rest_api", **source))
        rows[:] = [{"id": 5}, {"id": 6}]
        query = load(made("rest_api", **source))
    assert [asked.query["min_id"] for asked in api.asked] == ["4", "5"]
    assert query("select id from shop.orders order by id") == [(4,), (5,), (6,)]


def test_without_a_parameter_everything_is_read_and_what_is_known_left_out(load):
    rows = [{"id": 1, "at": "2019-01-01T00:00:00Z"}, {"id": 2, "at": "2024-01-01T00:00:00Z"}]
    with vendor(lambda asked: rows) as api:
        source = {"base_url": api.url, "path": "orders", "incremental": True, "cursor_field": "at"}
        load(made("rest_api", **source))
        rows.append({"id": 3, "at": "2024-02-01T00:00:00Z"})
        query = load(made("rest_api", **source))
    assert [asked.query for asked in api.asked] == [{}, {}]
    assert query("select id from shop.orders order by id") == [(2,), (3,)]


def test_braces_in_a_path_and_in_parameters_are_sent_as_they_are():
    with vendor(lambda asked: ROWS) as api:
        params = {"filter": '{"status": "{open}"}', "n": 3}
        assert list(made("rest_api", base_url=api.url, path="a{b}/orders", params=params)) == ROWS
    assert api.asked[0].path == "/a%7Bb%7D/orders"
    assert api.asked[0].query == {"filter": '{"status": "{open}"}', "n": "3"}


def test_more_endpoints_are_given_in_dlts_own_terms_and_may_stand_alone(load):
    def answer(asked):
        return [{"no": 7}] if asked.path.endswith("/lines") else [{"id": 1}, {"id": 2}]

    lines = {
        "name": "lines",
        "include_from_parent": ["id"],
        "endpoint": {"path": "orders/{resources.orders.id}/lines", "data_selector": "$"},
    }
    with vendor(answer) as api:
        query = load(made("rest_api", base_url=api.url, path="orders", data_selector="$", endpoints=[lines]))
        alone = made("rest_api", base_url=api.url, endpoints=["orders", lines])
    assert query("select _orders_id, no from shop.lines order by 1") == [(1, 7), (2, 7)]
    assert list(alone.resources) == ["orders", "lines"]


def answered(asked):
    """Four orders, two a page, those that changed since a time."""
    orders = [{"node": {"id": f"o{n}", "updatedAt": f"2024-0{n}-01T00:00:00Z"}} for n in range(1, 5)]
    variables = asked.json["variables"]
    orders = [order for order in orders if order["node"]["updatedAt"] >= variables.get("since", "")]
    start = int(variables.get("after") or 0)
    end = start + 2
    info = {"endCursor": str(end), "hasNextPage": end < len(orders)}
    return {"data": {"orders": {"edges": orders[start:end], "pageInfo": info}}}


QUERY = """query ($after: String, $since: DateTime, $status: Status) {
  orders(first: 2, after: $after, filter: {since: $since, status: $status}) {
    edges { node { id updatedAt } }
    pageInfo { endCursor hasNextPage }
  }
}"""
PAGED = {
    "query": QUERY,
    "data_selector": "data.orders.edges[*].node",
    "cursor_path": "data.orders.pageInfo.endCursor",
    "has_more_path": "data.orders.pageInfo.hasNextPage",
}


def test_a_graphql_query_is_read_page_by_page_and_then_only_what_is_new(load):
    with vendor(answered) as api:
        source = {
            **PAGED, "url": f"{api.url}/graphql?v={{2}}", "resource": "orders", "primary_key": ["id"],
            "variables": {"status": "{any}"}, "incremental": True, "cursor_field": "updatedAt",
            "start_date": "2024-02-01T00:00:00Z", "since_variable": "since",
        }  # fmt: skip
        load(made("graphql", **source))
        query = load(made("graphql", **source))
    assert {(asked.method, asked.path, asked.query["v"], asked.json["query"]) for asked in api.asked} == {
        ("POST", "/graphql", "{2}", QUERY)
    }
    assert [asked.json["variables"] for asked in api.asked] == [
        {"status": "{any}", "since": "2024-02-01T00:00:00Z"},
        {"status": "{any}", "since": "2024-02-01T00:00:00Z", "after": "2"},
        {"status": "{any}", "since": "2024-04-01T00:00:00Z"},
    ]
    assert query("select id from shop.orders order by id") == [("o2",), ("o3",), ("o4",)]


def test_a_graphql_query_without_pages_is_asked_once():
    with vendor(lambda asked: {"data": {"orders": ROWS}}) as api:
        source = made("graphql", url=api.url, query="{ orders { id } }", data_selector="data.orders",
                      paginator="single_page")  # fmt: skip
        assert list(source) == ROWS
    assert [(asked.path, asked.json) for asked in api.asked] == [("/", {"query": "{ orders { id } }", "variables": {}})]


def test_an_error_of_graphql_fails_although_its_status_is_200():
    with (
        vendor(lambda asked: {"data": None, "errors": [{"message": "no such field: ordrs"}]}) as api,
        pytest.raises(Exception, match="no such field: ordrs"),
    ):
        list(
            made("graphql", url=api.url, query="{ ordrs { id } }", data_selector="data.ordrs", paginator="single_page")
        )


def test_a_variable_that_the_query_does_not_have_is_refused():
    """Sent all the same, it would change nothing: the same page for ever, or everything on every sync."""
    paged = {**PAGED, "query": QUERY.replace("$after", "$afterwards"), "url": "http://127.0.0.1:9"}
    with pytest.raises(ArgumentError, match=r"no variable `\$after`"):
        made("graphql", **paged)
    with pytest.raises(ArgumentError, match=r"no variable `\$from`"):
        made("graphql", **{**paged, "query": QUERY}, incremental=True, cursor_field="at", since_variable="from")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "nothing to load"),
        ({"endpoint": {"name": "orders"}}, "nothing to load"),
        ({"endpoint": {"path": "x"}, "changes": {"param": "since", "since": "2024-01-01"}}, "no field of the rows"),
        ({"endpoint": {"path": "x"}, "changes": {"cursor_path": "at", "param": "since"}}, "for the first time"),
        ({"endpoint": {"path": "x"}, "changes": {"cursor_path": "at", "lag": 60}}, "there twice"),
        ({"endpoint": {"path": "x"}, "changes": {"cursor_path": "at", "since": "soon"}}, "no time"),
    ],
)  # fmt: skip
def test_answers_that_do_not_go_together_are_refused(arguments, message):
    with pytest.raises(ArgumentError, match=message):
        generic.rest_api("shop", "http://127.0.0.1:9", **arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"paging": {"type": "cursr"}}, r"client\.paginator: no paginator `cursr` \(did you mean `cursor`"),
        ({"credentials": {"type": "bearer"}}, r"client\.auth\.token|CREDENTIALS"),
        ({"credentials": {"type": "kerberos", "token": "hunter2"}}, r"client\.auth: no authentication `kerberos`"),
        ({"endpoints": [{"name": "y", "endpoint": {"pth": "y"}}]}, r"resources\[y\]\.endpoint\.pth: unknown key"),
    ],
)
def test_what_is_no_configuration_is_told_with_its_place_and_without_secrets(arguments, message):
    with pytest.raises(Exception, match=message) as caught:
        generic.rest_api("shop", "http://127.0.0.1:9", **{"endpoint": {"path": "x"}, **arguments})
    assert "hunter2" not in str(caught.value)
    assert isinstance(caught.value, RestConfigError) or "token" in str(caught.value).lower()


@pytest.mark.slow
def test_a_block_of_sources_yml_is_synced_like_any_other_source(write, dango, rows):
    """Both entries, through the command line: the token comes from secrets.toml, the mapping is YAML."""
    with vendor(lambda asked: answered(asked) if asked.method == "POST" else {"data": ROWS}) as api:
        write(
            {
                "sources": f"""
version: 1
sources:
  - name: shop
    type: rest_api
    rest_api:
      base_url: {api.url}/v1
      auth: bearer
      path: orders
      params: {{status: "{{all}}"}}
      data_selector: data
      primary_key: [id]
      paginator: single_page
  - name: graph
    type: graphql
    graphql:
      url: {api.url}/graphql
      resource: orders
      query: |
        {QUERY.replace(chr(10), chr(10) + " " * 8)}
      data_selector: {PAGED["data_selector"]!r}
      cursor_path: {PAGED["cursor_path"]}
      has_more_path: {PAGED["has_more_path"]}
""",
                ".dlt/secrets.toml": '[sources.shop]\ntoken = "hunter2hunter2"\n',
            }
        )
        said = dango("sync")
    assert said.code == 0, said.out + said.err
    assert "hunter2" not in said.out + said.err
    asked = api.to("/v1/orders")[0]
    assert (asked.headers["Authorization"], asked.query) == ("Bearer hunter2hunter2", {"status": "{all}"})
    assert rows("select count(*) from raw_shop.orders") == [(7,)]
    assert rows("select id from raw_graph.orders order by id") == [("o1",), ("o2",), ("o3",), ("o4",)]

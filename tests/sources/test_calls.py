"""A registry entry and a source's block become a call: the same that a `dlt_native` block says."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from dlt.common.configuration.providers import ConfigTomlProvider, EnvironProvider, SecretsTomlProvider

from dango.dlt_internals.names import ValueNotSecretException
from dango.dlt_internals.providers import OwnSection
from dango.errors import ArgumentError, MissingSecret, ResolveError
from dango.job import Job
from dango.project import Project
from dango.sources.calls import REST, STAND_IN, Call, call_of, given
from tests.conftest import Said
from tests.connectors.vendor import Answer, Asked, vendor

Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]

HEAD = "registry: 1\nid: shop\ntitle: Shop\ncategory: generic\n"
KINDS = (
    HEAD
    + """\
fields:
  - {name: text}
  - {name: size, kind: int, min: 1, max: 500, default: 100, help: How many rows a page}
  - {name: rate, kind: float}
  - {name: deep, kind: bool}
  - {name: region, kind: enum, options: [eu, us], default: eu}
  - {name: keys, kind: list}
  - {name: day, kind: date}
  - {name: since, kind: datetime, default: "2020-01-01T00:00:00Z"}
  - {name: address, kind: url}
  - {name: more, kind: json}
  - {name: token, kind: secret, help: From the settings of your account}
build:
  kind: function
  function: "shop:rows"
  args: {text: "${text}", size: "${size}", rate: "${rate}", deep: "${deep}", region: "${region}", keys: "${keys}",
         day: "${day}", since: "${since}", address: "${address}", more: "${more}", token: "${secrets.token}"}
"""
)
API = (
    HEAD
    + """\
fields:
  - {name: url, kind: url, required: true}
  - {name: owner, required: true}
  - {name: since, kind: datetime}
  - {name: token, kind: secret, required: true}
rate_limit: {requests_per_second: 50}
select: {default: [orders]}
build:
  kind: rest_api
  config:
    client: {base_url: "${url}", auth: {type: bearer, token: "${secrets.token}"}, paginator: single_page}
    resources:
      - name: orders
        primary_key: id
        write_disposition: merge
        endpoint: {path: "${owner}/orders", params: {since: "${since|epoch}", who: "${owner}"}, data_selector: data}
      - {name: notes, endpoint: {path: notes, data_selector: data}}
"""
)


@pytest.fixture
def job(write: Write, root: Path) -> Callable[..., Job]:
    """`job(entry, block)`: the work of the source `one` of type `shop`, in a project with that entry."""

    def job(entry: str, block: Mapping[str, Any] | None = None, **source: Any) -> Job:
        item = {"name": "one", "type": "shop", "shop": block or {}, **source}
        write({"registry/shop.yml": entry, "sources": f"sources:\n  - {json.dumps(item)}\n"})
        project = Project(root)
        return project.job(project.source("one"))

    return job


@pytest.fixture
def own(root: Path) -> OwnSection:
    """What dlt's own providers have under the source's name."""
    folder = str(root / ".dlt")
    (root / ".dlt").mkdir(exist_ok=True)
    return OwnSection("one", [EnvironProvider(), SecretsTomlProvider(folder), ConfigTomlProvider(folder)])


@pytest.fixture
def found(root: Path) -> Callable[[], OwnSection]:
    """The same, read when it is called: after the files are written."""
    folder = str(root / ".dlt")
    return lambda: OwnSection("one", [EnvironProvider(), SecretsTomlProvider(folder), ConfigTomlProvider(folder)])


# --- the call -------------------------------------------------------------------------------------


def test_a_declarative_entry_is_a_call_of_rest_api_with_its_configuration_filled_in(
    job: Callable[..., Job], own: OwnSection
) -> None:
    block = {"url": "http://x.example", "owner": "{acme}", "token": "hush-hush", "since": "2024-01-31"}
    call = call_of(job(API, block), own)
    assert (call.module, call.function, call.arguments_at) == (*REST, ())
    config = call.arguments["config"]
    assert call.arguments == {"config": config, "name": "one", "requests_per_second": 50}
    assert config["client"] == {
        "base_url": "http://x.example", "auth": {"type": "bearer", "token": "hush-hush"}, "paginator": "single_page",
    }  # fmt: skip
    orders = config["resources"][0]["endpoint"]
    assert orders["path"] == "%7Bacme%7D/orders"
    assert orders["params"] == {"since": 1706659200, "who": "{{acme}}"}
    assert call.secrets == {"token": "hush-hush"}
    assert call.rehearsal is not None
    assert call.rehearsal["config"]["client"]["auth"]["token"] == STAND_IN
    assert "hush-hush" not in repr(call) + str(call.rehearsal)


def test_a_function_is_called_with_what_is_filled_in_and_what_is_empty_is_left_to_its_default(
    job: Callable[..., Job], own: OwnSection
) -> None:
    entry = KINDS.replace("args: {", "args: {name: '${source}', only: '${resources}', ")
    call = call_of(job(entry, {"day": "2024-01-31", "keys": ["a"]}), own)
    assert (call.module, call.function, call.inspect, call.rehearsal) == ("shop", "rows", None, None)
    assert call.arguments == {
        "name": "one", "size": 100, "region": "eu", "keys": ["a"], "day": "2024-01-31",
        "since": "2020-01-01T00:00:00Z",
    }  # fmt: skip
    chosen = call_of(job(entry, resources=["b", "a"]), own)
    assert chosen.arguments["only"] == ["b", "a"]


def test_a_verified_source_is_called_by_the_name_of_its_folder(job: Callable[..., Job], own: OwnSection) -> None:
    commit = "0" * 40
    entry = (
        HEAD + f"build: {{kind: verified, source: slack, function: slack_source, commit: '{commit}', args: {{a: 1}}}}\n"
    )
    call = call_of(job(entry), own)
    assert (call.module, call.function, call.arguments) == ("slack", "slack_source", {"a": 1})


def test_a_native_block_is_the_call_as_it_stands(write: Write, root: Path, own: OwnSection) -> None:
    block = {"source_module": "m", "source_function": "f", "function_kwargs": {"a": "env:B"}}
    write({"sources": f"sources:\n  - {json.dumps({'name': 'one', 'type': 'dlt_native', 'dlt_native': block})}\n"})
    project = Project(root)
    assert call_of(project.job(project.source("one")), own) == Call("m", "f", {"a": "env:B"})


def test_a_broken_entry_is_told_with_all_that_is_wrong(job: Callable[..., Job], own: OwnSection) -> None:
    with pytest.raises(ResolveError) as caught:
        call_of(job("registry: 1\nid: shop\n"), own)
    assert (
        "the registry entry `shop` is broken:\nregistry/shop.yml:1:1: the key `build` is missing"
        in caught.value.message
    )
    assert "the key `title` is missing" in caught.value.message
    assert (caught.value.hint, caught.value.loc) == ("dango registry lint shop", ("type",))


# --- values of the block --------------------------------------------------------------------------


def value(job: Job, own: OwnSection, name: str) -> Any:
    return next(each.value for each in given(job, job.entry, own) if each.spec.name == name)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "text", "read"),
    [
        ("text", "0012", "0012"),
        ("text", " padded ", "padded"),
        ("size", "250", 250),
        ("rate", "0.5", 0.5),
        ("deep", "yes", True),
        ("deep", "0", False),
        ("region", "us", "us"),
        ("keys", "a, b", ["a", "b"]),
        ("keys", '["a,b"]', ["a,b"]),
        ("day", "2024-01-31", dt.date(2024, 1, 31)),
        ("address", "https://x.example", "https://x.example"),
        ("more", '{"a": [1]}', {"a": [1]}),
        ("token", "hush-hush\n", "hush-hush"),
    ],
)
def test_text_from_the_environment_is_read_as_the_fields_kind(
    job: Callable[..., Job], own: OwnSection, monkeypatch: pytest.MonkeyPatch, name: str, text: str, read: Any
) -> None:
    """In the block as `env:`, and under the source's own name."""
    monkeypatch.setenv("SHOP_VALUE", text)
    assert value(job(KINDS, {name: "env:SHOP_VALUE"}), own, name) == read
    monkeypatch.setenv(f"SOURCES__ONE__{name.upper()}", text)
    assert value(job(KINDS), own, name) == read


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("size", "many", "`size` is a whole number"),
        ("size", "501", "`size` is at most 500"),
        ("region", "asia", "`region` is one of: eu, us"),
        ("since", "soon", "`since` is a time, such as 2024-01-31T00:00:00Z"),
        ("more", "{", "`more` is JSON (Expecting property name enclosed in double quotes)"),
    ],
)
def test_text_that_does_not_fit_is_told_with_where_it_was_found(
    job: Callable[..., Job], own: OwnSection, monkeypatch: pytest.MonkeyPatch, name: str, text: str, said: str
) -> None:
    monkeypatch.setenv("SHOP_VALUE", text)
    with pytest.raises(ArgumentError) as caught:
        call_of(job(KINDS, {name: "env:SHOP_VALUE"}), own)
    assert (caught.value.message, caught.value.loc) == (said, ("shop", name))
    monkeypatch.setenv(f"SOURCES__ONE__{name.upper()}", text)
    with pytest.raises(ArgumentError) as caught:
        call_of(job(KINDS), own)
    assert caught.value.message == f"{said} (found as SOURCES__ONE__{name.upper()})"


def test_env_is_expanded_inside_lists_and_mappings_and_may_be_meant_as_text(
    job: Callable[..., Job], own: OwnSection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_A", "a")
    monkeypatch.setenv("SHOP_NONE", "")
    block = {"more": {"x": ["env:SHOP_A", "env::B"]}, "keys": ["env:SHOP_A"], "text": "env::C", "day": "env:SHOP_NONE?"}
    values = {each.spec.name: each.value for each in given(job(KINDS, block), job(KINDS, block).entry, own)}  # type: ignore[arg-type]
    assert (values["more"], values["keys"], values["text"], values["day"]) == (
        {"x": ["a", "env:B"]}, ["a"], "env:C", None,
    )  # fmt: skip


def test_a_value_is_taken_from_the_block_then_the_environment_then_the_files_then_the_default(
    job: Callable[..., Job], write: Write, found: Callable[[], OwnSection], monkeypatch: pytest.MonkeyPatch
) -> None:
    job(KINDS)
    write({
        ".dlt/secrets.toml": '[sources.one]\ntoken = "of-secrets"\nsize = 3\n',
        ".dlt/config.toml": '[sources.one]\nsize = 4\ndeep = true\nkeys = ["c"]\nday = 2024-01-31\nmore = {a = 1}\n',
    })  # fmt: skip
    read = {each.spec.name: each for each in given(job(KINDS), job(KINDS).entry, found())}  # type: ignore[arg-type]
    assert {name: each.value for name, each in read.items()} == {
        "text": None, "size": 3, "rate": None, "deep": True, "region": "eu", "keys": ["c"], "day": dt.date(2024, 1, 31),
        "since": "2020-01-01T00:00:00Z", "address": None, "more": {"a": 1}, "token": "of-secrets",
    }  # fmt: skip
    assert read["token"].found is not None
    assert read["token"].found.key == "sources.one.token"
    monkeypatch.setenv("SOURCES__ONE__SIZE", "2")
    assert value(job(KINDS), found(), "size") == 2
    assert value(job(KINDS, {"size": 1}), found(), "size") == 1
    assert "of-secrets" not in repr(read["token"])


def test_a_secret_in_config_toml_is_refused(
    job: Callable[..., Job], write: Write, found: Callable[[], OwnSection]
) -> None:
    write({".dlt/config.toml": '[sources.one]\ntoken = "hush-hush"\n'})
    with pytest.raises(ValueNotSecretException) as caught:
        call_of(job(KINDS), found())
    assert "hush-hush" not in str(caught.value)


def test_a_secret_that_does_not_fit_is_not_shown(
    job: Callable[..., Job], write: Write, found: Callable[[], OwnSection]
) -> None:
    entry = KINDS.replace("kind: secret,", "kind: secret, pattern: 'sk_[a-z]+', example: sk_live,")
    write({".dlt/secrets.toml": '[sources.one]\ntoken = "hush-hush"\n'})
    with pytest.raises(ArgumentError) as caught:
        call_of(job(entry), found())
    assert str(caught.value) == "`token` does not look like one, such as sk_live (found as sources.one.token)"
    assert caught.value.hint == "From the settings of your account"


# --- what applies, what is missing ----------------------------------------------------------------

WHEN = (
    HEAD
    + """\
fields:
  - {name: auth, kind: enum, options: [none, key, both], default: none}
  - {name: key, kind: secret, required: true, when: {auth: [key, both]}}
  - {name: user, required: true, when: {auth: both}}
  - {name: realm, required: true, default: main, when: {auth: both}}
groups: [[path], [key, user]]
build:
  kind: function
  function: "shop:rows"
  args: {auth: "${auth}", key: "${secrets.key}", user: "${user}", realm: "${realm}"}
"""
)
UNGROUPED = WHEN.replace("groups: [[path], [key, user]]\n", "")


def test_a_field_that_does_not_apply_is_neither_asked_nor_passed(job: Callable[..., Job], own: OwnSection) -> None:
    assert call_of(job(UNGROUPED), own).arguments == {"auth": "none"}
    # Left from before `auth` was changed: it means nothing now.
    assert call_of(job(UNGROUPED, {"user": "me"}), own).arguments == {"auth": "none"}
    call = call_of(job(UNGROUPED, {"auth": "both", "user": "me", "key": "k"}), own)
    assert call.arguments == {"auth": "both", "key": "k", "user": "me", "realm": "main"}


def test_all_that_is_missing_is_told_at_once_with_where_it_goes(job: Callable[..., Job], own: OwnSection) -> None:
    with pytest.raises(MissingSecret) as caught:
        call_of(job(UNGROUPED, {"auth": "both"}), own)
    assert caught.value.message == "no value for `key`, `user`"
    assert caught.value.hint == (
        'add to `shop:` in sources.yml: user: …\nadd to .dlt/secrets.toml:\n[sources.one]\nkey = "…"\n'
        "or: dango source edit one"
    )
    assert caught.value.exit_code == 2
    with pytest.raises(ArgumentError) as plain:
        call_of(job(UNGROUPED, {"auth": "both", "key": "k", "user": ""}), own)
    assert (plain.value.message, plain.value.loc) == ("no value for `user`", ("shop",))


def test_of_groups_one_must_be_whole(job: Callable[..., Job], own: OwnSection) -> None:
    entry = WHEN.replace("fields:\n", "fields:\n  - {name: path}\n")
    with pytest.raises(ArgumentError) as caught:
        call_of(job(entry), own)
    assert caught.value.message == "`one` needs `path`; or `key`, `user`"
    assert caught.value.hint == "dango source edit one"
    assert call_of(job(entry, {"path": "x"}), own).arguments == {"auth": "none"}
    assert call_of(job(entry, {"auth": "both", "key": "k", "user": "me"}), own).arguments["user"] == "me"


# --- a whole sync ---------------------------------------------------------------------------------

ECHO = """
import json


def rows(**given):
    yield {"given": json.dumps(given, sort_keys=True)}
"""


def shop(asked: Asked) -> Any:
    if asked.headers.get("Authorization") != "Bearer hush-hush-1":
        return Answer({"error": "who are you"}, 401)
    rows = [{"id": 1, "at": "2024-02-01T00:00:00Z", "asked": json.dumps(dict(asked.query), sort_keys=True)}]
    return {"data": rows}


@pytest.mark.slow
def test_an_entry_loads_what_the_native_block_that_says_the_same_loads(
    write: Write, dango: Dango, rows: Callable[[str], list[Any]]
) -> None:
    with vendor(shop) as served:
        config = {
            "client": {
                "base_url": served.url, "paginator": "single_page",
                "auth": {"type": "bearer", "token": "env:SHOP_TOKEN"},
            },
            "resources": [{
                "name": "orders", "primary_key": "id", "write_disposition": "merge",
                "endpoint": {
                    "path": "acme/orders", "params": {"since": 1706659200, "who": "acme"}, "data_selector": "data",
                },
            }],
        }  # fmt: skip
        block = {
            "source_module": "rest_api",
            "source_function": "rest_api_source",
            "function_kwargs": {"config": config},
        }
        items = [
            {"name": "one", "type": "shop", "shop": {"url": served.url, "owner": "acme", "since": "2024-01-31"}},
            {"name": "two", "type": "dlt_native", "dlt_native": block},
        ]
        write({"registry/shop.yml": API, "sources": "sources:\n" + "".join(f"  - {json.dumps(i)}\n" for i in items)})
        secrets = {"SOURCES__ONE__TOKEN": "hush-hush-1", "SHOP_TOKEN": "hush-hush-1"}
        for _ in range(2):
            said = dango("sync", env=secrets)
            assert said.code == 0, said.err
    assert "hush-hush" not in said.out + said.err
    columns = 'id, "at", asked'
    assert rows(f"SELECT {columns} FROM raw_one.orders") == rows(f"SELECT {columns} FROM raw_two.orders")
    assert json.loads(rows("SELECT asked FROM raw_one.orders")[0][0]) == {"since": "1706659200", "who": "acme"}
    # Only what the entry selects where nobody says otherwise.
    assert rows("SELECT count(*) FROM information_schema.tables WHERE table_name = 'notes'") == [(0,)]


@pytest.mark.slow
def test_two_sources_of_one_entry_have_each_its_own_secrets(
    write: Write, dango: Dango, rows: Callable[[str], list[Any]]
) -> None:
    entry = KINDS.replace('"shop:rows"', '"echo:rows"').replace("kind: secret,", "kind: secret, required: true,")
    write({
        "registry/shop.yml": entry,
        "custom_sources/echo.py": ECHO,
        "sources": "sources:\n" + "".join(f"  - {{name: {n}, type: shop, shop: {{}}}}\n" for n in ("eu", "us", "none")),
        ".dlt/secrets.toml": '[sources.eu]\ntoken = "hush-hush-eu"\n[sources.shop]\ntoken = "hush-hush-all"\n',
    })  # fmt: skip
    said = dango("sync", env={"SOURCES__US__TOKEN": "hush-hush-us"})
    assert said.code == 3, said.err
    for name in ("eu", "us"):
        ((given,),) = rows(f"SELECT given FROM raw_{name}.rows")
        assert json.loads(given)["token"] == f"hush-hush-{name}"
    assert "no value for `token`" in said.err
    assert "[sources.none]" in said.err
    assert "hush-hush" not in said.out + said.err


@pytest.mark.slow
def test_the_entrys_hints_hold_until_the_source_says_otherwise(
    write: Write, dango: Dango, rows: Callable[[str], list[Any]]
) -> None:
    write({
        "registry/shop.yml": HEAD + 'select: {default: [a], hints: {write_disposition: replace}}\n'
        'describe: {a: A, b: B}\nbuild: {kind: function, function: "two:source"}\n',
        "custom_sources/two.py": "import dlt\n\n@dlt.source\ndef source():\n"
        '    return dlt.resource([{"id": 1}], name="a"), dlt.resource([{"id": 1}], name="b")\n',
        "sources": "sources:\n  - {name: one, type: shop}\n"
        "  - {name: two, type: shop, resources: {a: , b: {write_disposition: append}}}\n",
    })  # fmt: skip
    for _ in range(2):
        said = dango("sync")
        assert said.code == 0, said.err
    tables = (
        "SELECT table_schema, table_name FROM information_schema.tables WHERE table_name IN ('a', 'b') ORDER BY ALL"
    )
    assert rows(tables) == [("raw_one", "a"), ("raw_two", "a"), ("raw_two", "b")]
    assert rows("SELECT count(*) FROM raw_one.a") == [(1,)]
    assert rows("SELECT (SELECT count(*) FROM raw_two.a), (SELECT count(*) FROM raw_two.b)") == [(1, 2)]


def test_every_name_of_the_environment_that_is_not_set_is_told_before_anything_runs(write: Write, dango: Dango) -> None:
    write({
        "registry/shop.yml": KINDS,
        "sources": "sources:\n  - name: one\n    type: shop\n    shop:\n      token: env:CALLS_ONE\n"
        "      more: {a: [env:CALLS_TWO]}\n      text: env:CALLS_EMPTY\n",
    })  # fmt: skip
    said = dango("sync", env={"CALLS_EMPTY": ""})
    assert (said.code, said.out) == (2, "")
    assert ".dango/sources.yml:5:7: the environment variable CALLS_ONE is not set" in said.err
    assert ".dango/sources.yml:6:18: the environment variable CALLS_TWO is not set" in said.err
    assert ".dango/sources.yml:7:7: the environment variable CALLS_EMPTY is set but empty" in said.err


def test_what_the_vendor_refuses_and_a_secret_in_config_toml_show_no_secret(write: Write, dango: Dango) -> None:
    with vendor(shop) as served:
        write({
            "registry/shop.yml": API,
            "sources": "sources:\n"
            + "".join(
                f"  - {{name: {name}, type: shop, shop: {{url: '{served.url}', owner: acme}}}}\n"
                for name in ("wrong", "open")
            ),
            ".dlt/secrets.toml": '[sources.wrong]\ntoken = "hush-hush-2"\n',
            ".dlt/config.toml": '[sources.open]\ntoken = "hush-hush-3"\n',
        })  # fmt: skip
        said = dango("sync")
    assert said.code == 3
    assert "the credentials are refused; where each comes from: dango explain wrong" in said.err
    assert "a secret stands in config.toml, which is in git: sources.open.token" in said.err
    assert "hush-hush" not in said.out + said.err

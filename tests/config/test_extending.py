"""`extends:`: what a source does not say itself is as in another; who goes wrong is told where."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from dango.config.models import Config, Source
from tests.config.test_models import FILE, config, problem, problems

BASE = """\
destinations:
  lake: {type: postgres}
  archive: {type: postgres}
defaults: {max_errors: 7, schema_contract: {tables: freeze}, on_error: skip}
sources:
  - name: shop
    type: dlt_native
    description: The shop in Germany
    destination: lake
    enabled: false
    max_errors: 5%
    schema_contract: {columns: freeze}
    allowed_hosts: [files.example.com]
    processors: [{drop: [notes]}]
    resources:
      orders: {primary_key: id, write_disposition: merge}
      users: {table: people}
    dlt_native:
      source_module: shop
      source_function: shop
      pipeline_name: the_pipeline
      dataset_name: the_dataset
      function_kwargs: {country: de, token: env:TOKEN, deep: {a: 1, b: 2}}
"""


def extended(text: str) -> Source:
    return config(BASE + text).sources[-1]


def test_what_a_source_does_not_say_is_as_in_the_one_that_it_extends() -> None:
    source = extended("  - {name: shop_fr, extends: shop}\n")
    assert (source.type, source.destination, source.max_errors, source.on_error) == ("dlt_native", "lake", "5%", "skip")
    assert source.dlt_native and source.dlt_native.source_module == "shop"
    assert source.dlt_native.function_kwargs == {"country": "de", "token": "env:TOKEN", "deep": {"a": 1, "b": 2}}
    assert source.resources and source.resources["orders"].primary_key == "id"
    assert source.schema_contract and source.schema_contract.said == {"columns": "freeze", "tables": "freeze"}
    assert [each.written for each in source.processors or ()] == [{"drop": ["notes"]}]
    assert source.allowed_hosts == ("files.example.com",)
    assert pickle.loads(pickle.dumps(source)) == source


def test_its_name_and_so_its_dataset_pipeline_and_whether_it_is_enabled_are_its_own() -> None:
    source = extended("  - {name: shop_fr, extends: shop}\n")
    assert (source.dataset, source.pipeline, source.description, source.enabled) == ("raw_shop_fr", "shop_fr", "", True)


def test_what_it_says_itself_counts_key_by_key() -> None:
    source = extended("""\
  - name: shop_fr
    extends: shop
    destination: archive
    max_errors: 0
    schema_contract: {data_type: discard_row}
    processors: []
    resources:
      orders: {write_disposition: append}
      returns:
    dlt_native:
      dataset_name: french
      function_kwargs: {country: fr, deep: {a: 3}}
""")
    assert (source.destination, source.max_errors, source.processors, source.dataset) == ("archive", 0, (), "french")
    assert source.dlt_native and source.dlt_native.source_function == "shop"
    assert source.dlt_native.function_kwargs == {"country": "fr", "token": "env:TOKEN", "deep": {"a": 3}}
    assert source.resources and list(source.resources) == ["orders", "returns"]
    orders = source.resources["orders"]
    assert (orders.primary_key, orders.write_disposition) == ("id", "append")
    assert source.schema_contract
    assert source.schema_contract.said == {"tables": "freeze", "columns": "freeze", "data_type": "discard_row"}


def test_chains_go_by_the_nearest_and_may_stand_in_any_order() -> None:
    text = BASE.replace("\nsources:\n", """
sources:
  - name: shop_nice
    extends: shop_fr
    max_errors: 1
    dlt_native: {function_kwargs: {city: nice}}
  - name: shop_fr
    extends: shop
    max_errors: 2
    destination: archive
    dlt_native: {dataset_name: french, function_kwargs: {country: fr}}
""")  # fmt: skip
    nice, french, _ = config(text).sources
    assert (nice.destination, nice.max_errors, french.max_errors, nice.dataset) == ("archive", 1, 2, "raw_shop_nice")
    assert nice.dlt_native and nice.dlt_native.function_kwargs["city"] == "nice"
    assert nice.dlt_native.function_kwargs["country"] == "fr"
    assert config(text).lineage("shop_nice") == ("shop_fr", "shop")


def test_the_block_of_a_registry_entry_is_completed_too() -> None:
    text = """\
sources:
  - {name: ours, type: github, github: {owner: us, repo: one}}
  - {name: theirs, extends: ours, github: {repo: two}}
  - {name: same, extends: ours}
"""
    _, theirs, same = config(text, ("github",)).sources
    assert (theirs.type, theirs.block, same.block) == (
        "github", {"owner": "us", "repo": "two"}, {"owner": "us", "repo": "one"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "place", "said"),
    [
        ("  - {name: b, extends: shpo}\n", "24:15", "there is no source `shpo` (did you mean `shop`?)"),
        ("  - {name: b, extends: b}\n", "24:15", "these go in a circle: `b` extends `b`"),
        ("  - {name: b, extends: 5}\n", "24:15", "a name is text, this is the number 5; quote it"),
        ("  - {name: b, extends: shop, dlt_native: 5}\n", "24:30", "`dlt_native`: should be"),
        ("  - {name: b, extends: shop, dlt_native: {modul: x}}\n", "24:43", "unknown key `modul`"),
        ("  - {name: b, extends: shop, tabel: x}\n", "24:30", "unknown key `tabel`"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(text: str, place: str, said: str) -> None:
    found = problems(BASE + text)
    assert len(found) == 1 and str(found[0]).startswith(f"{FILE}:{place}: {said}"), found


def test_the_type_is_that_of_the_other() -> None:
    found = problems(BASE + "  - {name: b, type: rest, extends: shop}\n")
    assert "`shop`, which this extends, is of the type `dlt_native`" in [each.message for each in found]


def test_a_circle_is_told_of_each_that_is_in_it() -> None:
    found = problems("""\
sources:
  - {name: a, extends: b}
  - {name: b, extends: c}
  - {name: c, extends: a, type: dlt_native}
""")
    circles = [each.message for each in found if "circle" in each.message]
    assert circles[0] == "these go in a circle: `a` extends `b` extends `c` extends `a`"
    assert len(circles) == 3


def test_what_is_wrong_in_the_other_source_is_told_there_alone() -> None:
    text = BASE.replace("source_module: shop", "source_module: 5") + "  - {name: b, extends: shop}\n"
    assert str(problem(text)).startswith(f"{FILE}:19:7: `source_module`: should be")
    text = BASE.replace("destination: lake", "destination: lkae") + "  - {name: b, extends: shop}\n"
    assert str(problem(text)).startswith(f"{FILE}:9:5: no destination `lkae`")
    text = BASE.replace("      source_function: shop\n", "") + "  - {name: b, extends: shop}\n"
    assert "the key `source_function` is missing" in str(problem(text))
    assert problem(text).line < 24
    text = BASE.replace("{drop: [notes]}", "drpo") + "  - {name: b, extends: shop}\n"
    assert str(problem(text)).startswith(f"{FILE}:14:18: there is no processor `drpo`")


@pytest.mark.parametrize("data", [None, [], {"sources": None}, {"sources": [None, 5, {"extends": {}}, {"name": []}]}])
def test_data_that_is_no_configuration_is_left_to_the_models(data: Any) -> None:
    from dango.config.extending import completed

    assert completed(data) == data


def test_two_that_extend_one_write_no_dataset_together() -> None:
    assert "would both write the dataset" in str(
        problem(BASE + "  - {name: b, extends: shop, dlt_native: {dataset_name: the_dataset}}\n")
    )
    assert isinstance(config(BASE + "  - {name: b, extends: shop}\n  - {name: c, extends: shop}\n"), Config)

"""What `processors:` may say: how it is written, what is wrong and where, and which list holds for a resource."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from dango.config.conditions import columns, fault
from dango.config.models import Source
from dango.config.processors import BUILT_IN, Processor
from tests.config.test_models import FILE, config, one, problem, problems


def steps(text: str) -> list[Processor]:
    return list(config(one(f"    processors: {text}\n")).sources[0].processors or ())


def test_a_processor_is_a_name_or_a_name_with_its_settings() -> None:
    written = "[flatten, {drop: [a, b]}, 'm:f', {'m:g': {by: x}}, {'m:h': , stream: true}]"
    assert steps(written) == [
        Processor(name="flatten"),
        Processor(name="drop", settings=["a", "b"]),
        Processor(name="m:f"),
        Processor(name="m:g", settings={"by": "x"}),
        Processor(name="m:h", stream=True),
    ]
    source = config(one(f"    processors: {written}\n")).sources[0]
    assert pickle.loads(pickle.dumps(source)) == source
    assert source.model_dump(mode="json")["processors"] == [
        "flatten", {"drop": ["a", "b"]}, "m:f", {"m:g": {"by": "x"}}, {"m:h": None, "stream": True},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "column", "said"),
    [
        ("5", 5, "`processors`: should be a list, not the number 5"),
        ("[5]", 18, "a processor is a name, or a mapping from one name to its settings (and `stream`); this is"),
        ("[{}]", 18, "a processor is a name, or a mapping from one name to its settings (and `stream`); this has 0"),
        ("[{drop: [a], mask: [b]}]", 18, "a processor is a name, or a mapping from one name to its settings"),
        ("[{5: x}]", 18, "a processor is a name, or a mapping from one name to its settings (and `stream`); its name"),
        ("[{'m:f': {}, stream: maybe}]", 18, "`stream` is true or false, not text"),
        ("[renmae]", 18, "there is no processor `renmae` (did you mean `rename`?)"),
        ("[{renmae: {a: b}}]", 18, "there is no processor `renmae` (did you mean `rename`?)"),
        ("[rename]", 18, "`rename`: should be a mapping from columns, not empty"),
        ("[{rename: {a: 5}}]", 28, "`a`: the new name should be text, not the number 5"),
        ("[{drop: [a, 5]}]", 19, "`drop`: should be a column or a list of columns, not a list"),
        ("[{cast: {a: text, b: number}}]", 35, "`b`: should be one of text, bigint, double, decimal, bool, timestamp"),
        ("[{cast: {a: decmal}}]", 26, "`a`: should be one of text, bigint, double, decimal, bool, timestamp, date,"),
        ("[{mask: {columns: [a], kep: 4}}]", 40, "unknown key `kep` (did you mean `keep`?)"),
        ("[{mask: {columns: [a], keep: -1}}]", 40, "`keep`: should be how many characters stay at the end"),
        ("[{mask: {keep: 4}}]", 19, "`columns`: should be a column or a list of columns"),
        ("[{hash: [a]}]", 19, "`hash` needs a `salt`: without one, whoever knows an address finds its hash"),
        ("[{hash: {columns: [a], salt: ''}}]", 40, "`hash` needs a `salt`"),
        ("[{filter: a >}]", 19, "`filter`: this is no condition in SQL: Parser Error: syntax error"),
        ("[{filter: {where: a}}]", 19, "`filter`: should be a condition in SQL, not a mapping"),
        ("[{filter: 'a; b'}]", 19, "`filter`: this is no condition in SQL: "),
        ("[{filter: 'a) FROM x WHERE (b'}]", 19, "`filter`: this is no condition in SQL: it is more than a condition"),
        ("[{drop: [a], stream: true}]", 30, "`drop` takes records, no iterator"),
    ],
)
def test_what_is_wrong_is_told_at_its_place(text: str, column: int, said: str) -> None:
    found = problem(one(f"    processors: {text}\n"))
    assert (found.line, found.message[: len(said)]) == (4, said), found
    assert found.column == column, found


def test_it_is_told_in_every_list_once_and_of_each_processor() -> None:
    text = """\
defaults: {processors: [drpo]}
sources:
  - name: a
    type: dlt_native
    dlt_native: {source_module: m, source_function: f}
  - name: b
    type: dlt_native
    dlt_native: {source_module: m, source_function: f}
    processors: [{rename: {a: 1, b: 2}}, flaten]
    resources: {orders: {processors: [msk]}}
"""
    places = [(each.line, each.column) for each in problems(text)]
    assert places == [(1, 25), (9, 28), (9, 34), (9, 42), (10, 39)]
    assert all(each.hint for each in problems(text))


def test_a_resources_own_list_goes_before_the_sources_and_that_before_the_defaults() -> None:
    text = """\
defaults: {processors: ['m:default'], resources: {users: {processors: ['m:users']}}}
sources:
  - name: a
    type: dlt_native
    dlt_native: {source_module: m, source_function: f}
    resources: {orders: {processors: ['m:orders', 'm:two']}, users: , none: {processors: []}, others: }
  - name: b
    type: dlt_native
    dlt_native: {source_module: m, source_function: f}
    processors: ['m:b']
"""
    first, second = config(text).sources

    def named(source: Source, resource: str) -> list[tuple[Any, str]]:
        return [(loc, each.name) for loc, each in source.processors_of(resource)]

    assert named(first, "others") == [(("processors", 0), "m:default")]
    assert named(first, "users") == [(("resources", "users", "processors", 0), "m:users")]
    assert [name for _, name in named(first, "orders")] == ["m:orders", "m:two"]
    assert named(first, "none") == []
    assert named(second, "anything") == [(("processors", 0), "m:b")]


def test_every_built_in_says_what_would_be_right() -> None:
    for name in BUILT_IN:
        if name != "flatten":
            assert "for example" in problem(one(f"    processors: [{name}]\n")).hint
    assert str(problem(one("    processors: [{flatten: {a: b}}]\n"))).startswith(f"{FILE}:4:19: `flatten`: ")


@pytest.mark.parametrize(
    ("condition", "named"),
    [
        ("amount > 0 AND lower(Country) = 'de' -- a remark", ["amount", "Country"]),
        ('"order no" IS NULL OR a.b.c = 1', ["order no", "a"]),
        ("day > current_date AND seen < now()", ["day", "seen"]),
        ("len(list_filter(tags, lambda t: t > least)) > 0", ["tags", "least"]),
        ("true", []),
    ],
)
def test_the_columns_of_a_condition_are_known_before_anything_runs(condition: str, named: list[str]) -> None:
    assert fault(condition) == ""
    assert sorted(columns(condition)) == sorted(named)

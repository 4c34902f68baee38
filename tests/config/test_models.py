"""What sources.yml may say: every mistake of a file at once, each with its place and the nearest right word."""

from __future__ import annotations

import datetime as dt
import pickle
import re
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from dlt.common.data_types import DATA_TYPES
from dlt.common.schema.typing import TColumnSchema
from pydantic import ValidationError

from dango.config.document import Document
from dango.config.kinds import corrected
from dango.config.models import Config
from dango.config.resource import Column, Cursor, Resource, adapted
from dango.config.schema import json_schema
from dango.errors import ConfigError, Problem
from dango.registry.validation import parse

FILE = ".dango/sources.yml"
TYPES = ("dlt_native",)
NATIVE = "    type: dlt_native\n    dlt_native: {source_module: m, source_function: f}\n"


def config(text: str, types: tuple[str, ...] = TYPES) -> Config:
    return parse(Document(Path(FILE), FILE, text), types)


def problems(text: str) -> list[Problem]:
    with pytest.raises(ConfigError) as caught:
        config(text)
    assert caught.value.exit_code == 2
    return list(caught.value.problems)


def problem(text: str) -> Problem:
    (found,) = problems(text)
    return found


def one(lines: str, name: str = "a") -> str:
    """A file with one good source and, as its first keys, `lines`."""
    return f"version: 1\nsources:\n  - name: {name}\n{lines}{NATIVE}"


def block(text: str) -> str:
    """A file with one source whose `dlt_native` is `text`."""
    return f"sources:\n  - name: a\n    type: dlt_native\n    dlt_native: {text}\n".replace(": \n", ":\n")


def test_the_smallest_file_and_the_largest_are_read() -> None:
    assert config("version: 1\n").sources == ()
    assert config("sources:\n").sources == ()
    full = config("""\
version: 1
destination: lake
destinations:
  lake: {type: postgres, credentials: env:LAKE}
defaults: {enabled: true}
sources:
  - name: jira_issues
    type: dlt_native
    enabled: false
    description: Jira
    destination: duckdb
    resources:
      issues: {table: tickets, write_disposition: merge, primary_key: id, merge_key: [a, b],
               cursor: {field: updated_at, initial: 2024-01-01, lag: 3600}, columns: {price: {data_type: decimal}}}
      users:
    dlt_native:
      source_module: jira
      source_function: jira
      function_kwargs: {subdomain: mycompany, project_keys: [PROJ, TEAM]}
      pipeline_name: custom_pipeline
      dataset_name: raw_custom
""")
    (jira,) = full.sources
    assert (jira.enabled, jira.dataset, jira.pipeline) == (False, "raw_custom", "custom_pipeline")
    assert jira.resources is not None
    assert jira.resources["users"] == Resource()
    assert jira.resources["issues"].merge_key == ("a", "b")
    assert jira.resources["issues"].cursor == Cursor(field="updated_at", initial=dt.date(2024, 1, 1), lag=3600)
    assert full.destination_of(jira).type == "duckdb"
    assert full.destination_of(jira, "lake").parameters == {"credentials": "env:LAKE"}


def test_a_source_has_dataset_pipeline_and_destination_after_its_name_and_the_files() -> None:
    (source,) = config(one("")).sources
    assert (source.enabled, source.dataset, source.pipeline) == (True, "raw_a", "a")
    assert config(one("")).destination_of(source).name == "duckdb"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        # Unknown keys at any depth, with the nearest valid one.
        ("version: 1\nsource: []\n", f"{FILE}:2:1: unknown key `source` (did you mean `sources`?)"),
        (one("    discription: x\n"), f"{FILE}:4:5: unknown key `discription` (did you mean `description`?)"),
        ("defaults: {enable: true}\n", f"{FILE}:1:12: unknown key `enable` (did you mean `enabled`?)"),
        (
            block("{source_modul: m, source_module: m, source_function: f}"),
            f"{FILE}:4:18: unknown key `source_modul` (did you mean `source_module`?)",
        ),
        (
            one("    resources:\n      issues:\n        write_dispositoin: merge\n"),
            f"{FILE}:6:9: unknown key `write_dispositoin` (did you mean `write_disposition`?)",
        ),
        (
            one("    resources: {issues: {cursor: {field: x, initail: 1}}}\n"),
            f"{FILE}:4:45: unknown key `initail` (did you mean `initial`?)",
        ),
        (
            "defaults:\n  resources: {issues: {tabel: x}}\n",
            f"{FILE}:2:24: unknown key `tabel` (did you mean `table`?)",
        ),
        (one("    zzz: 1\n"), f"{FILE}:4:5: unknown key `zzz`"),
        # Wrong types at each key.
        ("version: one\n", f"{FILE}:1:1: should be the number 1"),
        ("version: true\n", f"{FILE}:1:1: should be the number 1"),
        ("version: 1.0\n", f"{FILE}:1:1: should be the number 1"),
        ("version: 0\n", f"{FILE}:1:1: there is no version 0"),
        ("destination: [a]\n", f"{FILE}:1:1: `destination`: should be text, not a list"),
        ("destinations: [a]\n", f"{FILE}:1:1: `destinations`: should be a mapping, not a list"),
        ("destinations: {lake: postgres}\n", f"{FILE}:1:16: `lake`: should be a mapping, not text"),
        ("destinations: {lake: {type: 3}}\n", f"{FILE}:1:23: `type`: should be text, not the number 3"),
        ("destinations: {lake: {}}\n", f"{FILE}:1:16: the key `type` is missing"),
        ("defaults: 3\n", f"{FILE}:1:1: `defaults`: should be a mapping, not the number 3"),
        ("sources: {a: 1}\n", f"{FILE}:1:1: `sources`: should be a list, not a mapping"),
        ("sources: text\n", f"{FILE}:1:1: `sources`: should be a list, not text"),
        ("sources:\n  - a\n", f"{FILE}:2:5: `0`: should be a mapping, not text"),
        (one("    enabled: 'yes'\n"), f"{FILE}:4:5: `enabled`: should be true or false, not text"),
        (one("    enabled: 1\n"), f"{FILE}:4:5: `enabled`: should be true or false, not the number 1"),
        (one("    enabled:\n"), f"{FILE}:4:5: `enabled`: should be true or false, not empty"),
        (one("    description: 2024-01-01\n"), f"{FILE}:4:5: `description`: should be text, not a date"),
        (one("    destination: {a: b}\n"), f"{FILE}:4:5: `destination`: should be text, not a mapping"),
        (
            one("    resources: issues\n"),
            f"{FILE}:4:5: should be a list of names or a mapping from name to hints, not text",
        ),
        (one("    resources: [issues, 3]\n"), f"{FILE}:4:5: a list of resources holds names, this is the number 3"),
        (one("    resources: {issues: 3}\n"), f"{FILE}:4:17: `issues`: should be a mapping, not the number 3"),
        (one("    resources: {i: {table: 3}}\n"), f"{FILE}:4:21: `table`: should be text, not the number 3"),
        (
            one("    resources: {i: {write_disposition: upsert}}\n"),
            f"{FILE}:4:21: `write_disposition`: should be 'append', 'replace', 'merge' or 'skip', not `upsert`",
        ),
        (one("    resources: {i: {cursor: updated}}\n"), f"{FILE}:4:21: `cursor`: should be a mapping, not text"),
        (one("    resources: {i: {cursor: {initial: 1}}}\n"), f"{FILE}:4:21: the key `field` is missing"),
        (one("    resources: {i: {columns: [a]}}\n"), f"{FILE}:4:21: `columns`: should be a mapping, not a list"),
        (
            one("    resources: {i: {columns: {c: {data_type: decmal}}}}\n"),
            (
                f"{FILE}:4:35: `data_type`: should be 'text', 'double', 'bool', 'timestamp', 'bigint', 'binary',"
                " 'json', 'decimal', 'wei', 'date' or 'time', not `decmal`"
            ),
        ),
        (
            one("    resources: {i: {columns: {description: {nulable: true}}}}\n"),
            f"{FILE}:4:45: unknown key `nulable` (did you mean `nullable`?)",
        ),
        (
            one("    resources: {columns: {columns: {c: {scale: '2', x-own: {a: 1}}}}}\n"),
            f"{FILE}:4:41: `scale`: should be a whole number, not text",
        ),
        (one("    resources: {i: {columns: {c: }}}\n"), f"{FILE}:4:31: `c`: should be a mapping, not empty"),
        (
            "sources:\n  - name: a\n    type: dlt_native\n    dlt_native: text\n",
            f"{FILE}:4:5: `dlt_native`: should be a mapping, not text",
        ),
        (
            block("\n      source_module: 3\n      source_function: f"),
            f"{FILE}:5:7: `source_module`: should be text, not the number 3",
        ),
        (
            block("{source_module: m, source_function: f, function_kwargs: [1]}"),
            f"{FILE}:4:56: `function_kwargs`: should be a mapping, not a list",
        ),
        # What is missing.
        (
            "sources:\n  - type: dlt_native\n    dlt_native: {source_module: m, source_function: f}\n",
            f"{FILE}:2:5: the key `name` is missing",
        ),
        ("sources:\n  - name: a\n", f"{FILE}:2:5: the key `type` is missing"),
        (
            "sources:\n  - name: a\n    type: dlt_native\n",
            f"{FILE}:2:5: `type: dlt_native` needs a block `dlt_native:` with `source_module` and `source_function`",
        ),
        (
            "sources:\n  - name: a\n    type: dlt_native\n    dlt_native: {source_module: m}\n",
            f"{FILE}:4:5: the key `source_function` is missing",
        ),
        # Names.
        (
            one("", name="My-Source 2"),
            (
                f"{FILE}:3:5: `My-Source 2` is no valid name (lower-case letters, digits and `_`, a letter first,"
                " at most 48); use `my_source_2`"
            ),
        ),
        (
            one("", name="nul"),
            (f"{FILE}:3:5: `nul` is the name of a device on Windows, where no file may be called so; use `nul_source`"),
        ),
        (one("", name="3"), f"{FILE}:3:5: a name is text, this is the number 3; quote it"),
        (one("", name="true"), f"{FILE}:3:5: a name is text, this is the truth value true; quote it"),
        # A newer file.
        ("version: 2\n", f"{FILE}:1:1: version 2 is newer than this dango knows (1): upgrade dango"),
        # Types and destinations that are not there.
        (
            "sources:\n  - name: a\n    type: dlt_natve\n    dlt_natve: {}\n",
            f"{FILE}:3:5: unknown type `dlt_natve` (did you mean `dlt_native`?)",
        ),
        ("sources:\n  - {name: a, type: github, github: {owner: x}}\n", f"{FILE}:2:15: unknown type `github`"),
        (one("    destination: lake\n"), f"{FILE}:4:5: no destination `lake`"),
        (
            "destination: lakes\ndestinations: {lake: {type: postgres}}\n",
            f"{FILE}:1:1: no destination `lakes` (did you mean `lake`?)",
        ),
        (
            "defaults: {destination: lake}\n" + one("").removeprefix("version: 1\n"),
            f"{FILE}:1:12: no destination `lake`",
        ),
    ],
)
def test_a_mistake_is_named_with_its_place_and_the_nearest_right_word(text: str, said: str) -> None:
    assert str(problem(text)) == said


def test_the_hint_of_an_unknown_key_lists_the_valid_ones() -> None:
    assert problem("sorces: []\n").hint == "valid keys: version, destination, destinations, defaults, sources"
    assert problem(one("    zzz: 1\n")).hint == (
        "valid keys: on_error, processors, enabled, destination, schema_contract, max_errors, resources, environment,"
        " executor, split, schedule, name, type, description, extends, allowed_hosts, dlt_native"
    )


@pytest.mark.parametrize(
    ("name", "better"),
    [
        ("My-Source 2", "my_source_2"),
        ("2fast", "s_2fast"),
        ("_x", "x"),
        ("a--b", "a_b"),
        ("Ünï", "n"),
        ("日本", "my_source"),
        ("x" * 60, "x" * 48),
        ("a" * 47 + "-b", "a" * 47),
        ("", "my_source"),
        ("name\n", "name"),
        ("nul", "nul_source"),
        ("lpt1", "lpt1_source"),
    ],
)
def test_a_bad_name_is_refused_with_one_that_is_valid(name: str, better: str) -> None:
    assert corrected(name) == better
    text = one("").replace("name: a", f"name: {name!r}" if "\n" not in name else 'name: "name\\n"')
    assert problem(text).message.endswith(f"use `{better}`")
    assert config(one("", name=better)).sources[0].name == better


@pytest.mark.parametrize("schedule", ["0 9 * * MON-FRI", '"*/5 * * * *"', '"@daily"', ""])
def test_a_schedule_stays_as_it_is_written_and_is_taken_from_defaults(schedule: str) -> None:
    written = schedule.strip('"') or None
    assert config(one(f"    schedule: {schedule}\n")).sources[0].schedule == written
    both = f"defaults: {{schedule: '@hourly'}}\n{one('').removeprefix('version: 1')}  - name: b\n    extends: a\n"
    assert [source.schedule for source in config(both).sources] == ["@hourly", "@hourly"]
    own = both.replace("- name: a\n", f"- name: a\n    schedule: {schedule}\n")
    assert [source.schedule for source in config(own).sources] == [written, written]


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ("0 25 * * *", "`schedule`: hour `25`: `25` should be 0 to 23"),
        ("daily", "`schedule`: `daily` is no schedule (did you mean `@daily`?): five fields (minute, hour, day of the"),
        ("900", "`schedule`: a schedule is text, this is the number 900; quote it"),
        ("[0 9 * * *]", "`schedule`: a schedule is text, this is a list; quote it"),
        ('"{0} * * * *"', "`schedule`: minute `{0}`: should be 0 to 59, a range"),
    ],
)
def test_what_is_no_schedule_is_told_at_its_place(schedule: str, said: str) -> None:
    found = problem(one(f"    schedule: {schedule}\n"))
    assert (found.place, found.message.startswith(said)) == (f"{FILE}:4:5", True), found.message
    assert not found.message.endswith("not text")
    found = problem(f"defaults:\n  schedule: {schedule}\n")
    assert (found.place, found.message.startswith(said)) == (f"{FILE}:2:3", True), found.message


@pytest.mark.parametrize("schedule", ["*/5 * * * *", "* 9 * * 1", "@daily"])
def test_a_schedule_that_has_to_stand_in_quotes_says_where(schedule: str) -> None:
    found = problem(one(f"    schedule: {schedule}\n"))
    assert str(found) == f"{FILE}:4:15: a value that begins with `{schedule[0]}` has to stand in quotes"
    found = problem(f"defaults: {{schedule: {schedule}}}\n")
    assert str(found) == f"{FILE}:1:22: a value that begins with `{schedule[0]}` has to stand in quotes"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("x", "`split`: should be `resources`, not `x`"),
        ("[resources]", "`split`: should be `resources`, not a list"),
        (
            "{column: id, ranges: 4}",
            "`split`: should be `resources`; ranges are of a resource: `resources: {NAME: {split: {column: …}}}`",
        ),
    ],
)
def test_a_source_is_divided_into_its_resources_and_nothing_else(said: str, message: str) -> None:
    assert str(problem(one(f"    split: {said}\n"))) == f"{FILE}:4:5: {message}"
    assert str(problem(f"defaults:\n  split: {said}\n")) == f"{FILE}:2:3: {message}"
    assert config(one("    split: resources\n")).sources[0].split == "resources"


@pytest.mark.parametrize(
    "split",
    ["{column: id, ranges: 2}", "{column: id, size: 1}", "{column: at, size: 1 day}", "{column: at, size: 36 hours}"],
)
def test_a_resource_is_divided_by_a_column(split: str) -> None:
    source = config(one(f"    resources: {{i: {{split: {split}}}}}\n")).sources[0]
    assert source.resources is not None
    found = source.resources["i"].split
    assert found is not None
    assert (found.ranges is None) != (found.size is None)


@pytest.mark.parametrize(
    ("split", "message"),
    [
        ("{column: id}", "`split`: needs one of `ranges` and `size`, and not both"),
        ("{column: id, ranges: 2, size: 3}", "`split`: needs one of `ranges` and `size`, and not both"),
        ("{ranges: 2}", "`column` is missing"),
        ("{column: id, ranges: 1}", "`ranges`: should be greater than or equal to 2"),
        ("{column: id, size: 0}", "or a time such as `30 days` or `12 hours`, not `0`"),
        ("{column: id, size: 1 month}", "or a time such as `30 days` or `12 hours`, not `1 month`"),
    ],
)  # fmt: skip
def test_a_division_that_is_none_is_refused(split: str, message: str) -> None:
    said = str(problem(one(f"    resources: {{i: {{split: {split}}}}}\n")))
    assert message in said
    assert said.endswith(message) or "ranges: 1" in split, "what it is not is told once"


@pytest.mark.parametrize("value", [0, 10, "5%", "0.5%", "100%", "0%"])
def test_how_many_records_may_fail_is_a_number_or_a_share_at_every_level(value: int | str) -> None:
    assert config(one(f"    max_errors: {value}\n")).sources[0].max_errors == value
    assert config(f"defaults: {{max_errors: {value}}}\n" + one("")).sources[0].max_errors == value
    (source,) = config(one(f"    resources: {{i: {{max_errors: {value}}}}}\n")).sources
    assert source.max_errors is None
    assert source.resources and source.resources["i"].max_errors == value


@pytest.mark.parametrize(
    "written", ["-1", "1.5", "yes", "true", "'5'", "5 %", "'-5%'", "101%", "'%'", "'٣%'", '"5%\\n"', "[5]", "{}"]
)
def test_anything_else_is_no_number_of_records(written: str) -> None:
    said = "`max_errors`: should be how many records may fail (0, 10) or what share of them (`5%`), not "
    assert str(problem(one(f"    max_errors: {written}\n"))).startswith(f"{FILE}:4:5: {said}")
    assert str(problem(f"defaults:\n  max_errors: {written}\n")).startswith(f"{FILE}:2:3: {said}")


def test_two_sources_of_one_name_are_named_with_both_lines() -> None:
    found = problem("sources:\n  - name: a\n" + NATIVE + "  - name: b\n" + NATIVE + "  - name: a\n" + NATIVE)
    assert str(found).startswith(f"{FILE}:8:5: `a` is already the name of the source in line 2")


@pytest.mark.parametrize(
    ("first", "second", "dataset"),
    [
        (("a", "raw_x"), ("b", "raw_x"), "raw_x"),
        (("a", ""), ("b", "raw_a"), "raw_a"),
        (("x", ""), ("x_staging", ""), "raw_x_staging"),
        (("x_staging", ""), ("x", ""), "raw_x_staging"),
        (("x", ""), ("x__trial", ""), "raw_x__trial"),
        (("x__trial", ""), ("x", ""), "raw_x__trial"),
    ],
)
def test_two_sources_may_not_write_one_dataset(first: tuple[str, str], second: tuple[str, str], dataset: str) -> None:
    def source(name: str, given: str) -> str:
        extra = f", dataset_name: {given}" if given else ""
        block = f"{{source_module: m, source_function: f{extra}}}"
        return f"  - name: {name}\n    type: dlt_native\n    dlt_native: {block}\n"

    text = "sources:\n" + source(*first) + source(*second)
    found = problem(text)
    assert found.message == f"`{second[0]}` and `{first[0]}` would both write the dataset `{dataset}`"
    assert found.line in (5, 7)
    # In two databases they do not meet.
    apart = "destinations: {lake: {type: postgres}}\n" + text + "    destination: lake\n"
    assert len(config(apart).sources) == 2


def test_every_mistake_of_a_file_is_told_at_once_in_the_order_of_its_lines() -> None:
    found = problems("""\
version: 1
destintion: duckdb
defaults: {enabled: 1}
sources:
  - name: Bad Name
    type: dlt_native
    resources: {i: {tabel: x}}
    dlt_native: {source_module: 1, source_function: f}
  - name: b
    type: gitub
  - name: b
    type: dlt_native
    schedule: daily
    dlt_native: {source_module: m, source_function: f, nope: 1}
""")
    assert [(p.line, p.column) for p in found] == [
        (2, 1), (3, 12), (5, 5), (7, 21), (8, 18), (10, 5), (11, 5), (13, 5), (14, 56)
    ]  # fmt: skip
    assert all(p.file == FILE and p.severity == "error" for p in found)


def test_a_destination_that_all_share_is_missed_once_and_where_it_is_named() -> None:
    two = one("").removeprefix("version: 1\n") + "  - name: b\n" + NATIVE
    assert [p.place for p in problems("destination: lake\n" + two)] == [f"{FILE}:1:1"]
    assert [p.place for p in problems("defaults: {destination: lake}\n" + two)] == [f"{FILE}:1:12"]


def test_datasets_and_destinations_are_checked_among_other_mistakes_of_names() -> None:
    found = problems(one("    destination: lake\n") + "  - name: a\n" + NATIVE)
    assert [p.line for p in found] == [4, 7]


def test_a_key_that_is_no_text_is_a_mistake_and_no_crash() -> None:
    assert [p.line for p in problems("1: x\n")] == [1]
    assert problems("version: 1\n? [a, b]\n: c\n")
    assert problems(one("    true: x\n"))[0].place == f"{FILE}:4:5"


def test_a_destination_has_its_name_from_its_key_alone() -> None:
    found = problem("destinations: {lake: {type: postgres, name: sea}}\n")
    assert str(found).startswith(f"{FILE}:1:39: ")


def test_a_destinations_name_follows_the_rules_of_names() -> None:
    found = problem("destinations:\n  My-Lake: {type: postgres}\n")
    assert found.message.endswith("use `my_lake`")
    assert found.place == f"{FILE}:2:3"


def test_defaults_hold_for_a_source_and_a_source_for_its_resources() -> None:
    read = config("""\
destination: duckdb
destinations: {lake: {type: postgres}, sea: {type: filesystem}}
defaults:
  enabled: false
  destination: lake
  resources:
    issues: {table: tickets, write_disposition: merge, primary_key: id}
sources:
  - name: plain
    type: dlt_native
    dlt_native: {source_module: m, source_function: f}
  - name: own
    type: dlt_native
    enabled: true
    destination: sea
    resources:
      issues: {write_disposition: append}
      users: {table: people}
    dlt_native: {source_module: m, source_function: f}
  - name: listed
    type: dlt_native
    resources: [issues]
    dlt_native: {source_module: m, source_function: f}
""")
    plain, own, listed = read.sources
    assert (plain.enabled, read.destination_of(plain).name) == (False, "lake")
    assert (own.enabled, read.destination_of(own).name) == (True, "sea")
    assert plain.resources is not None and own.resources is not None and listed.resources is not None
    assert plain.resources["issues"].table == "tickets"
    issues = own.resources["issues"]
    assert (issues.table, issues.write_disposition, issues.primary_key) == ("tickets", "append", "id")
    assert own.resources["users"].table == "people"
    assert list(own.resources) == ["issues", "users"]
    assert listed.resources["issues"].write_disposition == "merge"


def test_a_configuration_is_frozen_and_pickles() -> None:
    read = config(one("    resources: {i: {cursor: {field: x, initial: 2024-01-01}}}\n"))
    (source,) = read.sources
    for thing, key in ((read, "version"), (source, "name"), (source.dlt_native, "source_module")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(thing, key, "x")
    assert pickle.loads(pickle.dumps(read)) == read
    assert pickle.loads(pickle.dumps(source)).dataset == "raw_a"


def test_a_type_of_the_registry_has_a_block_of_its_own_name() -> None:
    (source,) = config("sources:\n  - {name: gh, type: github, github: {owner: x}}\n", ("dlt_native", "github")).sources
    assert source.block == {"owner": "x"}
    assert source.expandable() == (("github",), {"owner": "x"})


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("nmae: a, type: singer, singer: {tap: x}", "unknown key `nmae` (did you mean `name`?)"),
        ("name: a, tpye: singer, singer: {tap: x}", "unknown key `tpye` (did you mean `type`?)"),
        ("name: a, type: singr, singer: {tap: x}", "unknown type `singr` (did you mean `singer`?)"),
        (
            "name: a, type: dlt_native, dlt_natve: {source_module: m, source_function: f}",
            (
                "`type: dlt_native` needs a block `dlt_native:` with `source_module` and `source_function`;"
                " `dlt_natve:` is another"
            ),
        ),
        (
            "name: a, type: dlt_native, dlt_native: {source_modul: m, source_function: f}",
            "unknown key `source_modul` (did you mean `source_module`?)",
        ),
    ],
)
def test_one_slip_is_one_message(written: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(f"sources:\n  - {{{written}}}\n", ("dlt_native", "singer"))
    assert [found.message for found in caught.value.problems] == [message]


def _allows(schema: dict[str, Any], definitions: dict[str, Any], value: Any) -> bool:
    """As much of JSON Schema as the file's own uses."""
    if "$ref" in schema:
        return _allows(definitions[schema["$ref"].rpartition("/")[2]], definitions, value)
    if "anyOf" in schema and not any(_allows(branch, definitions, value) for branch in schema["anyOf"]):
        return False
    kinds = {
        "object": dict, "array": list, "string": str, "boolean": bool, "null": type(None),
        "integer": int, "number": (int, float),
    }  # fmt: skip
    if "enum" in schema and value not in schema["enum"]:
        return False
    if "type" in schema and not isinstance(value, kinds[schema["type"]]):  # type: ignore[arg-type]
        return False
    if isinstance(value, str) and not re.search(schema.get("pattern", ""), value):
        return False
    if isinstance(value, int) and value < schema.get("minimum", value):
        return False
    if isinstance(value, list | dict) and not schema.get("minProperties", 0) <= len(value):
        return False
    if isinstance(value, dict) and len(value) > schema.get("maxProperties", len(value)):
        return False
    if isinstance(value, list):
        return all(_allows(schema.get("items", {}), definitions, item) for item in value)
    if isinstance(value, dict):
        properties, rest = schema.get("properties", {}), schema.get("additionalProperties", True)
        for pattern, inner in schema.get("patternProperties", {}).items():
            properties = {**properties, **{name: inner for name in value if re.search(pattern, str(name))}}
        if any(name not in value for name in schema.get("required", ())):
            return False
        for name, item in value.items():
            allowed = properties.get(name, rest)
            if allowed is False or (allowed is not True and not _allows(allowed, definitions, item)):
                return False
    return True


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("version: 1\nsources: []\n", True),
        ("version: 1\nsources:\n", True),  # dango reads it, so an editor may not underline it
        ("destinations: {lake: {type: postgres, credentials: x}}\n", True),
        (one("    resources: [a, b]\n"), True),
        (one("    resources: {a: {table: x, cursor: {field: y}}, b: {}}\n"), True),
        (one("    resources: {a: }\n"), True),
        (one("    enabled: false\n    description: x\n"), True),
        ("sources:\n  - {name: gh, type: github, github: {owner: x}}\n", True),
        ("destinations: {My-Lake: {type: postgres}}\n", False),
        (one("", name="My-Source"), False),
        ("sorces: []\n", False),
        ("version: one\n", False),
        ("sources: {}\n", False),
        ("sources:\n  - {name: a}\n", False),
        (one("    enabled: maybe\n"), False),
        (one("    discription: x\n"), False),
        (one("    resources: {a: {tabel: x}}\n"), False),
        (one("    resources: {a: {write_disposition: upsert}}\n"), False),
        ("defaults: {enable: true}\n", False),
        ("defaults: {max_errors: 5%}\n", True),
        (one("    max_errors: 0\n"), True),
        (one("    resources: {a: {max_errors: 0.5%}}\n"), True),
        (one("    max_errors: 5\n"), True),
        (one("    max_errors: -1\n"), False),
        (one("    max_errors: 101%\n"), False),
        (one("    max_errors: many\n"), False),
        (one("    schema_contract: freeze\n"), True),
        (one("    schema_contract: {columns: freeze}\n"), True),
        (one("    schema_contract:\n"), True),
        ("defaults: {schema_contract: discard_row}\n", True),
        (one("    resources: {a: {schema_contract: evolve}}\n"), True),
        (one("    schema_contract: freez\n"), False),
        (one("    schema_contract: {column: freeze}\n"), False),
        (one("    processors: [{rename: {a: b}}, {drop: a}, {mask: {columns: [a], keep: 4}}, flatten]\n"), True),
        (one("    processors: [{hash: {columns: [a], salt: 'env:S'}}, {filter: a > 0}, {cast: {a: date}}]\n"), True),
        (one("    processors: ['m:f', {'m:f': {by: x}, stream: true}, {'m:f': , stream: true}]\n"), True),
        (one("    processors:\n"), True),
        ("defaults: {processors: [{mask: [a]}]}\n", True),
        (one("    resources: {a: {processors: []}}\n"), True),
        (one("    resources: {a: {columns: {c: {data_type: decimal, x-own: [1]}}}}\n"), True),
        (one("    resources: {a: {columns: {c: {data_type: decmal}}}}\n"), False),
        (one("    resources: {a: {columns: {c: {nulable: true}}}}\n"), False),
        (one("    processors: [{hash: [a]}]\n"), False),
        (one("    processors: [{cast: {a: number}}]\n"), False),
        (one("    processors: [{drop: [a], mask: [b], stream: true}]\n"), False),
        (one("    processors: {drop: [a]}\n"), False),
        (one("    processors: [5]\n"), False),
        (one("    processors: [{'m:f': {}, stream: 1}]\n"), False),
        ("sources:\n  - {name: gh, type: github, github: {owner: x}}\n  - {name: two, extends: gh}\n", True),
        ("sources:\n  - {name: gh, extends: 5}\n", False),
    ],
)
def test_the_json_schema_says_the_same(text: str, good: bool) -> None:
    schema = json_schema()
    data = Document(Path(FILE), FILE, text).data
    assert _allows(schema, schema["$defs"], data) is good


def test_the_json_schema_describes_keys_and_limits_names() -> None:
    schema = json_schema()
    source = schema["$defs"]["Source"]
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert source["properties"]["name"]["pattern"] == "^[a-z][a-z0-9_]{0,47}$"
    assert "block" not in source["properties"]
    assert (source["required"], source["anyOf"]) == (["name"], [{"required": ["type"]}, {"required": ["extends"]}])
    assert "name" not in schema["$defs"]["Destination"]["properties"]


def test_a_columns_hints_are_dlts() -> None:
    known = get_type_hints(TColumnSchema)
    # Under `columns:` the name stands before the hints, and what dlt notes for itself begins as destinations' do.
    ours = set(Column.model_fields) - {"adapted"}
    assert ours <= {*known}
    assert {hint for hint in known if not hint.startswith("x-")} - ours == {"name"}
    assert set(get_args(get_args(Column.model_fields["data_type"].annotation)[0])) == DATA_TYPES


def test_hints_of_a_column_come_to_dlt_as_they_are_written() -> None:
    written = {"data_type": "decimal", "scale": 2, "nullable": None, "x-own": {"a": [1]}}
    column = Column.model_validate(adapted(written))
    assert column.hints == written
    assert column.model_dump(mode="json", exclude_defaults=True) == {k: v for k, v in written.items() if v is not None}

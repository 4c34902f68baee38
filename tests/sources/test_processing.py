"""`processors:` in real syncs: what is loaded, what fails, what cursors and contracts make of it, and what is told."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import csv, parquet

from tests.conftest import Said, sources

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]

SHOP = """
import json
import dlt
import pyarrow as pa

def given(name):
    with open("given.json") as file:
        return json.load(file).get(name, [])

@dlt.source
def shop():
    @dlt.resource(primary_key="id", write_disposition="merge")
    def orders(changed=dlt.sources.incremental("changed", initial_value="2024-01-01")):
        yield from given("orders")

    @dlt.resource
    def tables(id=dlt.sources.incremental("id", initial_value=0)):
        yield pa.Table.from_pylist(given("tables"), schema=pa.schema([("id", pa.int64()), ("mail", pa.string())]))

    @dlt.transformer(data_from=orders)
    def lines(order):
        yield {"order": order["id"], "mail": order["mail"]}

    return orders, tables, lines
"""
RULES = """
from collections.abc import Iterator

import dlt
import pyarrow as pa

def checked(record: dict, limit: int = 100):
    if record["id"] > limit:
        raise ValueError("too large")
    return record

def counted(tables: Iterator[pa.Table]):
    seen = 0
    for table in tables:
        seen += len(table)
        yield table
    yield {"id": 1000 + seen, "mail": dlt.current.resource_name()}

def broken(table: pa.Table):
    raise LookupError("no such rate")

class Tagged:
    def __init__(self, tag):
        self.tag = tag

    @classmethod
    def create(cls, config):
        return cls(config["tag"])

    def process(self, record: dict):
        if record["id"] == 13:
            raise KeyboardInterrupt
        return {**record, "tag": self.tag}

    def close(self):
        with open("closed.txt", "a") as file:
            file.write(self.tag + "\\n")

class Plain:
    def __init__(self, factor: int):
        self.factor = factor

    def __call__(self, record):
        return {**record, "id": record["id"] * self.factor}
"""


def shop(*processors: Any, **keys: Any) -> str:
    block = {"name": "shop", "type": "dlt_native", "processors": list(processors), **keys}
    block["dlt_native"] = {"source_module": "shop", "source_function": "shop"}
    return sources(f"  - {json.dumps(block)}\n")


def put(root: Path, **given: Any) -> None:
    (root / "given.json").write_text(json.dumps(given))


def order(number: int, day: int = 1, **more: Any) -> dict[str, Any]:
    return {"id": number, "changed": f"2024-02-{day:02}", "mail": f"{number}@example.com", **more}


@pytest.fixture
def project(write: Write) -> Callable[..., None]:
    def project(*processors: Any, **keys: Any) -> None:
        write({"sources": shop(*processors, **keys), "custom_sources/shop.py": SHOP, "custom_sources/rules.py": RULES})

    return project


@pytest.mark.slow
def test_the_cursor_is_the_sources_own_whatever_becomes_of_its_column(
    root: Path, project: Any, dango: Dango, rows: Rows
) -> None:
    project(
        {"filter": "id <> 2"},
        resources={
            "orders": {
                "processors": [{"mask": "mail"}, {"drop": "changed"}, {"rename": {"id": "nr"}}],
                "primary_key": "nr",
            },
            "tables": {"processors": [{"rename": {"id": "number"}}], "primary_key": "number"},
        },
    )
    put(root, orders=[order(1), order(2, 2)], tables=[{"id": 1}, {"id": 2}])
    assert dango("sync").code == 0
    put(root, orders=[order(1), order(2, 2), order(3, 3)], tables=[{"id": 2}, {"id": 3}])
    said = dango("sync")
    assert said.code == 0
    assert "shop.orders: mask: 1 in, 1 out" in said.out  # what is not new never comes to a processor
    assert rows("SELECT nr, mail FROM raw_shop.orders ORDER BY nr") == [(1, "***"), (2, "***"), (3, "***")]
    assert rows("SELECT number FROM raw_shop.tables ORDER BY 1") == [(1,), (2,), (3,)]
    put(root, orders=[order(4, 9)])
    again = dango("sync", "--since", "2024-02-01", "--until", "2024-02-10", "--resource", "orders")
    assert again.code == 0
    assert rows("SELECT nr FROM raw_shop.orders ORDER BY nr") == [(1,), (2,), (3,), (4,)]


@pytest.mark.slow
def test_transformers_get_the_rows_as_they_were_and_have_processors_of_their_own(
    root: Path, project: Any, dango: Dango, rows: Rows
) -> None:
    hidden = {"hash": {"columns": ["mail"], "salt": "env:SALT"}}
    project(
        {"drop": ["mail", "changed"]},
        resources={"orders": {}, "lines": {"processors": [hidden, {"filter": '"order" > 1'}]}},
    )
    put(root, orders=[order(1), order(2)])
    assert dango("sync").code == 2
    said = dango("check")
    assert "error: .dango/sources.yml:3:" in said.err and "variable SALT is not set" in said.err
    said = dango("sync", env={"SALT": "a-pepper"})
    assert said.code == 0, said.err
    (line,) = rows('SELECT "order", length(mail) FROM raw_shop.lines')
    assert line == (2, 64)
    assert rows("SELECT * EXCLUDE (_dlt_id, _dlt_load_id) FROM raw_shop.orders ORDER BY 1") == [(1,), (2,)]


@pytest.mark.slow
def test_records_that_fail_are_in_the_table_of_errors_and_count(
    root: Path, project: Any, dango: Dango, rows: Rows
) -> None:
    processors = [{"cast": {"total": "decimal"}}, {"rules:checked": {"limit": 3}}, {"mask": "mail"}, {"mask": "phone"}]
    project(*processors, resources=["orders"], max_errors=2)
    put(root, orders=[order(1, total="1.5"), order(2, total="free"), order(3, total=""), order(4, total="4")])
    said = dango("sync", "--json")
    assert said.code == 0
    (result,) = said.json["results"]
    told = result["processors"]
    assert (result["status"], result["failed_count"]) == ("ok", 2)
    counts = [tuple(each[key] for key in ("name", "records_in", "records_out", "failed")) for each in told]
    assert counts == [("cast", 4, 3, 1), ("rules:checked", 3, 2, 1), ("mask", 2, 2, 0), ("mask", 2, 2, 0)]
    assert told[3]["missing"] == ["phone"]
    assert rows("SELECT id, total FROM raw_shop.orders ORDER BY id") == [(1, 1.5), (3, None)]
    errors = rows("SELECT resource, entity, message, payload FROM raw_shop._dango_errors ORDER BY 2")
    assert [error[:3] for error in errors] == [
        ("orders", "2", "cast: ValueError: `total` is no decimal"),
        ("orders", "4", "rules:checked: ValueError: too large"),
    ]
    assert {json.loads(error[3])["mail"] for error in errors} == {"***"}
    assert result["failed"][1]["place"].startswith("custom_sources/rules.py:")
    stored = dango("history", result["run"], "--json").json
    assert stored["results"][0]["processors"] == told

    project(*processors, resources=["orders"], max_errors=1)
    put(root, orders=[order(1, 7, total="x"), order(2, 7, total="y"), order(3, 8, total="1")])
    said = dango("sync")
    assert said.code == 1
    assert "2 of 3 records of `shop` failed, max_errors allows 1" in said.err
    assert rows("SELECT count(*) FROM raw_shop.orders") == [(2,)]
    # What became of the records is told of a run that loads nothing, too.
    (result,) = dango("history", "--json").json["runs"][0]
    counts = [tuple(each[key] for key in ("records_in", "records_out", "failed")) for each in result["processors"]]
    assert counts == [(3, 1, 2), (1, 1, 0), (1, 1, 0), (1, 1, 0)]


@pytest.mark.slow
def test_a_processor_that_fails_as_a_whole_fails_its_resource_and_no_other(
    root: Path, project: Any, dango: Dango, rows: Rows
) -> None:
    project(resources={"orders": {}, "tables": {"processors": ["rules:broken"]}}, on_error="skip")
    put(root, orders=[order(1)], tables=[{"id": 1}])
    said = dango("sync")
    assert said.code == 3
    assert "warning: shop: `tables` was left out: .dango/sources.yml:3:" in said.err
    assert "`rules:broken` failed: LookupError: no such rate (custom_sources/rules.py:20)" in said.err
    assert "more: dango docs processor-failed" in said.err
    assert rows("SELECT id FROM raw_shop.orders") == [(1,)]
    project({"rename": {"id": "mail"}}, resources=["tables"])
    said = dango("sync", timeout=60)
    assert said.code == 1
    assert "error: shop: .dango/sources.yml:3:" in said.err and "`rename` makes `id` a second `mail`" in said.err


@pytest.mark.slow
def test_a_stream_sees_all_and_a_trial_and_a_preview_are_processed_too(
    root: Path, project: Any, dango: Dango, rows: Rows
) -> None:
    project({"rules:counted": None, "stream": True}, {"rules:Plain": {"factor": 2}}, resources=["tables"])
    put(root, tables=[{"id": number} for number in range(1, 51)])
    assert dango("sync", "--limit", "3").code == 0
    assert rows("SELECT id FROM raw_shop__trial.tables ORDER BY id") == [(2,), (4,), (6,), (2006,)]
    assert [row["id"] for row in dango("preview", "shop", "--limit", "2", "--json").json["resources"][0]["rows"]] == [
        2,
        4,
    ]
    assert dango("sync").code == 0
    assert rows("SELECT count(*), max(id), max(mail) FROM raw_shop.tables") == [(51, 2100, "tables")]


@pytest.mark.slow
def test_a_class_is_closed_also_where_the_sync_is_interrupted(
    root: Path, project: Any, dango: Dango, rows: Rows
) -> None:
    project({"rules:Tagged": {"tag": "x"}}, resources=["orders"])
    put(root, orders=[order(1)])
    assert dango("sync").code == 0
    assert rows("SELECT id, tag FROM raw_shop.orders") == [(1, "x")]
    assert dango("preview", "shop").code == 0
    put(root, orders=[order(13, 5)])
    assert dango("sync").code != 0
    put(root, orders=[order(14, 6), {"id": "fourteen", "changed": "2024-02-07"}])
    assert dango("sync", "--limit", "1").code == 0
    assert (root / "closed.txt").read_text() == "x\n" * 4


@pytest.mark.slow
def test_what_processors_drop_is_no_row_that_a_contract_kept_out(root: Path, project: Any, dango: Dango) -> None:
    project({"filter": "id > 2"}, resources=["orders"], schema_contract={"columns": "discard_row"})
    put(root, orders=[order(1), order(3)])
    assert dango("sync").code == 0
    put(root, orders=[order(2, 2), order(4, 3), order(5, 3, new="x")])
    said = dango("sync")
    assert "by its contract, 1 row of orders discarded" in said.err
    assert "shop.orders: filter: 3 in, 2 out, 1 dropped" in said.out


BAD: list[tuple[Any, str, str]] = [
    ("rules:chekced", "Function 'chekced' not found in module 'rules' (custom_sources.rules)", "it offers: "),
    ("ruels:checked", "No module named 'ruels' (did you mean `rules`?)", "write custom_sources/ruels.py"),
    ({"rules:checked": {"limti": 1}}, "`checked` has no parameter `limti` (did you mean `limit`?)", "it takes: limit"),
    ({"rules:checked": [1]}, "the arguments of `rules:checked` are a mapping", "- rules:checked: {name: value}"),
    ("rules:Plain", "`Plain` needs `factor`", "it takes: factor"),
    ({"rules:checked": {"limit": "env:NOT_THERE"}}, "the environment variable NOT_THERE is not set", "set it"),
    ({"hash": {"columns": "a", "salt": "pepper"}}, "`salt` is a secret, and sources.yml is in git", "write env:NAME"),
]


@pytest.mark.slow
def test_check_finds_what_is_wrong_without_running_anything(project: Any, dango: Dango) -> None:
    project(*(written for written, _, _ in BAD))
    said = dango("check", "--json")
    found = {(each["message"], each["line"]): each for each in said.json["problems"]}
    assert (said.code, len(found)) == (2, len(BAD))
    for _, message, hint in BAD:
        (problem,) = [each for (told, line), each in found.items() if told.startswith(message) and line == 3]
        assert problem["hint"].startswith(hint) and problem["column"] > 50
    shown = dango("source", "show", "shop", "--json")
    assert shown.json["processors"][-1] == {"hash": {"columns": "a", "salt": "***"}}


@pytest.mark.slow
def test_packages_bring_processors_by_name(root: Path, project: Any, dango: Dango, rows: Rows) -> None:
    site = root / "site"
    files = {
        "money.py": "def rounded(record: dict, digits: int):\n    return {'id': round(record['id'], digits)}\n",
        "money-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: money\nVersion: 1.0\n",
        "money-1.0.dist-info/entry_points.txt": "[dango.processors]\nround_money = money:rounded\n",
    }
    for name, text in files.items():
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_text(textwrap.dedent(text))
    env = {"PYTHONPATH": ":".join([str(site), *filter(None, sys.path)])}
    project({"round_money": {"digits": 1}}, resources=["orders"])
    put(root, orders=[order(1.26)])  # type: ignore[arg-type]
    assert dango("check", env=env).code == 0
    assert dango("sync", env=env).code == 0
    assert rows("SELECT id FROM raw_shop.orders") == [(1.3,)]
    project("round_mony", resources=["orders"])
    assert "did you mean `round_money`?" in dango("check", env=env).err


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_the_rows_of_files_go_through_processors(
    root: Path, write: Write, dango: Dango, rows: Rows, ending: str
) -> None:
    block = {"name": "shop", "type": "files", "files": {"location": f"people.{ending}", "table": "people"}}
    write({"sources": sources(f"  - {json.dumps({**block, 'processors': [{'mask': ['mail']}]})}\n")})
    people = pa.table({"id": [1, 2], "mail": ["a@example.com", "b@example.com"]})
    if ending == "parquet":
        parquet.write_table(people, root / "people.parquet")
    elif ending == "csv":
        csv.write_csv(people, root / "people.csv")
    else:
        (root / "people.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in people.to_pylist()))
    said = dango("sync")
    assert said.code == 0, said.err
    assert rows("SELECT id, mail FROM raw_shop.people ORDER BY id") == [(1, "***"), (2, "***")]

"""What `schema_contract:` may say at each level, and whose word counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from dango.config.contract import MODES, Contract
from dango.config.document import Document
from dango.config.models import Config
from dango.errors import ConfigError
from dango.registry.validation import parse

FILE = "sources.yml"
SOURCE = "    type: dlt_native\n    dlt_native: {source_module: m, source_function: f}\n"


def config(text: str) -> Config:
    return parse(Document(Path(FILE), FILE, text), ("dlt_native",))


def one(contract: str) -> str:
    return f"sources:\n  - name: a\n    schema_contract: {contract}\n{SOURCE}"


@pytest.mark.parametrize("mode", MODES)
def test_one_word_is_said_of_tables_columns_and_types(mode: str) -> None:
    contract = Contract.model_validate({"tables": mode, "columns": mode, "data_type": mode})
    assert config(one(mode)).sources[0].schema_contract == contract


def test_each_level_fills_in_what_the_one_below_does_not_say() -> None:
    text = f"""\
defaults:
  schema_contract: freeze
  resources: {{x: {{schema_contract: {{tables: discard_row}}}}}}
sources:
  - name: a
    schema_contract: {{columns: evolve}}
    resources: {{x: {{schema_contract: {{columns: discard_value}}}}, y: }}
{SOURCE}  - name: b
{SOURCE}"""
    a, b = config(text).sources
    assert a.schema_contract == Contract(tables="freeze", columns="evolve", data_type="freeze")
    assert b.schema_contract == Contract(tables="freeze", columns="freeze", data_type="freeze")
    assert a.resources is not None
    assert a.resources["x"].schema_contract == Contract(tables="discard_row", columns="discard_value")
    assert a.resources["y"].schema_contract is None


@pytest.mark.parametrize("contract", ["", "{}", "{columns: }"])
def test_a_contract_with_nothing_in_it_says_nothing(contract: str) -> None:
    (source,) = config(one(contract)).sources
    assert source.schema_contract is None or source.schema_contract.said == {}


MODES_TOLD = "should be one of evolve, freeze, discard_row, discard_value, not"


@pytest.mark.parametrize(
    ("contract", "said"),
    [
        ("freez", f"3:5: `schema_contract`: {MODES_TOLD} `freez` (did you mean `freeze`?)"),
        ("Freeze", f"3:5: `schema_contract`: {MODES_TOLD} `Freeze` (did you mean `freeze`?)"),
        ("3", f"3:5: `schema_contract`: {MODES_TOLD} the number 3"),
        ("true", f"3:5: `schema_contract`: {MODES_TOLD} the truth value true"),
        ("[freeze]", f"3:5: `schema_contract`: {MODES_TOLD} a list"),
        ("{column: freeze}", "3:23: unknown key `column` (did you mean `columns`?)"),
        ("{data_type: discard_rows}", f"3:23: `data_type`: {MODES_TOLD} `discard_rows` (did you mean `discard_row`?)"),
        ("{tables: {}}", f"3:23: `tables`: {MODES_TOLD} a mapping"),
    ],
)
def test_what_is_no_contract_is_refused_with_the_nearest_word(contract: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        config(one(contract))
    assert [str(problem) for problem in caught.value.problems] == [f"{FILE}:{said}"]
    for text in (
        f"defaults: {{schema_contract: {contract}}}\n",
        f"sources:\n  - name: a\n    resources: {{x: {{schema_contract: {contract}}}}}\n{SOURCE}",
    ):
        with pytest.raises(ConfigError) as caught:
            config(text)
        (problem,) = caught.value.problems
        assert problem.message == said.partition(": ")[2]

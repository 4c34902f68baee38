"""Any dlt source's function as fields: from its signature, its types and its docstring."""

from __future__ import annotations

import datetime as dt
import inspect
import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dango.registry.entry import Entry
from dango.registry.field import FieldSpec
from dango.sources.describe import arguments_said
from tests.conftest import Said, sources

HEAD = """\
import datetime as dt, decimal, enum
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Dict, List, Literal, NewType, Optional, Tuple, TypedDict, TYPE_CHECKING, Union
import dlt
from dlt.common.typing import TAnyDateTime, TSecretStrValue, TSecretValue
from dlt.sources.credentials import (
    AwsCredentials, ConnectionStringCredentials, GcpOAuthCredentials, GcpServiceAccountCredentials,
)
if TYPE_CHECKING:
    from somewhere import Missing

class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"

class Number(enum.IntEnum):
    ONE = 1
    TWO = 2

class Where(TypedDict, total=False):
    city: str

Id = NewType("Id", int)

"""


def described(root: Path, module: str, function: str = "shop") -> Entry:
    """In a process of its own, as dango does it: what is imported stays imported."""
    code = (
        "import pickle, sys; from pathlib import Path; from dango.sources import imports;"
        "from dango.sources.describe import described;"
        "module, function, folder = sys.argv[1:]; imports.install(Path(folder));"
        "entry = described(imports.find(module, function, Path(folder)), module);"
        "sys.stdout.buffer.write(pickle.dumps(entry))"
    )
    folder = str(root / "custom_sources")
    done = subprocess.run([sys.executable, "-c", code, module, function, folder], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    entry = pickle.loads(done.stdout)
    assert isinstance(entry, Entry)
    return entry


def short(spec: FieldSpec) -> tuple[object, ...]:
    return spec.kind, spec.required, spec.default, spec.options


PARAMETERS = {
    "plain": ("", ("string", True, None, ())),
    "text: str": ("", ("string", True, None, ())),
    "bare": ("3", ("int", False, 3, ())),
    "nothing": ("None", ("string", False, None, ())),
    "anything: Any": ("None", ("string", False, None, ())),
    "number: int": ("5", ("int", False, 5, ())),
    "share: float": ("0.5", ("float", False, 0.5, ())),
    "price: decimal.Decimal": ('decimal.Decimal("1.5")', ("float", False, None, ())),
    "flag: bool": ("False", ("bool", False, False, ())),
    "maybe: Optional[bool]": ("None", ("bool", False, None, ())),
    "day: dt.date": ("dt.date(2024, 1, 31)", ("date", False, dt.date(2024, 1, 31), ())),
    "moment: Optional[dt.datetime]": ("None", ("datetime", False, None, ())),
    "any_time: TAnyDateTime": ("None", ("string", False, None, ())),
    "names: List[str]": ("dlt.config.value", ("list", True, None, ())),
    "pair: Tuple[str, int]": ('("a", 1)', ("list", False, ["a", 1], ())),
    "unique: Optional[set[str]]": ("None", ("list", False, None, ())),
    "some: Sequence[str]": ("()", ("list", False, [], ())),
    "mapping: Optional[Dict[str, Any]]": ("None", ("json", False, None, ())),
    "maps: Mapping[str, str]": ("dlt.config.value", ("json", True, None, ())),
    "where: Optional[Where]": ("None", ("json", False, None, ())),
    "colour: Colour": ("Colour.RED", ("enum", False, "red", ("red", "blue"))),
    "count: Number": ("Number.TWO", ("enum", False, 2, (1, 2))),
    'level: Literal["low", "high"]': ('"low"', ("enum", False, "low", ("low", "high"))),
    "size: Optional[Literal[1, 2]]": ("None", ("enum", False, None, (1, 2))),
    "either: Union[int, str]": ('"x"', ("string", False, "x", ())),
    'annotated: Annotated[int, "how many"]': ("3", ("int", False, 3, ())),
    "ident: Id": ("7", ("int", False, 7, ())),
    "path: Optional[Path]": ("None", ("path", False, None, ())),
    "setting: str": ("dlt.config.value", ("string", True, None, ())),
    "token: str": ("dlt.secrets.value", ("secret", True, None, ())),
    "key: TSecretStrValue": ("dlt.secrets.value", ("secret", True, None, ())),
    "other: Optional[TSecretValue]": ("None", ("secret", False, None, ())),
    "untyped_secret": ("dlt.secrets.value", ("secret", True, None, ())),
    "credentials: ConnectionStringCredentials": ("dlt.secrets.value", ("secret", True, None, ())),
    "since: dlt.sources.incremental[str]": ('dlt.sources.incremental("at")', ("json", False, None, ())),
}


@pytest.mark.parametrize("decorator", ["@dlt.source", "@dlt.resource", ""])
@pytest.mark.parametrize("future", ["", "from __future__ import annotations\n"])
def test_every_kind_of_parameter_becomes_a_field(
    decorator: str, future: str, root: Path, write: Callable[..., None]
) -> None:
    parameters = ", ".join(f"{name} = {default}" if default else name for name, (default, _) in PARAMETERS.items())
    hook = "hook: Optional[Callable[[int], int]] = None"
    code = (
        f"{decorator}\ndef shop({parameters}, {hook}, *args, only: int = 1, **kwargs):\n    yield dlt.resource([1])\n"
    )
    write({"custom_sources/kinds.py": future + HEAD + code})
    entry = described(root, "kinds")
    found = {spec.name: short(spec) for spec in entry.fields}
    wanted = {name.partition(":")[0]: field for name, (_, field) in PARAMETERS.items()}
    assert found == {**wanted, "only": ("int", False, 1, ())}
    assert entry.build.args["token"] == "${secrets.token}"  # type: ignore[union-attr]


def test_an_annotation_that_only_type_checkers_know_is_text(root: Path, write: Callable[..., None]) -> None:
    code = "def shop(x: Missing, y: int = 1):\n    yield {}\n"
    write({"custom_sources/kinds.py": "from __future__ import annotations\n" + HEAD + code})
    assert [short(spec) for spec in described(root, "kinds").fields] == [
        ("string", True, None, ()),
        ("int", False, 1, ()),
    ]


def test_credentials_are_asked_part_by_part(root: Path, write: Callable[..., None]) -> None:
    code = (
        "@dlt.source\ndef shop(aws: AwsCredentials = dlt.secrets.value,"
        " gcp: Union[GcpServiceAccountCredentials, GcpOAuthCredentials] = dlt.secrets.value):\n"
        "    yield dlt.resource([1])\n"
    )
    write({"custom_sources/kinds.py": HEAD + code})
    entry = described(root, "kinds")
    fields = {spec.name: spec for spec in entry.fields}
    assert fields["aws__aws_secret_access_key"].kind == "secret"
    assert fields["aws__region_name"].label == "aws: region name"
    assert fields["gcp__private_key"].kind == "secret"
    assert not any(spec.required for spec in fields.values())
    assert not fields["aws__aws_secret_access_key"].advanced
    assert fields["gcp__private_key"].advanced, "it may be the other kind of credentials"
    assert entry.build.args == {}  # type: ignore[union-attr]


def test_what_is_made_already_has_nothing_to_ask(root: Path, write: Callable[..., None]) -> None:
    write({"custom_sources/made.py": "import dlt\n@dlt.resource\ndef rows():\n    yield 1\nshop = rows()\n"})
    assert described(root, "made").fields == ()


@pytest.mark.parametrize(
    ("module", "function", "needed", "some"),
    [
        ("sql_database", "sql_database", ["credentials"], {"backend": "enum", "table_names": "list"}),
        ("sql_database", "sql_table", ["credentials", "table"], {"write_disposition": "enum", "primary_key": "string"}),
        ("filesystem", "filesystem", ["bucket_url"], {"credentials__aws_secret_access_key": "secret"}),
        ("filesystem", "readers", ["bucket_url"], {"file_glob": "string", "kwargs": "json"}),
        ("rest_api", "rest_api", ["client", "resources"], {"client": "json", "resources": "list"}),
    ],
)
def test_the_sources_that_dlt_ships(
    module: str, function: str, needed: list[str], some: dict[str, str], root: Path
) -> None:
    entry = described(root, module, function)
    assert [spec.name for spec in entry.fields if spec.required] == needed
    kinds = {spec.name: spec.kind for spec in entry.fields}
    assert {name: kinds[name] for name in some} == some
    assert entry.summary
    assert json.dumps([spec.default for spec in entry.fields], default=str), "all defaults are plain values"


GOOGLE = """Orders.

    Args:
        owner (str): Who owns it,
            on a second line.
        repo: Which: with a colon.
        kwargs: (Optional[dict], optional): More.
        **rest: Any others.

    Returns:
        rows: of orders
    """
NUMPY = """Orders.

Parameters
----------
owner : str
    Who owns it,
    on a second line.
repo
    Which: with a colon.

Returns
-------
rows
    Of orders.
"""
SPHINX = """Orders.

:param owner: Who owns it,
    on a second line.
:param str repo: Which: with a colon.
:returns: rows
"""


@pytest.mark.parametrize("docstring", [GOOGLE, NUMPY, SPHINX], ids=["google", "numpy", "sphinx"])
def test_docstrings_say_what_arguments_are(docstring: str) -> None:
    said = arguments_said(inspect.cleandoc(docstring))
    assert said["owner"] == "Who owns it, on a second line."
    assert said["repo"] == "Which: with a colon."
    assert set(said) <= {"owner", "repo", "kwargs", "rest"}
    assert said.get("kwargs", "More.") == "More."


@pytest.mark.parametrize("docstring", ["", "One line.", "Args:", "Args:\n", "Parameters\n----------\n", ":param x:"])
def test_docstrings_that_say_nothing(docstring: str) -> None:
    assert not any(arguments_said(docstring).values())


def test_an_enum_reaches_the_function_as_one(write: Callable[..., None], dango: Callable[..., Said]) -> None:
    code = "def shop(colour: Colour):\n    yield {'is': type(colour).__name__, 'name': colour.name}\n"
    write({"custom_sources/kinds.py": HEAD + code, "sources": sources()})
    options = ("--module", "kinds", "--function", "shop", "--yes")
    refused = dango("source", "add", "dlt_native", *options, "--set", "colour=green")
    assert (refused.code, "`colour` is one of: red, blue" in refused.err) == (2, True)
    assert dango("source", "add", "dlt_native", *options, "--set", "colour=blue", "--test").code == 0

"""Nothing of a file is lost in silence: each value of it is carried over, ignored by a rule, or named at its place.

What is carried is looked for in what is written, without a word from the code that reads.
"""

from __future__ import annotations

import copy
import datetime as dt
import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dango.errors import ConfigError
from dango.imports import formats, given
from dango.imports.found import Imported
from dango.imports.given import Loc
from dango.imports.ledger import path

FILES = sorted((Path(__file__).parent / "files").iterdir())

SECRETS = (
    *("Sys7emSecret", "StateSecret99", "48151623", "seller-of-record", "Shop-Client-Secret", "Re4derPass"),
    *("NorthT0ken", "SouthT0ken", "L0aderPass", "Sn0wPass", "Pl4inPassword", "MIIEvPrivate", "GmsT0ken"),
    *("Min3Token", "Open5ecret", "Jw7TokenJw7", "Boards-Pass", "Tls-Secret", "Jw8TokenJw8", "My5qlPass"),
    *("W1kiToken", "Sp4cePass", "Gl-Private-1", "Jir4Token", "sk_live_Str1pe"),
)
WITHOUT = ("datahub_small", "getdango_odd", "meltano_odd", "meltano_small", "vdk_small")

TURNED = {
    # What is carried, and is written as something else.
    "meltano": (
        r"default_environment|environments\[\d+\]\.name|environments\[\d+\]\.config\.plugins\.\w+\[\d+\]\.name",
        r"environments\[0\]\.config\.plugins\.extractors\[0\]\.config\.start_date",
        r"plugins\.\w+\[\d+\]\.(name|inherit_from)",
        # What the default environment says otherwise; a setting without a value.
        r"plugins\.extractors\[\d+\]\.config\.(start_date|nothing)",
        r"plugins\.extractors\[\d+\]\.select\[\d+\]",
        r"plugins\.extractors\[\d+\]\.pip_url",
        r"plugins\.extractors\[\d+\]\.(python|executable)|python",
        r"jobs\[\d+\]\.(name|tasks.*)|schedules\[\d+\]\.(extractor|loader|job)",
    ),
    "datahub": (r"source\.type|pipeline_name",),
    "openmetadata": (r"source\.type|source\.sourceConfig\.config\.type",),
    "vdk": (r"destinations\.\S+\.method|flows\[\d+\]\.(from|to)|sources\.\S+\.config$",),
    "getdango": (
        r"sources\[\d+\]\.(name|type|enabled)",
        r"sources\[\d+\]\.\w+\.(directory|file_pattern|bucket_url|file_glob)",
        r"sources\[\d+\]\.rest_api\.(auth_type|endpoints.*)",
    ),
}


def leaves(value: Any, loc: Loc = ()) -> Iterator[tuple[Loc, Any]]:
    """Every value of a file that holds no other, with its place."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [each for key, item in inner for each in leaves(item, (*loc, key))]
    yield from below or [(loc, value)]


def written(imported: Imported) -> set[str]:
    """Every value that is stored."""
    stored = [each.made.item for each in imported.sources] + [each.made.secrets for each in imported.sources]
    stored += [{**each.block, "of the secrets": each.secrets} for each in imported.targets]
    return {str(value) for each in stored for _, value in leaves(each)}


def text(value: Any) -> str:
    made = value.isoformat().replace("+00:00", "Z") if isinstance(value, dt.date) else str(value)
    return re.sub(r"^\$\{?(\w+).*", r"env:\1", made.replace("env:", "env::"))


def is_named(imported: Imported, loc: Loc) -> bool:
    """Whether a rule ignores what stands there, or a note names it or something around it."""
    where = path(loc)
    named = any(where == note.path or where.startswith((f"{note.path}.", f"{note.path}[")) for note in imported.notes)
    rules = (pattern.split(".") for pattern in formats.FORMATS[imported.format].rules.ignored)
    fit = (all(p in ("*", str(k)) for p, k in zip(rule, loc, strict=False)) for rule in rules if len(rule) <= len(loc))
    return named or any(fit)


def is_accounted(imported: Imported, loc: Loc, value: Any, stored: set[str]) -> bool:
    turned = any(re.fullmatch(pattern, path(loc)) for pattern in TURNED[imported.format])
    carried = {str(value), text(value), f"env:{value}"} & stored
    return bool(is_named(imported, loc) or turned or carried)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_value_is_carried_over_or_ignored_by_a_rule_or_named(file: Path) -> None:
    imported = formats.read(file, file.name)
    assert imported.format == file.stem.partition("_")[0]
    data = given.read(file, file.name).data
    stored = written(imported)
    assert [path(loc) for loc, value in leaves(data) if not is_accounted(imported, loc, value, stored)] == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_what_is_named_stands_where_it_is_said_to_stand_and_has_something_to_do(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    for note in formats.read(file, file.name).notes:
        name, line, column = note.place.rsplit(":", 2)
        key = note.path.rpartition(".")[2]
        rest = lines[int(line) - 1][int(column) - 1 :]
        # What a merge brings has no place of its own, nor has a list's item in TOML.
        assert key.endswith("]") or rest.startswith("<<") or re.match(rf"\W*?(\S+\.)?{re.escape(key)}(?!\w)", rest), (
            note
        )
        assert (name, bool(note.what), bool(note.do)) == (file.name, True, True)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_secret_of_a_file_is_named_or_would_stand_in_sources_yml(file: Path) -> None:
    imported = formats.read(file, file.name)
    shown = f"{imported} {[each.made.item for each in imported.sources]} {[each.block for each in imported.targets]}"
    assert [each for each in SECRETS if each in shown] == []
    assert any(each in file.read_text(encoding="utf-8") for each in SECRETS) or file.stem in WITHOUT


def test_what_is_named_as_unknown_is_so_and_nothing_else() -> None:
    unknown = [
        f"{file.stem} {note.path}"
        for file in FILES
        for note in formats.read(file, file.name).notes
        if "no key that dango knows" in note.what
    ]
    assert unknown == [
        "datahub_large owner_of_recipe",
        "getdango_large sources[8].dlt_native.function_kwarg",
        "meltano_large plugins.extractors[0].schema_extra",
        "openmetadata_large source.ownerOfSource",
        "vdk_large owner",
        "vdk_large sources.generated.retries",
    ]


PASSED_OVER = (
    # Names by which one part of the file speaks of another, and what is said elsewhere, too, where that counts.
    r"environments\[0\]\.config\.plugins\.extractors\[0\]\.name",
    r"plugins\.extractors\[0\]\.config\.start_date.*",
    r"plugins\.extractors\[0\]\.select\[\d\]",
    r"plugins\.loaders\[1\]\.name",
    r"jobs\[\d\]\.name|schedules\[0\]\.job|python",
)


def places(value: Any, loc: Loc = ()) -> Iterator[Loc]:
    """Where anything stands in a file."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*loc, key)
        yield from places(item, (*loc, key))


def put(data: Any, loc: Loc, value: Any) -> Any:
    """The data with another value at a place."""
    made = copy.deepcopy(data)
    inner = made
    for key in loc[:-1]:
        inner = inner[key]
    inner[loc[-1]] = value
    return made


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_whatever_stands_anywhere_is_carried_over_or_named_or_refused_at_its_place(file: Path) -> None:
    read = given.read(file, file.name)
    kind = file.stem.partition("_")[0]
    lost = []
    odd = (("ZZQ", ()), (["ZZQ"], (0,)), ({"z": "ZZQ"}, ("z",)), ({"z": {"b": ["ZZQ"]}}, ("z", "b", 0)), (None, ()))
    for loc, (value, below) in itertools.product(places(read.data), odd):
        try:
            imported = formats.of_given(replace(read, data=put(read.data, loc, value)), kind)
        except ConfigError as error:
            assert error.problems[0].line
            continue
        whole = (*loc, *below)
        stored = " ".join(written(imported)).lower()
        passed = any(re.fullmatch(pattern, path(loc)) for pattern in PASSED_OVER)
        if value is not None and not passed and "zzq" not in stored and not is_named(imported, whole):
            lost.append(path(whole))
    assert lost == []

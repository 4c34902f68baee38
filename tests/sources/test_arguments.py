"""`function_kwargs`: `env:` expanded, converted by annotation, checked against the signature."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Optional, Union

import dlt
import pytest
from dlt.sources.credentials import ConnectionStringCredentials

from dango.errors import ArgumentError
from dango.sources.arguments import checked, converted, expand, fitted
from dango.sources.imports import Located
from tests.conftest import Said, native, sources

UTC = dt.timezone.utc
Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]


@pytest.mark.parametrize(
    ("text", "annotation", "value"),
    [
        ("7", int, 7),
        ("-7", int, -7),
        ("1.5", float, 1.5),
        ("7", float, 7.0),
        *((word, bool, True) for word in ("true", "TRUE", "1", "yes", "on")),
        *((word, bool, False) for word in ("false", "False", "0", "no", "off")),
        ("2024-01-31", dt.date, dt.date(2024, 1, 31)),
        ("2024-01-31T10:00:00Z", dt.datetime, dt.datetime(2024, 1, 31, 10, tzinfo=UTC)),
        ("2024-01-31T10:00:00", dt.datetime, dt.datetime(2024, 1, 31, 10, tzinfo=UTC)),
        ("2024-01-31T10:00:00.5+0000", dt.datetime, dt.datetime(2024, 1, 31, 10, 0, 0, 500000, tzinfo=UTC)),
        ("2024-01-31T10:00:00.1234567Z", dt.datetime, dt.datetime(2024, 1, 31, 10, 0, 0, 123456, tzinfo=UTC)),
        ("2024-01-31T10:00:00+02:00", dt.datetime, dt.datetime(2024, 1, 31, 8, tzinfo=UTC)),
        ('["a", 1]', list, ["a", 1]),
        ('["a"]', list[str], ["a"]),
        ('{"a": [1]}', dict, {"a": [1]}),
        ('{"a": 1}', dict[str, int], {"a": 1}),
        ('{"a": 1}', Mapping[str, Any], {"a": 1}),
        ("[1, 2]", tuple[int, ...], (1, 2)),
        ("[1, 1]", set[int], {1}),
        ("7", Optional[int], 7),  # noqa: UP045
        ("7", int | None, 7),
        ("7", Union[int, str], "7"),  # noqa: UP007
        ("7", Annotated[int, "a hint"], 7),
        ("7", Annotated[Optional[int], "a hint"], 7),  # noqa: UP045
        ("7", str, "7"),
        ("7", None, "7"),
        ("true", Any, "true"),
        ("", int | None, None),
        ("", str, ""),
        ("", Any, ""),
        ("007", dlt.TSecretStrValue, "007"),
        ("postgres://u:p@h/db", ConnectionStringCredentials, "postgres://u:p@h/db"),
    ],
)
def test_a_variable_is_converted_by_the_annotation(text: str, annotation: Any, value: Any) -> None:
    found = converted(text, annotation)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("annotation", "said"),
    [
        (int, "int"), (float, "float"), (bool, "bool"), (dt.date, "datetime.date"), (list, "list"), (dict, "dict"),
        (list[str], "list[str]"), (int | None, "int | None"),
    ],
)  # fmt: skip
def test_a_value_that_does_not_convert_is_never_shown(
    annotation: Any, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP", "hush-hush")
    with pytest.raises(ArgumentError) as refused:
        expand("env:SHOP", annotation, ("dlt_native", "function_kwargs", "x"))
    assert refused.value.message == f"the environment variable SHOP does not hold a valid {said}"
    assert refused.value.loc == ("dlt_native", "function_kwargs", "x")
    assert "hush" not in str(refused.value) + refused.value.hint


@pytest.mark.parametrize("text", ['{"a": 1}', "7", '"a"', "null"])
def test_json_of_another_kind_is_no_list(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        converted(text, list)


def test_references_are_replaced_at_any_depth(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "shop one")
    written = {"a": [{"b": ["env:SHOP", 1, None, True, {"c": "env:SHOP"}]}], "d": "env:SHOP", "env:SHOP": "x"}
    assert expand(written) == {
        "a": [{"b": ["shop one", 1, None, True, {"c": "shop one"}]}], "d": "shop one", "env:SHOP": "x",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("env::SHOP", "env:SHOP"),
        ("env::", "env:"),
        ("env:::x", "env::x"),
        ("an env:SHOP", "an env:SHOP"),
        ("ENV:SHOP", "ENV:SHOP"),
        ("environment", "environment"),
    ],
)
def test_what_is_no_reference_stays_text(written: str, value: str) -> None:
    assert expand(written) == value


@pytest.mark.parametrize("written", ["env:", "env:A B", "env:A-B", "env:1A", "env:A??", "env: A", "env:${A}"])
def test_what_only_looks_like_a_reference_is_refused(written: str) -> None:
    with pytest.raises(ArgumentError, match="after `env:` comes the name of an environment variable"):
        expand(written)


def test_set_but_empty_is_an_error_unless_the_name_ends_in_a_question_mark(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "")
    with pytest.raises(ArgumentError, match=r"^the environment variable SHOP is empty$"):
        expand("env:SHOP", str)
    assert expand("env:SHOP?", str) == ""
    assert expand("env:SHOP?", int | None) is None
    monkeypatch.delenv("SHOP")
    for written in ("env:SHOP", "env:SHOP?"):
        with pytest.raises(ArgumentError, match=r"^the environment variable SHOP is not set$"):
            expand(written, str)


@pytest.mark.parametrize(
    ("value", "annotation", "fits"),
    [
        (dt.date(2024, 1, 1), str, "2024-01-01"),
        (dt.date(2024, 1, 1), Optional[str], "2024-01-01"),  # noqa: UP045
        (dt.date(2024, 1, 1), dt.date, dt.date(2024, 1, 1)),
        (dt.date(2024, 1, 1), Union[str, dt.date], dt.date(2024, 1, 1)),  # noqa: UP007
        (dt.date(2024, 1, 1), dt.datetime, dt.datetime(2024, 1, 1, tzinfo=UTC)),
        (dt.date(2024, 1, 1), None, dt.date(2024, 1, 1)),
        (dt.datetime(2024, 1, 1, 10, tzinfo=UTC), str, "2024-01-01T10:00:00+00:00"),
        ("2024-01-01", str, "2024-01-01"),
        ({"a": 1}, dict, {"a": 1}),
    ],
)
def test_a_date_literal_fits_what_is_annotated(value: Any, annotation: Any, fits: Any) -> None:
    found = fitted(value, annotation)
    assert found == fits
    assert type(found) is type(fits)


@pytest.mark.parametrize(
    "annotation",
    [dlt.sources.incremental, dlt.sources.incremental[str], Optional[dlt.sources.incremental[Any]],  # noqa: UP045
     dlt.sources.incremental("x")],
)  # fmt: skip
def test_a_mapping_becomes_an_incremental(annotation: Any) -> None:
    made = fitted({"cursor_path": "updated_at", "initial_value": 5}, annotation)
    assert isinstance(made, dlt.sources.incremental)
    assert (made.cursor_path, made.initial_value) == ("updated_at", 5)


def test_an_incremental_with_a_wrong_key_is_refused() -> None:
    with pytest.raises(ArgumentError, match="'cursor'"):
        fitted({"cursor": "updated_at"}, dlt.sources.incremental)


def located(function: Any) -> Located:
    return Located("shop", function.__name__, function)


def test_annotations_that_are_text_count_like_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def shop(a: int, b: list[str] | None = None, c: Optional[dt.date] = None, *, d: bool = False) -> None: ...  # noqa: UP045

    assert shop.__annotations__["a"] == "int"
    for name, text in {"A": "7", "B": '["x"]', "C": "2024-01-31", "D": "no"}.items():
        monkeypatch.setenv(name, text)
    made = checked(located(shop), {"a": "env:A", "b": "env:B", "c": "env:C", "d": "env:D"})
    assert made == {"a": 7, "b": ["x"], "c": dt.date(2024, 1, 31), "d": False}


def test_an_annotation_that_cannot_be_evaluated_spoils_no_other_argument() -> None:
    def shop(a: NotThere, b: str = "") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert checked(located(shop), {"a": 1, "b": "x"}) == {"a": 1, "b": "x"}


def test_decorated_functions_are_checked_by_their_own_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP", "7")

    @dlt.source
    def one(pages: int = 1) -> Any:
        return []

    @dlt.resource
    def two(pages: int = 1) -> Any:
        yield {}

    for function in (one, two):
        assert checked(located(function), {"pages": "env:SHOP"}) == {"pages": 7}
        with pytest.raises(ArgumentError, match=r"has no parameter `page` \(did you mean `pages`\?\)"):
            checked(located(function), {"page": 1})


def test_an_unknown_argument_names_the_nearest_and_all() -> None:
    def shop(region: str, pages: int = 1, /, size: int = 2, *more: int) -> None: ...

    with pytest.raises(ArgumentError) as refused:
        checked(located(shop), {"sise": 3})
    assert refused.value.message == "`shop` has no parameter `sise` (did you mean `size`?)"
    assert refused.value.hint == "it takes: size"
    assert refused.value.loc == ("dlt_native", "function_kwargs", "sise")


def test_a_function_with_open_keywords_takes_any() -> None:
    def shop(size: int, **more: Any) -> None: ...

    assert checked(located(shop), {"size": 1, "colour": "red"}) == {"size": 1, "colour": "red"}


def test_a_resource_that_the_module_has_made_takes_nothing() -> None:
    made = dlt.resource([{"id": 1}], name="made")
    assert checked(Located("shop", "made", made), {}) == {}
    with pytest.raises(ArgumentError, match="`made` takes no arguments"):
        checked(Located("shop", "made", made), {"a": 1})


SHOP = """
import pathlib
import dlt
pathlib.Path("imported").touch()

def rows(region: str, pages: int = 1, ratio: float = 0.0, live: bool = True, tags: list = (), opts: dict = None,
         day: "datetime.date" = None, plain="", start: str = ""):
    yield {"region": region, "pages": pages, "ratio": ratio, "live": live, "tags": "+".join(tags),
           "deep": opts["a"][0]["b"], "plain": plain, "start": start,
           "kinds": " ".join(type(v).__name__ for v in (pages, ratio, live, tags, opts, start))}
"""


def test_all_missing_names_are_told_at_once_and_nothing_runs(write: Write, dango: Dango, rows: Any, root: Any) -> None:
    kwargs = {
        "region": "env:REGION", "pages": "env:PAGES", "ratio": "env:RATIO", "live": "env:LIVE",
        "tags": ["env:TAG", "env::TAG"], "opts": {"a": [{"b": "env:DEEP"}]}, "plain": "env:PLAIN?",
    }  # fmt: skip
    sure = native("sure")
    shop = native("shop", function_kwargs=kwargs).replace('"plain"', '"start": 2024-01-01, "plain"')
    write({"custom_sources/shop.py": SHOP, "sources": sources(sure, shop), ".env": "PAGES=3\nLIVE=\nREGION=south\n"})
    said = dango("sync", env={"REGION": "north"})
    assert said.code == 2
    assert said.out == ""
    for name, fault in {"RATIO": "not set", "LIVE": "set but empty", "TAG": "not set", "DEEP": "not set"}.items():
        assert f"the environment variable {name} is {fault}" in said.err
    assert ".dango/sources.yml:4:" in said.err
    assert "PAGES" not in said.err
    assert not (root / "imported").exists()
    assert not (root / "data").exists()

    checked = dango("check", "shop", "--json")
    assert checked.code == 2
    messages = " ".join(problem["message"] for problem in checked.json["problems"])
    assert all(f"variable {name} " in messages for name in ("RATIO", "LIVE", "TAG", "DEEP", "PLAIN"))

    # The process environment comes first, then `.env`.
    env = {"REGION": "north", "RATIO": "0.5", "LIVE": "off", "TAG": "red", "DEEP": "well", "PLAIN": ""}
    said = dango("sync", "shop", env=env)
    assert said.code == 0, said.err
    found = rows("select region, pages, ratio, live, tags, deep, plain, start, kinds from raw_shop.rows")
    assert found == [("north", 3, 0.5, False, "red+env:TAG", "well", "", "2024-01-01", "int float bool list dict str")]


def test_a_wrong_value_is_refused_before_the_function_runs_and_not_shown(write: Write, dango: Dango, root: Any) -> None:
    text = 'import pathlib\ndef rows(pages: int):\n    pathlib.Path("called").touch()\n    yield {}\n'
    kwargs = {"pages": "env:PAGES"}
    write({"custom_sources/shop.py": text, "sources": sources(native("shop", function_kwargs=kwargs))})
    said = dango("sync", env={"PAGES": "hush-hush"})
    assert said.code == 2
    assert "error: shop: .dango/sources.yml:3:" in said.err
    assert "the environment variable PAGES does not hold a valid int" in said.err
    assert "hush" not in said.err + said.out
    assert not (root / "called").exists()

"""dlt and the functions themselves say whether an entry can be built, and no secret is there to be said."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dango.config.document import Document
from dango.registry.entry import Entry
from dango.sources import imports
from dango.sources.buildable import lint_built

REGISTRY = Path(__file__).parents[2] / "registry"

SHOP = """
registry: 1
id: shop
title: Shop
category: commerce
fields:
  - {name: kind, kind: enum, options: [key, password], default: key}
  - {name: user, when: {kind: password}}
  - {name: token, kind: secret}
  - {name: since, kind: date, default: 2024-01-01}
  - {name: size, kind: int}
build:
  kind: rest_api
  config:
    client:
      base_url: https://shop.example/v1/
      auth: {type: bearer, token: "${secrets.token}"}
      paginator: {type: offset, limit: 10, total_path: null}
    resources:
      - name: orders
        endpoint:
          path: orders
          data_selector: data
          params: {size: "${size}", by: "${user}", updated: "{incremental.start_value}"}
          incremental: {cursor_path: updated_at, initial_value: "${since|epoch}", convert: epoch}
"""

CALL = """
registry: 1
id: bank
title: Bank
category: accounting
fields: [{name: account, required: true}]
build: {kind: function, function: "bank:load", args: {account: "${account}"}}
"""


def entry(text: str, *changes: tuple[str, str]) -> Entry:
    for old, new in changes:
        assert old in text, f"`{old}` is not in the entry"
        text = text.replace(old, new)
    return Entry.model_validate(Document(Path("shop.yml"), "shop.yml", text).data)


@pytest.fixture
def custom(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Path]]:
    """Writes a module into a `custom_sources/` that is this process's package for the test's time."""
    folder = tmp_path / imports.PACKAGE
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])

    def custom(code: str, file: str = "bank.py") -> Path:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).write_text(code, encoding="utf-8")
        imports.install(folder)
        return folder

    yield custom
    for name in [name for name in sys.modules if name.split(".")[0] == imports.PACKAGE]:
        del sys.modules[name]


Custom = Callable[..., Path]


def test_an_entry_that_can_be_built_is_passed() -> None:
    assert lint_built(entry(SHOP)) == []


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("data_selector: data", "data_selector: 'data[?('", "orders"),
        ("cursor_path: updated_at", "cursor_path: 'a[?('", ""),
        ("limit: 10, ", "", "limit"),
        ("type: bearer", "type: bear", "bear"),
        ("path: orders\n", "path: orders/{id}\n", "id"),
        ("path: orders\n", "path: orders\n          method: PUT\n", "method"),
        ("data_selector: data", "data_selector: data\n          json: [1]", "json"),
        ("convert: epoch}", "convert: epoc}", "epoc"),
        ("{size: ", "{shop: '{resources.shops.id}', size: ", "shops"),
        ("token: \"${secrets.token}\"", "token: null", "token"),
    ],
)  # fmt: skip
def test_what_dlt_refuses_is_said_in_a_sentence(old: str, new: str, said: str) -> None:
    found = lint_built(entry(SHOP, (old, new)))
    assert {(finding.rule, finding.loc, finding.severity) for finding in found} == {
        ("builds", ("build", "config"), "error")
    }
    assert all(said in finding.message and finding.message.count("\n") == 0 for finding in found)


def test_an_auth_without_its_optional_secret_is_left_out_and_the_rest_built() -> None:
    assert (
        lint_built(
            entry(SHOP, ("auth: {type: bearer, token:", "headers: {X-Key: a}\n      auth: {type: bearer, token:"))
        )
        == []
    )


def test_every_choice_is_built() -> None:
    """Only who chooses the password reaches the broken part."""
    limit = "  - {name: limit, kind: int, default: 5, when: {kind: key}}"
    broken = entry(
        SHOP,
        ("limit: 10,", "limit: '${limit}',"),
        ("  - {name: size, kind: int}", f"  - {{name: size, kind: int}}\n{limit}"),
    )
    (finding,) = lint_built(broken)
    assert "limit" in finding.message


def test_no_value_of_the_environment_is_in_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "SHOP__TOKEN", "SOURCES__SHOP__TOKEN", "CREDENTIALS__TOKEN"):
        monkeypatch.setenv(name, "s3cr3t-of-a-person")
    for change in (
        ("type: bearer", "type: bear"),
        ("limit: 10, ", ""),
        ("data_selector: data", "json: ['${secrets.token}']"),
    ):
        assert "s3cr3t" not in str(lint_built(entry(SHOP, change)))


def test_a_default_that_is_a_secret_is_not_filled_in() -> None:
    text = entry(
        SHOP, ("kind: secret}", "kind: secret, default: s3cr3t}"), ("data_selector: data", "json: ['${secrets.token}']")
    )
    found = lint_built(text)
    assert found
    assert "s3cr3t" not in str(found)


def test_a_filter_that_its_field_does_not_fit_is_found() -> None:
    (finding,) = lint_built(entry(SHOP, ("${size}", "${user|epoch}")))
    assert finding.message == "`user` cannot be made epoch"


def test_a_function_takes_the_arguments_of_its_entry(custom: Custom) -> None:
    folder = custom("def load(account, page=1): yield from ()\n")
    assert lint_built(entry(CALL), folder) == []
    assert lint_built(entry(CALL, ('{account: "', '{page: 2, account: "')), folder) == []


def test_an_argument_that_the_function_has_not_is_found_at_its_place(custom: Custom) -> None:
    folder = custom("def load(accounts, page=1): yield from ()\n")
    unknown, missing = lint_built(entry(CALL), folder)
    assert (unknown.loc, unknown.message) == (
        ("build", "args", "account"), "`load` has no parameter `account` (did you mean `accounts`?)"
    )  # fmt: skip
    assert (missing.loc, missing.message) == (
        ("build", "function"), "`load` needs `accounts`, which `args` does not give"
    )  # fmt: skip


def test_a_function_that_takes_anything_is_passed(custom: Custom) -> None:
    assert lint_built(entry(CALL), custom("def load(**options): yield from ()\n")) == []


def test_a_function_that_is_not_there_is_found(custom: Custom) -> None:
    (finding,) = lint_built(entry(CALL), custom("def loads(account): yield from ()\n"))
    assert "`loads`" in finding.message
    (finding,) = lint_built(entry(CALL, ("bank:load", "no_such_bank:load")), custom(""))
    assert "no_such_bank" in finding.message


def test_what_inspects_takes_the_same_arguments(custom: Custom) -> None:
    folder = custom("def load(account): yield from ()\ndef look(name): ...\n")
    found = lint_built(entry(CALL, ("bank:load", "bank:load"), (", args:", ', inspect: "bank:look", args:')), folder)
    assert [finding.loc for finding in found] == [("build", "args", "account"), ("build", "inspect")]


def test_a_package_that_is_not_installed_is_no_fault_of_the_entry(custom: Custom) -> None:
    (finding,) = lint_built(entry(CALL), custom("import a_package_that_is_nowhere\ndef load(account): ...\n"))
    assert finding.severity == "warning"


def test_a_verified_source_is_looked_at_where_it_has_been_fetched(custom: Custom) -> None:
    verified = entry(
        CALL, ('function, function: "bank:load"', f"verified, source: vault, function: load, commit: {'ab' * 20}")
    )
    assert lint_built(verified, custom("")) == []
    fetched = custom("def load(accounts=()): yield from ()\n", "vault/__init__.py")
    assert [finding.loc for finding in lint_built(verified, fetched)] == [("build", "args", "account")]


@pytest.mark.parametrize("file", sorted(REGISTRY.glob("*.yml")), ids=lambda file: file.stem)
def test_a_shipped_entry_can_be_built(file: Path, tmp_path: Path) -> None:
    shipped = Entry.model_validate(Document(file, file.name).data)
    assert [finding for finding in lint_built(shipped, tmp_path) if finding.severity == "error"] == []

"""`dango registry list|show|lint|schema`: what there is, what is wrong with it, and no code of anybody's is run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from dango.config.document import Document
from dango.resources import shipped
from tests.conftest import Said

Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]

SHOP = """\
registry: 1
id: shop
title: My shop
category: commerce
aliases: [corner store]
summary: Orders
maturity: mock_run
links: {docs: "https://shop.example/docs"}
setup: |
  Ask the owner for a token.
fields:
  - {name: region, kind: enum, options: [eu, us], default: eu, help: Where it is}
  - {name: since, kind: date, default: 2024-01-31}
  - {name: token, kind: secret, title: API token, required: true}
build:
  kind: rest_api
  config:   # dlt's own
    client: {base_url: "https://${region}.shop.example", auth: {type: bearer, token: "${secrets.token}"}}
    resources:
      - name: orders
        primary_key: id
        endpoint:
          path: orders
          params: {from: "${since}", since: "{incremental.start_value}"}
          incremental: {cursor_path: at, initial_value: 2024-01-31}
          data_selector: "$"
          paginator: single_page
describe: {orders: What was sold}
"""
SOURCES = "version: 1\nsources: []\n"


@pytest.fixture(autouse=True)
def _project(write: Write) -> None:
    write({
        "sources": SOURCES,
        "registry/shop.yml": SHOP,
        "custom_sources/__init__.py": "open('imported', 'w').close()\n",
    })  # fmt: skip


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package that brings `ark` and its own `github`, and one that names a folder that it does not have."""
    for name, value, files in (("ark", "ark_p", ("ark", "github")), ("broken", "broken_p.entries", ())):
        info = tmp_path / "site" / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[dango.registry]\nx = {value}\n")
        folder = tmp_path / "site" / value.split(".")[0]
        folder.mkdir()
        (folder / "__init__.py").write_text("raise SystemExit('a package was imported')\n")
        for file in files:
            (folder / f"{file}.yml").write_text(SHOP.replace("id: shop", f"id: {file}"))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((str(Path(__file__).parents[2]), str(tmp_path / "site"))))


def test_list_says_where_each_comes_from_and_what_it_hides(
    write: Write, dango: Dango, package: None, root: Path
) -> None:
    write({"registry/stripe.yml": SHOP.replace("id: shop", "id: stripe")})
    said = dango("registry", "list")
    assert said.code == 0
    lines = {line.split()[0]: " ".join(line.split()) for line in said.out.splitlines() if line}
    assert lines["id"] == "id title category maturity from"
    assert lines["shop"] == "shop My shop commerce mock_run project"
    assert lines["ark"] == "ark My shop commerce mock_run package ark"
    assert lines["github"] == "github My shop commerce mock_run package ark hides the one of: shipped"
    assert lines["stripe"] == "stripe My shop commerce mock_run project hides the one of: shipped"
    assert lines["postgres"].endswith("live_run shipped")
    assert said.err == (
        "warning: the registry `x` of package broken is broken: `broken_p.entries` is no package that is installed,"
        " nor a folder in one\n"
    )
    listed = dango("registry", "list", "--json").json
    assert set(listed) == {"entries", "plugins", "broken_packages"}
    assert list(listed["broken_packages"]) == ["package broken"]
    found = {each["id"]: each for each in listed["entries"]}
    assert found["shop"] == {
        "id": "shop", "title": "My shop", "category": "commerce", "aliases": ["corner store"], "summary": "Orders",
        "maturity": "mock_run", "origin": "project", "file": str(root / "registry" / "shop.yml"), "shadows": [],
        "problems": [],
    }  # fmt: skip
    assert (found["github"]["origin"], found["github"]["shadows"]) == ("package ark", ["shipped"])
    assert [each["id"] for each in listed["entries"]] == sorted(found)


@pytest.mark.parametrize(
    ("words", "ids"),
    [(["corner"], ["shop"]), (["COMMERCE", "my"], ["shop"]), (["my", "shop"], ["shop"]), (["nonsense", "shop"], [])],
)
def test_list_finds_by_word_alias_and_category(dango: Dango, words: list[str], ids: list[str]) -> None:
    assert [each["id"] for each in dango("registry", "list", *words, "--json").json["entries"]] == ids
    if not ids:
        assert dango("registry", "list", *words).out == "nothing matches: nonsense shop\n"


def test_list_tells_what_is_broken_and_shows_the_rest(write: Write, dango: Dango) -> None:
    write({"registry/bad.yml": SHOP, "registry/empty.yml": ""})
    said = dango("registry", "list")
    assert said.code == 0
    shown = [line.split()[:2] for line in said.out.splitlines()]
    assert ["bad", "broken"] in shown
    assert ["shop", "My"] in shown
    assert said.err == (
        "warning: registry/bad.yml:2:1: the entry's id is `shop`, and its file is named `bad.yml`\n"
        "  hint: name the file shop.yml\n"
        "warning: registry/empty.yml:1:1: the file is empty\n"
        "  hint: it needs at least:\n"
        "          registry: 1\n          id: …\n          title: …\n          category: …\n          build: …\n"
    )
    broken = {each["id"]: each for each in dango("registry", "list", "--json").json["entries"] if each["problems"]}
    assert list(broken) == ["bad", "empty"]
    assert (broken["bad"]["problems"][0]["file"], broken["bad"]["problems"][0]["line"]) == ("registry/bad.yml", 2)


def test_show_prints_an_entry_for_people(dango: Dango, root: Path) -> None:
    said = dango("registry", "show", "shop")
    assert (said.code, said.err) == (0, "")
    head, file, link, _, setup, _, *rest = said.out.splitlines()
    assert head == "My shop (shop): commerce, mock_run, from project"
    assert file == str(root / "registry" / "shop.yml")
    assert link == "docs: https://shop.example/docs"
    assert setup == "Ask the owner for a token."
    shown = [line.split() for line in rest]
    assert ["region", "enum", "eu", "Where", "it", "is"] in shown
    assert ["token", "secret", "yes"] in shown
    assert ["orders", "What", "was", "sold", "id", "at", "append"] in shown
    assert "secrets go to: eu.shop.example" in rest
    assert rest[-1] == "  dango source add shop"


def test_show_prints_an_entry_as_data_with_its_configuration_word_for_word(dango: Dango, root: Path) -> None:
    shown = dango("registry", "show", "shop", "--json").json
    assert shown["hosts"] == ["eu.shop.example"]
    assert (shown["origin"], shown["shadows"]) == ("project", [])
    assert shown["fields"][1] == {"name": "since", "kind": "date", "default": "2024-01-31"}
    written = Document(root / "registry" / "shop.yml", "x").data["build"]["config"]
    incremental = written["resources"][0]["endpoint"]["incremental"]
    incremental["initial_value"] = incremental["initial_value"].isoformat()
    assert shown["build"] == {"kind": "rest_api", "config": written}


def test_show_prints_every_shipped_entry_as_data(root: Path) -> None:
    """A date or a type that JSON does not know would end one of them."""
    names = [file.stem for file in sorted(shipped("registry").glob("*.yml"))]
    code = (
        "import sys; from dango.cli import app\n"
        "for name in sys.argv[1:]: app(['registry', 'show', name, '--json'], standalone_mode=False)"
    )
    said = subprocess.run([sys.executable, "-c", code, *names], cwd=root, capture_output=True, text=True, check=True)
    decoder, text = json.JSONDecoder(), said.stdout
    for name in names:
        shown, end = decoder.raw_decode(text)
        text = text[end:].lstrip()
        assert shown["id"] == name
        assert isinstance(shown["hosts"], list)
    assert not text


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("shp", "no registry entry `shp` (did you mean `shop`?)"),
        ("corner store", "no registry entry `corner store` (did you mean `shop`?)"),
        ("dlt_native", "no registry entry `dlt_native`"),
        ("../shop", "no registry entry `../shop` (did you mean `shop`?)"),
    ],
)
def test_show_of_what_is_not_there_names_the_nearest(dango: Dango, asked: str, message: str) -> None:
    said = dango("registry", "show", asked)
    assert (said.code, said.out) == (2, "")
    assert said.err.splitlines()[0] == f"error: {message}"
    assert "dango registry list" in said.err
    said = dango("registry", "show", asked, "--json")
    assert said.code == said.json["exit_code"] == 2
    assert said.json["problems"][0]["message"] == message


def test_show_of_a_broken_entry_tells_every_problem(write: Write, dango: Dango) -> None:
    write({"registry/shop.yml": SHOP.replace("kind: date", "kind: dat").replace("title: My", "titel: My")})
    said = dango("registry", "show", "shop")
    assert (said.code, said.out) == (2, "")
    assert "error: registry/shop.yml:3:1: unknown key `titel` (did you mean `title`?)" in said.err
    assert "error: registry/shop.yml:13:19: `kind`: should be 'string'," in said.err
    assert "not `dat`" in said.err
    places = [(each["line"], each["column"]) for each in dango("registry", "show", "shop", "--json").json["problems"]]
    assert places == [(3, 1), (13, 19)]


def test_without_a_project_there_is_what_is_shipped(dango: Dango, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    listed = dango("registry", "list", "--json", cwd=elsewhere)
    assert listed.code == 0
    assert {each["origin"] for each in listed.json["entries"]} == {"shipped"}
    assert dango("registry", "show", "github", cwd=elsewhere).code == 0
    said = dango("--project", str(elsewhere), "registry", "list")
    assert said.code == 2
    assert "no dango project in" in said.err


def test_a_broken_sources_file_keeps_nobody_from_reading_the_registry(write: Write, dango: Dango) -> None:
    write({"sources": "sources: [\n"})
    assert dango("registry", "list").code == 0
    assert dango("registry", "show", "shop").code == 0


@pytest.mark.slow
def test_lint_tells_of_every_entry_what_is_wrong_with_it_and_of_a_sound_one_nothing(
    write: Write, dango: Dango, root: Path
) -> None:
    said = dango("registry", "lint", "shop")
    assert (said.code, said.out, said.err) == (0, "nothing to complain of\n", "")
    assert dango("registry", "lint", "shop", "--json").json == {"problems": [], "exit_code": 0}
    write({
        "registry/bad.yml": "registry: [\n",
        "registry/unused.yml": SHOP.replace("id: shop", "id: unused").replace("https://${region}.", "https://"),
        "registry/wrong.yml": SHOP.replace("id: shop", "id: wrong").replace("single_page", "pages"),
    })  # fmt: skip
    said = dango("registry", "lint", "bad", "unused", "shop", "wrong")
    assert said.code == 2
    assert "error: registry/bad.yml:2:1: " in said.err
    assert "error: registry/unused.yml:12:5: nothing uses the field `region` [unused_field]" in said.err
    assert "error: registry/wrong.yml:" in said.err
    assert "registry/shop.yml" not in said.err
    found = dango("registry", "lint", "bad", "unused", "--json")
    assert found.code == found.json["exit_code"] == 2
    assert {problem["file"] for problem in found.json["problems"]} == {"registry/bad.yml", "registry/unused.yml"}
    # A file that is not in any registry yet.
    write({"drafts/shop.yml": SHOP})
    assert dango("registry", "lint", "drafts/shop.yml").code == 0
    assert not (root / "drafts" / "imported").exists()


@pytest.mark.slow
def test_lint_of_what_is_not_there_or_beside_a_broken_sources_file(write: Write, dango: Dango) -> None:
    said = dango("registry", "lint", "shp", "--json")
    assert said.code == 2
    assert said.json["problems"][0]["message"] == "no registry entry `shp` (did you mean `shop`?)"
    said = dango("registry", "lint", "drafts/none.yml")
    assert said.code == 2
    assert said.told == "error: drafts/none.yml: cannot be read: No such file or directory\n"
    write({"sources": "sources: [\n", "registry/bad.yml": SHOP})
    said = dango("registry", "lint", "bad", "shop")
    assert said.code == 2
    assert "error: registry/bad.yml:2:1: the entry's id is `shop`" in said.err
    assert "error: .dango/sources.yml:2:1: " in said.err


def test_the_schema_is_one_document_and_needs_no_project(dango: Dango, tmp_path: Path) -> None:
    said = dango("registry", "schema", cwd=tmp_path)
    assert (said.code, said.err) == (0, "")
    assert said.json["title"] == "dango registry entry"
    assert said.json["properties"]["registry"]["const"] == 1


def test_an_unknown_subcommand_is_a_mistake_of_usage(dango: Dango) -> None:
    assert dango("registry", "lisst").code == 2
    assert dango("registry", "show").code == 2


def test_a_reader_that_has_seen_enough_ends_it_quietly(root: Path) -> None:
    done = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m dango registry schema | head -n 1"], cwd=root, env=dict(os.environ),
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_no_command_of_the_registry_runs_the_projects_code(dango: Dango, package: None, root: Path) -> None:
    for arguments in (["list"], ["list", "--json"], ["show", "shop"], ["show", "ark", "--json"], ["schema"]):
        assert dango("registry", *arguments).code == 0
    assert not (root / "imported").exists()
    assert json.loads(dango("registry", "show", "github", "--json").out)["origin"] == "package ark"


def test_the_author_of_a_package_needs_no_project_to_lint(tmp_path: Path, dango: Dango) -> None:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "thing.yml").write_text("registry: 1\nid: thing\ntitel: Thing\n", encoding="utf-8")
    said = dango("registry", "lint", "thing.yml", cwd=folder)
    assert said.code == 2
    assert "thing.yml:3:1: unknown key `titel` (did you mean `title`?)" in said.err
    assert sorted(path.name for path in folder.iterdir()) == ["thing.yml"]

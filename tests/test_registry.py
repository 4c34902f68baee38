"""Where entries come from, which of two wins, how one is found, and that a broken one harms no other."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dango.config.document import Document
from dango.config.text import yaml_quick, yaml_tree
from dango.config.text.values import same
from dango.errors import ConfigError, EntryNotFound
from dango.project import Project
from dango.registry.entries import Registry
from dango.resources import shipped
from tests.conftest import Said

Package = Callable[..., Path]

ENTRY = """\
registry: 1
id: {id}
title: {title}
category: generic
aliases: [corner shop]
summary: Orders and what was paid for them
build: {{kind: function, function: "shop:rows"}}
"""


def text(identity: str, title: str = "A shop") -> str:
    return ENTRY.format(id=identity, title=title)


@pytest.fixture
def own(root: Path) -> Path:
    """The project's own registry."""
    folder = root / "registry"
    folder.mkdir()
    return folder


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """An installed package with entries, as pip would leave it; importing it is a fault.

    `package(name, {file: text})` gives its folder; `value` is what its entry point names.
    """
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))

    def package(name: str, files: dict[str, str], value: str | None = None) -> Path:
        module = name.replace("-", "_")
        info = site / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[dango.registry]\n{module} = {value or module}\n")
        folder = site / module
        folder.mkdir()
        (folder / "__init__.py").write_text("raise SystemExit('a package was imported')\n")
        for file, content in files.items():
            (folder / file).parent.mkdir(parents=True, exist_ok=True)
            (folder / file).write_text(content)
        return folder

    yield package
    for name in [name for name in sys.modules if name.startswith("acme")]:
        del sys.modules[name]


def test_without_a_project_there_is_what_is_shipped() -> None:
    registry = Registry()
    assert [origin.label for origin in registry.origins] == ["shipped"]
    assert set(registry.ids) == {file.stem for file in shipped("registry").glob("*.yml")}
    assert {listed.origin for listed in registry} == {"shipped"}
    assert [listed.id for listed in registry if listed.problems] == []


def test_shipped_entries_mean_the_same_to_both_parsers() -> None:
    files = sorted(shipped("registry").glob("*.yml"))
    told = {file: (Document(file, file.name), yaml_quick.values(file.read_text(encoding="utf-8"))) for file in files}
    assert [file.name for file, (slow, quick) in told.items() if not same(slow.data, quick)] == []


def test_what_is_shipped_is_listed_without_the_slow_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_tree, "tree", None)
    assert all(listed.entry for listed in Registry())


def test_without_libyaml_they_are_read_as_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yaml_quick, "values", lambda text: None)
    assert Registry().entry("github").id == "github"


def test_a_project_without_a_registry_of_its_own_has_what_is_shipped(root: Path) -> None:
    assert Registry(root / "registry").ids == Registry().ids


def test_the_checkouts_own_folder_counts_once() -> None:
    registry = Registry(shipped("registry"))
    assert [origin.label for origin in registry.origins] == ["shipped"]
    assert {listed.shadows for listed in registry} == {()}


def test_the_projects_wins_over_packages_and_those_over_shipped_ones(own: Path, package: Package) -> None:
    package("acme-zoo", {"github.yml": text("github", "GitHub by Zoo"), "zoo.yml": text("zoo")})
    package("acme-ark", {"github.yml": text("github", "GitHub by Ark"), "stripe.yml": text("stripe", "Ark's")})
    (own / "github.yml").write_text(text("github", "GitHub of our own"))
    registry = Registry(own)
    assert [origin.label for origin in registry.origins] == [
        "project", "package acme-ark", "package acme-zoo", "shipped",
    ]  # fmt: skip
    github = registry.listed("github")
    assert github.entry is not None
    assert (github.entry.title, github.origin) == ("GitHub of our own", "project")
    assert github.shadows == ("package acme-ark", "package acme-zoo", "shipped")
    assert registry.entry("stripe").title == "Ark's"
    assert (registry.listed("zoo").origin, registry.listed("zoo").shadows) == ("package acme-zoo", ())
    (own / "github.yml").unlink()
    assert Registry(own).entry("github").title == "GitHub by Ark"


def test_a_broken_entry_hides_the_sound_one_of_its_id_and_says_so(own: Path) -> None:
    (own / "github.yml").write_text("registry: 1\n")
    listed = Registry(own).listed("github")
    assert (listed.entry, listed.shadows) == (None, ("shipped",))
    assert {problem.file for problem in listed.problems} == {"registry/github.yml"}
    with pytest.raises(ConfigError, match="the key `title` is missing"):
        Registry(own).entry("github")


def test_packages_are_found_without_being_imported(package: Package) -> None:
    folder = package("acme-ark", {"ark.yml": text("ark"), "notes.txt": "x", "old/none.yml": text("none")})
    registry = Registry()
    assert registry.listed("ark").file == folder / "ark.yml"
    assert "none" not in registry.ids
    assert [each for each in registry.broken if each.distribution == "acme-ark"] == []
    assert "acme_ark" not in sys.modules


def test_a_package_may_keep_its_entries_in_a_folder_below(package: Package) -> None:
    """A folder without `__init__.py` is a package to Python too; above it nothing may be run."""
    package("acme-ark", {"entries/ark.yml": text("ark")}, value="acme_ark.entries")
    registry = Registry()
    assert registry.entry("ark").title == "A shop"
    assert "acme_ark" not in sys.modules


@pytest.mark.parametrize("value", ["acme_nothing", "acme_ark.nothing", "acme_ark.module", "acme_ark:entries", "..", ""])
def test_a_package_that_names_nothing_is_told_and_harms_no_other(package: Package, value: str) -> None:
    package("acme-ark", {"module.py": "raise SystemExit('imported')\n"}, value=value or " ")
    package("acme-zoo", {"zoo.yml": text("zoo")})
    registry = Registry()
    (why,) = (why for each, why in registry.broken.items() if each.distribution == "acme-ark")
    assert why == f"`{value}` is no package that is installed, nor a folder in one"
    assert registry.entry("zoo").title == "A shop"
    assert registry.entry("github").id == "github"
    assert "acme_ark" not in sys.modules


def test_what_is_no_entry_is_left_alone(own: Path) -> None:
    (own / ".shop.yml").write_text("hidden")
    (own / "._shop.yml").write_bytes(b"\x00\x05\x16\x07")
    (own / "README.md").write_text("# Entries")
    (own / "shop.yml~").write_text("a copy")
    (own / "old").mkdir()
    assert Registry(own).ids == Registry().ids


def test_an_entry_may_end_in_yaml_too(own: Path) -> None:
    (own / "shop.yaml").write_text(text("shop"))
    assert Registry(own).entry("shop").title == "A shop"


BROKEN = {
    "yaml": (b"registry: [1\n", "registry/yaml.yml:2:1: "),
    "tab": (b"registry: 1\n\tid: tab\n", "registry/tab.yml:2:1: a tab: YAML is indented with spaces"),
    "empty": (b"", "registry/empty.yml:1:1: the file is empty"),
    "comment": (b"# nothing yet\n", "registry/comment.yml:1:1: the file is empty"),
    "list": (b"- registry: 1\n", "registry/list.yml:1:1: this should be a mapping: `registry:`, `id:`"),
    "latin": (b"registry: 1\ntitle: caf\xe9\n", "registry/latin.yml: not UTF-8: "),
    "null": (b"registry: 1\x00\n", "registry/null.yml:1:1: "),
    "huge": (b"registry: 1\n" + b"#" * 5_000_001, "registry/huge.yml: larger than 5 MB"),
    "twice": (b"registry: 1\nid: twice\nid: twice\n", "registry/twice.yml:3:1: found duplicate key"),
    "deep": (b"registry: " + b"[" * 5000 + b"]" * 5000, "registry/deep.yml:1:1: "),
    "other": (text("shop").encode(), "registry/other.yml:2:1: the entry's id is `shop`, and its file is named"),
    "key": (text("key").encode() + b"retgistry: 1\n", "registry/key.yml:8:1: unknown key `retgistry` (did you mean"),
    "type": (text("type_").encode().replace(b"[corner shop]", b"3"), "registry/type.yml:5:1: `aliases`: should be"),
}


def test_every_broken_entry_is_told_at_its_place_and_harms_no_other(own: Path) -> None:
    for name, (content, _) in BROKEN.items():
        (own / f"{name}.yml").write_bytes(content)
    (own / "folder.yml").mkdir()
    (own / "shop.yml").write_text(text("shop"))
    registry = Registry(own)
    for name, (_, said) in BROKEN.items():
        listed = registry.listed(name)
        assert listed.entry is None
        assert str(listed.problems[0]).startswith(said)
    assert str(registry.listed("folder").problems[0]) == "registry/folder.yml: cannot be read: Is a directory"
    assert {listed.id for listed in registry if listed.entry} == {*Registry().ids, "shop"}
    hint = registry.listed("empty").problems[0].hint
    assert hint == "it needs at least:\n  registry: 1\n  id: …\n  title: …\n  category: …\n  build: …"


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["shop"], True),
        (["SHOP", "orders"], True),
        (["corner"], True),
        (["generic", "paid"], True),
        (["a shop", "generic"], True),
        (["shop", "nonsense"], False),
        ([], True),
    ],
)
def test_an_entry_is_found_by_words_of_its_id_title_summary_alias_and_category(
    own: Path, words: list[str], found: bool
) -> None:
    (own / "shop.yml").write_text(text("shop"))
    assert ("shop" in [listed.id for listed in Registry(own).search(words)]) == found


def test_a_broken_entry_is_found_by_its_id_alone(own: Path) -> None:
    (own / "shop.yml").write_text("[")
    assert "shop" in [listed.id for listed in Registry(own).search(["shop"])]
    assert "shop" not in [listed.id for listed in Registry(own).search(["corner"])]


@pytest.mark.parametrize(
    ("asked", "clause"),
    [
        ("gihub", " (did you mean `github`?)"),
        ("git", " (did you mean `github`?)"),
        ("Corner Shop", " (did you mean `shop`?)"),
        ("qqqqqqq", ""),
        ("", ""),
        ("../../etc/passwd", ""),
    ],
)
def test_an_unknown_id_names_the_nearest_also_by_its_alias(own: Path, asked: str, clause: str) -> None:
    (own / "shop.yml").write_text(text("shop"))
    with pytest.raises(EntryNotFound) as caught:
        Registry(own).entry(asked)
    assert caught.value.message == f"no registry entry `{asked}`{clause}"
    assert caught.value.exit_code == 2


def test_a_broken_entry_stops_its_own_sources_and_no_others(
    write: Callable[..., None], root: Path, dango: Callable[..., Said]
) -> None:
    good = text("good").replace("shop:rows", "custom_sources.shop:rows")
    write({
        "registry/bad.yml": text("bad") + "nonsense: 1\n",
        "registry/good.yml": good,
        "custom_sources/shop.py": "def rows():\n    yield {'id': 1}\n",
        "sources": "sources:\n  - {name: one, type: bad, bad: {x: 1}}\n  - {name: two, type: good}\n",
    })  # fmt: skip
    assert [source.name for source in Project(root).config.sources] == ["one", "two"]
    said = dango("sync")
    assert said.code == 3
    assert "one: failed, 0 rows" in said.err
    assert "two: ok, 1 rows" in said.err
    assert "registry/bad.yml:8:1: unknown key `nonsense`" in said.err
    assert "dango registry lint bad" in said.err
    assert dango("sync", "one").code == 2


def test_a_projects_entry_that_is_a_link_out_of_the_project_is_not_read(own: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.yml").write_text(text("leak", title="a secret"))
    (own / "leak.yml").symlink_to(tmp_path / "secret.yml")
    (own / "kept.txt").write_text(text("kept"))
    (own / "kept.yml").symlink_to("kept.txt")
    registry = Registry(own)
    assert registry.listed("leak").entry is None
    assert [str(problem) for problem in registry.listed("leak").problems] == [
        "registry/leak.yml: it is a link that leads out of the project"
    ]
    with pytest.raises(ConfigError, match="leads out of the project"):
        registry.document("leak")
    assert registry.entry("kept").title == "A shop"


def test_an_installed_package_may_be_all_links(own: Path, package: Package, tmp_path: Path) -> None:
    (tmp_path / "cached.yml").write_text(text("acme"))
    (package("acme", {}) / "acme.yml").symlink_to(tmp_path / "cached.yml")
    assert Registry(own).entry("acme").title == "A shop"

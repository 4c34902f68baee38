"""What packages say they bring, found by their metadata alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dango import resources
from dango.config.processors import BUILT_IN
from dango.errors import BrokenPlugin, PluginNotFound
from dango.registry.entries import Registry
from dango.registry.entry import Function
from dango.registry.plugins import EXECUTORS, GROUPS, OWN, PROCESSORS, REGISTRY, SOURCES, Plugin, named, plugin, plugins


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def installed(site: Path, name: str, entry_points: str) -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def brought(group: str) -> list[Plugin]:
    """What packages bring, without what dango does."""
    return [each for each in plugins(group) if each.distribution != OWN]


def folder_of(value: str) -> tuple[Path, str]:
    return Plugin(REGISTRY, "x", value, "loud").folder()


def test_entry_points_come_in_the_order_of_their_names(site: Path) -> None:
    installed(site, "zeta", "[dango.registry]\nlast = zeta_p\n\n[dango.sources]\nz = zeta_p.sources\n")
    installed(site, "alpha", "[dango.registry]\nlast = alpha_p\nfirst = alpha_q\n")
    assert brought(REGISTRY) == [
        Plugin(REGISTRY, "first", "alpha_q", "alpha"),
        Plugin(REGISTRY, "last", "alpha_p", "alpha"),
        Plugin(REGISTRY, "last", "zeta_p", "zeta"),
    ]
    assert brought(SOURCES) == [Plugin(SOURCES, "z", "zeta_p.sources", "zeta")]
    assert plugins("dango.nothing") == []


def test_a_folder_of_a_package_is_found_without_running_any_of_it(site: Path) -> None:
    below = site / "loud_p" / "inner" / "entries"
    below.mkdir(parents=True)
    for folder in (site / "loud_p", site / "loud_p" / "inner"):
        (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    assert folder_of("loud_p") == (site / "loud_p", "")
    assert folder_of("loud_p.inner.entries") == (below, "")
    assert "loud_p" not in sys.modules


def test_a_namespace_that_two_distributions_share_is_searched_in_both(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    (first / "shared_p" / "one").mkdir(parents=True)
    (second / "shared_p" / "two").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(first))
    monkeypatch.syspath_prepend(str(second))
    assert folder_of("shared_p.one") == (first / "shared_p" / "one", "")
    assert folder_of("shared_p.two") == (second / "shared_p" / "two", "")


@pytest.mark.parametrize(
    "value", ["nothing_p", "single_p", "loud_p.none", "loud_p:x", "loud_p/..", "..", ".", "", "a b", "__main__", "os"]
)
def test_what_is_no_folder_of_a_package_is_told(site: Path, value: str) -> None:
    (site / "loud_p").mkdir()
    (site / "loud_p" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (site / "single_p.py").write_text("raise SystemExit('imported')\n")
    said = f"`{value}` is no package that is installed, nor a folder in one"
    assert folder_of(value) == (Path(), said)


# --- what dango brings itself ---------------------------------------------------------------------


def test_what_dango_brings_is_registered_as_anybodys_is_and_known_from_a_checkout_as_it_stands() -> None:
    here = Path(__file__).parents[2]
    # Where the wheel is tested there is no checkout to be known.
    assert resources.checkout() == (here if Path(resources.__file__).is_relative_to(here / "dango") else None)
    own = [each for group in GROUPS for each in plugins(group) if each.distribution == OWN]
    assert {each.origin for each in own} == {"shipped"}
    assert "local" in named(EXECUTORS)
    assert [each for each in own if each.fault()] == []
    assert [each for each in own if not callable(each.load())] == []


def test_what_dango_brings_as_sources_is_what_its_entries_of_these_names_call() -> None:
    registry = Registry()
    builds = {each.name: registry.entry(each.name).build for each in plugins(SOURCES) if each.distribution == OWN}
    calls = {name: build.function for name, build in builds.items() if isinstance(build, Function)}
    assert {name: named(SOURCES)[name].value for name in builds} == calls
    assert registry.sources == {}


def test_processors_of_dangos_own_are_those_whose_settings_are_checked_and_no_package_replaces_them(site: Path) -> None:
    installed(site, "alpha", "[dango.processors]\nhash = alpha_p:rows\n")
    assert {each.name for each in plugins(PROCESSORS) if each.distribution == OWN} == {*BUILT_IN}
    assert (named(PROCESSORS)["hash"].origin, named(PROCESSORS)["hash"].hides) == ("shipped", ("package alpha",))


def test_of_one_name_the_first_in_the_alphabet_counts_and_dango_comes_last(site: Path) -> None:
    (site / "alpha_p.py").write_text("def rows():\n    yield {}\n")
    installed(site, "zeta", "[dango.sources]\nshop = alpha_p:rows\nsql = alpha_p:rows\n")
    installed(site, "alpha", "[dango.sources]\nshop = alpha_p:rows\n")
    assert named(SOURCES)["shop"] == Plugin(SOURCES, "shop", "alpha_p:rows", "alpha")
    assert named(SOURCES)["shop"].hides == ("package zeta",)
    assert (named(SOURCES)["sql"].origin, named(SOURCES)["sql"].hides) == ("package zeta", ("shipped",))
    # An entry takes the place of any source of its id, and says so.
    registry = Registry()
    assert list(registry.sources) == ["shop"]
    assert registry.listed("sql").shadows == ("package zeta",)


def test_of_two_installations_of_a_distribution_the_first_on_the_path_counts(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    for entry in ("old = alpha_p:rows", "new = alpha_p:rows"):
        folder = tmp_path_factory.mktemp("site")
        installed(folder, "alpha", f"[dango.sources]\n{entry}\n")
        monkeypatch.syspath_prepend(str(folder))
    assert [each.name for each in brought(SOURCES)] == ["new"]


# --- what is broken -------------------------------------------------------------------------------

LOUD = "raise SystemExit('imported')\n"


@pytest.mark.parametrize(
    ("group", "value", "fault"),
    [
        (SOURCES, "loud_p:rows", ""),
        (SOURCES, "loud_p.inner.deep:rows", ""),
        (SOURCES, "loud_p", ""),
        (SOURCES, "os.path:join", ""),
        (SOURCES, "loud_p.inner.gone:rows", "its module `loud_p.inner.gone` is not installed"),
        (SOURCES, "nothing_p:rows", "its module `nothing_p` is not installed"),
        (SOURCES, "loud_p.inner.deep.rows:x", "its module `loud_p.inner.deep.rows` is not installed"),
        (SOURCES, "loud_p:", "it names `loud_p:`, which is not of the form `module:function`"),
        (SOURCES, "loud_p:a.b", "it names `loud_p:a.b`, which is not of the form `module:function`"),
        (EXECUTORS, "loud_p", "it names `loud_p`, which is not of the form `module:function`"),
        (REGISTRY, "loud_p.gone", "`loud_p.gone` is no package that is installed, nor a folder in one"),
    ],
)
def test_what_cannot_be_had_is_known_without_running_any_of_it(site: Path, group: str, value: str, fault: str) -> None:
    (site / "loud_p" / "inner").mkdir(parents=True)
    for file in ("__init__", "inner/__init__", "inner/deep"):
        (site / "loud_p" / f"{file}.py").write_text(LOUD)
    assert Plugin(group, "x", value, "loud").fault() == fault
    assert "loud_p" not in sys.modules


@pytest.mark.parametrize(
    ("text", "why", "hint"),
    [
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError as error:\n    raise ImportError('no rate') from error\n",
            "failed: ImportError: no rate <- ZeroDivisionError: division by zero (PLACE:2)",
            "--upgrade loud",
        ),
        (
            "try:\n    {}['rate']\nexcept KeyError:\n    raise ValueError\n",
            "failed: ValueError <- KeyError: 'rate' (PLACE:2)",
            "--upgrade loud",
        ),
        ("import nothing_yaml\n", "No module named 'nothing_yaml' (PLACE:1)", "install nothing-yaml"),
        ("import sys\nsys.exit(3)\n", "failed: SystemExit: 3 (PLACE:2)", "--upgrade loud"),
        ("def row():\n    yield\n", "`broken_p` has no `rows` (did you mean `row`?)", "--upgrade loud"),
    ],
)
def test_why_it_cannot_be_used_is_told_down_to_the_first_cause(site: Path, text: str, why: str, hint: str) -> None:
    file = site / "broken_p.py"
    file.write_text(text)
    sys.modules.pop("broken_p", None)
    with pytest.raises(BrokenPlugin) as refused:
        Plugin(SOURCES, "shop", "broken_p:rows", "loud").load(("type",))
    assert refused.value.message.startswith("the source `shop` of package loud is broken: ")
    assert refused.value.message.endswith(why.replace("PLACE", str(file)))
    assert refused.value.hint.endswith(hint)
    assert refused.value.loc == ("type",)
    sys.modules.pop("broken_p", None)


def test_an_unknown_name_is_answered_with_the_nearest_and_with_what_is_broken_of_the_near_ones(site: Path) -> None:
    installed(site, "loud", "[dango.executors]\nlocals = nothing_p:make\nremote = nothing_p:make\n")
    with pytest.raises(PluginNotFound) as refused:
        plugin(EXECUTORS, "lokal")
    assert refused.value.message == "no executor `lokal` is installed (did you mean `local`?)"
    assert refused.value.hint == (
        "the executor `locals` of package loud is broken: its module `nothing_p` is not installed\n"
        "executors: local, locals, remote"
    )


def test_an_unknown_type_is_answered_with_all_that_may_have_brought_it(site: Path) -> None:
    (site / "loud_p.py").write_text(LOUD)
    installed(
        site,
        "loud",
        "[dango.sources]\nshop = nothing_p:rows\nother = nothing_p:rows\nshops = loud_p\nShop = loud_p:rows\n"
        "schedule = loud_p:rows\n[dango.registry]\nx = loud_p.gone\n",
    )
    registry = Registry()
    assert list(registry.sources) == ["other", "shop"]
    assert registry.meant("shp") == [
        "the source `shop` of package loud is broken: its module `nothing_p` is not installed",
        "the source `Shop` of package loud is no type: types are lower-case letters, digits and `_`, a letter first",
        "the source `shops` of package loud is no type: it names no function, `module:function`",
        f"the registry `x` of package loud is broken: {folder_of('loud_p.gone')[1]}",
    ]
    assert registry.untyped[Plugin(SOURCES, "schedule", "loud_p:rows", "loud")] == (
        "`schedule` is a key of every source in sources.yml"
    )
    assert "loud_p" not in sys.modules

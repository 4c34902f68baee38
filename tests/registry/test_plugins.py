"""What packages say they bring, found by their metadata alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dango.registry.plugins import REGISTRY, SOURCES, Plugin, plugins


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


def test_entry_points_come_in_the_order_of_their_names(site: Path) -> None:
    installed(site, "zeta", "[dango.registry]\nlast = zeta_p\n\n[dango.sources]\nz = zeta_p.sources\n")
    installed(site, "alpha", "[dango.registry]\nlast = alpha_p\nfirst = alpha_q\n")
    assert plugins(REGISTRY) == [
        Plugin("first", "alpha_q", "alpha"), Plugin("last", "alpha_p", "alpha"), Plugin("last", "zeta_p", "zeta"),
    ]  # fmt: skip
    assert plugins(SOURCES) == [Plugin("z", "zeta_p.sources", "zeta")]
    assert plugins("dango.nothing") == []


def test_a_folder_of_a_package_is_found_without_running_any_of_it(site: Path) -> None:
    below = site / "loud_p" / "inner" / "entries"
    below.mkdir(parents=True)
    for folder in (site / "loud_p", site / "loud_p" / "inner"):
        (folder / "__init__.py").write_text("raise SystemExit('imported')\n")
    assert Plugin("x", "loud_p", "loud").folder() == (site / "loud_p", "")
    assert Plugin("x", "loud_p.inner.entries", "loud").folder() == (below, "")
    assert "loud_p" not in sys.modules


def test_a_namespace_that_two_distributions_share_is_searched_in_both(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = tmp_path_factory.mktemp("a"), tmp_path_factory.mktemp("b")
    (first / "shared_p" / "one").mkdir(parents=True)
    (second / "shared_p" / "two").mkdir(parents=True)
    monkeypatch.syspath_prepend(str(first))
    monkeypatch.syspath_prepend(str(second))
    assert Plugin("x", "shared_p.one", "s").folder() == (first / "shared_p" / "one", "")
    assert Plugin("x", "shared_p.two", "s").folder() == (second / "shared_p" / "two", "")


@pytest.mark.parametrize(
    "value", ["nothing_p", "single_p", "loud_p.none", "loud_p:x", "loud_p/..", "..", ".", "", "a b", "__main__", "os"]
)
def test_what_is_no_folder_of_a_package_is_told(site: Path, value: str) -> None:
    (site / "loud_p").mkdir()
    (site / "loud_p" / "__init__.py").write_text("raise SystemExit('imported')\n")
    (site / "single_p.py").write_text("raise SystemExit('imported')\n")
    said = f"`{value}` is no package that is installed, nor a folder in one"
    assert Plugin("x", value, "loud").folder() == (Path(), said)

"""Which of the packages that an entry needs are not installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dango.packages import install, missing

Distribution = Callable[..., None]


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Distribution:
    """An installed distribution that needs what it is said to need."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def distribution(name: str, version: str = "1.0", needs: tuple[str, ...] = ()) -> None:
        info = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {name}",
            f"Version: {version}",
            *(f"Requires-Dist: {n}" for n in needs),
        ]
        (info / "METADATA").write_text("\n".join(lines) + "\n")

    return distribution


@pytest.mark.parametrize(
    ("requirement", "met"),
    [
        ("acme", True),
        ("ACME", True),
        ("acme>=2.1", True),
        ("acme>=2.1,<3", True),
        ("acme==2.1.*", True),
        ("acme>2.1.1", False),
        ("acme~=1.0", False),
        ("acme-of-nowhere", False),
        ("acme-of-nowhere; python_version < '3'", True),
        ("acme>3; python_version >= '3'", False),
        ("acme>3; sys_platform == 'plan9'", True),
        ("acme[files]", True),
        ("acme[files]>3", False),
        ("acme[cloud]", False),
        ("acme[files,cloud]", False),
        ("acme[old]", True),
        ("acme[no-such-extra]", True),
        ("acme[around]", True),
    ],
)
def test_a_requirement_is_met_by_name_version_marker_and_extras(
    distribution: Distribution, requirement: str, met: bool
) -> None:
    distribution("acme", "2.1.1", (
        "acme-base",  # what it always needs, pip has seen to
        'acme-files; extra == "files"',
        'acme-files[fast]>=1; extra == "cloud"',
        'acme-relic; extra == "old" and python_version < "3"',
        'acme[files]; extra == "around"',
    ))  # fmt: skip
    distribution("acme-files", needs=('acme-turbo; extra == "fast"',))
    assert missing([requirement]) == ([] if met else [requirement])


def test_what_is_missing_keeps_its_order_and_its_words(distribution: Distribution) -> None:
    distribution("acme")
    assert missing(["zeta>=1", "acme", "acme_x[y]~=2.0"]) == ["zeta>=1", "acme_x[y]~=2.0"]
    assert missing([]) == []


def test_a_prerelease_that_is_installed_counts(distribution: Distribution) -> None:
    distribution("acme", "2.0rc1")
    assert missing(["acme>=1"]) == []


def test_extras_that_name_each_other_come_to_an_end(distribution: Distribution) -> None:
    distribution("acme", needs=('acme[b]; extra == "a"', 'acme[a]; extra == "b"'))
    assert missing(["acme[a]"]) == []


def test_the_command_installs_into_this_python_whatever_the_shell() -> None:
    command = install(["acme>=2,<3", "other[x]"])
    assert command == f"{sys.executable} -m pip install 'acme>=2,<3' 'other[x]'"
    echoed = subprocess.run(["sh", "-c", f"printf '%s\\n' {command}"], capture_output=True, text=True, check=True)
    assert echoed.stdout.splitlines()[-2:] == ["acme>=2,<3", "other[x]"]

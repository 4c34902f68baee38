"""Environments of sources' own: built once, shared by who wants the same, and none of anybody else's matter."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from dango import environments
from tests.conftest import Said

Write = Callable[[Mapping[str, str]], None]

# A package of the project itself: what is tested needs no network.
PACKAGE = """\
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "{name}"
version = "{version}"
"""
BACKEND = '''\
"""The least that builds a wheel: an environment of a test needs no other package."""
import base64, hashlib, os, zipfile

NAME, VERSION = "{name}", "{version}"


def build_wheel(folder, config_settings=None, metadata_directory=None):
    info = f"{{NAME}}-{{VERSION}}.dist-info"
    files = {{
        f"{{NAME}}.py": open(f"{{NAME}}.py").read(),
        f"{{info}}/METADATA": f"Metadata-Version: 2.1\\nName: {{NAME}}\\nVersion: {{VERSION}}\\n",
        f"{{info}}/WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }}
    entry = open("entry_points.txt").read() if os.path.exists("entry_points.txt") else ""
    if entry:
        files[f"{{info}}/entry_points.txt"] = entry
    record = "".join(f"{{name}},,\\n" for name in files) + f"{{info}}/RECORD,,\\n"
    name = f"{{NAME}}-{{VERSION}}-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in {{**files, f"{{info}}/RECORD": record}}.items():
            wheel.writestr(path, text)
    return name
'''
SOURCES = """\
version: 1
sources:
  - name: old
    type: dlt_native
    environment: {requirements: [./old]}
    dlt_native: {source_module: shop, source_function: rows}
  - name: new
    type: dlt_native
    environment: {requirements: [./new]}
    dlt_native: {source_module: shop, source_function: rows}
"""
SHOP = """\
def rows():
    import pricing

    yield {"id": 1, "version": pricing.VERSION, "python": __import__("sys").prefix}
"""


def package(folder: str, name: str, version: str, text: str) -> dict[str, str]:
    """The files of a package in a folder of the project."""
    return {
        f"{folder}/pyproject.toml": PACKAGE.format(name=name, version=version),
        f"{folder}/backend.py": BACKEND.format(name=name, version=version),
        f"{folder}/{name}.py": text,
    }


@pytest.fixture
def shop(write: Write) -> None:
    write({
        "sources": SOURCES,
        "custom_sources/shop.py": SHOP,
        **package("old", "pricing", "1.0", "VERSION = 1\n"),
        **package("new", "pricing", "2.0", "VERSION = 2\n"),
    })  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_sources_whose_requirements_contradict_each_other_are_synced_together(
    dango: Callable[..., Said], rows: Callable[[str], list[Any]], root: Path, write: Write
) -> None:
    said = dango("check")
    assert "its environment is not built yet" in said.out + said.err
    said = dango("sync", timeout=600)
    assert said.code == 0, said.err
    found = rows("select version, python from raw_old.rows union all select version, python from raw_new.rows")
    assert [version for version, _ in found] == [1, 2]
    assert all(python.startswith(str(root / ".dango" / "environments")) for _, python in found)

    listed = dango("env", "list", "--json").json["environments"]
    assert sorted(each["sources"] for each in listed) == [["new"], ["old"]]
    # What is there needs no network, nor any tool.
    offline = {"PATH": "/nowhere", "UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}
    assert dango("sync", env=offline).code == 0
    assert dango("check").code == 0

    write({"sources": SOURCES.replace("[./old]", "[./new]")})
    assert dango("env", "build", "old").code == 0
    gone = dango("env", "prune", "--json").json["removed"]
    assert [each["requirements"] for each in gone] == [["./old"]]
    assert len(dango("env", "list", "--json").json["environments"]) == 1


@pytest.mark.slow
def test_a_requirement_that_cannot_be_had_is_named_with_what_the_tool_says(
    dango: Callable[..., Said], write: Write, root: Path
) -> None:
    broken = package("broken", "pricing", "1.0", "")
    broken["broken/backend.py"] = "import sys; sys.exit('no compiler here')\n"
    write({
        "sources": SOURCES.replace("./old", "./broken").replace("./new", "./sound"),
        "custom_sources/shop.py": SHOP,
        **broken,
        **package("sound", "pricing", "2.0", "VERSION = 2\n"),
    })  # fmt: skip
    said = dango("sync", timeout=600)
    assert said.code == 3
    assert "no environment can be built with `./broken`" in said.err
    assert "no compiler here" in said.err
    assert ".dango/sources.yml:5:" in said.err
    assert "new: ok" in said.err
    assert [each["sources"] for each in dango("env", "list", "--json").json["environments"]] == [["new"]]


@pytest.mark.slow
def test_without_uv_pip_builds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, text in package("new", "pricing", "2.0", "VERSION = 2\n").items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(environments, "_beside_python", lambda name: None)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    asked = environments.Wanted(
        tmp_path / "built", (str(tmp_path / "new"),), "", ("./new",), (), of_worker=False
    )  # fmt: skip
    said: list[str] = []
    environments.build(asked, said.append)
    assert said == ["building an environment: ./new"]
    ask = "import pricing, importlib.util; print(pricing.VERSION, importlib.util.find_spec('dlt'))"
    assert subprocess.run([asked.interpreter, "-c", ask], capture_output=True, text=True).stdout == "2 None\n"
    environments.build(asked, said.append)
    assert len(said) == 1


@pytest.mark.parametrize(
    ("requirement", "says"),
    [
        ("--index-url=http://elsewhere", "is an option of a tool"),
        ("-e .", "is an option of a tool"),
        ("git+https://elsewhere/x", "is fetched from an address"),
        ("x @ https://elsewhere/x.whl", "is fetched from an address"),
        ("no requirement!", "is no requirement"),
        ("7", ""),
    ],
)
def test_what_is_no_name_of_a_package_is_refused_at_its_place(
    requirement: str, says: str, dango: Callable[..., Said], write: Write
) -> None:
    write({"sources": SOURCES.replace("[./old]", f'["{requirement}"]')})
    said = dango("check")
    if says:
        assert said.code == 2
        assert f".dango/sources.yml:5:34: `{requirement}` {says}" in said.out + said.err
    else:
        assert "is no requirement" not in said.out + said.err


def test_an_address_may_be_meant(dango: Callable[..., Said], write: Write) -> None:
    write({
        "sources": SOURCES.replace("[./old]", '["x @ https://elsewhere/x.whl"], allow_urls: true'),
        "custom_sources/shop.py": SHOP,
    })  # fmt: skip
    assert "is fetched from an address" not in dango("check").out


def test_a_python_that_is_not_there_is_told(dango: Callable[..., Said], write: Write) -> None:
    write({"sources": SOURCES.replace("[./old]", "[], python: /nowhere/python"), "custom_sources/shop.py": SHOP})
    said = dango("sync", "old", env={"PATH": os.environ["PATH"]})
    assert said.code == 2
    assert "/nowhere/python" in said.err


@pytest.mark.slow
@pytest.mark.usefixtures("shop")
def test_environments_and_state_may_stand_elsewhere_and_the_project_is_only_read(
    dango: Callable[..., Said], rows: Callable[[str], list[Any]], root: Path, tmp_path: Path
) -> None:
    elsewhere = {"DANGO_STATE": str(tmp_path / "work" / "state"), "DANGO_ENVIRONMENTS": str(tmp_path / "built")}
    said = dango("env", "build", "old", env=elsewhere)
    assert said.code == 0, said.err
    assert said.out.startswith(f"old: {tmp_path / 'built'}/")
    for _ in range(2):
        assert dango("sync", "old", env=elsewhere).code == 0
    assert "ok" in dango("status", env=elsewhere).out
    assert sorted(path.name for path in (root / ".dango").iterdir()) == ["sources.yml"]
    # A copy of the project, in which every file is younger, wants the same.
    for file in (root / "old").iterdir():
        file.touch()
    # Setuptools leaves it when it builds.
    (root / "old" / "build").mkdir()
    (root / "old" / "build" / "pricing.py").write_text("VERSION = 1\n")
    assert dango("sync", "old", env={**elsewhere, "PATH": "/nowhere", "UV_OFFLINE": "1", "PIP_NO_INDEX": "1"}).code == 0
    (root / "old" / "pricing.py").write_text("VERSION = 3\n")
    assert dango("sync", "old", env=elsewhere).code == 0
    assert rows("select version from raw_old.rows order by 1") == [(1,), (1,), (1,), (3,)]
    (tmp_path / "built" / "a file").touch()
    said = dango("sync", "new", env={**elsewhere, "DANGO_ENVIRONMENTS": str(tmp_path / "built" / "a file")})
    assert (said.code, "dango env build, where it can be" in said.err) == (2, True)

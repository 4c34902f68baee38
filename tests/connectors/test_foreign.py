"""Connectors that are classes, where their framework is not: nothing is downloaded, and people are told what lacks."""

from __future__ import annotations

from collections.abc import Callable

from tests.conftest import Said

SOURCES = """\
version: 1
sources:
  - {name: d, type: datahub, datahub: {connector: sqlalchemy}}
  - {name: o, type: openmetadata, openmetadata: {connector: custom_sources.mine.Mine}}
  - {name: v, type: vdk, vdk: {connector: shop}}
"""
PACKAGES = {"d": "acryl-datahub", "o": "openmetadata-ingestion", "v": "vdk-data-sources"}


def test_a_framework_that_is_not_installed_is_named_by_its_package(
    dango: Callable[..., Said], write: Callable[..., None]
) -> None:
    write({"sources": SOURCES, "custom_sources/mine.py": "from metadata.ingestion.api.steps import Source\n"})
    said = dango("sync")
    assert said.code == 1
    for package in PACKAGES.values():
        assert f"needs {package}, which is not in its environment" in said.err
    for asked, name in (("test", "v"), ("describe", "d")):
        said = dango("source", asked, name)
        assert said.code == 1
        assert f"needs {PACKAGES[name]}, which is not in its environment" in said.err

"""What goes to a node: of the project's files those that a list names, of its secrets those of one source."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dango import runner
from dango.cluster import bundle, places
from dango.cluster.entrusting import entrust
from dango.entrusted import Entrusted
from dango.errors import UsageError
from dango.project import Project
from dango.references import SecretNotFound

SOURCES = """\
version: 1
destination: lake
destinations:
  lake: {type: postgres, credentials: "env:LAKE"}
  pond: {type: postgres, credentials: "env:POND"}
sources:
  - name: shop
    type: dlt_native
    dlt_native: {source_module: shop, source_function: f, function_kwargs: {k: "env:SHOP_KEY"}}
  - name: crm
    type: dlt_native
    dlt_native: {source_module: crm, source_function: f, function_kwargs: {k: "env:CRM_KEY"}}
  - {name: crm_eu, extends: crm}
  - name: tap
    type: dlt_native
    environment: {requirements: [./taps/ours, "x==1"]}
    dlt_native: {source_module: tap, source_function: f}
"""
SECRETS = """\
shared = "of-all"
[sources.shop]
token = "of-shop"
[sources.crm]
token = "of-crm"
[sources.crm_eu]
region = "of-crm-eu"
[sources.some_module]
token = "of-a-module"
asked = "command:pass show"
[destination.lake.credentials]
password = "env:LAKE_PASSWORD"
[destination.pond.credentials]
password = "of-pond"
[crm.destination.credentials]
password = "of-crm-pipeline"
"""


@pytest.fixture
def project(root: Path, write: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> Project:
    write({
        "sources": SOURCES,
        ".dlt/secrets.toml": SECRETS,
        ".dlt/config.toml": "[load]\nworkers = 2\n",
        ".env": "SHOP_KEY=k1\nCRM_KEY=k2\nLAKE=l\nPOND=p\nSOURCES__CRM__PIN=1234\nFREE=for-any-code\n",
        ".dango/manifest.yaml": "a: 1\n",
        ".dango/tokens/shop.json": "{}",
        "custom_sources/shop.py": "def f(): ...\n",
        "custom_sources/deep/er.py": "",
        "custom_sources/.env": "HIDDEN=1",
        "custom_sources/secrets.toml": "hidden = 1",
        "custom_sources/__pycache__/shop.pyc": "",
        "registry/mine.yml": "id: mine\n",
        "taps/ours/pyproject.toml": "[project]\nname = 'ours'\n",
        "taps/other/pyproject.toml": "",
        "data/warehouse.duckdb": "rows",
        "notes/private.txt": "of mine",
        "README.md": "",
    })  # fmt: skip
    (root / "custom_sources/link.py").symlink_to(root / ".env")
    for name in ("SHOP_KEY", "CRM_KEY", "LAKE", "POND"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LAKE_PASSWORD", "of-lake")
    monkeypatch.setenv("UNRELATED_TOKEN", "of-this-machine")
    monkeypatch.setenv("SOURCES__SHOP__EXTRA", "of-shop-too")
    monkeypatch.setenv("SOURCES__CRM__EXTRA", "of-crm-too")
    return Project(root)


def _entrusted(project: Project, name: str) -> Entrusted:
    return entrust(project, project.job(project.source(name), "run"))


def test_the_files_of_a_list_travel_and_no_other(project: Project, tmp_path: Path) -> None:
    packed = bundle.bundle(project)
    assert packed == bundle.bundle(project)
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        assert sorted(archive.namelist()) == [
            ".dango/manifest.yaml", ".dango/sources.yml", ".dlt/config.toml", "custom_sources/deep/er.py",
            "custom_sources/shop.py", "registry/mine.yml", "taps/ours/pyproject.toml",
        ]  # fmt: skip
    bundle.unpack(packed, tmp_path / "there")
    assert Project.at(tmp_path / "there").config == project.config


def test_what_is_too_large_for_code_is_refused(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundle, "MOST", 10_000)
    (project.root / "custom_sources/model.bin").write_bytes(b"x" * 20_000)
    with pytest.raises(UsageError, match=r"larger than 0 MiB, with custom_sources/model\.bin"):
        bundle.bundle(project)


def test_a_source_gets_its_own_secrets_and_its_destinations(project: Project) -> None:
    given = _entrusted(project, "shop")
    assert given.secrets == {
        "shared": "of-all",
        "sources": {"shop": {"token": "of-shop"}, "some_module": {"token": "of-a-module"}},
        "destination": {"lake": {"credentials": {"password": "of-lake"}}},
    }
    assert {"SHOP_KEY": "k1", "LAKE": "l", "FREE": "for-any-code", "SOURCES__SHOP__EXTRA": "of-shop-too"}.items() <= (
        given.variables.items()
    )
    assert not {"CRM_KEY", "POND", "UNRELATED_TOKEN"} & given.variables.keys()
    assert "crm" not in repr(given.variables).lower() and "of-" not in repr(given)


def test_a_source_that_extends_another_gets_its_secrets_too(project: Project) -> None:
    given = _entrusted(project, "crm_eu")
    assert given.secrets["sources"].keys() == {"crm", "crm_eu", "some_module"}
    assert given.variables["CRM_KEY"] == "k2" and given.variables["SOURCES__CRM__EXTRA"] == "of-crm-too"
    assert "SHOP_KEY" not in given.variables


def test_a_reference_of_its_own_that_leads_nowhere_is_told_here(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("LAKE_PASSWORD")
    with pytest.raises(SecretNotFound, match="LAKE_PASSWORD"):
        _entrusted(project, "shop")


@pytest.mark.parametrize(
    ("destination", "said"),
    [
        ("{type: duckdb}", "a file of DuckDB's"),
        ("{type: filesystem, bucket_url: data/lake}", "the folder data/lake"),
        ("{type: filesystem, bucket_url: s3://lake}", ""),
        ("{type: filesystem, bucket_url: /mnt/lake}", ""),
        ("{type: filesystem, bucket_url: 'env:LAKE'}", ""),
        ("{type: sqlalchemy, credentials: 'sqlite:///x.db'}", "a file of SQLite's"),
        ("{type: sqlalchemy, credentials: 'mysql://x'}", ""),
        ("{type: ducklake}", "its catalog in a file"),
        ("{type: ducklake, credentials: {catalog: 'postgres://x'}}", "its files in a folder of the machine"),
        ("{type: ducklake, credentials: {catalog: 'postgres://x', storage: {bucket_url: lake}}}", "the folder lake"),
        ("{type: ducklake, credentials: {catalog: 'postgres://x', storage: {bucket_url: 's3://lake'}}}", ""),
        ("{type: ducklake, credentials: {catalog: 'postgres://x', storage: 'file:///mnt/lake'}}", ""),
        ("{type: postgres}", ""),
    ],
)
def test_a_destination_on_one_machine_is_refused(project: Project, destination: str, said: str) -> None:
    (project.root / ".dango/sources.yml").write_text(
        SOURCES.replace('{type: postgres, credentials: "env:LAKE"}', destination)
    )
    changed = Project(project.root)
    (job,) = runner.plan(changed, ["shop"], runner.Request())
    if not said:
        places.require_shared(changed, job)
        return
    with pytest.raises(UsageError, match=said) as refused:
        places.require_shared(changed, job)
    assert "no node has it" in refused.value.message and refused.value.hint

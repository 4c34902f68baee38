import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import dlt
import pytest

from custom_sources.installed_packages import installed_packages

Install = Callable[..., Path]


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a distribution that has only metadata; removing the folder uninstalls it."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(site)

    def install(metadata: str | bytes, folder: str = "demo-1.0.dist-info") -> Path:
        place = site / folder
        place.mkdir(exist_ok=True)
        content = metadata.encode() if isinstance(metadata, str) else metadata
        (place / "METADATA").write_bytes(content)
        importlib.invalidate_caches()
        return place

    return install


@pytest.fixture
def pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dlt.Pipeline]:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "ERROR")
    pipeline = dlt.pipeline(
        "installed_packages",
        destination=dlt.destinations.duckdb(str(tmp_path / "warehouse.duckdb")),
        dataset_name="raw_packages",
        pipelines_dir=str(tmp_path / "pipelines"),
    )
    yield pipeline
    pipeline.deactivate()


def load(pipeline: dlt.Pipeline) -> int:
    """Sync; the number of packages that this load brought."""
    pipeline.run(installed_packages())
    trace = pipeline.last_trace
    assert trace is not None and trace.last_normalize_info is not None
    return trace.last_normalize_info.row_counts.get("packages", 0)


def query(pipeline: dlt.Pipeline, sql: str) -> list[tuple[Any, ...]]:
    with pipeline.sql_client() as client:
        return [tuple(row) for row in client.execute_sql(sql) or []]


def loaded() -> dict[str, dict[str, Any]]:
    """What the source yields, without a pipeline."""
    rows = list(installed_packages())
    by_name = {row["name"]: row for row in rows}
    assert len(by_name) == len(rows)
    return by_name


def test_what_is_installed_here() -> None:
    packages = loaded()
    assert packages["dlt"]["version"] == dlt.__version__
    assert packages["dlt"]["license"] == "Apache-2.0"
    assert "duckdb" in {requirement["name"] for requirement in packages["dlt"]["requirements"]}


def test_a_package_in_full(install: Install) -> None:
    install("""\
Metadata-Version: 2.4
Name: My.Demo_Package
Version: 1.0
Summary: It shows.
License-Expression: MIT
Requires-Python: >=3.10
Project-URL: Source, https://example.org/source
Project-URL: Home-Page, https://example.org/
Requires-Dist: typing_extensions
Requires-Dist: Requests[socks,security]<3,>=2.26; extra == "web"
Requires-Dist: local @ https://example.org/local.whl
Requires-Dist: not a requirement
""")
    assert loaded()["my-demo-package"] == {
        "name": "my-demo-package",
        "version": "1.0",
        "license": "MIT",
        "summary": "It shows.",
        "requires_python": ">=3.10",
        "home_page": "https://example.org/",
        "requirements": [
            {
                "requirement": "typing_extensions",
                "name": "typing-extensions",
                "extras": None,
                "specifier": None,
                "marker": None,
            },
            {
                "requirement": 'Requests[socks,security]<3,>=2.26; extra == "web"',
                "name": "requests",
                "extras": "security, socks",
                "specifier": "<3,>=2.26",
                "marker": 'extra == "web"',
            },
            {
                "requirement": "local @ https://example.org/local.whl",
                "name": "local",
                "extras": None,
                "specifier": None,
                "marker": None,
            },
            {"requirement": "not a requirement"},
        ],
    }


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ("License-Expression: MIT OR 0BSD\nLicense: something else", "MIT OR 0BSD"),
        ("License: BSD\nClassifier: License :: OSI Approved :: MIT License", "BSD"),
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        (
            (
                "License: The MIT License\n        \n        Permission is hereby granted\n"
                "Classifier: License :: OSI Approved :: MIT License\n"
                "Classifier: License :: OSI Approved :: BSD License"
            ),
            "MIT License, BSD License",
        ),
        ("License: " + "Permission is hereby granted. " * 9, None),
        ("Classifier: Programming Language :: Python", None),
    ],
    ids=["expression", "short", "unknown", "whole text", "long line", "none"],
)
def test_the_license_is_a_name(install: Install, headers: str, expected: str | None) -> None:
    install(f"Name: demo\nVersion: 1.0\n{headers}\n")
    assert loaded()["demo"]["license"] == expected


def test_the_home_page_of_old_metadata(install: Install) -> None:
    install("Name: demo\nVersion: 1.0\nHome-page: https://example.org/\n")
    assert loaded()["demo"]["home_page"] == "https://example.org/"


def test_broken_metadata_is_left_out(install: Install) -> None:
    before = loaded()
    install("", "empty-1.0.dist-info")
    install("Name: nameless\n", "versionless-1.0.dist-info")
    install("Version: 1.0\n", "nameless-1.0.dist-info")
    install(b"Name: latin\nVersion: 1.0\nSummary: caf\xe9\n", "latin-1.0.dist-info")
    (install("", "missing-1.0.dist-info") / "METADATA").unlink()
    install("Name: sound\nVersion: 1.0\n", "sound-1.0.dist-info")
    assert loaded().keys() - before.keys() == {"sound"}


def test_of_two_with_one_name_the_first_counts(
    install: Install, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install("Name: Demo\nVersion: 1.0\n")
    other = tmp_path / "other" / "demo-2.0.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Name: demo\nVersion: 2.0\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(other.parent)])
    assert {found.version for found in distributions(name="demo")} == {"1.0", "2.0"}
    assert loaded()["demo"]["version"] == "1.0"


def test_only_changes_are_loaded_and_what_is_uninstalled_disappears(install: Install, pipeline: dlt.Pipeline) -> None:
    metadata = "Name: demo\nVersion: {}\nRequires-Dist: one\nRequires-Dist: two\n"
    keep = "Name: keep\nVersion: 1.0\nRequires-Dist: three\n"
    first = install(metadata.format("1.0"))
    install(keep, "keep-1.0.dist-info")
    requirements = """
        SELECT p.name, r.name FROM packages p JOIN packages__requirements r ON r._dlt_parent_id = p._dlt_id
        WHERE p.name IN ('demo', 'keep') ORDER BY ALL
    """
    others = "SELECT count(*) FROM packages WHERE name NOT IN ('demo', 'keep')"
    children = "SELECT count(*) FROM packages__requirements"
    orphans = f"{children} WHERE _dlt_parent_id NOT IN (SELECT _dlt_id FROM packages)"

    everything = load(pipeline)
    count = query(pipeline, others)
    assert everything == count[0][0] + 2
    with_demo = query(pipeline, children)[0][0]
    assert query(pipeline, requirements) == [("demo", "one"), ("demo", "two"), ("keep", "three")]

    assert load(pipeline) == 0
    assert query(pipeline, others) == count
    assert query(pipeline, children) == [(with_demo,)]

    shutil.rmtree(first)
    install(metadata.format("2.0") + "Requires-Dist: four\n", "demo-2.0.dist-info")
    assert load(pipeline) == 1
    assert query(pipeline, "SELECT version, uninstalled FROM packages WHERE name = 'demo'") == [("2.0", None)]
    assert query(pipeline, children) == [(with_demo + 1,)]

    shutil.rmtree(first.with_name("demo-2.0.dist-info"))
    importlib.invalidate_caches()
    assert load(pipeline) == 1
    assert query(pipeline, requirements) == [("keep", "three")]
    assert query(pipeline, others) == count
    assert query(pipeline, children) == [(with_demo - 2,)]
    assert query(pipeline, "SELECT count(*) FROM packages WHERE name = 'demo'") == [(0,)]
    assert load(pipeline) == 0

    install(metadata.format("1.0"))
    assert load(pipeline) == 1
    assert query(pipeline, requirements) == [("demo", "one"), ("demo", "two"), ("keep", "three")]
    assert query(pipeline, orphans) == [(0,)]


def test_an_edited_installation_of_the_same_version_is_a_change(install: Install, pipeline: dlt.Pipeline) -> None:
    install("Name: demo\nVersion: 1.0\n")
    load(pipeline)
    install("Name: demo\nVersion: 1.0\nRequires-Dist: new\n")
    assert load(pipeline) == 1


def test_a_load_cut_short_is_made_good(pipeline: dlt.Pipeline) -> None:
    everything = len(loaded())
    pipeline.run(installed_packages().add_limit(1))
    assert query(pipeline, "SELECT count(*) FROM packages") == [(1,)]
    assert load(pipeline) == everything

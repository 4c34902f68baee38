"""Lakes as destinations of a cluster: Delta and Iceberg tables in a folder of all nodes, DuckLake with a catalog in
PostgreSQL. By `make lakes`, which brings what each needs."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.cluster.running import Cluster
from tests.conftest import Said
from tests.postgres_server import Postgres

pytestmark = [pytest.mark.long, pytest.mark.postgres, pytest.mark.xdist_group("ray")]

SHOP = """
import dlt

def of(name, kind):
    def rows(at=dlt.sources.incremental("id", initial_value=1)):
        yield [{"id": n, "kind": kind, "what": f"item {n}"} for n in range(1, 101 + SOME)]
    return dlt.resource(rows, name=name, write_disposition=kind, primary_key="id", table_format=FORMAT)

@dlt.source
def shop(kind: str):
    return of("orders", kind), of("visits", kind)
"""


def require(*packages: str) -> None:
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"no {package} here: make lakes")


@pytest.fixture
def shops(write: Callable[..., None]) -> Callable[..., None]:
    """Writes two sources, one that appends and one that merges, with more and more rows."""

    def written(destination: str, table_format: str | None, more: int, secrets: str = "") -> None:
        blocks = "".join(
            f"  - {{name: {kind}s, type: dlt_native,"
            f" dlt_native: {{source_module: shop, source_function: shop, function_kwargs: {{kind: {kind}}}}}}}\n"
            for kind in ("append", "merge")
        )
        write({
            "sources": f"version: 1\ndestination: lake\ndestinations: {{lake: {destination}}}\nsources:\n{blocks}",
            "custom_sources/shop.py": SHOP.replace("SOME", str(more)).replace("FORMAT", repr(table_format)),
            ".dlt/secrets.toml": secrets,
        })  # fmt: skip

    return written


@pytest.mark.parametrize("table_format", ["delta", "iceberg"])
def test_tables_of_a_lake_in_a_folder_that_all_nodes_have(
    dango: Callable[..., Said], cluster: Cluster, shops: Callable[..., None], tmp_path: Path, table_format: str
) -> None:
    require("deltalake" if table_format == "delta" else "pyiceberg")
    lake = tmp_path / "lake"
    for more, rows in ((0, 100), (50, 50)):
        shops(f"{{type: filesystem, bucket_url: 'file://{lake}'}}", table_format, more)
        said = dango("sync", "--on", "auto", "--json", env=cluster.env)
        assert said.code == 0, said.out + said.err
        assert [each["rows"] for each in said.json["results"]] == [2 * rows, 2 * rows]
    for kind in ("append", "merge"):
        for table in ("orders", "visits"):
            assert held(lake / f"raw_{kind}s" / table, table_format) == [*range(1, 151)]


def held(table: Path, table_format: str) -> list[int]:
    """The ids of a table, as the format's own library reads them."""
    if table_format == "delta":
        from deltalake import DeltaTable

        return sorted(DeltaTable(str(table)).to_pyarrow_table()["id"].to_pylist())
    from pyiceberg.table import StaticTable

    newest = max((table / "metadata").glob("*.metadata.json"), key=lambda path: path.stat().st_mtime)
    return sorted(StaticTable.from_metadata(str(newest)).scan().to_arrow()["id"].to_pylist())


def test_a_ducklake_whose_catalog_is_in_postgres(
    dango: Callable[..., Said], cluster: Cluster, shops: Callable[..., None], tmp_path: Path, postgres: Postgres
) -> None:
    require("duckdb_extensions", "duckdb_extension_ducklake", "duckdb_extension_postgres_scanner")
    install = "from duckdb_extensions import import_extension as add; add('ducklake'); add('postgres_scanner')"
    for home in (str(cluster.home), os.environ["HOME"]):
        # Where DuckDB looks for what it would download on a machine with a network.
        subprocess.run([sys.executable, "-c", install], env={**os.environ, "HOME": home}, check=True)
    for more, rows in ((0, 100), (50, 50)):
        secrets = (
            "[destination.lake.credentials]\n"
            f'ducklake_name = "lake"\ncatalog = "{postgres.url}"\n'
            f'[destination.lake.credentials.storage]\nbucket_url = "file://{tmp_path}/lake/"\n'
        )
        shops("{type: ducklake}", None, more, secrets)
        said = dango("sync", "--on", "auto", "--json", env=cluster.env)
        assert said.code == 0, said.out + said.err
        assert [each["rows"] for each in said.json["results"]] == [2 * rows, 2 * rows]
    with duckdb.connect() as database:
        for extension in ("ducklake", "postgres_scanner"):
            database.load_extension(extension)
        database.execute(f"ATTACH 'ducklake:postgres:{postgres.url}' AS lake (METADATA_SCHEMA 'lake')")
        for kind in ("append", "merge"):
            for table in ("orders", "visits"):
                count = f"SELECT count(*), count(DISTINCT id) FROM lake.raw_{kind}s.{table}"
                assert database.execute(count).fetchone() == (150, 150)

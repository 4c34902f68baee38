"""The table: what is measured, against what, with how many rows, and what must be reached."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import changes, everyday, loads, scale, worlds
from bench.bench import Bench
from bench.loads import TENTH
from bench.measure import Contest, Target

MIB = 1024**2


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the table. `contest` makes data and projects, and says what is to be run."""

    name: str
    title: str
    rows: int
    """How many rows, documents, runs or syncs: what `--rows` and `--scale` change."""
    targets: tuple[Target, ...]
    contest: Callable[[Bench, int], Contest]
    rounds: int = 3
    growth: int = 0
    """The most rows for its growth curve; 0: it has none."""


def _at_most(bound: float) -> Target:
    return Target("ratio", bound)


_MEMORY = (Target("ratio", 1.3, "rss", TENTH), Target("value", 600 * MIB, "rss"))
_M = 1_000_000

JOBS: tuple[Job, ...] = (
    Job("postgres_duckdb", "PostgreSQL → DuckDB, 16 columns",
        5 * _M, (_at_most(1.3), *_MEMORY), loads.from_database, growth=20 * _M),
    Job("postgres_small", "PostgreSQL → DuckDB, few enough rows for all others",
        100_000, (), loads.from_database),
    Job("csv_duckdb", "CSV → DuckDB, 16 columns",
        5 * _M, (_at_most(1.6), *_MEMORY), loads.from_files("csv"), growth=20 * _M),
    Job("jsonl_duckdb", "JSONL → DuckDB, 16 columns",
        5 * _M, (_at_most(1.6), *_MEMORY), loads.from_files("jsonl"), growth=20 * _M),
    Job("parquet_duckdb", "Parquet → DuckDB, 16 columns",
        5 * _M, (_at_most(1.6), *_MEMORY), loads.from_files("parquet"), growth=20 * _M),
    Job("csv_postgres", "CSV → PostgreSQL, 16 columns",
        5 * _M, (_at_most(1.6), *_MEMORY), loads.into_postgres, growth=5 * _M),
    Job("nested_duckdb", "nested JSONL → parent and child tables in DuckDB",
        _M, (_at_most(2.0), *_MEMORY), loads.nested, growth=5 * _M),
    Job("dicts_flat", "dicts of 10 columns from a custom source",
        _M, (Target("speedup", 3.5, "cpu"),), loads.dicts("flat"), growth=5 * _M),
    Job("dicts_flat_default", "dicts of 10 columns, against dlt's default",
        500_000, (Target("speedup", 20, "cpu"),), loads.dicts("flat", ""), rounds=1),
    Job("dicts_nested", "dicts with an object and a child list",
        300_000, (Target("speedup", 3.0, "cpu"),), loads.dicts("documents")),
    Job("tap", "a Singer tap of 10 columns, against dlt's default with dicts",
        500_000, (Target("speedup", 15, "cpu"),), loads.tap, rounds=1),
    Job("tap_small", "a small Singer tap, synced again, against the tap alone",
        100, (Target("difference", 1.5),), loads.tap_small, rounds=9),
    Job("dicts_memory", "dicts of 10 columns: memory against a tenth",
        5 * _M, (Target("ratio", 1.3, "rss"), _MEMORY[1]), loads.dicts_memory, rounds=1),
    Job("eight_tables", "8 tables of PostgreSQL side by side, so many rows each",
        50_000, (_at_most(0.6),), loads.side_by_side),
    Job("eight_dicts", "8 sources of dicts side by side, so many rows each",
        50_000, (_at_most(0.6),), loads.side_by_side_dicts),
    Job("merge_duckdb", "10,000 changed rows merged into so many, DuckDB",
        5 * _M, (_at_most(1.5), Target("ratio", 1.2, against=TENTH), *_MEMORY), changes.merge("duckdb")),
    Job("merge_postgres", "10,000 changed rows merged into so many, PostgreSQL",
        5 * _M, (_at_most(1.5), Target("ratio", 1.2, against=TENTH), *_MEMORY), changes.merge("postgres")),
    Job("full_refresh", "full refresh of a Parquet file, against its first load",
        5 * _M, (_at_most(1.5), _MEMORY[1]), changes.full_refresh),
    Job("nothing_new", "nothing new, against a minimal dlt script",
        10_000, (_at_most(0.9),), changes.nothing_new, rounds=9),
    Job("many_sources", "200 sources with nothing new, `--jobs 2`",
        100, (_at_most(1.1),), changes.many_sources(200, 2)),
    Job("thousand_sources", "1,000 sources with nothing new, `--jobs 4`",
        10, (), changes.many_sources(1000, 4), rounds=1),
    Job("status", "`status` with 200 sources and 10,000 runs",
        10_000, (Target("difference", 0.3),), everyday.reading("status"), rounds=9),
    Job("check", "`check` with 200 sources and 10,000 runs",
        10_000, (Target("difference", 0.3),), everyday.reading("check"), rounds=5),
    Job("source_list", "`source list` with 200 sources and 10,000 runs",
        10_000, (Target("difference", 0.3),), everyday.reading("source", "list"), rounds=9),
    Job("help", "`dango --help`, against a typer program of one command",
        0, (_at_most(1.3),), everyday.help_page, rounds=15),
    Job("folder_growth", "`.dango/` after 100 syncs, against 10",
        100, (Target("ratio", 1.1, "size"),), everyday.folder_growth, rounds=1),
    Job("cluster", "64 sources of dicts on a Ray cluster of 2 processors, against `--jobs 2`, so many rows each",
        50_000, (_at_most(1.25),), scale.sources, rounds=3),
    Job("cluster_task", "200 sources of few rows there: what a task costs, against `--jobs 2`",
        10, (Target("difference", 0.15),), scale.overhead, rounds=2),
    Job("thousand_cluster", "1,000 sources with nothing new on 4 workers of a Ray cluster, against `--jobs 4`",
        10, (), scale.nothing_new, rounds=1),
    Job("parts", "PostgreSQL → DuckDB in 16 ranges of a key, against one job",
        10_000_000, (_at_most(1.0),), scale.parts, rounds=1),
    Job("resources", "a source of 8 resources of dicts with `split: resources`, against one job, so many rows each",
        200_000, (_at_most(1.0),), scale.resources, rounds=3),
    *(Job(world.job, f"{world.name}: {world.connector}, {world.unit}", world.rows, (), world.contest)
      for world in worlds.WORLDS),
)  # fmt: skip

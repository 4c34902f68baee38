"""The bench itself: it measures, it finds wrong results, it tells what it found. How fast dango is, no test says."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from bench import report, truth
from bench.bench import Bench, opened
from bench.data import LINEITEM, Data
from bench.jobs import JOBS, Job
from bench.loads import from_files
from bench.measure import BenchError, Command, Contest, Contestant, Target, interleaved, run
from bench.plots import Line, Plot
from bench.results import LATEST, Entry, Results, read, verdicts
from tests.postgres_server import Postgres

PYTHON = sys.executable
ROOT = Path(__file__).parents[1]
TABLE = {
    "postgres_duckdb", "csv_duckdb", "jsonl_duckdb", "parquet_duckdb", "csv_postgres", "nested_duckdb", "dicts_flat",
    "dicts_flat_default", "dicts_nested", "dicts_memory", "tap", "tap_small", "eight_tables", "eight_dicts",
    "cluster", "cluster_task", "parts", "resources", "merge_duckdb", "merge_postgres", "full_refresh", "nothing_new",
    "many_sources", "status", "check", "source_list", "help", "folder_growth",
}  # fmt: skip


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with opened(tmp_path / "bench", peers=False) as bench:
        yield bench


def bench_command(*words: str | Path) -> str:
    done = subprocess.run([PYTHON, "-m", "bench", *words], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def entry(**walls: float) -> Entry:
    taken = {
        name: [{"wall": wall, "cpu": wall, "rss": 2.0**20, "tree": 2.0**20, "load": 0.5}]
        for name, wall in walls.items()
    }
    return Entry(1000, "2026-01-01", {name: f"the {name}" for name in walls}, taken, {"slowpoke": "not | installed"})


def test_a_job_is_measured_kept_and_reported_by_the_commands(tmp_path: Path) -> None:
    kept, docs = tmp_path / "kept.json", tmp_path / "docs"
    said = bench_command(
        "run", "dicts_flat", "--rows", "2000", "--rounds", "1", "--no-peers", "--data", tmp_path / "data", "--out", kept
    )
    assert "dicts_flat: dicts of 10 columns from a custom source, 2,000" in said and "≥ 3.5× CPU" in said
    measured = read(kept).jobs["dicts_flat"]
    assert measured.rows == 2000 and set(measured.samples) == {"reference", "dango"}
    for (sample,) in measured.samples.values():
        assert sample["cpu"] > 0 and sample["wall"] > 0 and sample["rss"] > 20 * 2**20
    # Nothing is left but the data.
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["data"]

    bench_command("report", "--from", kept, "--folder", docs)
    page = (docs / "PERFORMANCE.md").read_text()
    assert "| dicts of 10 columns from a custom source | 2,000" in page and "| dlt with Parquet files |" in page
    assert "Not measured: PostgreSQL → DuckDB" in page and str(tmp_path) not in page


@pytest.mark.parametrize(
    ("spoiled", "complaint"),
    [
        (lambda lines: lines[:-1], "has 99 rows, 100 are right"),
        (lambda lines: [*lines[:-1], lines[-1].replace(",", ",7", 1)], "not the right values"),
    ],
    ids=["a row less", "another value"],
)
def test_a_wrong_result_fails_the_bench(
    bench: Bench, spoiled: Callable[[list[str]], list[str]], complaint: str
) -> None:
    file = bench.data.file(LINEITEM, 100, "csv")
    lines = file.read_text().splitlines()
    file.write_text("\n".join(spoiled(lines)) + "\n")
    with pytest.raises(BenchError, match=complaint):
        interleaved(from_files("csv")(bench, 100), 1, lambda line: None)


def test_the_order_of_rows_does_not_change_the_checksum_and_a_swap_of_values_does() -> None:
    with duckdb.connect() as database:
        database.execute("CREATE TABLE a AS SELECT * FROM (VALUES (1, 'x'), (2, 'y')) AS t (n, s)")
        database.execute("CREATE TABLE b AS SELECT * FROM (VALUES (2.0, 'y'), (1.0, 'x')) AS t (n, s)")
        database.execute("CREATE TABLE c AS SELECT * FROM (VALUES (1, 'y'), (2, 'x')) AS t (n, s)")
        database.execute("CREATE TABLE d AS SELECT * FROM (VALUES (1, 'x'), (2, NULL)) AS t (n, s)")
        a, b, c, d = (truth.held(database, name, {"n": "int", "s": "text"}) for name in "abcd")
    assert a == b and len({a.checksum, c.checksum, d.checksum}) == 3


def test_postgres_and_duckdb_count_alike(postgres: Postgres, tmp_path: Path) -> None:
    data = Data(tmp_path)
    name = data.in_postgres(postgres, LINEITEM, 500)
    assert truth.of_postgres(postgres, name, LINEITEM.kinds) == data.content(LINEITEM, 500)


def test_a_command_is_measured_with_its_children(tmp_path: Path) -> None:
    child = "held = bytearray(150 << 20)\nfor i in range(3_000_000): pass"
    (tmp_path / "child.py").write_text(child)
    parent = f"import subprocess; subprocess.run([{PYTHON!r}, 'child.py'], check=True); print('done')"
    sample, said = run(Command((PYTHON, "-c", parent), tmp_path))
    assert said == "done\n"
    assert sample["rss"] > 150 * 2**20 and sample["cpu"] > 0.05 and sample["wall"] > 0.05
    # What the measuring process holds itself is not counted.
    held = bytearray(200 << 20)
    small, _ = run(Command((PYTHON, "-c", "pass"), tmp_path))
    assert small["rss"] < 100 * 2**20, len(held)


def test_a_command_that_fails_is_told_with_its_words_and_its_exit_code(tmp_path: Path) -> None:
    with pytest.raises(BenchError, match=r"(?s)ended with 3.*no such thing") as failed:
        run(Command((PYTHON, "-c", "import sys; print('no such thing'); sys.exit(3)"), tmp_path))
    assert failed.value.code == 3


def test_a_peer_that_fails_is_left_out_and_why_is_kept_without_its_words(tmp_path: Path) -> None:
    fine = Contestant("fine", Command((PYTHON, "-c", "pass"), tmp_path))
    words = (PYTHON, "-c", "raise SystemExit('postgresql://me:secret@db')")
    peer = Contestant("peer 1.2", Command(words, tmp_path), peer=True)
    outcome = interleaved(Contest({"reference": fine, "dango": fine, "peer": peer}), 2, lambda line: None)
    assert len(outcome.samples["dango"]) == 2 and "peer" not in outcome.samples
    assert "ended with 1" in outcome.skipped["peer 1.2"] and "secret" not in outcome.skipped["peer 1.2"]


def test_a_peer_that_is_far_behind_runs_once(tmp_path: Path) -> None:
    quick = Contestant("quick", Command(("true",), tmp_path))
    slow = Contestant("slow", Command(("sleep", "0.3"), tmp_path), peer=True)
    outcome = interleaved(Contest({"reference": quick, "dango": quick, "peer": slow}), 3, lambda line: None)
    assert {name: len(samples) for name, samples in outcome.samples.items()} == {"reference": 3, "dango": 3, "peer": 1}


def test_every_row_of_the_table_has_its_job_and_its_target() -> None:
    jobs = {job.name: job for job in JOBS}
    assert len(jobs) == len(JOBS)
    assert {name for name, job in jobs.items() if job.targets} == TABLE


@pytest.mark.parametrize(
    ("target", "dango", "other", "reached", "met"),
    [
        (Target("ratio", 1.3), 1.2, 1.0, 1.2, True),
        (Target("ratio", 1.3), 1.4, 1.0, 1.4, False),
        (Target("speedup", 3.5), 1.0, 4.0, 4.0, True),
        (Target("speedup", 3.5), 1.0, 3.0, 3.0, False),
        (Target("difference", 0.3), 0.75, 0.5, 0.25, True),
        (Target("value", 600.0), 601.0, 9.0, 601.0, False),
    ],
)
def test_a_target_is_met_or_missed(target: Target, dango: float, other: float, reached: float, met: bool) -> None:
    assert target.reached(dango, other) == reached
    assert target.met(reached) is met


def test_the_report_tells_what_is_met_missed_left_out_and_not_measured() -> None:
    by_name = {job.name: job for job in JOBS}
    measured = {
        "help": entry(reference=1.0, dango=1.2),
        "csv_postgres": entry(reference=1.0, dango=2.0, sling=9.0),
        "eight_dicts": Entry(50_000, "2026-01-01", reason="--jobs is not known"),
    }
    page = report.page(Results({"processor": "a fast one"}, measured), ["csv_wall"])
    assert "1.20× | ≤ 1.3× | ✓" in page and "2.00× | ≤ 1.6× | ✗" in page
    assert f"- {by_name['csv_postgres'].title}: 2.00×, the target is ≤ 1.6×." in page
    assert "the sling | 9.00" in page and "4.5×" in page and "not / installed" in page
    assert "not measured: --jobs is not known" in page and "a fast one" in page and "plots/csv_wall.svg" in page
    assert "$" not in page.replace("$PATH", "")


def test_connectors_of_other_frameworks_are_told_beside_their_own_way_and_those_that_were_not_measured() -> None:
    own = entry(reference=4.0, dango=3.0)
    measured = {"world_vdk": own, "world_airbyte": Entry(1000, "2026-01-01", reason="no packages")}
    told = report.speeds(Results({"processor": "a fast one"}, measured))
    assert "1,000 records | the reference | 4.00 | 3.00 | 0.75× | 4.00 | 3.00 | 0.75× |" in told
    assert "not measured: no packages" in told and "not measured yet" in told and "2026-01-01 on: a fast one" in told
    assert {line.count("|") for line in told.splitlines() if line.startswith("|")} == {11}
    # They have a table of their own, and no target.
    assert "VDK" not in report.page(Results({}, measured), [])


@pytest.mark.slow
def test_a_connector_is_measured_beside_its_own_way_in_environments_that_stay(tmp_path: Path) -> None:
    kept, data = tmp_path / "kept.json", tmp_path / "data"
    said = bench_command("run", "world_singer", "--rows", "200", "--rounds", "1", "--data", data, "--out", kept)
    assert "Singer: tap-jsonl" in said
    measured = read(kept).jobs["world_singer"]
    assert set(measured.samples) == {"reference", "dango"} and measured.rows == 200
    assert len([path for path in (data / "data" / "environments").iterdir() if path.is_dir()]) == 2
    assert str(tmp_path) not in kept.read_text()


def test_the_page_in_docs_is_what_was_measured_last(tmp_path: Path) -> None:
    for file in report.write(read(LATEST), tmp_path):
        written = ROOT / "docs" / file.relative_to(tmp_path)
        assert written.read_text() == file.read_text(), "make bench-report"


def test_a_figure_of_a_busy_machine_is_marked() -> None:
    quiet, busy = entry(reference=1.0, dango=1.0), entry(reference=1.0, dango=1.0)
    busy.samples["dango"][0]["load"] = 9.0
    page = report.page(Results({"cores": "2"}, {"csv_postgres": quiet, "csv_duckdb": busy}), [])
    assert "| CSV → DuckDB, 16 columns | 1,000† |" in page and "| CSV → PostgreSQL, 16 columns | 1,000 |" in page


def test_what_was_not_measured_has_no_verdict() -> None:
    job = Job("x", "x", 1, (Target("ratio", 1.0), Target("ratio", 1.2, against="tenth")), from_files("csv"))
    assert [verdict.target.against for verdict in verdicts(job, entry(reference=1.0, dango=1.0))] == ["reference"]


def test_growth_becomes_curves_of_time_and_memory(tmp_path: Path) -> None:
    grown = [replace(entry(reference=1.0 * n, dango=1.1 * n), rows=1000 * n) for n in (1, 10)]
    files = report.write(Results({}, growth={"csv_duckdb": grown, "jsonl_duckdb": grown[:1]}), tmp_path)
    names = ["CONNECTORS.md", "csv_duckdb_time.svg", "csv_duckdb_memory.svg", "PERFORMANCE.md"]
    assert [file.name for file in files] == names
    assert "plots/csv_duckdb_time.svg" in files[-1].read_text()


def test_a_plot_is_a_picture() -> None:
    lines = [Line("psql & DuckDB", [(1e4, 0.5), (1e6, 2.0), (2e7, 31.0)]), Line("dango", [(1e4, 1.5), (2e7, 40.0)])]
    picture = ET.fromstring(Plot("seconds", "rows", lines).svg())
    texts = [element.text for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"psql & DuckDB", "dango", "10k", "100M"} <= set(texts)


def test_results_come_back_as_they_were_kept(tmp_path: Path) -> None:
    kept = Results({"cores": "2"}, {"help": entry(reference=1.0, dango=1.25)}, {"csv_duckdb": [entry(dango=2.0)]})
    kept.save(tmp_path / "results" / "kept.json")
    assert read(tmp_path / "results" / "kept.json") == kept

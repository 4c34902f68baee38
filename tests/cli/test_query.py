"""`dango query`: what it shows, in which form, what it refuses and why."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest

from dango.load.access import lock_file
from dango.lock import lock
from tests.conftest import Said, native, sources
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

SHOP = """\
CREATE SCHEMA raw_shop;
CREATE TABLE raw_shop.orders AS SELECT i AS id, 'n' || i AS name, (i * 1.5)::DECIMAL(18, 2) AS price,
    TIMESTAMPTZ '2024-01-01 12:00:00+02' + INTERVAL (i) DAY AS since FROM range(5) AS r(i);
"""


@pytest.fixture
def shop(root: Path, write: Write) -> Path:
    """A project whose DuckDB file holds five orders, as if a sync had loaded them."""
    write({"sources": sources(native("shop"))})
    file = root / "data" / "warehouse.duckdb"
    file.parent.mkdir()
    with duckdb.connect(str(file)) as database:
        database.execute(SHOP)
    return file


# --- forms --------------------------------------------------------------------------------------------


def test_rows_are_a_table_csv_or_one_json_document(shop: Path, dango: Dango) -> None:
    statement = "SELECT id, name, price, since FROM raw_shop.orders ORDER BY id LIMIT 2"
    assert dango("query", statement).out.splitlines() == [
        "id  name  price  since                    ",
        " 0  n0     0.00  2024-01-01 10:00:00+00:00",
        " 1  n1     1.50  2024-01-02 10:00:00+00:00",
    ]
    assert dango("query", statement, "--format", "csv").out == (
        "id,name,price,since\n0,n0,0.00,2024-01-01 10:00:00+00:00\n1,n1,1.50,2024-01-02 10:00:00+00:00\n"
    )
    said = dango("query", statement, "--json")
    assert (said.code, said.err) == (0, "")
    assert said.json["columns"][2] == {"name": "price", "type": "DECIMAL(18,2)"}
    assert said.json["rows"][1] == {"id": 1, "name": "n1", "price": 1.5, "since": "2024-01-02T10:00:00+00:00"}
    assert dango("query", statement, "--format", "json").out == said.out


def test_no_value_is_lost_or_mistaken_for_another(shop: Path, dango: Dango) -> None:
    statement = """SELECT 1 AS a, 2 AS a, NULL AS n, '' AS empty, 'say "hi", you' || chr(10) AS said, true AS yes,
        'nan'::DOUBLE AS nan, 12345678901234567890.12::DECIMAL(22, 2) AS large, [1, NULL] AS list, {'k': 'é'} AS struct,
        '{"a": [1.10]}'::JSON AS doc, '\\xAB'::BLOB AS raw, DATE '2024-02-29' AS day, TIME '01:02:03' AS hour"""
    out = dango("query", statement, "--format", "csv").out
    header, row = csv.reader(out.splitlines(keepends=True))
    assert header[:3] == ["a", "a", "n"]
    assert row == [
        "1", "2", "", "", 'say "hi", you\n', "true", "nan", "12345678901234567890.12", "[1, null]",
        '{"k": "\\u00e9"}', '{"a": [1.10]}', "\\xab", "2024-02-29", "01:02:03",
    ]  # fmt: skip
    assert ',,"",' in out  # NULL and the empty text differ
    said = dango("query", statement, "--json")
    assert json.loads(said.out, parse_float=str)["rows"] == [
        {
            "a": 1, "a_1": 2, "n": None, "empty": "", "said": 'say "hi", you\n', "yes": True, "nan": "nan",
            "large": "12345678901234567890.12", "list": [1, None], "struct": {"k": "é"}, "doc": {"a": ["1.10"]},
            "raw": "\\xab", "day": "2024-02-29", "hour": "01:02:03",
        }
    ]  # fmt: skip
    table = dango("query", "SELECT NULL AS n, '' AS empty, chr(27) || '[2J' || chr(10) || 'x' AS said, [1] AS l").out
    assert "\x1b" not in table
    assert "NULL" in table


def test_a_table_shows_so_many_rows_and_says_how_many_follow(shop: Path, dango: Dango) -> None:
    said = dango("query", "SELECT * FROM range(2500)")
    assert len(said.out.splitlines()) == 1001
    assert "1,500 further rows are not shown" in said.err
    said = dango("query", "SELECT * FROM raw_shop.orders", "--limit", "4")
    assert (len(said.out.splitlines()), "1 further row is not shown" in said.err) == (5, True)
    assert len(dango("query", "SELECT * FROM range(2500)", "--format", "csv").out.splitlines()) == 2501
    assert len(dango("query", "SELECT * FROM range(2500)", "--json", "--limit", "7").json["rows"]) == 7
    assert dango("query", "SELECT * FROM raw_shop.orders WHERE false").out.split() == ["id", "name", "price", "since"]
    assert dango("query", "SELECT 1 WHERE false", "--json").json["rows"] == []
    assert dango("query", "SELECT 1", "--limit", "0").code == 2


def test_nobody_waits_for_ever_to_hear_how_many_rows_follow(shop: Path, dango: Dango) -> None:
    said = dango("query", "SELECT * FROM range(1_000_000_000_000)", timeout=60)
    assert (said.code, "further rows are not shown" in said.err) == (0, True)
    assert "note: more than " in said.err


def test_the_statement_comes_as_an_argument_from_stdin_or_from_a_file(shop: Path, root: Path, dango: Dango) -> None:
    (root / "q.sql").write_text("-- how many\nSELECT count(*) AS orders\nFROM raw_shop.orders;\n")
    assert dango("query", "--file", "q.sql", "--format", "csv").out == "orders\n5\n"
    done = subprocess.run(
        [sys.executable, "-m", "dango", "query", "-", "--format", "csv"], cwd=root, input="SELECT 'é' AS e\n",
        capture_output=True, text=True, timeout=60, encoding="utf-8",
    )  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, "e\né\n", "")
    for wrong in ([], ["SELECT 1", "--file", "q.sql"], ["--file", "no.sql"], ["SELECT 1", "--format", "yaml"]):
        said = dango("query", *wrong)
        assert (said.code, said.out) == (2, ""), wrong
    (root / "latin.sql").write_bytes(b"SELECT '\xe9'")
    assert "latin.sql is not UTF-8" in dango("query", "--file", "latin.sql").err
    assert dango("query", "SELECT 1", "--json", "--format", "csv").code == 2


def test_what_is_wide_is_shown_row_by_row_on_a_terminal(shop: Path, root: Path) -> None:
    columns = ", ".join(f"'value {n}' AS column_{n}" for n in range(20))
    out = on_a_terminal(root, f"SELECT {columns}, NULL AS last FROM range(2)", columns=60)
    assert [line for line in out if line.startswith("row ")] == ["row 1", "row 2"]
    assert "  column_19  value 19" in out
    assert "  last       NULL" in out
    assert all(len(line) <= 60 for line in out)
    long = on_a_terminal(root, "SELECT 'a' || repeat('b', 500) AS long, 7 AS n", columns=60)
    assert long == ["long" + " " * 55 + "n", "a" + "b" * 55 + "…  7"]


def test_a_plan_keeps_its_lines(shop: Path, dango: Dango) -> None:
    out = dango("query", "EXPLAIN SELECT 1").out
    assert len([line for line in out.splitlines() if line.startswith(("│", "╭", "┌", "└", "╰"))]) > 4


def on_a_terminal(root: Path, statement: str, columns: int) -> list[str]:
    import pexpect

    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    child = pexpect.spawn(
        sys.executable, ["-m", "dango", "query", statement], cwd=str(root), env=environment,
        encoding="utf-8", dimensions=(50, columns), timeout=60,
    )  # fmt: skip
    out = child.read()
    child.close()
    assert child.exitstatus == 0, out
    lines = (re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip("\r") for line in out.split("\n"))
    return [line for line in lines if line.strip()]


# --- pipes and memory ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["csv", "json", "table"])
def test_a_reader_that_has_seen_enough_ends_it_without_a_word(form: str, shop: Path, root: Path) -> None:
    statement = "SELECT range AS id, repeat('x', 100) AS x FROM range(10_000)"
    limit = ["--limit", "10000"] if form == "table" else []
    process = subprocess.Popen(
        [sys.executable, "-m", "dango", "query", statement, "--format", form, *limit], cwd=root,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout and process.stderr
    assert process.stdout.readline()
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(60), said) == (0, b"")


PEAK = """\
import resource, sys
sys.argv = ["dango", "query", sys.argv[1], "--format", sys.argv[2]]
try:
    from dango.cli import main
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, file=sys.stderr)
"""


@pytest.mark.slow
@pytest.mark.parametrize("form", ["csv", "json"])
def test_a_large_answer_takes_no_more_memory_than_a_small_one(form: str, shop: Path, root: Path) -> None:
    peaks = []
    for rows in (10_000, 1_000_000):
        statement = f"SELECT range AS id, repeat('x', 200) AS x FROM range({rows})"
        done = subprocess.run(
            [sys.executable, "-c", PEAK, statement, form], cwd=root, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=300, text=True, check=True,
        )  # fmt: skip
        peaks.append(int(done.stderr.split()[-1]))
    # All rows at once are 200 MB, and as Python's values more.
    assert peaks[1] < peaks[0] + 60, peaks


def test_ctrl_c_ends_a_statement_that_never_would(shop: Path, root: Path) -> None:
    statement = "SELECT count(*) FROM range(10_000_000_000) a, range(1_000_000) b WHERE a.range * b.range % 7 = 6"
    process = subprocess.Popen(
        [sys.executable, "-m", "dango", "query", statement], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    try:
        out, said = process.communicate(timeout=10)
    finally:
        process.kill()
    assert (process.returncode, out, said) == (130, b"", b"stopped\n")


# --- only reading -------------------------------------------------------------------------------------


def test_what_writes_is_refused_and_files_are_opened_only_when_allowed(shop: Path, root: Path, dango: Dango) -> None:
    (root / "more.csv").write_text("id,name\n7,seven\n")
    said = dango("query", "DROP TABLE raw_shop.orders")
    assert (said.code, said.out, "read-only mode" in said.err) == (2, "", True)
    refused = dango("query", "SELECT name FROM read_csv('more.csv')")
    assert (refused.code, "--allow-files" in refused.err) == (2, True)
    allowed = dango("query", "SELECT name FROM 'more.csv'", "--allow-files", "--format", "csv")
    assert allowed.out == "name\nseven\n"


# --- what goes wrong ----------------------------------------------------------------------------------


def test_a_mistake_is_told_in_duckdbs_words_with_its_place(shop: Path, dango: Dango) -> None:
    said = dango("query", "SELECT id\nFROM raw_shop.order")
    assert (said.code, said.out) == (2, "")
    first, *rest = said.err.splitlines()
    assert first == "error: Catalog Error: Table with name order does not exist!" or "syntax error" in first
    assert "LINE 2: FROM raw_shop.order" in rest
    assert rest[rest.index("LINE 2: FROM raw_shop.order") + 1].strip().startswith("^")
    near = dango("query", "SELECT id FROM orders")
    assert 'Did you mean "raw_shop.orders"?' in near.err
    assert "hint: `dango tables`" in near.err
    assert 'Candidate bindings: "name"' in dango("query", "SELECT nam FROM raw_shop.orders").err
    as_json = dango("query", "SELECT id FROM orders", "--json")
    assert (as_json.code, as_json.json["exit_code"]) == (2, 2)
    assert as_json.json["problems"][0]["message"].startswith("Catalog Error: ")


def test_what_fails_while_it_runs_is_no_fault_of_usage(shop: Path, dango: Dango) -> None:
    said = dango("query", "SELECT CAST(name AS INTEGER) FROM raw_shop.orders")
    assert (said.code, said.out) == (1, "")
    assert said.err.startswith("error: Conversion Error: ")


def test_before_the_first_sync_it_says_so(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop"))})
    said = dango("query", "SELECT 1")
    assert (said.code, said.out) == (2, "")
    assert "nothing was loaded into `duckdb` yet" in said.err
    assert "hint: dango sync" in said.err
    assert not (root / "data").exists()


def test_bad_input_is_refused_before_anything_is_opened(shop: Path, root: Path, write: Write, dango: Dango) -> None:
    said = dango("query", "SELECT 1", "--destination", "duckbd")
    assert (said.code, "no destination `duckbd` (did you mean `duckdb`?)" in said.err) == (2, True)
    write({"sources": "version: 1\ndestinations: {out: {type: filesystem, bucket_url: x}}\n" + sources()[11:]})
    said = dango("query", "SELECT 1", "--destination", "out")
    assert (said.code, "of the type `filesystem`, which dango does not read" in said.err) == (2, True)
    shop.write_bytes(b"no database at all" * 1000)
    said = dango("query", "SELECT 1")
    assert (said.code, "destination `duckdb` cannot be used" in said.err) == (1, True)


HOLDER = """\
import sys, time
from pathlib import Path
import duckdb
from dango.load.access import lock_file
from dango.lock import lock

with lock(lock_file(Path(sys.argv[1]), sys.argv[2]), "the database", run="20240101T100000-abcd"):
    database = duckdb.connect(sys.argv[2])
    print("there", flush=True)
    time.sleep(120)
"""
NOTEBOOK = "import duckdb, sys, time\nd = duckdb.connect(sys.argv[2])\nprint('there', flush=True)\ntime.sleep(120)\n"


@contextmanager
def holding(code: str, root: Path, file: Path) -> Iterator[int]:
    """A process that has the database in its hands; its number."""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(root), str(file)], stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert process.stdout
    try:
        assert process.stdout.readline() == b"there\n"
        yield process.pid
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_who_writes_the_database_is_named_with_its_run(shop: Path, root: Path, dango: Dango) -> None:
    with holding(HOLDER, root, shop) as pid:
        said = dango("query", "SELECT 1", "--json")
    assert (said.code, said.json["exit_code"]) == (4, 4)
    assert f"held by process {pid}, which loads run 20240101T100000-abcd" in said.json["problems"][0]["message"]


def test_a_notebook_is_not_taken_for_the_sync_that_waits_for_it(shop: Path, root: Path, dango: Dango) -> None:
    with holding(NOTEBOOK, root, shop) as pid, lock(lock_file(root, shop), "the database", run="20240101T100000-abcd"):
        said = dango("query", "SELECT 1")
        assert (said.code, dango("tables").code) == (4, 4)
    assert f"the database of `duckdb` is held by process {pid}\n" in said.err


def test_another_destination_is_found_where_dlt_finds_it(
    shop: Path, root: Path, write: Write, dango: Dango, tmp_path: Path
) -> None:
    with duckdb.connect(str(root / "data" / "other.duckdb")) as database:
        database.execute("CREATE TABLE t AS SELECT 'other' AS here")
    write({
        "sources": "version: 1\ndestination: named\ndestinations:\n  named: {type: duckdb}\n"
        "  written: {type: duckdb, credentials: 'env:OTHER'}\n" + sources()[11:],
        ".dlt/secrets.toml": '[destination.named]\ncredentials = "data/other.duckdb"\n',
    })  # fmt: skip
    assert dango("query", "FROM t", "--format", "csv").out == "here\nother\n"
    unset = dango("query", "FROM t", "--destination", "written")
    assert (unset.code, "OTHER is not set" in unset.err) == (2, True)
    other = {"OTHER": str(root / "data" / "other.duckdb"), "DANGO_DESTINATION": "written"}
    elsewhere = dango("--project", str(root), "query", "FROM t", "--format", "csv", env=other, cwd=tmp_path)
    assert elsewhere.out == "here\nother\n"


def test_the_file_is_read_while_a_source_is_read_and_after_a_kill_while_it_was_written(
    shop: Path, dango: Dango
) -> None:
    writer = (
        "import duckdb, os, sys\nd = duckdb.connect(sys.argv[1])\n"
        "d.execute('INSERT INTO raw_shop.orders SELECT 9, NULL, NULL, NULL')\nos.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", writer, str(shop)], check=False)
    assert shop.with_name(shop.name + ".wal").exists()
    assert dango("query", "SELECT count(*) AS n FROM raw_shop.orders", "--format", "csv").out == "n\n6\n"


# --- PostgreSQL ---------------------------------------------------------------------------------------


def lake(postgres: Postgres) -> dict[str, str]:
    facts = {"host": postgres.host, "port": postgres.port, "username": postgres.user, "password": postgres.password,
             "database": postgres.database}  # fmt: skip
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in facts.items())
    return {
        "sources": "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\n" + sources()[11:],
        ".dlt/secrets.toml": f"[destination.lake.credentials]\n{lines}\n",
    }


@pytest.mark.postgres
def test_postgresql_is_asked_in_a_transaction_that_cannot_write(write: Write, dango: Dango, postgres: Postgres) -> None:
    write(lake(postgres))
    with postgres.cursor() as cursor:
        cursor.execute("CREATE SCHEMA raw_shop")
        cursor.execute(
            "CREATE TABLE raw_shop.orders AS SELECT i AS id, 'n' || i AS name FROM generate_series(1, 3000) i"
        )
        cursor.execute("CREATE SEQUENCE raw_shop.s")
    said = dango("query", "SELECT id, name FROM raw_shop.orders ORDER BY id;", "--json")
    assert (said.code, said.err) == (0, "")
    assert said.json["columns"] == [{"name": "id", "type": "integer"}, {"name": "name", "type": "text"}]
    assert [row["id"] for row in said.json["rows"]] == [*range(1, 3001)]
    statement = """SELECT 'infinity'::timestamptz, '20000-01-01'::date, interval '1 mon', '{1,2}'::int[],
        '{"a": [1.10]}'::jsonb, '\\xAB'::bytea, 1.50::numeric, 'é' || $$ % '' \\ $$, NULL, timestamptz '2024-01-01Z',
        ARRAY[date '-infinity']"""
    assert dango("query", statement, "--format", "csv").out.splitlines()[1] == (
        'infinity,20000-01-01,1 mon,"[1, 2]","{""a"": [1.10]}",\\xab,1.50,é % \'\' \\ ,,2024-01-01 00:00:00+00:00,'
        '"[""-infinity""]"'
    )
    assert dango("query", "SELECT 1", "--allow-files").code == 2
    assert dango("query", "SHOW TimeZone", "--format", "csv").out == "TimeZone\nUTC\n"
    assert len(dango("query", "EXPLAIN SELECT 1").out.splitlines()) == 2


@pytest.mark.postgres
def test_a_mistake_is_told_in_postgresqls_words_with_its_place(write: Write, dango: Dango, postgres: Postgres) -> None:
    write(lake(postgres))
    with postgres.cursor() as cursor:
        cursor.execute("CREATE SCHEMA raw_shop")
        cursor.execute("CREATE TABLE raw_shop.orders (id int)")
    said = dango("query", "SELECT id\nFROM orders")
    assert said.code == 2
    assert said.err.splitlines()[:4] == [
        'error: relation "orders" does not exist',
        "",
        "LINE 2: FROM orders",
        " " * 13 + "^",
    ]
    assert "hint: did you mean `raw_shop.orders`? `dango tables` lists what there is" in said.err
    assert "did you mean `raw_shop.orders`?" in dango("query", "SELECT id FROM raw_shop.ordres").err
    assert dango("query", "SELECT 1 / 0").code == 1
    password = postgres.password
    write({".dlt/secrets.toml": lake(postgres)[".dlt/secrets.toml"].replace(password, "hunter2hunter2")})
    said = dango("query", "SELECT 1")
    assert "hunter2" not in said.err
    if said.code:  # a server that trusts the loopback lets everybody in
        assert (said.code, "destination `lake` cannot be used" in said.err) == (1, True)


@pytest.mark.postgres
def test_ctrl_c_ends_a_statement_on_the_server_too(write: Write, root: Path, postgres: Postgres) -> None:
    write(lake(postgres))
    process = subprocess.Popen(
        [sys.executable, "-m", "dango", "query", "SELECT pg_sleep(120)"], cwd=root, stderr=subprocess.PIPE
    )
    running = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'dango' AND state = 'active'"
    with postgres.cursor() as cursor:
        assert within(20, lambda: count(cursor, running) == 1)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=10)
        assert (process.returncode, said) == (130, b"stopped\n")
        assert within(5, lambda: count(cursor, running) == 0)


def count(cursor: Any, query: str) -> int:
    cursor.execute(query)
    return int(cursor.fetchone()[0])


def within(seconds: float, holds: Callable[[], bool]) -> bool:
    end = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > end:
            return False
        time.sleep(0.1)
    return True

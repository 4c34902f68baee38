"""Files taken in by their columns: the tables are those that come of the same files read row by row."""

from __future__ import annotations

import datetime as dt
import decimal
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from dango import external
from dango.connectors import file_reading, file_tables, files, parquet_columns
from dango.connectors.file_tables import Irregular
from dango.dlt_internals import packages as dlt_packages
from dango.load import loading

Files = Mapping[str, Any]
"""The contents of files by their names: the text of CSV, the rows of Parquet."""


_BY_CHANCE = ("_dlt_id", "_dlt_load_id", "_dlt_parent_id", "_dlt_root_id")


@pytest.fixture(autouse=True)
def _quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("RUNTIME__LOG_LEVEL", "CRITICAL")


def row_by_row(table: Any) -> None:
    """In place of `Table.require_plain`: no file is plain."""
    raise Irregular("the test wants rows")


def put(folder: Path, contents: Files) -> None:
    """Writes files, each a second later than what it replaces."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        path = folder / name
        before = path.stat().st_mtime_ns if path.exists() else 0
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            parquet.write_table(content, path)
        if before:
            os.utime(path, ns=(before + 10**9, before + 10**9))


class Warehouse:
    """What two ways make of the same files: each a DuckDB file of its own."""

    def __init__(self, folder: Path, hints: Mapping[str, Any], *, referring: bool = False) -> None:
        self._folder, self._hints, self._referring = folder, hints, referring
        self.ways: dict[str, Mapping[str, int]] = {}
        self.referred = 0
        """How many files the last run's package only referred to."""

    def sync(self, tables: Sequence[str]) -> None:
        """One run over the folders of these tables."""
        state, kept = self._folder / "state", self._folder / "kept"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(state, kept) if state.exists() else kept.mkdir(parents=True)
        if not self._referring:
            self._sync(tables)
            return
        try:
            with external.allowed():
                self._sync(tables)
        except external.Mistaken:
            shutil.rmtree(state)
            kept.rename(state)
            self._sync(tables)

    def _sync(self, tables: Sequence[str]) -> None:

        @dlt.source(name="shop")
        def shop() -> Iterator[Any]:
            for table in tables:
                resource = files.files(str(self._folder.parent / table), table=table)
                resource.apply_hints(**self._hints)
                yield resource

        pipeline = dlt.pipeline(
            self._folder.name,
            pipelines_dir=str(self._folder / "state"),
            destination=dlt.destinations.duckdb(str(self._folder / "w.duckdb")),
            dataset_name="raw",
        )
        source = shop()
        pipeline.extract(source, loader_file_format="parquet")
        self.ways = {name: file_reading.ways(resource) for name, resource in source.resources.items()}
        pipeline.normalize()
        packages = dlt_packages.waiting(pipeline)
        self.referred = sum(len(package.referred) for package in packages)
        for package in packages:
            loading.load(pipeline, [package], lambda *_: None)
            dlt_packages.remove(pipeline, package.load_id)

    def held(self) -> dict[str, Any]:
        """Every table: its columns with their types, and its rows but for what is made by chance."""
        with duckdb.connect(str(self._folder / "w.duckdb"), read_only=True) as database:
            columns = database.sql(
                "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns"
                " WHERE table_schema = 'raw' AND table_name NOT LIKE '\\_dlt%' ESCAPE '\\'"
                # By columns there are none, as nothing needs them.
                " AND column_name <> '_dlt_id' ORDER BY ALL"
            ).fetchall()
            rows = {}
            for table in sorted({name for name, *_ in columns}):
                names = [f'"{c}"' for t, c, *_ in columns if t == table and c not in _BY_CHANCE]
                rows[table] = database.sql(f'SELECT {", ".join(names)} FROM raw."{table}" ORDER BY ALL').fetchall()
        return {"columns": columns, "rows": rows}


def both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: Sequence[Mapping[str, Files]], **hints: Any
) -> tuple[Warehouse, Warehouse, Warehouse]:
    """Syncs files by columns, row by row, and by reference, run after run.

    `runs` are the files of each table that are put before each run.
    """
    quick, slow = (Warehouse(tmp_path / way, hints) for way in ("quick", "slow"))
    referring = Warehouse(tmp_path / "referring", hints, referring=True)
    for run in runs:
        for table, contents in run.items():
            put(tmp_path / table, contents)
        quick.sync(list(runs[0]))
        with monkeypatch.context() as patched:
            patched.setattr(external, "_SMALLEST", 0)
            referring.sync(list(runs[0]))
        with monkeypatch.context() as patched:
            patched.setattr(file_tables.Table, "require_plain", row_by_row)
            slow.sync(list(runs[0]))
    return quick, slow, referring


def same(quick: Warehouse, slow: Warehouse, referring: Warehouse) -> None:
    """All hold the same, table by table."""
    by_rows = slow.held()
    for other in (quick, referring):
        held = other.held()
        assert held["columns"] == by_rows["columns"]
        for table, rows in by_rows["rows"].items():
            assert repr(held["rows"][table]) == repr(rows), table


CSV: Mapping[str, str] = {
    "numbers": "a,b,c,d\n1,1.5,-3,1e5\n2,,-0,2.0\n,3,9007199254740993,-1.25E-3\n",
    "zeros": "zip,plus,dot,spaced,under,long\n007,+1,1.,1,1_0,123456789012345678901\n1,2,2, 2,2,3\n",
    "logical": "a,b,c\ntrue,TRUE,true\nfalse,False,no\n",
    "days": "a,b,c,d\n2024-02-29,2023-02-29,0001-01-01,24-1-1\n2024-12-31,2024-01-01,9999-12-31,2024-01-01\n",
    "moments": "a,b\n2024-01-31 10:00,2024-01-31T10:00:00Z\n2024-01-31T10:00:00.5,2024-01-31 10:00+02:00\n",
    "texts": 'a,b,c,"d ""e"\nx,"y, ""z""\nzz",ü,=1\n,"",🎉,\n',
    "nothing": "a,b\n,\n,\n",
    "only a header": "a,b\n",
    "empty": "",
    "partly nothing": "a,b\n,1\n,2\n",
    "text that begins with a time": "a,b\n2024-01-31T10:00:00Z,1\nnever,2\n",
    "names": "Id,Ünit Price,a.b,a__b,SELECT,\n1,2,3,4,5,6\n",
    "names that meet": "Id,i d,i_d\n1,2,3\n",
    "a column of dlt's": "id,_dlt_id\n1,x\n",
    "a column of ours": "id,_file\n1,x\n",
}


@pytest.mark.slow
def test_csv_makes_the_same_tables_by_columns_and_row_by_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [{f"t{nth}": {"a.csv": text} for nth, text in enumerate(CSV.values())}]
    quick, slow, referring = both(tmp_path, monkeypatch, runs)
    same(quick, slow, referring)
    by_rows = {name for name, ways in zip(CSV, quick.ways.values(), strict=True) if any(ways)}
    # DuckDB 1.5 reads not every one of those moments.
    assert by_rows - {"moments"} == {
        "nothing", "text that begins with a time", "names that meet", "a column of dlt's", "a column of ours"
    }  # fmt: skip


_VALUES: Sequence[Sequence[str]] = (
    ("1", "2", "-3", "0", "12345678901"), ("007", "0", "-0", "+1"), ("1.5", "2", "1e3", "-0.25", "1.50"),
    ("true", "False", "TRUE"), ("2024-01-31", "2024-02-29"), ("2024-01-31 10:00", "2024-01-31T10:00:00.5"),
    ("2024-01-31T10:00:00Z", "2024-01-31 10:00:00+02:00"), ("x", "ü", '"a, b"', '"""q"""', "2023-02-29"), ("",),
)  # fmt: skip


@st.composite
def csv_file(draw: st.DrawFn) -> str:
    """A CSV file of up to four columns, mostly of one kind each, now and then of two."""
    names = draw(st.lists(st.sampled_from(["a", "b", "C", "d e"]), min_size=1, max_size=4, unique=True))
    kinds = [draw(st.lists(st.sampled_from(_VALUES), min_size=1, max_size=2)) for _ in names]
    kinds = [kind if draw(st.integers(0, 3)) == 0 else kind[:1] for kind in kinds]
    cell = [st.sampled_from([value for values in kind for value in (*values, "")]) for kind in kinds]
    lines = draw(st.lists(st.tuples(*cell), max_size=6))
    # A line without anything in it is none.
    return "\n".join([",".join(names), *(",".join(line) for line in lines if any(line))]) + "\n"


@pytest.mark.slow
@settings(
    max_examples=int(os.environ.get("FILES_EXAMPLES", "2")),
    derandomize="FILES_EXAMPLES" not in os.environ,
    deadline=None,
    # A smaller example takes minutes to find.
    phases=(Phase.generate, Phase.shrink) if "FILES_EXAMPLES" in os.environ else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
@given(st.lists(st.lists(csv_file(), min_size=4, max_size=4), min_size=12, max_size=12))
def test_any_csv_makes_the_same_tables_sync_after_sync(
    tmp_path_factory: pytest.TempPathFactory, tables: list[list[str]]
) -> None:
    runs = [
        {f"t{nth}": {"a.csv": one, "b.csv": two} for nth, (one, two, _, _) in enumerate(tables)},
        {f"t{nth}": {"a.csv": three, "c.csv": four} for nth, (_, _, three, four) in enumerate(tables)},
    ]
    with pytest.MonkeyPatch.context() as monkeypatch:
        quick, slow, referring = both(tmp_path_factory.mktemp("fuzz"), monkeypatch, runs)
    same(quick, slow, referring)


def decimals(*values: str, of: pa.DataType) -> pa.Array:
    """An array of decimals."""
    return pa.array([decimal.Decimal(value) for value in values], of)


DAY, MOMENT = dt.date(2024, 2, 29), dt.datetime(2024, 1, 31, 10, 0, 0, 123456)
PARQUET: Mapping[str, Any] = {
    "numbers": {
        "i8": pa.array([1, None], pa.int8()), "u32": pa.array([2**32 - 1, 0], pa.uint32()),
        "i64": [2**63 - 1, -(2**63)], "f": pa.array([0.1, None], pa.float32()), "d": [1e308, -0.0], "b": [True, None],
    },
    "unsigned": {"u64": pa.array([2**63 - 1, 1], pa.uint64())},
    "decimals": {
        "a": decimals("1.50", "2.00", of=pa.decimal128(15, 2)), "b": decimals("1", "-2", of=pa.decimal128(29, 0)),
    },
    "long decimals": {"a": decimals("1", "2", of=pa.decimal128(38, 0))},
    "fine decimals": {"a": decimals("1.5", "2.5", of=pa.decimal128(38, 20))},
    "decimals of Spark's": {
        "a": decimals("0.123456789012345678", "-1", of=pa.decimal128(38, 18)), "l": [[1], [2, 3]],
        "b": decimals("0.1", "12345678901234567890123456789012.123456", of=pa.decimal128(38, 6)),
    },
    "days": {"a": [DAY, dt.date(1, 1, 1)], "b": pa.array([DAY, dt.date(9999, 12, 31)], pa.date64())},
    "moments": {
        "naive": pa.array([MOMENT, dt.datetime(1, 1, 1)], pa.timestamp("us")),
        "zoned": pa.array([MOMENT, dt.datetime(9999, 12, 31)], pa.timestamp("us", "Europe/Berlin")),
        "s": pa.array([MOMENT.replace(microsecond=0), None], pa.timestamp("s")),
    },
    "fine moments": {
        "exact": pa.array([MOMENT, None], pa.timestamp("ns")), "cut": pa.array([1999, -1001], pa.timestamp("ns")),
        "zoned": pa.array([1_700_000_000_123_456_789, None], pa.timestamp("ns", "UTC")),
        "clock": pa.array([1999, None], pa.time64("ns")),
    },
    "fine moments in documents": {
        "a": pa.array([[{"at": 1999}], []], pa.list_(pa.struct([("at", pa.timestamp("ns"))]))),
    },
    "spans": {"a": pa.array([dt.timedelta(days=1, seconds=2, microseconds=3), None], pa.duration("ns"))},
    "clocks": {"a": pa.array([dt.time(1, 2, 3), None], pa.time64("us"))},
    "texts": {
        "a": ["x", ""], "b": pa.array(["ü", None], pa.large_string()), "c": pa.array(["u", "u"]).dictionary_encode(),
    },
    "times in text": {"a": [None, "2024-01-31T10:00:00Z"]},
    "bytes": {"a": [b"\0x", None], "b": pa.array([b"abc", b"def"], pa.binary(3))},
    "nothing": {"a": pa.nulls(2), "b": pa.array([None, None], pa.int64()), "c": [1, 2]},
    "nested": {"a": [{"x": 1}, {"x": 2}], "l": [[1], [2, 3]]},
    "filled": pa.table({"a": [1, 2]}, pa.schema([pa.field("a", pa.int64(), nullable=False)])),
    "no rows": {"a": pa.array([], pa.int64())},
}  # fmt: skip


@pytest.mark.slow
def test_parquet_makes_the_same_tables_by_columns_and_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {f"t{nth}": {"a.parquet": pa.table(columns)} for nth, columns in enumerate(PARQUET.values())}
    quick, slow, referring = both(tmp_path, monkeypatch, [tables])
    same(quick, slow, referring)
    assert referring.referred > 7
    by_rows = {name for name, ways in zip(PARQUET, quick.ways.values(), strict=True) if any(ways)}
    held = referring.held()["rows"]
    fine, spans = (held[f"t{list(PARQUET).index(name)}"] for name in ("fine moments", "spans"))
    # In the order of the columns' names, behind the file's.
    assert sorted(str(row[2]) for row in fine) == [
        "1969-12-31 23:59:59.999999+00:00",
        "1970-01-01 00:00:00.000001+00:00",
    ]
    assert {row[1] for row in spans} == {"1 day, 0:00:02.000003", None}
    assert by_rows == {
        "unsigned", "decimals of Spark's", "fine moments in documents", "spans",
        "times in text", "nested",
    }  # fmt: skip


def test_what_is_known_of_parquet_duckdb_says_too(tmp_path: Path) -> None:
    known = set()
    for name, columns in PARQUET.items():
        path = tmp_path / "a.parquet"
        parquet.write_table(pa.table(columns), path)
        with parquet.ParquetFile(path) as file:
            try:
                types = {field.name: parquet_columns._type(field) for field in file.schema_arrow}
            except Irregular:
                continue
            if parquet_columns._as_they_are(file.schema, types):
                known.add(name)
                assert parquet_columns._read_alike(f"read_parquet('{path}')", types), name
    assert known >= {"numbers", "decimals", "days", "texts"}
    # DuckDB would name the second otherwise.
    parquet.write_table(pa.table({"a": [1], "A": [2]}), tmp_path / "a.parquet")
    with parquet.ParquetFile(tmp_path / "a.parquet") as file:
        assert not parquet_columns._as_they_are(file.schema, {"a": "bigint", "A": "bigint"})


@pytest.mark.slow
def test_what_is_no_number_stays_where_parquet_is_read_by_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = pa.table({"a": [float("nan"), float("inf"), -float("inf"), 1.5, None]})
    quick, slow, referring = both(tmp_path, monkeypatch, [{"t": {"a.parquet": numbers}}])
    assert slow.held()["columns"] == quick.held()["columns"] == referring.held()["columns"]
    for way in (quick, referring):
        assert [str(a) for _, a in way.held()["rows"]["t"]] == ["-inf", "1.5", "inf", "nan", "None"]
    # dlt writes them as JSON on their way, which has no such numbers.
    assert [a for _, a in slow.held()["rows"]["t"]] == [1.5, None, None, None, None]


@pytest.mark.slow
def test_parquet_whose_decimals_differ_makes_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first file tells the digits of a column, of short ones with room for more; others fit in, or it grows."""

    def file(number: str, precision: int, scale: int) -> dict[str, pa.Table]:
        return {f"{precision}_{scale}.parquet": pa.table({"a": decimals(number, of=pa.decimal128(precision, scale))})}

    runs = [
        {
            "at_once": {**file("1.50", 15, 2), **file("0.0625", 9, 4), **file("12345678901234567890", 20, 0)},
            "fine": file("0.123456789012", 20, 12),
            "mixed": file("1.50", 15, 2),
            "usual": file("1.50", 15, 2),
            "whole": file("7", 9, 0),
        },
        {
            "fine": file("7.25", 15, 2),
            # Nothing says how many digits its numbers have.
            "mixed": {"a.csv": "a\n0.12345\n"},
            "usual": file("1234567.8", 9, 1),
            "whole": file("12345678901234567890", 20, 0),
        },
        # The first might hold more than any column beside what is there, and does not.
        {"fine": file("3.5", 38, 6), "usual": file("0.000000001", 38, 18)},
    ]
    quick, slow, referring = both(tmp_path, monkeypatch, runs)
    same(quick, slow, referring)
    held = referring.held()
    assert {row[0]: row[2] for row in held["columns"] if row[1] == "a"} == {
        "at_once": "DECIMAL(24,4)",
        "fine": "DECIMAL(38,12)",
        "mixed": "DECIMAL(38,9)",
        "usual": "DECIMAL(38,18)",
        "whole": "DECIMAL(20,0)",
    }
    assert [f"{a.normalize():f}" for _, a in held["rows"]["usual"]] == ["1.5", "0.000000001", "1234567.8"]
    assert {f"{a:f}" for _, a in held["rows"]["at_once"]} == {"1.5000", "0.0625", "12345678901234567890.0000"}


@pytest.mark.slow
def test_the_digits_that_a_user_gives_are_those_of_the_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hinted = {"a": {"data_type": "decimal", "precision": 10, "scale": 4}, "b": {"data_type": "decimal"}}
    first, second = (
        pa.table({name: decimals(number, of=kind) for name in "abc"})
        for number, kind in (("1.5", pa.decimal128(5, 1)), ("2.25", pa.decimal128(12, 10)))
    )
    runs = [{"t": {"a.parquet": first}}, {"t": {"b.parquet": second}}]
    quick, slow, referring = both(tmp_path, monkeypatch, runs, columns=hinted)
    same(quick, slow, referring)
    assert {row[1]: row[2] for row in quick.held()["columns"] if row[1] in hinted or row[1] == "c"} == {
        "a": "DECIMAL(10,4)", "b": "DECIMAL(38,9)", "c": "DECIMAL(27,10)"
    }  # fmt: skip


JSONL: Mapping[str, str] = {
    "plain": '{"i": 1, "f": 1.0, "b": true, "t": "x"}\n\n{"i": -2, "f": 1e2, "b": null, "t": ""}\n',
    "nothing in it": '{"a": 1, "n": null}\n{"a": 1, "n": null}\n',
    "keys in another order": '{"a": 1, "b": 2}\n{"b": 3, "a": 4}\n',
    "written otherwise": '{"a":1,"\\u0062":"\\u0078","c":null}\n { "a" : 2 ,\t"b" : "y" , "c" : null }\n',
    "very many keys": json.dumps({f"k{n}": n for n in range(200)}) + "\n",
    "a key too many": '{"a": 1}\n{"a": 2, "b": 3}\n',
    "a key too few": '{"a": 1, "b": 2}\n{"a": 2}\n',
    "a key twice": '{"a": 1}\n{"a": 2, "a": 3}\n',
    "whole numbers and fractions": '{"a": 1}\n{"a": 1.5}\n',
    "fractions and whole numbers": '{"a": 1.5}\n{"a": 2}\n{"a": 9007199254740993}\n{"a": -0}\n{"a": null}\n',
    "numbers in text": '{"a": "1"}\n{"a": "2.0"}\n',
    "texts": '{"a": "\\u00fc \\"q\\" \\\\", "b": "\\"", "c": "2024-01-31"}\n{"a": "🎉\\n", "b": "x", "c": "y"}\n',
    "moments": '{"a": "2024-01-31T10:00:00Z", "b": "2024-01-31 10:00:00"}\n{"a": "2024-01-31T10:00:00+02:00", "b": null}\n',  # noqa: E501
    "moments and other texts": '{"a": "2024-01-31T10:00:00Z"}\n{"a": "later"}\n',
    "other texts and moments": '{"a": "later"}\n{"a": "2024-01-31T10:00:00Z"}\n',
    "nested": '{"a": {"b": 1}, "c": [{"d": 2}]}\n',
    "big": '{"a": 9223372036854775807}\n',
    "names": '{"Order Id": 1, "a.b": 2, "it\'s": 3, "say \\"hi\\"": 4}\n',
    "empty": "\n",
}


@pytest.mark.slow
def test_json_lines_make_the_same_tables_by_columns_and_row_by_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [{f"t{nth}": {"a.jsonl": text} for nth, text in enumerate(JSONL.values())}]
    quick, slow, referring = both(tmp_path, monkeypatch, runs)
    same(quick, slow, referring)
    by_columns = {name for name, ways in zip(JSONL, quick.ways.values(), strict=True) if not any(ways)}
    assert by_columns == {
        "plain", "keys in another order", "written otherwise", "very many keys", "numbers in text", "texts", "moments",
        "big", "other texts and moments", "names", "empty", "nothing in it", "fractions and whole numbers",
    }  # fmt: skip


@pytest.mark.slow
def test_whole_numbers_are_fractions_where_the_table_has_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [
        {"fractions": {"a.jsonl": '{"a": 1.5}\n'}, "whole": {"a.jsonl": '{"a": 1}\n'}},
        {
            "fractions": {"b.jsonl": '{"a": 2}\n{"a": 2.5}\n{"a": null}\n', "c.jsonl": '{"a": 3}\n{"a": -0}\n'},
            "whole": {"b.jsonl": '{"a": 2.5}\n{"a": 3}\n'},
        },
    ]
    quick, slow, referring = both(tmp_path, monkeypatch, runs)
    same(quick, slow, referring)
    assert [name for name, ways in quick.ways.items() if any(ways)] == ["whole"]


LATE: Sequence[tuple[str, str, str]] = (
    ("a.csv", "a,b\n" + "1,\n" * 30_000, "x,\n"),
    ("a.csv", "a,b\n" + "1,\n" * 30_000, "1,y\n"),
    ("a.csv", "a,b\n" + "1,\n" * 30_000, "01,\n"),
    ("a.jsonl", '{"a": 1}\n' * 3_000, '{"a": 1.5}\n'),
    ("a.jsonl", '{"a": 1}\n' * 3_000, '{"a": "1"}\n'),
    ("a.jsonl", '{"a": 1.5}\n' * 3_000, '{"a": 2}\n'),
    ("a.jsonl", '{"a": "x"}\n' * 3_000, '{"a": 2}\n'),
    ("a.jsonl", '{"a": "x"}\n' * 3_000, '{"a": true}\n'),
    ("a.jsonl", '{"a": "x"}\n' * 3_000, '{"a": {"b": 1}}\n'),
    ("a.jsonl", '{"a": null, "b": 1}\n' * 3_000, '{"a": 2, "b": 1}\n'),
    ("a.jsonl", '{"a": 1}\n' * 3_000, '{"a": 1, "b": 2}\n'),
    ("a.jsonl", '{"a": 1}\n' * 3_000, '{"a": 1, "a": 2}\n'),
    ("a.jsonl", '{"a": 1, "b": 2}\n' * 3_000, '{"a": 1}\n'),
    ("a.jsonl", '{"a": true}\n' * 3_000, '{"a": 1}\n'),
)
"""Files whose last row is not like the first ones: a name, those that are alike, and the last one."""


@pytest.mark.slow
def test_what_only_a_late_row_tells_makes_the_same_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = [{f"t{nth}": {name: like + unlike} for nth, (name, like, unlike) in enumerate(LATE)}]
    same(*both(tmp_path, monkeypatch, runs))

"""Decimals that get more digits: the column of the destination holds them all, or nothing is loaded."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.conftest import Said, native, sources
from tests.fixtures_postgres import Postgres

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]

# `digits` says how many there are, and after the point; the last of them is a 7.
PRICES = """
from decimal import Decimal

import dlt

DIGITS = {digits!r}


@dlt.resource(
    primary_key="id",
    write_disposition={disposition!r},
    columns={{"price": {{"data_type": "decimal", "precision": DIGITS[0], "scale": DIGITS[1]}}}},
)
def prices():
    yield {{"id": DIGITS[1], "price": Decimal(7).scaleb(-DIGITS[1]), "lines": [{{"n": 1}}]}}
"""
POSTGRES = "version: 1\ndestination: lake\ndestinations: {lake: {type: postgres}}\nsources:\n"


class Prices:
    """A source whose decimals have ever more digits, and what is in its table."""

    def __init__(self, root: Path, write: Write, dango: Dango, postgres: Postgres | None) -> None:
        self._root, self._write, self._dango, self._postgres = root, write, dango, postgres
        if postgres:
            write({".dlt/secrets.toml": f'[destination.lake]\ncredentials = "{postgres.url}"\n'})
        block = native("shop", "prices")
        write({"sources": POSTGRES + block if postgres else sources(block)})

    def sync(self, digits: tuple[int, int], *options: str, disposition: str = "merge") -> Said:
        self._write({"custom_sources/shop.py": PRICES.format(digits=digits, disposition=disposition)})
        return self._dango("sync", *options)

    def sync_file(self, name: str, digits: tuple[int, int], *options: str) -> Said:
        """Syncs files of Parquet, of which one more has a price of so many digits, the last of them a 7."""
        files = self._root / "prices"
        files.mkdir(exist_ok=True)
        price = pa.array([Decimal(7).scaleb(-digits[1])], pa.decimal128(*digits))
        parquet.write_table(pa.table({"id": [name], "price": price}), files / name)
        entry = "- name: shop\n  type: files\n  files: {location: prices, table: prices}\n"
        self._write({"sources": POSTGRES + entry if self._postgres else sources(entry)})
        return self._dango("sync", *options)

    def __call__(self, *statements: str) -> list[Any]:
        if self._postgres:
            with self._postgres.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return cursor.fetchall() if cursor.description else []
        with duckdb.connect(str(self._root / "data" / "warehouse.duckdb")) as database:
            return [database.execute(statement).fetchall() for statement in statements][-1]

    def held(self) -> list[str]:
        return [f"{price:f}" for (price,) in self("SELECT price FROM raw_shop.prices ORDER BY id")]

    def type(self) -> tuple[int, int]:
        ((precision, scale),) = self(
            "SELECT numeric_precision, numeric_scale FROM information_schema.columns"
            " WHERE table_schema = 'raw_shop' AND table_name = 'prices' AND column_name = 'price'"
        )
        return precision, scale


@pytest.fixture(params=["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def prices(request: pytest.FixtureRequest, root: Path, write: Write, dango: Dango) -> Prices:
    server = request.getfixturevalue("postgres") if request.param == "postgres" else None
    return Prices(root, write, dango, server)


@pytest.mark.parametrize("disposition", ["merge", "append"])
def test_a_column_gets_the_digits_that_come_and_keeps_what_it_holds(prices: Prices, disposition: str) -> None:
    assert prices.sync((10, 2), disposition=disposition).code == 0
    prices("CREATE INDEX by_id ON raw_shop.prices (id)", "SELECT 1")

    said = prices.sync((12, 4), disposition=disposition)

    assert said.code == 0, said.err
    assert prices.held() == ["0.0700", "0.0007"]
    assert prices.type() == (12, 4)
    # Before the point it had more; both fit in.
    assert prices.sync((9, 6), disposition=disposition).code == 0
    assert prices.held() == ["0.070000", "0.000700", "0.000007"]
    assert prices.type() == (14, 6)
    assert prices.sync((10, 2), disposition=disposition).code == 0
    assert prices.type() == (14, 6)
    index = "SELECT 1 FROM duckdb_indexes() WHERE index_name = 'by_id'"
    assert prices(index if prices._postgres is None else "SELECT 1 FROM pg_indexes WHERE indexname = 'by_id'") == [(1,)]


def test_parquet_files_give_the_digits_that_come(prices: Prices) -> None:
    """The table is as narrow as a file's decimals let it be, and another file finds room, or makes it."""
    runs = ((15, 2), (18, 2)), ((17, 2), (18, 2)), ((9, 6), (22, 6)), ((30, 0), (36, 6))
    for number, (found, held) in enumerate(runs):
        said = prices.sync_file(f"{number}.parquet", found)
        assert said.code == 0, said.err
        assert prices.type() == held
    assert prices.held() == ["0.070000", "0.070000", "0.000007", "7.000000"]

    said = prices.sync_file("4.parquet", (9, 8), "--fail-on-schema-change")

    assert said.code == 5
    assert "`prices.price` becomes decimal(38, 8), was decimal(36, 6)" in said.err
    assert prices.type() == (36, 6)


def test_a_run_that_may_change_nothing_is_refused(prices: Prices) -> None:
    assert prices.sync((10, 2)).code == 0
    said = prices.sync((12, 4), "--fail-on-schema-change")
    assert said.code == 5
    assert "`prices.price` becomes decimal(12, 4), was decimal(10, 2)" in said.err
    assert (prices.held(), prices.type()) == (["0.07"], (10, 2))


def test_a_frozen_type_gets_no_digits(root: Path, write: Write, dango: Dango) -> None:
    prices = Prices(root, write, dango, None)
    assert prices.sync((10, 2)).code == 0
    frozen = native("shop", "prices").replace("type:", "schema_contract: {data_type: freeze}, type:")
    write({"sources": sources(frozen)})
    for options in ((), ("--full-refresh",)):
        said = prices.sync((12, 4), *options)
        assert said.code == 5
        change = "`prices.price` becomes decimal of other digits, was decimal(10, 2)"
        assert f".dango/sources.yml:3:36: {change}, and the contract says `data_type: freeze`" in said.err
        assert "to accept it, write `data_type: evolve` there and sync again" in said.err
    assert (prices.held(), prices.type()) == (["0.07"], (10, 2))
    assert prices.sync((10, 2)).code == 0


def test_a_full_refresh_gives_the_digits_that_come(prices: Prices) -> None:
    for digits, held in (((38, 9), "0.000000007"), ((38, 18), "0.000000000000000007"), ((10, 2), "0.07")):
        assert prices.sync(digits, "--full-refresh").code == 0
        assert (prices.held(), prices.type()) == ([held], digits)


def test_digits_that_no_column_of_the_destination_holds(root: Path, write: Write, dango: Dango) -> None:
    prices = Prices(root, write, dango, None)
    assert prices.sync((38, 9)).code == 0

    said = prices.sync((38, 18))

    assert said.code == 1
    assert "`prices.price` is decimal(38, 9); what it has and what comes would be decimal(47, 18)" in said.err
    assert "`--full-refresh` makes the column for what comes" in said.err
    assert prices.held() == ["0.000000007"]
    assert prices.sync((38, 18), "--full-refresh").code == 0
    assert prices.held() == ["0.000000000000000007"]


def test_a_decimal_that_no_column_holds_is_refused(root: Path, write: Write, dango: Dango) -> None:
    """Arrow makes another number of it, from text."""
    module = 'from decimal import Decimal\n\n\ndef prices():\n    yield {"id": 1, "price": Decimal("1e45")}\n'
    for number in ("1" + "0" * 45, "1E+45"):
        written = module.replace("1e45", number)
        write({"sources": sources(native("shop", "prices")), "custom_sources/shop.py": written})
        said = dango("sync")
        assert said.code == 1
        assert "decimal" in said.err and "nothing" not in said.out


def test_a_decimal_that_is_longer_than_its_column(root: Path, write: Write, dango: Dango) -> None:
    """What the source does not say itself is told in sources.yml, where the error says so."""
    module = 'from decimal import Decimal\n\n\ndef prices():\n    yield {"id": 1, "price": Decimal("0.123456789012")}\n'
    write({"sources": sources(native("shop", "prices")), "custom_sources/shop.py": module})
    said = dango("sync")
    assert said.code == 1
    assert "columns: {COLUMN: {data_type: decimal, precision: 38, scale: 18}}" in said.err
    hint = "resources: {prices: {columns: {price: {data_type: decimal, precision: 38, scale: 18}}}}, "
    write({"sources": sources(native("shop", "prices").replace("dlt_native: ", hint + "dlt_native: "))})
    said = dango("sync", "shop", "--full-refresh")
    assert said.code == 0, said.err
    with duckdb.connect(str(root / "data" / "warehouse.duckdb")) as database:
        assert database.sql("SELECT price FROM raw_shop.prices").fetchall() == [(Decimal("0.123456789012"),)]

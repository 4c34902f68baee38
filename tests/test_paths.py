"""Which way a table took is known to who asked, and to nobody else."""

from __future__ import annotations

from dango import paths


def test_the_last_way_of_each_table_is_collected_while_the_block_lasts() -> None:
    paths.note("orders", "copy")
    with paths.collecting() as taken:
        paths.note("orders", "copy")
        with paths.collecting() as inner:
            paths.note("lines", "columns")
        paths.note("orders", "rows", "an infinite time")
    paths.note("orders", "copy")
    assert taken == {"orders": paths.TablePath("orders", "rows", "an infinite time")}
    assert inner == {"lines": paths.TablePath("lines", "columns")}

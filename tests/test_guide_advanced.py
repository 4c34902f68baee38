"""`docs/ADVANCED_USAGE.md`: its files written and its commands typed, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.guides import DOCS, Shell, steps

PAGE = DOCS / "ADVANCED_USAGE.md"
TEXT = PAGE.read_text(encoding="utf-8")


@pytest.mark.slow
def test_every_block_does_what_the_page_says(tmp_path: Path, root: Path) -> None:
    shell = Shell(root, tmp_path)
    assert shell("dango init --yes --no-example").code == 0
    done = [(re.sub(r"\s+#.*", "", line), said) for line, said in steps(PAGE, root, shell)]
    outputs = dict(done)
    assert "new column `orders.coupon`" in outputs["COUPONS=yes dango sync orders --full-refresh"].err
    failed = outputs['dango query "SELECT resource, entity, message FROM raw_prices._dango_errors"'].out
    assert "ValueError" in failed and "free" in failed
    assert "5" in outputs['dango query "SELECT count(*) FROM raw_orders__trial.orders"'].out.split()
    assert "raw_orders.orders" in outputs["dango tables --destination archive"].out
    assert "shop_rules:with_size: 18 in, 17 out, 1 failed" in outputs["dango sync orders totals --full-refresh"].out
    assert {"big", "small"} <= {*outputs['dango query "SELECT size, total FROM raw_totals.totals"'].out.split()}
    flow = outputs["cat pushed.txt; ls bulk/orders/*.parquet bulk/staged/*.parquet"].out
    assert flow.startswith("orders 1\norders 2\norders 3\nbulk/orders/") and "bulk/staged/staged." in flow
    assert outputs["python nightly.py"].out.startswith("orders ok 0\n")
    # What `--set` moves back comes again: the days from the 15th to the 20th.
    moved = [line for line, _ in done].index("dango source cursor orders --set orders=2024-02-15 --yes")
    assert re.search(r"raw_orders\.orders +(5|6) +20", done[moved + 1][1].out)


def test_all_variables_are_named() -> None:
    code = "".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "dango").rglob("*.py"))
    read = set(re.findall(r'"(DANGO_[A-Z_]+)"', code))
    assert {name for name in read if f"`{name}`" not in TEXT} == set()

"""`dango doctor`: what it says, what it returns, and that it changes nothing unasked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.conftest import Said, native, sources

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]


def test_a_project_where_nothing_is_left_is_well(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop"))})
    said = dango("doctor")
    assert (said.code, said.out, said.err) == (0, "nothing is left of past runs\n", "")
    assert dango("doctor", "shop", "--json").json == {"leftovers": [], "exit_code": 0}


def test_it_says_what_is_left_and_repairs_only_when_asked(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop"))})
    half = root / ".dango" / "pipelines" / "shop--duckdb--raw_shop.dropped"
    kept = half.with_suffix(".before-refresh")
    half.mkdir(parents=True)
    kept.mkdir()
    said = dango("doctor")
    assert said.code == 1
    assert said.out == (
        "shop: a full refresh was killed; the state before it stands aside\n"
        "  where: .dango/pipelines/shop--duckdb--raw_shop.before-refresh\n"
        "  needs: dango sync shop\n"
        "shop: half a copy of the local state: 0 bytes\n"
        "  where: .dango/pipelines/shop--duckdb--raw_shop.dropped\n"
        "  needs: --fix removes it\n"
        "2 left of past runs; `dango doctor --fix` repairs 1\n"
    )
    assert half.exists()
    fixed = dango("doctor", "--fix", "--json")
    assert (fixed.code, fixed.json["exit_code"]) == (1, 1)
    assert [(each["kind"], each["fixable"], each["fixed"]) for each in fixed.json["leftovers"]] == [
        ("refresh", False, False),
        ("refresh", True, True),
    ]
    assert not half.exists()
    kept.rmdir()
    half.mkdir()
    said = dango("doctor", "--fix")
    assert (said.code, said.out.splitlines()[-2:]) == (0, ["  fixed", "1 repaired, nothing else is left of past runs"])


def test_bad_input_is_told_and_nothing_is_repaired(root: Path, write: Write, dango: Dango) -> None:
    write({"sources": sources(native("shop"))})
    half = root / ".dango" / "pipelines" / "shop--duckdb--raw_shop.dropped"
    half.mkdir(parents=True)
    said = dango("doctor", "shopp", "--fix")
    assert (said.code, "no source `shopp` in this project (did you mean `shop`?)" in said.err) == (2, True)
    write({"sources": "version: 1\nsources: [{name: shop}]\n"})
    said = dango("doctor", "--fix", "--json")
    assert (said.code, said.json["exit_code"]) == (2, 2)
    assert half.exists()

"""The documentation says what is so. `WRITE_DOCS=1` writes the generated part anew."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import typer

from dango.cli import app
from dango.registry.entries import Registry
from tests.guides import Shell, steps
from tests.registry import status

ROOT = Path(__file__).parent.parent
COMMANDS = ROOT / "docs" / "COMMANDS.md"
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands(group: object, path: str = "dango") -> dict[str, object]:
    """Every command by its whole name."""
    found: dict[str, object] = {}
    for name, command in getattr(group, "commands", {}).items():
        found[f"{path} {name}"] = command
        found |= commands(command, f"{path} {name}")
    return found


ALL = commands(typer.main.get_command(app))


def generated() -> str:
    """`docs/COMMANDS.md` as the commands themselves tell it."""
    parts = ["# Commands\n\nWritten by `make docs` from the commands' own help; do not edit.\n"]
    for name, command in sorted(ALL.items()):
        parts.append(f"\n## {name}\n\n{command.help or ''}\n")  # type: ignore[attr-defined]
        for parameter in command.params:  # type: ignore[attr-defined]
            names = "|".join(n for n in (*parameter.opts, *parameter.secondary_opts))
            shown = names if names.startswith("-") else parameter.name.upper()
            if getattr(parameter, "help", None) and shown != "--help":
                parts.append(f"\n- `{shown}` {parameter.help}")
        parts.append("\n")
    return re.sub(r"\n{3,}", "\n\n", "".join(parts)).rstrip() + "\n"


def test_the_list_of_commands_is_fresh() -> None:
    if os.environ.get("WRITE_DOCS"):
        COMMANDS.write_text(generated(), encoding="utf-8")
    assert COMMANDS.read_text(encoding="utf-8") == generated(), "run: make docs"


@pytest.mark.parametrize("name", ALL)
def test_every_command_has_help_and_stands_in_the_readme(name: str) -> None:
    assert ALL[name].help  # type: ignore[attr-defined]
    first, *rest = name.removeprefix("dango ").split()
    assert f"dango {first}" in README
    assert all(word in README for word in rest)


@pytest.mark.slow
def test_every_block_of_the_readme_works(tmp_path: Path, root: Path) -> None:
    shell = Shell(root, tmp_path)
    done = list(steps(ROOT / "README.md", root / "shop", shell))
    said = dict(done)
    assert "the environment variable ORDERS_KEY is not set" in next(
        said.err for line, said in done if line.startswith("dango check")
    )
    assert "Adelie" in next(said.out for line, said in done if line.endswith("--plot"))
    assert "5" in said["dango query 'SELECT count(*) FROM raw_orders.orders__lines'"].out.split()


def test_the_readmes_own_figures_are_those_that_were_measured() -> None:
    """Those with a raised 1 in the table of differences come from docs/PERFORMANCE.md."""
    measured = (ROOT / "docs" / "PERFORMANCE.md").read_text(encoding="utf-8")

    def seconds(job: str, column: int) -> list[float]:
        line = next(line for line in measured.splitlines() if line.startswith(f"| {job}"))
        return [float(text) for text in line.split("|")[column].split("/")]

    def theirs(job: str, who: str) -> str:
        found = re.search(rf"^\| {job}[^|]*\| [0-9,]+ \| {who}[^|]*\| ([0-9.,]+) \|", measured, re.MULTILINE)
        assert found, (job, who)
        return f"{float(found[1]):.1f}" if "." in found[1] else found[1]

    (help_,), (postgres,), (csv,) = (
        seconds("`dango --help`", 5), seconds("PostgreSQL → DuckDB, 16", 5), seconds("CSV → DuckDB", 5),
    )  # fmt: skip
    others, own = seconds("dicts of 10 columns", 6)
    for name, *shown in (
        ("`--help`", f"{help_:.2f} s ¹"),
        (
            "PostgreSQL → DuckDB, rows in seconds",
            f"5M in {postgres:.1f} ¹",
            f"0.1M in {theirs('PostgreSQL → DuckDB, few', 'tap-postgres')} ¹ ⁴",
            f"5M in {theirs('PostgreSQL → DuckDB, 16', 'ingestr 0.15')} ¹",
            f"5M in {theirs('PostgreSQL → DuckDB, 16', 'sling')} ¹",
            f"0.1M in {theirs('PostgreSQL → DuckDB, few', 'getdango')} ¹ |",
        ),
        (
            "0.1M of these rows",
            f"{theirs('PostgreSQL → DuckDB, few', 'dango')} ¹",
            f"{theirs('PostgreSQL → DuckDB, few', 'tap-postgres')} ¹ ⁴",
            f"{theirs('PostgreSQL → DuckDB, few', 'ingestr 0.15')} ¹",
            f"{theirs('PostgreSQL → DuckDB, few', 'sling')} ¹",
            f"{theirs('PostgreSQL → DuckDB, few', 'getdango')} ¹ |",
        ),
        (
            "CSV → DuckDB",
            f"5M in {csv:.1f} ¹",
            f"5M in {theirs('CSV → DuckDB', 'ingestr 0.15')} ¹",
            f"5M in {theirs('CSV → DuckDB', 'sling')} ¹",
            f"5M in {theirs('CSV → DuckDB', 'getdango')} ¹ |",
        ),
        ("dicts of 10 columns, 1M rows, CPU seconds", f"{own:.1f} ¹", f"{others:.1f} ¹, with Parquet files"),
    ):
        cells = next(line for line in README.splitlines() if line.startswith(f"| {name} | ")).split(" | ")[1:]
        # dango's own stands first, and no other cell claims to have been measured beside it.
        assert cells[0] == shown[0]
        assert [cell for cell in cells if "¹" in cell] == shown


def test_the_number_of_entries_is_that_of_the_entries_whose_checks_all_pass() -> None:
    registry, checked = Registry(), status.rows()
    counted = [
        i for i in registry.ids if i in checked and checked[i].is_green and registry.entry(i).maturity != "untested"
    ]
    assert f"| {len(counted)} entries," in README

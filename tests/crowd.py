"""A project of many sources and a history of many runs: what everyday commands must stay quick in.

`python -m tests.crowd FOLDER SOURCES RUNS` makes one, to look at and to time.
"""

from __future__ import annotations

import datetime as dt
import sys
from dataclasses import replace
from pathlib import Path

from dango.history import History
from dango.job import RunError, RunResult, TableResult

START = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
EVERY = dt.timedelta(minutes=1)

_NATIVE = """\
  # Bookings of region {number}, asked for by the finance team.
  - name: shop_{number:03}
    type: dlt_native
    description: "Bookings of region {number}"
    dlt_native:
      source_module: shop_{module:03}
      source_function: rows
      function_kwargs:
        count: {number}
        since: 2024-01-01
        tags: [a, "b {number}", env:TAG?]
"""
_CURSOR = """\
  - name: events_{number:03}
    type: dlt_native
    enabled: {enabled}
    resources:
      rows:
        table: events
        write_disposition: merge
        primary_key: id
        cursor: {{field: at, initial: "2024-01-01", lag: 3600}}
        columns: {{price: {{data_type: decimal}}}}
    dlt_native: {{source_module: shop_{module:03}, source_function: rows, function_kwargs: {{count: {number}}}}}
"""
_GITHUB = """\
  - name: gh_{number:03}
    type: github
    description: Issues of one repository
    resources:
      - issues
      - commits
    github:
      owner: owner-{number}
      repo: repo-{number}
      # Older ones are of no use to anybody.
      start_date: 2024-01-01
"""
_REST = """\
  - name: api_{number:03}
    type: rest_api
    description: An API without an entry of its own
    rest_api:
      base_url: https://api.example.com/v{number}/
      token: env:API_TOKEN?
      resource: orders
      path: orders
      data_selector: data
"""
_BLOCKS = (_NATIVE, _CURSOR, _GITHUB, _NATIVE, _REST)

_MODULE = """\
import dlt


@dlt.resource(primary_key="id")
def rows(count: int = 1, since: str = "", tags: list[str] | None = None):
    \"\"\"So many rows.\"\"\"
    yield [{"id": number, "at": "2024-01-01", "price": number} for number in range(count)]
"""


def project(root: Path, sources: int, runs: int) -> None:
    """Makes a project of so many sources of several kinds, and a history of so many runs of one source each."""
    (root / ".dango").mkdir(parents=True)
    (root / "custom_sources").mkdir()
    blocks = []
    for number in range(sources):
        module = number % 20
        (root / "custom_sources" / f"shop_{module:03}.py").write_text(_MODULE, encoding="utf-8")
        template = _BLOCKS[number % len(_BLOCKS)]
        blocks.append(template.format(number=number, module=module, enabled="true" if number % 7 else "false"))
    text = "version: 1\ndestination: duckdb\nsources:\n" + "\n".join(blocks)
    (root / ".dango" / "sources.yml").write_text(text, encoding="utf-8")
    (root / ".env").write_text("TAG=red\nAPI_TOKEN=\n", encoding="utf-8")
    (root / ".env").chmod(0o600)
    past(root, [line.split(": ")[1] for line in text.splitlines() if line.startswith("  - name:")], runs)


def past(root: Path, names: list[str], runs: int) -> None:
    """Notes so many runs, each of one source, in turn."""
    History(root / ".dango").record(*(_result(names[number % len(names)], number) for number in range(runs)))


def _result(source: str, number: int) -> RunResult:
    started = START + EVERY * number
    tables = tuple(TableResult(f"table_{nth}", number, number * 10, seconds=0.12) for nth in range(3))
    result = RunResult(
        f"{started:%Y%m%d-%H%M%S}-{number:04x}", source, "ok", started, 1.25, "duckdb", f"raw_{source}", tables
    )
    error = RunError("HTTPError", "503 Server Error for url: https://api.example.com/orders", traceback="line\n" * 20)
    return replace(result, status="failed", tables=(), error=error) if number % 50 == 0 else result


if __name__ == "__main__":
    project(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

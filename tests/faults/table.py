"""The table of faults in docs/RELIABILITY.md: each test compares its row with what it has seen, or writes it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dango.history import History
from tests.conftest import Said

PAGE = Path(__file__).parent.parent.parent / "docs" / "RELIABILITY.md"
BEGIN, END = "<!-- the faults: written by tests/faults -->", "<!-- end of the faults -->"
_HEAD = ["| what happens | exit | history | what is said |", "|---|---|---|---|"]

NAMES = (
    "the API never answers",
    "the API resets the connection in the middle of an answer",
    "the API promises more bytes than it sends",
    "the API cuts its JSON short",
    "the API answers with a page in HTML",
    "the API answers 500",
    "the API answers 429 with Retry-After, once",
    "the API sends an answer drop by drop",
    "the API is not there",
    "the API's certificate is signed by nobody known",
    "the process may open no more files",
    "there is no more memory",
    "a file may not grow any more",
    "the kernel kills the process of a source",
    "Ctrl-C",
    "Ctrl-C, twice",
    "SIGTERM",
    "the terminal is closed (SIGHUP)",
    "nobody reads its output (a pipe into `head`)",
    "the disk is nearly full before anything begins",
    "the disk is full from the extract on",
    "the disk is full from the normalizing on",
    "the disk is full from the load on",
    "the disk is full from a merge on",
    "the disk is full at the commit",
    "the disk is full at the swap of a full refresh",
    "the disk is full when all is loaded, before that is noted",
    "the disk is full before the history notes the beginning",
    "the disk is full before the history notes the end",
    "the disk has become read-only",
    "`data/` may not be written",
    "`.dango/` may not be written",
    "the clock is set back by a day",
    "the clock is set back by a year",
    "another machine's clock is a day behind",
    "DuckDB's file is moved away in the middle of a load",
    "PostgreSQL stops in the middle of a load",
)


def told(name: str, said: Said, root: Path, known_as: Path | None = None) -> None:
    """Compares the row of a fault with how the sync of `shop` has ended, or writes it where WRITE_DOCS is set.

    Args:
        name: of the fault.
        said: how the sync ended.
        root: the project.
        known_as: the same folder as the sync has it.
    """
    assert name in NAMES
    # The first is the one that went well before the fault.
    *newest, _ = History(root / ".dango").runs()
    row = f"| {name} | {said.code} | {newest[0][0].status if newest else 'nothing'} | {_said(said, known_as or root)} |"
    if "WRITE_DOCS" in os.environ:
        _write({**rows(), name: row})
    assert rows().get(name) == row, "run: WRITE_DOCS=1 pytest tests/faults"


def _said(said: Said, root: Path) -> str:
    """The message and its hint, without what differs from run to run."""
    lines = said.err.splitlines()
    begun = next((number for number, line in enumerate(lines) if line.startswith(("error: ", "stopped"))), None)
    if begun is None:
        return "nothing: it goes on, and loads" if said.code == 0 else "nothing: nobody listens"
    message = lines[begun].removeprefix("error: ").removeprefix("shop: ")
    hint = next((line for line in lines[begun + 1 :] if line.startswith("  hint: ")), "").removeprefix("  hint: ")
    brief = [_brief(text, root) for text in (message, hint) if text and not text.startswith("the whole traceback: ")]
    return " → ".join(f"`{text}`" for text in brief)


def _brief(said: str, root: Path) -> str:
    for changing, fixed in (
        (f"{re.escape(str(root))}/", ""),
        (re.escape(str(root)), "…"),
        (r"127\.0\.0\.1:\d+|port[= ]\d+", "…"),
        (r"0x[0-9a-f]+", "…"),
        (r"\d+ MiB free", "… free"),
        (r"\|", "\\|"),
        ("`", "'"),
        (r"\b\d+ \(char \d+\)", "…"),
    ):
        said = re.sub(changing, fixed, said)
    return f"{said[:160]}{'…' if len(said) > 160 else ''}"


def rows() -> dict[str, str]:
    """The rows of the page's table, by the names of their faults."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    found = [row for row in rest.partition(END)[0].splitlines() if row.startswith("| ")][1:]
    return {next((name for name in NAMES if row.startswith(f"| {name} |")), row): row for row in found}


def _write(table: dict[str, str]) -> None:
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    text = "\n".join([BEGIN, *_HEAD, *(table[name] for name in NAMES if name in table), END])
    PAGE.write_text(f"{before}{text}{rest.partition(END)[2]}", encoding="utf-8")

"""`dango`, and `python -m dango`."""

from __future__ import annotations

import sys
from contextlib import closing
from typing import NoReturn

_ASKING = {"sync", "check", "explain", "preview", "cursor", "doctor"}
"""Commands that ask the code of sources, in another process."""


def main() -> NoReturn:
    """Runs the command line."""
    if _ASKING.isdisjoint(sys.argv[1:]):
        _run()
    from dango.workers.forking import complete

    complete(_run_with_workers)


def _run_with_workers() -> NoReturn:
    from dango.workers.processes import begin

    # Of all that is imported dlt takes longest, and the other process does it meanwhile.
    with closing(begin()):
        _run()


def _run() -> NoReturn:
    from dango.cli import main

    main()


if __name__ == "__main__":
    main()

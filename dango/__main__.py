"""`dango`, and `python -m dango`."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import NoReturn


def main() -> NoReturn:
    """Runs the command line."""
    with ExitStack() as ended:
        if "sync" in sys.argv[1:]:
            from dango.workers.processes import begin

            # Of all that a sync imports dlt takes longest, and another process does it meanwhile.
            ended.callback(begin().close)
        from dango.cli import main as run

        run()


if __name__ == "__main__":
    main()

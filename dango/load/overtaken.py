"""Loads that would fail again: another run has gone on, or the destination refuses the data."""

from __future__ import annotations

from dango.dlt_internals.names import TerminalException
from dango.errors import Held
from dango.external import Mistaken


class Overtaken(Held):
    """Another run has written the source; what this one has extracted follows a state that is gone."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"another run has loaded source `{source}` since this one began; nothing was loaded",
            f"to go on from there: dango sync {source}",
        )


def final(error: BaseException | None) -> bool:
    """Whether the same would come of another attempt; dlt says so by the kind of its own error."""
    return error is not None and (isinstance(error, TerminalException | Overtaken | Mistaken) or final(error.__cause__))

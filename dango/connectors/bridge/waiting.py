"""Records of streams that nobody has asked for yet: in memory while they are few, else in a file."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from typing import IO

_IN_MEMORY = 4 * 1024 * 1024


class Waiting:
    """The records of one stream, and how many of them are confirmed by a state."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._confirmed = 0

    def add(self, line: bytes) -> None:
        """Puts a record behind the others."""
        if self._file is None:
            self._file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115 - closed when it is read
        self._file.write(line + b"\n")

    def confirm(self) -> None:
        """All that are there now are kept, whatever comes."""
        if self._file is not None:
            self._confirmed = self._file.tell()

    def forget_unconfirmed(self) -> None:
        """Takes away what came after the last state."""
        if self._file is not None:
            self._file.truncate(self._confirmed)

    def lines(self) -> Iterator[bytes]:
        """The records, once; what they took is free afterwards."""
        file, self._file = self._file, None
        if file is not None:
            with file:
                file.seek(0)
                yield from file

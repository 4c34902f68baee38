"""The process's own side of `processes.isolated`: it reads its work, does it, and sends values until it is done."""

from __future__ import annotations

import os
import pickle
import pkgutil
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import IO, Any

# A value that is sent when the work has returned: it pickles, and no work sends it.
DONE = ("the work is done",)
KILL = getattr(signal, "SIGKILL", signal.SIGTERM)


def forked(request: IO[bytes]) -> None:
    """As `child`, in a process that has begun as a fork."""
    sys.path[:] = pickle.load(request)
    child(request)


def child(request: IO[bytes]) -> None:
    """The other end of `isolated`: reads the work, does it, sends values until it is done."""
    answers = os.fdopen(os.dup(1), "wb")
    # From here on a print is a line for people, never a part of the answer.
    os.dup2(2, 1)
    folder, environment, work = pickle.load(request)
    os.chdir(folder)
    _take(environment)
    payload = pickle.load(request)
    parent = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    turn = threading.Lock()

    def send(value: Any) -> None:
        # As a whole: half of what cannot be pickled would spoil what comes after it.
        pickled = pickle.dumps(value)
        with turn:
            answers.write(pickled)
            answers.flush()

    try:
        pkgutil.resolve_name(work)(payload, send)
        send(DONE)
    finally:
        sys.stdout.flush()
        answers.close()


def _end_with_parent(parent: int) -> None:
    # Nothing more is ever sent: this returns when the parent has ended, by whatever cause.
    os.read(parent, 1)
    # With all that it has started, also what is deaf to a gentler signal; a sync bears that at any instant.
    if hasattr(os, "killpg"):
        os.killpg(0, KILL)
    os._exit(1)


def _take(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
    if hasattr(time, "tzset"):
        time.tzset()

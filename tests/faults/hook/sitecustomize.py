"""Runs at the start of every Python process of a sync under test: kills it where the test says, or holds it there.

Python imports a module of this name from PYTHONPATH; the product knows nothing of it. The environment names a
folder (`FAULT_FOLDER`), where each process notes that it lives, and one fault (`FAULT`: the fields of `points.Fault`
as JSON): the n-th call of a function, before, during or after which its process is killed, or waits for the file `go`.
"""

import fcntl
import functools
import importlib.abc
import importlib.machinery
import itertools
import json
import os
import signal
import sys
import threading
import time


class Killer(importlib.abc.MetaPathFinder):
    """Wraps one function as soon as its module has been imported."""

    def __init__(self, fault):
        self._module, _, self._name = fault["function"].partition(":")
        self._when, self._nth, self._of, self._delay = (fault[key] for key in ("when", "nth", "of", "delay"))
        self._calls = itertools.count(1)
        if self._module in sys.modules:
            self._wrap(sys.modules[self._module])

    def find_spec(self, name, path=None, target=None):
        if name != self._module:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        if spec is not None:
            execute = spec.loader.exec_module

            def executed(module):
                execute(module)
                self._wrap(module)

            spec.loader.exec_module = executed
        return spec

    def _wrap(self, module):
        *owners, name = self._name.split(".")
        owner = functools.reduce(getattr, owners, module)
        setattr(owner, name, self._wrapped(getattr(owner, name)))

    def _wrapped(self, function):
        @functools.wraps(function)
        def wrapped(*arguments, **named):
            if not self._meant(arguments):
                return function(*arguments, **named)
            if self._when == "before":
                die()
            if self._when == "during":
                threading.Thread(target=self._die_later, daemon=True).start()
            result = function(*arguments, **named)
            if self._when in ("during", "after"):
                die()
            return Leaving(result, self._when) if self._when in ("leaving", "left") else result

        return wrapped

    def _meant(self, arguments):
        of = not self._of or any(self._of in str(argument) for argument in arguments)
        return of and next(self._calls) == self._nth

    def _die_later(self):
        time.sleep(self._delay)
        die()


class Leaving:
    """A context manager that kills right before or right after its block is left."""

    def __init__(self, manager, when):
        self._manager = manager
        self._when = when

    def __enter__(self):
        return self._manager.__enter__()

    def __exit__(self, *error):
        if self._when == "leaving":
            die()
        done = self._manager.__exit__(*error)
        if self._when == "left":
            die()
        return done


def die():
    os.close(os.open(f"{FOLDER}/fired", os.O_CREAT))
    if FAULT["held"]:
        # Without pathlib, which may be what is wrapped.
        while not os.path.exists(f"{FOLDER}/go"):  # noqa: PTH110
            time.sleep(0.01)
        return
    os.kill(os.getpid(), signal.SIGKILL)


def note(role):
    # The kernel lets go of the lock when the process has ended, however it ended.
    lock = os.open(f"{FOLDER}/{role}-{os.getpid()}", os.O_CREAT | os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def note_forks(role, lock):
    """The template that is forked from the planner, and each worker that is forked from it, are processes like any
    other."""

    def forked():
        nonlocal role, lock
        if lock is None:
            return
        os.close(lock)
        role = "template" if role == "planner" else "worker"
        lock = note(role)
        if role == "template":
            install(role)
        else:
            lock = None

    os.register_at_fork(after_in_child=forked)


def install(role):
    """The fault, in processes that it is meant for, and in no other."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, Killer)]
    if FAULT and (FAULT["process"] == "planner") == (role == "planner"):
        sys.meta_path.insert(0, Killer(FAULT))


FOLDER = os.environ.get("FAULT_FOLDER")
if FOLDER:
    ROLE = "planner"
    if "-c" in sys.orig_argv:
        ROLE = "template" if any("forking import serve" in text for text in sys.orig_argv) else "worker"
    FAULT = json.loads(os.environ.get("FAULT", "null"))
    LOCK = note(ROLE)
    if ROLE != "worker":
        note_forks(ROLE, LOCK)
    install(ROLE)

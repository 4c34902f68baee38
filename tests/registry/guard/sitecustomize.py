"""Keeps a process on loopback. Python imports this at its start wherever this folder is in PYTHONPATH.

A try to go elsewhere ends the process, and its host is written to the file that GUARD_FILE names.
"""

import os
import socket

HERE = ("127.0.0.1", "::1", "localhost", None, "", b"localhost", b"127.0.0.1")


class LeftLoopback(BaseException):
    """No `Exception`, so that no retry and no error boundary takes it for one of theirs."""


def _held(host: object) -> None:
    if host not in HERE:
        with open(os.environ["GUARD_FILE"], "a", encoding="utf-8") as file:  # noqa: PTH123 - imported before pathlib
            file.write(f"{host}\n")
        raise LeftLoopback(f"a request would have left this machine, to {host}")


def _guarded_connect(original):  # type: ignore[no-untyped-def]
    def connect(self, address):  # type: ignore[no-untyped-def]
        if self.family in (socket.AF_INET, socket.AF_INET6):
            _held(address[0])
        return original(self, address)

    return connect


def _guarded_lookup(original):  # type: ignore[no-untyped-def]
    def getaddrinfo(host, *arguments, **named):  # type: ignore[no-untyped-def]
        _held(host)
        return original(host, *arguments, **named)

    return getaddrinfo


if "GUARD_FILE" in os.environ:
    socket.socket.connect = _guarded_connect(socket.socket.connect)  # type: ignore[method-assign]
    socket.socket.connect_ex = _guarded_connect(socket.socket.connect_ex)  # type: ignore[method-assign]
    socket.getaddrinfo = _guarded_lookup(socket.getaddrinfo)

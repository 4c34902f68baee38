"""The program that runs another framework's connector inside that framework's environment.

It needs nothing but Python, and imports the framework only when it is asked to. What to do comes as one JSON document
on stdin, so that no secret is an argument; answers are lines of JSON on what was stdout:

    {"type": "SCHEMA", "stream": …, "schema": …, "key_properties": […]}
    {"type": "RECORD", "stream": …, "record": {…}}
    {"type": "STATE", "value": …}
    {"type": "ERROR", "stream": …, "entity": …, "message": …, "trace": …}
    {"type": "FAILED", "message": …, "place": …, "trace": …}
    {"type": "SPEC", "schema": …}
    {"type": "CHECK", "problem": …}     # none where the connector cannot tell

Whatever the connector prints goes to stderr.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback


class Lines:
    """Where answers go."""

    def __init__(self) -> None:
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)

    def __call__(self, kind: str, **said: object) -> None:
        """Says one thing. What JSON has no type for is written as text."""
        self._out.write(json.dumps({"type": kind, **said}, default=str) + "\n")
        self._out.flush()


def main() -> int:
    """Does what is asked, and gives an exit code."""
    say = Lines()
    request = json.load(sys.stdin)
    sys.path.extend(request.get("path") or ())
    adapter = importlib.import_module("of_" + request["framework"])
    try:
        # From here on the folder of this program, whose modules are no matter of the connector's, is not looked into.
        sys.path.pop(0)
        getattr(adapter, request["ask"])(request, say)
    except SystemExit as said:
        # What cannot be, in words of this program's own.
        say("FAILED", message=str(said), place="", trace="")
        return 1
    except Exception as error:  # noqa: BLE001 - connectors are other people's code
        if isinstance(error, ModuleNotFoundError) and f"{error.name}.".startswith(f"{adapter.MODULE}."):
            text = f"`{request['connector']}` needs {adapter.PACKAGE}, which is not in its environment ({error})"
            say("FAILED", message=text, place="", trace="")
            return 1
        say("FAILED", message=chain(error), place=place(error, request["path"]), trace=traceback.format_exc())
        return 1
    return 0


def chain(error: BaseException | None) -> str:
    """The error and its causes: frameworks often hide the true one behind their own."""
    said: list[str] = []
    while error is not None:
        text = f"{type(error).__name__}: {error}".strip().replace("\n", " ")
        if text not in said:
            said.append(text)
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " <- ".join(said)


def place(error: BaseException, folders: list[str]) -> str:
    """The innermost line of the project's own code that the error passed through, from the project's root."""
    root, custom = folders
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if frame.filename.startswith(custom + os.sep):
            return f"{os.path.relpath(frame.filename, root)}:{frame.lineno}"
    return ""


if __name__ == "__main__":
    sys.exit(main())

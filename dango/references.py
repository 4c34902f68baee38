"""What a value in `.dlt/secrets.toml` may stand for: a variable, an item of the system's keyring, a command's output.

A command runs only in projects that the user's own settings name: a project that was cloned must not be able to run
what it likes.
"""

from __future__ import annotations

import os
import shlex
import stat
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dango import packages
from dango.errors import DangoError, MissingPackage
from dango.project import Project
from dango.secrets import REFERENCE, SCHEME, SECRETS_FILE, read_toml

SETTINGS = "~/.config/dango/config.toml"
"""The user's own settings, for all projects."""
SECONDS = 30.0
"""How long a command may take: some ask a person for a fingerprint."""

_SERVICE = "dango"


class SecretNotFound(DangoError):
    """A value in `secrets.toml` refers to what is not there, or may not be asked."""

    exit_code = 2


class References:
    """Follows references in the values of a project's `secrets.toml`; each is followed once.

    Args:
        project: whose file it is.
        tell: takes each secret that was found, before it is given to anybody.
    """

    def __init__(self, project: Project, tell: Callable[[str], None]) -> None:
        self._project = project
        self._tell = tell
        self._found: dict[str, str] = {}

    def __call__(self, value: Any, place: str) -> Any:
        """The value with what it refers to, at any depth, in place of references.

        Args:
            value: as it stands in the file.
            place: its path of keys: `sources.shop.token`.

        Raises:
            SecretNotFound: where a reference leads nowhere.
            MissingPackage: when there is no package `keyring`.
        """
        if isinstance(value, Mapping):
            return {key: self(item, f"{place}.{key}") for key, item in value.items()}
        if isinstance(value, list):
            return [self(item, f"{place}.{position}") for position, item in enumerate(value)]
        if not isinstance(value, str):
            return value
        if not SCHEME.match(value):
            return value
        if value not in self._found:
            if found := REFERENCE.fullmatch(value):
                ways = {"env": self._variable, "keyring": self._item, "command": self._output}
                secret = ways[found[1]](found[2].strip(), f"{SECRETS_FILE}: `{place}`")
            else:
                secret = value.replace("::", ":", 1)
            self._tell(secret)
            self._found[value] = secret
        return self._found[value]

    def _variable(self, name: str, place: str) -> str:
        if value := os.environ.get(name):
            return value
        raise SecretNotFound(
            f"{place} is the environment variable {name}, which is {'not set' if name not in os.environ else 'empty'}",
            f"set it in the environment or in .env: {name}=…",
        )

    def _item(self, name: str, place: str) -> str:
        try:
            import keyring
            from keyring.errors import KeyringError
        except ImportError as error:
            raise MissingPackage(
                f"{place} stands in the system's keyring, which needs the package keyring",
                packages.install(["keyring"]),
            ) from error
        service, _, item = name.rpartition("/")
        service = service or _SERVICE
        try:
            value = keyring.get_password(service, item)
        except KeyringError as error:
            raise SecretNotFound(f"{place}: the keyring cannot be asked: {error}", "keyring diagnose") from error
        if value:
            return value
        raise SecretNotFound(
            f"{place} is the item `{item}` of `{service}` in the keyring, which has none",
            f"keyring set {service} {item}",
        )

    def _output(self, command: str, place: str) -> str:
        root = self._project.root
        if not self._may_run():
            raise SecretNotFound(
                f"{place} is the output of a command, and this project may run none",
                f"where you trust it, write in {SETTINGS}:\n[secrets]\ncommands = [{str(root)!r}]",
            )
        try:
            done = subprocess.run(
                shlex.split(command), cwd=root, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=SECONDS, check=False,
            )  # fmt: skip
        except (OSError, ValueError, subprocess.TimeoutExpired) as error:
            why = f"has not ended after {SECONDS:g} s" if isinstance(error, subprocess.TimeoutExpired) else str(error)
            raise SecretNotFound(f"{place}: its command cannot be run: {why}", f"try it: {command}") from None
        if done.returncode == 0 and (value := done.stdout.rstrip("\r\n")):
            return value
        last = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        said = f"ends with {done.returncode}: {last}" if done.returncode else "has no output"
        raise SecretNotFound(f"{place}: its command {said}", f"try it: {command}")

    def _may_run(self) -> bool:
        """Whether the user's own settings, which nobody else can write, name this very project."""
        # A project's `.env` could otherwise say where the user's settings are.
        if {"HOME", "USERPROFILE"} & self._project.dotenv.keys():
            return False
        file = Path(SETTINGS).expanduser()
        try:
            status = file.stat()
        except OSError:
            return False
        if os.name == "posix" and (status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & 0o022):
            raise SecretNotFound(f"{file} can be written by others: it is not listened to", f"chmod 600 {file}")
        allowed = read_toml(file, SETTINGS).get("secrets", {}).get("commands", [])
        return any(Path(str(folder)).expanduser().resolve() == self._project.root for folder in allowed)

"""Files over SFTP from hosts that are known. fsspec's own takes any host for the one that was meant."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import fsspec
import paramiko
from fsspec.implementations.sftp import SFTPFileSystem

from dango.errors import SourceError

PORT = 22


class KnownHost(SFTPFileSystem):  # type: ignore[misc] # fsspec has no types
    """Connects only to a host whose key is in `~/.ssh/known_hosts`, or is the one that was given as `host_key`."""

    def __init__(self, host: str, host_key: str | None = None, **ssh: Any) -> None:
        self._host_key = host_key
        super().__init__(host, **ssh)

    def _connect(self) -> None:
        port = int(self.ssh_kwargs.get("port") or PORT)
        name = self.host if port == PORT else f"[{self.host}]:{port}"
        self.client = paramiko.SSHClient()
        if self._host_key is None:
            self.client.load_system_host_keys()
        else:
            key = _read(self._host_key)
            self.client.get_host_keys().add(name, key.get_name(), key)
        try:
            self.client.connect(self.host, **self.ssh_kwargs)
        except paramiko.BadHostKeyException as error:
            raise SourceError(
                f"{name} shows another key than the one that is known of it; it may not be the host that is meant",
                "where it has a new key for a reason that you know, change it in ~/.ssh/known_hosts, or `host_key`",
            ) from error
        except paramiko.AuthenticationException as error:
            raise SourceError(f"{name} refuses the user, or the password or key: {error}") from error
        except paramiko.SSHException as error:
            raise SourceError(
                f"{name}: {error}",
                f"an unknown host is not trusted: ssh-keyscan -p {port} {self.host} shows its keys; compare them with"
                " what its owner says, then put one into ~/.ssh/known_hosts, or into `host_key`",
            ) from error
        self.ftp = self.client.open_sftp()


def use() -> None:
    """From now on `sftp://` is this, in this process."""
    for scheme in ("sftp", "ssh"):
        fsspec.register_implementation(scheme, KnownHost, clobber=True)


def _read(written: str) -> paramiko.PKey:
    """A host's key as `known_hosts` and ssh-keyscan have it. Raises `SourceError`."""
    parts = written.split()
    position = next((number for number, part in enumerate(parts) if part.startswith(("ssh-", "ecdsa-"))), len(parts))
    try:
        return paramiko.PKey.from_type_string(parts[position], base64.b64decode(parts[position + 1], validate=True))
    except (IndexError, binascii.Error, paramiko.SSHException) as error:
        raise SourceError("`host_key` is no key of a host", "such as: ssh-ed25519 AAAAC3Nz…") from error

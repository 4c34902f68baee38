"""Where files are: on the disk, S3, GCS, Azure, SFTP or HTTP. Listed, told whether they changed, and brought here."""

from __future__ import annotations

import codecs
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from fsspec import AbstractFileSystem
from fsspec.core import url_to_fs
from fsspec.utils import infer_compression

from dango.connectors.file_kinds import ENCODINGS, kind_of
from dango.connectors.places import local
from dango.errors import MissingPackage, SourceError

_PACKAGES = {
    "s3": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "abfss": "adlfs",
    "sftp": "paramiko", "ssh": "paramiko", "http": "aiohttp", "https": "aiohttp",
}  # fmt: skip
# What storages say of a file's state; whatever of it is there and differs, the file has changed.
_SIGNS = (
    "ETag", "etag", "generation", "md5Hash", "content_md5", "Content-MD5", "Digest", "Last-Modified", "LastModified",
    "last_modified", "updated", "mtime", "size",
)  # fmt: skip
_KEY_FILES = ("token", "key_filename")


@dataclass(frozen=True, slots=True)
class Found:
    """A file: its address as people write it, its path for the file system, and what tells its state."""

    address: str
    path: str
    sign: str | None
    """None where the storage says nothing by which a change would show."""
    size: int = 0


@dataclass(frozen=True, slots=True)
class Place:
    """Where files are: a path, URL or pattern, and what the storage wants to know."""

    location: str
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def scheme(self) -> str:
        """The part before `://`; `file` where there is none."""
        return self.location.partition("://")[0].lower() if "://" in self.location else "file"

    def opened(self) -> tuple[AbstractFileSystem, str]:
        """The file system and the path or pattern in it.

        Raises:
            MissingPackage: when fsspec needs a package for this storage.
            SourceError: when the storage is unknown, or a host that is not the one that is known.
        """
        written = self.location if self.scheme != "file" else str(local(self.location.removeprefix("file://")))
        try:
            if self.scheme in ("sftp", "ssh"):
                from dango.connectors import sftp

                sftp.use()
            system, path = url_to_fs(written, **self.options)
        except ImportError as error:
            package = _PACKAGES.get(self.scheme, self.scheme)
            raise MissingPackage(
                f"`{self.scheme}://` needs the package `{package}`", f"pip install {package}"
            ) from error
        except ValueError as error:
            if self.scheme in _PACKAGES:
                raise
            raise SourceError(f"`{self.scheme}://` is no storage that is known", str(error)) from error
        return system, str(path)

    def listed(self) -> Iterator[Found]:
        """The files, by name. Raises `SourceError` where the place cannot be read."""
        system, path = self.opened()
        try:
            entries = self._entries(system, path)
        except OSError as error:
            here = isinstance(error, FileNotFoundError) and "://" not in str(self.location)
            hint = "correct `location:`; what is relative begins in the project's folder" if here else ""
            raise SourceError(f"{self.location}: {_said(error)}", hint) from error
        for name, info in sorted(entries.items()):
            if info.get("type") == "file":
                yield Found(self._address(system, name), name, _sign(info), info.get("size") or 0)

    def _entries(self, system: AbstractFileSystem, path: str) -> dict[str, Any]:
        if "*" in path or (self.scheme not in ("http", "https") and any(sign in path for sign in "?[")):
            return {name: self._complete(system, name, info) for name, info in system.glob(path, detail=True).items()}
        if self.scheme not in ("http", "https") and system.isdir(path):
            return {
                name: info
                for name, info in system.find(path, detail=True).items()
                if kind_of(name) is not None and not PurePosixPath(name).name.startswith(".")
            }
        return {path: {**system.info(path), "type": "file"}}

    def _complete(self, system: AbstractFileSystem, name: str, info: dict[str, Any]) -> dict[str, Any]:
        """Of a page of links no more is known than where they lead."""
        return {**info, **system.info(name)} if self.scheme in ("http", "https") and info["type"] == "file" else info

    def _address(self, system: AbstractFileSystem, name: str) -> str:
        if self.scheme != "file":
            return str(system.unstrip_protocol(name))
        root = local("")
        return Path(name).relative_to(root).as_posix() if Path(name).is_relative_to(root) else name


def _sign(info: Mapping[str, Any]) -> str | None:
    said = [f"{key}={info[key]}" for key in _SIGNS if info.get(key) is not None]
    # A size alone stays the same when a digit changes.
    return digest(" ".join(said).encode()) if any(not text.startswith("size") for text in said) else None


def _said(error: BaseException) -> str:
    """Some say only by their type what is wrong."""
    return str(getattr(error, "strerror", None) or "") or str(error) or type(error).__name__


def digest(data: bytes) -> str:
    """By which contents are told apart: 64 bits, as hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()[:16]


def given(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options without groups of which nothing is given, and key files where they are."""
    said = {key: given(value) if isinstance(value, Mapping) else value for key, value in options.items()}
    keys = {key: str(local(str(said[key]))) for key in _KEY_FILES if key in said}
    files = {key: path for key, path in keys.items() if Path(path).is_file()}
    return {key: value for key, value in {**said, **files}.items() if value != {}}


@contextmanager
def at_hand(system: AbstractFileSystem, file: Found, encoding: str | None) -> Iterator[Path]:
    """The file on this disk, unpacked and in UTF-8."""
    packed = infer_compression(file.path.partition("?")[0])
    foreign = encoding is not None and codecs.lookup(encoding).name not in ("utf-8", "ascii")
    if "file" in _protocols(system) and not packed and not foreign:
        yield Path(file.path)
        return
    with tempfile.TemporaryDirectory(prefix="dango-files-") as folder:
        plain = Path(folder) / "file"
        try:
            with system.open(file.path, "rb", compression=packed) as source, plain.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            if foreign:
                plain = _in_utf8(plain, str(encoding))
        except UnicodeError as error:
            why = error.reason if isinstance(error, UnicodeDecodeError) else error
            raise SourceError(f"{file.address}: it is not in {encoding}: {why}", ENCODINGS) from error
        except (OSError, EOFError) as error:
            raise SourceError(f"{file.address}: {_said(error)}") from error
        yield plain


def require_encoding(name: str) -> None:
    """Raises `SourceError` where there is no such encoding."""
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise SourceError(f"there is no encoding `{name}`", ENCODINGS) from error


def _in_utf8(file: Path, encoding: str) -> Path:
    other = file.with_name("utf8")
    with file.open(encoding=encoding, newline="") as source, other.open("w", encoding="utf-8", newline="") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    return other


def _protocols(system: AbstractFileSystem) -> tuple[str, ...]:
    return (system.protocol,) if isinstance(system.protocol, str) else tuple(system.protocol)

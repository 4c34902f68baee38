"""What goes wrong with a database, in words for whoever runs it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from dango.connectors.sql_dialects import PACKAGES
from dango.errors import DangoError, MissingPackage, SourceError

_BELOW = (
    ("requests.exceptions", "RequestException"),
    ("urllib3.exceptions", "HTTPError"),
    ("google.auth.exceptions", "GoogleAuthError"),
    ("google.api_core.exceptions", "GoogleAPIError"),
)
"""What drivers let through of the libraries that they are made of."""


@contextmanager
def translated(url: sa.URL) -> Iterator[sa.URL]:
    """What goes wrong with a database, in its own words and without SQLAlchemy's; the password is in none of it."""
    try:
        yield url
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        raise MissingPackage(
            f"the driver `{missing}` for {url.get_backend_name()} is not installed",
            _install(PACKAGES.get(missing, missing)),
        ) from error
    except ImportError as error:
        raise SourceError(
            f"the driver of {url.drivername} cannot be loaded: {error}",
            "it needs a library of the system's: see what its vendor says about installing it",
        ) from error
    except sa.exc.NoSuchModuleError as error:
        raise _no_dialect(url) from error
    except sa.exc.DBAPIError as error:
        raise SourceError(_without(url.password, _words(error.orig, url)), _at(url)) from None
    except sa.exc.ArgumentError as error:
        raise SourceError(_without(url.password, str(error)), _at(url)) from None
    except _below() as error:
        raise SourceError(_without(url.password, _words(error, url)), _at(url)) from None


def place(url: sa.URL) -> str:
    """Where a database is, without the password and the like."""
    return url.set(password=None, query={}).render_as_string()


def _at(url: sa.URL) -> str:
    return f"the database is {place(url)}"


def _install(package: str) -> str:
    return f'pip install "{package}"'


def _no_dialect(url: sa.URL) -> DangoError:
    if package := PACKAGES.get(url.get_backend_name()):
        return MissingPackage(f"the dialect of {url.get_backend_name()} is not installed", _install(package))
    return SourceError(
        f"SQLAlchemy knows no database `{url.drivername}`",
        "the part before `://` names it, such as postgresql+psycopg2; is the package with its dialect installed?",
    )


def _below() -> tuple[type[BaseException], ...]:
    """Those of the libraries that are loaded: what is not cannot have raised anything."""
    return tuple(getattr(sys.modules[module], name) for module, name in _BELOW if module in sys.modules)


def _words(error: BaseException | None, url: sa.URL) -> str:
    """A driver's message; some put a number before it, one says it in bytes, and others speak of their pools."""
    if refused := _refusal(error):
        port = f":{url.port}" if url.port else ""
        return f"no connection to {url.host}{port}: {refused.strerror}"
    arguments: object = getattr(error, "args", ())
    while isinstance(arguments, tuple) and len(arguments) == 1:
        (arguments,) = arguments
    numbered = isinstance(arguments, tuple) and len(arguments) == 2 and isinstance(arguments[0], int)
    said = arguments[1] if numbered and isinstance(arguments, tuple) else error
    text = said.decode(errors="replace") if isinstance(said, bytes) else str(said)
    # FreeTDS says everything twice.
    return " ".join(dict.fromkeys(" ".join(line.split()) for line in text.splitlines()))


def _refusal(error: BaseException | None) -> OSError | None:
    """What the system said, where the driver speaks HTTP: its own message is about retries."""
    below: list[BaseException] = []
    while error is not None and error not in below:
        below.append(error)
        error = getattr(error, "reason", None) or error.__cause__ or error.__context__
        error = error if isinstance(error, BaseException) else None
    http = any(type(each).__module__.startswith("urllib3") for each in below)
    return next((each for each in below if isinstance(each, OSError) and each.strerror), None) if http else None


def _without(password: object, text: str) -> str:
    return text.replace(str(password), "***") if password else text

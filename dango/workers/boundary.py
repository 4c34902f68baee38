"""Where other people's code ends: whatever a source raises or exits with becomes a value, with its secrets masked."""

from __future__ import annotations

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
from dlt.destinations.exceptions import DestinationConnectionError

from dango.dlt_internals import providers
from dango.dlt_internals.names import (
    ConfigFieldMissingException,
    IncrementalCursorInvalidCoercion,
    ValueNotSecretException,
)
from dango.errors import DangoError, DestinationError, OutOfMemory, chain, page_of, root_cause
from dango.job import Event, Job, RunError, Secrets
from dango.load import destinations
from dango.load.room import no_room
from dango.project import Project
from dango.references import References
from dango.secrets import Mask, project_mask
from dango.sources.resolve import Resolved, missing_secret, secret_in_git
from dango.workers.processes import Send

_DECIMAL = "tell its column under `resources:` (columns: {{COLUMN: {{data_type: decimal, precision: 38, scale: %d}}}})"
# Of values that no column holds, of which libraries do not say more: by the kind of an error and what it says.
_OF_VALUES = {
    ("ArrowInvalid", "decimal"): "a decimal has more digits than a column of which none are told, 38 with 9 of them"
    " after the point: " + _DECIMAL % 18 + ", then dango sync {source} --full-refresh",
    ("ArrowInvalid", "casting from timestamp[ns"): "a time has nanoseconds, and columns have microseconds: cut it, in"
    " pandas by `.dt.floor('us')`",
    ("OverflowError", "int too large"): "an integer is larger than a bigint, which ends at 2^63 - 1: " + _DECIMAL % 0,
    ("TypeError", "integer exceeds 64-bit"): "give an integer of more than 64 bits as a Decimal, or as text",
    ("TypeError", "not json serializable"): "give a value of this type as text, a number, a list or a dict",
}


@contextmanager
def boundary(job: Job, mask: Mask, project: Project | None = None) -> Iterator[list[RunError]]:
    """Whatever the block raises is in the list afterwards, told; nothing passes.

    Args:
        job: whose source raises it.
        mask: of its secrets.
        project: whose job it is, where that has been read already: hundreds of sources may fail.
    """
    failures: list[RunError] = []
    try:
        yield failures
    except BaseException as error:  # noqa: BLE001 - sources are other people's code; one must not stop the rest
        failures.append(run_error(error, job, mask, project))


def run_error(error: BaseException, job: Job, mask: Mask, project: Project | None = None) -> RunError:
    """What went wrong and where, with every secret taken out of it."""
    cause = _meant(error, job)
    trace = mask("".join(traceback.format_exception(type(error), error, error.__traceback__)))
    if isinstance(cause, DangoError):
        place = cause.place
        if cause.loc and not place:
            place = (project or Project(job.root)).place(job.source.name, cause.loc)
        message, hint, kind = mask(cause.message), mask(cause.hint), type(cause).__name__
        return RunError(kind, message, hint, place, trace, cause.exit_code, cause.docs)
    kind = type(cause).__name__
    if isinstance(cause, SystemExit):
        message = f"the source ends the program (sys.exit {cause.code!r})"
    else:
        message = f"{kind}: {cause}" if str(cause) else kind
    place, docs = _place(cause, job.root), page_of("ErrorOfASource")
    return RunError(kind, mask(message.strip()), mask(_advice(cause, job)), place, trace, docs=docs)


def _meant(error: BaseException, job: Job) -> BaseException:
    """The root cause, in the words of dango's own errors where it has some for it."""
    cause = root_cause(error)
    if full := no_room(error, job.root):
        return full
    match cause:
        case DangoError():
            return cause
        case ConfigFieldMissingException():
            return missing_secret(cause, job.source.name)
        case ValueNotSecretException():
            return secret_in_git(cause)
        case MemoryError() | duckdb.OutOfMemoryException():
            # DuckDB adds paragraphs of advice.
            return OutOfMemory(str(cause).partition("\n")[0], place=_place(cause, job.root))
        case duckdb.IOException():
            return destinations.connection_error(cause, job.destination.name)
    if any(isinstance(each, DestinationConnectionError) for each in chain(error)):
        return _lost(cause, job)
    return cause


def _lost(cause: BaseException, job: Job) -> DestinationError:
    """What is said of a destination that could be reached when the job began."""
    return DestinationError(
        f"destination `{job.destination.name}` was lost: {' '.join(str(cause).split())}",
        f"when it is back: dango sync {job.source.name}; it goes on from what is loaded",
    )


def _advice(cause: BaseException, job: Job) -> str:
    """The next command, where the kind of the error says which."""
    if isinstance(cause, OSError) and cause.errno in (13, 30):
        return "dango writes in .dango/ and data/: make the folder writable"
    if isinstance(cause, IncrementalCursorInvalidCoercion):
        return "the cursor's first value is of another type than its field: for text write it in quotes, '2024-01-01'"
    said = str(cause).lower()
    for (kind, text), advice in _OF_VALUES.items():
        if type(cause).__name__ == kind and text in said:
            return advice.format(source=job.source.name)
    if getattr(getattr(cause, "response", None), "status_code", None) in (401, 403):
        return f"the credentials are refused; where each comes from: dango explain {job.source.name}"
    return f"the whole traceback: dango --debug history {job.run}" if job.run else ""


def _place(error: BaseException, root: Path) -> str:
    """The innermost line of the project's own code that the error passed through."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if Path(frame.filename).is_relative_to(Project(root).custom_sources):
            return f"{Path(frame.filename).relative_to(root).as_posix()}:{frame.lineno}"
    return ""


def masking(project: Project, send: Send) -> Mask:
    """What hides the project's secrets from here on, also those that `secrets.toml` only refers to."""
    mask = project_mask(project, os.environ)
    following(project, mask, send)
    return mask


def following(project: Project, mask: Mask, send: Send) -> None:
    """What `secrets.toml` only refers to is found from here on, and hidden on both sides."""
    if project.entrusted is not None:
        # What it refers to has been found where the file is.
        return

    def tell(secret: str) -> None:
        mask.add(secret)
        send(Secrets((secret,)))

    providers.follow(References(project, tell))


def reveal(resolved: Resolved, mask: Mask, send: Send) -> None:
    """The source's signature says what is secret; from here on both sides mask it."""
    secrets = tuple(resolved.secrets.values())
    mask.add(*secrets)
    send(Secrets(secrets))


def importing(job: Job) -> Event:
    block = job.source.dlt_native
    return Event(job.source.name, "import", message=f"`{block.source_module if block else job.source.type}`")

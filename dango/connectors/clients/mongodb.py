"""Collections of a MongoDB database: documents as they are, their values as types that a warehouse has."""

# Annotations are not postponed: dlt looks at that of `incremental`, and knows no names of this file.

import threading
import uuid
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from decimal import Decimal
from functools import partial
from itertools import islice
from typing import Any, Protocol, cast

import dlt
from bson import Code, DBRef, Decimal128, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.binary import UuidRepresentation
from bson.codec_options import CodecOptions, DatetimeConversion, TypeDecoder, TypeRegistry
from bson.datetime_ms import DatetimeMS
from bson.int64 import Int64
from dlt.sources import DltResource
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import ConfigurationError, OperationFailure, PyMongoError, ServerSelectionTimeoutError

from dango.connectors.clients.turns import in_turn
from dango.connectors.cursor_columns import as_table
from dango.connectors.places import existing
from dango.errors import SourceError, near
from dango.probe import Inspection, Table

CONNECT_SECONDS = 10
DOCUMENTS_AT_ONCE = 1000
SEEN = 20
"""Documents of a collection that are looked at to tell its fields."""
LARGEST = Decimal(10) ** 29
"""What a decimal column has no room for: dlt's have 38 digits, 9 of them after the point."""
_FORBIDDEN, _REFUSED = 13, 18  # the server's codes
_KINDS = {"datetime": "timestamp", "int": "bigint", "Int64": "bigint"}

Document = dict[str, Any]


class Opened(Protocol):
    """Opens the database; by a name of its own, since dlt cannot look at `Callable[…]` with Python 3.10."""

    def __call__(self) -> AbstractContextManager[Database[Document]]: ...


def collections(
    url: str = dlt.secrets.value,
    database: str | None = None,
    collection_names: list[str] | None = None,
    leave_out: list[str] | None = None,
    read_preference: str | None = None,
    tls_ca_file: str | None = None,
) -> list[DltResource]:
    """A resource for each collection and view of a database; the key of a document is its `_id`.

    Args:
        url: `mongodb://` or `mongodb+srv://`, with user and password where the server asks for them.
        database: whose collections; that of the URL where it is not given.
        collection_names: which; without them all but the system's.
        leave_out: fields that are not asked for, `customer.email` for nested ones.
        read_preference: which members of a replica set may be asked, as `secondaryPreferred`.
        tls_ca_file: the certificate authority of the server's certificate.

    Raises:
        SourceError: when the server cannot be reached or refuses, or there is no collection of a name.
    """
    opened = partial(_opened, url, database, read_preference, tls_ca_file)
    with opened() as found:
        names, where = _names(found), found.name
    for name in collection_names or ():
        if name not in names:
            raise SourceError(
                f"there is no collection `{name}`{near(name, names)} in the database `{where}`",
                f"its collections: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}",
                loc=("resources", name),
            )
    left_out, turn = dict.fromkeys(leave_out or (), 0), threading.Lock()
    return [
        dlt.resource(_documents, name=name, primary_key="_id")(opened, name, left_out, turn)
        for name in collection_names or names
    ]


def _documents(
    opened: Opened,
    name: str,
    left_out: Mapping[str, int],
    turn: threading.Lock,
    incremental: dlt.sources.incremental[Any] | None = None,
) -> Iterator[list[Document] | None]:
    yield from in_turn(turn, _pages(opened, name, left_out, incremental))


def _pages(
    opened: Opened, name: str, left_out: Mapping[str, int], incremental: dlt.sources.incremental[Any] | None
) -> Iterator[list[Document]]:
    with opened() as database:
        collection = database[name]
        query = {} if incremental is None else _between(collection, incremental)
        with collection.find(query, left_out or None, batch_size=DOCUMENTS_AT_ONCE) as cursor:
            while page := list(islice(cursor, DOCUMENTS_AT_ONCE)):
                yield page


def _between(collection: Collection[Document], incremental: dlt.sources.incremental[Any]) -> Document:
    """The documents from where the cursor stands, and those whose cursor is missing or of another type.

    The latter `$gte` would leave out and say nothing; they are dlt's to judge.
    """
    field = incremental.cursor_path
    ends = {"$lt": incremental.last_value, "$gt": incremental.end_value}
    kind = _kind(collection, field) if any(value is not None for value in ends.values()) else None
    conditions = [{field: {"$not": {sign: _as(kind, end)}}} for sign, end in ends.items() if end is not None]
    return {"$and": conditions} if conditions else {}


def _kind(collection: Collection[Document], field: str) -> type[Any]:
    """The type in which a field is stored."""
    stored: Collection[Document] = collection.with_options(_STORED)
    found: Any = stored.find_one({field: {"$ne": None}}, {field: 1})
    for key in field.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return type(found)


def _as(kind: type[Any] | None, value: Any) -> Any:
    """What the server compares only with its like, in that type."""
    if kind is ObjectId:
        return ObjectId(value)
    return Decimal128(value) if isinstance(value, Decimal) else value


@contextmanager
def _opened(
    url: str, database: str | None, read_preference: str | None = None, tls_ca_file: str | None = None
) -> Iterator[Database[Document]]:
    """The database. Raises `SourceError` for what goes wrong with it."""
    with _client(url, read_preference, tls_ca_file) as client:
        found = _named(client, database)
        try:
            yield found
        except ServerSelectionTimeoutError as error:
            raise SourceError(
                f"no MongoDB server answers: {_unreachable(client) or error}",
                "is the host right, and does its firewall (Atlas: Network Access) let this machine in?",
            ) from error
        except OperationFailure as error:
            said = str((error.details or {}).get("errmsg") or error)
            raise SourceError(
                f"MongoDB refuses the database `{found.name}`: {said}", _remedy(error.code, found.name)
            ) from error
        except PyMongoError as error:
            raise SourceError(f"MongoDB, the database `{found.name}`: {error}") from error


def _client(url: str, read_preference: str | None, tls_ca_file: str | None) -> MongoClient[Document]:
    options: dict[str, Any] = {
        "readPreference": read_preference,
        "tlsCAFile": str(existing(tls_ca_file, "certificate")) if tls_ca_file else None,
    }
    try:
        return MongoClient(
            url,
            appname="dango",
            connect=False,
            serverSelectionTimeoutMS=int(CONNECT_SECONDS * 1000),
            connectTimeoutMS=int(CONNECT_SECONDS * 1000),
            **{name: value for name, value in options.items() if value is not None},
        )
    except ConfigurationError as error:
        raise _unusable(error) from error


def _named(client: MongoClient[Document], database: str | None) -> Database[Document]:
    try:
        return client.get_database(database or client.get_default_database().name, codec_options=_CODECS)
    except ConfigurationError as error:
        raise _unusable(error) from error


def _unusable(error: ConfigurationError) -> SourceError:
    """Of a URL that is none, or has no database, and of a name that no DNS knows."""
    return SourceError(
        f"MongoDB's URL cannot be used: {error}",
        "it looks like mongodb+srv://user:password@host; in a password, what is no letter or digit is written as in"
        " any URL: @ is %40",
    )


def _remedy(code: int | None, database: str) -> str:
    if code == _REFUSED:
        return "user and password stand in the URL; `?authSource=admin` says where the user was made"
    if code == _FORBIDDEN:
        return f"the user needs the role `read` on `{database}`"
    return ""


def _unreachable(client: MongoClient[Document]) -> str:
    servers = client.topology_description.server_descriptions().items()
    return "; ".join(f"{host}:{port}: {server.error}" for (host, port), server in servers if server.error)


def _names(database: Database[Document]) -> list[str]:
    return sorted(name for name in database.list_collection_names() if not name.startswith("system."))


def _decimal(value: Decimal128) -> Decimal:
    number = value.to_decimal()
    if not number.is_finite() or abs(number) >= LARGEST:
        raise SourceError(
            f"a document has the decimal {value}, for which no column has room",
            "leave its field out: `leave_out: [FIELD]` in the source's block",
        )
    return number


_PLAIN: Mapping[type[Any], Any] = {
    ObjectId: str,
    uuid.UUID: str,
    Int64: int,
    DatetimeMS: int,  # of a year that Python has not
    Timestamp: Timestamp.as_datetime,
    Decimal128: _decimal,
    Regex: lambda value: str(value.pattern),
    Code: str,
    DBRef: lambda value: {"collection": value.collection, "id": str(value.id)},
    MinKey: lambda value: "MinKey",
    MaxKey: lambda value: "MaxKey",
}


def _decoder(kind: type[Any], convert: Any) -> TypeDecoder:
    """For bson's decoder, which then makes each value only once."""
    made = type("Decoder", (TypeDecoder,), {"bson_type": kind, "transform_bson": lambda self, value: convert(value)})
    return cast(TypeDecoder, made())


_CODECS: CodecOptions[Document] = CodecOptions(
    tz_aware=True,
    uuid_representation=UuidRepresentation.STANDARD,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    type_registry=TypeRegistry([_decoder(kind, convert) for kind, convert in _PLAIN.items()]),
)
_STORED: CodecOptions[Document] = CodecOptions(datetime_conversion=DatetimeConversion.DATETIME_AUTO)


def inspect(
    url: str, database: str | None = None, read_preference: str | None = None, tls_ca_file: str | None = None, **_: Any
) -> Inspection:
    """Asks a server for its databases, and for the collections of one. Raises `SourceError`."""
    with _opened(url, database, read_preference, tls_ca_file) as opened:
        names = _names(opened)
        version = str(opened.client.server_info().get("version", ""))
        return Inspection(
            server=f"MongoDB {version}",
            problems=() if names else (f"no collections in the database `{opened.name}`",),
            choices={"databases": tuple(opened.client.list_database_names())},
            tables=tuple(_table(opened[name]) for name in names),
        )


def _table(collection: Collection[Document]) -> Table:
    """What its first documents tell of a collection."""
    kinds: dict[str, str] = {}
    for document in collection.find(limit=SEEN):
        kinds |= {name: _KINDS.get(type(value).__name__, "") for name, value in document.items() if value is not None}
    return as_table(collection.name, kinds, ("_id",), rows=collection.estimated_document_count())

"""Streams of Amazon Kinesis: shard by shard, from where the last sync stood to where this one began.

The position is kept in dlt's state, which is loaded together with the records; there is no table of leases.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import boto3
import dlt
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from dlt.sources import DltResource

from dango.connectors.clients.payloads import READ, Form, Start, require_time, shown
from dango.errors import SourceError, near
from dango.failed import Failed
from dango.probe import Inspection, Table

RECORDS_AT_ONCE = 1000
KEY = ("stream", "shard", "sequence_number")
COLUMNS = (*KEY, "arrived", "partition_key", "value")
ENDED = "ended"
"""The position of a shard that was split or merged, and of which all is loaded."""
_CONFIG = Config(retries={"max_attempts": 8, "mode": "standard"}, connect_timeout=10, read_timeout=60)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose streams; what is not said is found as the AWS tools find it."""

    region: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    endpoint_url: str | None = None

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """boto3's client. Raises `SourceError` for what goes wrong with it."""
        try:
            yield boto3.client(
                "kinesis",
                region_name=self.region,
                aws_access_key_id=self.access_key_id,
                aws_secret_access_key=self.secret_access_key,
                endpoint_url=self.endpoint_url,
                config=_CONFIG,
            )
        except ClientError as error:
            said = error.response.get("Error", {})
            raise SourceError(
                f"Kinesis refuses {error.operation_name}: {said.get('Message') or said.get('Code')}",
                "the key needs the rights kinesis:ListStreams, DescribeStreamSummary, ListShards, GetShardIterator and"
                " GetRecords",
            ) from error
        except BotoCoreError as error:
            raise SourceError(f"Kinesis: {error}", "are region and keys right?") from error


def streams(
    region: str | None = None,
    stream_names: list[str] | None = None,
    value_format: Form = "json",
    start: Start = "earliest",
    start_time: dt.datetime | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    endpoint_url: str | None = None,
) -> list[DltResource]:
    """A resource for each stream: a row for each record, by stream, shard and sequence number.

    Args:
        region: where the streams are.
        stream_names: which; without them all.
        value_format: what the records are. One that is not is a failed record.
        start: where a stream begins of which nothing was loaded.
        start_time: of the first record, where `start` is `time`.
        access_key_id: what the AWS tools find on this machine, where it is not given.
        secret_access_key: of that key.
        endpoint_url: of a service that speaks as Kinesis does.

    Raises:
        SourceError: when Kinesis cannot be reached or refuses, or there is no stream of a name.
    """
    require_time(start, start_time)
    account = Account(region, access_key_id, secret_access_key, endpoint_url)
    with account.opened() as client:
        names = _names(client)
    for name in stream_names or ():
        if name not in names:
            raise SourceError(
                f"there is no stream `{name}`{near(name, names)} in this account and region",
                f"its streams: {', '.join(names[:20])}{', …' if len(names) > 20 else ''}",
                loc=("resources", name),
            )
    now = dt.datetime.now(dt.timezone.utc)
    begin = {"earliest": None, "latest": now, "time": start_time}[start]
    return [
        dlt.resource(_records, name=name, primary_key=KEY, write_disposition="merge")(
            name, account, value_format, begin, now
        )
        for name in stream_names or names
    ]


def _names(client: Any) -> list[str]:
    return [name for page in client.get_paginator("list_streams").paginate() for name in page["StreamNames"]]


def _records(
    stream: str, account: Account, form: Form, begin: dt.datetime | None, now: dt.datetime
) -> Iterator[list[dict[str, Any] | Failed]]:
    state = dlt.current.resource_state()
    if dlt.current.resource().write_disposition == "replace":
        # A table that is written anew wants all records, loaded before or not.
        state.clear()
    # Shards that come later are read from there, too: what they hold is newer.
    since = state.setdefault("since", begin.timestamp() if begin else None)
    with account.opened() as client:
        _require_kept(client, stream, state.get("synced"), now)
        shards = {shard["ShardId"]: shard for shard in _shards(client, stream)}
        known: dict[str, str] = state.setdefault("shards", {})
        for name in _parents_first(shards):
            position = known.get(name)
            if position == ENDED or (position is None and since is not None and since >= now.timestamp()):
                continue
            # What was split or merged ends by itself.
            ends = "EndingSequenceNumber" in shards[name]["SequenceNumberRange"]
            for records in _pages(client, stream, name, _from(position, since), None if ends else now):
                yield [_row(stream, name, record, form) for record in records]
                known[name] = records[-1]["SequenceNumber"]
            if ends:
                known[name] = ENDED
        state["shards"] = {name: position for name, position in known.items() if name in shards}
        state["synced"] = now.timestamp()


def _require_kept(client: Any, stream: str, synced: float | None, now: dt.datetime) -> None:
    """Checks that no record can have been deleted since the last sync. Raises `SourceError`."""
    hours = client.describe_stream_summary(StreamName=stream)["StreamDescriptionSummary"]["RetentionPeriodHours"]
    if synced is None or now.timestamp() - synced < hours * 3600:
        return
    raise SourceError(
        f"the stream `{stream}` keeps records for {hours} hours, and was last loaded"
        f" {(now.timestamp() - synced) / 3600:.0f} hours ago: some may be lost",
        f"to go on with what there is, which doubles no row: dango source cursor NAME {stream} --reset",
        loc=("resources", stream),
    )


def _shards(client: Any, stream: str) -> Iterator[dict[str, Any]]:
    asked: dict[str, Any] = {"StreamName": stream}
    while asked:
        page = client.list_shards(**asked)
        yield from page["Shards"]
        asked = {"NextToken": page["NextToken"]} if page.get("NextToken") else {}


def _parents_first(shards: Mapping[str, Mapping[str, Any]]) -> Iterable[str]:
    """What was written to a shard before it was split or merged is older than what its children hold."""
    done: dict[str, None] = {}

    def visit(name: str) -> None:
        for key in ("ParentShardId", "AdjacentParentShardId"):
            parent = shards[name].get(key)
            if parent is not None and parent in shards and parent not in done:
                visit(parent)
        done[name] = None

    for name in shards:
        if name not in done:
            visit(name)
    return done


def _from(position: str | None, since: float | None) -> dict[str, Any]:
    if position is not None:
        return {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": position}
    if since is not None:
        return {"ShardIteratorType": "AT_TIMESTAMP", "Timestamp": since}
    return {"ShardIteratorType": "TRIM_HORIZON"}


def _pages(
    client: Any, stream: str, shard: str, start: Mapping[str, Any], until: dt.datetime | None
) -> Iterator[list[dict[str, Any]]]:
    """The records of a shard, without those that came after `until`."""
    iterator = client.get_shard_iterator(StreamName=stream, ShardId=shard, **start)["ShardIterator"]
    while iterator:
        page = client.get_records(ShardIterator=iterator, Limit=RECORDS_AT_ONCE)
        records = [each for each in page["Records"] if not until or each["ApproximateArrivalTimestamp"] <= until]
        if records:
            yield records
        caught_up = not page["Records"] and not page["MillisBehindLatest"]
        if caught_up or len(records) < len(page["Records"]):
            return
        iterator = page.get("NextShardIterator")


def _row(stream: str, shard: str, record: Mapping[str, Any], form: Form) -> dict[str, Any] | Failed:
    place = {"stream": stream, "shard": shard, "sequence_number": record["SequenceNumber"]}
    try:
        return {
            **place,
            "arrived": record["ApproximateArrivalTimestamp"].astimezone(dt.timezone.utc),
            "partition_key": record["PartitionKey"],
            "value": READ[form](record["Data"]),
        }
    except ValueError as error:
        return Failed({**place, "value": shown(record["Data"])}, error, "/".join(place.values()))


def inspect(
    region: str | None = None,
    access_key_id: str | None = None,
    secret_access_key: str | None = None,
    endpoint_url: str | None = None,
    **_: Any,
) -> Inspection:
    """Asks an account for its streams. Raises `SourceError`."""
    with Account(region, access_key_id, secret_access_key, endpoint_url).opened() as client:
        names, place = _names(client), client.meta.region_name
    return Inspection(
        server=f"Kinesis, {place}",
        problems=() if names else (f"there are no streams in {place}",),
        tables=tuple(Table(name, KEY, columns=COLUMNS, resumes=True) for name in names),
    )

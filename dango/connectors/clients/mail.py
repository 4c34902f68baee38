"""A message of e-mail as columns."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, Literal

JSON = ("to", "cc", "attachments")
"""Columns that hold lists."""


def message(raw: bytes) -> EmailMessage:
    """What stands in the bytes, also where it is not as it should be."""
    return message_from_bytes(raw, policy=policy.default)


def headers(message: EmailMessage) -> dict[str, Any]:
    """What a message says of itself: who, to whom, when, about what."""
    date = getattr(message["date"], "datetime", None)
    sender = next(iter(_addresses(message["from"])), {})
    return {
        "message_id": _header(message, "message-id"),
        "in_reply_to": _header(message, "in-reply-to"),
        "date": date.replace(tzinfo=date.tzinfo or dt.timezone.utc) if date else None,
        "from_name": sender.get("name"),
        "from_address": sender.get("address"),
        "to": _addresses(message["to"]),
        "cc": _addresses(message["cc"]),
        "subject": _header(message, "subject"),
    }


def _header(message: EmailMessage, name: str) -> str | None:
    return str(message[name]).strip() if message[name] is not None else None


def _addresses(header: Any) -> list[dict[str, str]]:
    found: Iterable[Any] = getattr(header, "addresses", ())
    return [{"name": each.display_name, "address": each.addr_spec} for each in found]


def contents(message: EmailMessage) -> dict[str, Any]:
    """Its texts, and what is attached to it."""
    return {
        "text": _body(message, "plain"),
        "html": _body(message, "html"),
        "attachments": [
            {"name": part.get_filename(), "type": part.get_content_type(), "size": len(_data(part))}
            for part in message.iter_attachments()
        ],
    }


def _body(message: EmailMessage, kind: Literal["plain", "html"]) -> str | None:
    part = message.get_body((kind,))
    if part is None:
        return None
    try:
        return str(part.get_content()).replace("\r\n", "\n")
    except LookupError:  # a character set that nobody knows
        return _data(part).decode(errors="replace")


def _data(part: Any) -> bytes:
    data = part.get_payload(decode=True)
    return data if isinstance(data, bytes) else b""

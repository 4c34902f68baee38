"""A mailbox of a real Dovecot: what messages become, what a second sync loads, and that nothing is changed."""

from __future__ import annotations

import datetime as dt
import json
import secrets
from email.message import EmailMessage
from typing import Any

import pytest

from dango.connectors.clients import imap
from dango.errors import SourceError
from tests.connectors.loading import Dango, Rows, Write, closed_port, loaded, source
from tests.fixtures_dovecot import PASSWORD, Dovecot


@pytest.fixture
def user() -> str:
    """Somebody whose mailbox is empty."""
    return f"ann-{secrets.token_hex(4)}"


def letter(subject: str, text: str = "Hello\n") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"] = "Bob Bü <bob@b.example>", "Ann <ann@a.example>, cid@c.example"
    message["Subject"], message["Message-ID"] = subject, f"<{secrets.token_hex(8)}@b.example>"
    message["Date"] = dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=dt.timezone(dt.timedelta(hours=2)))
    message.set_content(text)
    return message


def fields(server: Dovecot, user: str, **more: Any) -> dict[str, Any]:
    return {"host": "127.0.0.1", "port": server.tls, "user": user, "ca_file": server.authority, **more}


def opened(server: Dovecot, user: str, **more: Any) -> list[dict[str, Any]]:
    return list(imap.messages(**{**fields(server, user), "password": PASSWORD, **more}))


SECRET = {"SOURCES__SHOP__PASSWORD": PASSWORD}


@pytest.mark.slow
def test_a_second_sync_loads_only_new_messages_and_none_is_marked_as_read(
    dovecot: Dovecot, user: str, write: Write, dango: Dango, rows: Rows
) -> None:
    dovecot.deliver(user, *(letter(f"Letter {number}") for number in range(5)))
    write({"sources": source("imap", fields(dovecot, user))})
    assert loaded(dango("sync", "--json", env=SECRET)) == {"messages": 5}
    assert loaded(dango("sync", "--json", env=SECRET)) == {}

    dovecot.deliver(user, letter("Grüße"))
    assert loaded(dango("sync", "--json", env=SECRET)) == {"messages": 1}
    assert rows('SELECT from_name, from_address, "to", subject, text, epoch("date"), flags FROM raw_shop.messages'
                " ORDER BY uid DESC LIMIT 1") == [
        (
            "Bob Bü", "bob@b.example",
            '[{"name":"Ann","address":"ann@a.example"},{"name":"","address":"cid@c.example"}]',
            "Grüße", "Hello\n", 1704157445.0, '["\\\\Recent"]',
        )
    ]  # fmt: skip
    with dovecot.writing(user) as connection:
        connection.select("INBOX", readonly=True)
        assert connection.search(None, "SEEN") == ("OK", [b""])


@pytest.mark.slow
def test_after_a_folder_that_failed_the_next_sync_loads_all_and_none_twice(
    dovecot: Dovecot, user: str, write: Write, dango: Dango, rows: Rows
) -> None:
    dovecot.deliver(user, letter("a"), letter("b"))
    write({"sources": source("imap", fields(dovecot, user, folders=["INBOX", "Archiv"]))})
    failed = dango("sync", env=SECRET)
    assert failed.code == 1
    assert "there is no folder `Archiv`" in failed.err

    with dovecot.writing(user) as connection:
        connection.create("Archiv")
    dovecot.deliver(user, letter("c"), folder="Archiv")
    assert loaded(dango("sync", "--json", env=SECRET)) == {"messages": 3}
    assert rows("SELECT folder, subject FROM raw_shop.messages ORDER BY subject") == [
        ("INBOX", "a"), ("INBOX", "b"), ("Archiv", "c")
    ]  # fmt: skip


@pytest.mark.slow
def test_a_wrong_password_is_told_and_not_shown(dovecot: Dovecot, user: str, write: Write, dango: Dango) -> None:
    write({"sources": source("imap", fields(dovecot, user))})
    said = dango("source", "test", "shop", env={"SOURCES__SHOP__PASSWORD": "an-old-password"})
    assert said.code != 0
    assert f"IMAP, 127.0.0.1 refuses the login of {user}" in said.err + said.out
    assert "an app password" in said.err + said.out
    assert "an-old-password" not in said.err + said.out


def test_texts_and_the_names_of_attachments_are_read_and_without_them_only_headers(dovecot: Dovecot, user: str) -> None:
    message = letter("With a file", "Plain ✓\n")
    message.add_alternative("<p>Rich</p>\n", subtype="html")
    message.add_attachment(b"x" * 1000, maintype="application", subtype="pdf", filename="Rechnung März.pdf")
    dovecot.deliver(user, message)
    (row,) = opened(dovecot, user)
    assert (row["text"], row["html"]) == ("Plain ✓\n", "<p>Rich</p>\n")
    assert row["attachments"] == [{"name": "Rechnung März.pdf", "type": "application/pdf", "size": 1000}]
    assert abs(row["received"] - dt.datetime.now(dt.timezone.utc)) < dt.timedelta(minutes=1)
    (bare,) = opened(dovecot, user, body=False)
    assert (bare["subject"], bare["size"], "text" in bare) == ("With a file", row["size"], False)


def test_mail_that_is_not_as_it_should_be_is_loaded(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(
        user,
        b"Subject: =?utf-8?q?=ff?=\r\nFrom: nobody at all\r\nDate: yesterday\r\nTo: <@>\r\n\r\nText \xff\r\n",
        b"Content-Type: text/plain; charset=klingon\r\n\r\nbody\r\n",
        b"\r\n",
    )
    rows = opened(dovecot, user)
    assert [row["uid"] for row in rows] == [1, 2, 3]
    assert [row["date"] for row in rows] == [None] * 3
    assert rows[1]["text"].strip() == "body"


@pytest.mark.parametrize("name", ["Entwürfe & mehr", 'a "quoted" \\ name', "日本語"])
def test_a_folder_is_named_as_people_write_it(dovecot: Dovecot, user: str, name: str) -> None:
    with dovecot.writing(user) as connection:
        written = '"{}"'.format(imap._encoded(name).replace("\\", "\\\\").replace('"', '\\"'))
        assert connection.create(written)[0] == "OK"
    dovecot.deliver(user, letter("x"), folder=written)
    assert [row["folder"] for row in opened(dovecot, user, folders=[name])] == [name]
    found = imap.inspect(**fields(dovecot, user), password=PASSWORD)
    assert {*found.choices["folders"]} == {"INBOX", name}


def test_messages_are_fetched_in_portions_of_some_size_and_all_of_them(
    dovecot: Dovecot, user: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    dovecot.deliver(user, *(letter(str(number), "x" * 5_000) for number in range(12)))
    monkeypatch.setattr(imap, "BYTES_AT_ONCE", 20_000)
    monkeypatch.setattr(imap, "UIDS_AT_ONCE", 5)
    with imap.Mailbox("127.0.0.1", user, PASSWORD, port=dovecot.plain, security="none").opened() as connection:
        imap._entered(connection, "INBOX")
        portions = list(imap._portions(connection, imap._newer(connection, 0, None)))
    assert [uid for portion in portions for uid in portion] == list(range(1, 13))
    assert max(map(len, portions)) == 3


def test_a_folder_that_was_numbered_anew_is_loaded_again(dovecot: Dovecot, user: str) -> None:
    numbers = []
    for _ in range(2):
        with dovecot.writing(user) as connection:
            connection.delete("box")
            connection.create("box")
        dovecot.deliver(user, letter("x"), folder="box")
        (row,) = opened(dovecot, user, folders=["box"])
        numbers.append((row["uid_validity"], row["uid"]))
    assert numbers[0][0] != numbers[1][0]


def test_what_came_before_a_day_is_left_out(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, letter("x"))
    today = dt.datetime.now().astimezone().date()
    assert len(opened(dovecot, user, since=today - dt.timedelta(days=1))) == 1
    assert opened(dovecot, user, since=today + dt.timedelta(days=2)) == []


def test_a_token_and_starttls_log_in_as_well_as_a_password(dovecot: Dovecot, user: str) -> None:
    dovecot.deliver(user, letter("x"))
    assert len(opened(dovecot, user, password=None, token=dovecot.token(user))) == 1
    assert len(opened(dovecot, user, port=dovecot.plain, security="starttls")) == 1
    with pytest.raises(Exception, match="refuses the login"):
        opened(dovecot, user, password=None, token="no-token")


def test_what_is_wrong_with_a_connection_is_told(dovecot: Dovecot, user: str) -> None:
    with pytest.raises(SourceError, match=r"does not answer: .*refused"):
        imap.inspect("127.0.0.1", user, PASSWORD, port=closed_port())
    with pytest.raises(SourceError, match="CERTIFICATE_VERIFY_FAILED"):
        imap.inspect("127.0.0.1", user, PASSWORD, port=dovecot.tls)
    with pytest.raises(Exception, match=r"there is no folder `INBX` \(did you mean `INBOX`\?\)"):
        opened(dovecot, user, folders=["INBX"])


def test_a_mailbox_without_new_messages_gives_nothing(dovecot: Dovecot, user: str) -> None:
    assert opened(dovecot, user) == []
    assert json.dumps(opened(dovecot, user)) == "[]"

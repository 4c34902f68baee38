"""A real Dovecot for tests: the fixture `dovecot`, on the loopback, in a temporary folder.

Enabled by `pytest_plugins` in tests/conftest.py. Every user gets in by `PASSWORD`, and has an empty mailbox at first.
Without it (`apt-get install dovecot-imapd`) the tests are skipped; with CI set they fail.
"""

from __future__ import annotations

import base64
import grp
import imaplib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import jwt
import pytest

from tests.certificates import certificate
from tests.postgres_server import free_port

PASSWORD = "password-of-the-tests"
TOKEN_KEY = "key-of-the-tests-with-its-32-bytes-and-more"
CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
listen = 127.0.0.1
protocols = imap
ssl_cert = <{folder}/server.crt
ssl_key = <{folder}/server.key
ssl = yes
disable_plaintext_auth = no
auth_mechanisms = plain xoauth2
auth_failure_delay = 0
first_valid_uid = 1
default_login_user = {login}
default_internal_user = {internal}
default_internal_group = {group}
mail_location = maildir:~/Maildir
passdb {{
  driver = oauth2
  mechanisms = xoauth2
  args = {folder}/oauth2.conf
}}
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={mail} gid={mail_group} home={folder}/mail/%u
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {plain}
  }}
  inet_listener imaps {{
    port = {tls}
  }}
}}
service anvil {{
  chroot =
}}
"""
OAUTH2 = """
introspection_mode = local
username_attribute = sub
local_validation_key_dict = fs:posix:prefix={folder}/keys/
"""


@dataclass(frozen=True)
class Dovecot:
    """Where it listens."""

    folder: Path
    plain: int
    tls: int

    @property
    def authority(self) -> str:
        """The file of the certificate authority."""
        return str(self.folder / "server.crt")

    def token(self, user: str) -> str:
        """An OAuth 2 access token."""
        return jwt.encode({"sub": user, "exp": int(time.time()) + 3600}, TOKEN_KEY, "HS256")

    @contextmanager
    def writing(self, user: str) -> Iterator[imaplib.IMAP4]:
        """A connection that may change the user's mailbox."""
        with imaplib.IMAP4("127.0.0.1", self.plain, timeout=10) as connection:
            connection.login(user, PASSWORD)
            yield connection

    def deliver(self, user: str, *messages: EmailMessage | bytes, folder: str = "INBOX") -> None:
        """Puts messages into a folder."""
        with self.writing(user) as connection:
            for message in messages:
                done, said = connection.append(folder, "", None, bytes(message))  # type: ignore[arg-type]
                assert done == "OK", said


@pytest.fixture(scope="session")
def dovecot() -> Iterator[Dovecot]:
    """The server."""
    program = shutil.which("dovecot", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        reason = "no Dovecot here: apt-get install dovecot-imapd"
        if os.environ.get("CI"):
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    # Not the test's own folder: the path of a socket has a limit that temporary folders reach.
    folder = Path(tempfile.mkdtemp(prefix="dango-dovecot-", dir="/tmp"))
    server = Dovecot(folder, free_port(), free_port())
    try:
        with _process(program, server):
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _process(program: str, server: Dovecot) -> Iterator[None]:
    file = _configured(server)
    process = subprocess.Popen([program, "-F", "-c", str(file)], stdin=subprocess.DEVNULL, start_new_session=True)
    try:
        _listening(process, server)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def _configured(server: Dovecot) -> Path:
    folder = server.folder
    me = pwd.getpwuid(os.geteuid())
    # Root starts it as a distribution does; anybody else runs all of it, and owns all mail.
    names = ("dovenull", "dovecot", "mail") if os.geteuid() == 0 else (me.pw_name,) * 3
    owner = pwd.getpwnam(names[2])
    certificate(folder)
    key = folder / "keys/default/HS256/default"
    key.parent.mkdir(parents=True)
    key.write_bytes(base64.b64encode(TOKEN_KEY.encode()))
    (folder / "mail").mkdir()
    os.chown(folder / "mail", owner.pw_uid, owner.pw_gid)
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "oauth2.conf").write_text(OAUTH2.format(folder=folder))
    file = folder / "dovecot.conf"
    file.write_text(
        CONFIGURATION.format(
            folder=folder,
            login=names[0],
            internal=names[1],
            group=grp.getgrgid(pwd.getpwnam(names[1]).pw_gid).gr_name,
            mail=owner.pw_uid,
            mail_group=owner.pw_gid,
            password=PASSWORD,
            plain=server.plain,
            tls=server.tls,
        )
    )
    return file


def _listening(process: subprocess.Popen[bytes], server: Dovecot) -> None:
    for _ in range(400):
        assert process.poll() is None, (server.folder / "log").read_text()
        try:
            with socket.create_connection(("127.0.0.1", server.plain), timeout=1) as connection:
                if connection.recv(1):
                    return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError((server.folder / "log").read_text())

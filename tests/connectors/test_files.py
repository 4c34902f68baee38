"""Files of every format and from every storage that can run here; a second sync loads what is new or changed."""

from __future__ import annotations

import gzip
import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openpyxl
import paramiko
import pyarrow as pa
import pytest
from pyarrow import parquet

from tests.conftest import Said

pytestmark = pytest.mark.slow  # whole commands, many of them

Dango = Callable[..., Said]
Write = Callable[[dict[str, str]], None]
Rows = Callable[[str], list[Any]]


def source(location: str, resources: str = "", **fields: Any) -> str:
    block = json.dumps({"location": location, "table": "orders", **fields})
    hints = f", resources: {resources}" if resources else ""
    return f"version: 1\nsources:\n  - {{name: shop, type: files{hints}, files: {block}}}\n"


def loaded(said: Said) -> int:
    """How many rows a sync loaded."""
    assert said.code == 0, said.err
    (result,) = said.json["results"]
    return sum(table["rows"] for table in result["tables"])


def touched(path: Path, text: str) -> None:
    """Written anew, at a later time than before."""
    before = path.stat().st_mtime_ns
    path.write_text(text, encoding="utf-8")
    os.utime(path, ns=(before + 1_000_000_000, before + 1_000_000_000))


def test_a_second_sync_reads_only_new_and_changed_files_and_doubles_no_row(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    write(
        {
            "sources": source("data/in/**/*.csv"),
            "data/in/a.csv": "id,name\n1,Ann\n2,Bob\n",
            "data/in/deep/er/b.csv": "id,name\n3,Cid\n",
            "data/in/c.txt": "no,csv\n",
        }
    )
    assert loaded(dango("sync", "--json")) == 3
    assert loaded(dango("sync", "--json")) == 0

    touched(root / "data/in/a.csv", "id,name\n1,Ann\n2,Bobby\n4,Dee\n")
    write({"data/in/d.csv": "id,name\n5,Eve\n"})
    (root / "data/in/deep/er/b.csv").unlink()
    assert loaded(dango("sync", "--json")) == 4
    assert rows("SELECT id, name, _file FROM raw_shop.orders ORDER BY id") == [
        (1, "Ann", "data/in/a.csv"),
        (2, "Bobby", "data/in/a.csv"),
        (3, "Cid", "data/in/deep/er/b.csv"),
        (4, "Dee", "data/in/a.csv"),
        (5, "Eve", "data/in/d.csv"),
    ]


def test_what_a_file_held_goes_when_it_is_emptied(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    write({"sources": source("in/*.csv"), "in/a.csv": "id\n1\n2\n", "in/b.csv": "id\n3\n"})
    assert loaded(dango("sync", "--json")) == 3
    touched(root / "in/a.csv", "id\n")
    assert dango("sync").code == 0
    assert rows("SELECT id FROM raw_shop.orders") == [(3,)]


def test_a_table_that_is_replaced_holds_the_rows_of_all_files(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    hints = "{orders: {write_disposition: replace}}"
    write({"sources": source("in/*.csv", hints), "in/a.csv": "id\n1\n", "in/b.csv": "id\n2\n"})
    assert loaded(dango("sync", "--json")) == 2
    touched(root / "in/a.csv", "id\n7\n")
    assert loaded(dango("sync", "--json")) == 2
    assert rows("SELECT id FROM raw_shop.orders ORDER BY id") == [(2,), (7,)]
    assert loaded(dango("sync", "--json")) == 2


def test_csv_columns_are_what_all_their_values_are(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    table = """\ufeffid,zip,price,ok,day,moment,note,big,mixed,none
1,007,1.50,true,2024-01-31,2024-01-31T10:00:00Z,"a ""b"",
c",9007199254740993,1,
2,10115,3,FALSE,2024-02-29,2024-02-29 10:00:00+02:00,,2,x,
"""
    write({"sources": source("in.csv"), "in.csv": table})
    assert dango("sync").code == 0
    assert rows(
        "SELECT id, zip, price, ok, strftime(day, '%d.%m.'), epoch(moment), note, big, mixed"
        " FROM raw_shop.orders ORDER BY id"
    ) == [
        (1, "007", 1.5, True, "31.01.", 1706695200.0, 'a "b",\nc', 9007199254740993, "1"),
        (2, "10115", 3.0, False, "29.02.", 1709193600.0, None, 2, "x"),
    ]


def test_csv_of_other_habits_is_read_as_the_entry_says(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    write({"sources": source("in.csv", encoding="latin-1", delimiter=";", header=False)})
    (root / "in.csv").write_bytes("1;Käse\n2;Öl\n".encode("latin-1"))
    assert dango("sync").code == 0
    assert rows("SELECT * EXCLUDE (_dlt_load_id, _file) FROM raw_shop.orders ORDER BY 1") == [
        (1, "Käse"),
        (2, "Öl"),
    ]


def test_a_file_in_another_encoding_is_told_with_its_line_and_what_to_say(
    write: Write, dango: Dango, root: Path
) -> None:
    for name, text in (("a.csv", "id,a\n1,x\n2,é\n"), ("a.jsonl", '{"a": 1}\n{"a": "é"}\n'), ("a.json", '["é"]')):
        write({"sources": source(name)})
        (root / name).write_bytes(text.encode("latin-1"))
        said = dango("sync")
        line = 1 + text[: text.index("é")].count("\n")
        assert f"{name}: line {line}: it is not in UTF-8 (byte " in said.err, said.err
        assert "0xe9)\n  hint: say `encoding:`, for example latin-1, cp1252 or utf-16" in said.err
    for encoding, why in (("latin1x", "there is no encoding `latin1x`"), ("utf-16", "a.csv: it is not in utf-16: ")):
        write({"sources": source("a.csv", encoding=encoding)})
        said = dango("sync")
        assert why in said.err
        assert "hint: say `encoding:`" in said.err


def test_headers_that_are_there_twice_are_told_apart(write: Write, dango: Dango, rows: Rows) -> None:
    write({"sources": source("in/*"), "in/a.csv": "id,id\n1,2\n", "in/none.csv": "", "in/head.csv": "id,x\n"})
    assert dango("sync").code == 0
    assert rows("SELECT id, id_1 FROM raw_shop.orders") == [(1, 2)]


def test_a_column_whose_values_are_of_another_kind_in_a_later_file_keeps_both(
    write: Write, dango: Dango, rows: Rows
) -> None:
    write({"sources": source("in/*.csv"), "in/a.csv": "id,size\n1,10\n", "in/b.csv": "id,size,more\n2,large,x\n"})
    assert dango("sync").code == 0
    assert rows("SELECT id, size, size__v_text, more FROM raw_shop.orders ORDER BY id") == [
        (1, 10, None, None),
        (2, None, "large", "x"),
    ]


def test_csv_keeps_the_digits_of_a_decimal_and_what_is_text_in_the_table(
    root: Path, write: Write, dango: Dango, rows: Rows
) -> None:
    hints = "{orders: {columns: {sum: {data_type: decimal, precision: 38, scale: 19}}}}"
    first = "id,code,sum\n1,A12,0.1234567890123456789\n2,B,12345678901234567.89\n"
    write({"sources": source("in/*.csv", hints), "in/a.csv": first, "in/b.csv": "id,code,sum\n3,1.50,-0.05\n"})
    assert dango("sync").code == 0
    write({"in/c.csv": "id,code,sum\n4,TRUE,\n1795829377277442001,2.0,1e2\n"})
    assert dango("sync").code == 0
    assert rows("SELECT id, code, sum::VARCHAR FROM raw_shop.orders ORDER BY id") == [
        (1, "A12", "0.1234567890123456789"),
        (2, "B", "12345678901234567.8900000000000000000"),
        (3, "1.50", "-0.0500000000000000000"),
        (4, "TRUE", None),
        (1795829377277442001, "2.0", "100.0000000000000000000"),
    ]


def test_text_stays_text_where_the_columns_hints_say_so(write: Write, dango: Dango, rows: Rows) -> None:
    hints = "{orders: {columns: {zip: {data_type: text}}}}"
    write({"sources": source("in.csv", hints), "in.csv": "zip,n\n10115,1.10\n"})
    assert dango("sync").code == 0
    assert rows("SELECT zip, n FROM raw_shop.orders") == [("10115", 1.1)]


def test_every_format_is_read_by_its_ending_packed_or_not(root: Path, write: Write, dango: Dango, rows: Rows) -> None:
    write(
        {
            "sources": source("in"),
            "in/lines.jsonl": '{"id": 1, "tags": [{"t": "a"}, {"t": "b"}]}\n\n{"id": 2}\n',
            "in/list.json": '[{"id": 3}, {"id": 4}]',
            "in/one.json": '{"id": 5}',
            "in/really_lines.json": '{"id": 6}\n{"id": 7}\n',
            "in/readme.md": "# not data",
        }
    )
    with gzip.open(root / "in/packed.csv.gz", "wt") as packed:
        packed.write("id\n8\n")
    parquet.write_table(pa.table({"id": [9, 9007199254740993]}), root / "in/table.parquet")
    book = openpyxl.Workbook()
    for row in (["id", "id", None], [10, "x", 1.5], [None, None, None], [11, None, None]):
        book.active.append(row)
    book.save(root / "in/book.xlsx")
    assert dango("sync").code == 0
    assert [number for (number,) in rows("SELECT id FROM raw_shop.orders ORDER BY id")] == [
        *range(1, 12),
        9007199254740993,
    ]
    assert rows("SELECT t FROM raw_shop.orders__tags ORDER BY t") == [("a",), ("b",)]
    assert rows("SELECT id_1, column2 FROM raw_shop.orders WHERE id = 10") == [("x", 1.5)]


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("a.csv", "id,name\n1,Ann\n2,Bob,too,many\n", "in/a.csv: "),
        ("a.jsonl", '{"id": 1}\n{"id": \n', "in/a.jsonl: line 2: Expecting value (column 7)"),
        ("a.jsonl", "[1]\n", "in/a.jsonl: line 1: a row is an object"),
        ("a.jsonl", '{"id": 1}\n' * 2100 + '{"id": 2,}\n', "in/a.jsonl: line 2101: "),
        ("a.json", '{"id": 1,\n}', "in/a.json: line 2: "),
        ("a.parquet", "no parquet", "in/a.parquet: "),
        ("a.xlsx", "no workbook", "in/a.xlsx: this is no Excel workbook"),
    ],
)
def test_a_broken_file_is_named_with_its_line_and_nothing_of_the_sync_is_kept(
    root: Path, write: Write, dango: Dango, rows: Rows, name: str, text: str, said: str
) -> None:
    write({"sources": source("in/*"), "in/A.csv": "id\n1\n"})
    (root / "in" / name).write_text(text, encoding="utf-8")
    broken = dango("sync")
    assert broken.code == 1
    assert said in broken.err
    if name == "a.csv":
        assert "Line: 3" in broken.err

    (root / "in" / name).unlink()
    assert loaded(dango("sync", "--json")) == 1, "the good file is not taken for loaded"


def test_a_place_without_files_and_an_ending_that_says_nothing_are_errors(write: Write, dango: Dango) -> None:
    write({"sources": source("nowhere/*.csv")})
    said = dango("sync")
    assert (said.code, "no file is at nowhere/*.csv" in said.err) == (1, True)

    write({"sources": source("in/*"), "in/a.dat": "x"})
    said = dango("sync")
    assert said.code == 1
    assert "in/a.dat: its ending does not tell a format" in said.err

    write({"sources": source("missing.csv")})
    said = dango("sync")
    assert said.code == 1
    assert "missing.csv" in said.err


def test_a_file_that_is_not_there_is_told_with_where_its_path_begins(write: Write, dango: Dango) -> None:
    write({"sources": source("nowhere.csv")})
    said = dango("sync")
    assert said.code == 1
    assert "nowhere.csv: No such file or directory\n  hint: correct `location:`; what is relative begins in" in said.err


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """A folder over HTTP: its address, the folder, and the requests that came."""
    folder, requests = tmp_path / "www", []
    folder.mkdir()

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *args: Any) -> None:
            requests.append(f"{self.command} {self.path} {self.headers.get('Authorization')}")

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder, requests
    server.shutdown()
    server.server_close()


def test_files_come_over_http_by_address_and_by_pattern(
    write: Write, dango: Dango, rows: Rows, served: tuple[str, Path, list[str]]
) -> None:
    address, folder, requests = served
    (folder / "a.csv").write_text("id\n1\n")
    (folder / "b.csv").write_text("id\n2\n")
    (folder / "c.json").write_text("{}")
    write({"sources": source(f"{address}/*.csv", storage="http", authorization="env:TOKEN")})
    assert loaded(dango("sync", "--json", env={"TOKEN": "Bearer s3cret"})) == 2
    assert all(request.endswith("Bearer s3cret") for request in requests)
    assert loaded(dango("sync", "--json", env={"TOKEN": "Bearer s3cret"})) == 0
    touched(folder / "b.csv", "id\n22\n")
    assert loaded(dango("sync", "--json", env={"TOKEN": "Bearer s3cret"})) == 1
    assert rows("SELECT id FROM raw_shop.orders ORDER BY id") == [(1,), (22,)]

    write({"sources": source(f"{address}/gone.csv", storage="http")})
    said = dango("sync")
    assert said.code == 1
    assert "gone.csv" in said.err


def test_a_server_that_says_nothing_of_changes_is_read_again_and_loaded_if_it_changed(
    write: Write, dango: Dango, rows: Rows
) -> None:
    body = [b"id\n1\n2\n"]

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            head = self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body[0]))
            if not head.startswith(b"HEAD"):
                self.wfile.write(body[0])

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        write({"sources": source(f"http://127.0.0.1:{server.server_address[1]}/orders.csv?day=1", storage="http")})
        assert loaded(dango("sync", "--json")) == 2
        assert loaded(dango("sync", "--json")) == 0
        body[0] = b"id\n1\n3\n"
        assert loaded(dango("sync", "--json")) == 2
        assert rows("SELECT id FROM raw_shop.orders ORDER BY id") == [(1,), (3,)]
        server.shutdown()


@pytest.fixture
def bucket() -> Iterator[tuple[str, Any]]:
    """An S3 of the test's own: its address, and a client whose bucket `shop` is there."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    address = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=address, aws_access_key_id="key", aws_secret_access_key="s3cret", region_name="us-east-1"
    )
    client.create_bucket(Bucket="shop")
    yield address, client
    server.stop()


def test_files_come_from_s3_and_an_object_that_is_replaced_is_loaded_anew(
    write: Write, dango: Dango, rows: Rows, bucket: tuple[str, Any]
) -> None:
    address, client = bucket
    client.put_object(Bucket="shop", Key="in/a.csv", Body=b"id\n1\n")
    client.put_object(Bucket="shop", Key="in/deep/b.csv", Body=b"id\n2\n")
    fields = {"storage": "s3", "endpoint_url": address, "region": "us-east-1"}
    write(
        {
            "sources": source("s3://shop/in/**/*.csv", **fields),
            ".dlt/secrets.toml": '[sources.shop]\naccess_key_id = "key"\nsecret_access_key = "s3cret"\n',
        }
    )
    assert loaded(dango("sync", "--json")) == 2
    assert loaded(dango("sync", "--json")) == 0
    client.put_object(Bucket="shop", Key="in/a.csv", Body=b"id\n7\n")
    assert loaded(dango("sync", "--json")) == 1
    assert rows("SELECT id, _file FROM raw_shop.orders ORDER BY id") == [
        (2, "s3://shop/in/deep/b.csv"),
        (7, "s3://shop/in/a.csv"),
    ]
    write({"sources": source("s3://nowhere/*.csv", **fields)})
    said = dango("sync")
    assert said.code == 1
    assert "s3://nowhere/*.csv" in said.err


@pytest.fixture
def sftp(tmp_path: Path) -> Iterator[tuple[int, Path, str]]:
    """A folder over SFTP for the user `me` with the password `s3cret`: its port, the folder, and the host's key."""
    folder = tmp_path / "sftp"
    folder.mkdir()
    key = paramiko.RSAKey.generate(2048)

    class Door(paramiko.ServerInterface):
        def check_auth_password(self, username: str, password: str) -> int:
            right = (username, password) == ("me", "s3cret")
            return paramiko.common.AUTH_SUCCESSFUL if right else paramiko.common.AUTH_FAILED

        def check_channel_request(self, kind: str, chanid: int) -> int:
            return paramiko.common.OPEN_SUCCEEDED

    class Folder(paramiko.SFTPServerInterface):
        def _real(self, path: str) -> Path:
            return folder / path.strip("/")

        def list_folder(self, path: str) -> Any:
            return [paramiko.SFTPAttributes.from_stat(child.stat(), child.name) for child in self._real(path).iterdir()]

        def stat(self, path: str) -> Any:
            real = self._real(path)
            return paramiko.SFTPAttributes.from_stat(real.stat()) if real.exists() else paramiko.SFTP_NO_SUCH_FILE

        lstat = stat

        def open(self, path: str, flags: int, attr: Any) -> Any:
            handle = paramiko.SFTPHandle(flags)
            handle.readfile = self._real(path).open("rb")
            return handle

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            transport = paramiko.Transport(self.request)
            transport.add_server_key(key)
            transport.set_subsystem_handler("sftp", paramiko.SFTPServer, Folder)
            transport.start_server(server=Door())
            transport.join()

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1], folder, f"ssh-rsa {key.get_base64()}"
        server.shutdown()


def test_files_come_over_sftp_and_only_what_changed_the_next_time(
    write: Write, dango: Dango, rows: Rows, sftp: tuple[int, Path, str]
) -> None:
    port, folder, key = sftp
    (folder / "in").mkdir()
    (folder / "in" / "a.csv").write_text("id\n1\n")
    (folder / "in" / "b.csv").write_text("id\n2\n")
    write({"sources": source("sftp://127.0.0.1/in/*.csv", storage="sftp", user="me", port=port, host_key=key)})
    env = {"SOURCES__SHOP__PASSWORD": "s3cret"}
    assert loaded(dango("sync", "--json", env=env)) == 2
    assert loaded(dango("sync", "--json", env=env)) == 0
    touched(folder / "in" / "b.csv", "id\n7\n")
    assert loaded(dango("sync", "--json", env=env)) == 1
    assert rows("SELECT id FROM raw_shop.orders ORDER BY id") == [(1,), (7,)]

    said = dango("sync", env={"SOURCES__SHOP__PASSWORD": "wr0ng-one"})
    assert said.code == 1
    assert "wr0ng-one" not in said.err


def test_a_host_that_is_not_known_gets_no_password(
    write: Write, dango: Dango, root: Path, sftp: tuple[int, Path, str]
) -> None:
    port, folder, key = sftp
    (folder / "a.csv").write_text("id\n1\n")
    fields = {"storage": "sftp", "user": "me", "port": port}
    env = {"SOURCES__SHOP__PASSWORD": "s3cret", "HOME": str(root)}
    another = f"ssh-rsa {paramiko.RSAKey.generate(2048).get_base64()}"
    for given, words in ({}, "not found in known_hosts"), ({"host_key": another}, "another key"), (
        {"host_key": "nonsense"}, "`host_key` is no key"
    ):  # fmt: skip
        write({"sources": source("sftp://127.0.0.1/a.csv", **fields, **given)})
        said = dango("sync", env=env)
        assert said.code == 1
        assert words in said.err

    write({
        "sources": source("sftp://127.0.0.1/a.csv", **fields),
        ".ssh/known_hosts": f"[127.0.0.1]:{port} {key}\n",
    })  # fmt: skip
    assert dango("sync", env=env).code == 0

"""What becomes of a file that was copied, when it was changed here, there, or on both sides."""

from __future__ import annotations

import pytest

from dango.reconcile import Blob, File, Step, digest, plan

LABELS = ("here", "copied", "there")
LINES = b"one\ntwo\nthree\nfour\nfive\n"


def step(base: bytes | None, mine: bytes | None, theirs: bytes | None, *, gone: bool = False) -> Step | None:
    """What happens to one file; `gone`: the content that was copied can no longer be had."""

    def had() -> dict[str, Blob]:
        return {} if gone or base is None else {"a.py": Blob(base, 0o666)}

    steps = list(
        plan(
            {"a.py": digest(base)} if base is not None else {},
            {"a.py": mine} if mine is not None else {},
            {"a.py": Blob(theirs, 0o666)} if theirs is not None else {},
            had,
            LABELS,
        )
    )
    assert len(steps) <= 1
    return steps[0] if steps else None


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "status"),
    [
        (None, None, b"1", "new"),
        (b"1", b"1", b"1", "same"),
        (b"1", b"2", b"2", "same"),
        (None, b"1", b"1", "same"),
        (b"1", b"1", b"2", "theirs"),
        (b"1", b"1", None, "removed"),
        (b"1", b"2", b"1", "mine"),
        (b"1", None, b"1", "mine"),
        (None, b"1", None, "mine"),
        (b"1", None, None, None),
    ],
)
def test_a_change_on_one_side_only_is_taken(
    base: bytes | None, mine: bytes | None, theirs: bytes | None, status: str | None
) -> None:
    done = step(base, mine, theirs, gone=True)
    assert (done and done.file.status) == status
    written = done and done.blob and done.blob.data
    assert written == (theirs if status in ("new", "theirs") else None)


@pytest.mark.parametrize(
    ("base", "mine", "theirs", "note", "beside"),
    [
        (b"1", None, b"2", "deleted here, changed there", b"2"),
        (b"1", b"2", None, "changed here, deleted there", None),
        (None, b"1", b"2", "new here and there, and not the same", b"2"),
        (b"\0\1", b"\0\2", b"\0\3", "changed here and there, and no text", b"\0\3"),
    ],
)
def test_what_cannot_be_merged_is_a_conflict_and_stays_as_it_is_here(
    base: bytes | None, mine: bytes | None, theirs: bytes | None, note: str, beside: bytes | None
) -> None:
    done = step(base, mine, theirs)
    assert done and done.file == File("a.py", "conflict", note, "a.py.new" if beside else "")
    assert (done.blob and done.blob.data) == beside


def test_changes_of_different_lines_are_merged() -> None:
    done = step(LINES, LINES.replace(b"one", b"1"), LINES.replace(b"five", b"5"))
    assert done and done.file == File("a.py", "merged")
    assert done.blob and done.blob.data == b"1\ntwo\nthree\nfour\n5\n"


def test_changes_of_one_line_are_shown_with_what_it_was() -> None:
    mine, theirs = LINES.replace(b"two", b"2"), LINES.replace(b"two", b"II").replace(b"five", b"5")
    done = step(LINES, mine, theirs)
    assert done and done.file.status == "conflict"
    assert done.file.note == "the same lines were changed here and there"
    marked = "<<<<<<< here\n2\n||||||| copied\ntwo\n=======\nII\n>>>>>>> there"
    assert done.file.diff == marked
    # What is written beside has the clean changes of both sides already.
    assert done.blob and done.blob.data.decode() == f"one\n{marked}\nthree\nfour\n5\n"


def test_without_what_was_copied_changes_on_both_sides_are_a_conflict() -> None:
    done = step(LINES, LINES + b"mine\n", b"theirs\n" + LINES, gone=True)
    assert done and (done.file.status, done.file.beside) == ("conflict", "a.py.new")
    assert done.file.note.endswith("the repository does not have the commit it came from")
    assert done.blob and done.blob.data == b"theirs\n" + LINES


def test_what_was_copied_counts_only_where_it_is_what_was_recorded() -> None:
    steps = plan(
        {"a.py": digest(LINES)},
        {"a.py": LINES + b"mine\n"},
        {"a.py": Blob(b"theirs\n" + LINES, 0o666)},
        lambda: {"a.py": Blob(b"something else", 0o666)},
        LABELS,
    )
    (file,) = (step.file for step in steps)
    assert (file.status, file.diff) == ("conflict", "")


def test_other_line_ends_of_a_checkout_are_no_change() -> None:
    crlf = LINES.replace(b"\n", b"\r\n")
    assert (same := step(LINES, crlf, LINES)) and same.file.status == "same"
    assert (newer := step(LINES, crlf, LINES + b"six\n")) and newer.file.status == "theirs"
    merged = step(LINES, crlf.replace(b"one", b"1"), LINES + b"six\n")
    assert merged and merged.blob and merged.file.status == "merged"
    assert merged.blob.data == b"1\ntwo\nthree\nfour\nfive\nsix\n"


def test_files_with_dos_line_ends_on_both_sides_keep_them() -> None:
    crlf = LINES.replace(b"\n", b"\r\n")
    merged = step(crlf, crlf.replace(b"one", b"1"), crlf + b"six\r\n")
    assert merged and merged.blob and merged.blob.data == b"1\r\ntwo\r\nthree\r\nfour\r\nfive\r\nsix\r\n"

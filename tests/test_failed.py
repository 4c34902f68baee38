"""Records that a source cannot make, as its author writes them down; nothing here needs dango to run."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import dango
from dango.failed import Failed, collecting, guard


class Mute(Exception):
    """Cannot say what it is, and cannot be pickled."""

    def __init__(self, part: str, *, reason: str) -> None:
        super().__init__(part)
        self.lock = threading.Lock()

    def __str__(self) -> str:
        raise RuntimeError("no text")


def broken(row: dict[str, Any]) -> int:
    return int(row["id"])


def test_the_module_imports_the_standard_library_alone_and_stands_in_the_package() -> None:
    code = (
        "import sys, dango.failed\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} - sys.stdlib_module_names))"
    )
    said = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True)
    assert {"dango", "dlt", "duckdb", "pydantic"} & set(eval(said.stdout)) == {"dango"}
    assert (dango.Failed, dango.guard) == (Failed, guard)


def test_a_failed_record_says_what_happened_and_where() -> None:
    try:
        broken({"name": "Ada"})
    except KeyError as error:
        failed = Failed({"name": "Ada"}, error, "Ada")
    assert (failed.record, failed.entity, failed.message) == ({"name": "Ada"}, "Ada", "KeyError: 'id'")
    assert isinstance(failed.error, KeyError)
    assert [file for file, _ in failed.lines] == [__file__, __file__]
    assert failed.lines[-1][1] == broken.__code__.co_firstlineno + 1
    assert 'return int(row["id"])' in failed.stack_trace
    assert failed.stack_trace.endswith("KeyError: 'id'\n")


@pytest.mark.parametrize("error", ["no price", ValueError("no price")])
def test_an_error_that_was_never_raised_shows_the_line_that_speaks_of_it(error: str | Exception) -> None:
    failed = Failed(7, error)
    ((file, line),) = failed.lines
    assert file == __file__
    assert f'", line {line}, in test_an_error_that_was_never_raised' in failed.stack_trace
    assert failed.message == ("no price" if error == "no price" else "ValueError: no price")
    assert failed.stack_trace.endswith(failed.message)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError(), "ValueError"),
        (ValueError("  \n"), "ValueError"),
        (Mute("x", reason="y"), "Mute: <Mute that cannot be shown>"),
        ("", ""),
    ],
)
def test_the_message_names_the_kind_also_where_there_is_no_text(error: Any, message: str) -> None:
    assert Failed({}, error).message == message


@pytest.mark.parametrize(("entity", "shown"), [(None, ""), (17, "17"), ("Ada", "Ada")])
def test_an_entity_is_text(entity: Any, shown: str) -> None:
    assert Failed({}, "x", entity).entity == shown


def test_it_travels_between_processes_with_an_error_that_does_not() -> None:
    try:
        raise Mute("x", reason="y")
    except Mute as error:
        failed = Failed({"id": 1}, error, "one")
    with pytest.raises(TypeError):
        pickle.dumps(failed.error)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        arrived = pickle.loads(pickle.dumps(failed, protocol))
        assert (arrived.record, arrived.entity, arrived.message) == ({"id": 1}, "one", failed.message)
        assert (arrived.stack_trace, arrived.lines) == (failed.stack_trace, failed.lines)
        assert arrived.error == failed.message


def test_guard_hands_over_what_failed_and_goes_on() -> None:
    caught: list[Failed] = []
    made = []
    with collecting(caught.append):
        for row in ({"id": "1"}, {"id": "x"}, {}, {"id": "4"}):
            with guard(row, row.get("id")):
                made.append(broken(row))
    assert made == [1, 4]
    assert [(f.record, f.entity, type(f.error)) for f in caught] == [
        ({"id": "x"}, "x", ValueError),
        ({}, "", KeyError),
    ]
    assert caught[1].lines[-1][1] == broken.__code__.co_firstlineno + 1


def test_outside_of_a_sync_an_error_passes_as_if_there_were_no_guard() -> None:
    caught: list[Failed] = []
    with collecting(caught.append):
        pass
    with pytest.raises(KeyError), guard({}):
        broken({})
    with pytest.raises(LookupError), collecting(caught.append):
        raise LookupError("of the sync itself")
    with pytest.raises(KeyError), guard({}):
        broken({})
    assert caught == []


@pytest.mark.parametrize("ending", [KeyboardInterrupt, SystemExit, GeneratorExit, StopIteration, StopAsyncIteration])
def test_what_is_no_fault_of_a_record_passes(ending: type[BaseException]) -> None:
    caught: list[Failed] = []
    with collecting(caught.append), pytest.raises(ending), guard({}):
        raise ending
    assert caught == []


def test_a_generator_that_is_closed_inside_its_guard_ends_there() -> None:
    caught: list[Failed] = []
    ended = []

    def rows() -> Iterator[int]:
        try:
            for row in ({"id": "1"}, {"id": "2"}):
                with guard(row):
                    yield broken(row)
        finally:
            ended.append(True)

    with collecting(caught.append):
        reading = rows()
        assert next(reading) == 1
        reading.close()
        with pytest.raises(ZeroDivisionError):  # the consumer's own error is not the record's
            for row in rows():
                row / 0
    assert (caught, ended) == ([], [True, True])


def test_a_guard_works_in_the_source_s_own_threads_and_in_async_code() -> None:
    caught: list[Failed] = []

    def in_thread(number: int) -> None:
        with guard(number):
            raise ValueError(number)

    async def in_task(number: int) -> None:
        with guard(number):
            await asyncio.sleep(0)
            raise ValueError(number)

    async def in_tasks() -> None:
        await asyncio.gather(*(in_task(number) for number in range(20, 40)))
        with guard("cancelled"):
            raise asyncio.CancelledError

    with collecting(caught.append):
        threads = [threading.Thread(target=in_thread, args=(number,)) for number in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(in_tasks())
    assert sorted(failed.record for failed in caught) == list(range(40))


def in_child(caught: list[Failed]) -> None:
    try:
        with guard({"id": 1}):
            raise ValueError("in the child")
    except ValueError:
        os._exit(7)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_process_that_the_source_forks_does_not_lose_errors_in_a_copy_of_the_collector() -> None:
    caught: list[Failed] = []
    with collecting(caught.append):
        child = multiprocessing.get_context("fork").Process(target=in_child, args=(caught,))
        child.start()
        child.join(20)
    assert (child.exitcode, caught) == (7, [])


def test_of_two_collectors_the_inner_one_is_given_the_record() -> None:
    outer: list[Failed] = []
    inner: list[Failed] = []
    with collecting(outer.append):
        with collecting(inner.append), guard(1):
            raise ValueError
        with guard(2):
            raise ValueError
    assert ([f.record for f in outer], [f.record for f in inner]) == ([2], [1])


def test_an_error_of_the_collector_itself_is_not_swallowed() -> None:
    def full(failed: Failed) -> None:
        raise OSError(28, "No space left on device")

    with collecting(full), pytest.raises(OSError, match="No space left") as raised, guard(1):
        raise ValueError("lost?")
    assert isinstance(raised.value.__context__, ValueError)

"""A process of its own for every job: what it sends arrives, what it does stays in it, and it never outlives us."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from dango.lock import alive
from dango.workers.forking import AVAILABLE
from dango.workers.processes import Closed, Ended, Line, Workers, isolated

Run = Callable[..., Generator[Any, None, None]]


FORKED = pytest.param("json", id="forked", marks=pytest.mark.skipif(not AVAILABLE, reason="no forks on this system"))


@pytest.fixture(params=[pytest.param("", id="from nothing"), FORKED])
def workers(request: pytest.FixtureRequest) -> Iterator[Workers]:
    with closing(Workers(request.param)) as workers:
        yield workers


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: Workers) -> Run:
    """Runs `work(payload, send)` of a module with this text. This process never imports it."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def run(text: str, payload: Any = None, **environment: str) -> Generator[Any, None, None]:
        (tmp_path / "at_work.py").write_text(text)
        given = {**os.environ, **environment}
        return isolated("at_work:work", payload, folder=tmp_path, environment=given, workers=workers)

    return run


def gone(pid: int, seconds: float = 3.0) -> bool:
    end = time.monotonic() + seconds
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return not alive(pid)


def split(values: list[Any]) -> tuple[list[Any], list[str], Ended]:
    """What was sent, what was printed, and the end."""
    *rest, ended = values
    assert isinstance(ended, Ended)
    return [v for v in rest if not isinstance(v, Line)], [v.text for v in rest if isinstance(v, Line)], ended


def test_values_arrive_in_order_and_prints_as_lines(run: Run, tmp_path: Path) -> None:
    sent, lines, ended = split(
        list(
            run(
                "import os, sys, subprocess\n"
                "def work(payload, send):\n"
                "    send(payload)\n"
                "    print('to stdout', flush=True)\n"
                "    print('to stderr', file=sys.stderr, flush=True)\n"
                "    os.write(1, b'past Python \\xff\\n')\n"
                "    subprocess.run(['echo', 'from a child'])\n"
                "    for number in range(1000):\n"
                "        send(number)\n"
                "    send((os.getcwd(), os.environ['GIVEN'], sys.stdin.read()))\n"
                "    print('no end of line', end='')\n",
                {"deep": [1, None]},
                GIVEN="yes",
            )
        )
    )
    assert sent == [{"deep": [1, None]}, *range(1000), (str(tmp_path), "yes", "")]
    assert lines == ["to stdout", "to stderr", "past Python \ufffd", "from a child", "no end of line"]
    assert (ended.code, ended.tail) == (0, tuple(lines))


def test_large_values_and_long_lines_arrive_whole(run: Run) -> None:
    payload = b"x" * 3_000_000
    sent, lines, ended = split(
        list(
            run(
                "def work(payload, send):\n"
                "    for part in (payload, payload[:70_000], 'y' * 1_000_000):\n"
                "        send(part)\n"
                "    print('z' * 200_000)\n"
                "    print('last')\n",
                payload,
            )
        )
    )
    assert sent == [payload, payload[:70_000], "y" * 1_000_000]
    assert "".join(lines) == "z" * 200_000 + "last"
    assert max(map(len, lines)) == 64 * 1024
    assert ended.code == 0


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("os.kill(os.getpid(), signal.SIGKILL)", -9, "its process was ended by SIGKILL"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", -11, "its process was ended by SIGSEGV"),
        ("os._exit(3)", 3, "its process ended with exit code 3"),
        ("sys.exit(7)", 7, "its process ended with exit code 7"),
        ("sys.exit('so long')", 1, "its process ended with exit code 1"),
        ("sys.exit()", 0, "its process ended with exit code 0"),
        ("1 / 0", 1, "its process ended with exit code 1"),
        ("send(lambda: 0)", 1, "its process ended with exit code 1"),
    ],
)
def test_what_was_sent_before_the_end_arrives_however_the_process_ends(
    run: Run, end: str, code: int, said: str
) -> None:
    text = f"import os, signal, sys\ndef work(payload, send):\n    send(1)\n    send('2' * 100_000)\n    {end}\n"
    sent, lines, ended = split(list(run(text)))
    assert sent == [1, "2" * 100_000]
    assert (ended.code, str(ended)) == (code, said)
    assert lines[-1:] == {"so long": ["so long"], "1 / 0": ["ZeroDivisionError: division by zero"]}.get(
        end.removeprefix("sys.exit('").removesuffix("')"), lines[-1:]
    )


def test_a_process_that_dies_in_the_middle_of_a_value_is_told_from_one_that_is_done(run: Run) -> None:
    text = (
        "import os, pickle\n"
        "def work(payload, send):\n"
        "    send(1)\n"
        "    half = pickle.dumps(list(range(100_000)))[:1000]\n"
        "    for fd in range(3, 20):\n"
        "        try:\n"
        "            os.write(fd, half)\n"
        "        except OSError:\n"
        "            pass\n"
        "    os._exit(0)\n"
    )
    sent, _, ended = split(list(run(text)))
    assert sent == [1]
    assert (ended.code, ended.done) == (0, False)
    assert split(list(run("def work(payload, send): send(1)\n")))[2].done


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_value_that_only_the_child_can_read_ends_the_job_and_blocks_nobody(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "class Odd: pass\ndef work(payload, send):\n    send(1)\n    send(Odd())\n    send(2)\n"
    # What the parent has under this name has no such class.
    monkeypatch.setitem(sys.modules, "at_work", type(sys)("at_work"))
    first, *rest = run(text)
    assert first == 1
    assert isinstance(rest[-1], Ended)
    assert 2 not in rest


@pytest.mark.slow
def test_a_thread_that_never_ends_does_not_keep_the_process(run: Run) -> None:
    text = (
        "import os, threading, time\n"
        "def work(payload, send):\n"
        "    threading.Thread(target=time.sleep, args=(600,)).start()\n"
        "    send(os.getpid())\n"
    )
    (pid,), _, ended = split(list(run(text)))
    assert (ended.code, ended.done) == (0, True)
    assert gone(pid)


CHILDREN = (
    "import os, subprocess, time\n"
    "def work(payload, send):\n"
    "    child = subprocess.Popen(['sleep', '600'])\n"
    "    send((os.getpid(), child.pid))\n"
    "    {then}\n"
)


@pytest.mark.parametrize("stubborn", [False, True], ids=["a process that ends when told to", "a process that will not"])
def test_closing_ends_the_process_and_its_children(run: Run, stubborn: bool) -> None:
    then = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN) if payload else None; send(0); time.sleep(600)"
    with closing(run(CHILDREN.format(then=then), stubborn)) as values:
        worker, child = next(values)
        assert next(values) == 0
        begun = time.monotonic()
    assert time.monotonic() - begun < 2.5
    assert gone(worker)
    assert gone(child)


@pytest.mark.parametrize("then", ["return", "os._exit(3)", "os.kill(os.getpid(), 9)"])
def test_children_that_the_work_leaves_behind_neither_block_nor_stay(run: Run, then: str) -> None:
    begun = time.monotonic()
    ((worker, child),), _, ended = split(list(run(CHILDREN.format(then=then))))
    assert time.monotonic() - begun < 8
    assert ended.code == {"return": 0, "os._exit(3)": 3}.get(then, -9)
    assert gone(worker)
    assert gone(child)


def test_a_daemon_that_left_the_session_does_not_block(run: Run) -> None:
    text = (
        "import subprocess\n"
        "def work(payload, send):\n"
        "    send(subprocess.Popen(['sleep', '30'], start_new_session=True).pid)\n"
    )
    begun = time.monotonic()
    (daemon,), _, ended = split(list(run(text)))
    assert time.monotonic() - begun < 8
    assert ended.code == 0
    os.kill(daemon, signal.SIGKILL)


def test_a_forked_child_that_holds_the_pipe_does_not_block_when_the_work_is_killed(run: Run) -> None:
    text = (
        "import os, time\n"
        "def work(payload, send):\n"
        "    child = os.fork()\n"
        "    if child == 0:\n"
        "        time.sleep(600)\n"
        "    send(child)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    begun = time.monotonic()
    (child,), _, ended = split(list(run(text)))
    assert time.monotonic() - begun < 8
    assert ended.code == -9
    assert gone(child)


FIRST = pytest.param("json, first=True", id="forked twice", marks=FORKED.marks)


@pytest.mark.parametrize("imported", ["", FORKED, FIRST])
def test_the_worker_ends_with_its_parent_even_when_that_is_killed(imported: str, tmp_path: Path) -> None:
    (tmp_path / "at_work.py").write_text(CHILDREN.format(then="time.sleep(600)"))
    program = (
        "import os, sys; from pathlib import Path; from dango.workers.processes import Workers, isolated\n"
        "imported, _, first = sys.argv[2].partition(', ')\n"
        "sys.path.insert(0, sys.argv[1]); workers = Workers(imported, first=bool(first))\n"
        "told = {'folder': Path(sys.argv[1]), 'environment': os.environ, 'workers': workers}\n"
        "for value in isolated('at_work:work', None, **told):\n"
        "    print(*value, *(workers.template and [workers.template] or []), flush=True)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path), imported]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    started = list(map(int, parent.stdout.readline().split()))
    assert len(started) == (3 if imported else 2)
    assert all(map(alive, started))
    parent.kill()
    parent.communicate()
    assert all(map(gone, started))


def test_nothing_of_the_payload_shows_in_the_list_of_processes(run: Run) -> None:
    text = "import os, time\ndef work(payload, send):\n    send(os.getpid())\n    time.sleep(600)\n"
    with closing(run(text, "tiger-secret-payload")) as values:
        process = Path("/proc") / str(next(values))
        assert b"-c\0" in (process / "cmdline").read_bytes()
        for file in ("cmdline", "environ"):
            assert b"tiger" not in (process / file).read_bytes()


def test_a_process_that_cannot_start_says_why(run: Run) -> None:
    sent, lines, ended = split(list(run("def work(payload, send): send(1)\n", b"x" * 1_000_000, PYTHONHOME="/nowhere")))
    assert sent == []
    assert ended.code == 1
    assert any("encodings" in line for line in lines)


def test_work_that_is_not_there_says_why(run: Run) -> None:
    sent, lines, ended = split(list(run("def other(): pass\n")))
    assert (sent, ended.code) == ([], 1)
    assert lines[-1] == "AttributeError: module 'at_work' has no attribute 'work'"


def test_processes_are_worked_with_side_by_side_and_end_together(run: Run, workers: Workers) -> None:
    text = "import os, time\ndef work(payload, send):\n    send(os.getpid())\n    time.sleep(600)\n"
    pids: queue.SimpleQueue[int] = queue.SimpleQueue()
    with ThreadPoolExecutor(4) as threads:
        under_way = [threads.submit(lambda: [pids.put(v) for v in run(text) if isinstance(v, int)]) for _ in range(4)]
        there = [pids.get(timeout=20) for _ in under_way]
        assert all(map(alive, there))
        begun = time.monotonic()
        workers.close()
        assert time.monotonic() - begun < 2.5
    assert not any(map(alive, there))
    with pytest.raises(Closed):
        next(run(text))


def test_what_a_process_changes_stays_in_it(run: Run) -> None:
    text = (
        "import json, os, random, sys, time\n"
        "def work(payload, send):\n"
        "    send((hasattr(json, 'mark'), os.environ.get('MARK'), 'mark' in sys.path))\n"
        "    send((random.random(), time.tzname[0]))\n"
        "    json.mark = 1; os.environ['MARK'] = '1'; sys.path.append('mark')\n"
    )
    (first, (one, _)), _, _ = split(list(run(text, TZ="UTC")))
    (second, (other, zone)), _, _ = split(list(run(text, TZ="CET-1")))
    assert first == second == (False, None, False)
    assert one != other
    assert zone == "CET"


def test_threads_and_exit_handlers_are_waited_for(run: Run) -> None:
    text = (
        "import atexit, threading, time\n"
        "def work(payload, send):\n"
        "    atexit.register(print, 'at exit')\n"
        "    threading.Thread(target=lambda: (time.sleep(0.2), print('from a thread'))).start()\n"
    )
    _, lines, ended = split(list(run(text)))
    assert (lines, ended.code) == (["from a thread", "at exit"], 0)


@pytest.mark.skipif(not AVAILABLE, reason="no forks on this system")
def test_where_the_template_is_gone_a_process_begins_from_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "at_work.py").write_text("import os\ndef work(payload, send): send(os.getppid())\n")
    told: dict[str, Any] = {"folder": tmp_path, "environment": os.environ}
    with closing(Workers("json")) as workers:
        first, _ = isolated("at_work:work", None, workers=workers, **told)
        assert first == workers.template
        os.kill(first, signal.SIGKILL)
        assert gone(first)
        second, _ = isolated("at_work:work", None, workers=workers, **told)
        assert second == os.getpid()
    with closing(Workers("no_such_module")) as workers:
        third, _ = isolated("at_work:work", None, workers=workers, **told)
        assert third == os.getpid()


@pytest.mark.skipif(not AVAILABLE, reason="no forks on this system")
@pytest.mark.parametrize("streams", ["", "<&- >&- 2>&-"], ids=["with streams", "without"])
def test_a_template_that_is_forked_is_as_one_that_begins_from_nothing(tmp_path: Path, streams: str) -> None:
    (tmp_path / "at_work.py").write_text(
        "import os, sys\n"
        "def work(payload, send):\n"
        "    print('said')\n"
        "    ours = [hasattr(sys.modules['__main__'], 'begun'), sys.argv, sys.stdin.read()]\n"
        "    send([*ours, os.getppid(), os.getsid(0), {k: v for k, v in os.environ.items() if k.startswith('SHOP')}])\n"
    )
    (tmp_path / "program.py").write_text(
        "import os; from dango.workers.processes import Line, Workers, isolated\n"
        "import json, sys; from contextlib import closing; from pathlib import Path\n"
        "here = Path(__file__).parent; begun = True; found = []\n"
        "for first in (True, *([False] if sys.stdin else [])):\n"
        "    with closing(Workers('json', first=first)) as workers:\n"
        "        told = {'folder': here, 'environment': {**os.environ, 'SHOP': 'x'}, 'workers': workers}\n"
        "        *values, ended = isolated('at_work:work', None, **told)\n"
        "        line, sent = sorted(values, key=lambda value: not isinstance(value, Line))\n"
        "        *same, parent, session, shop = sent\n"
        "        assert parent == session == workers.template != os.getpid(), (parent, session, os.getpid())\n"
        "        found.append([*same, shop, line.text, ended.code])\n"
        "(here / 'found').write_text(json.dumps(found))\n"
    )
    given = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(tmp_path)]), "SHOP_TOKEN": "abc"}
    command = f'"{sys.executable}" program.py {streams}'
    subprocess.run(["sh", "-c", command], cwd=tmp_path, env=given, check=True, timeout=60)
    for found in json.loads((tmp_path / "found").read_text()):
        assert found == [False, ["-c"], "", {"SHOP": "x", "SHOP_TOKEN": "abc"}, "said", 0]


@pytest.mark.skipif(not AVAILABLE, reason="no forks on this system")
def test_what_several_need_is_imported_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "first.py").write_text(
        "import importlib, sys\n"
        "def more(names):\n"
        "    for name in names:\n"
        "        importlib.import_module(name)\n"
        "def work(payload, send):\n"
        "    send(payload in sys.modules)\n"
    )

    def imported(modules: Collection[str] | None, several: bool) -> list[list[Any]]:
        with closing(Workers("first")) as workers:
            workers.expect(modules, several=several)
            return [
                split(list(isolated("first:work", "wave", folder=tmp_path, environment=os.environ, workers=workers)))[0]
                for _ in range(3)
            ]

    both = {"this", "wave"}
    assert imported(both, several=True) == [[True], [True], [True]]
    assert imported(both, several=False) == [[False], [True], [True]], "one alone might not need it"
    assert imported(None, several=True) == [[False], [False], [False]]

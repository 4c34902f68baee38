"""From `source_module` to a module: the order, the one name that it has, and the faults told apart."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Said, native, sources

Write = Callable[[Mapping[str, str]], None]
Dango = Callable[..., Said]
Rows = Callable[[str], list[Any]]

WHO = 'def rows():\n    yield {"who": __name__}\n'


@pytest.fixture
def installed(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Installs distributions in a folder beside the project; returns the environment that has them."""

    def installed(name: str, files: Mapping[str, str], plugins: str = "") -> dict[str, str]:
        folder = tmp_path / "installed"
        metadata = {
            "METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
            "entry_points.txt": f"[dango.sources]\n{plugins}",
            "top_level.txt": "\n".join({file.split("/")[0].removesuffix(".py") for file in files}),
        }
        info = {f"{name.replace('-', '_')}-1.0.dist-info/{file}": text for file, text in metadata.items()}
        for file, text in {**files, **info}.items():
            path = folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return {"PYTHONPATH": f"{Path(__file__).parents[2]}:{folder}"}

    return installed


def by_module(said: Said, *modules: str) -> dict[str, Any]:
    """What `check --json` told of each source, in the order in which they were checked: message, hint, place."""
    found = [
        (p["message"], p["hint"], ":".join(str(part) for part in (p["file"], p["line"], p["column"]) if part))
        for p in said.json["problems"]
    ]
    assert len(found) == len(modules), found
    return dict(zip(modules, found, strict=True))


WON = "def won(config=None):\n    yield\n"
LOST = "def lost():\n    yield\n"


def test_a_module_is_looked_for_in_order_and_the_first_wins(
    write: Write, dango: Dango, installed: Callable[..., dict[str, str]]
) -> None:
    env = installed(
        "shop-plugins",
        {
            "shop_plugin/deep.py": WON,
            "shop_plugin/__init__.py": LOST,
            "plugged.py": LOST,
            "anything.py": WON,
            "both.py": LOST,
            "rest_api.py": LOST,
            "outer/__init__.py": LOST,
            "outer/inner.py": WON,
        },
        plugins="plugged = shop_plugin.deep\nboth = shop_plugin\nrest_api = shop_plugin\n",
    )
    mine = {
        "both": "both.py", "filesystem": "filesystem.py", "calendar": "calendar.py", "dlt": "dlt.py",
        "my_api": "my_api/__init__.py", "pkg.mod": "pkg/mod.py", "bare.mod": "bare/mod.py",
    }  # fmt: skip
    modules = [*mine, "plugged", "anything", "outer.inner"]
    blocks = [native(module.replace(".", "_"), module=module, function="won") for module in modules]
    # dlt.sources.rest_api stands before the plugin and before the installed module of that name.
    blocks.append(native("rest", module="rest_api", function="rest_api_source", function_kwargs={"config": {}}))
    files = {f"custom_sources/{file}": WON for file in mine.values()}
    write({**files, "custom_sources/pkg/__init__.py": LOST, "sources": sources(*blocks)})
    said = dango("check", env=env)
    assert (said.code, said.out, said.err) == (0, "11 of 11 sources are well\n", "")


LATE = '''
"""Everything is imported in every way, at once and again while data flows."""
import pickle
import sys
import threading
import time

import calendar
import colorsys
import other
import packaging
from custom_sources.other import Thing as absolute
from . import other as relative


class Row:
    pass


def rows():
    import late
    import nest.leaf
    from custom_sources.late import NAME
    from .late import NAME as same
    from .nest import leaf

    # The time that importing may take is over by then.
    time.sleep(2.1)
    found = []
    thread = threading.Thread(target=lambda: found.append(__import__("custom_sources.later", fromlist=["x"]).NAME))
    thread.start()
    thread.join()
    yield {
        "own": __name__,
        "pickled": b"custom_sources.shop" in pickle.dumps(Row()) and type(pickle.loads(pickle.dumps(Row()))) is Row,
        "one_other": other is relative and other.Thing is absolute,
        "one_late": late.NAME == NAME == same == "custom_sources.late",
        "one_leaf": nest.leaf is leaf and sys.modules["custom_sources.nest.leaf"] is leaf,
        "leaf": leaf.Leaf.__module__,
        "in_thread": found[0],
        "installed_wins": packaging.__name__ == "packaging" and hasattr(packaging, "__version__"),
        "stdlib_wins": calendar.isleap(2024) and colorsys.hls_to_rgb is not None,
        "spec": other.__spec__.name,
    }
'''
NAMED = "NAME = __name__\n"


def test_a_module_of_the_project_has_one_name_however_it_is_imported(write: Write, dango: Dango, rows: Rows) -> None:
    write({
        "custom_sources/__init__.py": "",
        "custom_sources/shop.py": LATE,
        "custom_sources/other.py": "import shop  # round and round\nclass Thing: pass\n",
        "custom_sources/late.py": NAMED,
        "custom_sources/later.py": NAMED,
        "custom_sources/calendar.py": "raise Exception('this is not the calendar that was asked for')\n",
        # Unlike the others this one is not imported by anybody before.
        "custom_sources/colorsys.py": "raise Exception('this is not the module that was asked for')\n",
        "custom_sources/packaging.py": "raise Exception('this is not the package that was asked for')\n",
        "custom_sources/nest/__init__.py": "",
        "custom_sources/nest/leaf.py": "class Leaf: pass\n",
        "sources": sources(native("shop")),
    })  # fmt: skip
    said = dango("sync", env={"DANGO_IMPORT_SECONDS": "2"})
    assert said.code == 0, said.err
    columns = "own, pickled, one_other, one_late, one_leaf, leaf, in_thread, installed_wins, stdlib_wins, spec"
    assert rows(f"select {columns} from raw_shop.rows") == [(
        "custom_sources.shop", True, True, True, True, "custom_sources.nest.leaf", "custom_sources.later", True, True,
        "custom_sources.other",
    )]  # fmt: skip


def test_an_init_file_of_custom_sources_is_run_once_and_its_fault_is_told(write: Write, dango: Dango) -> None:
    write({
        "custom_sources/__init__.py": "import dlt\n\n1 / 0\n",
        "custom_sources/shop.py": WHO,
        "sources": sources(native("shop")),
    })  # fmt: skip
    said = dango("check")
    assert said.code == 2
    assert "custom_sources/__init__.py:3: importing `custom_sources` failed: ZeroDivisionError" in said.err


@pytest.mark.parametrize("nested", ["tests/test_shop.py", "custom_sources/test_shop.py"])
def test_a_plain_pytest_of_the_user_finds_the_same_modules(root: Path, write: Write, dango: Dango, nested: str) -> None:
    assert dango("init", "--yes").code == 0
    write({
        "custom_sources/shop.py": "from .other import one\n\n\nclass Row:\n    pass\n\n\ndef rows():\n    yield one\n",
        "custom_sources/other.py": "one = {'id': 1}\n",
        "custom_sources/calendar.py": "this is not the calendar\n",
        nested: (
            "import calendar\nimport pickle\nfrom custom_sources.shop import Row, rows\n\n\n"
            "def test_rows():\n    assert list(rows()) == [{'id': 1}]\n"
            "    assert Row.__module__ == rows.__module__ == 'custom_sources.shop'\n"
            "    assert pickle.loads(pickle.dumps(Row)) is Row and calendar.isleap(2024)\n"
        ),
    })  # fmt: skip
    command = [str(Path(sys.executable).with_name("pytest")), "-q", "-p", "no:cacheprovider", nested]
    # What this run of pytest has set is not the user's.
    env = {"PATH": "/usr/bin:/bin", "HOME": str(root)}
    done = subprocess.run(command, cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_no_such_module_says_where_it_looked_and_what_is_near(
    write: Write, dango: Dango, installed: Callable[..., dict[str, str]]
) -> None:
    env = installed("shop-plugins", {"shop_plugin.py": WHO}, plugins="plugged = shop_plugin\n")
    asked = {
        "shpo": "shop", "sql_databse": "sql_database", "pluged": "plugged", "pipedrive": None, "../shop": None,
        "shop.inner": None, "calendar.inner": None, "shop.py": None, "nowhere": None,
    }  # fmt: skip
    blocks = [native(f"s{number}", module=module) for number, module in enumerate(asked)]
    write({"custom_sources/shop.py": WHO, "custom_sources/_own.py": "", "sources": sources(*blocks)})
    said = dango("check", "--json", env=env)
    assert said.code == 2
    found = by_module(said, *asked)
    for number, (module, nearest) in enumerate(asked.items()):
        message, hint, place = found[module]
        assert message.startswith(f"No module named '{module}'")
        looked = "looked in custom_sources/, in dlt.sources, among plugins and among installed packages"
        assert message.endswith(f"({looked})")
        assert nearest is None or f"(did you mean `{nearest}`?)" in message
        assert place.startswith(f".dango/sources.yml:{3 + number}:")
        if module != "pipedrive":
            assert hint == "modules of custom_sources/: shop"
    assert found["pipedrive"][1] == (
        "`pipedrive` is one of dlt's verified sources, which dlt does not ship: dango source fetch pipedrive"
    )


def test_a_module_without_the_function_says_what_it_is_and_offers(
    write: Write, dango: Dango, installed: Callable[..., dict[str, str]]
) -> None:
    env = installed("Shop-SDK", {"github.py": "class Github: pass\n", "shop_sdk/__init__.py": WHO})
    shop = (
        "import dlt\nfrom dlt.sources.helpers import requests\nfrom json import dumps\n"
        "@dlt.source\ndef crm(): ...\n@dlt.resource\ndef pages(): yield\n@dlt.transformer\ndef details(x): yield\n"
        "def helper(): ...\ndef _hidden(): ...\n"
    )
    plain = "from json import dumps\nclass Client: pass\ndef load(): ...\ndef fetch(): ...\n"
    asked = ["shop", "plain", "empty", "packaging", "shop_sdk", "github", "rest_api"]
    blocks = [native(f"s{number}", module=module, function="craw") for number, module in enumerate(asked)]
    blocks[0] = native("s0", function="crn")
    write({
        "custom_sources/shop.py": shop, "custom_sources/plain.py": plain, "custom_sources/empty.py": "",
        "sources": sources(*blocks),
    })  # fmt: skip
    found = by_module(dango("check", "--json", env=env), *asked)
    assert found["shop"][:2] == (
        "Function 'crn' not found in module 'shop' (custom_sources.shop) (did you mean `crm`?)",
        "it offers: crm, details, pages",
    )
    assert found["plain"][1] == "it offers: fetch, load"
    assert found["empty"][1] == "it offers no function of its own"
    for module, distribution in {"packaging": "packaging", "shop_sdk": "Shop-SDK", "github": "Shop-SDK"}.items():
        assert found[module][0].startswith(f"Function 'craw' not found in module '{module}'")
        assert found[module][0].endswith(f"; that is a module of the installed package `{distribution}`")
    assert found["shop_sdk"][1] == "it offers: rows"
    assert found["github"][1] == "for dlt's verified source of that name: dango source fetch github"
    assert found["rest_api"][0].startswith("Function 'craw' not found in module 'rest_api' (dlt.sources.rest_api)")
    assert found["rest_api"][1] == "it offers: rest_api"


def test_a_module_whose_own_import_fails_names_the_package_and_how_to_install_it(
    write: Write, dango: Dango, installed: Callable[..., dict[str, str]]
) -> None:
    env = installed("broken-sdk", {"broken_sdk.py": "import not_there_at_all\n"})
    asked = {
        "plain": "import not_there_at_all\n",
        "known": "\nfrom yaml2 import load\n\n",
        "alias": "import cv2.aruco\n",
        "deep": "import other\n",
        "other": "x = 1\nimport not_there_at_all.part\n",
        "part": "from packaging.nothing import x\n",
        "own": "from custom_sources.othr import x\n",
        "relative": "from .othr import x\n",
        "named": "from packaging import nothing\n",
    }
    files = {f"custom_sources/{module}.py": text for module, text in asked.items()}
    blocks = [native(module, module=module) for module in (*asked, "broken_sdk")]
    write({**files, "sources": sources(*blocks)})
    found = by_module(dango("check", "--json", env=env), *asked, "broken_sdk")
    pip = f"{sys.executable} -m pip install "
    fault = "is there, but it imports a package that is not installed"
    assert found["plain"] == (
        f"No module named 'not_there_at_all': `custom_sources.plain` {fault}", f"{pip}not-there-at-all",
        "custom_sources/plain.py:1",
    )  # fmt: skip
    assert found["known"][1:] == (f"{pip}yaml2", "custom_sources/known.py:2")
    assert found["alias"][:2] == (f"No module named 'cv2': `custom_sources.alias` {fault}", f"{pip}opencv-python")
    # The innermost place is where the import stands, not where the source begins.
    assert found["deep"][1:] == (f"{pip}not-there-at-all", "custom_sources/other.py:2")
    assert found["other"][1:] == (f"{pip}not-there-at-all", "custom_sources/other.py:2")
    for module in ("own", "relative"):
        assert found[module][0] == (
            f"`custom_sources.{module}` imports `custom_sources.othr`, which is not there (did you mean `other`?)"
        )
        assert found[module][2] == f"custom_sources/{module}.py:1"
    assert found["named"][0].startswith("importing `custom_sources.named` failed: ImportError: cannot import name")
    assert found["broken_sdk"][:2] == (
        f"No module named 'not_there_at_all': `broken_sdk` {fault}", f"{pip}not-there-at-all"
    )  # fmt: skip


def test_whatever_a_module_does_at_import_is_told_with_its_place(write: Write, dango: Dango) -> None:
    asked = {
        "syntax": "import dlt\ndef rows(:\n    pass\n",
        "indent": "def rows():\npass\n",
        "prints": f"import os\nprint('hello')\nos.write(1, b'hello')\nos.system('echo hello')\n{WHO}",
        "exits": "import sys\n\nsys.exit('good bye')\n",
        "exits_well": "raise SystemExit\n",
        "raises": "x = 1\ndef f():\n    raise ValueError('boom')\nf()\n",
        "interrupts": "class Odd(BaseException): pass\nraise Odd('odd')\n",
        "ends": "import os\nos._exit(0)\n",
        "ends_badly": "import os\nprint('last words')\nos._exit(7)\n",
        "killed": "import os\nos.kill(os.getpid(), 9)\n",
        "asks": "input('name? ')\n",
        "fine": WHO,
    }
    files = {f"custom_sources/{module}.py": text for module, text in asked.items()}
    write({**files, "sources": sources(*[native(module, module=module) for module in asked])})
    said = dango("check", "--json")
    assert said.code == 2
    assert said.json["checked"] == list(asked)
    found = by_module(said, *[module for module in asked if module not in ("prints", "fine")])
    fault = "`custom_sources.syntax` is not valid Python: invalid syntax"
    assert found["syntax"] == (fault, "", "custom_sources/syntax.py:2:10")
    assert found["indent"][2].startswith("custom_sources/indent.py:2:")
    ends = "ends the program (sys.exit) while it is imported"
    assert found["exits"] == (f"`custom_sources.exits` {ends}", "", "custom_sources/exits.py:3")
    assert found["exits_well"][0] == f"`custom_sources.exits_well` {ends}"
    assert found["raises"] == (
        "importing `custom_sources.raises` failed: ValueError: boom", "", "custom_sources/raises.py:3"
    )  # fmt: skip
    assert found["interrupts"][0] == "importing `custom_sources.interrupts` failed: Odd: odd"
    assert found["ends"][0] == "importing `ends` ended the process: its process ended with exit code 0"
    assert found["ends_badly"][0] == "importing `ends_badly` ended the process: its process ended with exit code 7"
    assert found["killed"][0] == "importing `killed` ended the process: its process was ended by SIGKILL"
    assert found["asks"][0].startswith("importing `custom_sources.asks` failed: EOFError")


@pytest.mark.slow
def test_a_broken_module_stops_no_other_source(write: Write, dango: Dango, rows: Rows, root: Path) -> None:
    write({
        "custom_sources/ends.py": "import os\nos._exit(0)\n",
        "custom_sources/ends_later.py": "import os\ndef rows():\n    yield {'id': 1}\n    os._exit(0)\n",
        "custom_sources/exits.py": "import sys\ndef rows():\n    yield {'id': 1}\n    sys.exit(3)\n",
        "custom_sources/syntax.py": "def\n",
        "custom_sources/prints.py": f"print('hello')\n{WHO}",
        "sources": sources(*[native(m, module=m) for m in ("ends", "ends_later", "exits", "syntax", "prints")]),
    })  # fmt: skip
    said = dango("sync", "--json")
    assert said.code == 3
    results = {result["source"]: result for result in said.json["results"]}
    assert {name: result["status"] for name, result in results.items()} == {
        "ends": "failed", "ends_later": "crashed", "exits": "failed", "syntax": "failed", "prints": "ok",
    }  # fmt: skip
    assert results["ends"]["error"]["message"] == (
        "importing `ends` ended the process: its process ended with exit code 0"
    )
    assert results["ends_later"]["error"]["message"] == ("its process ended with exit code 0, at the step `extract`")
    assert results["exits"]["error"]["message"] == "the source ends the program (sys.exit 3)"
    assert results["exits"]["error"]["place"] == "custom_sources/exits.py:4"
    assert results["syntax"]["error"]["place"] == "custom_sources/syntax.py:1:4"
    assert [results[name]["error"]["exit_code"] for name in ("ends", "ends_later", "exits", "syntax")] == [2, 1, 1, 2]
    assert rows("select who from raw_prints.rows") == [("custom_sources.prints",)]
    assert rows("select table_schema from information_schema.tables where table_name = 'rows'") == [("raw_prints",)]
    assert "hello" in "".join(log.read_text() for log in (root / ".dango" / "logs").glob("*.log"))


def test_a_module_that_runs_for_ever_at_import_is_ended_and_its_place_told(write: Write, dango: Dango) -> None:
    write({
        "custom_sources/stuck.py": "import time\ndef wait():\n    time.sleep(99)\nwait()\n",
        "custom_sources/fine.py": WHO,
        "sources": sources(*[native(module, module=module) for module in ("stuck", "fine")]),
    })  # fmt: skip
    said = dango("check", "--json", env={"DANGO_IMPORT_SECONDS": "2"}, timeout=20)
    assert said.code == 2
    found = by_module(said, "stuck")
    hint = (
        "a module should only define: move what it does at its top level into the function"
        " (the environment variable DANGO_IMPORT_SECONDS allows more)"
    )
    assert found["stuck"] == ("`stuck` is still being imported after 2 s", hint, "custom_sources/stuck.py:3")

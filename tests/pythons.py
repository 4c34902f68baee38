"""The tests with every Python that this machine has, or that uv can bring: `make pythons`, `make lowest`.

Each has an environment of its own in `.pythons/`. What the tests import there is the wheel, not the checkout.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / ".pythons"
UV = (sys.executable, "-m", "uv")
EXTRAS = ("dev", "postgres")

Version = tuple[int, int]


def main() -> int:
    """Runs the tests with each, prints a table, and gives an exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--others", action="store_true", help="leave out the Python that runs this")
    parser.add_argument("--only", metavar="3.N", help="this Python alone")
    parser.add_argument("--lowest", action="store_true", help="with the lowest versions that pyproject.toml allows")
    options, tests = parser.parse_known_args()

    for old in FOLDER.glob("*.whl"):
        old.unlink()
    run(sys.executable, "-m", "build", "-q", "--wheel", "--outdir", FOLDER, ROOT)
    table, failed = [], False
    found = interpreters()
    for version in wanted(found):
        name = ".".join(map(str, version))
        if options.only not in (None, name) or (options.others and version == sys.version_info[:2]):
            continue
        python = found.get(version) or downloaded(name)
        if python is None:
            table.append(f"Python {name}: not on this machine, and uv cannot bring it")
            continue
        print(f"\nPython {name}: {python}", flush=True)
        home = FOLDER / (f"{name}-lowest" if options.lowest else name)
        said, code = tested(home, python, tests, lowest=options.lowest)
        table.append(f"Python {name}: {said}")
        failed |= code != 0
    print("", *table, sep="\n")
    return int(failed)


def interpreters() -> dict[Version, Path]:
    """The interpreters on the path, of pyenv and of uv; of each minor version the newest."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    uv = Path(run(*UV, "python", "dir").strip())
    folders = [*map(Path, os.get_exec_path()), *pyenv.glob("*/bin"), *uv.glob("*/bin")]
    paths = sorted({path for folder in folders for path in folder.glob("python3.*")})
    found = {version: path for path in paths if path.suffix[1:].isdigit() and (version := version_of(path))}
    return {(version[0], version[1]): found[version] for version in sorted(found)}


def version_of(python: Path) -> tuple[int, ...] | None:
    """Its version; None where it cannot be run, like pyenv's stand-ins, or makes no environments."""
    ask = "import sys, venv, ensurepip; print(*sys.version_info[:3])"
    done = subprocess.run([python, "-c", ask], capture_output=True, text=True)
    return tuple(map(int, done.stdout.split())) if done.returncode == 0 else None


def wanted(found: Iterable[Version]) -> list[Version]:
    """The versions that pyproject.toml names, and those that are found and newer."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    named = {(3, int(minor)) for minor in re.findall(r'"Programming Language :: Python :: 3\.(\d+)"', text)}
    return sorted(named | {version for version in found if version > max(named)})


def downloaded(name: str) -> Path | None:
    """The Python of that version that uv can download, if it can."""
    done = subprocess.run([*UV, "python", "install", "-q", name], capture_output=True)
    return Path(run(*UV, "python", "find", "--managed-python", name).strip()) if done.returncode == 0 else None


def tested(home: Path, python: Path, tests: Sequence[str], *, lowest: bool) -> tuple[str, int]:
    """Installs and runs the tests. Returns what is to be said of it, and their exit code."""
    try:
        versions = installed(home, python, lowest=lowest)
    except subprocess.CalledProcessError as error:
        print(error.stderr)
        return "cannot be installed", error.returncode
    # Not `python -m pytest`, which would take dango from the checkout.
    command = [str(home / "bin" / "pytest"), "-q", "-o", "pythonpath=", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(done.stdout, flush=True)
    return f"{done.stdout.strip().splitlines()[-1].strip('= ')}; {versions}", done.returncode


def installed(home: Path, python: Path, *, lowest: bool) -> str:
    """Makes an environment with the wheel, all of it from wheels. Returns the versions of what matters most.

    Raises:
        CalledProcessError: where that cannot be.
    """
    run(*UV, "venv", "-q", "--clear", "--python", python, home)
    mine = home / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    options = ("-q", "-p", mine, "--only-binary", ":all:")
    if lowest:
        constraints = home / "lowest.txt"
        extras = [word for extra in EXTRAS for word in ("--extra", extra)]
        resolution = ("--resolution", "lowest-direct", *extras)
        run(*UV, "pip", "compile", *options, *resolution, "-o", constraints, ROOT / "pyproject.toml")
    (wheel,) = FOLDER.glob("*.whl")
    run(*UV, "pip", "install", *options, "-c", constraints, f"dango[{','.join(EXTRAS)}] @ {wheel.as_uri()}")
    # Read after what is installed: `tests` is found in the checkout, dango is not.
    (site,) = home.glob("lib/python*/site-packages")
    (site / "tests.pth").write_text(f"{ROOT}\n", encoding="utf-8")
    frozen = run(*UV, "pip", "freeze", "-q", "-p", mine).splitlines()
    return ", ".join(line.replace("==", " ") for line in frozen if line.startswith(("dlt==", "duckdb==", "pyarrow==")))


def environment() -> dict[str, str]:
    """This process's, without what would lead to the checkout."""
    ours = ("COVERAGE_", "PYTHON", "VIRTUAL_ENV")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run(*command: str | Path) -> str:
    """What a command prints. Raises `CalledProcessError`, which holds what it complains of, where it fails."""
    FOLDER.mkdir(exist_ok=True)
    return subprocess.run(command, cwd=FOLDER, env=environment(), check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    sys.exit(main())

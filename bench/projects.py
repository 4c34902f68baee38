"""Projects of dango for the bench: written, synced from the beginning, put back to where they were."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.measure import Command, run
from tests.postgres_server import Postgres

ROOT = Path(__file__).parents[1]
REFERENCES = Path(__file__).with_name("references")
CUSTOM_SOURCES = Path(__file__).with_name("custom_sources")
SETTINGS = "[runtime]\ndlthub_telemetry = false\n"


@dataclass(frozen=True, slots=True)
class Project:
    """A project, and the folder beside it in which its state is kept to be put back."""

    root: Path

    @classmethod
    def written(
        cls,
        root: Path,
        sources: Sequence[Mapping[str, Any]],
        secrets: Mapping[str, Mapping[str, object]] | None = None,
        destination: Postgres | None = None,
    ) -> Project:
        """A new project in place of what was there.

        Args:
            root: its folder.
            sources: as in `sources.yml`.
            secrets: by section of `secrets.toml`.
            destination: None for the project's own DuckDB file.
        """
        shutil.rmtree(root, ignore_errors=True)
        config: dict[str, Any] = {"version": 1, "sources": list(sources)}
        sections = dict(secrets or {})
        if destination:
            config |= {"destination": "lake", "destinations": {"lake": {"type": "postgres"}}}
            sections["destination.lake.credentials"] = {
                "host": destination.host, "port": destination.port, "username": destination.user,
                "password": destination.password, "database": destination.database,
            }  # fmt: skip
        texts = {
            ".dango/sources.yml": json.dumps(config, indent=1),  # JSON is YAML, too
            ".dlt/config.toml": SETTINGS,
            ".dlt/secrets.toml": "".join(
                f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items())
                for name, values in sections.items()
            ),
        }
        for name, text in texts.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        (root / ".dlt/secrets.toml").chmod(0o600)
        shutil.copytree(CUSTOM_SOURCES, root / "custom_sources", ignore=shutil.ignore_patterns("__pycache__"))
        return cls(root)

    @property
    def warehouse(self) -> Path:
        """The DuckDB file that it loads into."""
        return self.root / "data" / "warehouse.duckdb"

    @property
    def state(self) -> Path:
        """Where dango keeps what is not in git."""
        return self.root / ".dango"

    def dango(self, *words: str) -> Command:
        """A command of dango in this project."""
        return Command((sys.executable, "-m", "dango", *words), self.root, ours())

    def reset(self) -> None:
        """As if it had never been synced."""
        for path in self.state.iterdir():
            if path.name != "sources.yml":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.rmtree(self.root / "data", ignore_errors=True)

    def synced(self, *words: str) -> Project:
        """The same after a sync. Raises `BenchError` where that fails."""
        run(self.dango("sync", *words))
        return self

    def keep(self) -> None:
        """Keeps everything, for `put_back`."""
        shutil.rmtree(self._kept, ignore_errors=True)
        shutil.copytree(self.root, self._kept, symlinks=True)

    def put_back(self) -> None:
        """Everything as it was at `keep`."""
        shutil.rmtree(self.root)
        shutil.copytree(self._kept, self.root, symlinks=True)
        os.sync()  # what is written of it later would be counted to the next command

    @property
    def _kept(self) -> Path:
        return self.root.with_name(f"{self.root.name}.kept")


def ours() -> dict[str, str]:
    """The environment of commands that import dango or dlt: this checkout's, and telemetry off for all alike."""
    return {
        "PYTHONPATH": str(ROOT),
        "NO_COLOR": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
    }


def script(name: str, folder: Path, *words: object, environment: Mapping[str, str] | None = None) -> Command:
    """A program of `bench/references`, in a folder of its own, where its home and dlt's state are, too."""
    folder.mkdir(parents=True, exist_ok=True)
    program = (sys.executable, str(REFERENCES / f"{name}.py"), *map(str, words))
    own = {"HOME": str(folder), "DLT_DATA_DIR": str(folder / ".dlt")}
    return Command(program, folder, {**ours(), **own, **(environment or {})})


def in_postgres(server: Postgres) -> dict[str, str]:
    """The environment by which PostgreSQL's own programs find a database."""
    return {
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
        "PGDATABASE": server.database,
    }


def from_postgres(name: str, server: Postgres, resources: Any) -> tuple[dict[str, Any], dict[str, dict[str, object]]]:
    """A source of `sources.yml` that reads tables of a PostgreSQL database, and its secrets."""
    block = {"host": server.host, "port": server.port, "database": server.database, "user": server.user}
    return (
        {"name": name, "type": "postgres", "resources": resources, "postgres": block},
        {f"sources.{name}": {"password": server.password}},
    )


def from_file(name: str, file: Path) -> dict[str, Any]:
    """A source of `sources.yml` that reads a file into the table `loaded`."""
    return {"name": name, "type": "files", "files": {"location": str(file), "table": "loaded"}}


def from_code(name: str, function: str, **arguments: object) -> dict[str, Any]:
    """A source of `sources.yml` that is a function of `bench/custom_sources/dicts.py`."""
    block = {"source_module": "dicts", "source_function": function, "function_kwargs": arguments}
    return {"name": name, "type": "dlt_native", "dlt_native": block}

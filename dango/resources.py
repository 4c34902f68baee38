"""Where the folders stand that dango ships beside its code."""

from __future__ import annotations

from pathlib import Path


def shipped(name: str) -> Path:
    """The folder `registry`, `templates` or `docs`: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "_shipped" / name
    return installed if installed.is_dir() else package.parent / name

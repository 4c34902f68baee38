"""Where the folders stand that dango ships beside its code."""

from __future__ import annotations

from pathlib import Path


def checkout() -> Path | None:
    """The folder of the checkout that this code stands in; None where it is installed."""
    package = Path(__file__).parent
    is_installed = (package / "_shipped").is_dir() or not (package.parent / "pyproject.toml").is_file()
    return None if is_installed else package.parent


def shipped(name: str) -> Path:
    """The folder `registry`, `templates` or `docs`: inside the package when installed, beside it in a checkout."""
    package = Path(__file__).parent
    installed = package / "_shipped" / name
    return installed if installed.is_dir() else package.parent / name

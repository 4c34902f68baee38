"""Pages of the site that do not stand in `docs/`, and links as the site has them: a hook of mkdocs."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath, relpath
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parent.parent
ELSEWHERE = {
    "README.md": "index.md",
    "CHANGELOG.md": "CHANGELOG.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "custom_sources/README.md": "CUSTOM_SOURCES.md",
}
"""Files of the repository by the name that they have on the site."""


def on_files(files: Any, *, config: Any) -> Any:
    """Adds the pages from elsewhere."""
    for origin, page in ELSEWHERE.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / origin)))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Makes links to files of the repository links to pages of the site."""
    origin = next(
        (name for name, there in ELSEWHERE.items() if there == page.file.src_uri), f"docs/{page.file.src_uri}"
    )

    folder = PurePosixPath(page.file.src_uri).parent

    def linked(found: re.Match[str]) -> str:
        target = normpath(PurePosixPath(origin).parent / found["target"])
        on_site = ELSEWHERE.get(target) or (relpath(target, "docs") if target.startswith("docs/") else None)
        there = relpath(on_site, folder) if on_site else target
        return f"]({there}{found['anchor'] or ''})"

    return re.sub(r"\]\((?!\w+:)(?P<target>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)", linked, markdown)

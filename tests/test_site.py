"""The documentation as a site: every link leads somewhere, it builds, and who reads it asks nobody else."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", ROOT / "custom_sources" / "README.md"]
PAGES += sorted((ROOT / "docs").rglob("*.md"))
FENCED = re.compile(r"^```.*?^```$", re.M | re.S)
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([^)\s]*))?\)")


def prose(page: Path) -> str:
    return FENCED.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What one may link to in a page, as GitHub and the site make it of headings."""
    seen: Counter[str] = Counter()
    found = set()
    for heading in re.findall(r"^#+ (.+)$", prose(page), re.M):
        plain = re.sub(r"[^\w\s-]", "", heading.lower()).strip()
        slug = re.sub(r"\s", "-", plain)
        found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
        seen[slug] += 1
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_pages_leads_to_a_page_and_a_heading(page: Path) -> None:
    for target, anchor in LINK.findall(prose(page)):
        there = (page.parent / target).resolve() if target else page
        assert there.exists(), f"{target} is not there"
        if anchor:
            assert anchor in anchors(there), f"{target} has no heading #{anchor}"


def test_every_page_is_linked_from_the_readme() -> None:
    linked = {target for target, _ in LINK.findall(prose(ROOT / "README.md"))}
    assert {"docs/sources/README.md", *(f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md"))} <= linked


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_fetches_nothing_from_elsewhere(tmp_path: Path) -> None:
    if importlib.util.find_spec("mkdocs") is None:
        assert not os.environ.get("CI"), "mkdocs-material is a part of the extra `dev`"
        pytest.skip("needs mkdocs-material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    # Material for MkDocs prints advertising where this is not set.
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True
    )
    # Not `--quiet`, by which warnings are neither told nor counted.
    assert done.returncode == 0 and "WARNING" not in done.stderr, done.stderr
    loads = re.compile(
        r"""<(?:script|img|iframe)\b[^>]*\bsrc=["']?(https?:[^"'\s>]+)|<link\b(?=[^>]*rel=["']?(?:stylesheet|preconnect|icon))[^>]*href=["']?(https?:[^"'\s>]+)"""
    )
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        assert not loads.findall(page.read_text(encoding="utf-8")), page
    assert not any("url(http" in sheet.read_text(encoding="utf-8") for sheet in tmp_path.rglob("*.css"))
    index = (tmp_path / "search" / "search_index.json").read_text(encoding="utf-8")
    assert all(
        text in index.lower() for text in ("missing secret", "signed requests", "balance_transactions", "supabase")
    )

"""`docs/DEPLOYING.md`: its files written and its commands typed, in their order."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.guides import DOCS, Shell, steps

PAGE = DOCS / "DEPLOYING.md"


@pytest.mark.slow
def test_every_block_does_what_the_page_says(tmp_path: Path, root: Path) -> None:
    shell = Shell(root, tmp_path)
    assert shell("dango init --yes --no-example").code == 0
    outputs = dict(steps(PAGE, root, shell))
    said = outputs["dango export docker"].out
    run = "docker run --rm --read-only --tmpfs /tmp -v project-state:/var/lib/dango -v project-data:/project/data"
    assert f"{run} -e SHOP_TOKEN project\n" in said
    # The commands of the page are those that it says, for a folder called so.
    text = PAGE.read_text(encoding="utf-8")
    assert f"{run} -e SHOP_TOKEN project".replace("project-", "shop-").replace("TOKEN project", "TOKEN shop\n") in text
    assert "docker build -t project ." in said
    shop = {kind: outputs[f"dango export {kind}"].out for kind in ("github-actions", "airflow", "cron", "systemd")}
    shop["kubernetes"] = outputs["dango export kubernetes --image registry.example.com/shop:1"].out
    for kind, said in shop.items():
        rows = dict(re.findall(r"^(\S+) {2,}(.+?) *$", said.partition("secrets to set:")[2], re.M))
        prefix = "dango_project_secret_" if kind == "airflow" else ""
        expected = {"SHOP_TOKEN": "shop", "ISSUES_TOKEN": "issues", "LAKE_URL": "every source"}
        assert rows == {"secret": "of", **{f"{prefix}{name}": of for name, of in expected.items()}}, kind
    for path in (
        *(".github/workflows/dango.yml", "dags/dango_project.py", "dango.crontab", "systemd/dango-project@.service"),
        *("systemd/dango-project@shop.timer", "systemd/dango-project@issues.timer", "kubernetes/dango.yaml"),
    ):
        assert (root / path).is_file()
        assert path.replace("project", "PROJECT") in text or path.endswith(".timer")

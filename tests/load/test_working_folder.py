"""dlt's working folder of a source: what a run that was killed has left beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dango.load.working_folder import put_back


@pytest.mark.parametrize("kept", ["", ".before", ".before-refresh"])
def test_a_folder_that_was_half_deleted_is_gone_afterwards(tmp_path: Path, kept: str) -> None:
    folder = tmp_path / "shop--duckdb--raw_shop"
    (folder / "state").mkdir(parents=True)
    (tmp_path / f"{folder.name}{kept}.dropped" / "shop").mkdir(parents=True)
    put_back(folder)
    assert list(tmp_path.iterdir()) == [folder]
    assert (folder / "state").is_dir()

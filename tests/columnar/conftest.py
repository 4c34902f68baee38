from __future__ import annotations

import pytest


@pytest.fixture
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """dlt tells nobody of these runs, and its pages are small: a few documents fill many."""
    monkeypatch.setenv("RUNTIME__DLTHUB_TELEMETRY", "false")
    monkeypatch.setenv("DATA_WRITER__BUFFER_MAX_ITEMS", "20")

"""What the tests of subjects share."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A cache for this test alone."""
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))

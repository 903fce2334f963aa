"""The short form of the soak's attack on the review page."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.bench.soak import page_load


@pytest.mark.slow
def test_page_is_served_while_it_is_attacked_and_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HUBEL_CACHE", str(tmp_path / "cache"))
    load = page_load.load_page(tmp_path, half_open=400, requests=300, targets=30)
    assert (load.answered, load.failed_visits) == (300, 0)
    assert load.visits > 0
    assert load.stderr_bytes < page_load.STDERR_BYTES
    assert load.peak_mb < page_load.MEMORY_MB

"""A cluster on loopback that loses processes, actors and nodes while it indexes."""

from __future__ import annotations

from pathlib import Path

import pytest

from hubel.bench.soak.kill_cluster import kill_cluster


@pytest.mark.slow  # about a minute: a cluster of three nodes, and a new worker after each kill
def test_an_index_of_a_dying_cluster_is_that_of_one_process(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'hubel[ray]'")
    tally = kill_cluster(tmp_path, kills=3, seed=1)
    assert tally.kills.total() >= 3
    assert tally.indexes >= 1
    assert tally.broken == 0, tally.notes

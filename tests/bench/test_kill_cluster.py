"""A cluster on loopback that loses processes, actors and nodes while it indexes."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hubel.bench.soak.kill_cluster import kill_cluster


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: hubel[ray]")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers at all of 127.0.0.0/8")
@pytest.mark.slow  # about a minute: a cluster of three nodes, and a new worker after each kill
def test_an_index_of_a_dying_cluster_is_that_of_one_process(tmp_path: Path) -> None:
    tally = kill_cluster(tmp_path, kills=10, seed=1)
    assert tally.kills.total() >= 10
    assert tally.indexes >= 1
    assert tally.broken == 0, tally.notes

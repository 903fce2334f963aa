"""A cluster on loopback that loses processes, actors, nodes and drivers, while it makes indexes and runs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from hubel.bench.soak.cluster_soak import cluster_result, soak_on_cluster


@pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed: hubel[ray]")
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux answers at all of 127.0.0.0/8")
@pytest.mark.slow  # about a minute: a cluster of three nodes, and a new worker after each kill
def test_indexes_and_runs_of_a_dying_cluster_are_those_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("HUBEL_CACHE", "OMP_NUM_THREADS", "OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        monkeypatch.setenv(name, "put back after the test")
    found = soak_on_cluster(tmp_path, index_kills=2, run_kills=4, seed=1)
    assert found.indexes.kills.total() >= 2
    assert found.runs.kills >= 4
    assert found.runs.of_models >= 1
    assert found.runs.calls >= 10
    result = cluster_result(found)
    assert [promise for promise in result.promises if not promise.kept] == [], result.notes
    assert capsys.readouterr().out == "", "standard output is for results, not for what Ray says"

"""The index of the real default subject over real text: what is promised of its size and speed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from hubel.tools.corpus import read_corpus
from hubel.tools.index import Collected, Index, build_index, collect
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject


@pytest.mark.slow
@pytest.mark.subject
def test_two_layers_of_the_default_subject(subject: Subject, tmp_path: Path) -> None:
    summary = build_index(
        subject, read_corpus("lee-news"), tmp_path / "i", layers=[0, 3], max_tokens=6000
    )
    assert summary.units == 2 * (1536 + 9)
    assert sum(p.stat().st_size for p in tmp_path.rglob("mlp-3.parquet")) < 20e6
    index, unit = Index.open(tmp_path / "i"), Unit("mlp", 3, 100)
    collect(subject, index, [unit], tmp_path / "c")
    collected = Collected.open(tmp_path / "c", "explore")
    values = collected.activations(unit)
    statistics = index.statistics(unit)
    assert statistics.mean == pytest.approx(values[collected.mask].mean(dtype=np.float64), abs=1e-4)
    assert statistics.max == pytest.approx(values[collected.mask].max(), rel=1e-3)
    best = index.exemplars(unit, "+", k=1)[0]
    assert best.activations[best.peak] == pytest.approx(statistics.max, rel=1e-3)
    ids = torch.tensor([best.token_ids])
    direct = subject.unit_activations(ids, [unit])[0, 0, 1:].numpy()
    assert best.activations[1:] == pytest.approx(direct, rel=5e-3, abs=5e-3)

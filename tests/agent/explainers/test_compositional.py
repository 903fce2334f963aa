"""The formula search as an explainer: the run's seed reaches its folds."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hubel.agent.explainers import make_explainer
from hubel.agent.explainers.protocol import InvestigationView, TargetData
from hubel.agent.run.execute import make_run, resolve
from hubel.agent.run.resources import RunResources
from hubel.agent.runlog.config import RunConfig
from hubel.agent.runlog.log import RunLog
from hubel.agent.runlog.progress import Reporter
from hubel.tools.dissection.candidates import CandidateMatrix
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.support.configs import run_config

UNIT = Unit("mlp", 0, 1)


@pytest.mark.parametrize("seed", [0, 5])
def test_the_seed_of_a_run_decides_the_folds_of_its_search(
    seed: int, tiny: Subject, tiny_index: Path, tmp_path: Path
) -> None:
    settings = {"index": str(tiny_index), "targets": [str(UNIT)], "seed": seed}
    make_run(tmp_path / "run", resolve(run_config(**settings, explainer="compositional")))
    config = RunConfig.load(tmp_path / "run")
    with (
        closing(RunLog(tmp_path / "run")) as log,
        closing(
            RunResources(tmp_path / "run", config, log, Reporter(), tiny, None, None)
        ) as resources,
    ):
        driver = resources.driver()
        data = driver.context.data.of(UNIT, "explore")
        driver.explainer.move(view(data))
    # What the run prepared in advance is what the search used: one matrix, with the run's folds.
    (matrix,) = [value for value in data.cache.values() if isinstance(value, CandidateMatrix)]
    fresh = {**config.to_settings(), "seed": seed + 1}
    other = replace(data, cache={})
    make_explainer("compositional", RunConfig.from_settings(fresh)).move(view(other))
    (otherwise,) = [value for value in other.cache.values() if isinstance(value, CandidateMatrix)]
    assert not np.array_equal(matrix.fold, otherwise.fold)
    same = replace(data, cache={})
    make_explainer("compositional", config).move(view(same))
    (again,) = [value for value in same.cache.values() if isinstance(value, CandidateMatrix)]
    assert np.array_equal(matrix.fold, again.fold)


def view(data: TargetData) -> InvestigationView:
    return InvestigationView(
        unit=UNIT, round=0, moves=0, seed=0, observation={}, explore=lambda: data
    )

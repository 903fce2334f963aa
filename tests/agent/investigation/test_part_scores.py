"""Scores of a formula's parts on select: those that holdout would give, and a naive loop's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hubel.agent.explainers.protocol import Hypothesis
from hubel.agent.investigation.part_scores import SCORERS, part_scores
from hubel.agent.investigation.verify import verify_target
from hubel.evals.scorers.task import collected_sample
from hubel.evals.statistics.correlation import pearson
from hubel.tools.dissection import fit_token_list
from hubel.tools.index import Collected
from tests.support.made_investigation import COLLECTED, made_context

PRINTED = 'strongly suffix("day") - moderately words("said") + faintly words("the")'


def test_a_list_and_coverage_are_those_of_a_naive_loop(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    unit, select = context.units["mlp.0.0"], context.data.collected("select")
    explore = context.data.collected("explore")
    scores = part_scores(context.data, unit, PRINTED)
    assert list(scores) == list(SCORERS)
    # 1. the list
    fitted = fit_token_list(explore.tokens, explore.signal(unit), explore.mask)
    listed = pearson(collected_sample(unit, select, fitted.predict(select.tokens)))
    assert scores["list"] == pytest.approx(listed, abs=1e-3)
    # 2. coverage, by the only named concept
    strings = context.data.lexicon.strings
    tokens, true = select.tokens[select.mask].tolist(), select.signal(unit)[select.mask]
    least = np.sort(np.abs(true))[-50]
    strong = [i for i, value in enumerate(true) if abs(value) >= least]
    days = [strings[tokens[i]].strip().lower().endswith("day") and true[i] > 0 for i in strong]
    assert scores["coverage"] == pytest.approx(np.mean(days), abs=1e-3)


def test_the_parts_score_as_they_would_on_holdout(tmp_path: Path) -> None:
    context = made_context(tmp_path, definitions=2)
    unit = context.units["mlp.0.0"]
    verify_target(context, unit, Hypothesis("h1", "Fires on days.", PRINTED))
    rows = context.log.all("score", "mlp.0.0")
    (tmp_path / COLLECTED / "select.safetensors").write_bytes(
        (tmp_path / COLLECTED / "holdout.safetensors").read_bytes()
    )
    context.data._splits["select"] = Collected.open(tmp_path / COLLECTED, "select")
    scores = part_scores(context.data, unit, PRINTED)
    for name in ("meaning", "headline", "coverage"):
        expected = rows[f"h1/{name}/holdout/random"]["value"]
        assert scores[name] == pytest.approx(expected, abs=1e-3), name
    simulation = rows["h1/simulation/holdout/random"]
    assert scores["list"] == pytest.approx(simulation["floors"]["list"], abs=1e-3)


def test_a_score_without_tokens_is_null(tmp_path: Path) -> None:
    context = made_context(tmp_path)
    explore = context.data.collected("explore")
    context.data._splits["select"] = explore  # explore has all of its own tokens
    assert part_scores(context.data, context.units["mlp.0.0"], PRINTED)["unseen"] is None

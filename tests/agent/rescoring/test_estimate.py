"""What judging may cost, computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from hubel.agent.rescoring.estimate import JUDGED, estimated_usd
from hubel.agent.rescoring.plan import RescoringPlan
from hubel.agent.runlog.model_config import ModelConfig
from hubel.evals.scorers.registry import scorer_names


def test_judging_for_much_money_is_estimated_first() -> None:
    """As computed by hand: 6,000 tokens in and 1,000 out per detection, 700 and 800 per context."""
    price = {"input": 1.0, "output": 2.0}
    judge = ModelConfig("openai:x", price=price)
    plan = RescoringPlan(scorers=("simulation", "detection", "fuzzing"), judge=judge)
    assert estimated_usd(plan, 100) == pytest.approx(100 * 2 * 2 * 8000 / 1e6)
    simulated = replace(plan, scorers=("llm_simulation",))
    assert estimated_usd(simulated, 1) == pytest.approx(2 * 35 * 2300 / 1e6)
    assert estimated_usd(RescoringPlan(), 100) is None
    assert set(scorer_names()) >= JUDGED

"""Every scorer on a unit whose meaning is known: the truth scores high, another unit's explanation does not."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from hubel.evals.scorers import registry
from hubel.evals.scorers.score_all import score_all, with_explanation
from tests.support.fruit import Oracle, make_task

BY_PREDICATE = (
    "detection", "discrimination", "embedding", "fuzzing", "generative", "intervention", "intruder", "purity",
    "simulation", "simulation.ad", "simulation.ev", "surprisal",
)  # fmt: skip
CHANCE = dict.fromkeys(BY_PREDICATE, 0.5) | {
    "simulation": 0.0, "simulation.ev": 0.0, "simulation.ad": 0.0, "intruder": 0.2, "intervention": 1 / 3,
}  # fmt: skip


def test_all_scorers_are_registered():
    assert set(registry.scorer_names()) == {
        *BY_PREDICATE,
        *registry.FORMULA_SCORERS,  # their own tests, as the next two
        "list",
        "llm_simulation",
    }


@pytest.mark.parametrize("name", BY_PREDICATE)
def test_the_truth_scores_high_by_its_predicate(name):
    (outcome,) = score_all(make_task(), [name])
    assert not outcome.failure
    assert not outcome.skipped
    assert outcome.value is not None
    assert outcome.value > 0.75
    main = outcome.scores[0]
    assert main.floors.chance == pytest.approx(CHANCE[name])
    if main.low is not None and main.high is not None:
        assert main.low <= main.value <= main.high


@pytest.mark.parametrize("name", BY_PREDICATE)
def test_every_score_is_a_row_of_the_contract(name):
    (outcome,) = score_all(make_task(), [name])
    for score in outcome.scores:
        row = score.to_json()
        assert set(row) == {"scorer", "split", "text", "value", "low", "high", "floors"}
        assert row["scorer"].split(".")[0] == name.split(".")[0]
        assert row["text"] in ("random", "top_and_random")
        assert math.isfinite(row["value"])


@pytest.mark.slow
@pytest.mark.parametrize("name", [n for n in BY_PREDICATE if n not in ("embedding", "surprisal")])
@pytest.mark.parametrize("constant", [0.0, 1.0, -3.5, 1e-9])
def test_a_constant_prediction_scores_exactly_chance(name, constant):
    task = make_task()
    flat = np.full(task.sample.true.shape, constant)
    rival = with_explanation(task, "", flat, lambda tokens, length: np.full(tokens.shape, constant))
    (outcome,) = score_all(rival, [name])
    assert outcome.value == pytest.approx(CHANCE[name], abs=1e-12)
    assert all(math.isfinite(s.value) for s in outcome.scores)


@pytest.mark.parametrize("name", [n for n in BY_PREDICATE if n != "intruder"])
def test_the_truth_beats_another_units_explanation(name):
    task = make_task()
    other = with_explanation(
        task,
        "the words word18 and word19",
        task.floor_predictions.other,
        lambda tokens, length: np.where(tokens == 20, 1.0, 0.0),
    )
    true, wrong = score_all(task, [name])[0].value, score_all(other, [name])[0].value
    assert true is not None
    assert wrong is not None
    assert true > wrong + 0.2


@pytest.mark.parametrize(
    "name", ["detection", "fuzzing", "intruder", "generative", "intervention", "purity"]
)
@pytest.mark.parametrize("logprobs", [False, True])
def test_a_judge_that_knows_scores_high(name, logprobs):
    oracle = Oracle(logprobs)
    (outcome,) = score_all(make_task(chat=oracle), [name])
    assert outcome.value is not None
    assert outcome.value > 0.9
    graded = [s for s in outcome.scores if s.scorer.endswith(".auroc")]
    assert bool(graded) == (logprobs and name in ("detection", "fuzzing"))
    assert all(s.value > 0.9 for s in graded)
    assert outcome.cost.calls == len(oracle.requests)


def test_scorers_that_ask_the_same_pay_once():
    oracle = Oracle()
    detection, purity = score_all(make_task(chat=oracle), ["detection", "purity"])
    assert detection.cost.calls == 2 == len(oracle.requests)
    assert purity.cost.input_tokens == 0


def test_words_without_a_predicate_need_a_judge():
    task = make_task(predicts=False)
    outcomes = score_all(task, [n for n in BY_PREDICATE if n not in ("embedding", "surprisal")])
    assert all(o.skipped and not o.scores and not o.failure for o in outcomes)
    judged = score_all(replace(task, chat=Oracle()), ["detection", "fuzzing", "intruder"])
    assert all(o.value is not None for o in judged)


@pytest.mark.parametrize("name", ["generative", "intervention", "surprisal", "discrimination"])
def test_a_scorer_without_its_resources_is_skipped_with_the_reason(name):
    from hubel.evals.scorers.resources import ScorerResources

    (outcome,) = score_all(make_task(resources=ScorerResources()), [name])
    assert "needs" in outcome.skipped
    assert not outcome.scores


def test_a_dead_unit_leaves_no_score_and_no_failure():
    task = make_task()
    dead = replace(task, sample=replace(task.sample, true=np.zeros_like(task.sample.true)))
    for outcome in score_all(dead, [n for n in BY_PREDICATE if not n.startswith("simulation")]):
        assert outcome.skipped
        assert not outcome.scores


def test_few_documents_give_a_value_and_no_interval():
    (outcome,) = score_all(make_task(documents=6), ["detection"])
    assert outcome.value is not None
    assert (outcome.scores[0].low, outcome.scores[0].high) == (None, None)


def test_the_same_seed_gives_the_same_scores():
    names = [n for n in BY_PREDICATE if n != "simulation"]
    once, again = score_all(make_task(), names), score_all(make_task(), names)
    assert [o.to_json() for o in once] == [o.to_json() for o in again]


def test_token_lookup_is_near_the_truth_for_a_unit_of_tokens():
    (outcome,) = score_all(make_task(), ["detection"])
    floors = outcome.scores[0].floors
    assert floors.token_lookup is not None
    assert floors.other is not None
    assert floors.token_lookup > 0.95
    assert floors.other < 0.65


def test_explained_agrees_with_scikit_learn():
    from sklearn.metrics import d2_absolute_error_score, r2_score

    task = make_task(noise=0.4)
    y, x = task.sample.true[task.sample.mask], task.sample.predicted[task.sample.mask]
    ev, ad = (score_all(task, [n])[0].value for n in ("simulation.ev", "simulation.ad"))
    assert ev == pytest.approx(r2_score(y, x))
    assert ad == pytest.approx(d2_absolute_error_score(y, x))


def test_calibration_mends_a_wrong_scale():
    task = make_task()
    assert task.calibration is not None
    task = replace(
        task,
        sample=task.sample.with_prediction(10 * task.sample.predicted + 3),
        calibration=task.calibration.with_prediction(10 * task.calibration.predicted + 3),
    )
    (outcome,) = score_all(task, ["simulation.ev"])
    raw, mended = (s.value for s in outcome.scores)
    assert outcome.scores[1].scorer == "simulation.ev.calibrated"
    assert raw < 0
    assert mended > 0.8

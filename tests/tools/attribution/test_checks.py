"""Deletion and insertion curves, and the randomisation test."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from hubel.tools.attribution.curves import curves
from hubel.tools.attribution.gradients import gradient
from hubel.tools.attribution.integrated import integrated_gradients
from hubel.tools.attribution.methods import METHODS
from hubel.tools.attribution.names import MethodName
from hubel.tools.attribution.occlusion import occlusion
from hubel.tools.attribution.randomisation import randomisation, redrawn_layers
from hubel.tools.attribution.result import TokenAttribution
from hubel.tools.attribution.target import Logits, make_target

from .conftest import PROMPT, TWIN, case_of, double_subject


def test_curves_run_from_the_prompt_to_the_baseline_and_back() -> None:
    case = case_of(double_subject())
    measured_curves = curves(case, occlusion(case))
    assert measured_curves is not None
    assert measured_curves.shares == (0, 0.2, 0.4, 0.6, 0.8, 1)
    np.testing.assert_allclose(
        [measured_curves.deletion[0], measured_curves.deletion[-1]], [1, 0], atol=1e-6
    )
    np.testing.assert_allclose(
        [measured_curves.insertion[0], measured_curves.insertion[-1]], [0, 1], atol=1e-6
    )
    ids = torch.tensor([TWIN, PROMPT, PROMPT])
    first = int(
        np.argmax(occlusion(case).scores * np.sign(float(np.diff(_values(case, ids[:2]))[0])))
    )
    ids[2, first] = TWIN[first]
    low, high, without = _values(case, ids)
    np.testing.assert_allclose(
        measured_curves.deletion[1], (without - low) / (high - low), atol=1e-6
    )


def _values(case, ids) -> np.ndarray:
    logits = case.subject.capture(ids, [], logits=True, last_only=True).logits
    return (logits[:, -1, 5] - logits[:, -1, 6]).numpy()


def test_over_prompts_a_measured_order_beats_random_ones_and_a_random_one_does_not() -> None:
    subject = double_subject()
    rng = np.random.default_rng(0)
    gains = {"measured": [], "random": []}
    for _ in range(12):
        ids, twin = rng.integers(1, 250, (2, 7)).tolist()
        case = make_target(subject, Logits((5,), (6,)), ids, twin)
        measured = occlusion(case)
        for name, scores in (("measured", measured.scores), ("random", rng.standard_normal(7))):
            measured_curves = curves(case, replace(measured, scores=scores))
            assert measured_curves is not None
            gains[name].append(measured_curves.deletion_gain)
    assert np.mean(gains["measured"]) > 0.1
    assert np.mean(gains["measured"]) > np.mean(gains["random"]) + 0.1


def test_curves_of_one_token_say_nothing() -> None:
    subject = double_subject()
    case = make_target(subject, Logits((5,)), PROMPT, [*PROMPT[:-1], 9])
    assert curves(case, occlusion(case)) is None
    assert randomisation(case, occlusion, occlusion(case)) is None


def test_redrawing_changes_the_last_layers_and_never_the_subject() -> None:
    subject = double_subject()
    before = {name: weight.clone() for name, weight in subject.model.named_parameters()}
    drawn = redrawn_layers(subject, 0.5)
    assert {name.split(".")[2] for name in drawn} == {"1", "2"}
    case = case_of(subject)
    assert randomisation(case, gradient, gradient(case)) is not None
    assert all(
        torch.equal(before[name], weight) for name, weight in subject.model.named_parameters()
    )
    changed = case.with_parameters(drawn)
    assert not torch.allclose(
        changed.values(case.embedding[None]), case.values(case.embedding[None])
    )


@pytest.mark.parametrize("name", METHODS)
def test_every_method_answers_with_redrawn_weights(name: MethodName) -> None:
    case = case_of(double_subject())
    agreement = randomisation(case, METHODS[name], METHODS[name](case), depths=(1.0,))
    assert agreement is not None
    assert -1 <= agreement[1.0] < 1


def test_an_attribution_that_ignores_the_model_is_found_out() -> None:
    def by_position(case) -> TokenAttribution:
        return TokenAttribution("by position", np.arange(len(case.ids), dtype=float), 0.0, "exact")

    case = case_of(double_subject())
    agreement = randomisation(case, by_position, by_position(case))
    assert agreement == {depth: pytest.approx(1.0) for depth in (0.25, 0.5, 1.0)}
    honest = randomisation(case, integrated_gradients, integrated_gradients(case))
    assert honest is not None
    assert honest[1.0] < 0.95

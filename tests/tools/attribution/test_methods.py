"""Attribution methods against finite differences, exact sums, naive loops, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hubel.tools.attribution.gradients import gradient, gradient_x_input
from hubel.tools.attribution.integrated import integrated_gradients
from hubel.tools.attribution.methods import METHODS
from hubel.tools.attribution.names import MethodName
from hubel.tools.attribution.occlusion import occlusion
from hubel.tools.attribution.relevance import conserving, relevance
from hubel.tools.attribution.target import Activation, Logits, Scalar, make_target
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import Unit
from tests.support.tiny import MODEL_TYPES

from .conftest import PROMPT, TWIN, case_of, double_subject, n_hooks

SCALARS: list[Scalar] = [
    Logits((5,), (6,)),
    Logits((5, 9), position=4),
    Activation(Unit("mlp", 1, 3)),
    Activation(Unit("mlp", 2, 7, side="-"), position=5),
    Activation(Unit("head", 1, 2)),
]


@pytest.mark.parametrize("scalar", SCALARS, ids=str)
def test_the_scalar_is_what_the_subject_gives(scalar: Scalar) -> None:
    subject = double_subject()
    case = case_of(subject, scalar)
    position = len(case.ids) - 1
    ids = torch.tensor([PROMPT])
    if isinstance(scalar, Logits):
        logits = subject.capture(ids, [], logits=True).logits
        assert logits is not None
        expected = logits[0, position, list(scalar.answer)].mean()
        expected = (
            expected - logits[0, position, list(scalar.foil)].mean() if scalar.foil else expected
        )
    else:
        expected = subject.unit_activations(ids, [scalar.unit.unsided])[0, 0, position]
        expected = -expected if scalar.unit.side == "-" else expected
    torch.testing.assert_close(
        case.values(case.embedding[None])[0], expected.double(), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_gradient_x_input_is_the_slope_on_the_way_to_the_baseline(model_type: str) -> None:
    case = case_of(double_subject(model_type))
    attribution = gradient_x_input(case)
    step = 1e-3
    ahead, behind = (
        case.embedding + sign * step * (case.embedding - case.baseline) for sign in (1, -1)
    )
    value_ahead, value_behind = case.values(torch.stack([ahead, behind])).tolist()
    slope = (value_ahead - value_behind) / (2 * step)
    np.testing.assert_allclose(attribution.scores.sum(), slope, rtol=2e-2, atol=2e-3)
    assert attribution.verdict == "first_order"


def test_the_gradient_has_a_length_at_every_token() -> None:
    scores = gradient(case_of(double_subject())).scores
    assert scores.shape == (7,)
    assert (scores > 0).all()


@pytest.mark.slow
@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_integrated_gradients_add_up(model_type: str) -> None:
    case = case_of(double_subject(model_type))
    attribution = integrated_gradients(case, max_evaluations=2000)
    assert attribution.verdict == "converged"
    assert attribution.reference is not None
    assert abs(
        attribution.scores.sum() - (attribution.value - attribution.reference)
    ) <= 0.01 * abs(attribution.value - attribution.reference)
    assert attribution.scores[0] == attribution.scores[3] == 0  # these tokens are the same in both


def test_integrated_gradients_are_a_fine_riemann_sum() -> None:
    case = case_of(double_subject())
    attribution = integrated_gradients(case, tolerance=1e-4, max_evaluations=2000)
    points = (torch.arange(2000) + 0.5) / 2000
    path = torch.lerp(case.baseline, case.embedding, points.double()[:, None, None])
    naive = (case.slopes(path).gradients.mean(0) * (case.embedding - case.baseline)).sum(-1)
    np.testing.assert_allclose(
        attribution.scores, naive.numpy(), atol=1e-3 * np.abs(naive.numpy()).max()
    )


def test_tokens_before_the_first_difference_are_run_once_and_change_nothing() -> None:
    for model_type in MODEL_TYPES:
        subject = double_subject(model_type)
        case = make_target(subject, Logits((5,), (6,)), PROMPT, [*PROMPT[:4], *TWIN[4:]])
        assert case.n_shared == 4
        whole = case.slope()
        resumed = case.slopes(case.embedding[None])
        torch.testing.assert_close(resumed.values, whole.values, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(
            resumed.gradients[:, 4:], whole.gradients[:, 4:], rtol=1e-4, atol=1e-5
        )
        assert not resumed.gradients[:, :4].any()


def test_what_does_not_converge_says_so() -> None:
    attribution = integrated_gradients(
        case_of(double_subject(), baseline="zero"), tolerance=1e-9, max_evaluations=40
    )
    assert attribution.verdict == "not_converged"
    assert not attribution.is_evidence
    assert "give a counterfactual" in attribution.notes[0]


def test_occlusion_is_a_loop_over_tokens() -> None:
    subject = double_subject()
    scores = occlusion(case_of(subject)).scores
    for at, (own, other) in enumerate(zip(PROMPT, TWIN, strict=True)):
        ids = torch.tensor([PROMPT, [*PROMPT[:at], other, *PROMPT[at + 1 :]]])
        logits = subject.capture(ids, [], logits=True, last_only=True).logits
        assert logits is not None
        values = logits[:, -1, 5] - logits[:, -1, 6]
        np.testing.assert_allclose(
            scores[at], float(values[0] - values[1]) if own != other else 0, atol=1e-6
        )


@pytest.mark.parametrize("model_type", [name for name in MODEL_TYPES if name != "gemma2"])
@pytest.mark.parametrize("scalar", [SCALARS[0], SCALARS[3], SCALARS[4]], ids=str)
def test_relevance_is_conserved(model_type: str, scalar: Scalar) -> None:
    attribution = relevance(case_of(double_subject(model_type), scalar))
    assert attribution.error is not None
    assert attribution.error < 1e-6
    assert (attribution.absorbed != 0) == (model_type in ("gpt2", "gpt_neox", "qwen2"))


def test_relevance_leaves_the_forward_pass_as_it_is() -> None:
    case = case_of(double_subject())
    bare = case.values(case.embedding[None])
    with conserving(case.subject):
        torch.testing.assert_close(case.values(case.embedding[None]), bare, rtol=1e-5, atol=1e-6)


def test_relevance_of_capped_logits_is_refused() -> None:
    with pytest.raises(UsageError, match="caps its logits"):
        relevance(case_of(double_subject("gemma2")))


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("scalar", [SCALARS[0], SCALARS[2]], ids=str)
def test_hooks_are_gone_after_an_exception_inside(name: MethodName, scalar: Scalar) -> None:
    case = case_of(double_subject(), scalar)
    before = n_hooks(case.subject)

    def fail(*_: object) -> None:
        raise RuntimeError("inside")

    handle = case.subject.parts.layers[0].mlp.register_forward_hook(fail)
    with pytest.raises(RuntimeError, match="inside"):
        METHODS[name](case)
    handle.remove()
    assert n_hooks(case.subject) == before
    METHODS[name](case)
    assert n_hooks(case.subject) == before


@pytest.mark.parametrize(
    ("scalar", "ids", "twin", "message"),
    [
        (Logits((5,)), PROMPT, None, "none was given"),
        (Logits((5,)), PROMPT, TWIN[:-1], "one of 6 was given"),
        (Logits((5,)), PROMPT, PROMPT, "are the same"),
        (Logits((5,), position=0), PROMPT, TWIN, "same up to position 0"),
        (Logits((5,), position=7), PROMPT, TWIN, "tokens 0 to 6"),
        (Logits((5,), (5,)), PROMPT, TWIN, "share a token"),
        (Logits((9999,)), PROMPT, TWIN, "token ids below"),
        (Logits(()), PROMPT, TWIN, "token ids below"),
        (Activation(Unit("mlp", 1, 99)), PROMPT, TWIN, "0 to 23"),
    ],
)
def test_scalars_and_prompts_that_do_not_fit_are_refused(
    scalar: Scalar, ids: list[int], twin: list[int] | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        make_target(double_subject(), scalar, ids, twin)

"""Compiled programs: exact on their inputs, right at every difficulty, with a truth that the model itself bears out."""

import functools

import numpy as np
import pytest
import torch

from hubel.bench.known_circuits.compile import compile_program
from hubel.bench.known_circuits.pairs import pairs_of
from hubel.bench.known_circuits.programs import names, program
from hubel.bench.known_circuits.weights import LOGIT
from hubel.tools.circuits.attribution import attribute
from hubel.tools.errors import UsageError
from tests.support.compiled_truth import truth_violations

UNSEEN = 9

compiled_once = functools.cache(compile_program)
"""The tests only look at a compiled program, so that they may share it."""


@pytest.mark.parametrize("name", names())
def test_the_model_is_the_program(name: str) -> None:
    """Not only the best token: the answer's logit is 10 and all others are 0."""
    compiled = compiled_once(name)
    prompts = compiled.program.prompts(200, np.random.default_rng(UNSEEN))
    answers = [compiled.program.answer(prompt) for prompt in prompts.tolist()]
    with torch.inference_mode():
        logits = compiled.model.logits(torch.as_tensor(prompts))
    expected = torch.zeros_like(logits)
    expected[
        range(len(answers)), [compiled.program.first_answer + answer for answer in answers]
    ] = LOGIT
    torch.testing.assert_close(logits, expected, atol=1e-2, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize("name", names())
def test_the_true_edges_are_those_that_answers_depend_on(name: str) -> None:
    compiled = compiled_once(name)
    assert truth_violations(compiled, pairs_of(compiled.program, 24, UNSEEN), states=20) == (
        [],
        0,
        0,
        0,
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["other-name", "vote"])
def test_noise_and_distractors_are_not_true_edges(name: str) -> None:
    compiled = compiled_once(name, "hard")
    graph = compiled.model.graph
    assert int(compiled.noisy.sum()) == round(0.1 * graph.n_edges)
    assert not (compiled.noisy & compiled.truth).any()
    assert len(compiled.placement.free) >= 12
    prompts = compiled.program.prompts(200, np.random.default_rng(UNSEEN))
    assert compiled.says(prompts) == [
        compiled.program.answer(prompt) for prompt in prompts.tolist()
    ]
    assert truth_violations(compiled, pairs_of(compiled.program, 48, UNSEEN), states=20) == (
        [],
        0,
        0,
        0,
    )


def test_noise_edges_make_a_difference() -> None:
    compiled = compiled_once("greater-than", "hard")
    scores = attribute(compiled.model, pairs_of(compiled.program, 16), 4).edge_scores().abs()
    silent = compiled_once("greater-than", "easy")
    assert (scores[compiled.noisy] > 1e-3).sum() > 3
    quiet = attribute(silent.model, pairs_of(silent.program, 16), 4).edge_scores().abs()
    assert quiet[silent.model.graph.all_edges & ~silent.truth].max() < 1e-6


def test_induction_compiles_to_a_previous_token_and_an_induction_head() -> None:
    compiled = compiled_once("induction")
    before, match = (
        compiled.placement.nodes[operation] for operation in compiled.program.operations
    )
    edges = {str(edge) for edge in compiled.model.graph.edges_of(compiled.truth)}
    assert edges == {
        f"input->{before}<v>",
        f"input->{match}<q>",
        f"{before}->{match}<k>",
        f"input->{match}<v>",
        f"{match}->logits<logits>",
    }


def test_no_axis_is_privileged_and_scores_do_not_depend_on_the_rotation() -> None:
    """Two seeds of an easy program differ in the rotation and in which slots its heads have, and in nothing else."""
    compiled, rotated = (compiled_once("other-name", seed=seed) for seed in (0, 1))
    pairs = pairs_of(compiled.program, 8)
    first, second = (
        attribute(each.model, pairs, 4).edge_scores()[each.truth].sort().values
        for each in (compiled, rotated)
    )
    torch.testing.assert_close(first, second, atol=1e-4, rtol=1e-4)
    letters = compiled.model.subject.model.get_input_embeddings().weight[
        : compiled.program.first_answer
    ]
    assert (letters.abs() > 1e-3).float().mean() > 0.9


def test_twins_have_other_answers_and_stay_in_the_distribution() -> None:
    other_name = program("other-name")
    pairs = pairs_of(other_name, 40, 3)
    for side in (pairs.clean, pairs.corrupted):
        assert all(other_name.accepts(prompt) for prompt in side.tolist())
    assert (pairs.answer != pairs.foil).all()
    edited = ((pairs.clean != pairs.corrupted).sum(1) <= 2).float().mean()
    assert 0.3 < edited < 0.9


def test_unknown_names_are_refused_with_the_known() -> None:
    with pytest.raises(UsageError, match="induction"):
        compile_program("nothing")
    with pytest.raises(UsageError, match="easy, medium, hard"):
        compile_program("induction", "impossible")

"""A hand-made model of (a + b + c) mod 4: interchanges work in the right subspace, and the search finds it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from hubel.tools.abstraction.das import random_subspace, search
from hubel.tools.abstraction.interchange import (
    Behaviour,
    Location,
    SubspaceSwap,
    draw_interchanges,
    interchange,
)
from hubel.tools.abstraction.program import CausalModel
from hubel.tools.errors import UsageError
from hubel.tools.subject.subject import Subject
from tests.support.handmade import addition_model, one_hots, rotate, subject_of

from .test_program import ADDITION

BEHAVIOUR = Behaviour(
    CausalModel.from_json(ADDITION),
    lambda values: [values["a"], values["b"], values["c"], 4],
    {value: value for value in range(4)},
)
END = Location("stream", 0, (3,))


@pytest.fixture(scope="module")
def model_and_spaces() -> tuple[Subject, list[Tensor]]:
    """The subject, turned at random, and where its subspaces are: token, position, a, b, c, sum, output."""
    model = addition_model()
    rotation = rotate(model)
    d = model.config.n_embd
    return subject_of(model), [space @ rotation for space in one_hots(d, 5, 4, 4, 4, 4, 4, 4)]


def test_only_the_subspace_of_the_sum_passes_an_interchange(
    model_and_spaces: tuple[Subject, list[Tensor]],
) -> None:
    subject, spaces = model_and_spaces
    pairs = draw_interchanges(BEHAVIOUR, "sum", 64)
    right = interchange(subject, BEHAVIOUR, END, pairs, spaces[5])
    assert right.accuracy == 1
    assert float(right.no_op.float().mean()) == 0.5 == float(right.changes.float().mean())
    for wrong in (spaces[4], spaces[3], random_subspace(subject.d_model, 4)):
        swap = interchange(subject, BEHAVIOUR, END, pairs, wrong, matched_to=spaces[5])
        assert swap.accuracy_where_it_changes < 0.35
    early = Location("stream", 0, (0,))
    assert interchange(subject, BEHAVIOUR, early, pairs).accuracy_where_it_changes == 0


def test_swapping_the_whole_stream_swaps_more_than_the_variable(
    model_and_spaces: tuple[Subject, list[Tensor]],
) -> None:
    """Swapping everything at "=" swaps c too, so that the output is the source's."""
    pairs = draw_interchanges(BEHAVIOUR, "sum", 64)
    assert interchange(model_and_spaces[0], BEHAVIOUR, END, pairs).accuracy < 0.6
    total = draw_interchanges(BEHAVIOUR, "total", 64)
    assert interchange(model_and_spaces[0], BEHAVIOUR, END, total).accuracy == 1


def test_the_search_finds_the_subspace_and_its_controls_do_not(
    model_and_spaces: tuple[Subject, list[Tensor]],
) -> None:
    subject = model_and_spaces[0]
    train, held_out = (
        draw_interchanges(BEHAVIOUR, "sum", n, seed) for n, seed in ((128, 1), (96, 2))
    )
    alignment = search(subject, BEHAVIOUR, "sum", END, train, held_out, k=4, steps=120)
    assert alignment.found.accuracy > 0.95
    assert alignment.real_minus_control > 0.3
    assert alignment.placebo.accuracy < 0.65
    assert alignment.arbitrary.accuracy < 0.85
    torch.testing.assert_close(alignment.basis @ alignment.basis.T, torch.eye(4).double())


def test_a_placebo_has_the_same_dose() -> None:
    base, source = torch.randn(2, 5, 1, 30).double()
    subspace, larger = random_subspace(30, 3, 0), random_subspace(30, 5, 1)
    swapped = SubspaceSwap(subspace, matched_to=larger)(base, source) - base
    torch.testing.assert_close(
        swapped.norm(dim=-1), ((source - base) @ larger.double().T).norm(dim=-1)
    )


def test_unknown_variables_layers_and_tokens_are_refused(
    model_and_spaces: tuple[Subject, list[Tensor]],
) -> None:
    with pytest.raises(UsageError, match="no variable 'nothing'"):
        draw_interchanges(BEHAVIOUR, "nothing", 8)
    with pytest.raises(UsageError, match="has no answer"):
        draw_interchanges(Behaviour(BEHAVIOUR.program, BEHAVIOUR.encode, {0: 0, 1: 1}), "sum", 8)
    pairs = draw_interchanges(BEHAVIOUR, "sum", 8)
    with pytest.raises(UsageError, match="layers 0 to 1"):
        interchange(model_and_spaces[0], BEHAVIOUR, Location("stream", 2, (3,)), pairs)
    with pytest.raises(UsageError, match="tokens 0 to 3"):
        interchange(model_and_spaces[0], BEHAVIOUR, Location("stream", 0, (4,)), pairs)

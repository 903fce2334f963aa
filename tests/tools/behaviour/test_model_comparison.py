"""Two subjects token by token and layer by layer, against direct computations."""

from __future__ import annotations

from copy import deepcopy

import numpy as np
import pytest
import torch

from hubel.tools.behaviour.model_comparison import (
    compare_layers_on_same_input,
    compare_predictions,
)
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import Site
from hubel.tools.subject.subject import Subject
from tests.support.tiny import tiny_subject

RNG = np.random.default_rng(0)
TEXTS = RNG.integers(1, 200, (5, 9)).tolist()


@pytest.fixture(scope="module")
def other(tiny: Subject) -> Subject:
    """The tiny subject with other weights in the MLP of layer 1."""
    changed = Subject(deepcopy(tiny.model), tiny.tokenizer, name="other", revision="1" * 16)
    with torch.no_grad():
        changed.model.model.layers[1].mlp.gate_proj.weight[3] *= -1.5
    return changed


def test_kl_and_loss_are_those_of_single_passes(tiny: Subject, other: Subject) -> None:
    change = compare_predictions(tiny, other, TEXTS)
    for row, ids in enumerate(TEXTS):
        p, q = (
            s.model(torch.tensor([ids])).logits[0].double().log_softmax(-1) for s in (tiny, other)
        )
        kl = (p.exp() * (p - q)).sum(-1)[:-1].numpy()
        assert np.allclose(change.kl[row], kl, atol=1e-6)
        following = torch.tensor(ids[1:])[:, None]
        assert np.allclose(change.loss[row], -p[:-1].gather(1, following)[:, 0].numpy(), atol=1e-5)
        assert np.allclose(
            change.other_loss[row], -q[:-1].gather(1, following)[:, 0].numpy(), atol=1e-5
        )


def test_only_the_layer_that_differs_differs_on_the_same_input(
    tiny: Subject, other: Subject
) -> None:
    change = compare_layers_on_same_input(tiny, other, TEXTS)
    assert (change.relative[:, 1] > 1e-3).all()
    assert change.relative[:, [0, 2]].max() == 0
    changed = np.flatnonzero(change.correlation[1] < 1 - 1e-9)
    assert changed.tolist() == [3]
    assert np.allclose(np.delete(change.correlation, 1, axis=0), 1, atol=1e-9)
    # without the replaced inputs the layer after it differs as well
    ids, last = torch.tensor(TEXTS), Site("stream", 2)
    own, theirs = (s.capture(ids, [last]).activations[last] for s in (tiny, other))
    assert not torch.allclose(own, theirs, atol=1e-3)


def test_correlations_are_numpys(tiny: Subject) -> None:
    second = tiny_subject(seed=1)
    change = compare_layers_on_same_input(tiny, second, TEXTS)
    site = Site("mlp", 0)
    ids = torch.tensor(TEXTS)
    own = tiny.capture(ids, [site]).activations[site][:, 1:].reshape(-1, 24).double().numpy()
    with torch.no_grad():
        inputs = tiny.model.get_input_embeddings()(ids)
        replaced = second.model.get_input_embeddings().register_forward_hook(
            lambda _module, _args, _output: inputs
        )
        try:
            read = second.capture(ids, [site]).activations[site]
        finally:
            replaced.remove()
    theirs = read[:, 1:].reshape(-1, 24).double().numpy()
    expected = [np.corrcoef(own[:, n], theirs[:, n])[0, 1] for n in range(24)]
    assert np.allclose(change.correlation[0], expected, atol=1e-6)


def test_a_subject_equals_itself(tiny: Subject) -> None:
    assert compare_predictions(tiny, tiny, TEXTS).kl.max() == 0
    assert compare_layers_on_same_input(tiny, tiny, TEXTS).relative.max() == 0


def test_texts_of_other_lengths_are_compared_as_each_alone(tiny: Subject, other: Subject) -> None:
    texts = [TEXTS[0], TEXTS[1][:3], TEXTS[2], TEXTS[3][:3]]
    change = compare_predictions(tiny, other, texts)
    layers = compare_layers_on_same_input(tiny, other, texts)
    for row, ids in enumerate(texts):
        alone = compare_predictions(tiny, other, [ids])
        n = len(ids) - 1
        assert np.allclose(change.kl[row, :n], alone.kl[0], atol=1e-6)
        assert np.allclose(change.other_loss[row, :n], alone.other_loss[0], atol=1e-5)
        assert np.isnan(change.kl[row, n:]).all()
        relative = compare_layers_on_same_input(tiny, other, [ids]).relative[0]
        assert np.allclose(layers.relative[row], relative, atol=1e-5)


def test_other_shapes_and_single_tokens_are_named(tiny: Subject) -> None:
    gpt2 = tiny_subject("gpt2")
    with pytest.raises(UsageError, match="2 texts of \\[1, 9\\] tokens"):
        compare_predictions(tiny, tiny, [TEXTS[0], TEXTS[1][:1]])
    smaller = Subject(deepcopy(tiny.model), tiny.tokenizer, name="smaller")
    smaller.model.lm_head.weight = torch.nn.Parameter(smaller.model.lm_head.weight[:100])
    smaller.parts.unembed.weight = smaller.model.lm_head.weight
    with pytest.raises(UsageError, match="smaller 100; token by token"):
        compare_predictions(tiny, smaller, TEXTS)
    gpt2.d_model = 12
    with pytest.raises(UsageError, match="subjects of one shape"):
        compare_layers_on_same_input(tiny, gpt2, TEXTS)

"""What heads look at and write: patterns that are probabilities, direct effects that add up, a head that copies."""

from __future__ import annotations

from typing import cast

import pytest
import torch

from hubel.tools.circuits.graph import Node
from hubel.tools.circuits.head_observations import HeadObserver, positions_of
from hubel.tools.circuits.prompts import PromptPairs

from .conftest import WIRED, circuit_model, random_pairs


@pytest.mark.parametrize("model_type", ["llama", "qwen3", "gemma", "phi3"])
def test_direct_effects_add_up_to_the_logit_difference(model_type: str) -> None:
    """Over the input, all heads and all MLPs, in families without biases; the others differ by their biases' share."""
    model, pairs = circuit_model(model_type), random_pairs()
    looker = HeadObserver(model, pairs, {})
    written = [
        torch.tensor(looker.observe(node).direct)
        for node in model.graph.sources
        if node.kind != "input"
    ]
    embedded = torch.tensor(looker.direct(looker.values.stream[0][:, -1]))
    assert looker.values.metric is not None
    torch.testing.assert_close(
        sum(written) + embedded, looker.values.metric.to(embedded), atol=2e-4, rtol=1e-3
    )


@pytest.mark.parametrize("model_type", WIRED)
def test_patterns_are_probabilities_and_attention_is_put_back(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs()
    before = model.subject.model.config._attn_implementation
    looker = HeadObserver(model, pairs, positions_of(pairs, {"first": [0] * len(pairs)}))
    assert model.subject.model.config._attn_implementation == before
    assert len(looker.patterns) == model.graph.n_layers
    for pattern in looker.patterns:
        torch.testing.assert_close(pattern.sum(-1), torch.ones_like(pattern.sum(-1)))
        assert pattern.triu(1).abs().max() == 0
    look = looker.observe(Node("head", 1, 2))
    assert look.attention["END>first"] == pytest.approx(looker.patterns[1][:, 2, -1, 0].tolist())
    assert look.attention["previous"][0] == pytest.approx(
        float(
            torch.stack(
                [looker.patterns[1][0, 2, t, t - 1] for t in range(2, pairs.n_tokens)]
            ).mean()
        )
    )


def test_marks_that_any_task_has() -> None:
    clean = torch.tensor([[5, 6, 7, 6], [5, 8, 9, 8]])
    corrupted = torch.tensor([[5, 6, 7, 7], [5, 8, 9, 9]])
    pairs = PromptPairs(clean, corrupted, torch.tensor([[7], [9]]), torch.tensor([[6], [8]]))
    assert positions_of(pairs, {"S2": [3, 3]}) == {
        "S2": [[3], [3]],
        "answer": [[2], [2]],
        "foil": [[1, 3], [1, 3]],
    }


def test_a_head_whose_values_write_their_own_token_copies() -> None:
    """The last layer's norm and maps set so that the value is the token's embedding, which is its own unembedding."""
    model, pairs = circuit_model(), random_pairs()
    looker = HeadObserver(model, pairs, {})
    node, width = Node("head", 0, 0), model.subject.head_dim
    unembed = cast(torch.Tensor, model.subject.parts.unembed.weight)
    slot = model.qkv_slices[model.graph.n_heads + model.graph.n_kv_heads]
    best = looker.patterns[0][:, 0, -1, 1:].argmax(1) + 1
    rows = torch.arange(len(pairs))
    tokens = pairs.clean[rows, best]
    looker.values.projected[0, slot.module] = torch.zeros_like(
        looker.values.projected[0, slot.module]
    )
    direction = unembed[tokens] @ model.subject.head_matrices(0)[0]
    looker.values.projected[0, slot.module][rows, best, slot.rows] = direction
    copied = looker.observe(node).copies
    looker.values.projected[0, slot.module][rows, best, slot.rows] = -direction
    assert copied == pytest.approx([-value for value in looker.observe(node).copies])
    assert width == direction.shape[1]
    assert min(copied) > 0

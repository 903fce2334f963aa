"""Attention of a hand-built induction model, whose scores are 1, and knocked-out edges against a naive hook."""

from __future__ import annotations

import pytest
import torch

from hubel.tools.circuits.attention import (
    copying_scores,
    edge_knockouts,
    head_scores,
    repeated_tokens,
)
from hubel.tools.circuits.graph import Node
from hubel.tools.circuits.hooks import temporary_hooks
from hubel.tools.circuits.prompts import PromptPairs
from hubel.tools.circuits.selftest import open_circuit_model
from hubel.tools.circuits.sweep import Sweep
from hubel.tools.subject.attention import attention_patterns
from tests.support.handmade import induction_model, subject_of
from tests.support.tiny import MODEL_TYPES, tiny_subject

from .conftest import WIRED, circuit_model, random_pairs


def test_the_heads_of_an_induction_model_score_one() -> None:
    subject = subject_of(induction_model())
    once = torch.stack([torch.randperm(12)[:6] for _ in range(4)])
    ids = torch.cat(
        [torch.full((4, 1), 12), once, once], dim=1
    )  # a first token of its own, which has none before it
    all_scores = head_scores(subject, ids)
    for scores, layer, head in (
        (all_scores.previous, 0, 0),
        (all_scores.duplicate, 0, 1),
        (all_scores.induction, 1, 0),
    ):
        assert scores[layer, head] == pytest.approx(1, abs=1e-6)
        others = scores.clone()
        others[layer, head] = 0
        assert others.max() < 0.35
    copying = copying_scores(subject, open_circuit_model(subject))
    assert copying[1, 0] == pytest.approx(1)
    assert not copying.isnan()[1, 0]
    predicted = subject.capture(ids, [], logits=True).logits
    assert predicted is not None
    assert torch.equal(predicted[:, 7:-1].argmax(-1), ids[:, 8:])  # it does continue the repetition


@pytest.mark.parametrize("model_type", MODEL_TYPES)
def test_patterns_are_distributions_over_what_came_before(model_type: str) -> None:
    subject = tiny_subject(model_type)
    before = subject.model.config._attn_implementation
    patterns = attention_patterns(subject, torch.tensor([[3, 9, 27, 81], [5, 25, 125, 9]]))
    assert patterns.shape == (3, 2, 4, 4, 4)
    torch.testing.assert_close(patterns.sum(-1), torch.ones_like(patterns[..., 0]))
    assert not patterns.triu(1).any()
    assert subject.model.config._attn_implementation == before


@pytest.mark.parametrize("model_type", WIRED)
def test_a_knocked_out_edge_is_a_zero_in_the_pattern(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs()
    sweep, head = Sweep(model, pairs), Node("head", 1, 3)
    knockouts = edge_knockouts(sweep, [head])
    pattern = attention_patterns(model.subject, pairs.clean)[1, :, 3]
    torch.testing.assert_close(knockouts.weight[0].float(), pattern[:, -1].float())
    group = model.graph.n_heads // model.graph.n_kv_heads
    slot = model.qkv_slices[model.graph.n_heads + model.graph.n_kv_heads + 3 // group]
    columns = slice(3 * model.subject.head_dim, 4 * model.subject.head_dim)
    for key in range(pairs.n_tokens):
        kept: list[torch.Tensor] = []

        def forget(value: torch.Tensor, key: int = key) -> torch.Tensor:
            new = value.clone()
            new[:, key, slot.rows] = 0
            return new

        def replace(value: torch.Tensor, kept: list[torch.Tensor] = kept) -> torch.Tensor:
            new = value.clone()
            new[:, -1, columns] = kept[0][:, -1, columns]
            return new

        with temporary_hooks() as put, torch.no_grad():
            put.on_output(model.readers[1].projections[slot.module], forget)
            put.on_input(model.subject.parts.layers[1].attention_out, kept.append)
            model.logits(pairs.clean)
        with temporary_hooks() as put, torch.no_grad():
            put.on_input(model.subject.parts.layers[1].attention_out, replace)
            changed = pairs.logit_difference(model.logits(pairs.clean))
        torch.testing.assert_close(
            knockouts.effect[0, :, key], changed - sweep.baseline, atol=2e-4, rtol=1e-3
        )


def test_repeated_tokens_are_said_twice() -> None:
    ids = repeated_tokens(tiny_subject(), n=3, length=7)
    assert ids.shape == (3, 14)
    assert torch.equal(ids[:, :7], ids[:, 7:])
    assert all(len(set(row)) == 7 for row in ids.tolist())


def test_where_weight_is_all_that_counts_it_predicts_effect() -> None:
    subject = subject_of(induction_model())
    once = torch.stack([torch.randperm(12)[:5] for _ in range(3)])
    ids = torch.cat(
        [torch.full((3, 1), 12), once, once[:, :1]], dim=1
    )  # the first of five again: the second follows
    answer = once[:, 1:2]
    pairs = PromptPairs(ids, ids.roll(1, 0), answer, (answer + 1) % 12)
    knockouts = edge_knockouts(
        Sweep(open_circuit_model(subject), pairs), [Node("head", 1, 0), Node("head", 1, 1)]
    )
    torch.testing.assert_close(knockouts.effect[0, :, 2], torch.full((3,), -1.0).double())
    assert knockouts.effect[0].abs().mean(0).argmax() == knockouts.weight[0].mean(0).argmax() == 2
    assert not knockouts.effect[1].any()  # attends everywhere, does nothing

"""Every way of ablating and patching against plain loops in double precision.

In the subject, one component writes a thousand times what the others do. What is left when it is cut
must not be its rounding errors.
"""

from __future__ import annotations

import functools

import pytest
import torch
from torch import Tensor, nn

from hubel.tools.circuits.ablation import Ablation, run_circuit
from hubel.tools.circuits.circuit_model import CircuitModel
from hubel.tools.circuits.graph import Mask, Node, Target
from hubel.tools.circuits.path_patching import Mlps, path_patch
from hubel.tools.circuits.pruning import prune
from hubel.tools.circuits.robustness import minimality
from hubel.tools.circuits.selftest import open_circuit_model
from hubel.tools.circuits.sweep import Sweep
from hubel.tools.subject.address import Unit
from hubel.tools.subject.subject import Subject
from tests.support.naive_circuits import (
    NaiveModel,
    naive_circuit,
    naive_model,
    naive_neuron_effects,
    naive_node_effects,
    naive_path_effects,
)
from tests.support.tiny import tiny_model, tiny_tokenizer

from .conftest import random_pairs

SUBJECTS = ("llama", "qwen2", "gpt2", "llama without final norm", "gpt2 without final norm")
LOUD = 3000.0
"""The default subject's loudest MLP writes about 3,000 times the embedding's length at position 0."""


@functools.cache
def loud_model(name: str) -> tuple[CircuitModel, NaiveModel]:
    """In single precision, with a first MLP that drowns everything else, and its naive double."""
    model_type, _, without = name.partition(" ")
    tokenizer = tiny_tokenizer()
    model = tiny_model(model_type, vocab_size=len(tokenizer))
    gpt2 = model_type == "gpt2"
    with torch.no_grad():
        first = model.transformer.h[0].mlp.c_proj if gpt2 else model.model.layers[0].mlp.down_proj
        first.weight.mul_(LOUD)
    if without:
        body, norm = (model.transformer, "ln_f") if gpt2 else (model.model, "norm")
        setattr(body, norm, nn.Identity())
    subject = Subject(model, tokenizer, name=f"loud-{model_type}", revision="0" * 16)
    opened = open_circuit_model(subject)
    return opened, naive_model(opened)


def random_mask(model: CircuitModel, share: float) -> Mask:
    generator = torch.Generator().manual_seed(round(1000 * share))
    possible = model.graph.all_edges
    return possible & (torch.rand(possible.shape, generator=generator) < share)


def assert_same(value: Tensor, expected: Tensor, without_norm: bool = False) -> None:
    # Without a final norm the logits themselves are thousands.
    scale = max(1.0, float(expected.abs().max())) if without_norm else 1.0
    torch.testing.assert_close(value.double(), expected, atol=2e-4 * scale, rtol=2e-4)


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.02, 0.0])
@pytest.mark.parametrize("ablation", ["zero", "mean", "resample"])
@pytest.mark.parametrize("name", SUBJECTS)
def test_a_circuit_run_is_the_naive_sum(name: str, ablation: Ablation, share: float) -> None:
    (model, naive), pairs = loud_model(name), random_pairs()
    mask = random_mask(model, share)
    metric = run_circuit(model, pairs, mask, ablation)
    assert_same(metric, naive_circuit(naive, pairs, mask, ablation), "without" in name)


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_single_edges_nodes_neurons_and_swaps_are_the_naive_ones(name: str) -> None:
    (model, naive), pairs = loud_model(name), random_pairs()
    sweep, whole = Sweep(model, pairs), model.graph.all_edges
    edges = model.graph.edges_of(whole)[:: whole.sum() // 10]
    baseline = naive_circuit(naive, pairs, whole, "zero")
    for edge, effect in zip(edges, sweep.edges(edges), strict=True):
        without = whole & ~model.graph.mask_of([edge])
        assert_same(effect, naive_circuit(naive, pairs, without, "resample") - baseline)
    nodes = [Node("mlp", 0), Node("head", 1, 2), Node("mlp", 2)]
    for node, effect in zip(nodes, sweep.nodes(nodes), strict=True):
        assert_same(effect, naive_node_effects(naive, pairs, node, node))
    swaps = [(Node("mlp", 0), Node("mlp", 1)), (Node("head", 2, 0), Node("mlp", 0))]
    for (node, other), effect in zip(swaps, sweep.interchange(swaps), strict=True):
        assert_same(effect, naive_node_effects(naive, pairs, node, other))
    (neuron,) = sweep.units([Unit("mlp", 0, 5)])
    assert_same(neuron, naive_neuron_effects(naive, pairs, 0, 5))


@pytest.mark.parametrize("mlps", ["freeze", "recompute"])
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_path_patching_is_the_naive_one(name: str, mlps: Mlps) -> None:
    (model, naive), pairs = loud_model(name), random_pairs()
    receivers = [
        Target(Node("head", 2, 1), "q"),
        Target(Node("mlp", 2), "mlp"),
        Target(Node("logits"), "logits"),
    ]
    senders = [Node("input"), Node("mlp", 0), Node("head", 1, 1)]
    effects = path_patch(model, pairs, senders, receivers, mlps)
    for sender, effect in zip(senders, effects, strict=True):
        assert_same(effect, naive_path_effects(naive, pairs, sender, receivers, mlps))


def test_minimality_and_pruning_see_the_naive_metric_with_zeros() -> None:
    (model, naive), pairs = loud_model("llama"), random_pairs()
    mask = random_mask(model, 0.1)
    edges = model.graph.edges_of(mask)[::7]

    def mean_metric(mask: Mask) -> float:
        return float(run_circuit(model, pairs, mask, "zero").double().mean())

    drops = minimality(mean_metric, model.graph, mask, edges)
    with_all = naive_circuit(naive, pairs, mask, "zero").mean()
    for edge, drop in zip(edges, drops, strict=True):
        without = mask & ~model.graph.mask_of([edge])
        expected = with_all - naive_circuit(naive, pairs, without, "zero").mean()
        assert drop == pytest.approx(float(expected), abs=2e-4)
    scores = torch.rand(mask.shape, generator=torch.Generator().manual_seed(1))
    pruned = prune(model, pairs, scores, start=mask, ablation="zero")
    last = pruned.effects[:, pruned.mask].abs().sum()
    assert last.isfinite()
    left = run_circuit(model, pairs, pruned.mask, "zero")
    assert_same(left, naive_circuit(naive, pairs, pruned.mask, "zero"))

"""Path patching against single edges, against the run of a circuit, and against nothing between."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hubel.tools.circuits.ablation import run_circuit
from hubel.tools.circuits.graph import Edge, Node, Target
from hubel.tools.circuits.path_patching import path_patch
from hubel.tools.circuits.sweep import Sweep
from hubel.tools.errors import UsageError

from .conftest import WIRED, circuit_model, random_pairs

SENDERS = (Node("input"), Node("head", 0, 1), Node("mlp", 0), Node("head", 1, 2))
LOGITS = Target(Node("logits"), "logits")


@pytest.mark.parametrize("model_type", WIRED)
def test_one_receiver_with_frozen_mlps_is_a_single_edge(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs()
    sweep, last_kv = Sweep(model, pairs), model.graph.n_kv_heads - 1
    receivers = [
        Target(Node("head", 2, 1), "q"),
        Target(Node("head", 2, last_kv), "k"),
        Target(Node("head", 2, 0), "v"),
        Target(Node("mlp", 2), "mlp"),
        LOGITS,
    ]
    for target in receivers:
        effect = path_patch(model, pairs, SENDERS, [target], mlps="freeze")
        expected = sweep.edges([Edge(sender, *target) for sender in SENDERS])
        torch.testing.assert_close(effect, expected, atol=2e-5, rtol=1e-4)


def test_several_receivers_of_a_layer_are_the_circuit_without_their_edges() -> None:
    model, pairs = circuit_model(), random_pairs()
    receivers = [Target(Node("head", 2, head), "q") for head in range(4)] + [
        Target(Node("head", 2, 1), "v")
    ]
    (effect,) = path_patch(model, pairs, [SENDERS[1]], receivers, mlps="freeze")
    cut = model.graph.mask_of([Edge(SENDERS[1], *target) for target in receivers])
    expected = (
        run_circuit(model, pairs, model.graph.all_edges & ~cut) - Sweep(model, pairs).baseline
    )
    torch.testing.assert_close(effect, expected, atol=2e-5, rtol=1e-4)


def test_recomputed_mlps_carry_more_than_the_direct_path() -> None:
    """Sender to logits, through MLPs and no head: the run of a circuit that lacks just these edges."""
    model, pairs = circuit_model(), random_pairs()
    sender, graph = Node("head", 0, 1), model.graph
    (effect,) = path_patch(model, pairs, [sender], [LOGITS])
    mlps = [Node("mlp", layer) for layer in range(3)]
    expected = _by_hand(model, pairs, sender)
    torch.testing.assert_close(effect, expected, atol=2e-5, rtol=1e-4)
    (direct,) = path_patch(model, pairs, [sender], [LOGITS], mlps="freeze")
    assert not torch.allclose(effect, direct)
    assert all(mlp in graph.sources for mlp in mlps)


def _by_hand(model: Any, pairs: Any, sender: Node) -> torch.Tensor:
    """The stream at the last position with every MLP run anew on it, layer by layer, and all heads' writes given."""
    sweep = Sweep(model, pairs)
    clean, twin = sweep.clean, sweep.twin
    with torch.no_grad():
        stream = clean.stream[0]
        for layer, joints in enumerate(model.readers):
            z = clean.z[layer].clone()
            if layer == sender.layer:
                columns = slice(
                    sender.head * model.subject.head_dim, (sender.head + 1) * model.subject.head_dim
                )
                z[..., columns] = twin.z[layer][..., columns]
            stream = stream + model.subject.parts.layers[layer].attention_out(z)
            stream = stream + model.subject.parts.layers[layer].mlp(joints.mlp_norm(stream))
        logits = model.subject.parts.unembed(model.subject.parts.final_norm(stream[:, -1]))
    return pairs.logit_difference(logits) - sweep.baseline


@pytest.mark.parametrize(
    ("sender", "target", "message"),
    [
        (Node("head", 7, 0), LOGITS, "sender 'head.7.0' given"),
        (Node("mlp", 0), Target(Node("head", 2, 3), "k"), "no receiver head.2.3<k>"),
        (Node("head", 2, 0), Target(Node("head", 1, 3), "q"), "comes after every receiver"),
    ],
)
def test_paths_that_do_not_exist_are_refused(sender: Node, target: Target, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        path_patch(circuit_model(), random_pairs(), [sender], [target])

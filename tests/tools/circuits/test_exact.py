"""Exact patching and ablation runs against each other and against the subject's own interventions."""

from functools import partial

import pytest
import torch

from hubel.tools.circuits.ablation import Ablation, run_circuit
from hubel.tools.circuits.circuit_model import CircuitModel, Wiring
from hubel.tools.circuits.graph import Graph, Node
from hubel.tools.circuits.hooks import temporary_hooks
from hubel.tools.circuits.selftest import open_circuit_model
from hubel.tools.circuits.sweep import Sweep
from hubel.tools.errors import UsageError
from hubel.tools.subject.address import Unit
from hubel.tools.subject.interventions import Intervention
from tests.support.tiny import tiny_subject

from .conftest import WIRED, circuit_model, random_pairs


def n_hooks(model: CircuitModel) -> int:
    return sum(
        len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.subject.model.modules()
    )


@pytest.mark.parametrize("model_type", WIRED)
def test_a_sweep_is_the_subjects_own_patching(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs()
    units = [Unit("head", 0, 1), Unit("head", 2, 3), Unit("head", 0, 2), Unit("mlp", 1, 5)]
    effects = Sweep(model, pairs).units(units)
    for unit, effect in zip(units, effects, strict=True):
        patches = [
            [Intervention(unit, "patch", source=tuple(row))] for row in pairs.corrupted.tolist()
        ]
        logits = [
            model.subject.capture(pairs.clean, [], interventions=interventions, logits=True).logits
            for interventions in (None, patches)
        ]
        assert logits[0] is not None
        assert logits[1] is not None
        clean, patched = (
            pairs.logit_difference(each[:, -1].float()) for each in logits if each is not None
        )
        torch.testing.assert_close(effect, (patched - clean).to(effect), atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("model_type", WIRED)
def test_a_single_edge_is_a_circuit_of_all_the_others(model_type: str) -> None:
    model, pairs = circuit_model(model_type), random_pairs()
    sweep, possible = Sweep(model, pairs), model.graph.all_edges
    edges = [tuple(at) for at in possible.nonzero()[:: possible.sum() // 12].tolist()]
    masks = torch.stack(
        [
            torch.zeros_like(possible).index_put(tuple(torch.tensor(at)), torch.tensor(True))
            for at in edges
        ]
    )
    effects = sweep.edges([model.graph.edges_of(mask)[0] for mask in masks])
    for mask, effect in zip(masks, effects, strict=True):
        torch.testing.assert_close(
            effect,
            run_circuit(model, pairs, possible & ~mask) - sweep.baseline,
            atol=1e-5,
            rtol=1e-4,
        )


@pytest.mark.parametrize("ablation", ["resample", "mean", "zero"])
def test_all_edges_are_the_model_and_no_edge_is_the_ablated_state(ablation: Ablation) -> None:
    model, pairs = circuit_model(), random_pairs(11)
    full = run_circuit(model, pairs, model.graph.all_edges, ablation)
    torch.testing.assert_close(
        full, pairs.logit_difference(model.logits(pairs.clean)), atol=1e-5, rtol=1e-4
    )
    none = run_circuit(model, pairs, torch.zeros_like(model.graph.all_edges), ablation)
    if ablation == "resample":
        torch.testing.assert_close(
            none, pairs.logit_difference(model.logits(pairs.corrupted)), atol=1e-5, rtol=1e-4
        )
    elif ablation == "zero":
        assert none.abs().max() < 1e-6  # nothing reaches the logits of a model without biases


def test_a_node_patched_is_the_circuit_without_what_it_writes() -> None:
    model, pairs = circuit_model(), random_pairs()
    sweep, nodes = Sweep(model, pairs), [Node("mlp", 0), Node("head", 1, 2), Node("mlp", 2)]
    for node, effect in zip(nodes, sweep.nodes(nodes), strict=True):
        without = model.graph.all_edges.clone()
        without[model.graph.sources.index(node)] = False
        torch.testing.assert_close(
            effect, run_circuit(model, pairs, without) - sweep.baseline, atol=1e-5, rtol=1e-4
        )
    torch.testing.assert_close(
        sweep.nodes([nodes[1]]), sweep.units([Unit("head", 1, 2)]), atol=1e-5, rtol=1e-4
    )


def test_writing_what_a_head_writes_itself_changes_nothing() -> None:
    model, pairs = circuit_model(), random_pairs()
    earlier, later = Node("head", 1, 2), Node("head", 2, 0)
    same, other = Sweep(model, pairs).interchange([(earlier, earlier), (earlier, later)])
    assert same.abs().max() < 1e-6
    assert other.abs().min() > 1e-4


def test_the_input_is_no_node_to_patch() -> None:
    with pytest.raises(UsageError, match="a head or an MLP"):
        Sweep(circuit_model(), random_pairs()).nodes([Node("input")])


def test_more_units_cost_no_other_answer() -> None:
    model, pairs = circuit_model(), random_pairs()
    units = [Unit("mlp", 1, index) for index in range(24)]
    sweep = Sweep(model, pairs)
    torch.testing.assert_close(sweep.units(units)[20:22], sweep.units(units[20:22]))


def test_hooks_are_gone_after_an_exception() -> None:
    model = circuit_model()

    def fail(_value: object) -> None:
        raise RuntimeError("inside")

    before = n_hooks(model)
    run = partial(run_circuit, model, random_pairs(), model.graph.all_edges)
    with temporary_hooks() as put:
        put.on_input(model.readers[1].mlp_norm, fail)
        with pytest.raises(RuntimeError, match="inside"):
            run()
    assert n_hooks(model) == before


def test_a_family_that_normalises_its_writes_has_no_edges() -> None:
    with pytest.raises(UsageError, match="nodes and no edges"):
        open_circuit_model(tiny_subject("gemma2"))


@pytest.mark.parametrize(
    ("wiring", "message"),
    [
        (
            Wiring(attention_norm="post_attention_layernorm", mlp_norm="input_layernorm"),
            "does not fit",
        ),
        (Wiring(attention_norm="ln_7"), "no module 'ln_7'"),
    ],
)
def test_a_wrong_wiring_is_refused(wiring: Wiring, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        open_circuit_model(tiny_subject("llama"), wiring)


def test_a_mask_of_another_model_is_refused() -> None:
    with pytest.raises(UsageError, match="mask of shape"):
        run_circuit(circuit_model(), random_pairs(), Graph(2, 2, 1).all_edges)

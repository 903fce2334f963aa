"""Check in a few short passes that the wiring describes a model (`open_circuit_model`).

1. Stream + attention write + MLP write = next stream, and the heads' writes (with the bias) are the
   attention's write.
2. With every edge kept, the run equals one without intervention: queries, keys, values and norms are
   read and replaced in the right places.
3. With no edge kept, it equals the corrupted twin; patched with itself, it is the identity.
4. No hook is left on the model.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ..errors import UsageError
from ..subject import Subject
from .ablation import run_circuit
from .circuit_model import CircuitModel, Wiring
from .forward_record import record
from .prompts import PromptPairs

_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.float16: 5e-2, torch.bfloat16: 2e-1}


def open_circuit_model(subject: Subject, wiring: Wiring | None = None) -> CircuitModel:
    """Open a subject as a graph, after checking that the wiring fits it.

    Of a subject in half precision it is a copy in float32 with the same weights: what an edge does is
    a small difference of large sums, which half precision rounds away.

    Raises:
        UsageError: the family has no wiring or no edges, or the wiring does not describe this model.
    """
    model = CircuitModel(subject.at_least_float32, wiring)
    if fault := _find_fault(model):
        raise UsageError(
            f"{subject.name!r} does not fit the {subject.architecture.model_type!r} wiring in "
            f"tools/circuits/circuit_model.py: {fault}"
        )
    return model


def reopen_circuit_model(subject: Subject) -> CircuitModel:
    """`open_circuit_model` for a subject that is as it was loaded, and checked once for all.

    The check takes two seconds of an answer; that it passed is remembered as the self-test is.
    """
    loaded = subject.test_conditions
    if loaded is None:
        return open_circuit_model(subject)
    conditions = loaded.with_code(Path(__file__).parent)
    if conditions.passed_before():
        return CircuitModel(subject.at_least_float32)
    model = open_circuit_model(subject)
    conditions.note_passed()
    return model


def _find_fault(model: CircuitModel) -> str | None:
    vocabulary = model.subject.model.get_input_embeddings().weight.shape[0]
    ids = (torch.arange(1, 9) * 7919 % vocabulary).view(2, 4)
    first = torch.zeros(2, 1, dtype=torch.long)
    pairs = PromptPairs(ids, ids.flip(1), first, first + 1)
    before = _n_hooks(model)
    clean = record(model, ids, pairs.logit_difference, writes_only=True)
    for layer, parts in enumerate(model.subject.parts.layers):
        bias = cast("Tensor | None", getattr(parts.attention_out, "bias", None))
        attention = model.head_writes(layer, clean.z[layer]).sum(0) + (0 if bias is None else bias)
        total = clean.stream[layer] + attention + clean.mlp[layer]
        if not _is_close(total, clean.stream[layer + 1]):
            return f"the writes of layer {layer} do not add up to the change of the residual stream"
    twin = record(model, pairs.corrupted, pairs.logit_difference).metric
    everything, nothing = model.graph.all_edges, torch.zeros_like(model.graph.all_edges)
    itself = PromptPairs(ids, ids, first, first + 1)
    runs = (
        (
            "with every edge kept, the run is not the bare one",
            run_circuit(model, pairs, everything),
            clean.metric,
        ),
        (
            "with no edge kept, the run is not the corrupted twin's",
            run_circuit(model, pairs, nothing),
            twin,
        ),
        (
            "patched with itself, the run is not the bare one",
            run_circuit(model, itself, nothing),
            clean.metric,
        ),
    )
    for fault, metric, expected in runs:
        if expected is None or not _is_close(metric, expected):
            return fault
    return None if _n_hooks(model) == before else "a hook was left on the model"


def _is_close(value: Tensor, expected: Tensor) -> bool:
    distance, size = (value - expected).float().norm(), expected.float().norm()
    return bool(distance <= _TOLERANCE[expected.dtype] * (size + 1))


def _n_hooks(model: CircuitModel) -> int:
    modules: list[Any] = list(model.subject.model.modules())
    return sum(len(module._forward_hooks) + len(module._forward_pre_hooks) for module in modules)

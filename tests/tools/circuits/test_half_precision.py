"""Circuits of a subject in half precision: computed in float32 on its own weights."""

from __future__ import annotations

import pytest
import torch

from hubel.tools.circuits.ablation import run_circuit
from hubel.tools.circuits.prompts import PromptPairs
from hubel.tools.circuits.selftest import open_circuit_model
from tests.support.tiny import tiny_subject


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("model_type", ["llama", "gpt2", "qwen2", "gpt_neox"])
def test_half_precision_is_the_float32_model_with_rounded_weights(
    model_type: str, dtype: torch.dtype
) -> None:
    half, rounded = tiny_subject(model_type), tiny_subject(model_type)
    half.model.to(dtype)
    rounded.model.to(dtype).float()
    ids = torch.arange(1, 9).view(2, 4)
    first = torch.zeros(2, 1, dtype=torch.long)
    pairs = PromptPairs(ids, ids.flip(1), first, first + 1)
    metrics = []
    for subject in (half, rounded):
        model = open_circuit_model(subject)
        kept = torch.rand(model.graph.all_edges.shape, generator=torch.Generator().manual_seed(0))
        metrics.append(run_circuit(model, pairs, model.graph.all_edges & (kept > 0.5)))
    assert torch.equal(*metrics)
    assert half.dtype == dtype, "other measurements of the subject stay as they were"

"""Patched logit differences against nnsight, on every head. Needs the extra `oracles`."""

import pytest
import torch

from hubel.tools.circuits.selftest import open_circuit_model
from hubel.tools.circuits.sweep import Sweep
from hubel.tools.subject.address import Unit
from tests.support.tiny import tiny_subject

from .conftest import random_pairs


@pytest.mark.filterwarnings("ignore")
def test_every_head_patched_agrees_with_nnsight() -> None:
    nnsight = pytest.importorskip(
        "nnsight", reason="nnsight is not installed; pip install hubel[oracles]"
    )
    subject, pairs = tiny_subject(), random_pairs()
    units = [Unit("head", layer, head) for layer in range(3) for head in range(4)]
    effects = Sweep(open_circuit_model(subject), pairs).units(units)
    wrapped = nnsight.NNsight(subject.model)
    width = subject.head_dim
    for unit, effect in zip(units, effects, strict=True):
        columns = slice(unit.index * width, (unit.index + 1) * width)
        with wrapped.trace(pairs.corrupted):
            values = wrapped.model.layers[unit.layer].self_attn.o_proj.input[:, :, columns].save()
        with wrapped.trace(pairs.clean):
            before = wrapped.output.logits[:, -1].save()
        with wrapped.trace(pairs.clean):
            wrapped.model.layers[unit.layer].self_attn.o_proj.input[:, :, columns] = values
            after = wrapped.output.logits[:, -1].save()
        expected = pairs.logit_difference(after) - pairs.logit_difference(before)
        torch.testing.assert_close(effect, expected, atol=1e-4, rtol=0)

"""Blocks replaced by their mean write, against a loop over prompts with plain torch hooks."""

from __future__ import annotations

import pytest
import torch

from hubel.tools.circuits.mean_ablation import (
    Block,
    all_blocks,
    differences_without,
    mean_writes,
)
from hubel.tools.circuits.prompts import PromptPairs
from hubel.tools.subject.architectures import first_tensor, matrix
from tests.support.tiny import tiny_subject

IDS = torch.randint(5, 200, (6, 7), generator=torch.Generator().manual_seed(0))
PAIRS = PromptPairs(IDS, IDS.flip(0), IDS[:, :1] + 1, IDS[:, :1] + 2)


@pytest.mark.parametrize("family", ["llama", "gpt2"])
@pytest.mark.parametrize("block", [Block("mlp", 1), Block("attention", 0)])
def test_a_block_writes_its_mean_and_the_rest_follows(family: str, block: Block) -> None:
    subject = tiny_subject(family)
    means = mean_writes(subject, [PAIRS.take([0, 1, 2]), PAIRS.take([3, 4, 5])])
    writes = []
    handle = block.module(subject).register_forward_hook(
        lambda _m, _a, output: writes.append(first_tensor(output)[0, 1:])
    )
    for row in IDS:
        subject.model(row[None])
    handle.remove()
    mean = torch.cat(writes).mean(0)
    torch.testing.assert_close(means[block], mean, rtol=1e-4, atol=1e-5)

    def replace(_module, _args, output):
        value = first_tensor(output).clone()
        value[0, 1:] = mean
        return value if isinstance(output, torch.Tensor) else (value, *output[1:])

    handle = block.module(subject).register_forward_hook(replace)
    logits = torch.cat([subject.model(row[None]).logits[:, -1] for row in IDS])
    handle.remove()
    got = differences_without(subject, [PAIRS], block, means[block])
    torch.testing.assert_close(got, PAIRS.logit_difference(logits), rtol=1e-4, atol=1e-4)


def test_a_block_that_writes_nothing_is_worth_nothing() -> None:
    subject = tiny_subject()
    with torch.no_grad():
        matrix(subject.parts.layers[1].mlp_down).zero_()
    block = Block("mlp", 1)
    assert block in all_blocks(subject)
    intact = differences_without(subject, [PAIRS], None)
    without = differences_without(subject, [PAIRS], block, mean_writes(subject, [PAIRS])[block])
    assert torch.equal(intact, without)

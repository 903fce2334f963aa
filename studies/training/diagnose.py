"""Diagnose: which block makes wrong answers wrong, tested on prompts that did not choose it.

1. Prompts of a task, each with its answer and a foil: right where the answer has the larger logit.
2. Each attention and MLP block in turn writes its mean instead of its value (`mean_ablation`). A
   block's gain is the change of the share of right answers: wrong ones fixed less right ones broken.
3. The block with the largest gain on one half of the prompts is measured on the other half.
   Control: the mean gain of all other blocks there, or 0 if that is larger.

A subject without a fault of this kind gains nothing from losing a block, and the largest of many
gains on one half is luck that the other half does not share. Interval: bootstrap over prompts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ...evals.statistics.bootstrap import bootstrap
from ...tools.errors import UsageError
from ..figures import BarChart
from ..registry import study
from ..result import StudyResult
from ..study_context import StudyContext
from ..verdicts import above, cannot_say

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jaxtyping import Float

    from ...tools.circuits.prompts import PromptPairs
    from ...tools.subject import Subject
    from ..measurements import Measured

SHOWN_BLOCKS = 20
LEAST_PROMPTS = 20


@study("diagnose", question="Which block makes wrong answers wrong, and is removing it a fix?")
def diagnose(
    study: StudyContext,
    task: Annotated[
        str, Field(description="a circuit task, or a file of prompts")
    ] = "sva-attractor",
    prompts: Annotated[int, Field(ge=LEAST_PROMPTS, le=10_000)] = 200,
    seed: int = 0,
) -> StudyResult:
    """Find the attention or MLP block without which most wrong answers become right.

    The block is chosen on half of the prompts and tested on the other half, where answers that its
    removal breaks count against it.
    """
    measured = study.measured(
        "differences", lambda: measure_blocks(study, study.subject, task, prompts, seed)
    )
    return conclude(measured["blocks"].tolist(), measured["intact"], measured["without"], seed)


def measure_blocks(
    study: StudyContext, subject: Subject, task: str, prompts: int, seed: int
) -> Measured:
    """Logit differences by prompt: intact, and without each block.

    Raises:
        UsageError: the subject is an encoder, or the task has too few prompts that suit it.
    """
    from ...tools.circuits.tasks import find_task
    from ...tools.circuits.tasks.prepared import lexicon, prepare
    from ...tools.circuits.tasks.task import draw_examples

    subject.require_decoder("a diagnosis")
    circuit_task = find_task(task)
    examples = draw_examples(circuit_task, "discovery", seed, lexicon(subject))
    prepared = prepare(subject, circuit_task, examples, prompts)
    if len(prepared) < LEAST_PROMPTS:
        raise UsageError(
            f"{task} has {len(prepared)} prompts that suit {subject.name}; a diagnosis needs "
            f"{LEAST_PROMPTS}: give more of them, or another --task"
        )
    return measure_batches(study, subject, [batch.pairs for batch in prepared.batches])


def measure_batches(
    study: StudyContext, subject: Subject, batches: Sequence[PromptPairs]
) -> Measured:
    """The same for prompts that are tokenized already."""
    from ...tools.circuits.mean_ablation import all_blocks, differences_without, mean_writes

    means, blocks = mean_writes(subject, batches), all_blocks(subject)
    without: list[np.ndarray] = []
    for number, block in enumerate(blocks):
        study.progress("blocks", number, len(blocks))
        without.append(differences_without(subject, batches, block, means[block]).numpy())
    return {
        "blocks": np.array([str(block) for block in blocks]),
        "intact": differences_without(subject, batches, None).numpy(),
        "without": np.stack(without),
    }


def conclude(
    blocks: Sequence[str],
    intact: Float[np.ndarray, " prompt"],
    without: Float[np.ndarray, "block prompt"],
    seed: int = 0,
) -> StudyResult:
    """One claim about the chosen block, and a row for each block."""
    right, right_without = intact > 0, without > 0
    gain = right_without.astype(float) - right  # block prompt: 1 fixed, -1 broken
    order = np.random.default_rng(seed).permutation(len(intact))
    chooses, tests = np.array_split(order, 2)
    chosen = int(gain[:, chooses].mean(axis=1).argmax())
    name = blocks[chosen]
    claim = f"without the {name} more answers are right"
    wrong = int((~right[chooses]).sum())
    rows = [
        {
            "block": block,
            "fixed": int((gain[place] > 0).sum()),
            "broken": int((gain[place] < 0).sum()),
            "gain": float(gain[place].mean()),
        }
        for place, block in enumerate(blocks)
    ]
    ranked = sorted(rows, key=lambda row: -float(row["gain"]))[:SHOWN_BLOCKS]
    chart = BarChart(
        "gains",
        f"Gain in right answers without a block ({int((~right).sum())} of {len(right)} are wrong)",
        "share of prompts",
        [str(row["block"]) for row in ranked],
        [float(row["gain"]) for row in ranked],
    )
    if not wrong:
        unknown = cannot_say(f"{claim} (the half that chooses it has no wrong answer)", len(tests))
        return StudyResult(rows, [unknown], [chart])
    held_out = gain[chosen, tests]
    control = float(np.delete(gain[:, tests], chosen, axis=0).mean()) if len(blocks) > 1 else 0.0
    sums = np.stack([held_out, np.ones_like(held_out)], axis=1)
    interval = bootstrap(sums, lambda s: s[..., 0] / s[..., 1], seed)
    return StudyResult(rows, [above(claim, interval, max(0.0, control), len(tests))], [chart])

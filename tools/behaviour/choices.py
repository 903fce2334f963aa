"""Prompts with a right answer among options, and what a subject prefers.

1. A prompt's options are continuations; each is scored as log p of its tokens after the prompt.
2. The preferred option is the one with the largest log p.
3. Prompts come from the tasks of `circuits/tasks` (their discovery half, never the held-out one),
   or from a person's table of pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..errors import UsageError
from .sequence_probability import RowEdit, continuation_probabilities

if TYPE_CHECKING:
    from ..subject import Subject


@dataclass(frozen=True)
class ChoicePrompt:
    """A prompt, its options and which of them is right.

    Attributes:
        options: continuations as they follow the prompt, with their leading space.
        answer: number of the right option.
        group: prompts with one group depend on each other: intervals draw groups.
        decisive: words of the prompt that the answer depends on, if known.
    """

    text: str
    options: tuple[str, ...]
    answer: int
    group: str = ""
    decisive: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(set(self.options)) < 2 or len(set(self.options)) < len(self.options):
            raise UsageError(
                f"{self.text[:40]!r} has the options {self.options}; give at least two different ones"
            )
        if not 0 <= self.answer < len(self.options):
            raise UsageError(
                f"{self.text[:40]!r}: answer {self.answer} given; there are options 0 to "
                f"{len(self.options) - 1}"
            )


def option_log_probs(
    subject: Subject,
    prompts: Sequence[ChoicePrompt],
    *,
    edit: RowEdit | None = None,
) -> list[Float[np.ndarray, " options"]]:
    """log p of each option of each prompt, nats."""
    texts = [prompt.text for prompt in prompts for _ in prompt.options]
    options = [option for prompt in prompts for option in prompt.options]
    scored = continuation_probabilities(subject, texts, options, edit=edit)
    ends = np.cumsum([len(prompt.options) for prompt in prompts])
    return np.split(scored.totals, ends[:-1])


def margins(
    log_probs: Sequence[Float[np.ndarray, " options"]], answers: Sequence[int]
) -> Float[np.ndarray, " prompts"]:
    """log p of the right option less that of the best wrong one; above 0 where the subject is right."""
    return np.array(
        [
            values[answer] - np.delete(values, answer).max()
            for values, answer in zip(log_probs, answers, strict=True)
        ]
    )


def task_choices(subject: Subject, task: str, n: int, seed: int = 0) -> list[ChoicePrompt]:
    """Prompts of a task that suit the subject, each with its answer and its foil.

    Args:
        task: name of a task of `circuits/tasks`, or a person's .csv, .tsv, .jsonl or .parquet.

    Raises:
        UsageError: no such task, or no prompt of it suits the subject.
    """
    from ..circuits.tasks import find_task
    from ..circuits.tasks.prepared import lexicon, prepare
    from ..circuits.tasks.task import draw_examples

    found = find_task(task)
    examples = draw_examples(found, "discovery", seed, lexicon(subject))
    batches = prepare(subject, found, examples, n).batches
    pairs = [pair for batch in batches for pair in batch.pairs.pairs]
    prompts = list[ChoicePrompt]()
    for pair in pairs:
        twin = set(pair.corrupted.split())
        decisive = tuple(word for word in pair.clean.split() if word not in twin)
        options = (pair.answer[0], pair.foil[0])
        prompts.append(ChoicePrompt(pair.clean, options, 0, " ".join(decisive), decisive))
    return prompts

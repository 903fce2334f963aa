"""Clean prompts of a program and corrupted twins with another answer.

Half of the twins differ in one or two tokens, which shows what each token does; half are other
prompts of the distribution, in which everything may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from ...tools.circuits.prompts import PromptPairs
from .program import Program

EDITS = 100
"""Attempts at a twin that differs in one or two tokens, before another prompt is used."""


def pairs_of(program: Program, n: int, seed: int = 0) -> PromptPairs:
    """n pairs; the answer is the clean prompt's, the foil its twin's."""
    rng = np.random.default_rng([seed, n])
    clean = program.prompts(n, rng).tolist()
    twins = [
        _twin(program, prompt, rng, edited=index % 2 == 0) for index, prompt in enumerate(clean)
    ]
    answers, foils = (
        [[program.answer(prompt) + program.first_answer] for prompt in side]
        for side in (clean, twins)
    )
    return PromptPairs(
        torch.tensor(clean), torch.tensor(twins), torch.tensor(answers), torch.tensor(foils)
    )


def _twin(
    program: Program, prompt: Sequence[int], rng: np.random.Generator, *, edited: bool
) -> list[int]:
    answer = program.answer(prompt)
    edits = (_edit(program, prompt, rng) for _ in range(EDITS if edited else 0))
    for candidate in edits:
        if program.accepts(candidate) and program.answer(candidate) != answer:
            return candidate
    return next(other for other in _others(program, rng) if program.answer(other) != answer)


def _edit(program: Program, prompt: Sequence[int], rng: np.random.Generator) -> list[int]:
    edited = list(prompt)
    for place in rng.integers(1, len(prompt), rng.integers(1, 3)):
        edited[place] = int(rng.integers(1, program.letters + 1))
    return edited


def _others(program: Program, rng: np.random.Generator) -> Iterator[list[int]]:
    while True:
        yield program.prompts(1, rng)[0].tolist()

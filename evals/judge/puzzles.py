"""Puzzles with one right answer among k, at positions by which no fixed answer can gain.

Trials come in k prompts of the same size. In prompt j the right answer of puzzle i is at position
(first_i + j) mod k, so over the prompts each position is right equally often for every number. A
fixed list of answers, whatever it is, is right in exactly 1/k.
"""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase

import numpy as np
from jaxtyping import Float, Int

from .ask import ask_examples
from .protocol import Chat, answer_each


def answer_positions(trials: int, options: int, seed: int) -> Int[np.ndarray, " trials"]:
    """Position of the right answer of each trial, prompt after prompt.

    Args:
        trials: a multiple of `options`.
    """
    first = np.random.default_rng(seed).integers(0, options, trials // options)
    return ((first[None, :] + np.arange(options)[:, None]) % options).ravel()


def puzzle_text(right: str, wrong: Sequence[str], position: int) -> str:
    """A puzzle's options with their letters, the right one at its position."""
    options = [*wrong[:position], right, *wrong[position:]]
    lettered = zip(ascii_uppercase, options, strict=False)
    return "".join(f"\n{letter}: {option}" for letter, option in lettered)


def ask_puzzles(
    chat: Chat,
    prompt: str,
    puzzles: Sequence[str],
    positions: Int[np.ndarray, " trials"],
    options: int,
    **values: object,
) -> Float[np.ndarray, " trials"]:
    """1 for each puzzle that the judge solves, else 0."""
    per_prompt = len(puzzles) // options
    letters = tuple(ascii_uppercase[:options])
    prompts = [puzzles[start : start + per_prompt] for start in range(0, len(puzzles), per_prompt)]
    answers = answer_each(
        lambda part: ask_examples(chat, prompt, part, letters, options=options, **values), prompts
    )
    choices = [answer.choice for part in answers for answer in part]
    return (np.array(choices) == positions).astype(np.float64)


def solved_by_grade(grades: Float[np.ndarray, "trials options"]) -> Float[np.ndarray, " trials"]:
    """Whether the right option, column 0, has the largest grade; one of m that tie counts 1/m."""
    is_best = grades == grades.max(axis=1, keepdims=True)
    return np.where(is_best[:, 0], 1.0 / is_best.sum(axis=1), 0.0)

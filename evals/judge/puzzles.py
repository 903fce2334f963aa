"""One right answer among k: puzzles whose right place is dealt out so that no fixed answer can gain
by it.

Trials come in k prompts of the same size. In prompt j the right answer of puzzle i stands at place
(first_i + j) mod k, so that over the prompts each place is right equally often for every number.
Whoever answers a fixed list, whatever it is, is right in exactly 1/k.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from string import ascii_uppercase

import numpy as np
from jaxtyping import Float, Int

from .ask import ask_examples
from .protocol import Chat

LETTERS = ascii_uppercase


def answer_positions(trials: int, options: int, seed: int) -> Int[np.ndarray, " trials"]:
    """Where the right answer of each trial stands; trials are a multiple of the options, prompt after prompt."""
    each = trials // options
    first = np.random.default_rng(seed).integers(0, options, each)
    return ((first[None, :] + np.arange(options)[:, None]) % options).ravel()


def puzzle_text(right: str, wrong: Sequence[str], place: int) -> str:
    """A puzzle's options with their letters, the right one at its place."""
    options = [*wrong[:place], right, *wrong[place:]]
    return "".join(
        f"\n{letter}: {option}" for letter, option in zip(LETTERS, options, strict=False)
    )


def ask_puzzles(
    chat: Chat,
    prompt: str,
    puzzles: Sequence[str],
    places: Int[np.ndarray, " trials"],
    options: int,
    **values: object,
) -> Float[np.ndarray, " trials"]:
    """1 for each puzzle that the judge solves, else 0."""
    each = len(puzzles) // options
    hits = []
    for start in range(0, len(puzzles), each):
        block = puzzles[start : start + each]
        answers = ask_examples(
            chat, prompt, block, tuple(LETTERS[:options]), options=options, **values
        )
        hits += [a.choice == p for a, p in zip(answers, places[start : start + each], strict=True)]
    return np.array(hits, dtype=np.float64)


def solved_by_grade(
    grades: Float[np.ndarray, "trials options"], best: Callable[..., np.ndarray] = np.max
) -> Float[np.ndarray, " trials"]:
    """Whether column 0, the right one, has the best grade; one of m that tie counts 1/m."""
    tied = grades == best(grades, axis=1)[:, None]
    return np.where(tied[:, 0], 1.0 / tied.sum(axis=1), 0.0)

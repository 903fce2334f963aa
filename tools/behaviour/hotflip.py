"""Which swap of one token moves a preference most: a first-order search, verified exactly.

1. The margin is the right option's logit less the wrong one's, after the prompt.
2. Its gradient at the embedding of each token gives, for every other token, the first-order change
   if that token were there: gradient . (embedding of the new - embedding of the old). One backward
   pass ranks all positions times the whole vocabulary (Ebrahimi et al. 2018, HotFlip).
3. The first-order ranking is a guess. The best guesses are each run through the subject, and the one
   with the lowest measured margin is made. Only measured margins are reported.
4. A swap counts only if the new tokens are what the tokenizer makes of their own text: otherwise no
   text would bring it about.
5. Steps 2 to 4 are repeated until the preference changes or the swaps allowed are used up. The
   control makes as many passes with swaps drawn at random from the same places and tokens.

What it is for: measuring how fragile a subject's answer is. The swaps are meaningless to a reader
and particular to one subject and prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from ..errors import UsageError
from ..subject.token_text import join_tokens
from .sequence_probability import TokenRow, score_rows

if TYPE_CHECKING:
    from ..subject import Subject

Order = Literal["first_order", "random"]


class TokenSwap(NamedTuple):
    """A token put in place of another; `estimate` is the first-order change of the margin."""

    place: int
    old: str
    new: str
    estimate: float


@dataclass(frozen=True)
class SwapAttack:
    """What swaps did to one prompt.

    Attributes:
        margins: before any swap, then after each; below 0 once the preference has changed.
        passes: texts that the subject read to verify swaps.
        estimates, changes: first-order and measured change of every swap that was verified first.
    """

    ids: tuple[int, ...]
    text: str
    swaps: tuple[TokenSwap, ...]
    margins: tuple[float, ...]
    passes: int
    estimates: Float[np.ndarray, " verified"]
    changes: Float[np.ndarray, " verified"]

    @property
    def flipped(self) -> bool:
        """Whether the subject prefers the wrong option in the end."""
        return self.margins[-1] < 0


class SwapQuestion(NamedTuple):
    """A prompt as token ids with one right and one wrong next token."""

    ids: tuple[int, ...]
    right: int
    wrong: int


def attack_by_swaps(
    subject: Subject,
    question: SwapQuestion,
    candidates: Sequence[int],
    *,
    most_swaps: int = 2,
    verified: int = 32,
    order: Order = "first_order",
    places: Sequence[int] | None = None,
    seed: int = 0,
) -> SwapAttack:
    """Swap tokens until the subject prefers the wrong option, each time the best verified swap.

    Args:
        candidates: token ids that may be put in.
        verified: swaps that are run through the subject at each step.
        order: "random" verifies swaps drawn at random, the control.
        places: positions that may be changed; default all but the first, an attention sink.

    Raises:
        UsageError: no place or candidate.
    """
    places = range(1, len(question.ids)) if places is None else places
    if not len(places) or not len(candidates):
        raise UsageError(
            f"{len(places)} places and {len(candidates)} candidate tokens given; nothing can be "
            "swapped: give a longer prompt, or candidates"
        )
    rng = np.random.default_rng(seed)
    text_of = subject.token_strings()
    ids = question.ids
    margins = measure_next_token_margins(subject, [ids], question)
    swaps: list[TokenSwap] = []
    passes = 0
    first: tuple[np.ndarray, np.ndarray] = (np.zeros(0), np.zeros(0))
    while len(swaps) < most_swaps and margins[-1] >= 0:
        estimates = first_order_changes(subject, question._replace(ids=ids), places, candidates)
        chosen = _choose(subject, ids, places, candidates, estimates, verified, order, rng)
        if not chosen:
            break
        rows = [_swapped(ids, places[p], candidates[c]) for p, c in chosen]
        measured = measure_next_token_margins(subject, rows, question)
        passes += len(rows)
        guesses = np.array([estimates[p, c] for p, c in chosen])
        if not swaps:
            first = guesses, np.array(measured) - margins[-1]
        best = int(np.argmin(measured))
        p, c = chosen[best]
        swaps.append(
            TokenSwap(places[p], text_of[ids[places[p]]], text_of[candidates[c]], guesses[best])
        )
        ids = rows[best]
        margins.append(measured[best])
    text = join_tokens(text_of[i] for i in ids)
    return SwapAttack(ids, text, tuple(swaps), tuple(margins), passes, *first)


def first_order_changes(
    subject: Subject,
    question: SwapQuestion,
    places: Sequence[int],
    candidates: Sequence[int],
) -> Float[np.ndarray, "place candidate"]:
    """First-order change of the margin if a candidate were at a place; 0 where it already is."""
    import torch

    from ..attribution.target import Logits, make_target

    scalar = Logits((question.right,), (question.wrong,))
    target = make_target(subject, scalar, question.ids, baseline="zero")
    slopes = target.slope().gradients[0][list(places)].double()
    with torch.no_grad():
        embed = subject.model.get_input_embeddings()
        new = embed(torch.tensor(list(candidates), device=subject.device)).double()
        old = target.embedding[list(places)].double()
    changes = slopes @ new.T - (slopes * old).sum(-1, keepdim=True)
    return changes.cpu().numpy()


def measure_next_token_margins(
    subject: Subject, texts: Sequence[Sequence[int]], question: SwapQuestion
) -> list[float]:
    """log p of the right next token less that of the wrong one after each text."""
    rows = [
        TokenRow((*ids, answer), len(ids))
        for ids in texts
        for answer in (question.right, question.wrong)
    ]
    scores = np.concatenate(score_rows(subject, rows)).reshape(-1, 2)
    return (scores[:, 0] - scores[:, 1]).tolist()


def word_tokens(subject: Subject) -> tuple[int, ...]:
    """Tokens that are a word of letters after a space, as the tokenizer would make it."""
    return _word_tokens(subject)


@lru_cache(maxsize=4)
def _word_tokens(subject: Subject) -> tuple[int, ...]:
    strings = subject.token_strings()
    is_word = [text[:1] == " " and text[1:].isascii() and text[1:].isalpha() for text in strings]
    return tuple(
        token
        for token in np.flatnonzero(is_word).tolist()
        if subject.tokenize(strings[token]).ids == [token]
    )


def is_realisable(subject: Subject, ids: Sequence[int]) -> bool:
    """Whether the tokenizer makes these tokens of their own text."""
    strings = subject.token_strings()
    return subject.tokenize(join_tokens(strings[i] for i in ids)).ids == list(ids)


def _choose(
    subject: Subject,
    ids: tuple[int, ...],
    places: Sequence[int],
    candidates: Sequence[int],
    estimates: Float[np.ndarray, "place candidate"],
    verified: int,
    order: Order,
    rng: np.random.Generator,
) -> list[tuple[int, int]]:
    """The swaps to verify, as numbers of place and candidate: the most promising, or random ones."""
    flat = estimates.ravel()
    ranking = flat.argsort(kind="stable") if order == "first_order" else rng.permutation(flat.size)
    chosen: list[tuple[int, int]] = []
    for index in ranking.tolist():
        p, c = divmod(index, len(candidates))
        is_new = candidates[c] != ids[places[p]]
        if is_new and is_realisable(subject, _swapped(ids, places[p], candidates[c])):
            chosen.append((p, c))
        if len(chosen) == verified:
            break
    return chosen


def _swapped(ids: tuple[int, ...], place: int, token: int) -> tuple[int, ...]:
    return (*ids[:place], int(token), *ids[place + 1 :])

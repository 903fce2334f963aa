"""Short windows of text, active and quiet ones: what judges are shown.

1. Contexts are cut into windows of 32 tokens that do not overlap; one shorter than half of that is
   left out.
2. A window's strength is its largest activation (largest absolute value, for a target with both
   sides).
3. A window is *active* if it reaches 0.3 times the median of the ten strongest windows, but at most
   a quarter of all are: a gated neuron is never zero, so "any activation" would call every window
   active (delphi then finds no negatives). The weaker half of the others is *quiet*. Windows in
   between are not used.
4. Active windows are drawn evenly from ten quantiles of strength, 50 in all, so that weak firing
   counts as much as strong (Oikarinen & Weng 2024: the top of the range is a small part of what a
   unit does); 50 quiet ones at random.
5. They are dealt into batches in mirrored pairs: where one batch has an active window the other has
   a quiet one. A judge that always gives the same list of answers is then exactly at chance.

Predictions are read by the same rule: a predicate calls a window active by its own scale. So does
every floor prediction (token lookup, another unit's explanation).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ...tools.subject.token_text import join_tokens
from ..judge.protocol import Unscorable
from ..statistics.sample import Sample
from .classification import LabelledExamples

WIDTH = 32
"""Tokens of a window, as in delphi."""
COUNT = 50
"""Active windows, and as many quiet ones, as in delphi."""
QUANTILES = 10
SHARE = 0.3
"""Of the reference strength: from here on a window or a token is active."""
STRONGEST = 10
MIN_ACTIVE_WINDOWS = 10
"""Fewer active windows are too few to judge by."""
MOST_ACTIVE = 0.25


@dataclass(frozen=True, eq=False)
class TokenText:
    """The words of the contexts that a sample is over."""

    tokens: Int[np.ndarray, "contexts seq"]
    length: Int[np.ndarray, " contexts"]
    vocabulary: Sequence[str]
    """Each token's text, by id."""

    def take(self, contexts: Int[np.ndarray, " chosen"]) -> TokenText:
        """Only these contexts."""
        return replace(self, tokens=self.tokens[contexts], length=self.length[contexts])

    def tokens_of(self, context: int, start: int, stop: int) -> list[str]:
        """The text of each token of a window."""
        return [self.vocabulary[int(token)] for token in self.tokens[context, start:stop]]


@dataclass(frozen=True, eq=False)
class Windows:
    """All windows of a sample, in order."""

    sample: Sample
    token_text: TokenText
    context: Int[np.ndarray, " windows"]
    start: Int[np.ndarray, " windows"]
    stop: Int[np.ndarray, " windows"]
    width: int = WIDTH

    def __len__(self) -> int:
        return len(self.context)

    @cached_property
    def document(self) -> Int[np.ndarray, " windows"]:
        """The document of each window, or its group of near-duplicates."""
        return self.sample.unit[self.context]

    @cached_property
    def one_sided(self) -> bool:
        """Whether the target's signal is never negative."""
        return bool((self.sample.true >= 0).all())

    @cached_property
    def true(self) -> Activity:
        """The true activity."""
        return self.activity_of(self.sample.true)

    def labelled(self, chosen: ChosenWindows) -> LabelledExamples:
        """Chosen windows as examples of a classification."""
        interval = self.sample.resampling.interval
        return LabelledExamples(chosen.label, self.document[chosen.window], interval)

    def activity_of(self, signal: Float[np.ndarray, "contexts seq"]) -> Activity:
        """Which windows and tokens a signal calls active, by its own scale."""
        # 1. The strength of each token; -inf for a token that does not count.
        size = signal if self.one_sided else np.abs(signal)
        size = np.where(self.sample.mask, size, -np.inf)
        # 2. The strength of each window; one in which no token counts is as weak as the weakest.
        # The contexts are padded to whole windows, so that a reshape can cut them.
        contexts, seq = size.shape
        padded = np.pad(size, ((0, 0), (0, -seq % self.width)), constant_values=-np.inf)
        largest = padded.reshape(contexts, -1, self.width).max(axis=2)
        strength = largest[self.context, self.start // self.width]
        strength = np.where(
            np.isfinite(strength), strength, strength[np.isfinite(strength)].min(initial=0.0)
        )
        # 3. The threshold.
        reference = float(np.median(np.sort(strength)[-STRONGEST:]))
        at_most_a_quarter = float(np.quantile(strength, 1 - MOST_ACTIVE))
        return Activity(size, strength, max(SHARE * reference, at_most_a_quarter))

    def token_strings(self, window: int) -> list[str]:
        """A window's tokens as text."""
        return self.token_text.tokens_of(
            int(self.context[window]), int(self.start[window]), int(self.stop[window])
        )

    def tokens_at(self, window: int, values: np.ndarray) -> np.ndarray:
        """The part of an array [contexts, seq] that belongs to a window."""
        return values[self.context[window], self.start[window] : self.stop[window]]


class Activity(NamedTuple):
    """What a signal, true or predicted, calls active."""

    size: Float[np.ndarray, "contexts seq"]
    """Strength of each token, minus infinity for a token that does not count."""
    strength: Float[np.ndarray, " windows"]
    threshold: float

    @property
    def active(self) -> Bool[np.ndarray, " windows"]:
        """Which windows are active."""
        return self.strength >= self.threshold

    @property
    def marked(self) -> Bool[np.ndarray, "contexts seq"]:
        """Which tokens are active."""
        return self.size >= self.threshold


def cut_windows(sample: Sample, printed: TokenText, width: int = WIDTH) -> Windows:
    """Cut a sample's contexts into windows.

    Raises:
        Unscorable: no context is as long as half a window.
    """
    seq = sample.mask.shape[1]
    width = min(width, seq)
    context, start = np.meshgrid(np.arange(len(sample)), np.arange(0, seq, width), indexing="ij")
    stop = np.minimum(start + width, printed.length[:, None])
    # The last window of a context may be too short to judge.
    shortest = max(2, width // 2)
    kept = (stop - start >= shortest).ravel()
    if not kept.any():
        raise Unscorable(f"no context has {shortest} tokens")
    return Windows(
        sample, printed, context.ravel()[kept], start.ravel()[kept], stop.ravel()[kept], width
    )


class ChosenWindows(NamedTuple):
    """Windows that a judge is shown, in mirrored batches."""

    window: Int[np.ndarray, " items"]
    label: Bool[np.ndarray, " items"]
    """True for an active one."""
    batches: list[Int[np.ndarray, " batch"]]
    """Positions in the two arrays above."""


def choose_windows(
    windows: Windows, seed: int, count: int = COUNT, per_batch: int = 50
) -> ChosenWindows:
    """Active windows by quantile and as many quiet ones, dealt into mirrored batches.

    Raises:
        Unscorable: there are fewer than ten active windows.
    """
    rng = np.random.default_rng(seed)
    active, quiet = by_quantile(windows, rng, count), quiet_windows(windows)
    size = min(len(active), len(quiet)) // 2 * 2
    if size < MIN_ACTIVE_WINDOWS or windows.true.threshold <= 0:
        raise Unscorable(
            f"{len(active)} active and {len(quiet)} quiet windows; "
            f"a judge needs {MIN_ACTIVE_WINDOWS} of each"
        )
    chosen = rng.permutation(active)[:size], rng.permutation(quiet)[:size]
    return ChosenWindows(
        np.concatenate(chosen), np.arange(2 * size) < size, mirrored_batches(size, per_batch, rng)
    )


def by_quantile(
    windows: Windows, rng: np.random.Generator, count: int = COUNT
) -> Int[np.ndarray, " active"]:
    """Active windows, up to `count`, evenly from the tenths of their strengths."""
    active = np.flatnonzero(windows.true.active)
    if len(active) <= count:
        return active
    order = active[np.argsort(windows.true.strength[active], kind="stable")]
    tenths = np.array_split(order, QUANTILES)
    drawn = [
        rng.choice(tenth, min(len(tenth), count // QUANTILES), replace=False) for tenth in tenths
    ]
    return np.sort(np.concatenate(drawn))


def quiet_windows(windows: Windows) -> Int[np.ndarray, " quiet"]:
    """The weaker half of the windows that are not active."""
    rest = np.flatnonzero(~windows.true.active)
    if not len(rest):
        return rest
    return rest[windows.true.strength[rest] <= np.median(windows.true.strength[rest])]


def mirrored_batches(
    pairs: int, per_batch: int, rng: np.random.Generator
) -> list[Int[np.ndarray, " batch"]]:
    """Deal positives (0 to pairs - 1) and negatives (from pairs on) into mirrored batches."""
    batches = []
    for chunk in np.array_split(np.arange(pairs // 2), -(-pairs // per_batch)):
        # Pairs with an even number go into one batch, those with an odd number into its mirror.
        labels = rng.permutation(np.arange(2 * len(chunk)) % 2 == 0)
        for numbers, is_positive in ((2 * chunk, labels), (2 * chunk + 1, ~labels)):
            batch = np.empty(2 * len(chunk), dtype=np.int64)
            batch[is_positive] = rng.permutation(numbers)
            batch[~is_positive] = pairs + rng.permutation(numbers)
            batches.append(batch)
    return batches


def as_one_line(tokens: Sequence[str]) -> str:
    """A window as one line."""
    return join_tokens(tokens).replace("\r", "").replace("\n", "\\n")


def mark_tokens(tokens: Sequence[str], marks: Bool[np.ndarray, " tokens"]) -> str:
    """A window as one line, with marked runs of tokens in double angle brackets.

    The space before a run stays outside: ``a <<b c>> d``.
    """
    parts, inside = [], False
    for token, mark in zip(tokens, marks.tolist(), strict=True):
        text = as_one_line([token]).replace("<<", "< <").replace(">>", "> >")
        if mark and not inside:
            bare = text.lstrip(" ")
            text = text[: len(text) - len(bare)] + "<<" + bare
        elif inside and not mark:
            text = ">>" + text
        inside = mark
        parts.append(text)
    return join_tokens(parts) + (">>" if inside else "")

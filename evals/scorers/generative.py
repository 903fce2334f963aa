"""Generative: text written from the explanation must fire the unit more than matched controls.

Kopf et al. 2025, PRISM (arXiv 2506.15538); Gur-Arieh et al. 2025 (arXiv 2501.08319), the
input-based test.

With a judge as the writer:
1. It writes 20 passages that contain what the explanation says (`prompts/generative.md`).
2. Controls: 20 passages that the same writer gives for a description without content. A writer that
   always writes the same scores exactly 0.5, and its habits of style are in both.
With a predicate:
1. 20 quiet windows are the carriers. Each gets a span of four tokens that ends where the predicate
   predicts most somewhere else in the split (each from another position).
2. Control: the same carrier with a span from a random position, in the same place.

The subject reads them all (`resources.activations_on`). Strength of a text: its largest activation
(largest absolute value for a target with both sides). Score: AUROC of the strengths, written
against controls, chance 0.5; intervals resample texts.

Cost with a judge: 2 calls, about 200 prompt tokens each and 800 of answer; and 40 short forward
passes.
"""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ...prompts import load
from ...tools.subject.token_text import join_tokens
from ..judge.ask import LINE
from ..judge.protocol import Chat, ChatRequest, JudgeError, Unscorable, answer_each
from ..judge.reasoning import without_reasoning
from ..score import Score
from .classification import LabelledExamples
from .decisions import auroc_score
from .registry import ScoringTask, scorer
from .resources import in_words_only, unscorable_without
from .windows import Windows, cut_windows, quiet_windows

TEXTS = 20
SPAN = 4
"""Tokens put into a carrier."""
NEUTRAL = "Ordinary written English of any kind, about anything."
FEWEST_WORDS, MOST_WORDS = 3, 120
"""Of a passage; one outside of this is not what was asked for."""


class TextsWithControls(NamedTuple):
    """Texts that should fire the unit, and matched ones that should not."""

    texts: list[str]
    controls: list[str]


@scorer("generative")
def generative(task: ScoringTask) -> list[Score]:
    """AUROC of the activation on written texts against controls."""
    activations_on = task.resources.activations_on
    if activations_on is None:
        raise unscorable_without("the subject, to read new text")
    if task.chat is not None:
        chat, descriptions = task.chat, (task.require_sentence(), NEUTRAL)
        pairs = TextsWithControls(
            *answer_each(lambda description: write_passages(chat, description), descriptions)
        )
    elif task.predicts:
        windows = cut_windows(task.sample, task.text)
        pairs = splice_spans(windows, task.sample.predicted, task.seed)
    else:
        raise in_words_only("a judge that writes")
    one_sided = bool((task.sample.true >= 0).all())
    signals = [*activations_on(pairs.texts), *activations_on(pairs.controls)]
    strengths = [_strength(np.asarray(s, dtype=np.float64), one_sided) for s in signals]
    numbers = np.arange(len(strengths))
    examples = LabelledExamples(
        numbers < len(pairs.texts), numbers, task.sample.resampling.interval
    )
    return auroc_score("generative", task, np.array(strengths), examples)


def _strength(signal: Float[np.ndarray, " tokens"], one_sided: bool) -> float:
    return float((signal if one_sided else np.abs(signal)).max(initial=0.0))


def write_passages(chat: Chat, description: str, count: int = TEXTS) -> list[str]:
    """Passages by a judge.

    Raises:
        JudgeError: they could not be read, twice.
    """
    prompt = load("generative")
    filled = prompt.fill(explanation=description, count=count)
    reminder = f"\nExactly {count} different passages, one a line."
    for user in (filled.user, filled.user + reminder):
        # a passage of about 40 words is 60 tokens
        request = ChatRequest(filled.system, user, 60 * count, f"{prompt.label}#{prompt.sha256}")
        answer = without_reasoning(chat.ask(request))
        passages = read_passages(answer.text, count) if answer.complete else None
        if passages:
            return passages
    raise JudgeError(
        f"generative: no {count} different passages could be read from the writer's answer, twice"
    )


def read_passages(text: str, count: int) -> list[str] | None:
    """The numbered passages; None if one is missing or too long, or if most are the same."""
    matches = [match for line in text.splitlines() if (match := LINE.match(line))]
    passages = [match[2].strip() for match in matches]
    lengths = [len(re.findall(r"\w+", passage)) for passage in passages]
    is_sane = all(FEWEST_WORDS <= length <= MOST_WORDS for length in lengths)
    if [int(match[1]) for match in matches] != list(range(1, count + 1)) or not is_sane:
        return None
    return passages if 2 * len(set(passages)) > count else None


def splice_spans(
    windows: Windows, predicted: Float[np.ndarray, "contexts seq"], seed: int
) -> TextsWithControls:
    """Carriers with a span that the predicate predicts to fire; the controls have a random span."""
    rng = np.random.default_rng([seed, 3])
    carriers = quiet_windows(windows)
    if len(carriers) < 2 or windows.true.threshold <= 0:
        raise Unscorable("there are no quiet windows to put words into")
    carriers = rng.permutation(carriers)[:TEXTS]
    # 1. positions where a whole span ends, [positions, (context, end)]
    size = windows.activity_of(predicted).size
    usable = np.argwhere(np.isfinite(size) & (np.arange(size.shape[1]) >= SPAN))
    # 2. the strongest of them; the tiny noise puts ties in random order
    order = np.argsort(-size[tuple(usable.T)] - 1e-9 * rng.random(len(usable)), kind="stable")
    strong = usable[order[: len(carriers)]]
    random = usable[rng.integers(0, len(usable), len(carriers))]
    # 3. a constant prediction names no position: its texts are the controls, and it scores 0.5
    if np.ptp(size[np.isfinite(size)]) == 0.0:
        strong = random
    return TextsWithControls(
        [_splice(windows, int(w), *end) for w, end in zip(carriers, strong, strict=True)],
        [_splice(windows, int(w), *end) for w, end in zip(carriers, random, strict=True)],
    )


def _splice(windows: Windows, window: int, context: int, end: int) -> str:
    """A window's text with the span that ends at a position put into its middle."""
    span = windows.token_text.tokens_of(int(context), int(end) - SPAN + 1, int(end) + 1)
    carrier = windows.token_strings(window)
    middle = len(carrier) // 2
    return join_tokens([*carrier[:middle], *span, *carrier[middle + SPAN :]])

"""Generative: text newly made from the explanation must fire the unit more than matched controls.

Kopf et al. 2025, PRISM (arXiv 2506.15538); Gur-Arieh et al. 2025 (arXiv 2501.08319), the
input-based test.

With a judge as the writer:
1. It writes 20 passages that contain what the explanation says (`prompts/generative.md`).
2. Controls: 20 passages that the same writer gives for a description that says nothing. A writer
   that always writes the same therefore scores exactly 0.5, and its habits of style are in both.
With a predicate:
1. 20 quiet windows are the carriers. Into each, four tokens are put that end where the predicate
   predicts most somewhere else in the split (each from another place).
2. Control: the same carrier with four tokens from a place drawn at random, at the same position.

The subject reads them all (`resources.activations_on`). Strength of a text: its largest activation (largest
absolute value for a target with both sides). Score: AUROC of the strengths, written against
controls, chance 0.5; intervals resample texts.

Cost with a judge: 2 calls, about 200 prompt tokens each and 800 of answer; and 40 short forward
passes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ...prompts import load
from ..judge.ask import LINE
from ..judge.protocol import Chat, ChatRequest, JudgeError, Unscorable
from ..score import Floors, Score
from .classification import LabelledExamples, auroc
from .decisions import one_line
from .registry import ScoringTask, scorer
from .resources import ActivationsOnTexts, unscorable_without
from .windows import Windows, cut_windows, quiet_windows

TEXTS = 20
SPAN = 4
NEUTRAL = "Ordinary written English of any kind, about anything."
FEWEST_WORDS, MOST_WORDS = 3, 120


@scorer("generative")
def generative(task: ScoringTask) -> list[Score]:
    """AUROC of the activation on written texts against controls."""
    fire = task.resources.activations_on
    if fire is None:
        raise unscorable_without("the subject, to read new text")
    one_sided = bool((task.sample.true >= 0).all())
    if task.chat is not None:
        texts, controls = (
            write_passages(task.chat, task.explanation),
            write_passages(task.chat, NEUTRAL),
        )
    elif task.predicts:
        texts, controls = splice_spans(
            cut_windows(task.sample, task.text), task.sample.predicted, task.seed
        )
    else:
        raise Unscorable("an explanation in words only: needs a judge that writes")
    grade = np.concatenate(
        [_strengths(fire, texts, one_sided), _strengths(fire, controls, one_sided)]
    )
    items = LabelledExamples(np.arange(len(grade)) < len(texts), np.arange(len(grade)))
    found = auroc(grade, items, task.seed)
    return [
        Score("generative", task.split, "top_and_random", *found, Floors(chance=0.5, shuffled=0.5))
    ]


def _strengths(fire: ActivationsOnTexts, texts: Sequence[str], one_sided: bool) -> np.ndarray:
    signals = [np.asarray(signal, dtype=np.float64) for signal in fire(texts)]
    return np.array(
        [(signal if one_sided else np.abs(signal)).max(initial=0.0) for signal in signals]
    )


def write_passages(chat: Chat, description: str, count: int = TEXTS) -> list[str]:
    """Passages by a judge; JudgeError when they cannot be read twice."""
    if not description.strip():
        raise Unscorable("there is no explanation in words")
    prompt = load("generative")
    filled = prompt.fill(explanation=one_line(description), count=count)
    for attempt in range(2):
        user = (
            filled.user
            if not attempt
            else f"{filled.user}\nExactly {count} different passages, one a line."
        )
        request = ChatRequest(filled.system, user, 60 * count, f"{prompt.label}#{prompt.sha256}")
        answer = chat.ask(request)
        found = read_passages(answer.text, count) if answer.complete else None
        if found:
            return found
    raise JudgeError(
        f"generative: no {count} different passages could be read from the writer's answer, twice"
    )


def read_passages(text: str, count: int) -> list[str] | None:
    """The numbered passages; None unless each is there once, of a sane length, and most of them differ."""
    found = [match for line in text.splitlines() if (match := LINE.match(line))]
    passages = [match[2].strip() for match in found]
    sane = all(FEWEST_WORDS <= len(re.findall(r"\w+", p)) <= MOST_WORDS for p in passages)
    if [int(match[1]) for match in found] != list(range(1, count + 1)) or not sane:
        return None
    return passages if 2 * len(set(passages)) > count else None


def splice_spans(windows: Windows, predicted: np.ndarray, seed: int) -> tuple[list[str], list[str]]:
    """Carriers with a span that the predicate says fires, and the same carriers with a span drawn at random."""
    rng = np.random.default_rng([seed, 3])
    carriers = quiet_windows(windows)
    if len(carriers) < 2 or windows.true.threshold <= 0:
        raise Unscorable("there are no quiet windows to put words into")
    carriers = rng.permutation(carriers)[:TEXTS]
    size = windows.activity_of(predicted).size
    usable = np.argwhere(np.isfinite(size) & (np.arange(size.shape[1]) >= SPAN))
    order = np.argsort(-size[tuple(usable.T)] - 1e-9 * rng.random(len(usable)), kind="stable")
    strong, random = (
        usable[order[: len(carriers)]],
        usable[rng.integers(0, len(usable), len(carriers))],
    )
    constant = np.ptp(size[np.isfinite(size)]) == 0.0
    pairs = [
        (_put(windows, int(w), tuple(r if constant else s)), _put(windows, int(w), tuple(r)))
        for w, s, r in zip(carriers, strong, random, strict=True)
    ]
    return [text for text, _ in pairs], [control for _, control in pairs]


def _put(windows: Windows, window: int, place: tuple[int, int]) -> str:
    """A window's text with the span that ends at a place put into its middle."""
    context, end = int(place[0]), int(place[1])
    span = windows.token_text.tokens_of(context, end - SPAN + 1, end + 1)
    shown = windows.token_strings(window)
    middle = len(shown) // 2
    return "".join([*shown[:middle], *span, *shown[middle + SPAN :]])

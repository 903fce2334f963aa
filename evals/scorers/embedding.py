"""Embedding: is the explanation nearer to the active windows than to the quiet ones?

Paulo, Mallen, Juang & Belrose 2024 (arXiv 2410.13928): cosine of the embedded explanation and the
embedded window; score: AUROC of active against quiet windows, chance 0.5.

Any embedding will do (`resources.embed`). Without one, words are counted: a bag of words weighted by how
few windows have them. Such a score sees only words that stand both in the explanation and in the
text; an explanation by category ("days of the week") needs a real embedding. An explanation whose
embedding is all zeros scores exactly 0.5.

Cost: no calls.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import log

import numpy as np
from jaxtyping import Float

from ..judge.protocol import Unscorable
from ..score import Floors, Score
from .classification import LabelledExamples, auroc
from .registry import ScoringTask, scorer
from .windows import choose_windows, cut_windows

_WORD = re.compile(r"\w+|[^\w\s]")


@scorer("embedding")
def embedding(task: ScoringTask) -> list[Score]:
    """AUROC of the cosine between explanation and window."""
    if not task.explanation.strip():
        raise Unscorable("there is no explanation in words")
    windows = cut_windows(task.sample, task.text)
    chosen = choose_windows(windows, task.seed)
    shown = ["".join(windows.token_strings(int(w))) for w in chosen.window]
    rows = (task.resources.embed or bag_of_words)([task.explanation, *shown])
    items = LabelledExamples(chosen.label, windows.document[chosen.window])
    found = auroc(cosine(rows[1:], rows[0]), items, task.seed)
    return [
        Score("embedding", task.split, "top_and_random", *found, Floors(chance=0.5, shuffled=0.5))
    ]


def cosine(
    rows: Float[np.ndarray, "texts d"], one: Float[np.ndarray, " d"]
) -> Float[np.ndarray, " texts"]:
    """Cosine of each row with one vector; 0 where either is all zeros."""
    rows, one = np.asarray(rows, dtype=np.float64), np.asarray(one, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1) * np.linalg.norm(one)
    return np.where(length > 0, rows @ one / np.where(length > 0, length, 1.0), 0.0)


def bag_of_words(texts: Sequence[str]) -> Float[np.ndarray, "texts words"]:
    """One column a word, by how few of the texts have it; the first text brings no words of its own."""
    split = [_WORD.findall(text.lower()) for text in texts]
    known = {
        word: i for i, word in enumerate(dict.fromkeys(w for words in split[1:] for w in words))
    }
    rows = np.zeros((len(texts), max(len(known), 1)))
    for row, words in zip(rows, split, strict=True):
        for word in words:
            if word in known:
                row[known[word]] += 1
    spread = (rows[1:] > 0).sum(axis=0)
    return rows * np.array([log((len(texts) + 1) / (n + 1)) for n in spread])

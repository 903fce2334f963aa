"""Embedding: is the explanation nearer to the active windows than to the quiet ones?

Paulo, Mallen, Juang & Belrose 2024 (arXiv 2410.13928): cosine of the embedded explanation and the
embedded window; score: AUROC of active against quiet windows, chance 0.5.

Any embedding will do (`resources.embed`). The default is a bag of words weighted by how few windows
have them. It sees only words that occur both in the explanation and in the text; an explanation by
category ("days of the week") needs a real embedding. An explanation whose embedding is all zeros
scores exactly 0.5.

Cost: no calls.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from math import log

import numpy as np
from jaxtyping import Float

from ...tools.subject.token_text import join_tokens
from ..score import Score
from .decisions import auroc_score
from .registry import ScoringTask, scorer
from .windows import choose_windows, cut_windows

_WORD = re.compile(r"\w+|[^\w\s]")


@scorer("embedding")
def embedding(task: ScoringTask) -> list[Score]:
    """AUROC of the cosine between explanation and window."""
    task.require_sentence()
    windows = cut_windows(task.sample, task.text)
    chosen = choose_windows(windows, task.seed)
    texts = [join_tokens(windows.token_strings(int(w))) for w in chosen.window]
    rows = (task.resources.embed or bag_of_words)([task.explanation, *texts])
    return auroc_score("embedding", task, cosine(rows[1:], rows[0]), windows.labelled(chosen))


def cosine(
    rows: Float[np.ndarray, "texts d"], vector: Float[np.ndarray, " d"]
) -> Float[np.ndarray, " texts"]:
    """Cosine of each row with one vector; 0 where either is all zeros."""
    rows, vector = np.asarray(rows, dtype=np.float64), np.asarray(vector, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1) * np.linalg.norm(vector)
    return np.where(length > 0, rows @ vector / np.where(length > 0, length, 1.0), 0.0)


def bag_of_words(texts: Sequence[str]) -> Float[np.ndarray, "texts words"]:
    """Counts of the words of all texts but the first, weighted by their rarity in these."""
    counts = [Counter(_WORD.findall(text.lower())) for text in texts]
    vocabulary = list(dict.fromkeys(word for count in counts[1:] for word in count))
    rows = np.zeros((len(texts), max(len(vocabulary), 1)))
    for row, count in zip(rows, counts, strict=True):
        row[: len(vocabulary)] = [count[word] for word in vocabulary]
    document_frequency = (rows[1:] > 0).sum(axis=0)
    return rows * np.array([log((len(texts) + 1) / (n + 1)) for n in document_frequency])

"""Where a head attends, in five numbers for each text.

For the queries of a text from position 1 on (of an encoder's, all but its first and last token):

    entropy    of the attention, in nats; log of the number of keys where it is uniform
    spread     entropy over that logarithm: 1 is uniform, 0 is a single key
    distance   mean distance to the key, in tokens
    sink       attention to the first token, of an encoder also to the last: where idle heads attend
    previous   attention to the token before; that token is never the first one

each a mean over queries. With them what uniform attention would give (`uniform_summaries`) and what
another earlier token than the one before gets on average (`earlier`).

Clark et al. 2019 ("What does BERT look at?", arXiv 1906.04341) use entropy, offsets and [SEP];
Xiao et al. 2023 (arXiv 2309.17453) call attention to the first token a sink.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from ..errors import UsageError

if TYPE_CHECKING:
    from ..subject import Subject

MEASURES = ("entropy", "spread", "distance", "sink", "previous", "earlier")
LEAST_TOKENS = 4
"""Of a text, so that some query has a token before it that is not the first, and another one."""
AT_ONCE = 1 << 25
"""Weights of attention that are kept at a time: 128 MB."""


def summarise(
    patterns: Float[np.ndarray, "*rows query key"], *, bidirectional: bool
) -> dict[str, Float[np.ndarray, "*rows"]]:
    """The summaries of attention patterns without padding; each row of a pattern sums to 1.

    Raises:
        UsageError: a text has fewer tokens than the summaries need.
    """
    n = patterns.shape[-1]
    if n < LEAST_TOKENS:
        raise UsageError(
            f"a text of {n} tokens given; attention is summarised over {LEAST_TOKENS} or more"
        )
    position = np.arange(n)
    last = n - 1 if bidirectional else n
    queries = slice(1, last)
    rows = patterns[..., queries, :]
    visible = np.full(n, n) if bidirectional else position + 1
    safe = np.where(rows > 0, rows, 1)  # 0 log 0 is 0
    entropy = -(rows * np.log(safe)).sum(-1)
    distance = np.abs(position[queries, None] - position[None])
    sink = rows[..., 0] + (rows[..., n - 1] if bidirectional else 0)
    # From the third token on there is a token before that is not the first, and an earlier one.
    before = np.stack([patterns[..., q, q - 1] for q in range(3, last)], -1)
    others = np.stack([patterns[..., q, 1 : q - 1].mean(-1) for q in range(3, last)], -1)
    return {
        "entropy": entropy.mean(-1),
        "spread": (entropy / np.log(visible[queries])).mean(-1),
        "distance": (rows * distance).sum(-1).mean(-1),
        "sink": sink.mean(-1),
        "previous": before.mean(-1),
        "earlier": others.mean(-1),
    }


def uniform_pattern(n: int, *, bidirectional: bool) -> Float[np.ndarray, "query key"]:
    """Equal attention to all keys that a query sees."""
    visible = np.ones((n, n)) if bidirectional else np.tril(np.ones((n, n)))
    return visible / visible.sum(1, keepdims=True)


def uniform_summaries(n: int, *, bidirectional: bool) -> dict[str, float]:
    """The summaries of uniform attention over a text of n tokens."""
    pattern = uniform_pattern(n, bidirectional=bidirectional)
    summaries = summarise(pattern, bidirectional=bidirectional)
    return {name: float(value) for name, value in summaries.items()}


def head_summaries(
    subject: Subject, texts: Sequence[Sequence[int]]
) -> Iterator[dict[str, Float[np.ndarray, "text layer head"]]]:
    """The summaries of every head on texts of one length, given as token ids; a few texts at a time."""
    import torch

    from ..subject.attention import attention_patterns

    n_tokens = len(texts[0])
    weights = subject.shape.n_layers * subject.shape.n_heads * n_tokens**2
    size = max(1, AT_ONCE // weights)
    for start in range(0, len(texts), size):
        ids = torch.tensor(texts[start : start + size])
        patterns = attention_patterns(subject, ids).double().cpu().numpy()
        # layer text head query key -> text layer head query key
        yield summarise(patterns.swapaxes(0, 1), bidirectional=subject.bidirectional)


def first_tokens(subject: Subject, text: str, n: int) -> list[int]:
    """The first n tokens of a text; of an encoder's, the last of them is its separator."""
    ids = subject.tokenize(text).ids
    return ids[:n] if not subject.bidirectional or len(ids) <= n else [*ids[: n - 1], ids[-1]]

"""The worst errors of a prediction on explore and select, as an explainer sees them.

The scale of a prediction is free, because its score is a correlation. It is therefore first mapped
to the truth by the least-squares line. All values are the unit's own activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...tools.subject.token_text import join_tokens

if TYPE_CHECKING:
    from jaxtyping import Float

    from ..explainers.protocol import TargetData
    from ..runlog.log import Data

FEWEST = 3
"""Occurrences that a token needs before it is called missed repeatedly."""
LEFT, RIGHT = 12, 4
"""Tokens of context that are shown before and after an error."""


def rescale_to_truth(
    data: TargetData, predicted: Float[np.ndarray, "contexts seq"]
) -> Float[np.ndarray, "contexts seq"]:
    """The prediction on the scale of the truth; the truth's mean if the prediction is constant."""
    true, guess = (values[data.mask].astype(np.float64) for values in (data.signal, predicted))
    varies = float(((guess - guess.mean()) ** 2).sum())
    slope = float(((guess - guess.mean()) * (true - true.mean())).sum()) / varies if varies else 0.0
    return true.mean() + slope * (predicted.astype(np.float64) - guess.mean())


def worst_passages(
    data: TargetData, predicted: Float[np.ndarray, "contexts seq"], n: int = 5
) -> list[Data]:
    """The largest errors, at most one per context and per token, worst first."""
    rescaled = rescale_to_truth(data, predicted)
    error = np.where(data.mask, np.abs(data.signal - rescaled), 0.0)
    passages: dict[int, Data] = {}
    for context in np.argsort(-error.max(axis=1), kind="stable"):
        position = int(error[context].argmax())
        token = int(data.tokens[context, position])
        passages.setdefault(token, _passage(data, rescaled, int(context), position))
        if len(passages) == n:
            break
    return list(passages.values())


def _passage(
    data: TargetData, rescaled: Float[np.ndarray, "contexts seq"], context: int, position: int
) -> Data:
    """A token with the text around it, and its true and predicted activation."""
    strings, tokens = data.lexicon.strings, data.tokens[context]
    end = min(int(data.length[context]), position + RIGHT + 1)
    window = tokens[max(0, position - LEFT) : end]
    return {
        "text": join_tokens(strings[int(token)] for token in window),
        "token": strings[int(tokens[position])],
        "true": float(f"{data.signal[context, position]:.3g}"),
        "predicted": float(f"{rescaled[context, position]:.3g}"),
    }


def missed_tokens(
    data: TargetData, predicted: Float[np.ndarray, "contexts seq"], n: int = 6
) -> list[Data]:
    """Tokens with the largest repeated error: `{token, count, missing}`, `missing` being its mean.

    They are ordered by what a weight of their own would take off the squared error, count * mean^2.
    """
    tokens = data.tokens[data.mask]
    residual = (data.signal - rescale_to_truth(data, predicted))[data.mask]
    count = np.bincount(tokens)
    total = np.bincount(tokens, residual)
    gain = np.where(count >= FEWEST, total**2 / np.maximum(count, 1), 0.0)
    best = np.argsort(-gain, kind="stable")[:n]
    strings = data.lexicon.strings
    return [
        {
            "token": strings[int(token)],
            "count": int(count[token]),
            "missing": float(f"{total[token] / count[token]:.3g}"),
        }
        for token in best
        if gain[token] > 0
    ]

"""Where prediction and truth differ: what an explainer is shown of its mistakes, on explore and
select.

A prediction's scale is free (a score is a correlation), so it is held against the truth by the line
through both that leaves the smallest squared error. All values are the unit's own activations.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ..explainers.protocol import ExploreData
    from ..runlog.log import Data

FEWEST = 3
"""Occurrences of a token that is called missed again and again."""


def fitted(
    data: ExploreData, predicted: Float[np.ndarray, "contexts seq"]
) -> Float[np.ndarray, "contexts seq"]:
    """The prediction on the scale of the truth; the truth's mean where a prediction does not vary."""
    import numpy as np

    true, guess = (values[data.mask].astype(np.float64) for values in (data.signal, predicted))
    varies = float(((guess - guess.mean()) ** 2).sum())
    slope = float(((guess - guess.mean()) * (true - true.mean())).sum()) / varies if varies else 0.0
    return true.mean() + slope * (predicted.astype(np.float64) - guess.mean())


def worst_misses(
    data: ExploreData, predicted: Float[np.ndarray, "contexts seq"], n: int = 5
) -> list[Data]:
    """The largest misses, one a context and one a token, worst first."""
    import numpy as np

    guess = fitted(data, predicted)
    miss = np.where(data.mask, np.abs(data.signal - guess), 0.0)
    found: dict[int, Data] = {}
    for c in np.argsort(-miss.max(axis=1), kind="stable"):
        at = int(miss[c].argmax())
        found.setdefault(int(data.tokens[c, at]), _miss(data, guess, int(c), at))
        if len(found) == n:
            break
    return list(found.values())


def _miss(
    data: ExploreData, guess: Float[np.ndarray, "contexts seq"], context: int, at: int
) -> Data:
    strings = data.lexicon.strings
    window = range(max(0, at - 12), min(int(data.length[context]), at + 5))
    return {
        "text": "".join(strings[int(data.tokens[context, i])] for i in window),
        "token": strings[int(data.tokens[context, at])],
        "true": float(f"{data.signal[context, at]:.3g}"),
        "predicted": float(f"{guess[context, at]:.3g}"),
    }


def missed_tokens(
    data: ExploreData, predicted: Float[np.ndarray, "contexts seq"], n: int = 6
) -> list[Data]:
    """Tokens whose own weight would take most off the squared error, with what is missing there on average."""
    import numpy as np

    tokens = data.tokens[data.mask]
    residual = (data.signal - fitted(data, predicted))[data.mask]
    count = np.bincount(tokens)
    total = np.bincount(tokens, residual)
    gain = np.where(count >= FEWEST, total**2 / np.maximum(count, 1), 0.0)
    best = np.argsort(-gain, kind="stable")[:n]
    strings = data.lexicon.strings
    return [
        {
            "token": strings[int(t)],
            "count": int(count[t]),
            "missing": float(f"{total[t] / count[t]:.3g}"),
        }
        for t in best
        if gain[t] > 0
    ]

"""Where prediction and truth differ most: what an explainer is shown of its mistakes, on explore and select."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

    from .case import Explore
    from .log import Data


def worst_misses(data: Explore, predicted: np.ndarray, n: int = 5) -> list[Data]:
    """Where a standardised prediction and the standardised truth differ most, one a context, worst first."""
    import numpy as np

    def standard(values: np.ndarray) -> np.ndarray:
        inside = values[data.mask]
        return np.where(data.mask, (values - inside.mean()) / (inside.std() or 1.0), 0.0)

    true, guess = standard(data.signal.astype(np.float64)), standard(predicted.astype(np.float64))
    miss = np.abs(true - guess)
    contexts = np.argsort(-miss.max(axis=1), kind="stable")[:n]
    strings = data.lexicon.strings
    found = []
    for c in contexts:
        at = int(miss[c].argmax())
        window = range(max(0, at - 12), min(int(data.length[c]), at + 5))
        found.append(
            {
                "text": "".join(strings[int(data.tokens[c, i])] for i in window),
                "token": strings[int(data.tokens[c, at])],
                "true": round(float(true[c, at]), 3),
                "predicted": round(float(guess[c, at]), 3),
            }
        )
    return found

"""Where in depth a property becomes readable, from how well each layer is read.

1. c_l is the accuracy of a probe of layer l less its control's. M_l, what can be read by then, is the
   function of depth nearest to c that never falls (isotonic regression), and not below 0. The running
   maximum would add up the noise of all layers before.
2. Each layer adds M_l - M_(l-1). The centre of gravity is the mean depth of what is added,
   sum(l (M_l - M_(l-1))) / M_last. A property that is there in the embeddings has 0.
3. The intervals draw groups of texts with replacement: all layers of a draw are read on the same texts.

Tenney, Das & Pavlick, "BERT Rediscovers the Classical NLP Pipeline" (ACL 2019), for the expected layer
of cumulative scores.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

RESAMPLES = 1000


class DepthDraws(NamedTuple):
    """What the layers read, over all texts first and then in each draw of groups.

    Attributes:
        gain: accuracy less the control's, of each layer.
    """

    gain: Float[np.ndarray, "draw layer"]

    @property
    def centre(self) -> Float[np.ndarray, " draw"]:
        """The centre of gravity; the middle of the depth where nothing is read."""
        return centre_of_gravity(self.gain)


def depth_draws(
    correct: Bool[np.ndarray, "layer text"],
    control: Float[np.ndarray, "layer text"],
    group: Int[np.ndarray, " text"],
    seed: int = 0,
) -> DepthDraws:
    """Gains over all texts and over draws of groups."""
    _, place = np.unique(group, return_inverse=True)
    n_groups = int(place.max()) + 1
    sums = np.zeros((n_groups, len(correct) + 1))
    np.add.at(sums, place, np.c_[(correct - control).T, np.ones(len(place))])
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n_groups, np.full(n_groups, 1 / n_groups), size=RESAMPLES)
    totals = np.concatenate([sums.sum(axis=0)[None], counts @ sums])
    return DepthDraws(totals[:, :-1] / totals[:, -1:])


def centre_of_gravity(gain: Float[np.ndarray, "*draw layer"]) -> Float[np.ndarray, "*draw"]:
    """Mean depth of what each layer adds to what could be read before."""
    from scipy.optimize import isotonic_regression

    rows = gain.reshape(-1, gain.shape[-1])
    rising = np.stack([isotonic_regression(row).x for row in rows]).reshape(gain.shape)
    readable = np.maximum(rising, 0)
    added = np.diff(readable, axis=-1, prepend=0)
    total = readable[..., -1]
    depth = added @ np.arange(gain.shape[-1])
    middle = (gain.shape[-1] - 1) / 2
    return np.where(total > 0, depth / np.where(total > 0, total, 1), middle)

"""Debiased CKA of every two of 31 layers, compared with a loop over pairs of layers."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from .ratios import REPEATS, SpeedComparison, seconds

LAYERS, TEXTS, WIDTH = 31, 2000, 576
"""The stream of SmolLM2-135M, with its embeddings."""
TOLERANCE = 1e-4
"""Of CKA: ours multiplies in float32."""


def similarity_speed(
    layers: int = LAYERS, texts: int = TEXTS, width: int = WIDTH
) -> SpeedComparison:
    """Ours the fastest of three times, and the loop once, since it takes long.

    Raises:
        AssertionError: the results differ.
    """
    from ...tools.representation.cka import cka

    rng = np.random.default_rng(0)
    shared = rng.standard_normal((texts, 50), dtype=np.float32)
    vectors = [
        shared @ rng.standard_normal((50, width), dtype=np.float32)
        + 5 * rng.standard_normal((texts, width), dtype=np.float32)
        for _ in range(layers)
    ]
    found: dict[str, np.ndarray] = {}
    ours = min(seconds(lambda: found.update(ours=cka(vectors).values)) for _ in range(REPEATS))
    naive = seconds(lambda: found.update(naive=pairwise_cka(vectors)))
    np.testing.assert_allclose(found["ours"], found["naive"], atol=TOLERANCE)
    name = f"debiased CKA of {layers} x {layers} layers, {texts:,} texts, with intervals"
    return SpeedComparison(name, ours, naive, naive / ours, "a loop over pairs, without intervals")


def pairwise_cka(
    vectors: list[Float[np.ndarray, "text width"]],
) -> Float[np.ndarray, "layer layer"]:
    """One pair of layers after the other, in float64."""
    scaled = [(x - x.mean(axis=0)) / x.std(axis=0) for x in (v.astype(np.float64) for v in vectors)]
    squares = [(x**2).sum(axis=1) for x in scaled]
    n = len(scaled[0])

    def hsic(first: int, second: int) -> float:
        k, m = squares[first], squares[second]
        products = ((scaled[first].T @ scaled[second]) ** 2).sum() - k @ m
        # Centred vectors add up to 0, so that a row of K adds up to minus its diagonal.
        correction = k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 * (k @ m) / (n - 2)
        return float(products + correction) / (n * (n - 3))

    own = [hsic(layer, layer) for layer in range(len(scaled))]
    values = np.eye(len(scaled))
    for first in range(len(scaled)):
        for second in range(first + 1, len(scaled)):
            value = hsic(first, second) / np.sqrt(own[first] * own[second])
            values[first, second] = values[second, first] = value
    return values

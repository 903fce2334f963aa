"""Probes of 31 places with their control, compared with a loop of scikit-learn in float64."""

from __future__ import annotations

import numpy as np

from .ratios import REPEATS, SpeedComparison, seconds

PLACES, TEXTS, WIDTH = 31, 2000, 576
"""The stream of SmolLM2-135M, with its embeddings."""
TOLERANCE = 0.02
"""Of accuracy: a text near the border may fall on either side in float32."""


def probing_speed(places: int = PLACES, texts: int = TEXTS, width: int = WIDTH) -> SpeedComparison:
    """Ours the fastest of three times, and the loop once.

    Raises:
        AssertionError: the accuracies differ.
    """
    from ...tools.representation.probe import probe_places

    rng = np.random.default_rng(0)
    classes, control = np.arange(texts) % 2, rng.integers(0, 2, texts)
    vectors = rng.standard_normal((places, texts, width), dtype=np.float32)
    vectors[:, :, :20] += 0.5 * classes[:, None].astype(np.float32)
    train, test = np.arange(texts // 2), np.arange(texts // 2, texts)
    found: dict[str, list[float]] = {}

    def ours() -> None:
        results = probe_places(vectors, classes, control, train)
        found["ours"] = [float(result.correct[test].mean()) for result in results]

    def naive() -> None:
        found["naive"] = [_plain(place, classes, control, train, test) for place in vectors]

    ours_s, naive_s = min(seconds(ours) for _ in range(REPEATS)), seconds(naive)
    np.testing.assert_allclose(found["ours"], found["naive"], atol=TOLERANCE)
    name = f"probes of {places} places with control, {texts:,} texts"
    return SpeedComparison(name, ours_s, naive_s, naive_s / ours_s, "a loop of scikit-learn")


def _plain(
    place: np.ndarray,
    classes: np.ndarray,
    control: np.ndarray,
    train: np.ndarray,
    test: np.ndarray,
) -> float:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    x = place.astype(np.float64)
    scaled = StandardScaler().fit(x[train]).transform(x)
    control_probe = LogisticRegression(max_iter=1000).fit(scaled[train], control[train])
    control_probe.predict(scaled[test])
    probe = LogisticRegression(max_iter=1000).fit(scaled[train], classes[train])
    return float((probe.predict(scaled[test]) == classes[test]).mean())

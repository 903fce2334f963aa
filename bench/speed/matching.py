"""`units.matching` from the store, compared with a pass over explore that correlates every unit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from .ratios import SpeedComparison, seconds
from .tool import DAYS

if TYPE_CHECKING:
    from ...tools.index import Index
    from ...tools.subject import Subject
    from .speed_bench import SpeedBench

K = 8
BATCH = 32
"""Contexts of a forward pass of the naive way."""
TOLERANCE = 2e-3
"""Of r. The vectors of a store are rounded, and the index holds means and deviations in float32."""


def matching_speed(bench: SpeedBench) -> Iterator[SpeedComparison]:
    """Both ways once, since the naive one takes minutes.

    Raises:
        AssertionError: they do not find the same correlations.
    """
    from ...tools.index import Index
    from ...tools.instruments import InstrumentContext, call

    subject, index = bench.subject, Index.open(bench.index)
    best: dict[str, list[float]] = {}

    def ours() -> None:
        arguments = {"words": list(DAYS), "k": K}
        result = call("units.matching", arguments, InstrumentContext(subject, index)).to_json()
        best["ours"] = [unit["r"] for unit in result["by_r"]]

    def naive() -> None:
        best["naive"] = _largest_correlations(subject, index)[:K]

    bench.reporter.say("units.matching, from the store")
    taken = seconds(ours)
    bench.reporter.say("the same by a pass over explore")
    naively = seconds(naive)
    np.testing.assert_allclose(best["ours"], best["naive"], atol=TOLERANCE)
    name = f"r of all units with {len(DAYS)} words"
    yield SpeedComparison(name, taken, naively, naively / taken, "a pass over explore, all units")


def _largest_correlations(subject: Subject, index: Index) -> list[float]:
    """|r| of every unit with the words (r of a head), the largest first."""
    import torch

    contexts, words = index.contexts("explore"), {day.lower() for day in DAYS}
    is_word = np.array([string.strip().lower() in words for string in index.vocabulary])
    sums = {site: np.zeros((3, index.shape.count(site))) for site in index.sites}
    of_y = np.zeros(2)  # n, y (which is y² as well)
    for start in range(0, len(contexts), BATCH):
        part = slice(start, start + BATCH)
        tokens, mask = contexts.tokens[part], contexts.mask[part]
        y = is_word[tokens[mask]].astype(np.float64)
        of_y += len(y), y.sum()
        captured = subject.capture(torch.from_numpy(tokens.astype(np.int64)), index.sites)
        for site, values in captured.activations.items():
            x = values.float().cpu().numpy()[mask]
            sums[site] += x.sum(axis=0), (x**2).sum(axis=0), y @ x
    n, total = of_y
    correlations: list[float] = []
    for site, (x, xx, xy) in sums.items():
        spread = np.sqrt(np.maximum(n * xx - x**2, 1e-300) * (n * total - total**2))
        r = (n * xy - x * total) / spread
        correlations += (r if site.kind == "head" else np.abs(r)).tolist()
    return sorted(correlations, reverse=True)

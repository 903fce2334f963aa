"""Speed as ratios: each thing beside the naive way, in one process, in CPU seconds of one thread.

Wall time on a shared machine says little and CPU time says more; a ratio taken in one process says
most. Each way runs `REPEATS` times in turn and the fastest counts. What the two ways give is
compared first: a fast wrong answer is none.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ..evals.statistics.bootstrap import bootstrap_r, resample_counts
from ..evals.statistics.correlation import pearson
from ..evals.statistics.permutation import permutations, permuted_r
from ..evals.statistics.sample import Sample

if TYPE_CHECKING:
    from ..tools.subject import Subject

REPEATS = 3
INDEX_TOKENS = 16_384


class SpeedComparison(NamedTuple):
    """One thing done in two ways; seconds are CPU seconds, `ratio` is theirs over ours."""

    name: str
    ours: float
    naive: float
    ratio: float
    naive_way: str


def compare(
    name: str, ours: Callable[[], Any], naive: Callable[[], Any], naive_way: str, atol: float = 1e-5
) -> SpeedComparison:
    """Time both ways in turn.

    Raises:
        AssertionError: they do not give the same.
    """
    np.testing.assert_allclose(ours(), naive(), rtol=1e-4, atol=atol)
    taken = [(seconds(ours), seconds(naive)) for _ in range(REPEATS)]
    best = min(t[0] for t in taken), min(t[1] for t in taken)
    return SpeedComparison(name, *best, best[1] / best[0], naive_way)


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds that some work takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def statistics_speed(contexts: int = 470, draws: int = 1999) -> list[SpeedComparison]:
    """Permutation draws and bootstrap resamples against loops that correlate whole arrays."""
    rng = np.random.default_rng(0)
    mask = np.ones((contexts, 64), dtype=bool)
    document = np.repeat(np.arange(contexts // 4 + 1), 4)[:contexts]
    true = rng.standard_normal(mask.shape)
    sample = Sample(true + rng.standard_normal(mask.shape), true, mask, document)

    def permuting() -> np.ndarray:
        return np.array(
            [
                np.corrcoef(sample.predicted[o].ravel(), true.ravel())[0, 1]
                for o in permutations(contexts, 0, draws)
            ]
        )

    def resampling() -> list[float]:
        counts = resample_counts(document.max() + 1, 0)
        picks = [
            np.repeat(np.arange(contexts), np.asarray(row)[document].astype(int)) for row in counts
        ]
        values = [pearson(sample.take(pick)) for pick in picks]
        return [float(v) for v in np.quantile(values, [0.025, 0.975])]

    return [
        compare(
            f"{draws:,} permutations of {contexts} contexts",
            lambda: permuted_r(sample, 0, draws),
            permuting,
            "a correlation a draw",
        ),
        compare(
            "2,000 resamples of documents",
            lambda: list(bootstrap_r(sample, 0))[1:],
            resampling,
            "a correlation a resample",
        ),
    ]


def early_stop_speed(subject: Subject) -> SpeedComparison:
    """One early layer's neurons with the pass stopped there, against a whole forward pass with a hook."""
    import torch

    from ..tools.subject.address import Site

    site = Site("mlp", 1)
    ids = torch.randint(0, 1000, (8, 64), generator=torch.Generator().manual_seed(0)).to(
        subject.device
    )

    def ours() -> np.ndarray:
        return subject.capture(ids, [site]).activations[site].float().cpu().numpy()

    def naive() -> np.ndarray:
        found = {}
        module = subject.parts.layers[1].mlp_down
        hook = module.register_forward_pre_hook(
            lambda _module, inputs: found.update(x=inputs[0].float().cpu().numpy())
        )
        try:
            with torch.inference_mode():
                subject.model(ids)
        finally:
            hook.remove()
        return found["x"]

    return compare(
        "neurons of layer 1, 512 tokens", ours, naive, "a whole forward pass with a hook"
    )


def index_speed(subject: Subject, corpus_name: str) -> dict[str, float]:
    """The index of all units over some text beside the bare forward passes that it needs, in the same process."""
    from ..tools.corpus import read_corpus
    from ..tools.index import build_index

    with tempfile.TemporaryDirectory(prefix="hubel-speed-") as folder:
        summary = build_index(
            subject, read_corpus(corpus_name), Path(folder) / "index", max_tokens=INDEX_TOKENS
        )
    return {
        "tokens": summary.tokens,
        "units": summary.units,
        "tokens_a_second": summary.tokens / summary.total_seconds,
        "forward_tokens_a_second": summary.tokens / summary.forward_seconds,
        "forward_share": summary.forward_seconds / summary.total_seconds,
        "peak_rss_mb": summary.peak_rss_mb,
    }

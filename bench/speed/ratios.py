"""Speed as ratios: each thing compared with the naive way, in one process, in CPU seconds of one
thread.

Wall time on a shared machine says little, CPU time more, and a ratio taken in one process most. Each
way runs `REPEATS` times in turn and the fastest counts. The results of both ways are compared first,
since a fast wrong answer is worth nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ...evals.statistics.bootstrap import bootstrap_r, resample_counts
from ...evals.statistics.correlation import pearson
from ...evals.statistics.permutation import permutations, permuted_r
from ...evals.statistics.sample import Sample

if TYPE_CHECKING:
    from ...tools.subject import Subject

REPEATS = 3


class SpeedComparison(NamedTuple):
    """One thing done in two ways; seconds are CPU seconds, `ratio` is theirs over ours."""

    name: str
    ours: float
    naive: float
    ratio: float
    naive_way: str

    def line(self) -> str:
        """One line, for the progress."""
        return f"{self.name}: {self.ratio:.1f} times faster than {self.naive_way}"

    def to_json(self) -> dict[str, Any]:
        """For a JSON line."""
        return self._asdict()


def compare(
    name: str, ours: Callable[[], Any], naive: Callable[[], Any], naive_way: str, atol: float = 1e-5
) -> SpeedComparison:
    """Time both ways in turn.

    Raises:
        AssertionError: the results differ.
    """
    np.testing.assert_allclose(ours(), naive(), rtol=1e-4, atol=atol)
    times = [(seconds(ours), seconds(naive)) for _ in range(REPEATS)]
    best = min(pair[0] for pair in times), min(pair[1] for pair in times)
    return SpeedComparison(name, *best, best[1] / best[0], naive_way)


def seconds(work: Callable[[], Any]) -> float:
    """CPU seconds that `work` takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def statistics_speed(contexts: int = 470, draws: int = 1999) -> list[SpeedComparison]:
    """Permutation draws and bootstrap resamples, compared with loops that correlate whole arrays."""
    rng = np.random.default_rng(0)
    mask = np.ones((contexts, 64), dtype=bool)
    document = np.repeat(np.arange(contexts // 4 + 1), 4)[:contexts]
    true = rng.standard_normal(mask.shape)
    sample = Sample(true + rng.standard_normal(mask.shape), true, mask, document)

    def permuting() -> np.ndarray:
        orders = permutations(contexts, 0, draws)
        shuffled = (sample.predicted[order].ravel() for order in orders)
        return np.array([np.corrcoef(predicted, true.ravel())[0, 1] for predicted in shuffled])

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
    """Neurons of an early layer with the pass stopped there, compared with a whole pass with a hook."""
    import torch

    from ...tools.subject.address import Site

    site = Site("mlp", 1)
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(0, 1000, (8, 64), generator=generator).to(subject.device)

    def ours() -> np.ndarray:
        return subject.capture(ids, [site]).activations[site].float().cpu().numpy()

    def naive() -> np.ndarray:
        captured: dict[str, np.ndarray] = {}
        module = subject.parts.layers[1].mlp_down
        hook = module.register_forward_pre_hook(
            lambda _module, inputs: captured.update(x=inputs[0].float().cpu().numpy())
        )
        try:
            with torch.inference_mode():
                subject.model(ids)
        finally:
            hook.remove()
        return captured["x"]

    return compare(
        "neurons of layer 1, 512 tokens", ours, naive, "a whole forward pass with a hook"
    )

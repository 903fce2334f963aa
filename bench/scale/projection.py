"""What the cost model says for subjects and machines that were not measured.

Nothing here was measured on an accelerator: its speeds are assumptions, which the table names.

1. The forward passes of an index run at a share of the accelerator's speed.
2. Activations go to the host, 4 bytes for each unit and token, over its link.
3. Statistics are taken by the accelerator's share of the host's cores, at the speed that was
   measured here, and one host writes the index. These three overlap, so that the slowest counts.
4. A target's search and scores run on cores; its experiments on the accelerator.
5. Shards and targets are independent; what the driver does for each target alone is not divided.
"""

from __future__ import annotations

from typing import NamedTuple

from .cost_model import CostModel
from .sizes import SubjectSize


class Accelerator(NamedTuple):
    """Assumed speeds of one accelerator and its share of a host."""

    name: str
    flops: float
    """Floating-point operations a second, of what a forward pass reaches."""
    link: float
    """Bytes a second to the host."""
    cores: int
    """Of the host, for each accelerator."""


ASSUMED = Accelerator("one of the H100 class", flops=0.4 * 990e12, link=25e9, cores=16)
"""40 % of the published bf16 speed, half of a PCIe 5 link, 16 cores."""
SUBJECTS = {
    "1B": SubjectSize(16, 2048, 8192, 32, 8),
    "8B": SubjectSize(32, 4096, 14336, 32, 8),
    "70B": SubjectSize(80, 8192, 28672, 64, 8),
}
"""Dimensions of the published Llama 3 models."""
DRIVER_S = 0.02
"""Seconds of the driver for each target: its events, its row, its verdict."""


class Projection(NamedTuple):
    """Hours of a whole-model catalogue: an index, then every neuron as a target."""

    subject: str
    accelerators: int
    forward: float
    transfer: float
    statistics: float
    """The three overlapping parts of the index, each alone."""
    targets: float
    driver: float

    @property
    def index_hours(self) -> float:
        """The slowest of the index's parts (3)."""
        return max(self.forward, self.transfer, self.statistics)

    @property
    def bottleneck(self) -> str:
        """What takes longest of all."""
        parts = ("forward", "transfer", "statistics", "targets", "driver")
        return max(parts, key=lambda name: getattr(self, name))


def project(subject: str, n: int, tokens: int, index: CostModel, target: CostModel) -> Projection:
    """Hours on n accelerators of `ASSUMED`.

    Args:
        tokens: of the corpus that is indexed; explanations are searched on as much of it as here.
        index, target: fitted on cores.
    """
    size, hour = SUBJECTS[subject], 3600.0
    _, each_unit, written = index.coefficients
    own, each_token, _ = target.coefficients
    searched = min(tokens, SEARCHED_TOKENS)
    neurons = size.layers * size.mlp
    experiments = 2.0 * size.weights * EXPERIMENT_TOKENS / ASSUMED.flops
    search = (own + each_token * searched) / ASSUMED.cores
    return Projection(
        subject,
        n,
        forward=tokens * 2.0 * size.weights / ASSUMED.flops / n / hour,
        transfer=tokens * 4.0 * size.units / ASSUMED.link / n / hour,
        statistics=size.units * (tokens * each_unit / n + written) / ASSUMED.cores / hour,
        targets=neurons * max(search, experiments) / n / hour,
        driver=neurons * DRIVER_S / hour,
    )


SEARCHED_TOKENS = 320_000
"""Tokens of the contexts on which a target's formulas are searched and scored, by default at most:
2,000 contexts of 64 on explore, and about as many on select and holdout together, and a margin."""
EXPERIMENT_TOKENS = 20_000
"""Tokens that a target's experiments read, each with an ablation or a patch."""

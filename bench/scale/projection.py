"""What the cost model says for subjects and machines that were not measured.

Nothing here was measured on an accelerator: its speeds are assumptions, which the table names.

1. The forward passes of an index run at a share of the accelerator's speed.
2. The accelerator takes the statistics (`tools/index/batch_activations`); the extremes of each unit
   and context go to the host over its link. What the statistics take there is not counted: about 30
   bytes are read and written for each number, at 3 TB/s an eighth of the forward pass at 8B.
3. The host's share of cores chooses the best contexts, at a speed that was measured, and one host
   writes the index. These three overlap, so that the slowest counts.
4. A target's search and scores run on cores; the passes of its experiments on the accelerator, and
   those that collect the activations of each `TOGETHER` targets.
5. Shards and targets are independent; what the driver does for each target alone is not divided.
6. The machines are paid from the start of the index to the end of the targets, all of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...agent.cli.commands.run import TOGETHER
from .cost_model import CostModel, LeftOut
from .sizes import SIZES, SubjectSize


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
EXTREMES_BYTES = 8 / 64
"""Of each unit and token that leave an accelerator: two numbers for a context of 64 tokens."""
CHOICE_S = 0.5e-9
"""Seconds of a core to choose the best contexts, for each unit and token (docs/design/index-in-one-pass.md)."""
DRIVER_S = 0.02
"""Seconds of the driver for each target: its events, its row, its verdict."""
SEARCHED_TOKENS = 75_082
"""Tokens on which a target is searched and scored: those of Lee news, on which `MEASURED_S` was."""
MEASURED_S = 2.12
"""CPU seconds of a target of the default subject, of a run of 200 (docs/speed.md)."""
MEASURED_WEIGHTS = SIZES[2].weights
"""Of the default subject, which has the dimensions of that size."""
LARGEST_ERROR = 0.2
"""A model with a larger one on something that was left out of its fit is not projected."""


class Prices(NamedTuple):
    """Dollars an hour of an accelerator with its host, and of a core; 0 where there is no price."""

    gpu_hour: float = 0.0
    core_hour: float = 0.0


class TargetCost(NamedTuple):
    """What a target costs.

    Attributes:
        search_s: of one core.
        experiment_tokens: which its experiments send through all of the subject.
        origin: where these figures are from.
    """

    search_s: float
    experiment_tokens: float
    origin: str


MEASURED = TargetCost(MEASURED_S, 0.0, f"{MEASURED_S} CPU seconds a target, as measured")


def target_cost(target: CostModel, index: CostModel, checks: Sequence[LeftOut]) -> TargetCost:
    """What was measured, divided as the model says into the search and the passes of experiments.

    Detectors have more to be found in them than a neuron, so that only their passes are taken from
    the model; and if it failed a check, nothing is.

    Args:
        checks: of the target's model.
    """
    if max(abs(check.error) for check in checks) > LARGEST_ERROR:
        return MEASURED
    seconds_an_operation, *_ = index.coefficients.tolist()
    *_, seconds_a_weight = target.coefficients.tolist()
    searched = max(MEASURED_S - seconds_a_weight * MEASURED_WEIGHTS, 0.0)
    tokens = seconds_a_weight / (2 * seconds_an_operation)
    origin = (
        f"{MEASURED_S} CPU seconds a target as measured, of which the model takes "
        f"{MEASURED_S - searched:.2f} for passes over {tokens:.0f} tokens"
    )
    return TargetCost(searched, tokens, origin)


class Projection(NamedTuple):
    """Hours of a whole-model catalogue: an index, then every neuron as a target."""

    subject: str
    accelerators: int
    forward: float
    transfer: float
    statistics: float
    """The three overlapping parts of the index, each alone."""
    passes: float
    """Those that collect activations, and those of experiments."""
    targets: float
    """The searches and scores of all targets."""
    driver: float

    @property
    def index_hours(self) -> float:
        """The slowest of the index's parts (3)."""
        return max(self.forward, self.transfer, self.statistics)

    @property
    def hours(self) -> float:
        """From the start to the end: what overlaps counts once."""
        return self.index_hours + max(self.passes, self.targets, self.driver)

    @property
    def bottleneck(self) -> str:
        """What takes longest of all."""
        parts = ("forward", "transfer", "statistics", "passes", "targets", "driver")
        return max(parts, key=lambda name: getattr(self, name))

    def usd(self, prices: Prices) -> float:
        """Dollars of the machines (6)."""
        hourly = prices.gpu_hour + ASSUMED.cores * prices.core_hour
        return self.hours * self.accelerators * hourly


def project(subject: str, n: int, tokens: int, index: CostModel, target: TargetCost) -> Projection:
    """Hours on n accelerators of `ASSUMED`.

    Args:
        tokens: of the corpus that is indexed; targets are searched on `SEARCHED_TOKENS` of it.
        index: fitted on cores.
    """
    size, hour = SUBJECTS[subject], 3600.0
    *_, written = index.coefficients.tolist()
    neurons = size.layers * size.mlp
    collected = min(tokens, SEARCHED_TOKENS) * -(-neurons // TOGETHER)
    read = collected + neurons * target.experiment_tokens
    forward_s = 2.0 * size.weights / ASSUMED.flops / n
    return Projection(
        subject,
        n,
        forward=tokens * forward_s / hour,
        transfer=tokens * EXTREMES_BYTES * size.units / ASSUMED.link / n / hour,
        statistics=size.units * (tokens * CHOICE_S / n + written) / ASSUMED.cores / hour,
        passes=read * forward_s / hour,
        targets=neurons * target.search_s / ASSUMED.cores / n / hour,
        driver=neurons * DRIVER_S / hour,
    )

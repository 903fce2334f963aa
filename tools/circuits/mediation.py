"""Causal mediation: how much of a prompt's effect goes through a component, and how much around it.

Input x is the clean prompt, x' its corrupted twin, Y the metric, and z a component's value (a
head's or a neuron's, at all positions). Vig et al. 2020, in differences of the metric and not in
ratios:

    total      TE  = Y(x') - Y(x)
    indirect   NIE = Y(x, z of x') - Y(x)      the prompt stays, only the component has the twin's value
    direct     NDE = Y(x', z of x) - Y(x)      the prompt changes, only the component keeps its value

In a linear model TE = NIE + NDE. Otherwise they need not add up; `interaction` is the difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..subject.address import Unit
from .circuit_model import CircuitModel
from .prompts import PromptPairs
from .sweep import Sweep


@dataclass(frozen=True, eq=False)
class Mediation:
    """Effects by pair, in units of the metric; an interval over the pairs is
    `evals.statistics.ability.mean_over_prompts`."""

    units: tuple[Unit, ...]
    total: Float[Tensor, " pairs"]
    indirect: Float[Tensor, "unit pairs"]
    direct: Float[Tensor, "unit pairs"]

    @property
    def interaction(self) -> Float[Tensor, "unit pairs"]:
        """Total - indirect - direct: 0 where the component and the rest of the model add up."""
        return self.total - self.indirect - self.direct


def mediate(model: CircuitModel, pairs: PromptPairs, units: Sequence[Unit]) -> Mediation:
    """Natural direct and indirect effects of heads and neurons; raises UsageError for other units."""
    clean, twin = Sweep(model, pairs), Sweep(model, pairs.swapped())
    total = twin.baseline - clean.baseline
    return Mediation(tuple(units), total, clean.units(units), twin.units(units) + total)

"""What planted units write into the residual stream: unembeddings of tokens, times the activation.

A unit whose parts write different tokens has, at each token, the mean of these directions weighted
by the parts' shares of the activation there. Where no part is active (an intervention made the unit
so), it is their plain mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...errors import UsageError
from ..address import Unit
from ..subject import Subject
from .corpus_texts import CorpusTexts
from .suite import SuiteUnit


class UnitWrites:
    """The write directions of a suite's units; `unit in writes` tells whether a unit writes."""

    def __init__(
        self, base: Subject, suite_unit_at: Mapping[Unit, SuiteUnit], texts: CorpusTexts
    ) -> None:
        self._suite_unit_at, self._texts = suite_unit_at, texts
        self._directions = {
            address: _directions(base, unit)
            for address, unit in suite_unit_at.items()
            if any(part.writes for part in unit.parts)
        }
        self.layers = sorted({unit.layer for unit in self._directions})

    def __contains__(self, unit: Unit) -> bool:
        return unit in self._directions

    def mean(self, unit: Unit) -> Float[Tensor, " d_model"]:
        """The unit's mean write direction."""
        directions = self._directions[unit]
        return directions[directions.any(dim=1)].mean(dim=0)

    def at_tokens(
        self, unit: Unit, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "*batch_seq d_model"]:
        """What an activation of 1 writes: one direction, or one for each token."""
        directions, mean = self._directions[unit], self.mean(unit)
        if bool((directions == mean).all()):
            return mean
        parts = self._suite_unit_at[unit].parts
        activations = self._texts.activations(parts, ids.cpu().numpy())  # part batch seq
        shares = torch.from_numpy(activations).to(mean.device)
        total = shares.sum(dim=0)[..., None]
        weighted = torch.einsum("pbs,pd->bsd", shares, directions)
        return torch.where(total == 0, mean, weighted / torch.where(total == 0, 1.0, total))


def _directions(base: Subject, unit: SuiteUnit) -> Float[Tensor, "part d_model"]:
    """The direction that each part writes; zero for a part that writes nothing."""
    unembedding = cast(Tensor, base.parts.unembed.weight)
    zero = unembedding.new_zeros(base.d_model)
    rows = [unembedding[_token(base, unit, p.writes)] if p.writes else zero for p in unit.parts]
    return torch.stack(rows).float()


def _token(base: Subject, unit: SuiteUnit, text: str) -> int:
    ids = base.tokenize(text).ids
    if len(ids) != 1:
        raise UsageError(
            f"unit {unit.id!r}: writes {text!r}, which is {len(ids)} tokens of {base.name}; "
            "give one token, with its leading space"
        )
    return ids[0]

"""What planted units write into the residual stream: unembeddings of tokens, times the activation.

A unit whose parts write different tokens has, at each token, the mean of these directions by the
parts' share in the activation there; where no part is active but an intervention makes the unit so,
their plain mean.
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
    """The directions of the units that write; the others are not in here."""

    def __init__(
        self, base: Subject, described: Mapping[Unit, SuiteUnit], texts: CorpusTexts
    ) -> None:
        self._described, self._texts = described, texts
        self._directions = {
            at: _directions(base, unit) for at, unit in described.items() if _writes(unit)
        }
        self.layers = sorted({unit.layer for unit in self._directions})

    def __contains__(self, unit: Unit) -> bool:
        return unit in self._directions

    def mean(self, unit: Unit) -> Float[Tensor, " d_model"]:
        """The unit's write direction, wherever it fires."""
        directions = self._directions[unit]
        return directions[directions.any(dim=1)].mean(dim=0)

    def at_tokens(
        self, unit: Unit, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "*batch_seq d_model"]:
        """What an activation of 1 writes: one direction, or one for each token."""
        directions, mean = self._directions[unit], self.mean(unit)
        if bool((directions == mean).all()):
            return mean
        by_part = self._texts.activations(self._described[unit].parts, ids.cpu().numpy())
        shares = torch.from_numpy(by_part).to(mean.device)
        total = shares.sum(dim=0)[..., None]
        mixed = torch.einsum("pbs,pd->bsd", shares, directions) / torch.where(
            total == 0, 1.0, total
        )
        return torch.where(total == 0, mean, mixed)


def _writes(unit: SuiteUnit) -> bool:
    return any(part.writes for part in unit.parts)


def _directions(base: Subject, unit: SuiteUnit) -> Float[Tensor, "part d_model"]:
    """The direction that each part writes; zero for a part that writes nothing."""
    unembedding = cast(Tensor, base.parts.unembed.weight)
    nothing = unembedding.new_zeros(base.d_model)
    rows = [
        unembedding[_token(base, unit, part.writes)] if part.writes else nothing
        for part in unit.parts
    ]
    return torch.stack(rows).float()


def _token(base: Subject, unit: SuiteUnit, text: str) -> int:
    ids = base.tokenize(text).ids
    if len(ids) != 1:
        raise UsageError(
            f"unit {unit.id!r}: writes {text!r}, which is {len(ids)} tokens of {base.name}; give one, with its space"
        )
    return ids[0]

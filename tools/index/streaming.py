"""A forward pass that hands each site's activations on as soon as they exist, and keeps none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..subject import capture as capturing
from ..subject.address import Site
from ..subject.subject import Subject, _raw_place

Consume = Callable[[Site, Float[Tensor, "batch seq unit"]], None]


def stream(subject: Subject, ids: Int[Tensor, "batch seq"], sites: Sequence[Site], consume: Consume) -> None:
    """Call `consume` for each site on the way, on the subject's device; the pass stops after the deepest of them."""
    subject.stream(ids, sites, consume)


@torch.inference_mode()
def bare(subject: Subject, ids: Int[Tensor, "batch seq"], sites: Sequence[Site]) -> None:
    """The same pass with nothing read on the way."""
    last = max(sites, key=lambda site: (site.layer, site.kind != "head"))

    def visit(_place: Site, _value: Tensor) -> Tensor:
        raise capturing._Enough

    with suppress(capturing._Enough), capturing._hooked(subject.parts, {_raw_place(last)}, set(), visit):
        subject.model(ids, use_cache=False)

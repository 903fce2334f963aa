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


@torch.inference_mode()
def stream(subject: Subject, ids: Int[Tensor, "batch seq"], sites: Sequence[Site], consume: Consume) -> None:
    """Call `consume` for each site on the way, on the subject's device; the pass stops after the deepest of them."""
    wanted = {_raw_place(site): site for site in sites}
    left = set(wanted)

    def visit(place: Site, value: Tensor) -> Tensor:
        consume(wanted[place], subject._read(wanted[place], value))
        left.discard(place)
        if not left:
            raise capturing._Enough
        return value

    with suppress(capturing._Enough), capturing._hooked(subject.parts, set(wanted), set(), visit):
        subject.model(ids, use_cache=False)


@torch.inference_mode()
def bare(subject: Subject, ids: Int[Tensor, "batch seq"], sites: Sequence[Site]) -> None:
    """The same pass with nothing read on the way."""
    last = max(sites, key=lambda site: (site.layer, site.kind != "head"))

    def visit(_place: Site, _value: Tensor) -> Tensor:
        raise capturing._Enough

    with suppress(capturing._Enough), capturing._hooked(subject.parts, {_raw_place(last)}, set(), visit):
        subject.model(ids, use_cache=False)

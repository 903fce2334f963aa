"""The sites of an index that an instrument compares units of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Literal

from ..errors import ArgumentError
from ..subject.address import Site

if TYPE_CHECKING:
    from ..index import Index

Kind = Literal["mlp", "head", "resid", "sae"]


def chosen_sites(
    index: Index, kinds: Sequence[Kind] | None, layers: Sequence[int] | None
) -> list[Site]:
    """The sites of these kinds and layers, None for all; raises ArgumentError if there are none."""
    chosen = [
        site
        for site in index.sites
        if (kinds is None or site.kind in kinds)
        and (layers is None or index.shape.raw(site).layer in layers)
    ]
    if not chosen:
        has = ", ".join(sorted({str(site) for site in index.sites}))
        raise ArgumentError(
            f"no site of kind {kinds or 'any'} and layer {layers} is in the index, which has {has}"
        )
    return chosen


def describe_sites(index: Index, sites: Sequence[Site]) -> str:
    """``46,080 neurons and 270 heads of all 30 layers``; kinds of different layers say their own."""
    names = {"mlp": "neuron", "head": "head", "resid": "direction", "sae": "latent"}
    parts: dict[str, list[str]] = {}
    for kind, name in names.items():
        of_kind = [site for site in sites if site.kind == kind]
        if of_kind:
            count = sum(index.shape.count(site) for site in of_kind)
            layers = _describe_layers(
                {index.shape.raw(site).layer for site in of_kind}, index.shape.n_layers
            )
            parts.setdefault(layers, []).append(f"{count:,} {name}{'s' * (count != 1)}")
    return ", ".join(f"{' and '.join(part)} of {layers}" for layers, part in parts.items())


def _describe_layers(layers: Collection[int], n_layers: int) -> str:
    if len(layers) == 1:
        return f"layer {min(layers)}" if min(layers) >= 0 else "the embedding"
    return (
        f"all {n_layers} layers"
        if len(layers) == n_layers
        else f"{len(layers)} of the {n_layers} layers"
    )

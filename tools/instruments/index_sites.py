"""The sites of an index that an instrument compares units of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from ..errors import ArgumentError
from ..subject.address import Site

if TYPE_CHECKING:
    from ..index import Index

Kind = Literal["mlp", "head", "resid"]


def chosen_sites(
    index: Index, kinds: Sequence[Kind] | None, layers: Sequence[int] | None
) -> list[Site]:
    """The sites of these kinds and layers, None for all; raises ArgumentError if there are none."""
    chosen = [
        site
        for site in index.sites
        if (kinds is None or site.kind in kinds) and (layers is None or site.layer in layers)
    ]
    if not chosen:
        has = ", ".join(sorted({f"{site.kind}.{site.layer}" for site in index.sites}))
        raise ArgumentError(
            f"no site of kind {kinds or 'any'} and layer {layers} is in the index, which has {has}"
        )
    return chosen


def describe_sites(index: Index, sites: Sequence[Site]) -> str:
    """``46,080 neurons and 270 heads of all 30 layers``."""
    names = {"mlp": "neurons", "head": "heads", "resid": "directions"}
    counts: dict[str, int] = {}
    for site in sites:
        counts[site.kind] = counts.get(site.kind, 0) + index.shape.count(site)
    parts = [f"{counts[kind]:,} {name}" for kind, name in names.items() if kind in counts]
    n_layers = len({site.layer for site in sites})
    of = "all" if n_layers == index.shape.n_layers else f"{n_layers} of the"
    return f"{' and '.join(parts)} of {of} {index.shape.n_layers} layers"

"""Random latents of a dictionary: what its latents are compared with, as neurons are with rotations.

1. Each random latent takes the place of a latent that fires on explore, drawn by a seed.
2. It reads a Gaussian direction, of the norm of that latent's encoder column, at the same place: its
   product with what the encoder sees there, less the mean of that. Of a direction and its opposite it
   is the one that does not fire on vectors far longer than the others (attention sinks): the other
   would be about these few tokens alone, and no formula explains them.
3. Its threshold is the product's quantile on a sample of explore at which it fires as often as that
   latent. So a dictionary of such latents has the same L0, whatever chooses the active ones there,
   and no latent need be computed but those that are explained.
4. Above the threshold its activation is the product, as of top-k and JumpReLU latents. Where the
   dictionary has plain ReLUs it is what exceeds the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..errors import UsageError
from ..index.activation_store.source import ContextBatch, explore_sources
from ..index.batch_plan import BATCH, reading_order
from ..subject.address import NO_LAYER, Site, Unit
from ..subject.latents import Latents
from ..subject.nulls import ArtificialUnit, Captured
from .activations import Relu
from .dictionary import Dictionary

if TYPE_CHECKING:
    from ..index.index import Index
    from ..subject.subject import Subject

SAMPLE = 256
"""Contexts of explore for thresholds: 16,000 tokens, 16 of them above that of a latent that fires on
one in a thousand, so that such a rate is met within a quarter."""
TOO_LONG = 10
"""Times the median length: vectors that are longer are attention sinks."""
VERSION = 1
"""Of how random latents are made; cached results are of one version."""
FIRES_ON = 20
"""Tokens of explore on which a latent must fire to be replaced: fewer explain nothing."""


@dataclass(frozen=True, kw_only=True)
class RandomLatentUnit(ArtificialUnit):
    """A random direction above a threshold.

    Attributes:
        latents: the dictionary, for its place and its normalisation.
        replaces: the latent whose place it takes.
        direction, offset: the product is `direction` times the normalised vector, minus `offset`.
        starts_at_zero: whether its activation is what exceeds the threshold.
    """

    latents: Latents = field(compare=False, repr=False)
    replaces: int
    direction: Float[Tensor, " d_in"] = field(compare=False, repr=False)
    offset: float
    threshold: float
    starts_at_zero: bool
    kind: ClassVar = "random"
    is_control: ClassVar[bool] = True

    @property
    def sources(self) -> tuple[Site, ...]:
        return (self.latents.reads,)

    @torch.inference_mode()
    def values(
        self, captured: Captured, ids: Int[Tensor, "batch seq"]
    ) -> Float[Tensor, "batch seq"]:
        vectors = self.latents.normalised(captured[self.latents.reads])[0]
        product = vectors @ self.direction.to(vectors.device) - self.offset
        # a latent that fires on most tokens has a threshold below 0, and is never negative either
        lowest = self.threshold if self.starts_at_zero else min(self.threshold, 0.0)
        return (product - lowest) * (product > self.threshold)


def random_latents(
    subject: Subject, index: Index, name: str, count: int, seed: int
) -> list[RandomLatentUnit]:
    """The first `count` random latents of one of an index's dictionaries; more add to them.

    Their addresses come after the dictionary's last latent. An index that covers the dictionary says
    how often its latents fire, and its text gives the thresholds.

    Raises:
        UsageError: the index does not have the latents, or too few of them fire.
    """
    latents = subject.dictionaries[name]
    statistics = index.site_statistics(Site.of_dictionary(name))
    rates = statistics.positive
    firing = np.flatnonzero(rates * statistics.n >= FIRES_ON)
    if len(firing) < count:
        raise UsageError(
            f"{len(firing)} latents of {name!r} fire on {FIRES_ON} tokens of explore; {count} are needed"
        )
    replaced = np.random.default_rng([seed, latents.n_latents]).permutation(firing)[:count]
    sample = _sample(subject, index, latents.reads, seed)
    lengths = sample.norm(dim=1)
    is_sink = lengths > TOO_LONG * lengths.median()
    vectors = latents.normalised(sample)[0]
    starts_at_zero = isinstance(latents, Dictionary) and isinstance(latents.activation, Relu)
    units: list[RandomLatentUnit] = []
    for number, latent in enumerate(replaced.tolist()):
        rng = np.random.default_rng([seed, latents.n_latents, number])
        drawn = torch.from_numpy(rng.standard_normal(vectors.shape[1]).astype(np.float32))
        norm = latents.encoder[:, latent].norm().cpu()
        direction = (drawn / drawn.norm() * norm).to(vectors.device)
        products = vectors @ direction
        if is_sink.any() and products[is_sink].mean() > products.mean():
            direction, products = -direction, -products
        centred = (products - products.mean()).cpu().numpy()
        units.append(
            RandomLatentUnit(
                unit=Unit("sae", NO_LAYER, latents.n_latents + number, name),
                seed=seed,
                latents=latents,
                replaces=latent,
                direction=direction,
                offset=float(products.mean()),
                threshold=float(np.quantile(centred, 1 - float(rates[latent]))),
                starts_at_zero=starts_at_zero,
            )
        )
    return units


@torch.inference_mode()
def _sample(subject: Subject, index: Index, site: Site, seed: int) -> Float[Tensor, "token d_in"]:
    """Vectors of a site at all tokens but the first of some contexts of explore."""
    contexts = index.contexts("explore")
    rng = np.random.default_rng(seed)
    order = reading_order(contexts.length)
    order = order[np.sort(rng.permutation(len(order))[:SAMPLE])]
    parts: list[Tensor] = []
    for start in range(0, len(order), BATCH):
        numbers = order[start : start + BATCH]
        length = contexts.length[numbers].astype(np.int64)
        ids = torch.from_numpy(contexts.tokens[numbers, : length[0]].astype(np.int64))
        real = np.arange(ids.shape[1]) < length[:, None]
        real[:, 0] = False

        def keep(_site: Site, values: Float[Tensor, "batch seq width"], real=real) -> None:
            parts.append(values[torch.from_numpy(real).to(values.device)].float())

        batch = ContextBatch(numbers, length, ids.to(subject.device))
        for source, requests in explore_sources(subject, index, {site: None}):
            source.read(batch, requests, keep)
    return torch.cat(parts)

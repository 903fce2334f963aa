"""Does a dictionary explain the vectors at its place, and which place would fit better?

1. Reconstruct the vectors at the place that it names, or for a transcoder what comes out there.
   Explained variance is 1 - sum of squared errors / sum of squared distances from the mean. Vectors
   longer than ten times the median are left out: on few tokens a model parks attention by vectors
   a hundred times as long as others, and nearly all variance would be theirs.
2. Do the same with the rows of the decoder permuted, nine times: the same activations, sparsity and
   bias, but the wrong directions. A dictionary that explains no more than the best of these does not
   know this place.
3. Do step 1 at every other place of the same width. Where another explains clearly more, the
   dictionary is probably of that place.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ..subject.address import Site
from .dictionary import Dictionary

SHUFFLES = 9
CLEARLY_LESS = 0.7
"""A better place leaves at most this share of the variance that the named one leaves. Measured on
dictionaries of the default subject: see docs/dictionaries.md."""
LONG = 10.0
"""Times the median length, as in training."""
_BLOCK_NUMBERS = 1 << 25
"""Activations that are held at a time: 128 MiB."""

Vectors = Mapping[Site, Float[Tensor, "token width"]]


class Explained(NamedTuple):
    """How well a dictionary reconstructs the vectors of a pair of places."""

    reads: Site
    writes: Site
    explained: float


@dataclass(frozen=True)
class FitReport:
    """What a check measured.

    Attributes:
        own: at the place that the dictionary names.
        shuffled: variance explained by the best of the permuted decoders there.
        best: the place where it explains most, which may be its own.
        l0: latents that fire on a token, on average.
        silent: share of latents that fire on no token of this text.
    """

    own: Explained
    shuffled: float
    best: Explained
    l0: float
    silent: float
    n_tokens: int

    @property
    def beats_shuffled(self) -> bool:
        """Whether the decoder's rows belong to its latents, as far as this place shows."""
        return self.own.explained > self.shuffled

    @property
    def is_elsewhere(self) -> bool:
        """Whether another place is explained clearly better."""
        return self.best != self.own and (
            1 - self.best.explained < CLEARLY_LESS * (1 - self.own.explained)
        )

    @property
    def fits(self) -> bool:
        """Whether the dictionary may be used at its place."""
        return self.beats_shuffled and not self.is_elsewhere


def check_fit(dictionary: Dictionary, vectors: Vectors, seed: int = 0) -> FitReport:
    """Compare a dictionary with its shuffles and with other places.

    Args:
        dictionary: whose `input_form` is plain.
        vectors: of the same tokens at each place; its own is among them.
    """
    own = explained_at(dictionary, vectors, dictionary.reads, dictionary.writes)
    others = [
        explained_at(dictionary, vectors, reads, writes)
        for reads, writes in other_places(dictionary, list(vectors))
        if vectors[reads].shape[1] == dictionary.encoder.shape[0]
        and vectors[writes].shape[1] == dictionary.decoder.shape[1]
    ]
    generator = torch.Generator().manual_seed(seed)
    orders = [torch.randperm(dictionary.n_latents, generator=generator) for _ in range(SHUFFLES)]
    shuffled = _explained_when_permuted(dictionary, vectors, orders)
    inputs, _ = _usual(vectors, dictionary.reads, dictionary.writes)
    active = torch.zeros(dictionary.n_latents)
    for block in _blocks(dictionary, len(inputs)):
        active += (dictionary.encode(inputs[block]) > 0).sum(dim=0).cpu()
    return FitReport(
        own,
        max(shuffled),
        max([own, *others], key=lambda each: each.explained),
        l0=float(active.sum()) / len(inputs),
        silent=float((active == 0).float().mean()),
        n_tokens=len(inputs),
    )


def explained_at(dictionary: Dictionary, vectors: Vectors, reads: Site, writes: Site) -> Explained:
    """The variance explained when the dictionary is put at a place."""
    inputs, outputs = _usual(vectors, reads, writes)
    errors = 0.0
    for block in _blocks(dictionary, len(inputs)):
        rest = outputs[block] - dictionary.reconstruct(inputs[block])
        errors += float(rest.square().sum(dtype=torch.float64))
    return Explained(reads, writes, 1 - errors / _variance(outputs))


def _explained_when_permuted(
    dictionary: Dictionary, vectors: Vectors, orders: Sequence[Tensor]
) -> list[float]:
    """Variance explained with the decoder's rows in other orders; the activations stay."""
    inputs, outputs = _usual(vectors, dictionary.reads, dictionary.writes)
    errors = [0.0] * len(orders)
    for block in _blocks(dictionary, len(inputs)):
        activations = dictionary.encode(inputs[block])
        for number, order in enumerate(orders):
            # permuting the activations is the same as permuting the rows
            decoded = dictionary.decode(activations[..., order], inputs[block])
            errors[number] += float((outputs[block] - decoded).square().sum(dtype=torch.float64))
    return [1 - error / _variance(outputs) for error in errors]


def other_places(dictionary: Dictionary, places: Sequence[Site]) -> Iterator[tuple[Site, Site]]:
    """Pairs of places where a dictionary of this kind could be; for a transcoder, of one layer."""
    own = dictionary.reads, dictionary.writes
    if not dictionary.is_transcoder:
        yield from ((place, place) for place in places if (place, place) != own)
        return
    known = set(places)
    for layer in sorted({place.layer for place in places}):
        for reads in ("mlp_in", "mid"):
            pair = Site(reads, layer), Site("mlp_out", layer)
            if pair != own and known.issuperset(pair):
                yield pair


def _usual(
    vectors: Vectors, reads: Site, writes: Site
) -> tuple[Float[Tensor, "token d_in"], Float[Tensor, "token d_out"]]:
    """Inputs and outputs of the tokens at which neither is unusually long."""
    inputs, outputs = vectors[reads].float(), vectors[writes].float()
    lengths = torch.stack([inputs.norm(dim=1), outputs.norm(dim=1)])
    limits = LONG * lengths.median(dim=1, keepdim=True).values
    rows = (lengths <= limits).all(dim=0)
    return inputs[rows], outputs[rows]


def _blocks(dictionary: Dictionary, n_rows: int) -> Iterator[slice]:
    rows = max(1, _BLOCK_NUMBERS // dictionary.n_latents)
    for start in range(0, n_rows, rows):
        yield slice(start, start + rows)


def _variance(outputs: Float[Tensor, "token width"]) -> float:
    centred = outputs - outputs.mean(dim=0)
    return max(float(centred.square().sum(dtype=torch.float64)), 1e-30)

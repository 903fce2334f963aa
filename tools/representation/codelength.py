"""How many bits of the labels do the vectors save? Online codelength (minimum description length).

1. Put the groups in random order, and cut the texts after 0.1, 0.2, 0.4, ... 50 % of them, never
   inside a group.
2. The first block is sent with the uniform code, log2 K bits a label. Each further block is sent with
   the code of a probe fitted on all blocks before it: -log2 p(label) bits a label. The codelength is
   the sum.
3. The probe is a logistic regression of fixed penalty. Of a few penalties the one with the shortest
   code is taken, and naming it costs log2 of their number.
4. Compression is the uniform code's length over the codelength.

A label that has nothing to do with the vectors cannot be compressed: no code is k bits shorter than N
bits for more than one in 2^k of the labellings of N texts by fair coins.

Voita & Titov, "Information-Theoretic Probing with Minimum Description Length" (EMNLP 2020), section
2.2. Accuracy says whether a label can be read, the codelength also how easily.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from .probe import fitted

SHARES = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5)
"""Of the texts, after which a block ends; the paper's."""
INVERSE_PENALTIES = (1e-4, 1e-2, 1.0)
"""C of the logistic regression. 1e-4 hardly moves from the classes' shares, which is what random
labels need; 1 is the probe's own."""
LEAST = 1e-6
"""Probability of a class that a probe never saw, or is certain of not being the case: 20 bits."""


@dataclass(frozen=True, eq=False)
class Codelength:
    """Bits that it takes to send the labels.

    Attributes:
        bits: of each text's label, in the order of the texts; the choice of a penalty is spread
            over them.
        uniform: of all labels with the uniform code.
        inverse_penalty: the C that was named.
    """

    bits: Float[np.ndarray, " text"]
    uniform: float
    inverse_penalty: float

    @property
    def total(self) -> float:
        """Bits of all labels."""
        return float(self.bits.sum())

    @property
    def compression(self) -> float:
        """How many times shorter than the uniform code."""
        return self.uniform / self.total


def codelength(
    vectors: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    group: Int[np.ndarray, " text"],
    *,
    seed: int = 0,
    inverse_penalties: tuple[float, ...] = INVERSE_PENALTIES,
) -> Codelength:
    """The online codelength of the classes, given the vectors."""
    n_classes = int(classes.max()) + 1
    order, ends = _blocks(group, seed)
    codes = []
    for inverse_penalty in inverse_penalties:
        bits = np.full(len(classes), np.log2(n_classes))
        for start, end in pairwise(ends):
            seen, sent = order[:start], order[start:end]
            p = _probabilities(vectors, classes, seen, sent, inverse_penalty)
            bits[sent] = -np.log2(p)
        codes.append(bits)
    best = int(np.argmin([bits.sum() for bits in codes]))
    naming = np.log2(len(codes)) / len(classes)
    uniform = len(classes) * float(np.log2(n_classes))
    return Codelength(codes[best] + naming, uniform, inverse_penalties[best])


def _blocks(
    group: Int[np.ndarray, " text"], seed: int
) -> tuple[Int[np.ndarray, " text"], list[int]]:
    """The order in which texts are sent, and where the blocks end; the first end begins the second."""
    place = np.random.default_rng(seed).permutation(int(group.max()) + 1)[group]
    order = np.argsort(place, kind="stable")
    last_of_group = np.flatnonzero(np.diff(place[order], append=-1)) + 1
    wanted = np.ceil(np.array(SHARES) * len(group))
    ends = last_of_group[np.searchsorted(last_of_group, wanted)]
    return order, sorted({*ends.tolist(), len(group)})


def _probabilities(
    vectors: Float[np.ndarray, "text width"],
    classes: Int[np.ndarray, " text"],
    seen: Int[np.ndarray, " seen"],
    sent: Int[np.ndarray, " sent"],
    inverse_penalty: float,
) -> Float[np.ndarray, " sent"]:
    """Of each sent text's own class, from a probe fitted on the texts that were sent before."""
    n_classes = int(classes.max()) + 1
    known = np.unique(classes[seen])
    if len(known) < 2:
        return np.full(len(sent), 1 / n_classes)
    probe = fitted(vectors[seen], classes[seen], inverse_penalty=inverse_penalty)
    p = np.zeros((len(sent), n_classes))
    p[:, known] = probe.predict_proba(vectors[sent])
    # a code must be able to send every class: mix in a little of the uniform code
    p = (1 - n_classes * LEAST) * p + LEAST
    return p[np.arange(len(sent)), classes[sent]]

"""Units that are active together with a unit: the correlation with every neuron, in one pass.

1. Texts: those that are given, or contexts of explore, a third each where the unit is strongest on
   either side and drawn at random (mostly quiet, so that a correlation is not one of loud places
   alone).
2. One pass over them; at each batch add up, for every neuron at once, sum x, sum x², and sum x·y
   with the unit's y.
3. Pearson r in closed form: (n Σxy - Σx Σy) / sqrt((n Σx² - (Σx)²) (n Σy² - (Σy)²)), in float64.

Position 0 of a text does not count. Two units that correlate may both follow a third thing;
`upstream` tells what feeds the unit, `patch` and `ablate` what it causes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
from pydantic import Field

from ..errors import ArgumentError
from .input_texts import BATCH_TOKENS, TokenizedText, batches, pad_token_ids, tokenize_texts
from .registry import InstrumentContext, Result, Text, UnitAddress, instrument, rounded
from .relative_depth import SAID, Depth, depth_of

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from ..index import Index
    from ..subject import Subject, Unit

FEWEST_TOKENS = 20
"""Fewer say nothing: at 20 tokens unrelated units reach |r| = 0.9 among 46,000."""


@dataclass(frozen=True)
class Companion:
    """A unit and its correlation; `depth` is where it stands as seen from the unit asked for."""

    unit: str
    r: float
    depth: Depth


@dataclass(frozen=True)
class Coactivating(Result):
    """Units that rise together with a unit, and units that rise when it falls.

    Attributes:
        n_tokens: over which r is; chance: what the largest |r| of as many unrelated units would be, about.
    """

    unit: str
    texts: str
    n_tokens: int
    compared: int
    chance: float
    together: list[Companion]
    opposed: list[Companion]

    def render(self) -> str:
        head = f"of {self.compared:,} units, over {self.n_tokens:,} tokens of {self.texts} (chance {self.chance:.2f}):"
        lines = [
            f"  r {c.r:+.3f} {c.unit}, {SAID[c.depth]}" for c in (*self.together, *self.opposed)
        ]
        return "\n".join([f"active together with {self.unit}, {head}", *lines])


@instrument("coactivating", needs=("subject",))
def coactivating(
    context: InstrumentContext,
    unit: UnitAddress,
    texts: Annotated[
        list[Text] | None, Field(max_length=256, description="default: the corpus")
    ] = None,
    k: Annotated[int, Field(ge=1, le=50, description="to list, of each sign")] = 6,
    contexts: Annotated[
        int, Field(ge=3, le=300, description="of the corpus, when no texts are given")
    ] = 48,
) -> Coactivating:
    """Which neurons are active at the same tokens as a unit, by correlation.

    Of all neurons at once, over corpus contexts (loud and quiet ones) or over texts that you give.
    Their exemplars show what the unit shares and what is its own. With a side (mlp.12.803-) the
    strength of that side is correlated.
    """
    from ..subject import Unit

    address, subject = Unit.parse(unit), context.require_subject()
    subject.shape.column(address)
    if texts is not None:
        rows, origin = tokenize_texts(subject, texts), "these texts"
    else:
        rows, origin = _contexts(context.require_index(), address, contexts), "the corpus"
    n = sum(len(row.scored) for row in rows)
    if n < FEWEST_TOKENS:
        raise ArgumentError(
            f"coactivating: {n} tokens are too few for a correlation; give at least {FEWEST_TOKENS}"
        )
    found = _correlations(subject, address, rows)
    compared = sum(len(layer) for layer in found)
    listed = [
        (float(r), Unit("mlp", layer, int(index)))
        for layer, values in enumerate(found)
        for index in _extremes(values, k)
        if np.isfinite(r := values[index]) and Unit("mlp", layer, int(index)) != address.unsided
    ]
    listed.sort(key=lambda pair: (-pair[0], str(pair[1])))
    together = [_companion(address, *pair) for pair in listed[:k] if pair[0] > 0]
    opposed = [_companion(address, *pair) for pair in listed[::-1][:k] if pair[0] < 0]
    (chance,) = rounded([min(1.0, float(np.sqrt(2 * np.log(max(compared, 2)) / n)))], 2)
    return Coactivating(str(address), origin, n, compared, chance, together, opposed)


def _companion(unit: Unit, r: float, other: Unit) -> Companion:
    return Companion(str(other), rounded([r])[0], depth_of(other, unit))


def _extremes(values: Float[np.ndarray, " unit"], k: int) -> list[int]:
    """The k + 1 largest and smallest: the unit itself may be among them."""
    order = np.argsort(np.nan_to_num(values), kind="stable").tolist()
    return list(dict.fromkeys([*order[: k + 1], *order[-k - 1 :]]))


def _contexts(index: Index, unit: Unit, n: int) -> list[TokenizedText]:
    """Of explore: a third each from the strongest of either side, and at random."""
    rng = np.random.default_rng(0)
    third = max(1, n // 3)
    loud = [
        e.context for side in ("+", "-") for e in index.exemplars(unit.unsided, side, "top", third)
    ]
    contexts = index.contexts("explore")
    quiet = rng.permutation(len(contexts))[: 4 * n].tolist()
    numbers = list(dict.fromkeys([*loud, *quiet]))[:n]
    return [
        TokenizedText("", contexts.tokens[i, : int(contexts.length[i])].tolist(), [], [])
        for i in numbers
    ]


def _correlations(
    subject: Subject, unit: Unit, rows: Sequence[TokenizedText]
) -> list[Float[np.ndarray, " unit"]]:
    """Pearson r with every neuron, layer by layer; NaN where one of the two is constant."""
    from ..subject import Site

    sites = [Site("mlp", layer) for layer in range(subject.shape.n_layers)]
    sums = [np.zeros((3, subject.shape.count(site))) for site in sites]  # x, x², xy
    mine = np.zeros(3)  # n, y, y²
    for batch in batches(rows, BATCH_TOKENS // 4):
        some = [rows[number] for number in batch]
        counts = [np.arange(len(row.ids)) >= row.scored.start for row in some]
        own = subject.unit_activations(pad_token_ids(some), [unit.unsided])[0].float().cpu().numpy()
        y = np.concatenate([unit.signal(own[i, : len(c)])[c] for i, c in enumerate(counts)]).astype(
            np.float64
        )
        mine += (len(y), y.sum(), (y * y).sum())

        def take(
            site: Site, values: Tensor, counts: list[np.ndarray] = counts, y: np.ndarray = y
        ) -> None:
            raw = values.float().cpu().numpy()
            x = np.concatenate([raw[i, : len(c)][c] for i, c in enumerate(counts)]).astype(
                np.float64
            )
            sums[site.layer] += np.stack([x.sum(0), (x * x).sum(0), y @ x])

        subject.stream(pad_token_ids(some), sites, take)
    return [_pearson(total, mine) for total in sums]


def _pearson(
    sums: Float[np.ndarray, "3 unit"], mine: Float[np.ndarray, "3"]
) -> Float[np.ndarray, " unit"]:
    (x, xx, xy), (n, y, yy) = sums, mine
    spread = (n * xx - x * x) * (n * yy - y * y)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(spread > 0, (n * xy - x * y) / np.sqrt(np.maximum(spread, 0)), np.nan)
